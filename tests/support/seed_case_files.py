"""Case files for a bureau that is looked at: one closed and checked, one to be closed, one due soon, one late."""

from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.filing import link_object, open_case, record_act
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.kernel.ids import CaseId, ObjectId
from archive.volumes.closing import Closing
from archive.volumes.moving import move_paper
from archive.volumes.rules import VolumeKind
from archive.volumes.terms import Move
from tests.support import footage
from tests.support.case_files import give_seal, scan, write_and_seal
from tests.support.seed import Bureau

CLOSED, OPEN = "官综执罚〔2026〕第033号", "官综执罚〔2026〕第034号"
_OLDER = (
    ("官综执罚〔2026〕第012号", "未按规定分类投放生活垃圾案", "云南盛源物业服务有限公司", 100, 45),
    ("官综执罚〔2026〕第019号", "流动摊贩占道经营案", "赵某某", 60, 26),
)
_PAPERS = (
    (RecordForm.FILING_FORM, "行政处罚立案审批表"),
    (RecordForm.ADVANCE_NOTICE, "行政处罚事先告知书"),
    (RecordForm.INSPECTION_RECORD, "现场检查笔录"),
    (RecordForm.SERVICE_RECEIPT, "送达回证"),
    (RecordForm.CLOSING_REPORT, "结案报告"),
)


def keep_case_files(bureau: Bureau) -> dict[str, CaseId]:
    """Make the case files. Idempotent."""
    done = {name: bureau.cases[name] for name in (CLOSED, OPEN)}
    if _OLDER[0][0] in bureau.cases:
        return done
    services, head = bureau.services, bureau.people[Role.UNIT_HEAD]
    give_seal(services)
    with TemporaryDirectory() as folder:
        for number in (CLOSED, OPEN):
            _fill(bureau, bureau.cases[number], Path(folder))
        for number, title, subject, opened, closed in _OLDER:
            at = bureau.now() - timedelta(days=opened)
            bureau.cases[number] = open_case(
                services.database, services.identifiers, number=number, title=title, category=Category.PENALTY,
                subject=NewSubject(subject, SubjectKind.ORGANISATION), by=head, at=at,
            )  # fmt: skip
            _scan(bureau, bureau.cases[number], RecordForm.PENALTY_DECISION, "行政处罚决定书", Path(folder))
            _close_case(bureau, bureau.cases[number], local_day(bureau.now()) - timedelta(days=closed))
    case_id = bureau.cases[CLOSED]
    _close_case(bureau, case_id, local_day(bureau.now()))
    files = services.case_files
    closing = Closing("杨立新", "本案经听取当事人陈述后作出处罚决定，当事人已自行改正并缴纳罚款。")
    volume_id = files.closer.close_volume(case_id, VolumeKind.MAIN, closing, by=head)
    files.extensions.extend_volume(volume_id)
    files.checker.check_volume(volume_id, by=head)
    return done


def _fill(bureau: Bureau, case_id: CaseId, folder: Path) -> None:
    services, by, at = bureau.services, bureau.people[Role.CASE_HANDLER], bureau.now()
    act_id = record_act(
        services.database, case_id, stage=Stage.INSPECTION, place="官渡区关上街道春城路", started_at=at, ended_at=None,
        by=by, at=at,
    )  # fmt: skip
    link_object(
        services.database, case_id, bureau.items["video"], act_id=act_id, reason="现场检查录像", by=by, at=bureau.now()
    )
    write_and_seal(services, case_id)
    for form, title in _PAPERS:
        made = _scan(bureau, case_id, form, title, folder)
    move_paper(
        services.database, services.case_files.rules, case_id, made, Move.RULES, reason="按规则归入副卷", by=by,
        at=bureau.now(),
    )  # fmt: skip


def _scan(bureau: Bureau, case_id: CaseId, form: RecordForm, title: str, folder: Path) -> ObjectId:
    pdf = footage.make_pdf(folder / f"{case_id}-{form.value}.pdf", ["Guandu District", form.value]).read_bytes()
    return scan(bureau.services, case_id, form, title, pdf=pdf)


def _close_case(bureau: Bureau, case_id: CaseId, on: date) -> None:
    close_case(bureau.services.database, case_id, on=on, by=bureau.people[Role.UNIT_HEAD], at=bureau.now())
