"""Instants: aware UTC datetimes, and their one text form."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from archive.kernel.errors import InvalidInput

_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

BUREAU_ZONE: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""The zone of the bureau's days and clocks; China has one, without summer time."""
Instant = datetime
"""An aware datetime in UTC. Naive datetimes are refused at every door."""


def format_instant(at: Instant) -> str:
    """Render as RFC 3339 in UTC with microseconds and `Z`, the form that the log uses.

    Raises: InvalidInput for a naive datetime.
    """
    if at.tzinfo is None:
        raise InvalidInput("An instant needs a time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_instant(text: str) -> Instant:
    """Parse RFC 3339 with any offset into UTC; digits beyond microseconds are dropped.

    Raises: InvalidInput for other forms (also those of ISO 8601), for times without offset, and beyond years 1 to 9999.
    """
    try:
        if not _RFC_3339.fullmatch(text):
            raise InvalidInput("Not an RFC 3339 time with its offset from UTC", given=text[:40])
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as exc:
        raise InvalidInput("Not a time that exists", given=str(text)[:40]) from exc
