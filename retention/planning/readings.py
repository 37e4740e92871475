"""What planning reads, as plain values of the driver: a million rows pass here, and objects of the mapper take ten times
as long as the database.

Ids and moments stay the texts that the database gives: a moment is `YYYY-MM-DD HH:MM:SS.ffffff` in UTC on both, so that
texts compare as moments do. Every query is asked once for any number of objects.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from archive.evidence.terms import VAGUE
from archive.kernel.instants import Instant

Row = tuple[Any, ...]
_NONE: Final[frozenset[str]] = frozenset()


Thing = tuple[str, str, str, str | None, int | None]
"""An object as schedules ask about it: id, kind, when it was received, when it says that it was recorded, and how far
the clock was ahead that this comes from, in milliseconds."""
Filing = tuple[str, str, str | None, str | None]
"""A case that an object is filed under: id, category, when it was closed; the stage of the act, if it is one's."""


class Reading(NamedTuple):
    """Everything that is known of some objects: filings and marks are by the id of their object."""

    things: Sequence[Thing]
    filings: Mapping[str, Sequence[Filing]]
    marks: Mapping[str, frozenset[str]]


class Driver:
    """The driver's own connection of a transaction, on either database."""

    def __init__(self, tx: Session) -> None:
        """Take a transaction; what its session has to write is written first."""
        tx.flush()
        self.connection: Connection = tx.connection()
        self.is_sqlite = self.connection.dialect.name == "sqlite"

    def rows(self, sqlite: str, postgres: str, *values: Any) -> list[Row]:
        """Run a query; return its rows. The text of the two differs in how ids and moments become text."""
        result = self.connection.exec_driver_sql(sqlite if self.is_sqlite else postgres, values)
        found: list[Row] = result.cursor.fetchall()  # type: ignore[union-attr]
        result.close()
        return found

    def write(self, statement: str, *values: Any) -> int:
        """Run one statement; return how many rows it has changed."""
        return self.connection.exec_driver_sql(statement, values).rowcount

    def write_all(self, statement: str, rows: list[Row]) -> None:
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
_THINGS: Final = (
    "SELECT o.id, coalesce(i.kind, o.kind), coalesce(i.received_at, o.preserved_at),"  # noqa: S608
    f" CASE WHEN i.recorded_from NOT IN {VAGUE} THEN i.recorded_at END, i.clock_offset_ms"
    " FROM preserved_object o LEFT JOIN evidence_item i ON i.object_id = o.id WHERE o.destroyed_at IS NULL"
    " AND o.id IN (SELECT value FROM json_each(?))"
)
_THINGS_POSTGRES: Final = (
    f"SELECT o.id::text, coalesce(i.kind, o.kind), {_AT.format('coalesce(i.received_at, o.preserved_at)')},"  # noqa: S608
    f" CASE WHEN i.recorded_from NOT IN {VAGUE} THEN {_AT.format('i.recorded_at')} END, i.clock_offset_ms"
    " FROM preserved_object o LEFT JOIN evidence_item i ON i.object_id = o.id WHERE o.destroyed_at IS NULL"
    " AND o.id = ANY(%s::uuid[])"
)
_FILINGS: Final = (
    "SELECT l.object_id, l.case_id, c.category, c.closed_at, a.stage FROM case_link l"
    " JOIN case_file c ON c.id = l.case_id LEFT JOIN act a ON a.id = l.act_id"
    " WHERE l.object_id IN (SELECT value FROM json_each(?))"
)
_FILINGS_POSTGRES: Final = (
    f"SELECT l.object_id::text, l.case_id::text, c.category, {_AT.format('c.closed_at')}, a.stage FROM case_link l"  # noqa: S608
    " JOIN case_file c ON c.id = l.case_id LEFT JOIN act a ON a.id = l.act_id WHERE l.object_id = ANY(%s::uuid[])"
)
# A closed volume is an object of its case, which nobody links.
_VOLUMES: Final = (
    "SELECT v.object_id, v.case_id, c.category, c.closed_at, NULL FROM volume v JOIN case_file c ON c.id = v.case_id"
    " WHERE v.object_id IN (SELECT value FROM json_each(?))"
)
_VOLUMES_POSTGRES: Final = (
    f"SELECT v.object_id::text, v.case_id::text, c.category, {_AT.format('c.closed_at')}, NULL FROM volume v"  # noqa: S608
    " JOIN case_file c ON c.id = v.case_id WHERE v.object_id = ANY(%s::uuid[])"
)
_MARKS: Final = (
    "SELECT ref_id, mark FROM retention_mark WHERE removed_at IS NULL AND ref_id IN (SELECT value FROM json_each(?))"
)
_MARKS_POSTGRES: Final = (
    "SELECT ref_id::text, mark FROM retention_mark WHERE removed_at IS NULL AND ref_id = ANY(%s::uuid[])"
)
_ANY_MARK: Final = "SELECT 1 FROM retention_mark WHERE removed_at IS NULL LIMIT 1"


def read(driver: Driver, keys: Sequence[str]) -> Reading:
    """Return what is known of these objects; of one that there is not, or not any more, nothing."""
    listed = driver.listed(keys)
    things: Sequence[Thing] = driver.rows(_THINGS, _THINGS_POSTGRES, listed)  # type: ignore[assignment]
    filings: dict[str, list[Filing]] = {}
    for object_id, case_id, category, closed_at, stage in (
        *driver.rows(_FILINGS, _FILINGS_POSTGRES, listed),
        *driver.rows(_VOLUMES, _VOLUMES_POSTGRES, listed),
    ):
        found = filings.get(object_id)
        if found is None:
            filings[object_id] = [(case_id, category, closed_at, stage)]
        else:
            found.append((case_id, category, closed_at, stage))
    return Reading(things, filings, _marks(driver, keys, filings))


def _marks(driver: Driver, keys: Sequence[str], filings: Mapping[str, Sequence[Filing]]) -> dict[str, frozenset[str]]:
    """Return the marks of objects, with those of the cases that they are filed under."""
    if not driver.rows(_ANY_MARK, _ANY_MARK):
        return {}
    cases = {filing[0] for found in filings.values() for filing in found}
    of: dict[str, set[str]] = {}
    for ref_id, mark in driver.rows(_MARKS, _MARKS_POSTGRES, driver.listed([*keys, *cases])):
        of.setdefault(ref_id, set()).add(mark)
    if not of:
        return {}
    marks = {key: frozenset(found) for key in keys if (found := of.get(key)) is not None}
    for key, filed in filings.items():
        for filing in filed:
            if (found := of.get(filing[0])) is not None:
                marks[key] = marks.get(key, _NONE) | found
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
