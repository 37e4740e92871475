"""The trace: everybody reads the own one, the agency and the auditor that of what they see; what is unusual is found."""

from datetime import datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.cases.filing import link_object
from archive.cases.subjects import NewSubject
from archive.cases.terms import SubjectKind
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.terms import Channel, ComplaintKind
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import ObjectId
from archive.kernel.instants import BUREAU_ZONE
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import record_unit
from archive.packages.requests import ask_for_package
from archive.retrieval.grants import Purpose
from archive.retrieval.lists import export_list
from archive.retrieval.models import UnusualAccess
from archive.retrieval.rules import GrantKind
from archive.retrieval.trace import TraceFilter, TraceRow, Which, export_trace, trace
from archive.retrieval.unusual import OwnAccess, UnusualChecked, UnusualNotFound, check_access, judge_accesses
from archive.search.documents import Depth
from archive.search.queries import Filters
from tests.integration.retrieval.conftest import Office
from tests.support.archive_home import ArchiveHome

TASK = Purpose("抽查", "任务 1")
ALL = TraceFilter()
HALF_A_DAY = timedelta(hours=12)


def told(office: Office, name: str, which: Which, only: TraceFilter = ALL) -> list[TraceRow]:
    by = office.who(name)
    with office.home.database.seen_by(by.sight).read() as tx:
        return list(trace(tx, which, by=by, only=only).rows)


def short(rows: list[TraceRow]) -> list[tuple[str, str | None]]:
    return [(row.record.type, None if row.seen is None else row.seen.title) for row in rows]


def at_noon(home: ArchiveHome) -> None:
    """Let it be a time at which nothing is unusual."""
    tomorrow = home.clock.now().date() + timedelta(days=1)
    home.clock.step(datetime.combine(tomorrow, time(12), BUREAU_ZONE) - home.clock.now())


def rules_found(office: Office) -> list[tuple[str, str]]:
    """Judge everything, and return whose access was unusual by which rule."""
    while judge_accesses(office.home.database, office.rules, at=office.home.clock.now()):
        pass
    with office.home.database.read() as tx:
        rows = list(tx.scalars(select(UnusualAccess.rule)))
    return sorted((rule, "") for rule in rows)


def test_everybody_reads_the_own_trace(office: Office) -> None:
    office.grant("handler", office.plain)
    office.grant("head", office.secret)
    assert short(told(office, "handler", Which.MINE)) == [("access.view", "a.mp4")]
    assert short(told(office, "head", Which.MINE)) == [("access.view", "a.mp4")]
    assert told(office, "handler", Which.MINE)[0].detail["purpose"] == "案件办理"
    office.home.person(Role.ADMINISTRATOR, "admin")
    assert told(office, "admin", Which.MINE) == []
    for name, which in (("handler", Which.ACCESSES), ("handler", Which.COPIES), ("admin", Which.UNUSUAL)):
        with pytest.raises(Forbidden):
            told(office, name, which)


def test_the_agency_and_the_auditor_read_who_looked_at_what_they_see(office: Office) -> None:
    office.grant("handler", office.plain)
    office.decide("head", office.ask("handler", office.secret))
    office.grant("handler", office.secret)
    assert len(told(office, "head", Which.ACCESSES)) == 2
    assert len(told(office, "auditor", Which.ACCESSES)) == 1, "not what the auditor is not cleared for"
    elsewhere = record_unit(
        office.home.database, parent_id=FIRST_UNIT, code="11", name="11", by=OPERATOR, at=office.home.clock.now()
    )
    office.home.person(Role.UNIT_HEAD, "stranger", unit_id=elsewhere)
    assert told(office, "stranger", Which.ACCESSES) == []
    handler, head = office.who("handler").account_id, office.who("head").account_id
    assert len(told(office, "head", Which.ACCESSES, TraceFilter(actor_id=handler))) == 2
    assert told(office, "head", Which.ACCESSES, TraceFilter(actor_id=head)) == []
    assert len(told(office, "head", Which.ACCESSES, TraceFilter(ref_id=office.secret))) == 1


