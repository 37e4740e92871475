"""What planning reads, as plain values of the driver.

A million rows pass here, and objects of the mapper take ten times as long as the database.

Ids and moments stay the texts that the database gives. Moments are in UTC and begin with `YYYY-MM-DD HH:MM:SS`: SQLite
goes on with six digits, PostgreSQL with as many as are needed and `+00`. Of two texts of one database the later moment
is the greater one, since a plus comes before a point and before every digit.

Every query is asked once for any number of objects.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from archive.evidence.terms import VAGUE
from archive.kernel.instants import Instant

Row = Sequence[Any]
Filing = tuple[str, str, str | None, str | None]
"""A case that an object is filed under: id, category, when it was closed; the stage of the act, if it is one's."""
Thing = tuple[str, str, str, str | None, int | None, list[Filing]]
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


_ESCAPED: Final = re.compile(r"\\(.)")


def _meant(match: re.Match[str]) -> str:
    """Return what COPY has escaped."""
    return {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}.get(match[1], match[1])


class Driver:
    """The driver's own connection of a transaction, on either database."""

    def __init__(self, tx: Session) -> None:
        """Take a transaction; what its session has to write is written first."""
        tx.flush()
        self.connection: Connection = tx.connection()
        self.is_sqlite = self.connection.dialect.name == "sqlite"
        self.texts = Texts() if self.is_sqlite else PostgresTexts()

    def rows(self, sqlite: str, postgres: str, *values: Any) -> list[Any]:
        """Run a query; return its rows. The text of the two differs in how ids and moments become text."""
        result = self.connection.exec_driver_sql(sqlite if self.is_sqlite else postgres, values)
        cursor: Any = result.cursor
        found: list[Any] = cursor.fetchall()
        result.close()
        return found

    def bulk(self, statement: str, which: Which, *columns: str) -> list[Any]:
        """Run a query for some objects, whose ids stand in these columns; `{0}`, `{1}` in it are the conditions.

        With PostgreSQL all values are texts, and nothing is the empty text: its COPY takes a quarter of the time.
        """
        conditions = [self._condition(which, column) for column in columns]
        statement = statement.format(*(condition for condition, _ in conditions))
        values = tuple(value for _, some in conditions for value in some)
        if self.is_sqlite:
            return self.rows(statement, "", *values)
        with self._copying(f"COPY ({statement}) TO STDOUT (NULL '')", values) as copy:
            text = b"".join(copy).decode()
        found = [line.split("\t") for line in text.split("\n")[:-1]]
        return [[_ESCAPED.sub(_meant, cell) for cell in row] for row in found] if "\\" in text else found

    def copy_in(self, statement: str, text: str) -> None:
        """Run a COPY of PostgreSQL that takes rows as text."""
        with self._copying(statement, ()) as copy:
            copy.write(text)

    @contextmanager
    def _copying(self, statement: str, values: tuple[str, ...]) -> Iterator[Any]:
        """Run a COPY by the driver, which SQLAlchemy knows nothing of; errors are those of SQLAlchemy."""
        raw: Any = self.connection.connection
        errors: Any = self.connection.dialect.loaded_dbapi.Error
        try:
            with raw.cursor() as cursor, cursor.copy(statement, values or None) as copy:
                yield copy
        except errors as exc:
            raise DBAPIError.instance(
                statement,
                None,
                exc,
                errors,
                hide_parameters=True,
                connection_invalidated=self.connection.dialect.is_disconnect(exc, raw.dbapi_connection, None),
                dialect=self.connection.dialect,
            ) from exc

    def _condition(self, which: Which, column: str) -> tuple[str, tuple[str, ...]]:
        if which.after is None:
            among = "IN (SELECT value FROM json_each(?))" if self.is_sqlite else "= ANY(%s::uuid[])"
            return f"{column} {among}", (self.listed(which.keys),)
        mark = "?" if self.is_sqlite else "%s::uuid"
        return f"{column} > {mark} AND {column} <= {mark}", (which.after, which.until)

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


