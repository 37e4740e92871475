"""Timestamps that come later: a signature that was made while the authority of time was down gets its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from archive.documents.desk import Desk, keep_pdf, pdfs_of, read_pdf, write_pdf
from archive.documents.drafts import DraftState, locked_draft
from archive.documents.signatures import STAMP_RECORD, add_filing, signing_of
from archive.documents.steps import is_complete
from archive.jobs.queue import ClaimedJob, finish_job, postpone_job
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import DraftId, parse_uuid
from archive.ledger.entries import ARCHIVE, EntryType
from archive.ports.clock import Clock
from signing.late_tokens import add_token
from signing.pades import Token

_AGAIN: Final = timedelta(minutes=1)
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class LateStamps:
    """The job that asks the authority of time until it answers."""

    desk: Desk
    token: Token
    clock: Clock

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {STAMP_RECORD: self._stamp}

    def _stamp(self, job: ClaimedJob, _: Callable[[int], None]) -> None:
        try:
            self.stamp_record(DraftId(parse_uuid(job.args["draft_id"])))
        except LiuhenError as exc:
            if not exc.retryable:
                raise
            with self.desk.database.begin() as tx:
                postpone_job(tx, job, until=self.clock.now() + _AGAIN)
            return
        with self.desk.database.begin() as tx:
            finish_job(tx, job, at=self.clock.now())

    def stamp_record(self, draft_id: DraftId) -> None:
        """Put the timestamp into the newest signature of a record that waits for it. Idempotent: yes.

        Raises: DraftNotFound, DraftPdfDamaged, NothingToStamp, StorageFull; what the authority raises.
        """
        desk = self.desk
        with desk.database.read() as tx:
            standing = signing_of(tx, draft_id)
        if not standing.awaits_time:
            return
        last = standing.pdfs[-1]
        stamped = add_token(read_pdf(desk.store, last), self.token)
        kept = keep_pdf(desk.store, draft_id, last.number + 1, stamped)
        at = self.clock.now()
        with desk.database.begin() as tx:
            row = locked_draft(tx, draft_id, DraftState.SET)
            if pdfs_of(tx, draft_id)[-1].number != last.number:
                return  # another was quicker
            number = last.number + 1
            write_pdf(tx, row, kept, EntryType.RECORD_STAMPED, number=number, place="", detail={}, by=ARCHIVE, at=at)
            if is_complete(standing.steps, standing.done):
                add_filing(tx, draft_id, at=at)
