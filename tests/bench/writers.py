"""Eight writers and the sequencer, each change a transaction of its own: how many entries a second are durable, how
long until they are in the published log. On both databases that sync each commit, beside pymerkle's file on one writer.
"""

import bisect
import multiprocessing
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

from pymerkle import SqliteTree
from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.callers import caller_as
from archive.access.models import Account
from archive.access.policy import Role
from archive.cli.processes import run_sequencer
from archive.custody.models import PreservedObject
from archive.kernel.ids import EntryId, ObjectId, new_uuid7
from archive.ledger.append import append_entry
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.models import LogLeaf
from archive.ledger.note import SignedNote
from archive.ledger.proofs import pending_count
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.settings import Settings
from archive.wiring import Services, build_services
from archive.wiring.homes import create_home
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support import postgres

RULES = RetrievalRules.load()
NAME = "writers"
RUNS = 5
WRITERS: Final = 8
SECONDS: Final = 6.0
_LEAST: Final = {"SQLite": 2000, "PostgreSQL": 1500}
_MOST_P99_S: Final = 2.0
_LOOK_S: Final = 0.01
_DRAIN_S: Final = 120


def measure(scratch: Path, *, runs: int = RUNS, seconds: float = SECONDS) -> Section:
    """Measure on SQLite, and on PostgreSQL where its server programs are there."""
    rows: list[Row] = []
    samples: dict[str, tuple[float, ...]] = {}
    for name, url in _databases(scratch):
        values: dict[str, list[float]] = {"append": [], "p99": [], "grant": [], "peer": []}
        with _bureau(scratch / name, url) as bureau:
            for number in range(runs):
                settle()
                rate, p99 = bureau.append(seconds)
                values["append"].append(rate)
                values["p99"].append(p99)
                values["grant"].append(bureau.grant(seconds))
                values["peer"].append(_theirs(scratch / f"{name}-{number}.sqlite3", seconds=seconds / 2))
        found = {what: Samples(tuple(rates)) for what, rates in values.items()}
        samples |= {f"{name}: {what}": tuple(rates) for what, rates in values.items()}
        least, append, p99s = _LEAST[name], found["append"], found["p99"]
        rows += [
            Row(
                f"{name}: entries, a durable transaction each, {WRITERS} writers",
                append.shown("/s", digits=0),
                target=f"at least {least:,} /s",
                holds=append.median >= least,
            ),
            target_row(
                "pymerkle `SqliteTree`, append, one writer",
                found["peer"].shown("/s", digits=0),
                ratio=append.median / found["peer"].median,
            ),
            Row(
                f"{name}: from commit to the published checkpoint, p99",
                p99s.shown("s"),
                target=f"under {_MOST_P99_S:.0f} s",
                holds=p99s.median < _MOST_P99_S,
            ),
            Row(
                f"{name}: grants to view (right, object, grant, custody event, entry), {WRITERS} writers",
                found["grant"].shown("/s", digits=0),
            ),
        ]
    return Section(
        name=NAME,
        title="Writers",
        text=(
            f"{WRITERS} threads write for {SECONDS:.0f} s, each change in a transaction of its own that is durable when "
            "it ends (SQLite `synchronous=FULL`, PostgreSQL `fsync=on`, `synchronous_commit=on`), while the sequencer "
            "runs in its own process as in `liuhen serve`. The time to the log ends when a reader of the published "
            "checkpoint sees it cover the entry. pymerkle has one writer: its file is locked for more."
        ),
        rows=tuple(rows),
        runs=runs,
        samples=samples,
        programs={"pymerkle": version("pymerkle")},
    )


