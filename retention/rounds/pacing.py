"""How fast rounds read: within the setting, a quarter of that while intake is behind; and evenly over a period."""

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final

from archive.kernel.instants import Instant

LEAST_WEIGHT_BYTES: Final = 64 * 1024
"""What reading an object costs at least, however small it is."""
_AHEAD: Final = 0.9
"""The even pace goes through everything in this part of a period, so that nothing is late for a busy week."""
_LOOK_S: Final = 1.0
_LEAST_SLEEP_S: Final = 0.02
_UNDER_PRESSURE: Final = 4
_UNLIMITED_UNDER_PRESSURE: Final = 32 << 20


class Throttle:
    """Keeps reading within a rate, for all threads of a process together. Units: bytes and seconds; 0 is no limit."""

    def __init__(
        self,
        bytes_per_s: int,
        *,
        is_pressed: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep to a rate; `is_pressed` tells whether intake is behind, and is asked once a second at most."""
        self._rate, self._is_pressed, self._monotonic, self._sleep = bytes_per_s, is_pressed, monotonic, sleep
        self._guard = threading.Lock()
        self._free_at = self._looked_at = -float("inf")
        self._pressed = False

    @property
    def is_pressed(self) -> bool:
        """Whether intake was behind when it was looked at last."""
        with self._guard:
            return self._look(self._monotonic())

    def take(self, size_bytes: int) -> None:
        """Wait until these bytes are within the rate."""
        with self._guard:
            now = self._monotonic()
            rate = self._rate_now(now)
            if not rate:
                return
            wait_s = self._free_at - now
            self._free_at = max(self._free_at, now) + size_bytes / rate
        if wait_s > _LEAST_SLEEP_S:
            self._sleep(wait_s)

    def paced(self, source: BinaryIO) -> BinaryIO:
        """Return a source that is read within the rate."""
        return io.BufferedReader(_Paced(source, self), buffer_size=1)

    def _rate_now(self, now: float) -> int:
        if not self._look(now):
            return self._rate
        return self._rate // _UNDER_PRESSURE or _UNLIMITED_UNDER_PRESSURE

    def _look(self, now: float) -> bool:
        if now - self._looked_at >= _LOOK_S:
            self._pressed, self._looked_at = self._is_pressed(), now
        return self._pressed


class _Paced(io.RawIOBase):
    def __init__(self, source: BinaryIO, throttle: Throttle) -> None:
        super().__init__()
        self._source, self._throttle = source, throttle

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]
        self._throttle.take(count)
        return count


@dataclass(frozen=True, slots=True)
class Credit:
    """What may be read by the even pace as of a moment. Units: bytes, less than nothing where more was read."""

    size_bytes: int
    at: Instant

    def at_moment(self, now: Instant, *, whole_bytes: int, period: timedelta) -> "Credit":
        """Return the credit of a later moment: it grows so that `whole_bytes` are read within nine tenths of a period.

        What was not read while nothing ran is made up for within a day's worth: what is late by then is read anyway.
        """
        per_us = whole_bytes / max(_AHEAD * (period / timedelta(microseconds=1)), 1.0)
        grown = self.size_bytes + int(max(now - self.at, timedelta(0)) / timedelta(microseconds=1) * per_us)
        most = int(timedelta(days=1) / timedelta(microseconds=1) * per_us)
        return Credit(min(grown, max(most, 0)), max(now, self.at))

    def spent(self, weight_bytes: int) -> "Credit":
        """Return what is left after something was read."""
        return Credit(self.size_bytes - weight_bytes, self.at)


def weight(size_bytes: int) -> int:
    """Return what reading an object of this size costs. Units: bytes."""
    return max(size_bytes, LEAST_WEIGHT_BYTES)
