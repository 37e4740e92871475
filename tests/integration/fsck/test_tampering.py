"""One archive with something of every kind, and everything in it changed once: each file, each column, each row.

What fsck cannot see is written down here too: `UNBOUND` names the columns that no entry and no file vouches for.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Table, create_engine, delete, insert, select, text, update

from archive.access.api_keys import Scope
from archive.access.callers import Caller
from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.integrations import integration_named, issue_integration_key
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.drafting import begin_record, drop_record
from archive.cases.filing import link_object, record_act, unlink_object
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import merge_subjects
from archive.cases.records import file_text_record
from archive.cases.restrictions import add_member, classify_case
from archive.cases.subjects import NewSubject, record_subject
from archive.cases.systems.acts import ActFacts, push_act
from archive.cases.systems.cases import CaseFacts, push_case
from archive.cases.systems.officers import push_officer
from archive.cases.systems.push import Pusher, Wish
from archive.cases.systems.subjects import SubjectFacts, push_subject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.complaints.complainants import Complainant
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.rules import ComplaintRules
from archive.complaints.steps import add_note
from archive.complaints.terms import Channel, ComplaintKind
from archive.db.base import Base
from archive.db.sight import FIRST_UNIT
from archive.devices.handover import Check, hand_over
from archive.devices.register import DeviceFacts, record_device
from archive.documents import templates
from archive.documents.drafts import Amending
from archive.documents.form_context import FormContext
from archive.documents.setting import set_draft
from archive.documents.signatures import Signed, SignedPdf, add_signature, signing_of
from archive.documents.template_register import file_template, put_in_force, save_template, withdraw_template
from archive.documents.templates import example_of
from archive.evidence.grouping import RecordingRules
from archive.evidence.models import EvidenceItem
from archive.evidence.regrouping import group_item
from archive.evidence.terms import SourceKind
from archive.fsck import Target
from archive.fsck.keys import read_pinned
from archive.fsck.run import findings
from archive.fsck.standing import Standing
from archive.jobs.queue import LONG, PACKAGE, PROMPT
from archive.kernel.findings import Outcome
from archive.kernel.ids import (
    ActId,
    AgencyId,
    CaseId,
    CertificateId,
    IntegrationId,
    KeyRequestId,
    ObjectId,
    OfficerId,
    TemplateId,
    UnitId,
)  # fmt: skip
from archive.ledger.entries import OPERATOR
from archive.notify.events import EventType
from archive.notify.webhooks import remove_webhook, renew_secret, set_webhook
from archive.organisation.legal_staff import LegalFacts, LegalKind, end_legal_staff, record_legal_staff
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.officers import OfficerFacts, record_officer, suspend_officer
from archive.organisation.photos import remove_photo, set_photo
from archive.organisation.records import RecordFacts, RecordKind, RecordResult, add_record, withdraw_record
from archive.organisation.supervision import set_supervision
from archive.organisation.units import record_agency, record_unit
from archive.packages.requests import ask_for_package, grant_download
from archive.ports.revocations import RevocationReason
from archive.retrieval.grants import Purpose, grant_access, grant_in_emergency, renew
from archive.retrieval.models import UnusualAccess
from archive.retrieval.requests import Asked, ask, decide
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.retrieval.unusual import BREAK_GLASS, check_access, judge_accesses
from archive.trust.certificates import NewCertificate, certificates_of
from archive.trust.models import KeyRequest
from archive.trust.requests import Wanted, change_register, decide_key_request
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from archive.volumes.checking import LookedAt
from archive.volumes.moving import move_paper, open_volume
from archive.volumes.rules import VolumeKind
from archive.volumes.terms import Move
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from ingest.docks import revoke_dock, set_dock_limits
from ingest.errors import Quarantined
from retention.fixity import check_fixity
from retention.holding.hold_queries import HoldQuery
from retention.holding.holds import NewHold, place_hold, release_hold, review_hold
from retention.holding.marks import Marked
from retention.holding.terms import HoldScope, MarkedKind
from retention.planning.planner import RetentionPlanner
from retention.rounds.reports import Month
from retention.schedules import register as schedules
from retention.schedules.listings import schedule_view
from retention.schedules.register import save_schedule
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.terms import Mark
from retention.schedules.trials import ask_trial
from signing.certificates import MANIFEST_SIGNING
from signing.document_keys import HeldKey
from signing.pades import DocumentSigner
from tests.support import footage
from tests.support.archive_home import PDF, ArchiveHome, EnrolledDock, SteppedClock, flip
from tests.support.case_files import CHECKED, give_seal, scan
from tests.support.cosigned import CosignedHome, cosigned_home
from tests.support.disposals import destroy_one
from tests.support.moulds import Moulds
from tests.support.schedule_in_force import Schedules
from tests.support.unguarded import guard, lift

RULES = RetrievalRules.load()
CLIP = b"not much of a recording" * 100
UNBOUND = {
    # Secrets and their technical state: no entry can hold them.
    "account": {"password_hash"},
    "passkey": None, "totp_secret": None, "recovery": None, "recovery_code": None, "used_challenge": None,
    "sign_in_delay": None, "refused_names": None,
    # What a complaint says is for who is cleared: the entries hold the numbers of its rows and digests of its words.
    "complaint": {"rules_from"},
    # What a row of a ledger is called; its entry is what it stands for.
    "complaint_step": {"id"},
    "device_handover": {"id"},
    # An entry names who supervises whom.
    "supervision": {"id"},
    # What somebody is told, and where; no part of any case.
    "mail_address": None, "notice": None, "notice_choice": None, "complaint_alarm": None, "complaint_count": None,
    "hold_alarm": None, "hold_count": None,
    # When everything that a hold covers had its row; scans go on.
    "hold": {"scanned_at"},
    "api_key": {"prefix", "secret_hash", "key_id", "created_at", "expires_at", "last_used_at"},
    "session": None, "enrolment_code": None,
    # Work, not history.
    "job": None, "intake_claim": None, "preservation_intent": None, "axis_container": None, "axis_object": None,
    "axis_token": None, "dock_pace": None, "waiting_recording": None, "room_sample": None, "event_outbox": None,
    "event_count": None, "webhook_delivery": None, "kept_judgement": None, "allowance": None,
    "upload": {"offset_bytes", "metadata_header", "place", "manifest", "manifest_signature", "created_at", "expires_at",
               "finished_at", "refusal"},
    # Found out from the bytes; can be found out again.
    "evidence_item": {"kind", "recorded_at", "recorded_from", "clock_offset_ms", "duration_ms", "essence", "play_state",
                      "play_reason", "play_note"},
    "preserved_object": {"kind", "media_type"},
    "recording": {"device_key"},
    "text_record": {"pages"},
    "item_text": {"language", "is_cut", "extracted_at", "tool"},
    "rendition": {"object_id", "kind", "media_type", "recipe", "created_at"},
    "dock": {"revoked_at"},
    # The secret's hash is held against the key file; the rest is how deliveries go.
    "webhook": {"secret_hash", "failures", "quiet_until", "last_delivered_at"},
    "retrieval_request": {"warned_at"},
    "access_record": {"is_judged"},
    "log_cosignature": {"received_at"},
    # How a download is called and how long it is: its bytes vouch for themselves.
    "package": {"name", "size_bytes"},
    "package_download": {"expires_at"},
    # The index is built anew out of the rows.
    "search_document": None,
    # So is who sees what: it follows from units, officers, members and what is filed where.
    "reach": None,
    # What goes on now; gone with the transaction that ends it.
    "volume_closing": None,
    # What the store itself says of its locks; where bytes lie that a dock sends straight to it.
    "object_lock": None, "direct_upload": None,
    # Where an encode stands; it is gone when it has ended.
    "live_encoding": None,
    # What a schedule would change can be worked out again.
    "schedule_trial": None,
    # How far the copier is; that it looked past nothing follows from the log.
    "copy_place": {"scanned", "trouble", "trouble_at"},
    "object_copy": {"locked_until", "due_index", "due_since", "tried_at", "fault", "fault_at", "has_hold", "lock_due"},
    # When a list was begun, and what keeps it: nobody decides by it.
    "disposition_list": {"begun_at", "trouble", "trouble_at"},
    # Of one object alone on its list; of several the digest of the list tells the order.
    "disposition_item": {"step", "position"},
    # How far planning is, and what is to be looked at again.
    "planning_state": None,
    "retention_plan": {"stale_since", "lock_due"},
    # How far rounds are, what they are at, and how far people were told.
    "fixity_place": None,
    "fixity_check": {"asked_at", "read_at", "read_bytes", "read_head", "tries", "tried_at", "trouble"},
    "fixity_damage": {"trouble", "tried_at", "told_at", "told_trouble"},
    # In a bucket only: tests/integration/stores/test_mending.py.
    "fixity_mend": None,
}  # fmt: skip


@contextmanager
def raw(home: ArchiveHome) -> Iterator[Any]:
    """A connection that no foreign key and no code of ours stops: what somebody with the database in hand has."""
    url = home.database.url
    engine = create_engine(url)
    with engine.begin() as connection:
        if home.database.is_sqlite:
            assert isinstance(connection.connection.dbapi_connection, sqlite3.Connection)
        else:
            assert isinstance(connection.connection.dbapi_connection, psycopg.Connection)
            connection.execute(text("SET session_replication_role = replica"))
        lift(connection)
        yield connection
        guard(connection)
    engine.dispose()


@pytest.fixture
def filled(moulds: Moulds, database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    home = moulds.copy(fill, tmp_path, database_url, clock)
    yield home
    home.services.close()


@pytest.fixture
def full(moulds: Moulds, database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    home = moulds.copy(fill_and_destroy, tmp_path, database_url, clock)
    yield home
    home.services.close()


def fill(base: Path, database_url: str, clock: SteppedClock) -> ArchiveHome:
    """Make an archive that has a witness, and something of every kind but renditions."""
    (base / "second").mkdir()
    witnessed = cosigned_home(base, database_url, clock, count=1, copy_folder=base / "second")
    home = witnessed.home
    dock, other = home.dock(), home.dock("Dock 2")
    at = home.clock.now
    case_id = home.case("1")
    supervisor = home.person(Role.SUPERVISOR)
    merge_some_subjects(home)
    connect_a_system(home)
    start = at()
    act_id = record_act(
        home.database, case_id, stage=Stage.INSPECTION, place="店内", started_at=start, ended_at=None, by=OPERATOR,
        at=at(),
    )  # fmt: skip
    object_id = home.deliver(dock, CLIP, "clip.mp4")
    organise(home, case_id, object_id)
    home.deliver(other, CLIP, "again.mp4", case="1")
    record_two_clips(home, dock)
    unlink_object(home.database, case_id, object_id, reason="x", by=OPERATOR, at=at())
    link_object(home.database, case_id, object_id, act_id=act_id, reason="x", by=OPERATOR, at=at())
    with pytest.raises(Quarantined):
        finish_upload(home.intake, home.bring(dock, b"what came", said=b"what said"))
    record_id = file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=case_id, form=RecordForm.OTHER,
        title="笔录", name="笔录.pdf", pdf=PDF, by=OPERATOR, at=at(),
    )  # fmt: skip
    write_records(home, case_id, act_id, record_id)
    hold_keys(home)
    sign_records(home, case_id)
    close_volumes(home)
    grant_access(
        home.database,
        object_id,
        kind=GrantKind.VIEW,
        purpose=Purpose("评查", "任务 1"),
        by=supervisor,
        rules=RULES,
        at=at(),
    )
    retrieve(home, object_id)
    keep(home, case_id, object_id)
    check_fixity(home.services.fixity, object_id, by=OPERATOR)
    home.services.worm.run()
    home.sequence()
    plan_everything(home)
    assert home.services.copies.copy_some() > 0
    home.services.drills.run(count=1)
    read_everything_again(home, base / "second", object_id)
    take_a_case_away(witnessed, case_id, supervisor)
    assert home.erase(lambda entry: entry["type"] == "admin.dock_invited")
    set_dock_limits(home.database, other.id, bytes_per_day=9, bytes_per_s=8, uploads=7, by=OPERATOR, at=at())
    revoke_dock(home.database, other.id, by=OPERATOR, at=at())
    home.begin(dock, b"on its way")
    home.stage(home.begin(dock, b"half of it").id, b"half")
    home.sequence()
    witnessed.cosign()
    home.assert_sound()
    return home


def plan_everything(home: ArchiveHome) -> None:
    """Plans of every object: one with an end, counted from its recording, and those whose period has not begun."""
    planner = RetentionPlanner(home.database, home.clock, Schedules())
    while planner.note_changes() or planner.plan_stale() or planner.sweep_some():
        pass


def keep(home: ArchiveHome, case_id: CaseId, object_id: ObjectId) -> None:
    """Marks: one that stands, one that was taken back. Holds: one that was reviewed and covers more, one released."""
    database, rules, marks = home.database, home.services.holding.rules, home.services.holding.marks
    today, other = local_day(home.clock.now()), home.person(Role.RECORDS_MANAGER, "holder")
    for on, mark in (
        (Marked(MarkedKind.CASE, case_id), Mark.COMPLEX),
        (Marked(MarkedKind.OBJECT, object_id), Mark.EVIDENCE),
    ):
        mark_id = marks.set_mark(database, on, mark, reason="重大", by=OPERATOR, at=home.clock.now())
    marks.take_back(database, mark_id, reason="误标", by=OPERATOR, at=home.clock.now())
    for scope, ref_id, query in (
        (HoldScope.OBJECT, object_id, None), (HoldScope.QUERY, None, HoldQuery(FIRST_UNIT, device_serial="CAM-0042")),
        (HoldScope.CASE, case_id, None),
    ):  # fmt: skip
        given = NewHold(scope, ref_id, query, "法院应诉通知书", "诉讼", today + timedelta(days=30), scope.value)
        hold_id = place_hold(database, rules, given, by=OPERATOR, at=home.clock.now())
        if scope is HoldScope.OBJECT:
            release_hold(database, hold_id, reason="判决生效", by=other.actor, at=home.clock.now())
    review_hold(
        database, rules, hold_id, review_on=today + timedelta(days=60), reason="二审", by=other.actor,
        at=home.clock.now(),
    )  # fmt: skip
    file_text_record(
        database, home.services.objects, home.services.signer, case_id=case_id, form=RecordForm.OTHER, title="补充",
        name="补充.pdf", pdf=PDF + b"later", by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    assert home.services.holding.scans.scan() == 1


def read_everything_again(home: ArchiveHome, second: Path, object_id: ObjectId) -> None:
    """A fixity round that finds a copy damaged and repairs it, and the report of the month before."""
    flip(second / "store" / home.services.objects.content_key(object_id, "original/clip.mp4"))
    home.services.rounds.ask_everything()
    while home.services.rounds.go_on(is_whole=True).has_more:
        pass
    home.services.fixity_reports.make(Month.with_moment(home.clock.now()).before())


def write_records(home: ArchiveHome, case_id: CaseId, act_id: ActId, record_id: ObjectId) -> None:
    """Drafts: one that amends a record, one that was given up."""
    template, at = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8"), home.clock.now()
    begin_record(
        home.database, template, case_id=case_id, title="笔录", values={"place": "店内"}, act_id=act_id,
        amending=Amending(record_id, "地点有误"), by=OPERATOR, at=at,
    )  # fmt: skip
    other = begin_record(home.database, template, case_id=case_id, title="笔录", values={}, by=OPERATOR, at=at)
    drop_record(home.database, other, reason="重复", by=OPERATOR, at=home.clock.now())
    look_after_templates(home, template)
    look_after_schedules(home)


def look_after_schedules(home: ArchiveHome) -> None:
    """Retention schedules: one that holds and was tried, one that is written, one that was withdrawn."""
    database, rules, today = home.database, shipped_schedule(Shipped.DEFAULT).rules, local_day(home.clock.now())
    second = home.person(Role.RECORDS_MANAGER).actor
    drafts = [
        save_schedule(database, f"第{number}版", rules[number:], by=OPERATOR, at=home.clock.now())
        for number in range(3)
    ]
    for schedule_id, day in ((drafts[0], today), (drafts[1], today + timedelta(days=9))):
        with database.read() as tx:
            seen = schedule_view(tx, schedule_id, on=today).seen
        schedules.put_in_force(database, schedule_id, valid_from=day, seen=seen, by=second, at=home.clock.now())
    schedules.withdraw_schedule(database, drafts[1], reason="有误", by=second, at=home.clock.now())
    ask_trial(database, drafts[2], by=second, at=home.clock.now())


def look_after_templates(home: ArchiveHome, template: str) -> None:
    """Templates: one that was filed and replaced, its successor of an agency, one that was withdrawn."""
    database = home.database

    def save(version: int, agency_id: AgencyId | None = None) -> TemplateId:
        text = template.replace("version = 1", f"version = {version}", 1)
        return save_template(database, text, agency_id=agency_id, by=OPERATOR, at=home.clock.now())

    today = local_day(home.clock.now())
    filed, own = save(2), save(3, AgencyId(FIRST_AGENCY))
    for template_id in (filed, own):
        put_in_force(database, template_id, valid_from=today, by=OPERATOR, at=home.clock.now())
    file_template(
        database, filed, authority="司法局", number="备 1", filed_on=today, by=OPERATOR, at=home.clock.now()
    )  # fmt: skip
    put_in_force(database, save(4), valid_from=today + timedelta(days=9), by=OPERATOR, at=home.clock.now())
    withdraw_template(database, own, reason="有误", by=OPERATOR, at=home.clock.now())


def sign_records(home: ArchiveHome, case_id: CaseId) -> None:
    """A record that is filed, one that waits for its second signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = home.services.authority.issue(
        MANIFEST_SIGNING, public_key=key.public_key(), valid_from=home.clock.now()
    )  # fmt: skip
    new = NewCertificate(made.public_bytes(Encoding.DER), KeyPurpose.OFFICER, None, KeyPlace.HOLDER)
    wanted = Wanted("新任", new=new)
    certificate_id = CertificateId(
        change_register(home.database, wanted, rules=TrustRules.load(), by=OPERATOR, at=home.clock.now())
    )
    desk = replace(home.services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    signer = DocumentSigner(HeldKey(key, made), home.clock)
    signed = Signed(certificate_id)
    text = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8")
    for is_filed in (True, False):
        draft_id = begin_record(
            home.database, text, case_id=case_id, title="笔录", values=example_of("inspection_record"), by=OPERATOR,
            at=home.clock.now(),
        )  # fmt: skip
        set_draft(desk, draft_id, revision=1, by=OPERATOR, at=home.clock.now())
        while True:
            with home.database.read() as tx:
                due = signing_of(tx, draft_id).due
            if not due:
                object_id = home.services.records.file_record(draft_id)
                home.services.renewals.long_term.extend_record(object_id, by=OPERATOR)
            if not due or not is_filed:
                break
            add_signature(
                desk, draft_id, due[-1].place, lambda pdf, step, _: SignedPdf(signer.sign(pdf, step.field)), signed, by=OPERATOR,
                at=home.clock.now(),
            )  # fmt: skip


def close_volumes(home: ArchiveHome) -> None:
    """A case that is closed, with a paper that was moved, a closed volume, and a second one that is open."""
    files, at = home.services.case_files, home.clock.now
    give_seal(home.services)
    case_id = home.case("2")
    paper = scan(home.services, case_id, RecordForm.PENALTY_DECISION, "决定书")
    for move in (Move.OTHER, Move.RULES, Move.OTHER):
        move_paper(home.database, files.rules, case_id, paper, move, reason="便于查阅", by=OPERATOR, at=at())
    close_case(home.database, case_id, on=local_day(at()), by=OPERATOR, at=at())
    volume_id = files.closer.close_volume(case_id, VolumeKind.SUB, CHECKED, by=OPERATOR)
    # What is judged is not asked here, and the sandbox takes its time.
    checker = replace(files.checker, judge=lambda *_: {"outcome": "valid"}, look=lambda _: LookedAt(1, 0))
    checker.check_volume(volume_id, by=OPERATOR)
    scan(home.services, case_id, RecordForm.CLOSING_REPORT, "结案报告")
    open_volume(home.database, files.rules, case_id, VolumeKind.SUB, reason="补充", by=OPERATOR, at=at())


def hold_keys(home: ArchiveHome) -> None:
    """Certificates: one that was replaced, one that two people revoked."""
    database, rules = home.database, TrustRules.load()
    one, two = (home.person(Role.ADMINISTRATOR, name).actor for name in ("keys", "keys2"))

    def fresh(purpose: KeyPurpose) -> NewCertificate:
        public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
        made = home.services.authority.issue(MANIFEST_SIGNING, public_key=public_key, valid_from=home.clock.now())
        der = made.public_bytes(Encoding.DER)
        return NewCertificate(der, purpose, FIRST_UNIT, KeyPlace.TOKEN, handle="pkcs11:token=seals;object=1")

    def change(wanted: Wanted) -> UUID:
        done = change_register(database, wanted, rules=rules, by=one, at=home.clock.now())
        with database.read() as tx:
            is_asked = tx.get(KeyRequest, done) is not None
        if is_asked:
            decide_key_request(
                database, KeyRequestId(done), is_approved=True, words="同意", by=two, at=home.clock.now()
            )  # fmt: skip
        return done

    old = CertificateId(change(Wanted("新任", new=fresh(KeyPurpose.OFFICER))))
    change(Wanted("更换", new=fresh(KeyPurpose.OFFICER), of=old))
    change(Wanted("启用", new=fresh(KeyPurpose.SEAL)))
    with database.read() as tx:
        (seal,) = certificates_of(tx, FIRST_UNIT, KeyPurpose.SEAL, at=home.clock.now())
    reason, since = RevocationReason.CESSATION, home.clock.now()
    change(Wanted("停用", of=CertificateId(seal.id), revocation=reason, since=since))


def organise(home: ArchiveHome, case_id: CaseId, object_id: ObjectId) -> None:
    """A unit, an agency that supervises, a member of a case, what is restricted, a complaint, a device in use."""
    database, at = home.database, home.clock.now()
    unit_id = record_unit(database, parent_id=UnitId(FIRST_UNIT), code="10", name="一中队", by=OPERATOR, at=at)
    agency_id = record_agency(database, code="2", name="市局", by=OPERATOR, at=at)
    set_supervision(
        database, supervisor_id=agency_id, supervised_id=AgencyId(FIRST_AGENCY), basis="条例", by=OPERATOR, at=at
    )  # fmt: skip
    head, other = home.person(Role.UNIT_HEAD), home.person(Role.CASE_HANDLER, unit_id=unit_id)
    grant_clearance(
        database, head.account_id, restricted_class=RestrictedClass.PRIVACY, until=at + timedelta(days=300),
        reason="承办", by=OPERATOR, at=at,
    )  # fmt: skip
    head = home.signed_in(head.username)
    add_member(database, case_id, other.account_id, reason="抽调", until=None, by=head, at=at)
    classify_case(database, case_id, [RestrictedClass.PRIVACY], reason="住址", by=head, at=at)
    facts = OfficerFacts("执 2", "赵六", "局", "队", area="官渡区", valid_until=date(2029, 1, 1))
    officer_id = record_officer(database, facts, by=OPERATOR, at=at)
    given = NewComplaint(
        ComplaintKind.COMPLAINT, Channel.HOTLINE, at, "未出示证件。", FIRST_UNIT, Complainant("张三丰", "13812345678"),
        Links(cases=[case_id], officers=[officer_id], objects=[object_id]),
    )  # fmt: skip
    complaint_id = register_complaint(
        database, home.services.identifiers, ComplaintRules.load(), given, by=head, at=home.clock.now()
    )  # fmt: skip
    add_note(database, complaint_id, text="已联系投诉人。", by=head, at=home.clock.now())
    device_id = record_device(
        database, DeviceFacts("DSJ-1", unit_id=FIRST_UNIT, kind=SourceKind.BODY_WORN, model="X1", firmware="1.0", note="新机"), by=head,
        at=home.clock.now(),
    )  # fmt: skip
    hand_over(
        database, device_id, seen_holder=None, to=officer_id, check=Check(95, 51_200, -2), by=head, at=home.clock.now()
    )  # fmt: skip
    look_after(home, officer_id)


def look_after(home: ArchiveHome, officer_id: OfficerId) -> None:
    """A portrait under its second key, a training that was corrected, a suspension, a reviewer who left."""
    database, vault, at = home.database, home.services.identifiers, home.clock.now()
    set_photo(database, vault, officer_id, b"a face", by=OPERATOR, at=at)
    remove_photo(database, officer_id, by=OPERATOR, at=home.clock.now())
    set_photo(database, vault, officer_id, b"another face", by=OPERATOR, at=home.clock.now())
    day = date(2026, 1, 2)
    facts = RecordFacts(
        RecordKind.TRAINING, "处罚法", day, 80, 905, RecordResult.PASSED, "司法局", "培 1", date(2029, 1, 2)
    )
    first = add_record(database, officer_id, facts, by=OPERATOR, at=home.clock.now())
    second = add_record(
        database, officer_id, replace(facts, hours_tenths=40), replaces=first, reason="学时有误", by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip
    withdraw_record(database, officer_id, second, reason="登记错人", by=OPERATOR, at=home.clock.now())
    suspend_officer(database, officer_id, reason="调查", by=OPERATOR, at=home.clock.now())
    reviewer = LegalFacts(
        "F1", "吕", LegalKind.REVIEWER, "1", date(2020, 1, 1), "10", "A1", date(2010, 1, 1), "L1",
        account_id=home.person(Role.LEGAL_REVIEWER).account_id,
    )  # fmt: skip
    staff_id = record_legal_staff(database, reviewer, has_account=lambda *_: True, by=OPERATOR, at=home.clock.now())
    end_legal_staff(
        database, staff_id, until=date(2026, 1, 1), reason="调离", by=OPERATOR, at=home.clock.now()
    )  # fmt: skip


def retrieve(home: ArchiveHome, object_id: ObjectId) -> None:
    """A copy that was asked for and approved, a grant that was renewed, an emergency that was looked into."""
    database, at = home.database, home.clock.now
    handler, head = (home.signed_in(role.value) for role in (Role.CASE_HANDLER, Role.UNIT_HEAD))
    why = Purpose("案件办理", "任务 2")
    request_id = ask(database, object_id, Asked(GrantKind.EXPORT, why, 7), by=handler, rules=RULES, at=at())
    decide(database, request_id, is_approved=True, reason="同意", by=head, at=at())
    grant_access(database, object_id, kind=GrantKind.EXPORT, purpose=why, by=handler, rules=RULES, at=at())
    grant_id = grant_access(database, object_id, kind=GrantKind.VIEW, purpose=why, by=handler, rules=RULES, at=at())
    renew(database, grant_id, by=handler, rules=RULES, at=at())
    grant_in_emergency(database, object_id, purpose=why, by=handler, rules=RULES, at=at())
    while judge_accesses(database, RULES, at=at()):
        pass
    with database.read() as tx:
        found = {row.entry_id for row in tx.scalars(select(UnusualAccess).where(UnusualAccess.rule == BREAK_GLASS))}
    for entry_id in found:
        check_access(database, entry_id, words="属实", by=head, at=at())


def take_a_case_away(witnessed: CosignedHome, case_id: CaseId, by: Caller) -> None:
    """A package that was asked for, built and fetched."""
    home = witnessed.home
    package_id = ask_for_package(
        home.database, case_id, by=by, purpose="送检察院", with_renditions=False, rules=RULES, at=home.clock.now()
    )
    home.sequence()
    witnessed.cosign()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    assert worker.run_once([PACKAGE])
    grant_download(home.database, package_id, by=by, rules=RULES, at=home.clock.now())


def connect_a_system(home: ArchiveHome) -> None:
    """Another system with a key and two webhooks, and a case with an act and an officer that it has pushed."""
    database, at = home.database, home.clock.now()
    issue_integration_key(database, name="cms", title="案件系统", scopes=[Scope.CASES_WRITE], by=OPERATOR, at=at)
    with database.read() as tx:
        cms = IntegrationId(integration_named(tx, "cms").id)
    pusher, wish = Pusher(database, home.services.identifiers, cms, OPERATOR, at), Wish()
    push_subject(pusher, "P", SubjectFacts(SubjectKind.PERSON, "李四"), wish)
    push_case(pusher, "K", CaseFacts("案 K", "某案", Category.PENALTY, "P"), wish)
    push_officer(
        pusher, "O", OfficerFacts("执 1", "王五", "局", "队", ["城管"], date(2024, 1, 1), date(2029, 1, 1)), wish
    )
    push_act(pusher, "A", ActFacts("K", Stage.INSPECTION, "店内", at, None, ["O"]), wish)
    for number in range(2):
        made = set_webhook(
            home.services.webhooks, integration_id=cms, url=f"https://cms.example.org/{number}",
            types=list(EventType), by=OPERATOR, at=at,
        )  # fmt: skip
    renew_secret(home.services.webhooks, made.id, by=OPERATOR, at=home.clock.now())
    remove_webhook(database, made.id, by=OPERATOR, at=home.clock.now())


def merge_some_subjects(home: ArchiveHome) -> None:
    """Two people with numbers, one of whom stands under the other."""
    numbers = (Identifier(IdentifierKind.PASSPORT, f"EA123456{number}") for number in range(2))
    one, two = (
        record_subject(
            home.database, home.services.identifiers, NewSubject("张三", SubjectKind.PERSON, number), by=OPERATOR,
            at=home.clock.now(),
        )
        for number in numbers
    )  # fmt: skip
    merge_subjects(home.database, one, two, reason="同一人", by=OPERATOR, at=home.clock.now())


def record_two_clips(home: ArchiveHome, dock: EnrolledDock) -> None:
    """Deliver two files that follow each other, as if they had been looked into, and group them."""
    clips = []
    for number in (1, 2):
        times = {"signed": "2026-03-01T08:00:00Z", "recorded": f"2026-03-01T07:30:0{number}Z"}
        device = {"serial": "DSJ-1", "source": "body_worn"}
        clips.append(home.deliver(dock, CLIP + bytes(number), f"{number}.mp4", times=times, device=device))
    for object_id in clips:
        with home.database.begin() as tx:
            item = tx.get_one(EvidenceItem, object_id)
            item.kind, item.duration_ms = "footage", 900
            tx.flush()
            group_item(tx, object_id, rules=RecordingRules.load(), at=home.clock.now())


def fill_with_renditions(base: Path, database_url: str, clock: SteppedClock) -> ArchiveHome:
    """With renditions, made from real footage."""
    filled = fill(base, database_url, clock)
    still = footage.still(base / "still.png", size=(64, 48))
    source = {"source": "drone", "officer": "012345", "channel": "F", "series": "S", "sequence": 1}
    filled.deliver(filled.dock("Dock 3"), still.read_bytes(), "still.png", device={"serial": "UAV-1", **source})
    services, paper = filled.services, footage.make_pdf(base / "paper.pdf", ["Service receipt"]).read_bytes()
    file_text_record(
        services.database, services.objects, services.signer, case_id=filled.case("scan"), form=RecordForm.SERVICE_RECEIPT,
        title="送达回证", name="a.pdf", pdf=paper, by=OPERATOR, at=filled.clock.now(),
    )  # fmt: skip
    worker = Worker(filled.database, handlers=filled.services.handlers, clock=filled.clock, lease_s=15)
    while worker.run_once([PROMPT, LONG]):
        pass
    filled.assert_sound()
    return filled


def fill_and_destroy(base: Path, database_url: str, clock: SteppedClock) -> ArchiveHome:
    """With a list that was carried out, half a month ahead of the machine's clock."""
    home = fill_with_renditions(base, database_url, clock)
    destroy_one(home, home.dock("Dock 4"))
    home.assert_sound()
    return home


def test_every_file_that_is_stored(full: ArchiveHome) -> None:
    """Three single bits of every file: fsck says invalid and names the file.

    Stores know nothing of databases, so with PostgreSQL one bit is enough.
    """
    folders = ("store", "quarantine", "renditions")
    files = [path for name in folders for path in sorted((full.raw / name).rglob("*")) if path.is_file()]
    kinds = {path.name for path in files}
    assert {
        "clip.mp4", "笔录.pdf", "dock-manifest.json", "dock-manifest.json.sig", "manifest.json", "manifest.json.p7s",
        "inventory.json", "inventory.json.sha512", "0=ocfl_object_1.1", "0=ocfl_1.1", "bytes", "manifest.json.sig",
        "config.json", "ocfl_layout.json",
    } <= kinds  # fmt: skip
    assert [path for path in files if "renditions" in path.parts]
    bits = 3 if full.database.is_sqlite else 1
    unseen = []
    for turn in in_turns([(path, bit) for path in files for bit in range(bits)]):
        before = {path: path.read_bytes() for path, _ in turn}
        for path, bit in turn:
            flip(path, at=(len(before[path]) // 2, 0, len(before[path]) - 1)[bit])
        named = {fault.where for fault in full.faults() if fault.outcome is Outcome.INVALID}
        unseen += [(path.name, bit, named) for path, bit in turn if str(path) not in named]
        for path, data in before.items():
            path.write_bytes(data)
    assert unseen == []
    full.assert_sound()


def in_turns(changes: Iterable[tuple[Path, Any]]) -> Iterator[list[tuple[Path, Any]]]:
    """Put together what is changed at a time: one file of each object, none of which knows of the others.

    What lies in no object is changed alone.
    """
    by_object: dict[Path, list[tuple[Path, Any]]] = {}
    for path, what in changes:
        folder = next((above for above in path.parents if (above / "0=ocfl_object_1.1").exists()), None)
        if folder is None:
            yield [(path, what)]
        else:
            by_object.setdefault(folder, []).append((path, what))
    for turn in zip_longest(*by_object.values()):
        yield [change for change in turn if change is not None]


def test_every_file_that_goes_away_or_comes_in(filled: ArchiveHome) -> None:
    unseen = []
    files = [path for path in sorted((filled.raw / "store").rglob("*")) if path.is_file()]
    for turn in in_turns([(path, "gone") for path in files if is_tried(filled, str(path))]):
        before = {path: path.read_bytes() for path, _ in turn}
        for path in before:
            path.unlink()
        faults = [fault for fault in filled.faults() if fault.outcome is Outcome.INVALID]
        for path, data in before.items():
            if not any(str(path) in fault.where or str(path.parent) in fault.where for fault in faults):
                unseen.append(("gone", path))
            path.write_bytes(data)
    folders = sorted({path.parent for path in files if "extensions" not in path.parts})
    for turn in in_turns([(folder / "stranger", "came in") for folder in folders]):
        for stranger, _ in turn:
            stranger.write_bytes(b"x")
        named = {fault.where for fault in filled.faults()}
        for stranger, _ in turn:
            if str(stranger) not in named:
                unseen.append(("stranger", stranger))
            stranger.unlink()
    assert unseen == []
    filled.assert_sound()


@pytest.mark.files("a bucket has no links")
def test_a_link_in_place_of_a_file(filled: ArchiveHome, tmp_path: Path) -> None:
    """The bytes are the same, and still it is no longer in our hands what they will be."""
    original = next((filled.raw / "store").rglob("clip.mp4"))
    elsewhere = tmp_path / "elsewhere"
    original.rename(elsewhere)
    original.symlink_to(elsewhere)
    assert str(original) in {fault.where for fault in filled.faults() if fault.outcome is Outcome.INVALID}


def test_an_object_that_was_moved(filled: ArchiveHome) -> None:
    folder = next((filled.raw / "store").rglob("clip.mp4")).parents[3]
    moved = folder.with_name(folder.name[:-1] + ("0" if folder.name[-1] != "0" else "1"))
    folder.rename(moved)
    assert str(moved) in {fault.where for fault in filled.faults() if fault.outcome is Outcome.INVALID}


def test_an_object_that_nobody_wrote_down(filled: ArchiveHome) -> None:
    source = next((filled.raw / "store").rglob("clip.mp4")).parents[3]
    stranger = filled.raw / "store" / "abc" / "def" / "012" / f"urn%3auuid%3a{uuid4()}" / "v1"
    stranger.mkdir(parents=True)
    (stranger / "inventory.json").write_bytes((source / "v1" / "inventory.json").read_bytes())
    assert filled.fsck().outcome is Outcome.INVALID


def test_what_is_published_and_what_is_trusted(filled: ArchiveHome) -> None:
    for name in ("log/checkpoint", "trust.txt", "ca/root.cert.pem"):
        path = filled.path / name
        before = path.read_bytes()
        for at in range(0, len(before), max(1, len(before) // 12)):
            flip(path, at=at)
            if name == "log/checkpoint":
                assert "log/checkpoint" in {fault.where for fault in filled.faults()}, at
            path.write_bytes(before)
        path.unlink()
        missing = filled.fsck().outcome
        assert missing is (Outcome.INVALID if name == "log/checkpoint" else Outcome.INDETERMINATE)
        path.write_bytes(before)
    filled.assert_sound()


def test_keys_of_somebody_else_are_no_keys(filled: ArchiveHome) -> None:
    trust = filled.path / "trust.txt"
    for broken in (b"", b"\xff\xfe", b"log\n", b"log x\n", b"log a+b+c\n", b"log a+00000000+////\n"):
        trust.write_bytes(broken)
        assert filled.fsck().outcome is not Outcome.VALID


def other_value(value: Any, column: str) -> Any:
    """A value of the same form that is another one."""
    match value:
        case None:
            return None
        case bool():
            return not value
        case int():
            return value + 1
        case str() if column in {"sha256", "sha512", "root", "note"}:
            return ("0" if value[0] != "0" else "1") + value[1:]
        case str():
            return value + "x" if len(value) < 8 else value[:-1] + ("x" if value[-1] != "x" else "y")
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case UUID():
            return uuid4()
        case datetime():
            return value + timedelta(seconds=1)
        case date():
            return value + timedelta(days=1)
        case list():
            return [*value, "other"]
        case _:
            return {"other": 1}


def keyed(table: Table, row: Any) -> list[Any]:
    return [column == getattr(row, column.key) for column in table.primary_key]


PARTS = 3
"""In how many tests the columns are tried: together they take longer than one test may."""


def is_tried(home: ArchiveHome, name: str) -> bool:
    """Whether something is changed with this database: with SQLite all, with PostgreSQL a third.

    What is held against what is the same with both; how each is read has tests of its own.
    """
    return home.database.is_sqlite or zlib.crc32(name.encode()) % 3 == 0


def is_found_out(home: ArchiveHome) -> bool:
    """Whether fsck says invalid: as soon as one of its checks does.

    That the others come to their end beside that is seen where anything stands in any column, and where rows are gone.
    """
    target = Target(home.path, home.database, home.path / "ca" / "root.cert.pem", None, (), home.places)
    pinned = read_pinned((home.path / "trust.txt").read_bytes(), None)
    with closing(findings(target, pinned, Standing())) as found:
        return any(finding.outcome is Outcome.INVALID for finding in found)


def tampered_columns(home: ArchiveHome, part: int) -> Iterator[tuple[str, Table, Any, Any, Any]]:
    """Every column of one row of every table of a part (the last one), with another value."""
    for name, table in sorted(Base.metadata.tables.items())[part::PARTS]:
        unbound = UNBOUND.get(name, set())
        if unbound is None:
            continue
        with home.database.read() as tx:
            rows = tx.execute(select(table).order_by(*table.primary_key)).all()
        if name == "upload":
            rows = [row for row in rows if row.state == "accepted"]
        if not rows:
            assert name == "log_pending"
            continue
        row = rows[-1]
        for column in table.columns:
            value = getattr(row, column.key)
            if column.key not in unbound and value is not None and is_tried(home, f"{name}.{column.name}"):
                yield f"{name}.{column.name}", table, column, row, other_value(value, column.name)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_column_that_something_vouches_for(full: ArchiveHome, part: int) -> None:
    seen, unseen, undo = 0, [], None
    for name, table, column, row, value in list(tampered_columns(full, part)):
        with raw(full) as connection:
            if undo is not None:
                assert connection.execute(undo).rowcount == 1
            assert connection.execute(update(table).where(*keyed(table, row)).values({column: value})).rowcount == 1
        seen += 1
        if not is_found_out(full):
            unseen.append(name)
        where = [other == (value if other is column else getattr(row, other.key)) for other in table.primary_key]
        undo = update(table).where(*where).values({column: getattr(row, column.key)})
    assert undo is not None
    with raw(full) as connection:
        assert connection.execute(undo).rowcount == 1
    assert sorted(unseen) == []
    assert seen > (50 if full.database.is_sqlite else 15)
    full.assert_sound()


@pytest.mark.long("thousands of changes, one after another")
def test_values_that_no_program_of_ours_writes(filled: ArchiveHome) -> None:
    """SQLite keeps any value in any column; PostgreSQL refuses most of them itself."""
    if not filled.database.is_sqlite:
        return
    unseen = []
    for name, table in sorted(Base.metadata.tables.items()):
        if UNBOUND.get(name, set()) is None:
            continue
        for column in table.columns:
            if column.name in (UNBOUND.get(name) or ()):
                continue
            value = ("garbage", b"\xff\xfe", 1.5)[zlib.crc32(f"{name}.{column.name}".encode()) % 3]
            if put_everywhere(filled, name, column.name, value) and filled.fsck().outcome is Outcome.VALID:
                unseen.append((name, column.name, value))
            put_back(filled, table)
    assert unseen == []
    filled.assert_sound()


def lifted(home: ArchiveHome) -> None:
    with home.database.begin() as tx:
        lift(tx.connection())


def put_everywhere(home: ArchiveHome, table: str, column: str, value: Any) -> bool:
    """Put a value into a column of every row, where the column takes it."""
    lifted(home)
    with closing(sqlite3.connect(str(home.database.url.database))) as database:
        database.execute("PRAGMA synchronous = OFF")
        has_rowid = Base.metadata.tables[table].dialect_options["sqlite"]["with_rowid"]
        number = "rowid" if has_rowid else "row_number() OVER ()"
        database.execute(f"CREATE TABLE kept AS SELECT {number} AS kept_id, * FROM {table}")
        try:
            count = database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", [value]).rowcount
        except sqlite3.IntegrityError:
            count = 0  # an INTEGER PRIMARY KEY takes integers only
        database.commit()
    return count > 0


def put_back(home: ArchiveHome, table: Table) -> None:
    columns = ", ".join(column.name for column in table.columns)
    with closing(sqlite3.connect(str(home.database.url.database))) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"DELETE FROM {table.name}")
        database.execute(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM kept ORDER BY kept_id")
        database.execute("DROP TABLE kept")
        database.commit()
    with home.database.begin() as tx:
        guard(tx.connection())


def test_the_columns_that_nothing_vouches_for_are_these(full: ArchiveHome) -> None:
    """A column that became bound goes off the list."""
    tables = Base.metadata.tables
    for name, columns in UNBOUND.items():
        assert name in tables
        assert set(columns or ()) <= set(tables[name].columns.keys())


def test_every_row_that_is_deleted(full: ArchiveHome) -> None:
    unseen = []
    for name, table in sorted(Base.metadata.tables.items()):
        if UNBOUND.get(name, set()) is None or name == "rendition":
            continue  # one may be made again
        if name == "log_cosignature":
            continue  # a witness signs anew; what is published and what others hold is still there
        with full.database.read() as tx:
            rows = tx.execute(select(table).order_by(*table.primary_key)).all()
        for row in rows if name in {"case_link", "retrieval_grant", "upload"} else rows[:1]:
            if name == "upload" and row.state == "receiving":
                continue  # not acknowledged: the dock has the recording, and its next HEAD says that it is gone
            with raw(full) as connection:
                assert connection.execute(delete(table).where(*keyed(table, row))).rowcount == 1
            if full.fsck().outcome is not Outcome.INVALID:
                unseen.append(name)
            with raw(full) as connection:
                connection.execute(insert(table).values({column: getattr(row, column.key) for column in table.columns}))
    assert unseen == []
    full.assert_sound()


ROWS: dict[str, Callable[[ArchiveHome], tuple[str, dict[str, Any]]]] = {
    "a grant without its entry": lambda home: (
        (
            "INSERT INTO retrieval_grant (id, account_id, object_id, kind, purpose, entry_id, granted_at, expires_at, "
            "is_emergency) SELECT :id, account_id, object_id, kind, purpose, entry_id, granted_at, expires_at, is_emergency "
            "FROM retrieval_grant WHERE request_id IS NULL LIMIT 1"
        ),
        {"id": home.id_value(uuid4())},
    ),
    "a key of a dock that nobody gave": lambda home: (
        (
            "INSERT INTO api_key (prefix, secret_hash, key_id, scope, holder_id, created_at, expires_at) "
            "SELECT 'x', secret_hash, key_id, scope, holder_id, created_at, expires_at "
            "FROM api_key WHERE scope = 'upload' LIMIT 1"
        ),
        {},
    ),
    "a key of a dock that opens other doors": lambda home: (
        "UPDATE api_key SET scope = 'cases.write' WHERE scope = 'upload'",
        {},
    ),
    "a key of a dock that was revoked unseen": lambda home: (
        "UPDATE api_key SET revoked_at = created_at WHERE scope = 'upload'",
        {},
    ),
    "a dock that is no longer revoked": lambda home: (
        "UPDATE dock SET revoked_at = NULL WHERE revoked_at IS NOT NULL",
        {},
    ),
    "an account with another role": lambda home: ("UPDATE account SET roles = 'administrator'", {}),
    "an upload without its entry": lambda home: ("UPDATE upload SET entry_id = NULL WHERE state = 'accepted'", {}),
    "an upload under another's entry": lambda home: (
        "UPDATE upload SET entry_id = (SELECT min(CAST(entry_id AS text)) FROM custody_event WHERE type = 'fixity.ok')"
        + ("" if home.database.is_sqlite else "::uuid")
        + " WHERE state = 'accepted'",
        {},
    ),
    "an acknowledged offset beyond what is on disk": lambda home: (
        "UPDATE upload SET offset_bytes = 9 WHERE state = 'receiving'",
        {},
    ),
    "an accepted upload that pretends to be open": lambda home: (
        "UPDATE upload SET state = 'receiving' WHERE state = 'accepted'",
        {},
    ),
    "an item that nobody looks at": lambda home: ("DELETE FROM job", {}),
    "an entry with another detail": lambda home: ("UPDATE log_detail SET salt = detail, detail = salt", {}),
    "an entry that is no JSON": lambda home: ("UPDATE log_entry SET body = :body", {"body": b"\xff{"}),
    "an entry that is no object": lambda home: ("UPDATE log_entry SET body = :body", {"body": b"[1]"}),
    "an entry that lacks everything": lambda home: ("UPDATE log_entry SET body = :body", {"body": b"{}"}),
    "an entry of another form": lambda home: (
        "UPDATE log_entry SET body = :body",
        {"body": b'{"dig":1,"id":[],"obj":"x","t":{},"type":"object.preserved"}'},
    ),
    "a note that is none": lambda home: ("UPDATE log_checkpoint SET note = 'x'", {}),
    "a log without checkpoints": lambda home: ("DELETE FROM log_checkpoint", {}),
    "a log without nodes": lambda home: ("DELETE FROM log_node", {}),
    "a log without leaves": lambda home: ("DELETE FROM log_leaf", {}),
    "an entry that waits although it is in the log": lambda home: (
        "INSERT INTO log_pending SELECT entry_id FROM log_leaf WHERE leaf_index = 0",
        {},
    ),
}


@pytest.mark.parametrize("what", ROWS)
def test_what_somebody_with_the_database_in_hand_might_do(filled: ArchiveHome, what: str) -> None:
    sql, values = ROWS[what](filled)
    with raw(filled) as connection:
        assert connection.execute(text(sql), values).rowcount != 0
    report = filled.fsck()
    assert report.outcome is Outcome.INVALID
    assert all(fault.where for fault in report.findings if fault.code in {"fsck.unlogged", "fsck.row_missing"})


LOOKS = {
    "another finding": "UPDATE item_look SET found = '{\"points\": []}'",
    "another finding, and its digest": "UPDATE item_look SET found = '{}', sha256 = '"
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'",
    "another look": "UPDATE item_look SET look = 'damage'",
    "a look that nobody took": "INSERT INTO item_look "
    "SELECT object_id, 'damage', found, sha256, tool, made_at FROM item_look",
    "another tool": "UPDATE item_look SET tool = 'by eye'",
    "another time": "UPDATE item_look SET made_at = (SELECT min(at) FROM custody_event)",
    "another item": "UPDATE item_look SET object_id = (SELECT object_id FROM evidence_item WHERE probe IS NULL)",
    "a look that is gone": "DELETE FROM item_look",
    "a probe that is gone": "UPDATE evidence_item SET probe = NULL WHERE probe IS NOT NULL",
    "a probe of something else": "UPDATE evidence_item SET probe = '{}' WHERE probe IS NOT NULL",
    "a probe that nobody took": "UPDATE evidence_item SET probe = '{}' WHERE probe IS NULL",
}


@pytest.mark.parametrize("what", LOOKS)
def test_what_looks_into_items_found(full: ArchiveHome, what: str) -> None:
    full.deliver(full.dock("Dock 4"), b"nobody has looked yet", "late.mp4")
    full.sequence()
    full.assert_sound()
    with raw(full) as connection:
        assert connection.execute(text(LOOKS[what])).rowcount != 0
    faults = [fault for fault in full.faults() if fault.outcome is Outcome.INVALID]
    assert {fault.code for fault in faults} <= {"fsck.row_changed", "fsck.unlogged", "fsck.row_missing"}
    assert faults
    assert all(fault.where for fault in faults)


def test_what_a_look_found_is_not_asked_about_once_its_words_are_erased(full: ArchiveHome) -> None:
    assert full.erase(lambda entry: entry["type"] == "item.described")
    with raw(full) as connection:
        connection.execute(text("UPDATE item_look SET found = '{}'"))
    full.assert_sound()
