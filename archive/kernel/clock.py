"""The one place that reads the wall clock."""

from datetime import UTC, datetime

from archive.kernel.instants import Instant


class SystemClock:
    """The machine's clock, in UTC. Satisfies `archive.ports.Clock`."""

    def now(self) -> Instant:
        """Return the current instant."""
        return datetime.now(UTC)
