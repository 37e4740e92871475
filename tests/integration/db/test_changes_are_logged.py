"""No change of domain meaning without its log entry, and none at all where a use case refuses.

Each step is held against a dump of every table: what changed, and how many entries came with it.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from archive.access.accounts import UsernameTaken, create_account
from archive.access.attempts import TooManyAttempts
from archive.access.policy import Role
from archive.access.sessions import SignInRefused, sign_in, sign_out
from archive.cases.changes import update_case
from archive.cases.filing import (
    AlreadyLinked,
    CaseNotFound,
    CaseNumberTaken,
    NotLinked,
    link_object,
    record_act,
    unlink_object,
)
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import NotMerged, SubjectMerged, merge_subjects, separate_subjects
from archive.cases.records import file_text_record
from archive.cases.subject_listings import subject_view
from archive.cases.subjects import (
    IdentifierTaken,
    KnownSubject,
    NewSubject,
    add_identifier,
    record_subject,
    remove_identifier,
    show_identifier,
    update_subject,
)
from archive.cases.terms import RecordForm, Stage, SubjectKind
from archive.custody.events import ObjectNotFound
from archive.db.base import Base
from archive.documents.records import NotPdf
from archive.jobs.queue import PROMPT
from archive.kernel.errors import Forbidden, InvalidInput, LiuhenError
from archive.kernel.ids import CaseId, DockId, ObjectId, SubjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from ingest.docks import enrol_dock, invite_dock, revoke_dock
from ingest.errors import (
    DigestMismatch,
    DockNotFound,
    EmptyFile,
    EnrolmentRefused,
    ManifestMalformed,
    ManifestUntrusted,
    TooLarge,
)
from ingest.uploads import expire_uploads, terminate_upload
from retention.fixity import check_fixity
from tests.support.archive_home import PASSWORD, PDF, ArchiveHome, EnrolledDock

# Leases, offsets, what is announced and not done yet, counts of refusals, and the log itself.
TECHNICAL = {
    "job", "upload", "intake_claim", "preservation_intent", "log_entry", "log_detail", "log_pending", "log_leaf",
    "log_node", "log_checkpoint", "log_segment", "sign_in_delay", "refused_names",
}  # fmt: skip

RULES = RetrievalRules.load()
Dump = Mapping[str, list[str]]


def dump(home: ArchiveHome) -> Dump:
    with home.database.read() as tx:
        return {
            name: sorted(repr(tuple(row)) for row in tx.execute(select(table)))
            for name, table in Base.metadata.tables.items()
        }


def changed(before: Dump, after: Dump) -> set[str]:
    return {name for name in before if before[name] != after[name]}


class Walk:
    """Does one thing after the other, and looks at the tables in between."""

    def __init__(self, home: ArchiveHome) -> None:
        self.home = home
        self.before = dump(home)
        self.seen = {entry["id"] for entry in home.entries()}

    def step(self, work: Callable[[], Any], *types: str) -> Any:
        """Do `work`, which writes exactly these entries, and changes the domain's tables only if it writes any."""
        result = work()
        self.look(*types)
        return result

    def refused(self, cause: type[LiuhenError], work: Callable[[], Any], *types: str) -> None:
        with pytest.raises(cause):
            work()
        self.look(*types)

    def look(self, *types: str) -> None:
        after = dump(self.home)
        entries = self.home.entries()
        found = [entry["type"] for entry in entries if entry["id"] not in self.seen]
        self.seen = {entry["id"] for entry in entries}
        assert found == list(types)
        tables = changed(self.before, after) - TECHNICAL
        assert bool(tables) <= bool(types), f"{tables} changed without an entry"
        self.before = after


@pytest.fixture
def walk(home: ArchiveHome) -> Walk:
    return Walk(home)


def test_people(home: ArchiveHome, walk: Walk) -> None:
    database, clock = home.database, home.clock
    fields = {"display_name": "Wang", "roles": [Role.SUPERVISOR], "by": OPERATOR}

    def make(username: str = "wang", password: str = PASSWORD) -> Any:
        return create_account(database, username=username, password=password, at=clock.now(), **fields)

    def enter(password: str = PASSWORD, username: str = "wang") -> str:
        return sign_in(home.services.sign_ins, username=username, password=password, at=clock.now())

    walk.step(make, "admin.account_created")
    walk.refused(UsernameTaken, make)
    walk.refused(InvalidInput, lambda: make("li", "short"))
    walk.refused(InvalidInput, lambda: make("  "))
    token = walk.step(enter, "admin.signed_in")
    walk.refused(SignInRefused, lambda: enter("wrong"), "admin.sign_in_refused")
    walk.refused(SignInRefused, lambda: enter(username="nobody"))
    walk.step(lambda: sign_out(database, token=token, at=clock.now()), "admin.signed_out")
    walk.step(lambda: sign_out(database, token=token, at=clock.now()))
    for _ in range(5):
        walk.refused(SignInRefused, lambda: enter("wrong"), "admin.sign_in_refused")
    walk.refused(TooManyAttempts, enter)
    home.sequence()
    home.assert_sound()


