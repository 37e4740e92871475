"""What time it is at the database server, between two answers of it by a clock that nobody sets.

All hosts of an archive share the server, so leases, due times and instants in entries are of one clock, and setting the
clock of a host changes none of them. Source: docs/adr/0031.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from archive.kernel.instants import Instant

_GOOD_FOR_S: Final = 10.0
_MOST_ON_THE_WAY_S: Final = 0.5
"""An answer that took longer says little of now; the first one is taken all the same."""
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""


class ServerTime:
    """The server's clock as it was last heard. For several threads."""

    def __init__(self) -> None:
        """Begin without having heard anything."""
        self._heard: tuple[datetime, float] | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the server should be asked again."""
        heard = self._heard
        return heard is None or _steady_s() - heard[1] > _GOOD_FOR_S

    def asking(self) -> float:
        """Return what `hear` wants to know of the moment of the question."""
        return _steady_s()

    def hear(self, said: datetime, *, asked_s: float) -> None:
        """Take the server's answer: what its clock showed between the question and now."""
        now_s = _steady_s()
        if self._heard is None or now_s - asked_s <= _MOST_ON_THE_WAY_S:
            self._heard = said + timedelta(seconds=(now_s - asked_s) / 2), now_s

    def now(self) -> Instant | None:
        """Return what the server's clock shows now; None while nothing was heard."""
        heard = self._heard
        return None if heard is None else heard[0] + timedelta(seconds=_steady_s() - heard[1])


def _steady_s() -> float:
    return time.clock_gettime(_STEADY)
