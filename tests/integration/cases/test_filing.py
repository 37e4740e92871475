"""Opening, linking and unlinking, also by several at once; and text records."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archive.access.policy import Role
from archive.cases.filing import (
    AlreadyLinked,
    CaseNotFound,
    CaseNumberTaken,
    NotLinked,
    case_by_number,
    link_object,
    record_act,
    unlink_object,
)
from archive.cases.listings import case_view, cases_of, cases_of_events
from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm, Stage
from archive.custody.events import custody_trail
from archive.documents.listings import text_record
from archive.documents.records import MAX_RECORD_BYTES, NotPdf
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.retrieval.grants import GrantNotFound, Purpose, active_grant, grant_access
from archive.retrieval.rules import GrantKind, RetrievalRules
from tests.support.archive_home import PDF, ArchiveHome

RULES = RetrievalRules.load()
Deliver = Callable[..., ObjectId]


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do several things at the same time; return what each returned, or the class of what it raised."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = work()
        except BaseException as error:  # noqa: BLE001 - told by the test
            results[number] = type(error)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def link(home: ArchiveHome, case_id: CaseId, object_id: ObjectId, **fields: Any) -> None:
    given = {"act_id": None, "reason": "同一检查", "by": OPERATOR, "at": home.clock.now()} | fields
    link_object(home.database, case_id, object_id, **given)


def unlink(home: ArchiveHome, case_id: CaseId, object_id: ObjectId) -> None:
    unlink_object(home.database, case_id, object_id, reason="错案", by=OPERATOR, at=home.clock.now())


def file(home: ArchiveHome, case_id: CaseId, *, pdf: bytes = PDF, name: str = "笔录.pdf") -> ObjectId:
    return file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=case_id, form=RecordForm.INSPECTION_RECORD,
        title="现场检查笔录", name=name, pdf=pdf, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip


def test_a_case_is_found_by_its_number_however_it_is_spelt(home: ArchiveHome) -> None:
    case_id = home.case("Café-1")
    with home.database.read() as tx:
        for spelling in ("Café-1", " Cafe\N{COMBINING ACUTE ACCENT}-1 "):
            found = case_by_number(tx, spelling)
            assert found is not None
            assert found.id == case_id
        assert case_by_number(tx, "Café-2") is None
    with pytest.raises(CaseNumberTaken):
        home.case(" Cafe\N{COMBINING ACUTE ACCENT}-1")


@pytest.mark.parametrize("number", ["", " ", "x" * 101, "a\nb", "a\x00b", "\x7f"])
def test_an_unusable_number_is_refused(home: ArchiveHome, number: str) -> None:
    with pytest.raises(InvalidInput):
        home.case(number)
    assert home.count("case_file") == 0


def test_a_number_taken_by_several_at_once_is_one_case(home: ArchiveHome) -> None:
    results = at_once(*[lambda: home.case("同号")] * 6)
    assert results.count(CaseNumberTaken) == 5
    assert home.count("case_file") == home.types().count("case.opened") == 1


def test_an_object_may_be_filed_under_several_cases_and_taken_out_again(home: ArchiveHome, deliver: Deliver) -> None:
    first, second = home.case("1"), home.case("2")
    object_id = deliver(b"footage")
    link(home, first, object_id)
    link(home, second, object_id)
    with home.database.read() as tx:
        assert [case.number for case in cases_of(tx, object_id)] == ["1", "2"]
    unlink(home, first, object_id)
    with home.database.read() as tx:
        assert [case.number for case in cases_of(tx, object_id)] == ["2"]
        assert case_view(tx, first).items == []
        assert [row.item.object_id for row in case_view(tx, second).items] == [object_id]
        trail = [row.type for row in custody_trail(tx, object_id)]
        told = {case.number for case in cases_of_events(tx, object_id).values()}
    assert trail == ["object.preserved", "ingest.received", "case.link", "case.link", "case.unlink"]
    assert told == {"1", "2"}, "the trail still says that it once belonged to the first"


def test_linking_by_several_at_once_is_one_link(home: ArchiveHome, deliver: Deliver) -> None:
    case_id, object_id = home.case(), deliver(b"footage")
    results = at_once(*[lambda: link(home, case_id, object_id)] * 4)
    assert sorted(str(result) for result in results) == sorted([str(AlreadyLinked)] * 3 + ["None"])
    assert home.types().count("case.link") == 1
    home.sequence()
    home.assert_sound()


def test_unlinking_by_several_at_once_is_one_event(home: ArchiveHome, deliver: Deliver) -> None:
    case_id, object_id = home.case(), deliver(b"footage")
    link(home, case_id, object_id)
    results = at_once(*[lambda: unlink(home, case_id, object_id)] * 4)
    assert sorted(str(result) for result in results) == sorted([str(NotLinked)] * 3 + ["None"])
    assert home.types().count("case.unlink") == 1
    link(home, case_id, object_id)
    home.sequence()
    home.assert_sound()


def test_an_act_belongs_to_its_own_case(home: ArchiveHome, deliver: Deliver) -> None:
    first, second, object_id = home.case("1"), home.case("2"), deliver(b"footage")
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    act_id = record_act(
        home.database, first, stage=Stage.INSPECTION, place="店内", started_at=start, ended_at=start, by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip
    with pytest.raises(InvalidInput):
        link(home, second, object_id, act_id=act_id)
    with pytest.raises(InvalidInput):
        link(home, first, object_id, act_id=new_uuid7())
    link(home, first, object_id, act_id=act_id)
    with home.database.read() as tx:
        assert [row.act_id for row in case_view(tx, first).items] == [act_id]


def test_an_act_without_time_zone_is_refused(home: ArchiveHome) -> None:
    case_id = home.case()
    with pytest.raises(InvalidInput):
        record_act(
            home.database, case_id, stage=Stage.INSPECTION, place="店内", started_at=datetime(2026, 3, 1, 9),  # noqa: DTZ001
            ended_at=None, by=OPERATOR, at=home.clock.now(),
        )  # fmt: skip
    assert "case.act" not in home.types()


def test_a_dock_names_the_case_and_the_footage_is_filed(home: ArchiveHome, deliver: Deliver) -> None:
    case_id = home.case("昆市监罚〔2026〕7号")
    with_case = deliver(b"one", case=" 昆市监罚〔2026〕7号")
    deliver(b"two", case="没有这个案号")
    deliver(b"three")
    with home.database.read() as tx:
        assert [row.item.object_id for row in case_view(tx, case_id).items] == [with_case]


def test_a_text_record_is_preserved_like_footage(home: ArchiveHome) -> None:
    case_id = home.case()
    object_id = file(home, case_id)
    with home.database.read() as tx:
        view = text_record(tx, object_id)
        (row,) = case_view(tx, case_id).records
    assert (view.record.title, view.original.name, view.original.kind) == ("现场检查笔录", "笔录.pdf", "record")
    assert row.record.object_id == object_id
    assert home.file_of(object_id, "original/笔录.pdf").read_bytes() == PDF
    assert home.count("preservation_intent") == 0
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("", "record.pdf"),
        ("a\x00\n\N{RIGHT-TO-LEFT OVERRIDE}b.pdf", "ab.pdf"),
        ("笔" * 2000, None),
        ("\udce4.pdf", None),
    ],
)
def test_a_hostile_name_is_no_reason_to_lose_a_record(home: ArchiveHome, name: str, kept: str | None) -> None:
    object_id = file(home, home.case(), name=name)
    with home.database.read() as tx:
        path = text_record(tx, object_id).original.content_path
    assert kept is None or path == f"original/{kept}"
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize(
    "pdf",
    [b"", b"%PDF-1.7", b"text %%EOF", b"%PDF-" + b"x" * MAX_RECORD_BYTES + b"%%EOF"],
    ids=["empty", "no end", "no beginning", "too large"],
)
def test_what_is_no_pdf_is_refused_and_announces_nothing(home: ArchiveHome, pdf: bytes) -> None:
    case_id = home.case()
    with pytest.raises((NotPdf, InvalidInput)):
        file(home, case_id, pdf=pdf)
    assert home.count("preservation_intent") == 0
    assert list(home.services.objects.object_ids()) == []


def test_a_grant_is_its_owners_while_it_lasts(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    owner, other = home.person(Role.SUPERVISOR), home.person(Role.SUPERVISOR, "other")
    grant_id = grant_access(
        home.database,
        object_id,
        kind=GrantKind.VIEW,
        purpose=Purpose("评查", "任务 1"),
        by=owner,
        rules=RULES,
        at=home.clock.now(),
    )

    def active(by: Any) -> Any:
        with home.database.read() as tx:
            return active_grant(tx, grant_id, by=by, at=home.clock.now())

    assert active(owner).object_id == object_id
    with pytest.raises(GrantNotFound):
        active(other)
    home.clock.step(RULES.lasts - timedelta(minutes=1))
    assert active(owner)
    home.clock.step(timedelta(minutes=1))
    with pytest.raises(GrantNotFound):
        active(owner)


@pytest.mark.parametrize("purpose", ["", "  ", "x" * 501, "a\x00b"])
def test_nothing_is_shown_without_a_purpose(home: ArchiveHome, deliver: Deliver, purpose: str) -> None:
    object_id, owner = deliver(b"footage"), home.person(Role.SUPERVISOR)
    with pytest.raises(InvalidInput):
        grant_access(
            home.database,
            object_id,
            kind=GrantKind.VIEW,
            purpose=Purpose(purpose, "任务 1"),
            by=owner,
            rules=RULES,
            at=home.clock.now(),
        )
    assert "access.view" not in home.types()


def test_a_case_that_is_not_there(home: ArchiveHome) -> None:
    with home.database.read() as tx, pytest.raises(CaseNotFound):
        case_view(tx, CaseId(new_uuid7()))
