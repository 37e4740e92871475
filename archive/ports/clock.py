"""The port to the wall clock."""

from typing import Protocol

from archive.kernel.instants import Instant


class Clock(Protocol):
    """Tells the time. Tests give one that stands still."""

    def now(self) -> Instant:
        """Return the current instant, aware, in UTC."""
        ...
