"""The declarative base and the column types that mean the same on SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Insert, Integer, MetaData, insert
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from archive.kernel.errors import InvalidInput


class Base(DeclarativeBase):
    """Base of every table. Constraint names are fixed, so that both databases migrate alike."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def insert_row(tx: Session, into: type[Base], /, **values: Any) -> None:
    """Insert a row in the caller's transaction, past the mapper: that takes several times as long as the database."""
    insert_rows(tx, into, [values])


def insert_rows(tx: Session, into: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows as `insert_row` does; keys are columns of the table. Nothing happens without any."""
    if rows:
        tx.flush()
        tx.connection().execute(_insert_into(into.__tablename__), rows)


@cache
def _insert_into(table: str) -> Insert:
    return insert(Base.metadata.tables[table])


class NaiveInstant(InvalidInput, DontWrapMixin):
    """An instant needs a time zone."""


class Moment(TypeDecorator[datetime]):
    """An aware UTC instant; naive values are refused. SQLite keeps it without offset, PostgreSQL as timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC on the way in. Raises: NaiveInstant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise NaiveInstant  # SQLAlchemy wraps whatever else is raised here
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware UTC on the way out."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite gives 64-bit keys only to columns declared INTEGER.
BigInt = BigInteger().with_variant(Integer, "sqlite")
