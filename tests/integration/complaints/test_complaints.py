"""Complaints and reports: numbers, who sees and handles them, steps with their entries, what an open one stops."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.cases.filing import CaseNotFound, link_object
from archive.complaints.complainants import (
    Complainant,
    ComplainantUnknown,
    keys_of_complainants,
    masked_complainant,
    rekey_complainants,
    show_complainant,
)
from archive.complaints.handlers import ComplaintNotFound, NamedInComplaint, NoHandler, possible_handlers
from archive.complaints.linking import (
    AlreadyAbout,
    Links,
    NotAbout,
    link_complaint,
    open_complaints_of,
    stops_disposition,
    unlink_complaint,
)
from archive.complaints.listings import (
    Urgency,
    Which,
    complaint_view,
    complaints,
    complaints_of_case,
    complaints_of_object,
    export_complaints,
)
from archive.complaints.models import Complaint, ComplaintStep
from archive.complaints.moving import ComplaintOfAnotherAgency, move_complaint
from archive.complaints.steps import StateDoesNotFollow, add_note, assign_complaint, take_step
from archive.complaints.sweeping import tell_deadlines
from archive.complaints.terms import ComplaintKind, State
from archive.jobs.queue import PROMPT
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import AccountId, ComplaintId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.notify.notices import notices
from archive.organisation.units import UnitNotFound, change_unit, record_agency
from archive.worker.loop import Worker
from tests.integration.access.test_sight import work
from tests.integration.complaints.conftest import ZHANG, Office
from tests.support.archive_home import ArchiveHome

STEPS = (State.ACCEPTED, State.INVESTIGATED, State.ANSWERED, State.CLOSED)


@pytest.fixture
def head(office: Office) -> Caller:
    return office.person("head", unit=office.team)


def row_of(home: ArchiveHome, complaint_id: ComplaintId) -> Complaint:
    with home.database.read() as tx:
        return tx.get_one(Complaint, complaint_id)


def go_on(office: Office, complaint_id: ComplaintId, *states: State, by: Caller) -> None:
    for state in states:
        take_step(office.seen_by(by), complaint_id, state, text="已办理。", by=by, at=office.home.clock.now())


def told(home: ArchiveHome, person: Caller) -> list[str]:
    with home.database.read() as tx:
        return [row.kind for row in notices(tx, person.account_id).rows]


def listed(office: Office, person: Caller, which: Which = Which.OPEN) -> list[ComplaintId]:
    at = office.home.clock.now()
    with office.seen_by(person).read() as tx:
        return [row.complaint.id for row in complaints(tx, office.rules, which=which, by=person, at=at).rows]


# ---- registering ---------------------------------------------------------------------------------------------------


def test_a_complaint_gets_number_deadlines_entry_and_is_told(office: Office, home: ArchiveHome, head: Caller) -> None:
    supervisor = office.person("bureau", Role.SUPERVISOR)
    before = len(home.entries())
    complaint_id = office.register(supervisor)
    row = row_of(home, complaint_id)
    year = office.rules.year_of(home.clock.now())
    assert row.number == f"投〔{year}〕00001号"
    assert row.due_at == row.accept_by < row.answer_by
    assert home.types()[before:] == ["complaint.registered"]
    assert told(home, head) == ["complaint.registered"]
    assert told(home, supervisor) == []
    stored = json.dumps(home.entries(), ensure_ascii=False) + str(home.rows("SELECT * FROM complaint"))
    details = str([bytes(detail) for (detail,) in home.rows("SELECT detail FROM log_detail")])
    for secret in ("张三丰", "13812345678"):
        assert secret not in stored
        assert secret not in details
    assert "未出示证件" not in details
    home.assert_sound()


def test_each_kind_and_year_counts_for_itself(office: Office, home: ArchiveHome, head: Caller) -> None:
    head = office.cleared(head)
    ids = [office.register(head), office.register(head, ComplaintKind.REPORT), office.register(head)]
    ids.append(office.register(head, ago=timedelta(days=366)))
    year = office.rules.year_of(home.clock.now())
    assert [row_of(home, found).number for found in ids] == [
        f"投〔{year}〕00001号", f"举〔{year}〕00001号", f"投〔{year}〕00002号", f"投〔{year - 1}〕00001号",
    ]  # fmt: skip


def test_two_at_once_get_two_numbers(office: Office, home: ArchiveHome, head: Caller) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: office.register(head), range(8)))
    numbers = {row_of(home, found).number for found in ids}
    assert len(numbers) == 8
    assert home.types().count("complaint.registered") == 8


def test_an_anonymous_one_has_nobody_to_show(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id = office.register(head, complainant=Complainant(" ", ""))
    assert row_of(home, complaint_id).key_id is None
    with pytest.raises(ComplainantUnknown):
        show_complainant(
            home.database, home.services.identifiers, complaint_id, purpose="核实", by=head, at=home.clock.now()
        )  # fmt: skip


@pytest.mark.parametrize("says", ["", "   ", "x" * 5001, "a\0b"])
def test_what_says_nothing_is_refused(office: Office, home: ArchiveHome, head: Caller, says: str) -> None:
    before = len(home.entries())
    with pytest.raises(InvalidInput):
        office.register(head, says=says)
    assert (len(home.entries()), home.count("complaint"), home.count("complaint_count")) == (before, 0, 0)


def test_the_future_and_unknown_things_are_refused(office: Office, home: ArchiveHome, head: Caller) -> None:
    for cause, wrong in (
        (InvalidInput, {"ago": -timedelta(hours=1)}),
        (UnitNotFound, {"unit": new_uuid7()}),
        (CaseNotFound, {"links": Links(cases=[new_uuid7()])}),  # type: ignore[list-item]
    ):
        with pytest.raises(cause):
            office.register(head, **wrong)  # type: ignore[arg-type]
    assert home.count("complaint") == 0


def test_who_may_not_handle_complaints_registers_none(office: Office) -> None:
    handler = office.person("handler", Role.CASE_HANDLER, office.team)
    with pytest.raises(Forbidden):
        office.register(handler)


# ---- who sees ------------------------------------------------------------------------------------------------------


def test_the_unit_and_those_above_see_it(office: Office, head: Caller) -> None:
    above, beside = office.person("above"), office.person("beside", unit=office.other_team)
    complaint_id = office.register(head)
    assert listed(office, head) == listed(office, above) == [complaint_id]
    assert listed(office, beside) == []
    with office.seen_by(beside).read() as tx, pytest.raises(ComplaintNotFound):
        complaint_view(tx, office.rules, complaint_id, by=beside, at=office.home.clock.now())
    with pytest.raises(ComplaintNotFound):
        add_note(office.seen_by(beside), complaint_id, text="x", by=beside, at=office.home.clock.now())


def test_a_report_is_seen_by_who_is_cleared(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id = office.register(head, ComplaintKind.REPORT)
    assert listed(office, head) == []
    with pytest.raises(ComplaintNotFound):
        take_step(office.seen_by(head), complaint_id, State.ACCEPTED, text="x", by=head, at=home.clock.now())
    with office.seen_by(head).read() as tx:
        assert tx.scalars(select(ComplaintStep)).all() == []
    head = office.cleared(head)
    assert listed(office, head) == [complaint_id]
    go_on(office, complaint_id, State.ACCEPTED, by=head)


def test_what_moves_with_its_unit_is_seen_from_there(office: Office, home: ArchiveHome, head: Caller) -> None:
    other = office.person("other", unit=office.other_team)
    complaint_id = office.register(head)
    change_unit(
        home.database, office.team, code="01", name="一中队", parent_id=office.other_team, by=OPERATOR, at=home.clock.now()
    )  # fmt: skip
    work(home)
    assert listed(office, other) == [complaint_id]


def test_a_complaint_that_is_handed_to_another_unit_is_handled_there(
    office: Office, home: ArchiveHome, head: Caller
) -> None:
    here = office.person("here", unit=office.team)
    there = office.person("there", unit=office.other_team)
    complaint_id = office.register(here, unit=office.team)
    assign_complaint(home.database, complaint_id, here.account_id, by=head, at=home.clock.now())

    def move(by: Caller, where: UUID, text: str = "不属本队管辖") -> bool:
        return move_complaint(office.seen_by(by), complaint_id, where, text=text, by=by, at=home.clock.now())

    elsewhere = record_agency(home.database, code="2", name="别的局", by=OPERATOR, at=home.clock.now())
    root = home.rows("SELECT root_unit_id FROM agency WHERE id = :id", id=home.id_value(elsewhere))[0][0]
    for by, where, text, cause in (
        (there, office.other_team, "x", ComplaintNotFound),
        (here, office.other_team, " ", InvalidInput),
        (here, UUID(str(root)), "x", ComplaintOfAnotherAgency),
    ):
        with pytest.raises(cause):
            move(by, where, text)
    told = home.count("notice")
    assert move(here, office.team) is False
    assert move(here, office.other_team) is True
    assert home.count("notice") == told + 1, "its people are told"
    assert home.rows("SELECT responsible_id FROM complaint") == [(None,)]
    with pytest.raises(ComplaintNotFound):
        move(here, office.team)
    take_step(
        office.seen_by(there), complaint_id, State.ACCEPTED, text="受理", by=there, at=home.clock.now()
    )  # fmt: skip
    home.assert_sound()


def test_whom_it_is_about_neither_handles_it_nor_sees_the_complainant(
    office: Office, home: ArchiveHome, head: Caller
) -> None:
    named = office.person("named", unit=office.team, officer=office.officer)
    complaint_id = office.register(head, links=Links(officers=[office.officer]))
    at, seen = home.clock.now(), office.seen_by(named)
    with seen.read() as tx:
        view = complaint_view(tx, office.rules, complaint_id, by=named, at=at)
    assert view.row.is_named
    assert (view.steps, view.officers, view.cases) == ((), (), ())
    before = len(home.entries())
    doings: list[Callable[[], object]] = [
        lambda: take_step(seen, complaint_id, State.ACCEPTED, text="x", by=named, at=at),
        lambda: add_note(seen, complaint_id, text="x", by=named, at=at),
        lambda: assign_complaint(seen, complaint_id, named.account_id, by=named, at=at),
        lambda: link_complaint(seen, complaint_id, Links(), reason="x", by=named, at=at),
        lambda: unlink_complaint(seen, complaint_id, Links(officers=[office.officer]), reason="x", by=named, at=at),
        lambda: show_complainant(seen, home.services.identifiers, complaint_id, purpose="x", by=named, at=at),
    ]
    for doing in doings:
        with pytest.raises(NamedInComplaint):
            doing()
    with pytest.raises(NoHandler):
        assign_complaint(home.database, complaint_id, named.account_id, by=head, at=at)
    with pytest.raises(NamedInComplaint):
        office.register(named, links=Links(officers=[office.officer]))
    assert len(home.entries()) == before
    assert told(home, named) == []
    with home.database.read() as tx:
        assert [found.id for found in possible_handlers(tx, row_of(home, complaint_id), at=at)] == [head.account_id]


def test_who_is_found_to_be_meant_is_responsible_no_more(office: Office, home: ArchiveHome, head: Caller) -> None:
    named = office.person("named", unit=office.team, officer=office.officer)
    complaint_id = office.register(head)
    assign_complaint(home.database, complaint_id, named.account_id, by=head, at=home.clock.now())
    assert told(home, named) == ["complaint.assigned", "complaint.registered"]
    link_complaint(
        home.database, complaint_id, Links(officers=[office.officer]), reason="核查", by=head, at=home.clock.now()
    )  # fmt: skip
    assert row_of(home, complaint_id).responsible_id is None


# ---- handling ------------------------------------------------------------------------------------------------------


def test_each_step_has_its_entry_and_its_deadline(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id, before = office.register(head), len(home.entries())
    dues = []
    for state in STEPS:
        go_on(office, complaint_id, state, by=head)
        dues.append(row_of(home, complaint_id).due_at)
    row = row_of(home, complaint_id)
    assert dues == [row.answer_by, row.answer_by, None, None]
    assert home.types()[before:] == ["complaint.step"] * 4
    with home.database.read() as tx:
        steps = tx.scalars(select(ComplaintStep).order_by(ComplaintStep.at, ComplaintStep.id)).all()
    known = {entry["id"] for entry in home.entries()}
    assert [step.kind for step in steps] == ["registered", *STEPS]
    assert {str(step.entry_id) for step in steps} <= known
    home.assert_sound()


@pytest.mark.parametrize("skipped", [State.REGISTERED, State.INVESTIGATED, State.ANSWERED, State.CLOSED])
def test_no_state_is_skipped(office: Office, home: ArchiveHome, head: Caller, skipped: State) -> None:
    complaint_id, before = office.register(head), len(home.entries())
    with pytest.raises(StateDoesNotFollow):
        go_on(office, complaint_id, skipped, by=head)
    assert len(home.entries()) == before


def test_of_two_who_go_on_at_once_one_does(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id = office.register(head)

    def go(state: State) -> bool:
        try:
            go_on(office, complaint_id, state, by=head)
        except StateDoesNotFollow:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(go, [State.ACCEPTED, State.NOT_ACCEPTED]))
    assert sorted(done) == [False, True]
    assert home.types().count("complaint.step") == 1


def test_a_note_changes_no_state(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id = office.register(head)
    add_note(home.database, complaint_id, text="电话核实。\n未接通。", by=head, at=home.clock.now())
    assert row_of(home, complaint_id).state == State.REGISTERED
    assert home.types()[-1] == "complaint.step"


def test_responsible_is_who_can_handle_it(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id, at = office.register(head), home.clock.now()
    others = (
        office.person("beside", unit=office.other_team),
        office.person("auditor", Role.AUDITOR),
        office.person("handler", Role.CASE_HANDLER, office.team),
    )
    for other in others:
        with pytest.raises(NoHandler):
            assign_complaint(home.database, complaint_id, other.account_id, by=head, at=at)
    with pytest.raises(NoHandler):
        assign_complaint(home.database, complaint_id, AccountId(new_uuid7()), by=head, at=at)
    before = len(home.entries())
    for _ in range(2):
        assign_complaint(home.database, complaint_id, head.account_id, by=head, at=at)
    assert home.types()[before:] == ["complaint.assigned"]
    go_on(office, complaint_id, State.NOT_ACCEPTED, State.CLOSED, by=head)
    with pytest.raises(StateDoesNotFollow):
        assign_complaint(home.database, complaint_id, head.account_id, by=head, at=at)


def test_a_report_is_given_only_to_who_is_cleared(office: Office, home: ArchiveHome, head: Caller) -> None:
    second = office.person("second", unit=office.team)
    head = office.cleared(head)
    complaint_id = office.register(head, ComplaintKind.REPORT)
    with pytest.raises(NoHandler):
        assign_complaint(home.database, complaint_id, second.account_id, by=head, at=home.clock.now())
    assert told(home, second) == []


# ---- who complained ------------------------------------------------------------------------------------------------


def test_a_complainant_is_masked_and_shown_for_a_purpose(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id, vault = office.register(head), home.services.identifiers
    masked = masked_complainant(vault, row_of(home, complaint_id))
    assert masked == Complainant("张**", "*******5678")
    assert "丰" not in repr(ZHANG)
    with pytest.raises(InvalidInput):
        show_complainant(home.database, vault, complaint_id, purpose=" ", by=head, at=home.clock.now())
    shown = show_complainant(home.database, vault, complaint_id, purpose="答复", by=head, at=home.clock.now())
    assert shown == ZHANG
    entry = home.entries()[-1]
    assert (entry["type"], entry["obj"]["kind"]) == ("access.identifier", "complaint")
    auditor = office.person("auditor", Role.AUDITOR)
    with pytest.raises(Forbidden):
        show_complainant(home.database, vault, complaint_id, purpose="x", by=auditor, at=home.clock.now())


def test_complainants_get_a_new_key(office: Office, home: ArchiveHome, head: Caller) -> None:
    complaint_id, vault = office.register(head), home.services.identifiers
    office.register(head, complainant=None)
    vault.add_key()
    assert rekey_complainants(home.database, vault, by=OPERATOR, clock=home.clock) == 1
    assert rekey_complainants(home.database, vault, by=OPERATOR, clock=home.clock) == 0
    with home.database.read() as tx:
        keys = keys_of_complainants(tx)
    assert list(keys) == [vault.key_ids[-1]]
    vault.forget_keys(but=keys)
    assert show_complainant(home.database, vault, complaint_id, purpose="答复", by=head, at=home.clock.now()) == ZHANG
    assert "complaint.updated" in home.types()


def test_a_ciphertext_of_another_complaint_does_not_open(office: Office, home: ArchiveHome, head: Caller) -> None:
    first, second = office.register(head), office.register(head, complainant=Complainant("李四", "1"))
    home.execute(
        "UPDATE complaint SET name_sealed = (SELECT name_sealed FROM complaint WHERE id = :a) WHERE id = :b",
        a=home.id_value(second), b=home.id_value(first),
    )  # fmt: skip
    assert masked_complainant(home.services.identifiers, row_of(home, first)) == Complainant("***", "***")


# ---- what it is about, and what it stops ---------------------------------------------------------------------------


def test_an_open_complaint_stops_disposition(
    office: Office, home: ArchiveHome, head: Caller, deliver: Callable[..., ObjectId]
) -> None:
    item, filed, free = deliver(b"one", "1.bin"), deliver(b"two", "2.bin"), deliver(b"three", "3.bin")
    case_id = home.case()
    link_object(home.database, case_id, filed, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    complaint_id = office.register(head)
    database, at = home.database, home.clock.now()
    link_complaint(database, complaint_id, Links([case_id], [office.officer], [item]), reason="有关", by=head, at=at)
    with home.database.read() as tx:
        assert open_complaints_of(tx, [item, filed, free]) == {item: [complaint_id], filed: [complaint_id]}
        assert [row.id for row in complaints_of_case(tx, case_id)] == [complaint_id]
        assert [row.id for row in complaints_of_object(tx, item)] == [complaint_id]
    beside = office.person("beside", unit=office.other_team)
    with office.seen_by(beside).read() as tx:  # it stops, whoever asks
        assert stops_disposition(tx, [item, filed, free]) == {item, filed}
        assert complaints_of_case(tx, case_id) == []
    go_on(office, complaint_id, *STEPS[:-1], by=head)
    with home.database.read() as tx:
        assert stops_disposition(tx, [item]) == {item}
    go_on(office, complaint_id, State.CLOSED, by=head)
    with home.database.read() as tx:
        assert stops_disposition(tx, [item, filed]) == frozenset()
    home.assert_sound()


def test_links_are_made_once_and_taken_back_once(office: Office, home: ArchiveHome, head: Caller) -> None:
    case_id, complaint_id, before = home.case(), office.register(head), len(home.entries())
    database, at, links = home.database, home.clock.now(), Links(cases=[case_id])
    link_complaint(database, complaint_id, links, reason="有关", by=head, at=at)
    with pytest.raises(AlreadyAbout):
        link_complaint(database, complaint_id, links, reason="有关", by=head, at=at)
    unlink_complaint(database, complaint_id, links, reason="有误", by=head, at=at)
    with pytest.raises(NotAbout):
        unlink_complaint(database, complaint_id, links, reason="有误", by=head, at=at)
    assert home.types()[before:] == ["complaint.linked", "complaint.unlinked"]


def test_a_case_that_is_not_seen_is_not_linked(office: Office, home: ArchiveHome, head: Caller) -> None:
    case_id = home.case()  # the first unit's, above the head's
    with pytest.raises(CaseNotFound):
        office.register(head, links=Links(cases=[case_id]))


# ---- lists and deadlines -------------------------------------------------------------------------------------------


def test_lists_by_state_and_deadline(office: Office, home: ArchiveHome, head: Caller) -> None:
    fresh = office.register(head)
    due, overdue = office.register(head, ago=timedelta(days=5)), office.register(head, ago=timedelta(days=8))
    closed = office.register(head)
    go_on(office, closed, State.NOT_ACCEPTED, State.CLOSED, by=head)
    assert listed(office, head) == [overdue, due, fresh]
    assert listed(office, head, Which.OVERDUE) == [overdue]
    assert listed(office, head, Which.DUE) == [due]
    assert listed(office, head, Which.CLOSED) == [closed]
    assert listed(office, head, Which.ALL) == [closed, overdue, due, fresh]
    with home.database.read() as tx:
        views = [
            complaint_view(tx, office.rules, found, by=head, at=home.clock.now())
            for found in (fresh, due, overdue, closed)
        ]
    assert [view.row.urgency for view in views] == [Urgency.LATER, Urgency.DUE, Urgency.OVERDUE, Urgency.NONE]


@pytest.mark.parametrize("is_bound", [True, False])
def test_pages_hold_each_once(office: Office, home: ArchiveHome, head: Caller, is_bound: bool) -> None:
    made = [office.register(head) for _ in range(5)]
    found, cursor = [], None
    with (office.seen_by(head) if is_bound else home.database).read() as tx:
        while True:
            page = complaints(tx, office.rules, by=head, at=home.clock.now(), cursor=cursor, limit=2)
            found += [row.complaint.id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(InvalidInput):
            complaints(tx, office.rules, by=head, at=home.clock.now(), cursor="cases~x~y")
    assert found == made[::-1]


def test_a_list_is_taken_away_with_its_entry(office: Office, home: ArchiveHome, head: Caller) -> None:
    made = [office.register(head) for _ in range(3)]
    rows = export_complaints(office.seen_by(head), office.rules, which=Which.ALL, by=head, at=home.clock.now())
    assert home.types()[-1] == "access.list_exported"
    assert [row.complaint.id for row in rows] == made[::-1]
    auditor = office.person("auditor", Role.AUDITOR)
    with pytest.raises(Forbidden):
        export_complaints(home.database, office.rules, which=Which.ALL, by=auditor, at=home.clock.now())


def test_deadlines_are_told_once_each(office: Office, home: ArchiveHome, head: Caller) -> None:
    second, complaint_id = office.person("second", unit=office.team), office.register(head)
    assert tell_deadlines(home.database, office.rules, at=home.clock.now()) == 0
    assign_complaint(home.database, complaint_id, second.account_id, by=head, at=home.clock.now())
    at = home.clock.step(timedelta(days=5))
    assert [tell_deadlines(home.database, office.rules, at=at) for _ in range(2)] == [1, 0]
    assert (told(home, second)[0], told(home, head)) == ("complaint.due", [])
    at = home.clock.step(timedelta(days=4))
    assert [tell_deadlines(home.database, office.rules, at=at) for _ in range(2)] == [1, 0]
    assert (told(home, second)[0], told(home, head)) == ("complaint.overdue", ["complaint.overdue"])
    go_on(office, complaint_id, State.ACCEPTED, by=head)
    assert tell_deadlines(home.database, office.rules, at=at) == 0  # the next deadline is far away
    at = home.clock.step(timedelta(days=60))
    assert tell_deadlines(home.database, office.rules, at=at) == 1
    go_on(office, complaint_id, State.INVESTIGATED, State.ANSWERED, by=head)
    assert tell_deadlines(home.database, office.rules, at=at) == 0


def test_of_two_who_look_at_once_one_tells(office: Office, home: ArchiveHome, head: Caller) -> None:
    office.register(head, ago=timedelta(days=10))
    at = home.clock.now()
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: tell_deadlines(home.database, office.rules, at=at), range(2)))
    assert sorted(counts) == [0, 1]
    assert told(home, head) == ["complaint.overdue"]


def test_the_worker_watches_deadlines_again_and_again(office: Office, home: ArchiveHome, head: Caller) -> None:
    office.register(head, ago=timedelta(days=10))
    work(home)  # what waits since the officer was written down
    home.services.complaints.begin()
    home.services.complaints.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    assert worker.run_once([PROMPT])
    assert told(home, head) == ["complaint.overdue"]
    assert not worker.run_once([PROMPT])
    office.register(head, ago=timedelta(days=10))
    home.clock.step(timedelta(hours=1))
    assert worker.run_once([PROMPT])
    assert told(home, head) == ["complaint.overdue"] * 2