class _Bureau:
    """An archive with one object and one supervisor, and its sequencer in another process."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.object_id = ObjectId(new_uuid7())
        at = services.clock.now()
        told = {"username": "bench", "display_name": "Bench"}
        account = create_account(
            services.database, **told, roles=[Role.SUPERVISOR], password=secrets.token_hex(), by=OPERATOR, at=at
        )
        with services.database.read() as tx:
            self.caller = caller_as(tx, tx.get_one(Account, account), auth="bench", at=at)
        with services.database.begin() as tx:
            tx.add(
                PreservedObject(
                    id=self.object_id,
                    kind="item",
                    name="a.mp4",
                    content_path="original/a.mp4",
                    media_type="video/mp4",
                    size_bytes=1,
                    sha256="0" * 64,
                    sha512="0" * 128,
                    preserved_at=at,
                )
            )

    def append(self, seconds: float) -> tuple[float, float]:
        """Return entries a second, and the 99th percentile of seconds from commit to publication."""
        committed: list[list[tuple[EntryId, float]]] = [[] for _ in range(WRITERS)]

        def one(number: int, count: int) -> None:
            detail = {"number": count, "name": "BWC0117_20260302_093000.mp4"}
            with self.services.database.begin() as tx:
                entry_id = append_entry(
                    tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail=detail), at=self.services.clock.now()
                )
            committed[number].append((entry_id, time.monotonic()))

        with _Watched(self.services) as watched:
            rate = _rate(one, seconds)
            watched.wait_until_all_are_in()
        with self.services.database.read() as tx:
            indices = {entry_id: index for entry_id, index in tx.execute(select(LogLeaf.entry_id, LogLeaf.index))}  # noqa: C416 - rows are no pairs to dict()
        waited = sorted(watched.when(indices[entry_id]) - at for written in committed for entry_id, at in written)
        return rate, waited[int(len(waited) * 0.99)]

    def grant(self, seconds: float) -> float:
        """Return grants to view a second."""

        def one(_number: int, _count: int) -> None:
            at = self.services.clock.now()
            kind = GrantKind.VIEW
            grant_access(
                self.services.database,
                self.object_id,
                kind=kind,
                purpose=Purpose("复核现场", "任务 1"),
                by=self.caller,
                rules=RULES,
                at=at,
            )

        return _rate(one, seconds)


class _Watched:
    """Looks at the published checkpoint all the time, as a reader of the log would."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sizes: list[int] = []
        self._times: list[float] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def wait_until_all_are_in(self) -> None:
        """Wait until no entry is pending and the last checkpoint was seen."""
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until:
            with self._services.database.read() as tx:
                if not pending_count(tx):
                    time.sleep(10 * _LOOK_S)
                    return
            time.sleep(_LOOK_S)
        raise AssertionError("the sequencer does not keep up")

    def when(self, index: int) -> float:
        """Return when the entry of this index was first seen to be covered."""
        return self._times[bisect.bisect_right(self._sizes, index)]

    def _look(self) -> None:
        while not self._ends.wait(_LOOK_S):
            note = self._services.published.checkpoint()
            size = 0 if note is None else Checkpoint.parse(SignedNote.parse(note).text).size
            if not self._sizes or size > self._sizes[-1]:
                self._sizes.append(size)
                self._times.append(time.monotonic())


@contextmanager
def _bureau(home: Path, url: str) -> Iterator[_Bureau]:
    settings = Settings(home=home, database_url=url, origin="bench.example/log")
    create_home(settings)
    services = build_services(settings)
    sequencer = multiprocessing.get_context("spawn").Process(target=run_sequencer, args=(settings,))
    sequencer.start()
    try:
        yield _Bureau(services)
    finally:
        sequencer.terminate()
        sequencer.join()
        services.close()


def _databases(scratch: Path) -> Iterator[tuple[str, str]]:
    yield "SQLite", f"sqlite+pysqlite:///{scratch / 'writers.sqlite3'}"
    try:
        postgres.server_programs()
    except postgres.PostgresMissing:
        return
    cluster = postgres.Cluster(postgres.folder_for_server(scratch / "pg"), durable=True)
    try:
        yield "PostgreSQL", postgres.create_database(cluster.start())
    finally:
        cluster.destroy()


def _rate(one: Callable[[int, int], None], seconds: float) -> float:
    """Return how often a second all writers together did it."""
    counts, ends = [0] * WRITERS, time.monotonic() + seconds

    def write(number: int) -> None:
        while time.monotonic() < ends:
            one(number, counts[number])
            counts[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def _theirs(file: Path, *, seconds: float) -> float:
    body, count, began = b"x" * 380, 0, time.monotonic()
    with SqliteTree(str(file), algorithm="sha256") as tree:
        while time.monotonic() < began + seconds:
            tree.append_entry(body + str(count).encode())
            count += 1
    return count / (time.monotonic() - began)
