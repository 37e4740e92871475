"""The job that renews the timestamps of records before they age; what cannot be renewed now is tried again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from archive.documents.long_term import BATCH, LongTerm, due_extensions
from archive.jobs.queue import IDLE, ClaimedJob, renew_job, repeat_job
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import ObjectId
from archive.ledger.entries import ARCHIVE

RENEW_RECORDS: Final = "renew_records"
_EVERY: Final = timedelta(hours=6)
_log = structlog.get_logger("liuhen.renewals")
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class Renewals:
    """The job over all records that were extended.

    `told` hears of each record that was tried: None, or the code of why it could not be renewed.
    """

    long_term: LongTerm
    told: Callable[[ObjectId, str | None], None] = lambda _object_id, _code: None

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {RENEW_RECORDS: self._renew}

    def begin(self) -> None:
        """Make sure that timestamps are renewed from now on. Idempotent; for the worker's start."""
        with self.long_term.database.begin() as tx:
            renew_job(tx, RENEW_RECORDS, {}, at=self.long_term.clock.now(), queue=IDLE, key=RENEW_RECORDS)

    def renew_due(self, report: Callable[[int], None] = lambda _: None) -> int:
        """Renew every record that is due, each once; return how many were. One that fails keeps no other waiting."""
        done = 0
        tried: set[ObjectId] = set()
        while fresh := [each for each in self._due(len(tried)) if each not in tried]:
            for object_id in fresh:
                tried.add(object_id)
                try:
                    self.long_term.extend_record(object_id, by=ARCHIVE)
                except LiuhenError as exc:
                    _log.warning("record not renewed", object_id=str(object_id), code=exc.code)
                    self.told(object_id, exc.code)
                else:
                    done += 1
                    self.told(object_id, None)
                report(0)
        return done

    def _renew(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self.renew_due(report)
        long_term = self.long_term
        with long_term.database.begin() as tx:
            repeat_job(tx, job, until=long_term.clock.now() + _EVERY)

    def _due(self, tried: int) -> list[ObjectId]:
        with self.long_term.database.read() as tx:
            return list(due_extensions(tx, at=self.long_term.clock.now(), limit=BATCH + tried))
