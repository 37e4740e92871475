"""What comes by itself: requests lapse, people are told before an approval ends, accesses are judged by the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update

from archive.db.database import Database
from archive.jobs.queue import PROMPT, ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.ledger.entries import ARCHIVE
from archive.notify.notices import NoticeKind, notify
from archive.ports.clock import Clock
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.requests import RequestState, lapse
from archive.retrieval.rules import RetrievalRules
from archive.retrieval.unusual import judge_accesses

WATCH_RETRIEVALS: Final = "watch_retrievals"
_EVERY: Final = timedelta(minutes=1)
_BATCH: Final = 100

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class RetrievalJobs:
    """The job that watches over requests, approvals and accesses."""

    database: Database
    clock: Clock
    rules: RetrievalRules

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {WATCH_RETRIEVALS: self.watch_retrievals}

    def begin(self) -> None:
        """Make sure that retrievals are watched from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, WATCH_RETRIEVALS, {}, at=self.clock.now(), queue=PROMPT, key=WATCH_RETRIEVALS)

    def watch_retrievals(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Do what is due, and come back in a minute. Raises: LeaseLost."""
        for work in (lapse_requests, warn_of_ends, judge_accesses):
            while work(self.database, self.rules, at=self.clock.now()):
                report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)


def lapse_requests(database: Database, rules: RetrievalRules, *, at: Instant) -> int:
    """Let up to 100 requests lapse that nobody has decided in time; return how many there were."""
    del rules
    with database.begin() as tx:
        rows = tx.scalars(
            select(RetrievalRequest)
            .where(RetrievalRequest.state == RequestState.WAITING.value, RetrievalRequest.decide_by <= at)
            .order_by(RetrievalRequest.decide_by)
            .limit(_BATCH)
            .with_for_update()
        ).all()
        for row in rows:
            lapse(tx, row, by=ARCHIVE, at=at)
    return len(rows)


def warn_of_ends(database: Database, rules: RetrievalRules, *, at: Instant) -> int:
    """Tell the askers of up to 100 approvals that they end within days; return how many there were. Each is told once.

    A trial must not fail for an approval that has ended unseen.
    """
    with database.begin() as tx:
        rows = tx.scalars(
            select(RetrievalRequest)
            .where(
                RetrievalRequest.state == RequestState.APPROVED.value,
                RetrievalRequest.warned_at.is_(None),
                RetrievalRequest.until > at,
                RetrievalRequest.until <= at + timedelta(days=rules.warn_days),
                RetrievalRequest.days > rules.warn_days,  # what is asked for fewer days ends as soon as was meant
            )
            .order_by(RetrievalRequest.until)
            .limit(_BATCH)
            .with_for_update()
        ).all()
        for row in rows:
            tx.execute(update(RetrievalRequest).where(RetrievalRequest.id == row.id).values(warned_at=at))
            if row.until is not None:
                day = row.until.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d")
                params = {"reference": row.reference, "day": day}
                notify(tx, [row.account_id], NoticeKind.RETRIEVAL_ENDING, params=params, link="/retrievals", at=at)
    return len(rows)
