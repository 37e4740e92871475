"""Asking what may hang: in a thread of its own, for no longer than said, and not again while the answer is fresh."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from typing import Generic, TypeVar

Told = TypeVar("Told")


class Asked(Generic[Told]):
    """One question. Units: seconds for which an answer is kept, and that one who asks waits at most."""

    def __init__(self, ask: Callable[[], Told], *, kept_s: float, wait_s: float) -> None:
        """Prepare; nothing is asked yet."""
        self._ask, self._kept_s, self._wait_s = ask, kept_s, wait_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asked")
        self._guard = threading.Lock()
        self._running: Future[Told] | None = None
        self._answer: tuple[float, Told] | None = None

    def told(self) -> Told | None:
        """Return what was told, None when it takes too long: then it goes on, and the next to ask takes its answer.

        Raises: what the asking raises.
        """
        with self._guard:
            if self._answer is not None and time.monotonic() - self._answer[0] < self._kept_s:
                return self._answer[1]
            if self._running is None:
                self._running = self._thread.submit(self._ask)
            try:
                told = self._running.result(timeout=self._wait_s)
            except TooSlow:
                if not self._running.done():
                    return None
                self._running = None
                raise
            except BaseException:
                self._running = None
                raise
            self._running, self._answer = None, (time.monotonic(), told)
            return told
