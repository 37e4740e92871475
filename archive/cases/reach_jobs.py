"""The job that brings in step who sees what after a unit has moved, or an officer was written down later."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.indexing import index_cases, index_objects, index_subjects
from archive.cases.models import Case, CaseLink, Subject
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.evidence.models import EvidenceItem
from archive.jobs.queue import ClaimedJob, finish_job
from archive.kernel.ids import parse_uuid
from archive.organisation.units import REACH_JOB, below
from archive.ports.clock import Clock

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]
Settle = Callable[[Session, Collection[UUID]], None]
Follower = tuple[Callable[[Session, Collection[UUID]], Collection[UUID]], Settle]
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class ReachJobs:
    """Handles jobs of `archive.organisation` that say whose sight has changed.

    `others` are what domains beside cases keep in step: what units have, and how it is settled.
    """

    database: Database
    clock: Clock
    others: Sequence[Follower] = ()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {REACH_JOB: self.refresh}

    def refresh(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Bring in step what the units have, or what was worn under the numbers, in portions. Idempotent."""
        del report
        if "unit_id" in job.args:
            portions = self._of_units(parse_uuid(job.args["unit_id"]))
        else:
            portions = self._of_officers(job.args["officer_numbers"])
        for index, ids in portions:
            with self.database.begin() as tx:
                index(tx, ids)
        with self.database.begin() as tx:
            finish_job(tx, job, at=self.clock.now())

    def _of_units(self, unit_id: UUID) -> Iterator[tuple[Any, Sequence[UUID]]]:
        with self.database.read() as tx:
            units = below(tx, unit_id)
        filed = select(CaseLink.object_id).join(Case, Case.id == CaseLink.case_id).where(Case.unit_id.in_(units))
        for index, column, query in (
            (index_cases, Case.id, select(Case.id).where(Case.unit_id.in_(units))),
            (index_subjects, Subject.id, select(Subject.id).where(Subject.unit_id.in_(units))),
            (index_subjects, Case.subject_id, select(Case.subject_id).where(Case.unit_id.in_(units)).distinct()),
            (index_objects, PreservedObject.id, select(PreservedObject.id).where(PreservedObject.unit_id.in_(units))),
            (index_objects, CaseLink.object_id, filed.distinct()),
        ):
            yield from self._portions(index, column, query)
        for had_by, settle in self.others:
            with self.database.read() as tx:
                ids = sorted(had_by(tx, units))
            for first in range(0, len(ids), _BATCH):
                yield settle, ids[first : first + _BATCH]

    def _of_officers(self, numbers: Sequence[str]) -> Iterator[tuple[Any, Sequence[UUID]]]:
        query = select(EvidenceItem.object_id).where(EvidenceItem.officer_number.in_(numbers))
        yield from self._portions(index_objects, EvidenceItem.object_id, query)

    def _portions(self, index: Any, column: Any, query: Any) -> Iterator[tuple[Any, Sequence[UUID]]]:
        last: UUID | None = None
        while True:
            portion = query if last is None else query.where(column > last)
            with self.database.read() as tx:
                ids = tx.scalars(portion.order_by(column).limit(_BATCH)).all()
            if not ids:
                return
            yield index, ids
            last = ids[-1]
