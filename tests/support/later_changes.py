"""What happens to an archive after it was filled: everything that was written down is changed, ended or taken back."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from archive.access.accounts import change_account
from archive.access.classes import RestrictedClass
from archive.access.clearances import end_clearance, grant_clearance
from archive.access.integrations import move_integration, revoke_integration_key
from archive.access.models import ApiKey, Clearance, Integration
from archive.access.policy import Role
from archive.access.terms import accept_terms, load_terms
from archive.calendar.days import local_day
from archive.cases.changes import update_act, update_case
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import merge_subjects, separate_subjects
from archive.cases.models import Act, Case, CaseMember, SubjectIdentifier, SubjectMerge
from archive.cases.moving import move_case
from archive.cases.rekeying import rekey_identifiers
from archive.cases.restrictions import add_member, classify_object, remove_member
from archive.cases.subjects import NewSubject, add_identifier, record_subject, remove_identifier, update_subject
from archive.cases.terms import Stage, SubjectKind
from archive.complaints.complainants import rekey_complainants
from archive.complaints.linking import Links, unlink_complaint
from archive.complaints.models import Complaint, ComplaintCase
from archive.complaints.moving import move_complaint
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.rules import ComplaintRules
from archive.complaints.steps import assign_complaint, take_step
from archive.complaints.terms import Channel, ComplaintKind, State
from archive.custody.models import PreservedObject
from archive.db.sight import FIRST_UNIT
from archive.devices.handover import Check, hand_over
from archive.devices.models import Device
from archive.devices.register import DeviceFacts, change_device
from archive.documents import templates
from archive.documents.models import RecordTemplate
from archive.documents.template_register import save_template, withdraw_template
from archive.evidence.terms import SourceKind
from archive.kernel.ids import (
    AccountId,
    ActId,
    AgencyId,
    CaseId,
    ClearanceId,
    ComplaintId,
    DeviceId,
    HoldId,
    IdentifierId,
    MarkId,
    ObjectId,
    OfficerId,
    SubjectId,
    SupervisionId,
    UnitId,
)  # fmt: skip
from archive.ledger.entries import OPERATOR, Actor
from archive.organisation.models import FIRST_AGENCY, Officer, Supervision, Unit
from archive.organisation.officers import OfficerFacts, record_officer, reinstate_officer
from archive.organisation.photos import rekey_photos
from archive.organisation.supervision import end_supervision, set_supervision
from archive.organisation.units import change_unit, close_unit, record_unit, rename_agency
from archive.retrieval.grants import Purpose
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.requests import Asked, ask, decide, end, withdraw
from archive.retrieval.rules import GrantKind, RetrievalRules
from ingest.axis.systems import enrol_system, renew_system_key
from ingest.docks import rotate_key
from ingest.remaking import drop_renditions
from retention.holding.holds import release_hold
from retention.holding.marks import Marked
from retention.holding.models import Hold, RetentionMark
from retention.holding.terms import HoldScope, MarkedKind
from retention.schedules.content import decode_rules
from retention.schedules.models import RetentionSchedule
from retention.schedules.register import put_in_force, save_schedule, seen_of, withdraw_schedule
from retention.schedules.terms import Mark
from tests.support.archive_home import ArchiveHome

RULES = RetrievalRules.load()


def change_everything(home: ArchiveHome) -> None:
    """Change what `tests.integration.fsck.test_tampering.fill` has made."""
    change_the_house(home)
    change_people(home)
    change_cases(home)
    change_complaints(home)
    change_holds(home)
    change_keys(home)
    change_schedules(home)
    change_the_rest(home)
    home.sequence()


def one(home: ArchiveHome, query: Any) -> Any:
    with home.database.read() as tx:
        return tx.scalars(query).first()


def change_schedules(home: ArchiveHome) -> None:
    """A retention schedule is saved over and put in force by another person; the one after it is given up."""
    database, at = home.database, home.clock.now
    draft = one(home, select(RetentionSchedule).where(RetentionSchedule.state == "draft"))
    save_schedule(
        database, "又改", decode_rules(draft.content)[:2], schedule_id=draft.id, seen=seen_of(draft), by=Actor(draft.id),
        at=at(),
    )  # fmt: skip
    seen = seen_of(one(home, select(RetentionSchedule).where(RetentionSchedule.id == draft.id)))
    put_in_force(database, draft.id, valid_from=local_day(at()), seen=seen, by=OPERATOR, at=at())
    other = save_schedule(database, "不用", decode_rules(draft.content), by=OPERATOR, at=at())
    withdraw_schedule(database, other, reason="不用", by=OPERATOR, at=at())


def change_the_house(home: ArchiveHome) -> None:
    database, at = home.database, home.clock.now()
    unit_id = UnitId(one(home, select(Unit.id).where(Unit.code == "10")))
    lower = record_unit(database, parent_id=unit_id, code="11", name="二组", by=OPERATOR, at=at)
    change_unit(database, lower, code="12", name="三组", parent_id=UnitId(FIRST_UNIT), by=OPERATOR, at=home.clock.now())
    close_unit(database, lower, has_people=lambda *_: False, by=OPERATOR, at=home.clock.now())
    rename_agency(database, AgencyId(FIRST_AGENCY), code="1", name="市监局", by=OPERATOR, at=home.clock.now())
    supervision = one(home, select(Supervision))
    end_supervision(database, SupervisionId(supervision.id), by=OPERATOR, at=home.clock.now())
    supervisor = AgencyId(supervision.supervisor_id)
    set_supervision(
        database, supervisor_id=supervisor, supervised_id=None, basis="新条例", by=OPERATOR, at=home.clock.now()
    )


def change_people(home: ArchiveHome) -> None:
    database = home.database
    auditor = home.person(Role.AUDITOR)
    terms = load_terms()
    accept_terms(database, terms, auditor.account_id, version=terms.version, by=auditor.actor, at=home.clock.now())
    officer = one(home, select(Officer).where(Officer.certificate_number == "执 2"))
    reinstate_officer(database, OfficerId(officer.id), by=OPERATOR, at=home.clock.now())
    record_officer(database, OfficerFacts("执 2", "赵六六", "局", "一中队"), by=OPERATOR, at=home.clock.now())
    change_account(
        database, auditor.account_id, display_name="Another", roles=[Role.CASE_HANDLER], unit_id=FIRST_UNIT,
        officer_id=OfficerId(officer.id), is_enabled=False, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    clearance = one(home, select(Clearance))
    account_id = AccountId(clearance.account_id)
    end_clearance(database, account_id, ClearanceId(clearance.id), by=OPERATOR, at=home.clock.now())
    for restricted in (RestrictedClass.INFORMANT, RestrictedClass.PRIVACY):
        grant_clearance(
            database, account_id, restricted_class=restricted, reason="再次", until=home.clock.now() + timedelta(days=30),
            by=OPERATOR, at=home.clock.now(),
        )  # fmt: skip


def change_cases(home: ArchiveHome) -> None:
    database, vault = home.database, home.services.identifiers
    head = home.signed_in("unit_head")
    gone = one(home, select(SubjectMerge))
    separate_subjects(database, SubjectId(gone.gone_id), reason="误", by=OPERATOR, at=home.clock.now())
    third = record_subject(database, vault, NewSubject("张三", SubjectKind.PERSON), by=OPERATOR, at=home.clock.now())
    for keep, other in ((gone.keep_id, gone.gone_id), (third, gone.keep_id)):
        merge_subjects(database, SubjectId(keep), SubjectId(other), reason="同", by=OPERATOR, at=home.clock.now())
    separate_subjects(database, SubjectId(gone.keep_id), reason="误", by=OPERATOR, at=home.clock.now())
    update_subject(database, third, name="张山", by=OPERATOR, at=home.clock.now())
    add_identifier(
        database, vault, third, Identifier(IdentifierKind.PASSPORT, "EB7654321"), by=OPERATOR, at=home.clock.now()
    )
    add_identifier(database, vault, third, Identifier(IdentifierKind.OTHER, "X 1"), by=OPERATOR, at=home.clock.now())
    number = one(home, select(SubjectIdentifier.id).where(SubjectIdentifier.subject_id == third))
    remove_identifier(database, third, IdentifierId(number), reason="误", by=OPERATOR, at=home.clock.now())
    case = one(home, select(Case).where(Case.number == "1"))
    update_case(database, vault, CaseId(case.id), title="另案", by=OPERATOR, at=home.clock.now())
    act = one(home, select(Act).where(Act.case_id == case.id))
    for officers in (["执 1", "执 2"], ["执 2"]):
        update_act(
            database, CaseId(case.id), ActId(act.id), stage=Stage.INSPECTION, place="库房", started_at=act.started_at,
            ended_at=act.started_at + timedelta(hours=1), officers=officers, by=OPERATOR, at=home.clock.now(),
        )  # fmt: skip
    member = one(home, select(CaseMember))
    remove_member(database, CaseId(case.id), AccountId(member.account_id), by=head, at=home.clock.now())
    until = home.clock.now() + timedelta(days=3)
    add_member(
        database, CaseId(case.id), AccountId(member.account_id), reason="又", until=until, by=head, at=home.clock.now()
    )  # fmt: skip
    item = one(home, select(PreservedObject).where(PreservedObject.name == "1.mp4"))
    classify_object(database, ObjectId(item.id), [RestrictedClass.PRIVACY], reason="像", by=head, at=home.clock.now())
    unit_id = one(home, select(Unit.id).where(Unit.code == "10"))
    case_k = one(home, select(Case).where(Case.number == "案 K"))
    move_case(database, CaseId(case_k.id), unit_id, reason="移交", by=head, at=home.clock.now())


def change_complaints(home: ArchiveHome) -> None:
    database, vault = home.database, home.services.identifiers
    head = home.signed_in("unit_head")
    row = one(home, select(Complaint))
    complaint_id = ComplaintId(row.id)
    assign_complaint(database, complaint_id, head.account_id, by=head, at=home.clock.now())
    take_step(database, complaint_id, State.ACCEPTED, text="已受理", by=head, at=home.clock.now())
    unit_id = one(home, select(Unit.id).where(Unit.code == "10"))
    move_complaint(database, complaint_id, unit_id, text="转交", by=head, at=home.clock.now())
    take_step(database, complaint_id, State.INVESTIGATED, text="已调查", by=head, at=home.clock.now())
    take_step(database, complaint_id, State.ANSWERED, text="已答复", by=head, at=home.clock.now())
    case_id = CaseId(one(home, select(ComplaintCase.case_id)))
    unlink_complaint(database, complaint_id, Links(cases=[case_id]), reason="误", by=head, at=home.clock.now())
    given = NewComplaint(ComplaintKind.REPORT, Channel.LETTER, home.clock.now(), "匿名举报。", FIRST_UNIT)
    register_complaint(
        database, vault, ComplaintRules.load(), given, by=home.signed_in("unit_head"), at=home.clock.now()
    )
    device = one(home, select(Device))
    hand_over(
        database, DeviceId(device.id), seen_holder=OfficerId(device.holder_id), to=None, check=Check(), by=head,
        at=home.clock.now(),
    )  # fmt: skip
    change_device(
        database, DeviceId(device.id), DeviceFacts(device.serial, unit_id=unit_id, kind=SourceKind.OTHER, model="X2"), by=head,
        at=home.clock.now(),
    )  # fmt: skip


def change_holds(home: ArchiveHome) -> None:
    database, at = home.database, home.clock.now
    hold = one(home, select(Hold).where(Hold.released_at.is_(None), Hold.scope == HoldScope.CASE.value))
    release_hold(database, HoldId(hold.id), reason="结案", by=home.signed_in("records_manager").actor, at=at())
    mark = one(home, select(RetentionMark).where(RetentionMark.removed_at.is_(None)))
    home.services.holding.marks.take_back(database, MarkId(mark.id), reason="不属重大", by=OPERATOR, at=at())
    on = Marked(MarkedKind.CASE, mark.ref_id)
    home.services.holding.marks.set_mark(database, on, Mark.OBSTRUCTION, reason="阻碍", by=OPERATOR, at=at())


def change_keys(home: ArchiveHome) -> None:
    database, vault, services = home.database, home.services.identifiers, home.services
    dock = home.dock("Dock R")
    second = rotate_key(database, api_key=dock.api_key, firmware="2.0", at=home.clock.now())
    rotate_key(database, api_key=second.api_key, at=home.clock.now())
    enrol_system(services.doors, name="axis", by=OPERATOR)
    renew_system_key(services.doors, name="axis", by=OPERATOR)
    prefix = one(home, select(ApiKey.prefix).join(Integration, Integration.id == ApiKey.holder_id))
    revoke_integration_key(database, prefix, by=OPERATOR, at=home.clock.now())
    move_integration(
        database, "cms", one(home, select(Unit.id).where(Unit.code == "10")), by=OPERATOR, at=home.clock.now()
    )
    vault.add_key()
    for rekey in (rekey_identifiers, rekey_complainants, rekey_photos):
        rekey(database, vault, by=OPERATOR, clock=home.clock)


def change_the_rest(home: ArchiveHome) -> None:
    database, at = home.database, home.clock.now
    handler, head = home.signed_in("case_handler"), home.signed_in("unit_head")
    request = one(home, select(RetrievalRequest).where(RetrievalRequest.state == "approved"))
    end(database, request.id, reason="已毕", by=head, at=at())
    why = Purpose("案件办理", "任务 3")
    object_id = ObjectId(request.object_id)
    withdraw(
        database,
        ask(database, object_id, Asked(GrantKind.EXPORT, why, 7), by=handler, rules=RULES, at=at()),
        by=handler,
        at=at(),
    )
    refused = ask(database, object_id, Asked(GrantKind.EXPORT, why, 7), by=handler, rules=RULES, at=at())
    decide(database, refused, is_approved=False, reason="不必", by=head, at=at())
    text = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8")
    draft = save_template(database, text.replace("version = 1", "version = 7", 1), agency_id=None, by=OPERATOR, at=at())
    sha256 = one(home, select(RecordTemplate.text_sha256).where(RecordTemplate.id == draft))
    changed = text.replace("version = 1", "version = 7", 1) + "\n# again\n"
    save_template(database, changed, agency_id=None, template_id=draft, seen_sha256=sha256, by=OPERATOR, at=at())
    withdraw_template(database, draft, reason="不用", by=OPERATOR, at=at())
    item = one(home, select(PreservedObject).where(PreservedObject.name == "still.png"))
    drop_renditions(home.services.workshop, ObjectId(item.id), by=OPERATOR)
