"""What planning reads, as plain values of the driver.

A million rows pass here, and objects of the mapper take ten times as long as the database.

Ids and moments stay the texts that the database gives: a moment is `YYYY-MM-DD HH:MM:SS.ffffff` in UTC on both, so that
texts compare as moments do. Every query is asked once for any number of objects.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from archive.evidence.terms import VAGUE
from archive.kernel.instants import Instant

Row = Sequence[Any]
Filing = tuple[str, str, str | None, str | None]
"""A case that an object is filed under: id, category, when it was closed; the stage of the act, if it is one's."""
Thing = tuple[str, str, str, str | None, int | None, Sequence[Filing]]
"""An object as schedules ask about it: id, kind, when it was received, when it says that it was recorded, how far the
clock was ahead that this comes from, in milliseconds; what it is filed under."""


class Reading(NamedTuple):
    """What is known of some objects. `marks` are those of an object and of its cases, by the object's id."""

    things: Sequence[Thing]
    marks: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Which:
    """Which objects: those with these ids, or those whose ids come after one, up to another."""

    keys: Sequence[str] = ()
    after: str | None = None
    until: str = ""


class Driver:
    """The driver's own connection of a transaction, on either database."""

    def __init__(self, tx: Session) -> None:
        """Take a transaction; what its session has to write is written first."""
        tx.flush()
        self.connection: Connection = tx.connection()
        self.is_sqlite = self.connection.dialect.name == "sqlite"

    def rows(self, sqlite: str, postgres: str, *values: Any) -> list[Any]:
        """Run a query; return its rows. The text of the two differs in how ids and moments become text."""
        result = self.connection.exec_driver_sql(sqlite if self.is_sqlite else postgres, values)
        found: list[Any] = result.cursor.fetchall()  # type: ignore[union-attr]
        result.close()
        return found

    def bulk(self, sqlite: str, postgres: str, which: Which, column: str) -> list[Any]:
        """Run a query for some objects, whose ids stand in `column`; `{which}` in it is the condition.

        With PostgreSQL all values are texts, and nothing is the empty text: its COPY takes a quarter of the time.
        """
        if self.is_sqlite:
            condition, values = self._condition(which, column, "?", "?", "IN (SELECT value FROM json_each(?))")
            return self.rows(sqlite.format(which=condition), "", *values)
        condition, values = self._condition(which, column, "%s::uuid", "%s::uuid", "= ANY(%s::uuid[])")
        copied = f"COPY ({postgres.format(which=condition)}) TO STDOUT (NULL '')"
        with self.cursor() as cursor, cursor.copy(copied, values) as copy:
            text = b"".join(copy).decode()
        return [line.split("\t") for line in text.split("\n")[:-1]]

    def cursor(self) -> Any:
        """Return a cursor of the driver, for what SQLAlchemy does not know."""
        return self.connection.connection.cursor()

    def _condition(
        self, which: Which, column: str, after: str, until: str, among: str
    ) -> tuple[str, tuple[str, ...]]:  # fmt: skip
        if which.after is None:
            return f"{column} {among}", (self.listed(which.keys),)
        return f"{column} > {after} AND {column} <= {until}", (which.after, which.until)

    def write(self, statement: str, *values: Any) -> int:
        """Run one statement; return how many rows it has changed."""
        return self.connection.exec_driver_sql(statement, values).rowcount

    def write_all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a statement for each of the rows."""
        if rows:
            self.connection.exec_driver_sql(statement, rows)

    def listed(self, ids: Iterable[str]) -> str:
        """Return ids as one value that a statement takes apart."""
        return json.dumps(list(ids)) if self.is_sqlite else "{" + ",".join(ids) + "}"

    def key(self, value: UUID) -> str:
        """Return the text of an id here."""
        return value.hex if self.is_sqlite else str(value)

    def dashed(self, key: str) -> str:
        """Return the canonical text of an id of here."""
        return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}" if self.is_sqlite else key


_AT: Final = "to_char({0}, 'YYYY-MM-DD HH24:MI:SS.US')"
_FROM: Final = (
    " FROM preserved_object o LEFT JOIN evidence_item i ON i.object_id = o.id"
    " LEFT JOIN case_link l ON l.object_id = o.id LEFT JOIN case_file c ON c.id = l.case_id"
    " LEFT JOIN act a ON a.id = l.act_id WHERE o.destroyed_at IS NULL AND {which} ORDER BY o.id"
)
_THINGS: Final = (
    "SELECT o.id, coalesce(i.kind, o.kind), coalesce(i.received_at, o.preserved_at),"
    f" CASE WHEN i.recorded_from NOT IN {VAGUE} THEN i.recorded_at END, i.clock_offset_ms,"
    f" l.case_id, c.category, c.closed_at, a.stage{_FROM}"
)
_THINGS_POSTGRES: Final = (
    f"SELECT o.id, coalesce(i.kind, o.kind), {_AT.format('coalesce(i.received_at, o.preserved_at)')},"
    f" CASE WHEN i.recorded_from NOT IN {VAGUE} THEN {_AT.format('i.recorded_at')} END, i.clock_offset_ms,"
    f" l.case_id, c.category, {_AT.format('c.closed_at')}, a.stage{_FROM}"
)
# A closed volume is an object of its case, which nobody links.
_VOLUMES: Final = (
    "SELECT v.object_id, v.case_id, c.category, c.closed_at, NULL FROM volume v JOIN case_file c ON c.id = v.case_id"
    " WHERE v.object_id IS NOT NULL AND {which}"
)
_VOLUMES_POSTGRES: Final = (
    f"SELECT v.object_id, v.case_id, c.category, {_AT.format('c.closed_at')}, NULL FROM volume v"  # noqa: S608
    " JOIN case_file c ON c.id = v.case_id WHERE v.object_id IS NOT NULL AND {which}"
)
_MARKS: Final = "SELECT ref_id, mark FROM retention_mark WHERE removed_at IS NULL AND {which}"
_ANY_MARK: Final = "SELECT 1 FROM retention_mark WHERE removed_at IS NULL LIMIT 1"
_NONE: Final[frozenset[str]] = frozenset()


def read(driver: Driver, which: Which) -> Reading:
    """Return what is known of these objects; of one that there is not, nothing."""
    things: list[Thing] = []
    last, filings = "", list[Filing]()
    # Several cases of one object follow each other.
    for key, kind, received, stated, offset_ms, case_id, category, closed, stage in driver.bulk(
        _THINGS, _THINGS_POSTGRES, which, "o.id"
    ):
        if key == last:
            filings.append((case_id, category, closed or None, stage or None))
            continue
        filings = [(case_id, category, closed or None, stage or None)] if case_id else []
        things.append((key, kind, received, stated or None, int(offset_ms) if offset_ms else None, filings))
        last = key
    if volumes := driver.bulk(_VOLUMES, _VOLUMES_POSTGRES, which, "v.object_id"):
        by_key = {thing[0]: thing for thing in things}
        for key, case_id, category, closed, _ in volumes:
            if (volume := by_key.get(key)) is not None:
                of_it: list[Filing] = volume[5]  # type: ignore[assignment]
                of_it.append((case_id, category, closed or None, None))
    return Reading(things, _marks(driver, things))


def _marks(driver: Driver, things: Sequence[Thing]) -> Mapping[str, frozenset[str]]:
    """Return the marks of objects, with those of the cases that they are filed under."""
    if not things or not driver.rows(_ANY_MARK, _ANY_MARK):
        return {}
    cases = {filing[0] for thing in things for filing in thing[5]}
    refs = Which(keys=[*(thing[0] for thing in things), *cases])
    of: dict[str, set[str]] = {}
    for ref_id, mark in driver.bulk(_MARKS, _MARKS, refs, "ref_id"):
        of.setdefault(ref_id, set()).add(mark)
    if not of:
        return {}
    marks: dict[str, frozenset[str]] = {}
    for key, *_, filings in things:
        found = [of[ref] for ref in (key, *(filing[0] for filing in filings)) if ref in of]
        if found:
            marks[key] = _NONE.union(*found)
    return marks


def as_instant(text: str) -> Instant:
    """Return the moment that a text stands for."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def as_text(at: Instant) -> str:
    """Return a moment as the databases give it here."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def recorded_at(stated_at: str | None, offset_ms: int | None) -> str | None:
    """Return when a recording began, corrected by its clock's offset; None where nobody says it exactly.

    As `archive.evidence.grouping.stated_start`.
    """
    if stated_at is None or not offset_ms:
        return stated_at
    try:
        return (datetime.fromisoformat(stated_at) - timedelta(0, 0, 0, offset_ms)).isoformat(" ", "microseconds")
    except OverflowError:
        return None
