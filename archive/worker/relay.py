"""The relay: tells workers through a broker of the jobs that are due, and again where that came to nothing.

Several may run; whoever holds the lock works. What it sends may be lost or doubled without harm.
Source: docs/adr/0026.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from archive.db.database import Database
from archive.db.process_lock import ProcessLock
from archive.jobs.listings import queue_standings, stuck_queues
from archive.jobs.ringing import Ring, next_rings, rings_again, stale_counts, take_back
from archive.ports.bell import Bell, BellAway
from archive.ports.clock import Clock

_LOOK_S: Final = 0.1
_WATCH_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 5.0
_log = structlog.get_logger("liuhen.relay")


class Relay:
    """Rings for every job that is due, until it is told to stop.

    Units: after `again_s` a job that nobody has taken may be rung again; after `alarm_s` it is told in the log.
    """

    def __init__(
        self,
        database: Database,
        bell: Bell,
        clock: Clock,
        *,
        lock: ProcessLock,
        again_s: float,
        alarm_s: float,
    ) -> None:
        """Take the bell, and the lock that makes it the only one."""
        self._database = database
        self._bell = bell
        self._clock = clock
        self._lock = lock
        self._again_s = again_s
        self._alarm_s = alarm_s
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ring no more."""
        self._stopping.set()

    def run(self) -> None:
        """Stand by for the lock, then ring until stopped.

        Raises: Unavailable when the lock or the database was lost: the process ends, and another one takes over.
        """
        if not self._lock.wait(pause=lambda: not self._stopping.wait(_LOOK_S * 5)):
            return
        _log.info("relaying")
        checks = [
            _Every(self._again_s / 2, self.ring_stale),
            _Every(_WATCH_S, self.tell_stuck),
            _Every(1.0, self._lock.require_held),
        ]
        failures = 0
        while not self._stopping.wait(_LOOK_S if not failures else min(2.0**failures / 4, _LONGEST_PAUSE_S)):
            try:
                self.ring_new()
                for check in checks:
                    check.when_due()
            except BellAway as error:
                if not failures:
                    _log.warning("broker_away", cause=error.facts.get("cause"))
                failures = min(failures + 1, 8)
            else:
                if failures:
                    _log.info("broker_back")
                failures = 0
        self._lock.release()

    def ring_new(self) -> int:
        """Ring for due jobs that nobody was told of; return for how many. Raises: BellAway, Unavailable."""
        at = self._clock.now()
        rings = next_rings(self._database, at=at)
        self._send(rings)
        return len(rings)

    def ring_stale(self) -> int:
        """Ring again for jobs whose rings were lost; return for how many. Raises: BellAway, Unavailable.

        A ring that still waits at the broker is not lost: its workers are busy. So no more is rung than is missing
        there, and a broker never fills with copies.
        """
        at, count = self._clock.now(), 0
        for queue, stale in stale_counts(self._database, at=at, after_s=self._again_s).items():
            missing = stale - self._bell.unheard(queue)
            if missing > 0:
                rings = rings_again(self._database, queue, missing, at=at, after_s=self._again_s)
                self._send(rings)
                count += len(rings)
        if count:
            _log.warning("rung_again", jobs=count)
        return count

    def tell_stuck(self) -> None:
        """Tell in the log which queues nobody works on, or that somebody waits for too long. Raises: Unavailable."""
        at = self._clock.now()
        with self._database.read() as tx:
            standings = queue_standings(tx, at=at)
        for queue, age_s in stuck_queues(standings, at=at, after_s=self._alarm_s).items():
            _log.error("queue_stuck", queue=queue, oldest_s=round(age_s), due=standings[queue].due)

    def _send(self, rings: Sequence[Ring]) -> None:
        for number, ring in enumerate(rings):
            try:
                self._bell.ring(ring.queue, ring.job_id)
            except BellAway:
                take_back(self._database, rings[number:])
                raise


class _Every:
    """Does something now and then."""

    def __init__(self, pause_s: float, what: Callable[[], object]) -> None:
        self._pause_s, self._what = pause_s, what
        self._next = time.monotonic()

    def when_due(self) -> None:
        if time.monotonic() >= self._next:
            self._what()
            self._next = time.monotonic() + self._pause_s
