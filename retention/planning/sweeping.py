"""Looking at every object once more, after a schedule came into force: a million in seconds, and in batches all the same.

While one batch is written, the next is decided and the one after it read, each in its own thread and transaction: the
database does its part past Python's lock. What was read may be changed before it is written. The database is then not
what was read, and such a batch is planned in one transaction; what changed after it was planned stands in the log, which
is looked at later. How far the sweep is goes down with each batch: it goes on where it broke off.
"""

import gc
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from archive.ledger.entries import ARCHIVE
from retention.planning.deciding import Decider
from retention.planning.driver import Driver, Which
from retention.planning.planner import BATCH, InForce, RetentionPlanner, named, taken
from retention.planning.readings import Reading, read
from retention.planning.writing import Batch, Kept, PlannedMeanwhile, decided, present_plans, write_batch

_NEXT: Final = "SELECT id FROM preserved_object WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
_TRIES: Final = 5
_LAST: Final = "SELECT max(id) FROM preserved_object"
_LAST_POSTGRES: Final = "SELECT id FROM preserved_object ORDER BY id DESC LIMIT 1"


class _Read(NamedTuple):
    """What was read of the objects of a range; `is_last`: nothing comes after it."""

    which: Which
    reading: Reading
    present: dict[str, Kept]
    is_last: bool


@dataclass(slots=True)
class Sweep:
    """One sweep by the schedule that is in force as it begins."""

    planner: RetentionPlanner
    batch: int = BATCH
    _name: str = field(default="", init=False)

    def run(self, most: int | None = None) -> int:
        """Plan up to `most` batches of objects that were not planned by the schedule in force; return how many objects.

        0 means that all were. Raises: what the database raises; what was planned before that stays.
        """
        with self.planner.database.begin() as tx:
            state, in_force = taken(tx), self.planner.in_force(tx)
            self._name = named(in_force)
            if state.swept == self._name:
                return 0
            if state.sweeping != self._name:
                state.sweeping, state.swept_to = self._name, None
            after = state.swept_to or UUID(int=0)
            driver = Driver(tx)
            first, decider = driver.key(after), Decider(in_force.rules, driver.texts)
            schedule_id = None if in_force.schedule_id is None else driver.key(in_force.schedule_id)
        with _undisturbed(), ThreadPoolExecutor(1, "reads") as reads, ThreadPoolExecutor(1, "writes") as writes:
            return self._run(reads, writes, first, decider, schedule_id, in_force, most)

    def _run(
        self,
        reads: ThreadPoolExecutor,
        writes: ThreadPoolExecutor,
        after: str,
        decider: Decider,
        schedule_id: str | None,
        in_force: InForce,
        most: int | None,
    ) -> int:
        count = done = 0
        ahead: Future[_Read] = reads.submit(self._read, after)
        written: Future[int] | None = None
        while True:
            found = ahead.result()
            done += 1
            is_end = found.is_last or done == most
            if not is_end:
                ahead = reads.submit(self._read, found.which.until)
            batch = decided(decider, found.reading, found.present, schedule_id)
            if written is not None:
                if not (wrote := written.result()):
                    return count
                count += wrote
            written = writes.submit(self._write, found, batch, in_force)
            if is_end:
                return count + written.result()

    def _read(self, after: str) -> _Read:
        with self.planner.database.read() as tx:
            driver = Driver(tx)
            bound = driver.rows(_NEXT, after, self.batch - 1)
            last = bound or driver.rows(_LAST if driver.is_sqlite else _LAST_POSTGRES)
            until = str(last[0][0] or after) if last else after
            which = Which(after=after, until=max(until, after))
            present = dict(present_plans(driver, which))
            return _Read(which, read(driver, which), present, is_last=not bound)

    def _write(self, found: _Read, batch: Batch | None, in_force: InForce) -> int:
        """Write a batch, with how far the sweep is; return of how many objects, 0 where another schedule is in force."""
        for left in reversed(range(_TRIES)):
            try:
                return self._write_once(found, batch, in_force)
            except PlannedMeanwhile:
                if not left:
                    raise
                batch = None  # planned anew, in one transaction
        raise AssertionError

    def _write_once(self, found: _Read, batch: Batch | None, in_force: InForce) -> int:
        planner = self.planner
        with planner.database.begin() as tx:
            state = taken(tx)
            if state.sweeping != self._name or named(planner.in_force(tx)) != self._name:
                return 0
            if batch is None:
                planner.plan_some(tx, found.which, in_force)
            else:
                write_batch(tx, Driver(tx), batch, by=ARCHIVE, at=planner.clock.now())
            if found.is_last:
                state.swept, state.sweeping, state.swept_to = self._name, None, None
            else:
                state.swept_to = UUID(found.which.until)
        return len(found.reading.things)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the collector of garbage away: it finds none among tuples, and takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
