"""Days, months and years as facets, so that a period is found without looking at every time.

They stand for UTC days and may hold more than a period asks for; the times themselves decide.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, timedelta
from typing import Final

from archive.kernel.instants import Instant

_FIRST: Final = date(1970, 1, 1)
_LAST: Final = date(2109, 12, 31)


def day_facets(at: Instant) -> tuple[str, str, str]:
    """Return year, month and day of an instant."""
    day = at.astimezone(UTC).date().isoformat()
    return day[:4], day[:7], day


def period_facets(since: Instant | None, until: Instant | None) -> list[str] | None:
    """Return the fewest years, months and days that hold every instant from `since` to before `until`.

    None where they could not hold it all: no bound, or years that nobody asks for.
    """
    if since is None and until is None:
        return None
    first = _FIRST if since is None else since.astimezone(UTC).date()
    last = _LAST if until is None else until.astimezone(UTC).date()
    if first < _FIRST or last > _LAST:
        return None
    return list(_cover(first, last))


def _cover(first: date, last: date) -> Iterator[str]:
    day = first
    while day <= last:
        if (day.month, day.day) == (1, 1) and date(day.year, 12, 31) <= last:
            yield f"{day.year:04d}"
            day = date(day.year + 1, 1, 1)
        elif day.day == 1 and (end := date(day.year, day.month, monthrange(day.year, day.month)[1])) <= last:
            yield f"{day.year:04d}-{day.month:02d}"
            day = end + timedelta(days=1)
        else:
            yield day.isoformat()
            day += timedelta(days=1)