# Each join says the range anew: PostgreSQL does not see that it follows.
_THINGS: Final = (
    "SELECT o.id, coalesce(i.kind, o.kind), coalesce(i.received_at, o.preserved_at),"
    f" CASE WHEN i.recorded_from NOT IN {VAGUE} THEN i.recorded_at END, i.clock_offset_ms, l.case_id, l.act_id"
    " FROM preserved_object o LEFT JOIN evidence_item i ON i.object_id = o.id AND {0}"
    " LEFT JOIN case_link l ON l.object_id = o.id AND {1} WHERE o.destroyed_at IS NULL AND {2} ORDER BY o.id"
)
# A closed volume is an object of its case, which nobody links.
_VOLUMES: Final = "SELECT v.object_id, v.case_id FROM volume v WHERE v.object_id IS NOT NULL AND {0}"
_CASES: Final = "SELECT id, category, closed_at FROM case_file WHERE {0}"
_ACTS: Final = "SELECT id, stage FROM act WHERE {0}"
_MARKS: Final = "SELECT ref_id, mark FROM retention_mark WHERE removed_at IS NULL AND {0}"
_ANY_MARK: Final = "SELECT 1 FROM retention_mark WHERE removed_at IS NULL LIMIT 1"
_NONE: Final[frozenset[str]] = frozenset()


def read(driver: Driver, which: Which) -> Reading:
    """Return what is known of these objects; of one that there is not, nothing."""
    rows = driver.bulk(_THINGS, which, "i.object_id", "l.object_id", "o.id")
    volumes = driver.bulk(_VOLUMES, which, "v.object_id")
    cases = {row[5] for row in rows if row[5]} | {case_id for _, case_id in volumes}
    known: Mapping[str, Sequence[str]] = {
        row[0]: row for row in driver.bulk(_CASES, Which(keys=list(cases)), "id")
    }  # fmt: skip
    acts = {row[6] for row in rows if row[6]}
    stages: Mapping[str, str] = dict(driver.bulk(_ACTS, Which(keys=list(acts)), "id")) if acts else {}
    things: list[Thing] = []
    last, filings = "", list[Filing]()
    for key, kind, received, stated, offset_ms, case_id, act_id in rows:  # those of one object follow each other
        if key != last:
            filings = []
            things.append((key, kind, received, stated or None, int(offset_ms) if offset_ms else None, filings))
            last = key
        if case_id:
            _, category, closed = known[case_id]
            filings.append((case_id, category, closed or None, stages[act_id] if act_id else None))
    if volumes:
        filed = {thing[0]: thing[5] for thing in things}
        for key, case_id in volumes:
            _, category, closed = known[case_id]
            filed[key].append((case_id, category, closed or None, None))
    return Reading(things, _marks(driver, things, cases))


def _marks(driver: Driver, things: Sequence[Thing], cases: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the marks of objects, with those of the cases that they are filed under."""
    if not things or not driver.rows(_ANY_MARK, _ANY_MARK):
        return {}
    of: dict[str, set[str]] = {}
    for ref_id, mark in driver.bulk(_MARKS, Which(keys=[*(thing[0] for thing in things), *cases]), "ref_id"):
        of.setdefault(ref_id, set()).add(mark)
    if not of:
        return {}
    marks: dict[str, frozenset[str]] = {}
    for thing in things:
        found = [of[ref] for ref in (thing[0], *(filing[0] for filing in thing[5])) if ref in of]
        if found:
            marks[thing[0]] = _NONE.union(*found)
    return marks


def as_instant(text: str) -> Instant:
    """Return the moment that a text stands for."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def rfc_3339(text: str) -> str:
    """Return a moment as the log has it."""
    whole = text.removesuffix("+00")
    return f"{whole[:10]}T{whole[11:]}{'000000'[len(whole) - 20 :] if len(whole) > 19 else '.000000'}Z"


class Texts:
    """The texts that moments have in SQLite."""

    def of(self, at: Instant) -> str:
        """Return a moment as the database gives it."""
        return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

    def earlier(self, text: str, offset_ms: int) -> str:
        """Return the moment that is so much before another. Raises: OverflowError."""
        return (datetime.fromisoformat(text) - timedelta(0, 0, 0, offset_ms)).isoformat(" ", "microseconds")


class PostgresTexts(Texts):
    """The texts that moments have in PostgreSQL."""

    def of(self, at: Instant) -> str:
        """Return a moment as the database gives it."""
        told = at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        return f"{told.rstrip('0') if at.microsecond else told}+00"

    def earlier(self, text: str, offset_ms: int) -> str:
        """Return the moment that is so much before another. Raises: OverflowError."""
        at = datetime.fromisoformat(text[:-3]) - timedelta(0, 0, 0, offset_ms)
        told = at.isoformat(" ")
        return f"{told.rstrip('0') if at.microsecond else told}+00"


def recorded_at(stated_at: str | None, offset_ms: int | None, texts: Texts) -> str | None:
    """Return when a recording began, corrected by its clock's offset; None where nobody says it exactly.

    As `archive.evidence.grouping.stated_start`.
    """
    if stated_at is None or not offset_ms:
        return stated_at
    try:
        return texts.earlier(stated_at, offset_ms)
    except OverflowError:
        return None
