"""The driver's own connection, for planning: a million rows pass here.

Objects of the mapper would take ten times as long as the database.

Ids and moments stay the texts that the database gives. Moments are in UTC and begin with `YYYY-MM-DD HH:MM:SS`: SQLite
goes on with six digits, PostgreSQL with as many as are needed and `+00`. Of two texts of one database the later moment
is the greater one, since a plus comes before a point and before every digit.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from archive.kernel.instants import Instant

_UNIT, _RECORD = "\x1f", "\x1e"
_ESCAPED: Final = re.compile(r"\\(.)")
_MEANT: Final = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Which:
    """Which objects: those with these ids, or those whose ids come after one, up to another."""

    keys: Sequence[str] = ()
    after: str | None = None
    until: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is read of some objects: expressions, where from, and the columns that hold ids, as `{0}`, `{1}` there."""

    columns: Sequence[str]
    source: str
    ids: Sequence[str]


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


def as_instant(text: str) -> Instant:
    """Return the moment that a text stands for."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def rfc_3339(text: str) -> str:
    """Return a moment as the log has it."""
    whole = text.removesuffix("+00")
    return f"{whole[:10]}T{whole[11:]}{'000000'[len(whole) - 20 :] if len(whole) > 19 else '.000000'}Z"


class Driver:
    """The driver's own connection of a transaction, on either database."""

    def __init__(self, tx: Session) -> None:
        """Take a transaction; what its session has to write is written first."""
        tx.flush()
        self._connection: Connection = tx.connection()
        self.is_sqlite = self._connection.dialect.name == "sqlite"
        self.texts = Texts() if self.is_sqlite else PostgresTexts()

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Run a query; return its rows. A mark for a value is `?`."""
        statement = statement if self.is_sqlite else statement.replace("?", "%s")
        result = self._connection.exec_driver_sql(statement, values)
        cursor: Any = result.cursor
        found: list[Any] = cursor.fetchall()
        result.close()
        return found

    def bulk(self, query: Query, which: Which) -> list[list[str]]:
        """Return what is read of some objects: every value as text, nothing as the empty text.

        All rows come as one text, which takes a fraction of the time; with SQLite they are put together in one step,
        in which other threads go on.
        """
        conditions = [self._condition(which, column) for column in query.ids]
        source = query.source.format(*(condition for condition, _ in conditions))
        values = tuple(value for _, some in conditions for value in some)
        if self.is_sqlite:
            named = ", ".join(f"{column} AS c{n}" for n, column in enumerate(query.columns))
            row = "||char(31)||".join(f"coalesce(c{n}, '')" for n in range(len(query.columns)))
            ((text,),) = self.rows(f"SELECT group_concat({row}, char(30)) FROM (SELECT {named} {source})", *values)  # noqa: S608
            return [line.split(_UNIT) for line in text.split(_RECORD)] if text else []
        return self._copied(f"SELECT {', '.join(query.columns)} {source}", values)

    def _copied(self, statement: str, values: tuple[str, ...]) -> list[list[str]]:
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
        raw: Any = self._connection.connection
        errors: Any = self._connection.dialect.loaded_dbapi.Error
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
                connection_invalidated=self._connection.dialect.is_disconnect(exc, raw.dbapi_connection, None),
                dialect=self._connection.dialect,
            ) from exc

    def _condition(self, which: Which, column: str) -> tuple[str, tuple[str, ...]]:
        if which.after is None:
            among = "IN (SELECT value FROM json_each(?))" if self.is_sqlite else "= ANY(%s::uuid[])"
            return f"{column} {among}", (self.listed(which.keys),)
        mark = "?" if self.is_sqlite else "%s::uuid"
        return f"{column} > {mark} AND {column} <= {mark}", (which.after, which.until)

    def write(self, statement: str, *values: Any) -> int:
        """Run one statement; return how many rows it has changed."""
        return self._connection.exec_driver_sql(statement, values).rowcount

    def write_all(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run a statement for each of the rows; return how many it has changed."""
        return self._connection.exec_driver_sql(statement, list(rows)).rowcount

    def write_named(self, statement: str, **values: Any) -> None:
        """Run one statement of SQLite whose values have names."""
        self._connection.exec_driver_sql(statement, values)

    def listed(self, ids: Iterable[str]) -> str:
        """Return ids as one value that a statement takes apart."""
        return json.dumps(list(ids)) if self.is_sqlite else "{" + ",".join(ids) + "}"

    def key(self, value: UUID) -> str:
        """Return the text of an id here."""
        return value.hex if self.is_sqlite else str(value)

    def dashed(self, key: str) -> str:
        """Return the canonical text of an id of here."""
        return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}" if self.is_sqlite else key


def _meant(match: re.Match[str]) -> str:
    """Return what COPY has escaped."""
    return _MEANT.get(match[1], match[1])
