"""The job that extends the signed records of a closed volume to B-LTA, each once; and how far it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from archive.documents.drafts import DraftState
from archive.documents.long_term import LongTerm
from archive.documents.models import Draft, RecordExtension
from archive.jobs.queue import ClaimedJob, finish_job, postpone_job
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import ObjectId, VolumeId, parse_uuid
from archive.ledger.entries import ARCHIVE
from archive.volumes.binding import EXTEND_VOLUME
from archive.volumes.models import VolumeLine

_AGAIN: Final = timedelta(hours=1)
_log = structlog.get_logger("liuhen.volumes")
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class Extended:
    """How many records of a volume were signed here, and how many of these are extended."""

    signed: int
    done: int


@dataclass(frozen=True, slots=True)
class VolumeExtensions:
    """The job over the records of one volume; what cannot be extended now is tried again."""

    long_term: LongTerm

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {EXTEND_VOLUME: self._extend}

    def extend_volume(self, volume_id: VolumeId, report: Callable[[int], None] = lambda _: None) -> bool:
        """Extend the records of a volume that are not; return whether all are. One that fails keeps no other waiting.

        Raises: what the lease raises.
        """
        with self.long_term.database.read() as tx:
            waiting = list(tx.scalars(_signed(volume_id).where(RecordExtension.object_id.is_(None))))
        failed = 0
        for number, object_id in enumerate(waiting):
            try:
                self.long_term.extend_record(ObjectId(object_id), by=ARCHIVE)
            except LiuhenError as exc:
                failed += 1
                _log.warning("record not extended", object_id=str(object_id), code=exc.code)
            report(1000 * number // len(waiting))
        return not failed

    def _extend(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        is_done = self.extend_volume(VolumeId(parse_uuid(job.args["volume_id"])), report)
        at = self.long_term.clock.now()
        with self.long_term.database.begin() as tx:
            if is_done:
                finish_job(tx, job, at=at)
            else:
                postpone_job(tx, job, until=at + _AGAIN)


def extended(tx: Session, volume_id: VolumeId) -> Extended:
    """Return how far the signed records of a closed volume are."""
    signed = _signed(volume_id).subquery()
    done = _signed(volume_id).where(RecordExtension.object_id.is_not(None)).subquery()
    return Extended(*(tx.scalar(select(func.count()).select_from(each)) or 0 for each in (signed, done)))


def _signed(volume_id: VolumeId) -> Select[Any]:
    return (
        select(VolumeLine.object_id)
        .join(Draft, Draft.id == VolumeLine.object_id)
        .outerjoin(RecordExtension, (RecordExtension.object_id == VolumeLine.object_id) & (RecordExtension.number == 1))
        .where(VolumeLine.volume_id == volume_id, Draft.state == DraftState.FILED.value)
        .order_by(VolumeLine.number)
    )