def test_docks(home: ArchiveHome, walk: Walk) -> None:
    database, clock = home.database, home.clock
    code = walk.step(lambda: invite_dock(database, name="采集站一", by=OPERATOR, at=clock.now()), "admin.dock_invited")

    def enrol(public_key: bytes = bytes(range(32))) -> Any:
        return enrol_dock(database, code=code, public_key=public_key, at=clock.now())

    walk.refused(InvalidInput, lambda: enrol(b"short"))
    enrolment = walk.step(enrol, "admin.dock_enrolled")
    walk.refused(EnrolmentRefused, enrol)

    def revoke(dock_id: DockId = enrolment.dock_id) -> None:
        revoke_dock(database, dock_id, by=OPERATOR, at=clock.now())

    walk.step(revoke, "admin.dock_revoked")
    walk.refused(DockNotFound, revoke)
    walk.refused(DockNotFound, lambda: revoke(DockId(new_uuid7())))
    home.sequence()
    home.assert_sound()


def test_subjects(home: ArchiveHome) -> None:
    database, vault, clock = home.database, home.services.identifiers, home.clock
    handler, auditor = home.person(Role.CASE_HANDLER), home.person(Role.AUDITOR)
    walk = Walk(home)
    number = Identifier(IdentifierKind.RESIDENT_ID, "11010519491231002X")
    by: Any = {"by": OPERATOR, "at": clock.now()}

    def record(given: Identifier | None = None) -> SubjectId:
        return record_subject(database, vault, NewSubject("张三", SubjectKind.PERSON, given), **by)

    first = walk.step(lambda: record(number), "subject.recorded")
    assert walk.step(lambda: record(number)) == first
    second = walk.step(record, "subject.recorded")
    walk.step(lambda: update_subject(database, second, name="李四", **by), "subject.updated")
    walk.step(lambda: update_subject(database, second, name="李四", **by))
    walk.refused(IdentifierTaken, lambda: add_identifier(database, vault, second, number, **by))
    walk.step(lambda: add_identifier(database, vault, first, number, **by))
    with database.read() as tx:
        (known,) = subject_view(tx, vault, first).identifiers

    def show(who: Any) -> Identifier:
        return show_identifier(database, vault, first, known.id, purpose="核对", by=who, at=clock.now())

    walk.refused(Forbidden, lambda: show(auditor))
    walk.step(lambda: show(handler), "access.identifier")
    walk.step(lambda: merge_subjects(database, first, second, reason="x", **by), "subject.merged")
    walk.refused(SubjectMerged, lambda: merge_subjects(database, first, second, reason="x", **by))
    walk.step(lambda: separate_subjects(database, second, reason="x", **by), "subject.separated")
    walk.refused(NotMerged, lambda: separate_subjects(database, second, reason="x", **by))
    walk.step(lambda: remove_identifier(database, first, known.id, reason="x", **by), "subject.updated")
    case_id = walk.step(lambda: home.case(subject=KnownSubject(first)), "case.opened")
    walk.step(lambda: update_case(database, vault, case_id, title="新", **by), "case.updated")
    walk.step(lambda: update_case(database, vault, case_id, subject=KnownSubject(second), **by), "case.updated")
    walk.step(lambda: update_case(database, vault, case_id, title="新", **by))
    home.sequence()
    home.assert_sound()


