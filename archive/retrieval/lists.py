"""Taking a list away: what a search finds, row by row, on record before the first row."""

from collections.abc import Iterator, Mapping
from typing import Final

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.custody.accesses import record_access
from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType, NewEntry
from archive.search.documents import Depth
from archive.search.queries import Filters, Hit, search

MOST_ROWS: Final = 100_000
_PAGE: Final = 500


def export_list(
    database: Database,
    words: str,
    *,
    filters: Filters,
    depth: Depth,
    told: Mapping[str, str],
    form: str,
    by: Caller,
    at: Instant,
) -> Iterator[Hit]:
    """Return what a search finds, up to 100,000 rows, to be taken away in `form`.

    Guarantees: on return the log entry is committed that says who took what list away; `told` is the search in words,
        which the entry commits to without showing it.
    Raises: Forbidden.
    """
    require(by.roles, Capability.EXPORT_CONTENT)
    with database.begin() as tx:
        detail = {"query": words, "filters": dict(told), "depth": depth.value, "form": form}
        record_access(tx, NewEntry(EntryType.ACCESS_LIST_EXPORTED, by.actor, detail=detail), at=at)
    return _rows(database, words, filters, depth)


def _rows(database: Database, words: str, filters: Filters, depth: Depth) -> Iterator[Hit]:
    """Yield rows page by page: who is slow to take them holds no transaction open."""
    cursor: str | None = None
    for _ in range(MOST_ROWS // _PAGE):
        with database.read() as tx:
            page = search(tx, words, filters=filters, depth=depth, cursor=cursor, limit=_PAGE)
        yield from page.hits
        cursor = page.next_cursor
        if cursor is None:
            return
