"""Work that shares what there is, in time that jumps from one end of a piece of work to the next.

Each piece gets a share of the resource that it needs most by its weight, and no more than it can use.

Source: dominant resource fairness (Ghodsi et al., NSDI 2011, sections 4 and 4.3), with a most for each piece of work.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Then = Callable[[], None]
_NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work. Units: `most` units of it a second for each piece; `uses` of each resource for a unit.

    `weight` is what a piece gets where one of weight 1 gets 1.
    """

    name: str
    most: float
    uses: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(slots=True)
class _Pool:
    """All pieces of one kind that are being worked on. They go on equally fast, so one figure tells how far."""

    work: Work
    done: float = 0.0
    speed: float = 0.0
    ends: list[tuple[float, int, Then]] = field(default_factory=list)

    def next_end_s(self) -> float:
        if not self.ends:
            return math.inf
        left = self.ends[0][0] - self.done
        return 0.0 if left <= _NOTHING else left / self.speed if self.speed > 0 else math.inf


class Shares:
    """Resources with their capacities, and the work that shares them. Units: seconds since the start."""

    def __init__(self, capacities: Mapping[str, float]) -> None:
        """Take the capacities by name, in units a second; all positive."""
        self.capacities = dict(capacities)
        self.now_s = 0.0
        self.full_s = dict.fromkeys(capacities, 0.0)
        """For how long each resource was used up."""
        self.used = dict.fromkeys(capacities, 0.0)
        """How much of each resource was used, in its units."""
        self._pools: dict[str, _Pool] = {}
        self._timers: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()
        self._is_stale = False

    def start(self, work: Work, amount: float, then: Then) -> None:
        """Start a piece of work; `then` is called at its end. Works of one name are of one kind."""
        pool = self._pools.setdefault(work.name, _Pool(work))
        heapq.heappush(pool.ends, (pool.done + amount, next(self._numbers), then))
        self._is_stale = True

    def after(self, pause_s: float, then: Then) -> None:
        """Call `then` when so many seconds are over."""
        heapq.heappush(self._timers, (self.now_s + pause_s, next(self._numbers), then))

    def count(self, name: str) -> int:
        """Return how many pieces of a kind are being worked on."""
        pool = self._pools.get(name)
        return 0 if pool is None else len(pool.ends)

    def run(self, look: Then = lambda: None) -> None:
        """Go on until nothing is left to do; `look` is called whenever time has passed."""
        while True:
            if self._is_stale:
                self._share()
            ahead_s = min((pool.next_end_s() for pool in self._pools.values()), default=math.inf)
            if self._timers:
                ahead_s = min(ahead_s, self._timers[0][0] - self.now_s)
            if ahead_s == math.inf:
                return
            self._pass(max(ahead_s, 0.0))
            look()
            self._end_what_is_done()

    def _pass(self, ahead_s: float) -> None:
        self.now_s += ahead_s
        load = dict.fromkeys(self.capacities, 0.0)
        for pool in self._pools.values():
            pool.done += pool.speed * ahead_s
            for name, amount in pool.work.uses.items():
                load[name] += len(pool.ends) * pool.speed * amount
        for name, capacity in self.capacities.items():
            self.used[name] += load[name] * ahead_s
            self.full_s[name] += ahead_s if load[name] >= 0.999 * capacity else 0.0

    def _end_what_is_done(self) -> None:
        ended: list[tuple[int, Then]] = []
        while self._timers and self._timers[0][0] <= self.now_s + _NOTHING:
            _, number, then = heapq.heappop(self._timers)
            ended.append((number, then))
        for pool in self._pools.values():
            while pool.ends and pool.next_end_s() <= _NOTHING:
                _, number, then = heapq.heappop(pool.ends)
                ended.append((number, then))
                self._is_stale = True
            if not pool.ends:
                pool.done = 0.0  # so that figures stay small and exact
        for _, then in sorted(ended, key=lambda each: each[0]):
            then()

    def _share(self) -> None:
        """Raise the share of everybody evenly; who has enough or meets a resource that is used up stays there."""
        self._is_stale = False
        left = dict(self.capacities)
        growing = [pool for pool in self._pools.values() if pool.ends]
        while growing:
            level, full = min(((self._level(growing, name, left[name]), name) for name in left), default=(math.inf, ""))
            fixed = [pool for pool in growing if pool.work.uses.get(full) or self._enough(pool) <= level]
            if level == math.inf:
                fixed = growing
            for pool in fixed:
                pool.speed = self._speed(pool, level)
                for name, amount in pool.work.uses.items():
                    left[name] = max(0.0, left[name] - len(pool.ends) * pool.speed * amount)
            growing = [pool for pool in growing if pool not in fixed]

    def _part(self, pool: _Pool) -> float:
        """Return which share of its scarcest resource a unit a second takes, by its weight."""
        part = max((amount / self.capacities[name] for name, amount in pool.work.uses.items()), default=0.0)
        return part / pool.work.weight

    def _enough(self, pool: _Pool) -> float:
        return pool.work.most * self._part(pool)

    def _speed(self, pool: _Pool, level: float) -> float:
        part = self._part(pool)
        return min(pool.work.most, level / part) if part > 0 else pool.work.most

    def _level(self, growing: list[_Pool], name: str, left: float) -> float:
        """Return the share at which this resource is used up; infinity when everybody has enough before."""
        users = [pool for pool in growing if pool.work.uses.get(name)]
        users.sort(key=self._enough)
        for number, pool in enumerate(users):
            slope = sum(len(each.ends) * each.work.uses[name] / self._part(each) for each in users[number:])
            if left < slope * self._enough(pool):
                return left / slope
            left -= len(pool.ends) * pool.work.most * pool.work.uses[name]
        return math.inf


@dataclass(slots=True)
class Line:
    """A queue before so many workers, first come first served; None is as many as come."""

    shares: Shares
    workers: int | None
    waiting: deque[tuple[Work, float, Then]] = field(default_factory=deque)
    busy: int = 0
    _full_s: float = 0.0
    _since_s: float = 0.0

    def put(self, work: Work, amount: float, then: Then) -> None:
        """Have a piece of work done when a worker is free."""
        self.waiting.append((work, amount, then))
        self._go_on()

    @property
    def length(self) -> int:
        """How many pieces wait or are being worked on."""
        return len(self.waiting) + self.busy

    def full_s(self, now_s: float) -> float:
        """Return for how long all workers were busy. Units: seconds."""
        return self._full_s + (now_s - self._since_s if self.busy == self.workers else 0.0)

    def _go_on(self) -> None:
        while self.waiting and (self.workers is None or self.busy < self.workers):
            work, amount, then = self.waiting.popleft()
            self._count(1)
            self.shares.start(work, amount, lambda then=then: self._ended(then))  # type: ignore[misc]

    def _ended(self, then: Then) -> None:
        self._count(-1)
        then()
        self._go_on()

    def _count(self, more: int) -> None:
        self._full_s = self.full_s(self.shares.now_s)
        self._since_s = self.shares.now_s
        self.busy += more
