"""Planning until when a million objects are kept: all of them for the first time, and again where little is different."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from archive.cases.terms import Category, Stage
from archive.db import only_grows
from archive.db.database import Database
from archive.db.migrate import migrate
from archive.db.sight import FIRST_UNIT
from archive.kernel.clock import SystemClock
from retention.planning.listings import costs, due_by_month, overview
from retention.planning.planner import RetentionPlanner
from retention.planning.stale import mark_stale
from retention.planning.sweeping import Sweep
from retention.schedules.terms import Basis, Mark
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.bench.search import databases, run_bare_statements
from tests.support.bulk.log import Ids, moment_text
from tests.support.bulk.tables import Row as BulkRow
from tests.support.bulk.tables import loading_postgres, loading_sqlite
from tests.support.schedule_in_force import USUAL, Given, Schedules, rule

NAME = "planning"
RUNS: Final = 3
OBJECTS: Final = 1_000_000
_MOST_S: Final = 10.0
_AGAIN: Final = 0.7
_A_FEW: Final = 0.05
_OF_CASE: Final = 5
_BLOCK: Final = 20_000
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_START: Final = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * _SECOND
_CATEGORIES: Final = tuple(category.value for category in Category)
_STAGES: Final = (Stage.INSPECTION.value, Stage.QUESTIONING.value, Stage.SEIZURE.value, Stage.NOTICE.value)
_LOOKS: Final[dict[str, Callable[..., object]]] = {
    "figures of the overview, of everything": overview,
    "the calendar of what falls due": due_by_month,
    "costs by unit and rule": costs,
}
_RULES: Final = (
    *USUAL,
    rule("coercion", 180, Basis.CASE_CLOSED, categories=("coercion",)),
    rule("seizure", 360, Basis.RECORDED, stages=(Stage.SEIZURE.value,)),
    rule("volumes", None, Basis.RECEIVED, kinds=("volume",)),
)


def measure(scratch: Path, *, runs: int = RUNS, count: int = OBJECTS) -> Section:
    """Measure on SQLite, and on PostgreSQL where its server programs are there."""
    rows: list[Row] = []
    samples: dict[str, tuple[float, ...]] = {}
    for name, url in databases(scratch):
        database = prepared(url, count)
        took = {what: tuple(times) for what, times in _measured(database, runs, count).items()}
        samples |= {f"{name}: {what}": times for what, times in took.items()}
        first, again, few = (Samples(took[what]) for what in ("first", "again", "few"))
        held = first.median < _MOST_S
        shown = f"{first.shown()}, {count / first.median:,.0f} /s"
        rows.append(Row(f"{name}: every object, for the first time", shown, "", f"under {_MOST_S:.0f} s", held))
        for what, found, most in (
            ("every object again, by another version that asks for the same", again, _AGAIN),
            ("one of a hundred, of which something changed", few, _A_FEW),
        ):
            rows.append(target_row(f"{name}: {what}", found.shown(), ratio=found.median / first.median, most=most))
        for what, look in _LOOKS.items():
            samples[f"{name}: {what}"] = _looked(database, look, runs)
            rows.append(Row(f"{name}: {what}", Samples(samples[f"{name}: {what}"]).shown()))
        database.close()
    return Section(
        name=NAME,
        title="Planning",
        text=(
            f"{count:,} objects: nine of ten recordings, the others records and closed volumes; most are filed under "
            f"one of {count // _OF_CASE:,} cases, of which two of three are closed; one of fifty cases is marked. Seven "
            "rules count from recording, receipt and the case's end. The time runs from the first fact that is read to "
            "the last commit: facts, algebra, rows, and a log entry for each batch with every object's new time. Made "
            "in bulk past the use cases. The figures of the pages are those of somebody who sees everything. Ratios are to planning everything for the first time."
        ),
        rows=tuple(rows),
        runs=runs,
        samples=samples,
    )


def _looked(database: Database, look: Callable[..., object], runs: int) -> tuple[float, ...]:
    took = []
    for _ in range(runs):
        with database.read() as tx:
            began = time.perf_counter()
            look(tx, at=SystemClock().now())
            took.append(time.perf_counter() - began)
    return tuple(took)


def prepared(url: str, count: int) -> Database:
    """Make a database with so many objects; return it open."""
    database = Database(url)
    migrate(database)
    database.close()  # whoever loads rows wants it for itself
    _fill(database, count)
    return Database(url)


def _measured(database: Database, runs: int, count: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {"first": [], "again": [], "few": []}
    for run in range(runs):
        _forget(database)
        schedules = Schedules(Given(_RULES, uuid4()))
        planner = RetentionPlanner(database, SystemClock(), schedules)
        settle()
        took["first"].append(_swept(planner, count))
        schedules.now = Given(_RULES, uuid4())
        settle()
        took["again"].append(_swept(planner, count))
        changed = _change(database, count // 100, run)
        settle()
        began = time.perf_counter()
        with database.begin() as tx:
            mark_stale(tx, changed, SystemClock().now())
        while planner.plan_stale():
            pass
        took["few"].append(time.perf_counter() - began)
    return took


def _swept(planner: RetentionPlanner, count: int) -> float:
    gc.collect()
    began = time.perf_counter()
    done = Sweep(planner).run()
    took = time.perf_counter() - began
    if done != count:
        raise AssertionError(f"{done} of {count} objects were planned")
    return took


def _change(database: Database, count: int, run: int) -> Sequence[UUID]:
    """Close cases that are open; return what is filed under them."""
    with database.begin() as tx:
        opened = text("SELECT id FROM case_file WHERE closed_at IS NULL ORDER BY id LIMIT :few OFFSET :after")
        few = max(1, count // _OF_CASE)
        cases = [row[0] for row in tx.execute(opened, {"few": few, "after": run})]
        closed_at = moment_text(_START + 2000 * _DAY) + ("" if database.is_sqlite else "+00")
        found: list[UUID] = []
        for case_id in cases:
            tx.execute(text("UPDATE case_file SET closed_at = :at WHERE id = :id"), {"at": closed_at, "id": case_id})
            links = text("SELECT object_id FROM case_link WHERE case_id = :id")
            found += [UUID(str(row[0])) for row in tx.execute(links, {"id": case_id})]
    return found


def _forget(database: Database) -> None:
    """Take every plan away, as nobody can whose triggers are in place."""
    with database.begin() as tx:
        only_grows.lift(tx.connection())
        for table in ("retention_plan", "planning_state"):
            tx.execute(text(f"DELETE FROM {table}" if database.is_sqlite else f"TRUNCATE {table}"))
        only_grows.protect(tx.connection())
    if not database.is_sqlite:
        run_bare_statements(database, "VACUUM ANALYZE retention_plan", "CHECKPOINT")


def _fill(database: Database, count: int) -> None:
    loading = (
        loading_sqlite(Path(str(database.url.database)))
        if database.is_sqlite
        else loading_postgres(database.url.render_as_string(hide_password=False))
    )
    with loading as loader:
        for block in _blocks(count):
            loader.put(block)


def _blocks(count: int) -> Iterator[dict[str, list[BulkRow]]]:
    ids, chance, unit = Ids(), random.Random(9), FIRST_UNIT.hex
    yield {"subject": [(unit, "organisation", "某某餐饮店", moment_text(_START), unit)]}
    for first in range(0, count, _BLOCK):
        rows: dict[str, list[BulkRow]] = {
            name: []
            for name in ("case_file", "act", "preserved_object", "evidence_item", "case_link", "retention_mark")
        }
        for number in range(first, min(first + _BLOCK, count), _OF_CASE):
            _case(rows, ids, chance, unit, number, min(_OF_CASE, count - number))
        yield rows


def _case(
    rows: dict[str, list[BulkRow]], ids: Ids, chance: random.Random, unit: str, number: int, things: int
) -> None:  # fmt: skip
    opened = _START + number * _DAY // 1000
    case_id, act_id = ids.at(opened), ids.at(opened)
    closed = moment_text(opened // _DAY * _DAY + int(20 + 200 * chance.random()) * _DAY + 16 * 3600 * _SECOND)
    is_closed, is_filed = chance.random() < 0.67, chance.random() < 0.9
    rows["case_file"].append(
        (case_id, f"昆市监罚〔2026〕{number}号", "无证经营案", chance.choice(_CATEGORIES), unit, moment_text(opened), unit,
         unit, 0, closed if is_closed else None)
    )  # fmt: skip
    at = moment_text(opened)
    rows["act"].append((act_id, case_id, chance.choice(_STAGES), "官渡区", at, at))
    if chance.random() < 0.02:
        mark = ids.at(opened)
        rows["retention_mark"].append(
            (mark, "case", case_id, Mark.COMPLEX.value, "重大疑难", unit, at, None, None, None)
        )
    for step in range(things):
        received = opened + int(chance.random() * 2 * _DAY)
        object_id, came = ids.at(received), moment_text(received)
        sha512 = f"{number + step:0128x}"
        luck = chance.random()
        kind = "item" if luck < 0.9 else "record" if luck < 0.99 else "volume"
        rows["preserved_object"].append(
            (object_id, kind, "a.mp4", "original/a.mp4", "video/mp4", 300_000_000, sha512[:64], sha512, None, came, unit,
             0)
        )  # fmt: skip
        if kind == "item":
            recorded = moment_text(received - int(chance.random() * _DAY))
            rows["evidence_item"].append(
                (object_id, sha512, "footage", unit, "BWC-1", "body_worn", "1", None, None, None, recorded, "container",
                 1300, came, 600_000, None, None, "playable", None, None)
            )  # fmt: skip
        if is_filed:
            rows["case_link"].append((case_id, object_id, act_id if step % 2 else None, unit, came, None))
