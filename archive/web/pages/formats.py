"""How values read on a page: times in the bureau's zone, sizes, durations. Pure."""

from datetime import UTC, datetime
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import BUREAU_ZONE, Instant

# All of China has kept one offset since 1991, so no time zone database is needed.
_SIZE_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def local_minute(at: Instant) -> str:
    """Return date, hour and minute in the bureau's zone."""
    return at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d %H:%M")


def local_second(at: Instant) -> str:
    """Return date and time to the second in the bureau's zone."""
    return at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def local_day(at: Instant) -> str:
    """Return the date in the bureau's zone."""
    return at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d")


def local_clock(at: Instant) -> str:
    """Return hour and minute in the bureau's zone."""
    return at.astimezone(BUREAU_ZONE).strftime("%H:%M")


def local_input(at: Instant) -> str:
    """Return the instant as a `datetime-local` field holds it, in the bureau's zone."""
    return at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def utc_text(at: Instant) -> str:
    """Return the instant in UTC, to the millisecond, for people."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d} UTC"


def machine_text(at: Instant) -> str:
    """Return the instant as the `datetime` attribute of a `time` element wants it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_local(text: str) -> Instant:
    """Parse what a `datetime-local` field sends, meant in the bureau's zone. Raises: InvalidInput."""
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is not None:
            raise InvalidInput("A local time carries no offset")
        return value.replace(tzinfo=BUREAU_ZONE).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("Not a local time") from exc


def duration(milliseconds: int) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    seconds = max(0, round(milliseconds / 1000))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"


def size(size_bytes: int) -> str:
    """Return a size with three digits and a decimal unit."""
    value, unit = float(size_bytes), 0
    while value >= 999.5 and unit < len(_SIZE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{size_bytes} B"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {_SIZE_UNITS[unit]}"


def seconds(milliseconds: int) -> str:
    """Return an amount of milliseconds as seconds, without its sign."""
    value = abs(milliseconds) / 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
