"""The port to what tries whether the store's locks hold."""

from typing import Protocol

from archive.kernel.findings import Report
from archive.kernel.instants import Instant


class WormTrial(Protocol):
    """Tries everything that could take away what is locked."""

    @property
    def place(self) -> str:
        """The name of the store that is tried, with its server."""
        ...

    def run(self, *, at: Instant) -> Report:
        """Return what was tried and what came of it. Valid as a whole means: nobody can, also not with our own key."""
        ...
