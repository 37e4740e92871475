"""The log: entries appended, sequenced and proven, beside the bare hashes and beside pymerkle."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pymerkle import InmemoryTree, SqliteTree

from archive.kernel.ids import EntryId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.proofs import consistency, head, inclusion
from archive.settings import Settings
from archive.wiring import Services, build_services
from archive.wiring.homes import create_home
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row

NAME = "log"
RUNS = 5
_PROOFS = 200


@dataclass(slots=True)
class _Rates:
    """Entries per second, and milliseconds a proof, of each run."""

    single: list[float]
    batched: list[float]
    sequenced: list[float]
    proof_ms: list[float]
    consistency_ms: list[float]
    bare: list[float]
    memory: list[float]
    file: list[float]
    peer_proof_ms: list[float]


def measure(scratch: Path, *, runs: int = RUNS, entries: int = 1000, batched: int = 20_000) -> Section:
    """Measure with one writer, on SQLite that syncs each commit."""
    rates = _Rates([], [], [], [], [], [], [], [], [])
    settings = Settings(home=scratch / "home")
    create_home(settings)
    services = build_services(settings)
    try:
        with services.database.begin() as tx:
            append_entry(tx, _entry(0), at=services.clock.now())
        services.sequencer.sequence()
        for number in range(runs):
            settle()
            _ours(services, rates, entries=entries, batched=batched)
            _theirs(scratch / f"peer-{number}.sqlite3", rates, entries=entries, batched=batched)
    finally:
        services.close()
    with_size = runs * (entries + batched)
    return Section(
        name=NAME,
        title="Log",
        text=(
            f"One writer on SQLite, `synchronous=FULL`; the log grows to {with_size:,} entries. An entry is canonical "
            "JSON with a salted commitment to its detail. Sequencing gives indices, stores leaves and nodes, seals the "
            "details into the journal, signs a checkpoint and publishes it, up to 4,096 entries at a time. The bare hashes are the leaf hash of each "
            "entry and the node hashes above, nothing stored. Ratios are speed, Liuhen's by the other one's."
        ),
        rows=tuple(_rows(rates)),
        runs=runs,
        samples={name: tuple(getattr(rates, name)) for name in rates.__slots__},
        programs={"pymerkle": version("pymerkle")},
    )


def _ours(services: Services, rates: _Rates, *, entries: int, batched: int) -> None:
    ids: list[EntryId] = []

    def one_each() -> None:
        for number in range(entries):
            with services.database.begin() as tx:
                ids.append(append_entry(tx, _entry(number), at=services.clock.now()))

    def all_in_one() -> None:
        with services.database.begin() as tx:
            for number in range(batched):
                append_entry(tx, _entry(number), at=services.clock.now())

    def sequenced() -> None:
        while services.sequencer.sequence():
            continue

    with services.database.read() as tx:
        before = head(tx)
    assert before is not None
    rates.single.append(entries / _took(one_each))
    rates.batched.append(batched / _took(all_in_one))
    rates.sequenced.append((entries + batched) / _took(sequenced))
    with services.database.read() as tx:
        after = head(tx)
        assert after is not None
        chosen = ids[:: max(1, len(ids) // _PROOFS)]
        rates.proof_ms.append(_took(lambda: [inclusion(tx, entry_id) for entry_id in chosen]) / len(chosen) * 1000)
        times = 20
        took = _took(lambda: [consistency(tx, old_size=before.size, new_size=after.size) for _ in range(times)])
        rates.consistency_ms.append(took / times * 1000)


def _theirs(file: Path, rates: _Rates, *, entries: int, batched: int) -> None:
    bodies = [hashlib.sha512(str(number).encode()).digest() * 6 for number in range(batched)]  # as long as entries are
    rates.bare.append(batched / _took(lambda: _bare_root(bodies)))
    tree = InmemoryTree(algorithm="sha256")
    rates.memory.append(batched / _took(lambda: [tree.append_entry(body) for body in bodies]))
    places = range(1, batched + 1, max(1, batched // _PROOFS))
    rates.peer_proof_ms.append(_took(lambda: [tree.prove_inclusion(place) for place in places]) / len(places) * 1000)
    with SqliteTree(str(file), algorithm="sha256") as stored:
        rates.file.append(entries / _took(lambda: [stored.append_entry(body) for body in bodies[:entries]]))


def _bare_root(bodies: list[bytes]) -> bytes:
    level = [hashlib.sha256(b"\x00" + body).digest() for body in bodies]
    while len(level) > 1:
        above = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = above + level[len(level) & ~1 :]
    return level[0]


def _entry(number: int) -> NewEntry:
    return NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"number": number, "name": "BWC0117_20260302_093000.mp4"})


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _rows(rates: _Rates) -> list[Row]:
    def rate(values: list[float]) -> Samples:
        return Samples(tuple(values))

    single, file = rate(rates.single), rate(rates.file)
    sequenced, memory, bare = rate(rates.sequenced), rate(rates.memory), rate(rates.bare)
    proof, peer_proof = rate(rates.proof_ms), rate(rates.peer_proof_ms)
    return [
        Row("Append, a transaction for each entry", single.shown("/s", digits=0)),
        target_row("pymerkle `SqliteTree`, append", file.shown("/s", digits=0), ratio=single.median / file.median),
        Row("Append, all in one transaction", rate(rates.batched).shown("/s", digits=0)),
        Row("Sequence: index, store, sign, publish", sequenced.shown("/s", digits=0)),
        target_row(
            "pymerkle `InmemoryTree`, append, nothing stored",
            memory.shown("/s", digits=0),
            ratio=sequenced.median / memory.median,
        ),
        target_row("Bare hashes, nothing stored", bare.shown("/s", digits=0), ratio=sequenced.median / bare.median),
        Row("Proof of inclusion, from the database", proof.shown("ms")),
        target_row(
            "pymerkle `InmemoryTree`, proof of inclusion",
            peer_proof.shown("ms"),
            ratio=peer_proof.median / proof.median,
        ),
        Row("Proof of consistency, from the database", rate(rates.consistency_ms).shown("ms")),
    ]
