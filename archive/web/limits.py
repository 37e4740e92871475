"""How often one may ask for what costs much: people by their account, systems by their key, strangers by network.

Where an archive has one web process it is counted in memory: a restart forgives. Several processes draw on buckets in
the database (`archive.access.allowances`), so that together they give out what is promised and no more. Wrong passwords
and codes are counted in the database always (`archive.access.attempts`): those must outlive a restart.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fastapi import Depends, Request

from archive.access.allowances import Rate, draw
from archive.kernel.errors import LiuhenError
from archive.meters import meters
from archive.settings import Settings
from archive.web.dependencies import CallerDep, OriginDep
from archive.wiring import Services

_MOST_METERED: Final = 4096
_MINUTE_S: Final = 60
_PORTION_S: Final = 2.0
"""For how long a process gives out what it has drawn."""
_PORTIONS: Final = 20
"""How many portions a full bucket is at least."""


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


Draw = Callable[[str, Hashable, Rate, int], tuple[int, float]]
"""Takes up to so many out of the bucket of a meter and of whoever asks; returns how many, and what is left there."""


class Meter:
    """Counts requests by whoever asks: a bucket that fills evenly and holds ten seconds' worth, or what is said.

    With `draw` the buckets are shared with other processes, under the meter's `name`, which also tells whoever counts
    refusals. Usable from several threads.
    """

    def __init__(self, per_minute: int, *, holds_s: int = 10, name: str = "api", draw: Draw | None = None) -> None:
        """Let each make this many requests in a minute."""
        per_s = per_minute / _MINUTE_S
        self._rate = Rate(per_s, max(1.0, per_s * holds_s))
        self._name, self._draw = name, draw
        self._guard = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._portions: OrderedDict[Hashable, _Portion] = OrderedDict()

    def take(self, who: Hashable, *, now_s: float | None = None) -> None:
        """Count one request. Raises: TooManyRequests."""
        now = time.monotonic() if now_s is None else now_s
        if self._draw is not None:
            self._take_shared(self._draw, who, now)
            return
        with self._guard:
            left, at = self._buckets.pop(who, (self._rate.holds, now))
            left = min(self._rate.holds, left + (now - at) * self._rate.per_s)
            self._buckets[who] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > _MOST_METERED:
                self._buckets.popitem(last=False)
        if left < 1:
            raise self._refusal(left)

    def _take_shared(self, draw: Draw, who: Hashable, now: float) -> None:
        """Give one out of what this process has drawn, or draw: twice as much as before, if that was used up soon."""
        with self._guard:
            had = self._portions.pop(who, None)
            is_fresh = had is not None and now - had.drawn_at < _PORTION_S
            if had is not None and is_fresh and had.left:
                self._portions[who] = replace(had, left=had.left - 1)
                return
        wanted = min(had.size * 2, max(1, int(self._rate.holds / _PORTIONS))) if had is not None and is_fresh else 1
        drawn, left = draw(self._name, who, self._rate, wanted)
        if not drawn:
            raise self._refusal(left)
        with self._guard:
            self._portions[who] = _Portion(drawn, drawn - 1, now)
            if len(self._portions) > _MOST_METERED:
                self._portions.popitem(last=False)

    def _refusal(self, left: float) -> TooManyRequests:
        meters().limited.labels(self._name).inc()
        return TooManyRequests(retry_after_s=int((1 - left) / self._rate.per_s) + 1)


@dataclass(frozen=True, slots=True)
class _Portion:
    """What this process has drawn, what is left of it, and when it was."""

    size: int
    left: int
    drawn_at: float


class Limits:
    """The meters of one application. A minute's worth may be asked for at once."""

    def __init__(self, settings: Settings, draw: Draw | None = None) -> None:
        """Take what the settings say."""
        self.meters = {
            cost: Meter(getattr(settings, f"{cost.value}_per_minute"), holds_s=_MINUTE_S, name=cost.value, draw=draw)
            for cost in Cost
        }

    def take(self, cost: Cost, who: Hashable) -> None:
        """Count one request; may ask the database. Raises: TooManyRequests."""
        self.meters[cost].take(who)


def drawing(services: Services) -> Draw | None:
    """Return how meters draw on shared buckets; None where this process is the only one that answers."""
    if services.database.is_sqlite and services.settings.web_processes == 1:
        return None
    return lambda meter, who, rate, wanted: draw(
        services.database, meter, who, rate=rate, wanted=wanted, at=services.clock.now()
    )


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
