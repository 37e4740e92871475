"""Telling people of reviews: some days before, and once more when the day of one has passed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.db.database import Database
from archive.jobs.queue import PROMPT, ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import Instant
from archive.notify.notices import NoticeKind, notify
from archive.ports.clock import Clock
from retention.holding.keepers import nearest_keepers, placer_of
from retention.holding.models import Hold, HoldAlarm
from retention.holding.rules import HoldRules

WATCH_HOLDS: Final = "watch_holds"
_EVERY: Final = timedelta(minutes=30)
_BATCH: Final = 200
_LEVELS: Final = {"due": NoticeKind.HOLD_REVIEW_DUE, "overdue": NoticeKind.HOLD_REVIEW_OVERDUE}

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class HoldJobs:
    """The job that watches over reviews."""

    database: Database
    clock: Clock
    rules: HoldRules

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {WATCH_HOLDS: self.watch_reviews}

    def begin(self) -> None:
        """Make sure that reviews are watched from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, WATCH_HOLDS, {}, at=self.clock.now(), queue=PROMPT, key=WATCH_HOLDS)

    def watch_reviews(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Tell of what is due or overdue, and come back in half an hour. Raises: LeaseLost."""
        while tell_reviews(self.database, self.rules, at=self.clock.now()):
            report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)


def tell_reviews(database: Database, rules: HoldRules, *, at: Instant) -> int:
    """Tell people of up to 200 reviews that nobody was told of; return how many there were. Each is told once.

    Whoever placed the hold is told; once the day has passed, everybody of the nearest unit who places holds is too.
    """
    count, today = 0, local_day(at)
    for level, kind in _LEVELS.items():
        with database.begin() as tx:
            for hold in _untold(tx, level, rules, today):
                if not _note(tx, hold, level):
                    continue
                params = {"number": hold.number, "day": hold.review_on.isoformat()}
                notify(tx, _readers(tx, hold, level, at=at), kind, params=params, link=f"/holds/{hold.id}", at=at)
                count += 1
    return count


def _untold(tx: Session, level: str, rules: HoldRules, today: date) -> Sequence[Hold]:
    told = exists().where(
        HoldAlarm.hold_id == Hold.id, HoldAlarm.review_on == Hold.review_on, HoldAlarm.level == level
    )  # fmt: skip
    query = select(Hold).where(Hold.released_at.is_(None), ~told).order_by(Hold.review_on, Hold.id).limit(_BATCH)
    if level == "overdue":
        return tx.scalars(query.where(Hold.review_on < today)).all()
    soon = today + timedelta(days=rules.warn_days)
    return tx.scalars(query.where(Hold.review_on >= today, Hold.review_on <= soon)).all()


def _note(tx: Session, hold: Hold, level: str) -> bool:
    """Note that people are told; return whether nobody else has done so meanwhile."""
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = tx.execute(
        insert(HoldAlarm)
        .values(hold_id=hold.id, review_on=hold.review_on, level=level)
        .on_conflict_do_nothing()
        .returning(HoldAlarm.hold_id)
    )
    return added.scalar_one_or_none() is not None


def _readers(tx: Session, hold: Hold, level: str, *, at: Instant) -> set[UUID]:
    placer = placer_of(tx, hold, at=at)
    readers = set() if placer is None else {placer}
    if level == "overdue" or not readers:
        readers.update(nearest_keepers(tx, hold, at=at))
    return readers
