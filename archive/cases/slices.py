"""Lists in slices: rows in time order, or what holds words, and a cursor that names the last row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Session

from archive.db import sight
from archive.db.sight import microseconds, moment
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.search.documents import Depth
from archive.search.queries import Filters, found_ids

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """Rows of a list and the cursor of the next ones, None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None


def sliced(rows: Sequence[Row], limit: int, cursor_of: Callable[[Row], str]) -> Slice[Row]:
    """Return the first `limit` of the rows; one more of them says that the list goes on."""
    kept = rows[:limit]
    return Slice(kept, cursor_of(kept[-1]) if len(rows) > limit else None)


def cursor_of(listing: str, at: Instant, row_id: UUID) -> str:
    """Return the cursor of what comes after a row of a list."""
    return f"{listing}~{format_instant(at)}~{row_id}"


def before(at_column: Any, id_column: Any, cursor: str, listing: str) -> ColumnElement[bool]:
    """Return the condition of what comes after a cursor, newest first. Raises: InvalidInput for another list's."""
    at, row_id = _read(cursor, listing)
    # The first part says nothing that the second does not; it lets SQLite begin in its index where the cursor stands.
    return and_(at_column <= at, or_(at_column < at, id_column < row_id))


def _read(cursor: str, listing: str) -> tuple[Instant, UUID]:
    parts = cursor.split("~")
    if len(parts) != 3 or parts[0] != listing:
        raise InvalidInput("The cursor does not belong to this list")
    return parse_instant(parts[1]), parse_uuid(parts[2])


def place_before(cursor: str | None, listing: str) -> tuple[int, UUID] | None:
    """Return the place in `reach` after which a list goes on. Raises: InvalidInput for another list's cursor."""
    if cursor is None:
        return None
    at, row_id = _read(cursor, listing)
    return microseconds(at), row_id


def newest_seen(
    tx: Session,
    kind: str,
    rows_of: Callable[[Sequence[UUID]], Sequence[Row]],
    *,
    listing: str,
    cursor: str | None,
    limit: int,
    narrowed: Callable[[Any], Any] = lambda query: query,
) -> Slice[Row]:
    """Return the rows of what a bound transaction sees of a kind, newest first. Raises: InvalidInput."""
    found = sight.newest_seen(tx, kind, before=place_before(cursor, listing), limit=limit + 1, narrowed=narrowed)
    kept = found[:limit]
    more = cursor_of(listing, moment(kept[-1][0]), kept[-1][1]) if len(found) > limit else None
    return Slice(rows_of([ref_id for _, ref_id in kept]), more)


def looked_up(
    tx: Session,
    words: str,
    filters: Filters,
    rows_of: Callable[[Sequence[UUID]], Sequence[Row]],
    *,
    cursor: str | None,
    limit: int,
) -> Slice[Row]:
    """Return the rows of what holds words, in the order of the index. Raises: InvalidInput for another cursor."""
    ids, next_cursor = found_ids(tx, words, filters=filters, depth=Depth.CATALOGUE, cursor=cursor, limit=limit)
    return Slice(rows_of(ids), next_cursor)
