"""Scoped lists: what a page costs for somebody who sees a part of the archive, beside one that sees all of it."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from archive.cases.indexing import index_objects
from archive.cases.listings import items
from archive.custody.models import PreservedObject
from archive.db.base import insert_rows
from archive.db.database import Database
from archive.db.migrate import migrate
from archive.db.sight import EVERYBODYS, FIRST_UNIT, Sight, party_of
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import record_unit
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.bench.search import databases, run_bare_statements

NAME = "sight"
RUNS: Final = 7
ITEMS: Final = 200_000
UNITS: Final = 50
OFFICERS: Final = 500
_BATCH: Final = 1000
_MOST: Final = 1.2
_DEEP: Final = 50
_LOOKS_A_RUN: Final = 10
_OFFICER: Final = 489
"""An officer of the last unit, whose camera is looked for."""
_SERIAL: Final = f"BWC-{_OFFICER:04d}"
_ACCOUNT: Final = (UUID(int=7), UUID(int=8))
"""What an account sees by itself, and by memberships that end: two more parties, as in the archive."""
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def measure(scratch: Path, *, runs: int = RUNS, count: int = ITEMS) -> Section:
    """Measure on SQLite, and on PostgreSQL where its server programs are there."""
    rows: list[Row] = []
    samples: dict[str, tuple[float, ...]] = {}
    for name, url in databases(scratch):
        database = Database(url)
        migrate(database)
        units, officers = _organisation(database)
        began = time.perf_counter()
        _fill(database, units, count)
        rows.append(
            Row(f"{name}: items written with who sees them", f"{count / (time.perf_counter() - began):,.0f} /s")
        )
        if not database.is_sqlite:
            run_bare_statements(database, "VACUUM ANALYZE")
        at = datetime.now(UTC)
        for who, parties in (  # each sees the footage of this serial
            ("a unit of fifty", [units[-1]]),
            ("an officer of five hundred", [officers[_OFFICER]]),
            (
                "a head of unit with an officer's certificate and memberships",
                [units[-1], officers[_OFFICER], *_ACCOUNT],
            ),
            ("the agency", [FIRST_UNIT]),
            ("who supervises everybody", []),
        ):
            numbers = frozenset(party_of(party) for party in parties) or frozenset({EVERYBODYS})
            bound = database.seen_by(Sight(numbers, 0, at))
            for what, look in _LOOKS.items():
                took, beside = _by_turns(runs, look(bound), look(database))
                samples[f"{name}, {who}: {what}"], samples[f"{name}, {who}: {what}, no scope"] = took, beside
                ratio = Samples(took).median / Samples(beside).median
                shown = f"{Samples(took).shown('ms')} beside {Samples(beside).shown('ms')}"
                rows.append(target_row(f"{name}: {what}, {who}", shown, ratio=ratio, most=_MOST))
        database.close()
    return Section(
        name=NAME,
        title="Who sees what",
        text=(
            f"{count:,} items of {UNITS} units and {OFFICERS} officers. A page of 50 items, newest first, read for "
            f"somebody who sees a part of them, by turns with the same page without any scope. Page {_DEEP} is reached "
            "by its cursor."
        ),
        rows=tuple(rows),
        runs=runs,
        samples=samples,
    )


def _organisation(database: Database) -> tuple[Sequence[UUID], Sequence[UUID]]:
    """Make a tree of units, four levels deep, and officers in them."""
    units: list[UUID] = [FIRST_UNIT]
    for number in range(1, UNITS):
        parent = UnitId(units[(number - 1) // 4])
        made = record_unit(database, parent_id=parent, code=f"u{number}", name=f"u{number}", by=OPERATOR, at=_START)
        units.append(made)
    officers = [
        record_officer(
            database,
            OfficerFacts(
                certificate_number=f"{number:08d}", name=f"officer {number}", agency="1", unit=f"u{number % 49 + 1}"
            ),
            by=OPERATOR,
            at=_START,
        )
        for number in range(OFFICERS)
    ]
    return units, officers


def _fill(database: Database, units: Sequence[UUID], count: int) -> None:
    chance = random.Random(6)
    for first in range(0, count, _BATCH):
        objects, things = [], []
        for number in range(first, min(first + _BATCH, count)):
            at = _START + timedelta(seconds=number * 60)
            object_id = UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | number)
            officer = chance.randrange(OFFICERS)
            objects.append(
                {
                    "id": object_id, "kind": "item", "name": f"BWC{officer:04d}_{at:%Y%m%d_%H%M%S}.mp4",
                    "content_path": "original/a.mp4", "media_type": "video/mp4", "size_bytes": 1, "preserved_at": at,
                    "sha256": f"{number:064x}", "sha512": f"{number:0128x}", "unit_id": units[officer % 49 + 1],
                    "classes": 0,
                }
            )  # fmt: skip
            things.append(
                {
                    "object_id": object_id, "sha512": f"{number:0128x}", "kind": "footage", "dock_id": FIRST_UNIT,
                    "device_serial": f"BWC-{officer:04d}", "officer_number": f"{officer:08d}", "recorded_at": at,
                    "received_at": at, "play_state": "playable",
                }
            )  # fmt: skip
        with database.begin() as tx:
            insert_rows(tx, PreservedObject, objects)
            insert_rows(tx, EvidenceItem, things)
            index_objects(tx, [row["id"] for row in objects])


def _first_page(database: Database) -> Callable[[], None]:
    return lambda: _list(database, None)


def _deep_page(database: Database) -> Callable[[], None]:
    with database.read() as tx:
        cursor = items(tx, limit=50 * (_DEEP - 1)).next_cursor
    return lambda: _list(database, cursor)


def _found(database: Database) -> Callable[[], None]:
    return lambda: _list(database, None, words=_SERIAL)


_LOOKS: Final[dict[str, Callable[[Database], Callable[[], None]]]] = {
    "page 1": _first_page,
    f"page {_DEEP}": _deep_page,
    "a serial, page 1": _found,
}


def _by_turns(
    runs: int, scoped: Callable[[], None], whole: Callable[[], None]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what each took in each run, by turns, so that what else the machine does falls on both."""
    settle()
    scoped(), whole()
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs * _LOOKS_A_RUN):
        for work, times in zip((scoped, whole), took, strict=True):
            began = time.perf_counter()
            work()
            times.append((time.perf_counter() - began) * 1000)
    return tuple(took[0]), tuple(took[1])


def _list(database: Database, cursor: str | None, *, words: str = "") -> None:
    with database.read() as tx:
        items(tx, cursor=cursor, words=words, limit=50)