def test_cases_and_what_is_filed(home: ArchiveHome, dock: EnrolledDock) -> None:
    database, clock, services = home.database, home.clock, home.services
    object_id = home.deliver(dock, b"footage")
    supervisor, auditor = home.person(Role.SUPERVISOR), home.person(Role.AUDITOR)
    walk = Walk(home)
    nobody, nothing = CaseId(new_uuid7()), ObjectId(new_uuid7())

    case_id = walk.step(home.case, "subject.recorded", "case.opened")
    walk.refused(CaseNumberTaken, home.case)

    def act(case: CaseId = case_id, length: timedelta = timedelta(hours=1)) -> Any:
        start = clock.now()
        return record_act(
            database, case, stage=Stage.INSPECTION, place="店内", started_at=start, ended_at=start + length,
            by=OPERATOR, at=start,
        )  # fmt: skip

    act_id = walk.step(act, "case.act")
    walk.refused(CaseNotFound, lambda: act(nobody))
    walk.refused(InvalidInput, lambda: act(length=timedelta(hours=-1)))

    def link(case: CaseId = case_id, found: ObjectId = object_id, act_id: Any = act_id) -> None:
        link_object(database, case, found, act_id=act_id, reason="同一检查", by=OPERATOR, at=clock.now())

    def unlink() -> None:
        unlink_object(database, case_id, object_id, reason="错案", by=OPERATOR, at=clock.now())

    other_case = walk.step(lambda: home.case("2号"), "subject.recorded", "case.opened")
    walk.refused(InvalidInput, lambda: link(other_case))
    walk.refused(CaseNotFound, lambda: link(nobody))
    walk.refused(ObjectNotFound, lambda: link(found=nothing))
    walk.refused(NotLinked, unlink)
    walk.step(link, "case.link")
    walk.refused(AlreadyLinked, link)
    walk.step(unlink, "case.unlink")
    walk.refused(NotLinked, unlink)
    walk.step(link, "case.link")

    def file(pdf: bytes = PDF, case: CaseId = case_id, title: str = "现场检查笔录") -> ObjectId:
        return file_text_record(
            database, services.objects, services.signer, case_id=case, form=RecordForm.INSPECTION_RECORD,
            title=title, name="笔录.pdf", pdf=pdf, by=OPERATOR, at=clock.now(),
        )  # fmt: skip

    walk.step(file, "record.filed", "case.link")
    walk.refused(NotPdf, lambda: file(b"no pdf"))
    walk.refused(CaseNotFound, lambda: file(case=nobody))
    walk.refused(InvalidInput, lambda: file(title="\n"))

    def grant(by: Any = supervisor, kind: GrantKind = GrantKind.VIEW, found: ObjectId = object_id) -> Any:
        return grant_access(
            database, found, kind=kind, purpose=Purpose("案卷评查", "任务 1"), by=by, rules=RULES, at=clock.now()
        )

    walk.step(grant, "access.view")
    walk.step(lambda: grant(kind=GrantKind.EXPORT), "access.export")
    walk.refused(Forbidden, lambda: grant(auditor))
    walk.refused(ObjectNotFound, lambda: grant(found=nothing))
    walk.step(lambda: check_fixity(services.fixity, object_id, by=OPERATOR), "fixity.ok")
    walk.refused(ObjectNotFound, lambda: check_fixity(services.fixity, nothing, by=OPERATOR))
    home.sequence()
    home.assert_sound()


def test_what_a_dock_brings(home: ArchiveHome, dock: EnrolledDock) -> None:
    intake, other = home.intake, home.dock("Dock 2")
    home.case()
    walk = Walk(home)
    upload_id = walk.step(lambda: home.bring(dock, b"one", case="昆市监罚〔2026〕1号"))
    walk.step(lambda: finish_upload(intake, upload_id), "object.preserved", "ingest.received", "case.link")
    walk.step(lambda: finish_upload(intake, upload_id))
    again = home.bring(other, b"one", case="昆市监罚〔2026〕1号")
    walk.step(lambda: finish_upload(intake, again), "ingest.received")
    wrong = home.bring(dock, b"two", said=b"TWO")
    walk.refused(DigestMismatch, lambda: finish_upload(intake, wrong), "ingest.quarantined")
    walk.refused(DigestMismatch, lambda: finish_upload(intake, wrong))
    forged = home.bring(dock, b"three", key=other.key)
    walk.refused(ManifestUntrusted, lambda: finish_upload(intake, forged), "ingest.quarantined")
    foreign = home.bring(dock, b"four", dock_id=other.id)
    walk.refused(ManifestUntrusted, lambda: finish_upload(intake, foreign), "ingest.quarantined")
    walk.refused(EmptyFile, lambda: home.begin(dock, b""))
    walk.refused(ManifestMalformed, lambda: home.begin(dock, b"five", said=b"fiver"))
    walk.refused(ManifestMalformed, lambda: home.begin(dock, b"five", "x" * 1025))
    small = home.begin(dock, b"six").id
    walk.step(lambda: terminate_upload(intake, small, dock_id=dock.id))
    home.begin(dock, b"seven")
    home.clock.step(timedelta(days=8))
    walk.step(lambda: expire_uploads(intake))
    home.sequence()
    home.assert_sound()


def test_a_file_that_is_too_large_is_refused_before_anything_is_written(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.settings = home.settings.model_copy(update={"max_upload_bytes": 4})
    home.reopen()
    Walk(home).refused(TooLarge, lambda: home.begin(dock, b"12345"))
    assert list((home.path / "staging").iterdir()) == []


def test_what_a_job_finds_out(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.deliver(dock, b"\1\2 no recording, whatever its name says", "a.mp4")
    walk = Walk(home)
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    assert walk.step(lambda: worker.run_once([PROMPT]), "item.described", "derivative.failed")
    assert home.rows("SELECT play_state FROM evidence_item") == [("unplayable",)]
    home.sequence()
    home.assert_sound()


def test_what_is_read_in_a_document(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.deliver(dock, b"A text, whatever its name says", "a.mp4")
    walk = Walk(home)
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    assert walk.step(lambda: worker.run_once([PROMPT]), "item.described")
    assert walk.step(lambda: worker.run_once([PROMPT]), "item.described")
    assert home.count("evidence_item", "play_state = 'playable'") == 1
    home.sequence()
    home.assert_sound()