def test_what_somebody_sees_no_longer_stays_in_the_own_trace_without_its_name(office: Office) -> None:
    office.decide("head", office.ask("handler", office.secret))
    office.grant("handler", office.secret)
    office.home.execute("UPDATE clearance SET until = :at", at="2026-01-01 00:00:00+00:00")
    assert short(told(office, "handler", Which.MINE)) == [("access.view", None)]


def test_every_copy_is_in_the_register(office: Office) -> None:
    home, now = office.home, office.home.clock.now()
    supervisor = home.person(Role.SUPERVISOR, "supervisor")
    office.grant("head", office.plain, GrantKind.EXPORT)
    office.grant("head", office.plain, GrantKind.PRINT)
    list(
        export_list(
            home.database, "a", filters=Filters(), depth=Depth.CATALOGUE, told={}, form="csv", by=supervisor, at=now
        )
    )
    case_id = home.case("第二件", by=supervisor.actor)
    link_object(home.database, case_id, office.plain, act_id=None, reason="x", by=OPERATOR, at=now)
    ask_for_package(
        home.database, case_id, by=supervisor, purpose="移送", with_renditions=False, rules=office.rules, at=now
    )
    office.grant("head", office.plain)
    found = sorted(short(told(office, "head", Which.COPIES)), key=str)
    assert found == [
        ("access.export", "a.mp4"), ("access.export", "a.mp4"), ("access.export", "第二件"),
        ("access.list_exported", None), ("access.print", "a.mp4"),
    ]  # fmt: skip
    list(export_trace(home.database, Which.COPIES, by=office.who("auditor"), at=now))
    assert ("access.list_exported", None) in short(told(office, "auditor", Which.COPIES))
    with pytest.raises(Forbidden):
        export_trace(home.database, Which.COPIES, by=office.who("handler"), at=now)
    home.assert_sound()


def test_a_list_is_told_to_the_unit_of_whoever_took_it_away(office: Office) -> None:
    home, now = office.home, office.home.clock.now()
    team, sister = (
        record_unit(home.database, parent_id=FIRST_UNIT, code=code, name=code, by=OPERATOR, at=now)
        for code in ("10", "11")
    )
    for name, unit_id in (("of-team", team), ("of-sister", sister)):
        home.person(Role.UNIT_HEAD, name, unit_id=unit_id)
    list(
        export_list(
            home.database, "a", filters=Filters(), depth=Depth.CATALOGUE, told={}, form="csv", by=office.who("of-team"),
            at=now,
        )
    )  # fmt: skip
    assert short(told(office, "of-team", Which.COPIES)) == [("access.list_exported", None)]
    assert short(told(office, "head", Which.COPIES)) == [("access.list_exported", None)]
    assert told(office, "of-sister", Which.COPIES) == []


def test_the_trace_goes_on_page_by_page(office: Office) -> None:
    for _ in range(5):
        office.grant("handler", office.plain)
    by, found, cursor = office.who("handler"), [], None
    while True:
        with office.home.database.seen_by(by.sight).read() as tx:
            part = trace(tx, Which.MINE, by=by, cursor=cursor, limit=2)
        found += [row.record.entry_id for row in part.rows]
        cursor = part.next_cursor
        if cursor is None:
            break
    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found)) == 5
    with office.home.database.read() as tx, pytest.raises(InvalidInput):
        trace(tx, Which.MINE, by=by, cursor="cases~2026-01-01T00:00:00Z~" + str(UUID(int=0)))


# ---- what is unusual ---------------------------------------------------------------------------------------------


def test_what_is_usual_is_not_found(office: Office) -> None:
    at_noon(office.home)
    office.grant("handler", office.plain)
    assert rules_found(office) == []
    assert judge_accesses(office.home.database, office.rules, at=office.home.clock.now()) == 0


def test_a_look_at_night_is_found(office: Office) -> None:
    at_noon(office.home)
    office.home.clock.step(HALF_A_DAY)
    office.grant("handler", office.plain)
    assert rules_found(office) == [("night", "")]
    assert office.notices("auditor") == [("retrieval.unusual", {"name": "Handler"})]
    assert office.notices("handler") == []
    office.grant("handler", office.plain)
    assert len(rules_found(office)) == 2
    assert len(office.notices("auditor")) == 1, "the same of the same person is told once a day"
    office.home.assert_sound()


