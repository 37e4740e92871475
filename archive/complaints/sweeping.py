"""Telling people of deadlines: some days before, and once more when one has passed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.complaints.handlers import nearest_handlers
from archive.complaints.models import Complaint, ComplaintAlarm
from archive.complaints.rules import ComplaintRules
from archive.db.database import Database
from archive.jobs.queue import PROMPT, ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import Instant
from archive.notify.notices import NoticeKind, notify
from archive.ports.clock import Clock

WATCH_DEADLINES: Final = "watch_deadlines"
_EVERY: Final = timedelta(minutes=30)
_BATCH: Final = 200
_LEVELS: Final = {"due": NoticeKind.COMPLAINT_DUE, "overdue": NoticeKind.COMPLAINT_OVERDUE}

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class ComplaintJobs:
    """The job that watches over deadlines."""

    database: Database
    clock: Clock
    rules: ComplaintRules

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {WATCH_DEADLINES: self.watch_deadlines}

    def begin(self) -> None:
        """Make sure that deadlines are watched from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, WATCH_DEADLINES, {}, at=self.clock.now(), queue=PROMPT, key=WATCH_DEADLINES)

    def watch_deadlines(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Tell of what is due or overdue, and come back in half an hour. Raises: LeaseLost."""
        while tell_deadlines(self.database, self.rules, at=self.clock.now()):
            report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)


def tell_deadlines(database: Database, rules: ComplaintRules, *, at: Instant) -> int:
    """Tell people of up to 200 deadlines that nobody was told of; return how many there were. Each is told once.

    Whoever is responsible is told; once it is overdue, everybody of the nearest unit who can handle it is told too.
    """
    count = 0
    for level, kind in _LEVELS.items():
        with database.begin() as tx:
            for row in _untold(tx, level, rules, at=at):
                if row.due_at is None or not _note(tx, row.id, row.due_at, level):
                    continue
                params = {"number": row.number, "day": rules.day_of(row.due_at)}
                notify(tx, _readers(tx, row, level, at=at), kind, params=params, link=f"/complaints/{row.id}", at=at)
                count += 1
    return count


def _untold(tx: Session, level: str, rules: ComplaintRules, *, at: Instant) -> Sequence[Complaint]:
    told = exists().where(
        ComplaintAlarm.complaint_id == Complaint.id,
        ComplaintAlarm.due_at == Complaint.due_at,
        ComplaintAlarm.level == level,
    )
    query = select(Complaint).where(~told).order_by(Complaint.due_at).limit(_BATCH)
    if level == "overdue":
        return tx.scalars(query.where(Complaint.due_at < at)).all()
    return tx.scalars(query.where(Complaint.due_at >= at, Complaint.due_at <= at + rules.warning)).all()


def _note(tx: Session, complaint_id: UUID, due_at: Instant, level: str) -> bool:
    """Note that people are told; return whether nobody else has done so meanwhile."""
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = tx.execute(
        insert(ComplaintAlarm)
        .values(complaint_id=complaint_id, due_at=due_at, level=level)
        .on_conflict_do_nothing()
        .returning(ComplaintAlarm.complaint_id)
    )
    return added.scalar_one_or_none() is not None


def _readers(tx: Session, row: Complaint, level: str, *, at: Instant) -> set[UUID]:
    readers = set() if row.responsible_id is None else {row.responsible_id}
    if level == "overdue" or not readers:
        readers.update(nearest_handlers(tx, row, at=at))
    return readers
