"""A case with papers and footage, ready to have its volumes closed: the agency has a seal, the case is closed."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from sqlalchemy import update

from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.drafting import begin_record
from archive.cases.filing import link_object, record_act
from archive.cases.records import file_text_record
from archive.cases.sealing import seal_record
from archive.cases.terms import RecordForm, Stage
from archive.documents import templates
from archive.documents.drafts import draft
from archive.documents.form_context import FormContext
from archive.documents.issuing import issue_seal
from archive.documents.records import count_pages
from archive.documents.setting import set_draft
from archive.documents.templates import example_of
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import AgencyId, CaseId, ObjectId, VolumeId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_AGENCY
from archive.trust.rules import TrustRules
from archive.volumes.closing import Closing
from archive.volumes.rules import VolumeKind
from archive.wiring import Services
from tests.support.archive_home import PDF, ArchiveHome

ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})
CHECKED = Closing("赵六", "无缺件。")


@dataclass(frozen=True, slots=True)
class CaseFileScene:
    """A case whose file is complete: papers by form, footage with its act."""

    home: ArchiveHome
    case_id: CaseId
    papers: dict[RecordForm, ObjectId]
    footage: ObjectId

    def close(self, kind: VolumeKind = VolumeKind.MAIN) -> VolumeId:
        """Close a volume."""
        return self.home.services.case_files.closer.close_volume(self.case_id, kind, CHECKED, by=OPERATOR)

    def scan(self, form: RecordForm, title: str, pages: int | None = 1) -> ObjectId:
        """File a paper that was not made here, with its pages counted."""
        return scan(self.home.services, self.case_id, form, title, pages=pages)


def give_seal(services: Services) -> None:
    """Give the first agency a seal, without a second person."""
    issuer = replace(services.issuer, rules=ALONE)
    issue_seal(issuer, AgencyId(FIRST_AGENCY), by=OPERATOR, at=services.clock.now())


def scan(
    services: Services, case_id: CaseId, form: RecordForm, title: str, *, pages: int | None = 1, pdf: bytes = PDF
) -> ObjectId:
    """File a PDF under a case; what the worker would count is given."""
    object_id = file_text_record(
        services.database, services.objects, services.signer, case_id=case_id, form=form, title=title, name=f"{title}.pdf",
        pdf=pdf + title.encode(), by=OPERATOR, at=services.clock.now(),
    )  # fmt: skip
    if pages is not None:
        with services.database.begin() as tx:
            count_pages(tx, object_id, pages)
    return object_id


def write_and_seal(services: Services, case_id: CaseId, title: str = "行政处罚决定书") -> ObjectId:
    """Write a decision by its worked example, have it set and sealed, and file it."""
    text = (Path(templates.__file__).parent / "penalty_decision.toml").read_text("utf-8")
    draft_id = begin_record(
        services.database, text, case_id=case_id, title=title, values=example_of("penalty_decision"), by=OPERATOR,
        at=services.clock.now(),
    )  # fmt: skip
    # The worked examples name officers whom no register has.
    desk = replace(services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    set_draft(desk, draft_id, revision=1, by=OPERATOR, at=services.clock.now())
    seals = replace(services.seals, room=replace(services.seals.room, desk=desk))
    seal_record(seals, draft_id, "agency", by=OPERATOR)
    object_id = services.records.file_record(draft_id)
    with services.database.begin() as tx:
        count_pages(tx, object_id, draft(tx, draft_id).pages or 0)
    return object_id


def complete_case(home: ArchiveHome, *, number: str = "1", is_closed: bool = True) -> CaseFileScene:
    """Make a case with its papers: some made here and signed, some scanned, footage of an inspection."""
    services = home.services
    give_seal(services)
    case_id = home.case(number, title="无证经营案")
    at = home.clock.now()
    act_id = record_act(
        home.database, case_id, stage=Stage.INSPECTION, place="店内", started_at=at, ended_at=None, by=OPERATOR, at=at
    )
    footage = home.deliver(home.dock(), b"not much of a recording" * 50, "clip.mp4")
    with home.database.begin() as tx:
        tx.execute(
            update(EvidenceItem).where(EvidenceItem.object_id == footage).values(kind="footage", duration_ms=83_000)
        )
    link_object(
        home.database, case_id, footage, act_id=act_id, reason="取证", by=OPERATOR, at=home.clock.now()
    )  # fmt: skip
    papers = {
        RecordForm.INSPECTION_RECORD: scan(services, case_id, RecordForm.INSPECTION_RECORD, "现场检查笔录", pages=2),
        RecordForm.PENALTY_DECISION: write_and_seal(services, case_id),
        RecordForm.FILING_FORM: scan(home.services, case_id, RecordForm.FILING_FORM, "立案审批表"),
        RecordForm.CLOSING_REPORT: scan(home.services, case_id, RecordForm.CLOSING_REPORT, "结案报告"),
    }
    if is_closed:
        close_case(home.database, case_id, on=local_day(home.clock.now()), by=OPERATOR, at=home.clock.now())
    return CaseFileScene(home, case_id, papers, footage)
