"""How long a dock tries again: pauses that grow, with chance in them, until nothing has moved for too long."""

import random
import threading
import time
from typing import Final

from archive.kernel.errors import LiuhenError
from ingest.agent.errors import Refused, Stopped

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 15.0


class Patience:
    """Waits between tries. Units: seconds; `wait_s` counts from the first failure after the last progress."""

    def __init__(self, wait_s: float, *, stopping: threading.Event) -> None:
        """Start with all patience."""
        self._wait_s = wait_s
        self._stopping = stopping
        self._tries = 0
        self._since: float | None = None

    def progressed(self) -> None:
        """Something moved: start counting anew."""
        self._tries, self._since = 0, None

    def pause(self, failure: LiuhenError) -> None:
        """Wait before the next try.

        Raises: the failure itself when the time is over; Stopped when the push is to end.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        left_s = self._since + self._wait_s - now
        if left_s <= 0:
            raise failure
        asked_s = failure.retry_after_s or 0.0 if isinstance(failure, Refused) else 0.0
        growing_s = min(_FIRST_PAUSE_S * 2**self._tries, _LONGEST_PAUSE_S)
        self._tries = min(self._tries + 1, 16)
        # Chance spreads many docks that lost the same server at the same moment.
        pause_s = max(growing_s, asked_s) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        if self._stopping.wait(min(pause_s, left_s)):
            raise Stopped from failure
