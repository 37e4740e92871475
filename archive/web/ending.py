"""How a web process ends: first it says that it is not ready, then it takes nothing new, then it is gone."""

import threading
from collections.abc import Callable

from ingest.errors import HeldBack


class ServiceEnding(HeldBack):
    """This process of the archive ends; another one takes the rest. What arrived is kept."""

    code = "service.ending"
    reason = "ending"


class Ending:
    """Whether this process is about to end. Set from a signal's handler, so it takes no lock that others hold."""

    def __init__(self) -> None:
        """Begin as one that goes on."""
        self.is_asked = False
        """Whether it was told to end: it is not ready any more."""
        self.is_under_way = False
        """Whether uploads are to stop where they are."""

    def begin(self, stop: Callable[[], None], *, after_s: float) -> None:
        """Be not ready from now on, and stop after so many seconds; a second call stops at once."""

        def end() -> None:
            self.is_under_way = True
            stop()

        if self.is_asked or after_s <= 0:
            self.is_asked = True
            end()
            return
        self.is_asked = True
        timer = threading.Timer(after_s, end)
        timer.daemon = True
        timer.start()

    def require_going_on(self) -> None:
        """Raise ServiceEnding when what is under way must stop now."""
        if self.is_under_way:
            raise ServiceEnding(retry_after_s=1)
