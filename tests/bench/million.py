"""A log of a million entries: sequenced, proven, and checked whole from a copy, beside the bare hashes."""

import hashlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import select

from archive.db.database import Database
from archive.kernel.ids import EntryId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR, EntryType, NewEntry, encode_entry
from archive.ledger.mirror import mirror
from archive.ledger.models import LogLeaf
from archive.ledger.proofs import consistency, head, inclusion
from archive.ledger.tiles import ENTRIES, TILE_WIDTH, Tile, parse_bundle
from archive.settings import Settings
from archive.wiring import Services, build_services
from archive.wiring.homes import create_home
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row

NAME = "million"
RUNS = 5
ENTRIES_IN_ALL: Final = 1_000_000
_BATCH: Final = 10_000
_PROOFS: Final = 200
_MOST_PROOF_MS: Final = 5.0
_MOST_RATIO: Final = 2.0


def measure(scratch: Path, *, runs: int = RUNS, entries: int = ENTRIES_IN_ALL) -> Section:
    """Measure on SQLite."""
    settings = Settings(home=scratch / "home", origin="bench.example/log")
    create_home(settings)
    services = build_services(settings)
    try:
        sequenced = _filled(services, entries)
        copy = scratch / "copy"
        mirror(services.published, copy)
        proofs, consistencies, monitored, bare = [], [], [], []
        peak_mib = 0.0
        for _ in range(runs):
            settle()
            proofs.append(_proof_ms(services))
            consistencies.append(_consistency_ms(services))
            took, peak_mib = _monitored(copy, settings.home / "trust.txt")
            monitored.append(took)
            bare.append(_bare(copy, entries))
    finally:
        services.close()
    proof, whole, hashes = Samples(tuple(proofs)), Samples(tuple(monitored)), Samples(tuple(bare))
    return Section(
        name=NAME,
        title="A log of a million entries",
        text=(
            f"{entries:,} entries on SQLite, sequenced by {_BATCH // 1000},000. `liuhen log monitor` reads a copy of "
            "the published files, hashes every entry, holds every tile against what lies below it, and checks the root "
            "and its signature; the time is that of the whole process. The bare hashes are a Python loop over the same "
            "entries, which lie in memory already: a hash for each leaf and each node, nothing compared. Proofs are of "
            f"{_PROOFS} entries all over the log, from the database."
        ),
        rows=(
            Row("Sequence: index, store, sign, publish", f"{sequenced:,.0f} /s"),
            target_row("`liuhen log monitor`", whole.shown("s"), ratio=whole.median / hashes.median, most=_MOST_RATIO),
            Row("Bare hashes", hashes.shown("s")),
            Row("`liuhen log monitor`: memory peak", f"{peak_mib:.0f} MiB"),
            Row(
                "Proof of inclusion",
                proof.shown("ms"),
                target=f"under {_MOST_PROOF_MS:.0f} ms",
                holds=proof.median < _MOST_PROOF_MS,
            ),
            Row("Proof of consistency", Samples(tuple(consistencies)).shown("ms")),
        ),
        runs=runs,
        samples={"proof_ms": tuple(proofs), "monitor_s": tuple(monitored), "bare_s": tuple(bare)},
    )


def _filled(services: Services, entries: int) -> float:
    """Write the entries as they would be, many in a transaction, and sequence them; return entries a second of that."""
    took = 0.0
    for first in range(0, entries, _BATCH):
        encoded = list(_encoded(first, min(_BATCH, entries - first), services.clock.now()))
        _insert(services.database, encoded)
        began = time.perf_counter()
        while services.sequencer.sequence():
            continue
        took += time.perf_counter() - began
    return entries / took


def _encoded(first: int, count: int, at: Instant) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    for number in range(first, first + count):
        detail = {"number": number, "name": "BWC0117_20260302_093000.mp4"}
        entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail=detail)
        made = encode_entry(entry, entry_id=EntryId(new_uuid7()), at=at)
        yield made.id.hex, made.body, made.salt, made.detail


def _insert(database: Database, encoded: list[tuple[str, bytes, bytes, bytes]]) -> None:
    with database.begin() as tx:
        connection = tx.connection()
        connection.exec_driver_sql(
            "INSERT INTO log_entry (id, body) VALUES (?, ?)", [(each[0], each[1]) for each in encoded]
        )
        connection.exec_driver_sql(
            "INSERT INTO log_detail (entry_id, salt, detail) VALUES (?, ?, ?)",
            [(each[0], each[2], each[3]) for each in encoded],
        )
        connection.exec_driver_sql("INSERT INTO log_pending (entry_id) VALUES (?)", [(each[0],) for each in encoded])


def _proof_ms(services: Services) -> float:
    with services.database.read() as tx:
        newest = head(tx)
        assert newest is not None
        step = newest.size // _PROOFS
        ids = tx.scalars(select(LogLeaf.entry_id).where(LogLeaf.index % step == step // 2)).all()
        began = time.perf_counter()
        for entry_id in ids:
            inclusion(tx, EntryId(entry_id))
        return (time.perf_counter() - began) / len(ids) * 1000


def _consistency_ms(services: Services) -> float:
    with services.database.read() as tx:
        newest = head(tx)
        assert newest is not None
        began = time.perf_counter()
        for number in range(_PROOFS):
            consistency(tx, old_size=newest.size * (number + 1) // (_PROOFS + 1), new_size=newest.size)
        return (time.perf_counter() - began) / _PROOFS * 1000


def _monitored(copy: Path, trust: Path) -> tuple[float, float]:
    """Return seconds and the peak of memory in MiB of `liuhen log monitor`."""
    liuhen = Path(sys.executable).with_name("liuhen")
    command = [liuhen, "log", "monitor", copy, "--key", trust, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    assert '"log.tree_valid"' in done.stdout, done.stdout + done.stderr
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _bare(copy: Path, entries: int) -> float:
    bodies: list[bytes] = []
    for number in range(-(-entries // TILE_WIDTH)):
        tile = Tile(ENTRIES, number, min(TILE_WIDTH, entries - number * TILE_WIDTH))
        bodies += parse_bundle((copy / tile.path).read_bytes(), count=tile.width)
    began = time.perf_counter()
    level = [hashlib.sha256(b"\x00" + body).digest() for body in bodies]
    while len(level) > 1:
        above = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = above + level[len(level) & ~1 :]
    return time.perf_counter() - began
