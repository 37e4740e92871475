"""Filing a record that all have signed who had to: the last PDF becomes an object of its case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from archive.cases.filing import require_case, write_link
from archive.custody.models import CustodyEvent, PreservationIntent
from archive.db.base import insert_row
from archive.documents.desk import Desk, read_pdf
from archive.documents.drafts import DraftState, locked_draft
from archive.documents.models import Draft, DraftPdf
from archive.documents.records import preserve_record, write_record
from archive.documents.signatures import FILE_RECORD, Signing, signing_of
from archive.documents.template_texts import template_of
from archive.jobs.queue import ClaimedJob, finish_job
from archive.kernel.errors import Conflict
from archive.kernel.ids import ActId, CaseId, DraftId, ObjectId, parse_uuid
from archive.ledger.entries import Actor
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner, SecondSigner

_LONGEST_NAME: Final = 120
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class RecordIncomplete(Conflict):
    """Signatures that this record needs are not there yet."""

    code = "cases.record_incomplete"


@dataclass(frozen=True, slots=True)
class FinishedRecords:
    """What files complete records: at once after the last signature, or by its job where something came between.

    `second` signs each of them once more; None where the house does not ask for it.
    """

    desk: Desk
    objects: OcflRoot
    signer: ManifestSigner
    clock: Clock
    second: SecondSigner | None = None

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {FILE_RECORD: self._file}

    def _file(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self.file_record(DraftId(parse_uuid(job.args["draft_id"])))
        report(900)
        with self.desk.database.begin() as tx:
            finish_job(tx, job, at=self.clock.now())

    def file_record(self, draft_id: DraftId) -> ObjectId:
        """File a complete record under its case. Idempotent: yes; a second call returns the same object.

        Filed is what the last signature made, in the name of who made it. On return bytes, custody events and log
        entries are durable.
        Raises: DraftNotFound, RecordIncomplete, DraftPdfDamaged, StorageFull.
        """
        desk, object_id = self.desk, ObjectId(draft_id)
        with desk.database.begin() as tx:
            standing = signing_of(tx, draft_id)
            if standing.draft.state == DraftState.FILED.value:
                return object_id
            if not standing.is_complete or standing.draft.state != DraftState.SET.value:
                raise RecordIncomplete(draft_id=draft_id)
            if tx.get(PreservationIntent, object_id) is None:
                insert_row(tx, PreservationIntent, object_id=object_id, begun_at=self.clock.now())
            form = template_of(tx, standing.draft).form
        last = standing.pdfs[-1]
        by = Actor(last.by_id)
        preserved = preserve_record(
            self.objects,
            self.signer,
            object_id=object_id,
            name=f"{standing.draft.title[:_LONGEST_NAME]}.pdf",
            pdf=read_pdf(desk.store, last),
            by=by,
            at=last.at,
            second=self.second,
        )
        at = self.clock.now()
        with desk.database.begin() as tx:
            row = locked_draft(tx, draft_id, DraftState.SET, DraftState.FILED)
            if row.state == DraftState.FILED.value:
                return object_id  # another was quicker
            case_id = CaseId(row.case_id)
            write_record(
                tx,
                preserved,
                form=form,
                title=row.title,
                case_id=case_id,
                unit_id=require_case(tx, case_id).unit_id,
                by=by,
                at=at,
                more={"state": DraftState.FILED.value},
            )
            _tell_what_was_before(tx, standing, object_id)
            act_id = None if row.act_id is None else ActId(row.act_id)
            write_link(tx, case_id, object_id, act_id=act_id, reason="filed", by=by, at=at)
            tx.execute(update(Draft).where(Draft.id == draft_id).values(state=DraftState.FILED.value))
            tx.execute(delete(PreservationIntent).where(PreservationIntent.object_id == object_id))
        return object_id


def _tell_what_was_before(tx: Session, standing: Signing, object_id: ObjectId) -> None:
    """Put setting and signatures into the custody trail: what had no object then has one now."""
    for pdf in standing.pdfs:
        insert_row(
            tx,
            CustodyEvent,
            entry_id=pdf.entry_id,
            object_id=object_id,
            case_id=standing.draft.case_id,
            type=_type_of(pdf),
            actor_id=pdf.by_id,
            at=pdf.at,
        )


def _type_of(pdf: DraftPdf) -> str:
    return f"record.{pdf.kind}"
