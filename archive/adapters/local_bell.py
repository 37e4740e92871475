"""The bell within one process: whoever looks into the database rings, and threads of the same process hear it."""

import threading
from collections import defaultdict

from archive.kernel.ids import JobId


class LocalBell:
    """One event for each queue: it does not count, since whoever hears it works until nothing is due."""

    def __init__(self) -> None:
        """Begin with silence."""
        self._events: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def ring(self, queue: str, job_id: JobId | None = None) -> None:
        """Wake whoever waits for the queue."""
        del job_id
        self._events[queue].set()

    def unheard(self, queue: str) -> int:
        """Return 1 when it was rung and nobody has heard it, else 0."""
        return int(self._events[queue].is_set())

    def heard_as(self, queue: str) -> threading.Event:
        """Return what is set when the queue is rung."""
        return self._events[queue]
