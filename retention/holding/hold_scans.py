"""Scans: what comes to a held case, subject or query later gets its row and its entry.

Nothing waits for them: `retention.holding.stops` asks the catalogue itself. They write down what a hold has covered, so
that it stays covered when it is moved, and so that the log says since when.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.jobs.queue import LONG, ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import Instant
from archive.ledger.entries import ARCHIVE
from archive.ports.clock import Clock
from retention.holding.hold_coverage import covered_by
from retention.holding.hold_entries import extend_hold
from retention.holding.models import HeldObject, Hold
from retention.holding.terms import HoldScope

SCAN_HOLDS: Final = "scan_holds"
_EVERY: Final = timedelta(minutes=10)
_QUERIES_EVERY: Final = timedelta(days=1)
"""A query is asked of all that its unit has; cases and subjects are looked up by themselves."""
_BATCH: Final = 1_000

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class HoldScans:
    """The job that looks for what holds cover by now."""

    database: Database
    clock: Clock

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {SCAN_HOLDS: self._scan}

    def begin(self) -> None:
        """Make sure that holds are scanned from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, SCAN_HOLDS, {}, at=self.clock.now(), queue=LONG, key=SCAN_HOLDS)

    def scan(self, report: Callable[[int], None] = lambda _: None, *, is_whole: bool = False) -> int:
        """Scan every hold that is due once; return how many objects were found. `report` is called in between.

        Those on cases and subjects are due each time, queries each day; `is_whole`: these now, too.
        """
        began, count = self.clock.now(), 0
        before = began if is_whole else began - _QUERIES_EVERY
        while (hold_id := self._next(began, queries_before=before)) is not None:
            found = self._extend(hold_id)
            count += found
            report(0)
        return count

    def _scan(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self.scan(report)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)

    def _next(self, began: Instant, *, queries_before: Instant) -> UUID | None:
        """Return a hold that was not scanned whole since a moment, those that never were first."""
        others = and_(Hold.scope != HoldScope.QUERY.value, Hold.scanned_at < began)
        due = or_(Hold.scanned_at.is_(None), others, Hold.scanned_at < queries_before)
        query = select(Hold.id).where(Hold.released_at.is_(None), due)
        with self.database.read() as tx:
            return tx.scalar(query.order_by(Hold.scanned_at.is_not(None), Hold.scanned_at, Hold.id).limit(1))

    def _extend(self, hold_id: UUID) -> int:
        """Write down up to 1,000 objects that a hold covers by now; return how many there were."""
        at = self.clock.now()
        with self.database.begin() as tx:
            # The row is the lock: of two that scan one hold, the later one sees what the earlier one wrote.
            hold = tx.scalar(select(Hold).where(Hold.id == hold_id, Hold.released_at.is_(None)).with_for_update())
            if hold is None:
                return 0
            found = not_yet_held(tx, hold, limit=_BATCH)
            extend_hold(tx, hold, found, by=ARCHIVE, at=at)
            if len(found) < _BATCH:
                tx.execute(update(Hold).where(Hold.id == hold_id).values(scanned_at=at))
        return len(found)


def not_yet_held(tx: Session, hold: Hold, *, limit: int) -> Sequence[UUID]:
    """Return some of what a hold covers and what has no row yet, in the order of the ids."""
    covered = covered_by(tx, hold)
    if covered is None:
        return ()
    has_row = exists().where(HeldObject.hold_id == hold.id, HeldObject.object_id == covered.c.id)
    return tx.scalars(select(covered.c.id).where(~has_row).order_by(covered.c.id).limit(limit)).all()