def test_many_things_in_a_short_time_are_found_once(office: Office) -> None:
    at_noon(office.home)
    dock, people = office.home.dock("2"), office.who("head")
    items = [office.home.deliver(dock, b"clip %d" % number) for number in range(32)]
    for item in items[:30]:
        office.grant("head", item, why=TASK)
    assert rules_found(office) == []
    for item in items[30:]:
        office.grant("head", item, why=TASK)
    assert rules_found(office) == [("many", "")]
    assert people.account_id in {row.record.actor_id for row in told(office, "auditor", Which.UNUSUAL)}


def test_what_a_handler_has_nothing_to_do_with_is_found(office: Office) -> None:
    at_noon(office.home)
    office.home.person(Role.CASE_HANDLER, "second")
    office.grant("handler", office.plain)
    office.grant("head", office.plain)
    assert rules_found(office) == []
    office.grant("second", office.plain)
    assert rules_found(office) == [("outside_own_cases", "")]
    unfiled = office.home.deliver(office.home.dock("2"), b"unfiled")
    office.grant("handler", unfiled, why=TASK)
    assert rules_found(office) == [("outside_own_cases", "")] * 2


def test_a_look_at_what_is_about_oneself_is_found(office: Office) -> None:
    at_noon(office.home)
    home, now = office.home, office.home.clock.now()
    facts = OfficerFacts(certificate_number="01160001", name="马俊", agency="1")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=now)
    about: Caller = home.person(Role.SUPERVISOR, "ma", officer_id=officer_id)
    case_id = home.case("第二件", subject=NewSubject(about.display_name, SubjectKind.PERSON))
    clip, other = home.deliver(home.dock("2"), b"against ma"), home.deliver(home.dock("3"), b"complained about")
    link_object(home.database, case_id, clip, act_id=None, reason="x", by=OPERATOR, at=now)
    office.grant("ma", office.plain)
    assert rules_found(office) == []
    office.grant("ma", clip)
    assert rules_found(office) == [("own_name", "")]
    head = office.who("head")
    register_complaint(
        home.database,
        home.services.identifiers,
        home.services.complaints.rules,
        NewComplaint(
            ComplaintKind.COMPLAINT, Channel.LETTER, now, "态度粗暴", FIRST_UNIT, None,
            Links(cases=(), officers=(officer_id,), objects=(ObjectId(other),)),
        ),
        by=head,
        at=now,
    )  # fmt: skip
    office.grant("ma", other, why=TASK)
    assert rules_found(office) == [("own_name", "")] * 2
    home.assert_sound()


def test_an_emergency_is_always_looked_into_by_somebody_else(office: Office) -> None:
    at_noon(office.home)
    office.emergency("handler", office.secret)
    assert rules_found(office) == [("break_glass", "")]
    (row,) = told(office, "head", Which.UNUSUAL)
    assert [found.rule for found in row.unusual] == ["break_glass"]
    database, entry_id = office.home.database, row.record.entry_id

    def check(name: str, words: str = "出警急需，属实", entry: UUID = entry_id) -> None:
        check_access(database, entry, words=words, by=office.who(name), at=office.home.clock.now())

    with pytest.raises(Forbidden):
        check("handler")
    with pytest.raises(InvalidInput):
        check("head", " ")
    with pytest.raises(UnusualNotFound):
        check("head", entry=UUID(int=7))
    check("head")
    with pytest.raises(UnusualChecked):
        check("other")
    (row,) = told(office, "head", Which.UNUSUAL)
    assert row.unusual[0].words == "出警急需，属实"
    office.emergency("head", office.secret)
    rules_found(office)
    own = next(row for row in told(office, "head", Which.UNUSUAL) if row.record.entry_id != entry_id)
    with pytest.raises(OwnAccess):
        check("head", entry=own.record.entry_id)
    office.home.assert_sound()
