"""How often one may ask for what costs much: people by their account, systems by their key, strangers by network.

Counted in memory, by the one web process that an archive has: a restart forgives, and a row for each request would cost
more than most of the requests do. Wrong passwords and codes are counted in the database (`archive.access.attempts`):
those must outlive a restart.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from enum import StrEnum
from typing import Any, Final

from fastapi import Depends, Request

from archive.kernel.errors import LiuhenError
from archive.meters import meters
from archive.settings import Settings
from archive.web.dependencies import CallerDep, OriginDep

_MOST_METERED: Final = 4096
_MINUTE_S: Final = 60


class TooManyRequests(LiuhenError):
    """Too many requests; slow down."""

    code = "access.too_many_requests"
    exit_code = 75
    retryable = True


class Cost(StrEnum):
    """What is limited, each by a setting `..._per_minute`."""

    SEARCHES = "searches"
    """Questions to the search index and to the numbers of subjects."""
    HEAVY = "heavy"
    """Lists, packages, copies of originals, and checks of whole files."""
    UPLOADS = "uploads"
    """Uploads that are begun."""
    STRANGERS = "strangers"
    """What a door does for somebody whom it does not know yet: codes, keys, passwords, proofs."""


class Meter:
    """Counts requests by whoever asks: a bucket that fills evenly and holds ten seconds' worth, or what is said."""

    def __init__(self, per_minute: int, *, name: str = "api", holds_s: int = 10) -> None:
        """Let each make this many requests in a minute; the name is for whoever counts refusals."""
        self._name = name
        self._per_s = per_minute / _MINUTE_S
        self._holds = max(1.0, self._per_s * holds_s)
        self._guard = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, who: Hashable, *, now_s: float | None = None) -> None:
        """Count one request. Raises: TooManyRequests."""
        now = time.monotonic() if now_s is None else now_s
        with self._guard:
            left, at = self._buckets.pop(who, (self._holds, now))
            left = min(self._holds, left + (now - at) * self._per_s)
            self._buckets[who] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > _MOST_METERED:
                self._buckets.popitem(last=False)
        if left < 1:
            meters().limited.labels(self._name).inc()
            raise TooManyRequests(retry_after_s=int((1 - left) / self._per_s) + 1)


class Limits:
    """The meters of one application. A minute's worth may be asked for at once."""

    def __init__(self, settings: Settings) -> None:
        """Take what the settings say."""
        self.meters = {
            cost: Meter(getattr(settings, f"{cost.value}_per_minute"), name=cost.value, holds_s=_MINUTE_S)
            for cost in Cost
        }

    def take(self, cost: Cost, who: Hashable) -> None:
        """Count one request. Raises: TooManyRequests."""
        self.meters[cost].take(who)


def limits_of(request: Request) -> Limits:
    """Return the limits of this application."""
    found: Limits = request.app.state.limits
    return found


def by_account(cost: Cost) -> Any:
    """Return what a page depends on that costs its caller something. Raises: TooManyRequests."""

    def counted(request: Request, caller: CallerDep) -> None:
        limits_of(request).take(cost, caller.account_id)

    return Depends(counted)


def by_network(request: Request, origin: OriginDep) -> None:
    """Count a request of somebody whom nobody knows yet. Raises: TooManyRequests."""
    limits_of(request).take(Cost.STRANGERS, origin.network)


BY_NETWORK: Final[Any] = Depends(by_network)
