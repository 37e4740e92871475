"""Who sees what: units and those below them, supervision, officers, members, restricted classes.

The last test holds everything against a model that knows no database.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID, uuid4

import pytest

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass, bits
from archive.access.clearances import end_clearance, grant_clearance
from archive.access.policy import Role
from archive.cases import listings
from archive.cases.filing import CaseNotFound, WouldUncover, link_object, record_act, unlink_object
from archive.cases.moving import AnotherAgency, move_case
from archive.cases.records import file_text_record
from archive.cases.restrictions import (
    AlreadyMember,
    NotMember,
    WouldNotSee,
    add_member,
    classify_case,
    classify_object,
    remove_member,
)
from archive.cases.subject_listings import subjects
from archive.cases.terms import RecordForm, Stage
from archive.custody.events import ObjectNotFound, custody_trail, preserved_object
from archive.db.sight import FIRST_UNIT, Sight, party_of
from archive.evidence.items import evidence_item, item_ids
from archive.jobs.queue import PROMPT, ClaimedJob, finish_job
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import AgencyId, CaseId, ObjectId, UnitId
from archive.ledger.entries import OPERATOR
from archive.notify.events import Event, EventType, publish
from archive.notify.listings import events
from archive.organisation.models import FIRST_AGENCY, Agency
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.supervision import end_supervision, set_supervision
from archive.organisation.units import REACH_JOB, UnitNotFound, change_unit, record_agency, record_unit
from archive.packages.requests import PackageMissing, PackageRestricted, ask_for_package, grant_download
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.search.queries import search
from archive.worker.loop import Worker
from tests.support.archive_home import PDF, ArchiveHome

MINORS, PRIVACY = RestrictedClass.MINORS, RestrictedClass.PRIVACY


RULES = RetrievalRules.load()


def unit(home: ArchiveHome, code: str, parent: UUID = FIRST_UNIT) -> UnitId:
    return record_unit(
        home.database, parent_id=UnitId(parent), code=code, name=f"{code}中队", by=OPERATOR, at=home.clock.now()
    )


def agency(home: ArchiveHome, code: str) -> tuple[AgencyId, UnitId]:
    made = record_agency(home.database, code=code, name=f"{code}局", by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        return made, UnitId(tx.get_one(Agency, made).root_unit_id)


def seen(home: ArchiveHome, caller: Caller) -> set[UUID]:
    """Everything that somebody finds in the lists, and as one thing."""
    caller = home.signed_in(caller.username)
    with home.database.seen_by(caller.sight).read() as tx:
        found = {row.case.id for row in listings.cases(tx, limit=200).rows}
        found |= {row.item.object_id for row in listings.items(tx, limit=200).rows}
        assert set(item_ids(tx)) <= found
        hits = {hit.ref_id for hit in search(tx, "", limit=200).hits if hit.kind in {"case", "item"}}
        assert hits <= found
    return found


def subject_names(home: ArchiveHome, caller: Caller) -> set[str]:
    caller = home.signed_in(caller.username)
    with home.database.seen_by(caller.sight).read() as tx:
        return {row.subject.name for row in subjects(tx, home.services.identifiers).rows}


def clear(home: ArchiveHome, caller: Caller, restricted_class: RestrictedClass, *, hours: int = 8) -> Any:
    return grant_clearance(
        home.database, caller.account_id, restricted_class=restricted_class, reason="承办此类案件",
        until=home.clock.now() + timedelta(hours=hours), by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip


def classify(home: ArchiveHome, caller: Caller, case_id: CaseId, *classes: RestrictedClass) -> bool:
    caller = home.signed_in(caller.username)
    database = home.database.seen_by(caller.sight)
    return classify_case(database, case_id, classes, reason="涉及未成年人", by=caller, at=home.clock.now())


def work(home: ArchiveHome) -> None:
    """Run the jobs that bring in step who sees what."""

    class Handlers(dict[str, Any]):
        def __missing__(self, kind: str) -> Any:
            """What else waits is not what is tried here."""
            return lambda job, _: finished(home, job)

    handlers = Handlers({REACH_JOB: home.services.handlers[REACH_JOB]})
    worker = Worker(home.database, handlers=handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT]):
        pass


def finished(home: ArchiveHome, job: ClaimedJob) -> None:
    with home.database.begin() as tx:
        finish_job(tx, job, at=home.clock.now())


def test_a_unit_sees_what_it_has_and_what_those_below_it_have(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    squad = unit(home, "12", team)
    people = {
        where: home.person(Role.CASE_HANDLER, f"h{number}", unit_id=where)
        for number, where in enumerate((UnitId(FIRST_UNIT), team, sister, squad))
    }
    cases = {
        where: home.case(f"〔2026〕{number}号", by=person.actor)
        for number, (where, person) in enumerate(people.items())
    }
    items = {
        where: home.deliver(home.dock(f"dock {number}", unit_id=where), b"clip %d" % number)
        for number, where in enumerate(people)
    }
    below = {UnitId(FIRST_UNIT): set(people), team: {team, squad}, sister: {sister}, squad: {squad}}
    for where, person in people.items():
        wanted = {cases[part] for part in below[where]} | {items[part] for part in below[where]}
        assert seen(home, person) == wanted
    home.assert_sound()


def test_what_is_not_seen_is_not_there_for_any_use_case(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    mine, theirs = (home.person(Role.UNIT_HEAD, f"h{where.hex}", unit_id=where) for where in (team, sister))
    case_id, other = home.case("〔2026〕1号", by=mine.actor), home.case("〔2026〕2号", by=theirs.actor)
    object_id = home.deliver(home.dock(unit_id=sister), b"clip")
    own = home.deliver(home.dock("2", unit_id=team), b"own")
    database, now = home.database.seen_by(mine.sight), home.clock.now()
    before = len(home.types())
    with pytest.raises(CaseNotFound):
        link_object(database, other, own, act_id=None, reason="x", by=mine.actor, at=now)
    with pytest.raises(ObjectNotFound):
        link_object(database, case_id, object_id, act_id=None, reason="x", by=mine.actor, at=now)
    with pytest.raises(CaseNotFound):
        record_act(
            database, other, stage=Stage.INSPECTION, place="x", started_at=now, ended_at=None, by=mine.actor,
            at=now,
        )  # fmt: skip
    with pytest.raises(CaseNotFound):
        file_text_record(
            database, home.services.objects, home.services.signer, case_id=other, form=RecordForm.INSPECTION_RECORD,
            title="x", name="x.pdf", pdf=PDF, by=mine.actor, at=now,
        )  # fmt: skip
    with pytest.raises(ObjectNotFound):
        grant_access(
            database, object_id, kind=GrantKind.VIEW, purpose=Purpose("x", "任务 1"), by=mine, rules=RULES, at=now
        )
    with pytest.raises(CaseNotFound):
        classify_case(database, other, [], reason="x", by=mine, at=now)
    with pytest.raises(ObjectNotFound):
        classify_object(database, object_id, [], reason="x", by=mine, at=now)
    with database.read() as tx:
        for look in (evidence_item, preserved_object):
            with pytest.raises(ObjectNotFound):
                look(tx, object_id)
        assert custody_trail(tx, object_id) == []
    assert home.types()[before:] == []


def test_footage_filed_under_a_case_is_seen_by_who_sees_the_case(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    mine, theirs = (home.person(Role.CASE_HANDLER, f"h{where.hex}", unit_id=where) for where in (team, sister))
    case_id = home.case(by=theirs.actor)
    object_id = home.deliver(home.dock(unit_id=team), b"clip")
    assert seen(home, theirs) == {case_id}
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    assert seen(home, theirs) == {case_id, object_id}
    assert seen(home, mine) == {object_id}, "and its own unit sees it on, without the case"
    with home.database.seen_by(mine.sight).read() as tx:
        assert listings.cases_of(tx, object_id) == []
    unlink_object(home.database, case_id, object_id, reason="误关联", by=OPERATOR, at=home.clock.now())
    assert seen(home, theirs) == {case_id}


def test_subjects_are_seen_with_their_cases(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    mine, theirs = (home.person(Role.CASE_HANDLER, f"h{where.hex}", unit_id=where) for where in (team, sister))
    home.case("〔2026〕1号", subject="甲餐饮店", by=mine.actor)
    home.case("〔2026〕2号", subject="乙餐饮店", by=theirs.actor)
    assert subject_names(home, mine) == {"甲餐饮店"}
    assert subject_names(home, theirs) == {"乙餐饮店"}


def test_whoever_wore_the_camera_sees_the_footage_and_nothing_else(home: ArchiveHome) -> None:
    early = home.deliver(home.dock(), b"before the officer was written down", device={"officer": "01160001"})
    facts = OfficerFacts(certificate_number="01160001", name="马俊", agency="1")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
    work(home)
    officer = home.person(Role.OFFICER, "ma", officer_id=officer_id)
    worn = home.deliver(home.dock("2"), b"worn", device={"officer": "01160001"})
    home.deliver(home.dock("3"), b"somebody else's", device={"officer": "01160002"})
    case_id = home.case()
    link_object(home.database, case_id, worn, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    assert seen(home, officer) == {early, worn}
    with pytest.raises(Forbidden):
        classify_object(home.database, worn, [PRIVACY], reason="x", by=officer, at=home.clock.now())


def test_a_supervising_agency_sees_through_its_supervisors_only_while_it_supervises(home: ArchiveHome) -> None:
    bureau, bureau_root = agency(home, "9")
    supervisor, handler = (
        home.person(role, f"{role.value}-9", unit_id=bureau_root) for role in (Role.SUPERVISOR, Role.CASE_HANDLER)
    )
    case_id = home.case(by=home.person(Role.CASE_HANDLER, "h", unit_id=unit(home, "10")).actor)
    assert seen(home, supervisor) == set()
    for supervised in (AgencyId(FIRST_AGENCY), None):
        supervision_id = set_supervision(
            home.database, supervisor_id=bureau, supervised_id=supervised, basis="条例", by=OPERATOR, at=home.clock.now()
        )  # fmt: skip
        assert seen(home, supervisor) == {case_id}
        assert seen(home, handler) == set()
        end_supervision(home.database, supervision_id, by=OPERATOR, at=home.clock.now())
        assert seen(home, supervisor) == set()


def test_a_unit_that_moves_takes_its_things_along(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    squad = unit(home, "12", team)
    heads = {where: home.person(Role.UNIT_HEAD, f"h{where.hex}", unit_id=where) for where in (team, sister, squad)}
    case_id = home.case(by=heads[squad].actor)
    object_id = home.deliver(home.dock(unit_id=squad), b"clip")
    change_unit(home.database, squad, code="12", name="移交中队", parent_id=sister, by=OPERATOR, at=home.clock.now())
    work(home)
    assert seen(home, heads[team]) == set()
    assert seen(home, heads[sister]) == seen(home, heads[squad]) == {case_id, object_id}


def test_a_case_that_is_moved_is_seen_from_there_with_its_footage_and_subject(home: ArchiveHome) -> None:
    here, there = unit(home, "10"), unit(home, "11")
    heads = {where: home.person(Role.UNIT_HEAD, f"h{where.hex}", unit_id=where) for where in (here, there)}
    handler = home.person(Role.CASE_HANDLER, "ch", unit_id=here)
    case_id, object_id = home.case(by=heads[here].actor), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())

    def move(by: Caller, where: UUID, reason: str = "管辖移送") -> bool:
        database = home.database.seen_by(by.sight)
        return move_case(database, case_id, where, reason=reason, by=by, at=home.clock.now())

    _, elsewhere = agency(home, "2")
    before = home.types()
    for by, where, reason, cause in (
        (handler, there, "x", Forbidden),
        (heads[there], there, "x", CaseNotFound),
        (heads[here], there, " ", InvalidInput),
        (heads[here], elsewhere, "x", AnotherAgency),
        (heads[here], uuid4(), "x", UnitNotFound),
    ):
        with pytest.raises(cause):
            move(by, where, reason)
    assert move(heads[here], here) is False
    assert home.types() == before
    assert move(heads[here], there) is True
    assert seen(home, heads[here]) == seen(home, handler) == set()
    assert seen(home, heads[there]) == {case_id, object_id}
    home.assert_sound()


def test_a_restricted_case_is_seen_by_who_is_cleared_while_that_lasts(home: ArchiveHome) -> None:
    handler, head = home.person(Role.CASE_HANDLER, "h"), home.person(Role.UNIT_HEAD, "head")
    case_id, object_id = home.case(), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    with pytest.raises(WouldNotSee):
        classify(home, handler, case_id, MINORS)
    clear(home, handler, MINORS)
    assert classify(home, handler, case_id, MINORS) is True
    assert classify(home, handler, case_id, MINORS) is False
    assert seen(home, handler) == {case_id, object_id}
    assert seen(home, head) == set()
    given = clear(home, head, MINORS)
    assert seen(home, head) == {case_id, object_id}
    end_clearance(home.database, head.account_id, given, by=OPERATOR, at=home.clock.now())
    assert seen(home, head) == set()
    home.clock.step(timedelta(hours=9))
    assert seen(home, handler) == set(), "a clearance ends by itself"
    clear(home, handler, MINORS)
    assert classify(home, handler, case_id) is True
    assert seen(home, head) == {case_id, object_id}
    assert home.types().count("case.classified") == 2
    home.assert_sound()


def test_classes_of_an_item_and_of_its_cases_add_up(home: ArchiveHome) -> None:
    handler, other = home.person(Role.CASE_HANDLER, "h"), home.person(Role.CASE_HANDLER, "o")
    case_id, object_id = home.case(), home.deliver(home.dock(), b"clip")
    for restricted_class in (MINORS, PRIVACY):
        clear(home, handler, restricted_class)
    clear(home, other, PRIVACY)
    handler = home.signed_in("h")
    classify_object(home.database, object_id, [PRIVACY], reason="家庭住址", by=handler, at=home.clock.now())
    assert seen(home, other) == {case_id, object_id}
    classify(home, handler, case_id, MINORS)
    assert seen(home, other) == {object_id}
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    assert seen(home, other) == set()
    assert seen(home, handler) == {case_id, object_id}
    home.assert_sound()


def test_a_member_sees_the_case_whatever_unit_and_class_until_the_membership_ends(home: ArchiveHome) -> None:
    head, handler = home.person(Role.UNIT_HEAD, "head"), home.person(Role.CASE_HANDLER, "h")
    stranger = home.person(Role.CASE_HANDLER, "s", unit_id=unit(home, "10"))
    case_id, object_id = home.case(by=handler.actor), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    clear(home, head, MINORS)
    classify(home, head, case_id, MINORS)

    def add(whom: Caller, **fields: Any) -> None:
        given = {"reason": "抽调办案", "until": None, "by": home.signed_in("head"), **fields}
        add_member(home.database, case_id, whom.account_id, **given, at=home.clock.now())

    with pytest.raises(Forbidden):
        add(stranger, by=handler)
    with pytest.raises(InvalidInput):
        add(head)
    with pytest.raises(InvalidInput):
        add(stranger, until=home.clock.now())
    add(stranger, until=home.clock.now() + timedelta(hours=2))
    with pytest.raises(AlreadyMember):
        add(stranger)
    found = seen_as_things(home, stranger, case_id, object_id)
    assert found == {case_id, object_id}
    home.assert_sound()
    home.clock.step(timedelta(hours=3))
    assert seen_as_things(home, stranger, case_id, object_id) == set()
    add(stranger)
    assert seen(home, stranger) == {case_id, object_id}
    remove_member(home.database, case_id, stranger.account_id, by=home.signed_in("head"), at=home.clock.now())
    with pytest.raises(NotMember):
        remove_member(home.database, case_id, stranger.account_id, by=home.signed_in("head"), at=home.clock.now())
    assert seen(home, stranger) == set()
    home.assert_sound()


def test_a_membership_that_ends_does_not_stand_in_the_place_of_a_lasting_right(home: ArchiveHome) -> None:
    """Whoever filed a record and is cleared for its class sees it on, after having been a member for a while."""
    head, filer = home.person(Role.UNIT_HEAD, "head"), home.person(Role.OFFICER, "filer", unit_id=unit(home, "10"))
    case_id = home.case(by=head.actor)
    record_id = file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=case_id, form=RecordForm.INSPECTION_RECORD,
        title="现场检查笔录", name="r.pdf", pdf=PDF, by=filer.actor, at=home.clock.now(),
    )  # fmt: skip
    clear(home, head, MINORS)
    classify(home, head, case_id, MINORS)

    def sees() -> bool:
        caller = home.signed_in("filer")
        with home.database.seen_by(caller.sight).read() as tx:
            try:
                return preserved_object(tx, record_id) is not None
            except ObjectNotFound:
                return False

    assert not sees(), "not cleared"
    add_member(
        home.database, case_id, filer.account_id, reason="抽调", until=home.clock.now() + timedelta(hours=2),
        by=home.signed_in("head"), at=home.clock.now(),
    )  # fmt: skip
    assert sees(), "as a member"
    home.clock.step(timedelta(hours=3))
    assert not sees(), "the membership has ended"
    clear(home, filer, MINORS)
    assert sees(), "as the one who filed it"


def seen_as_things(home: ArchiveHome, caller: Caller, case_id: CaseId, object_id: ObjectId) -> set[UUID]:
    caller = home.signed_in(caller.username)
    found: set[UUID] = set()
    with home.database.seen_by(caller.sight).read() as tx:
        try:
            found |= {listings.case_view(tx, case_id).case.id}
            found |= {evidence_item(tx, object_id).item.object_id}
        except (CaseNotFound, ObjectNotFound):
            pass
    return found


def test_nobody_takes_a_class_away_without_being_cleared_for_it(home: ArchiveHome) -> None:
    head, member = home.person(Role.UNIT_HEAD, "head"), home.person(Role.UNIT_HEAD, "m", unit_id=unit(home, "10"))
    case_id, object_id = home.case(), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    clear(home, head, MINORS)
    classify(home, head, case_id, MINORS)
    add_member(
        home.database, case_id, member.account_id, reason="抽调", until=None, by=home.signed_in("head"),
        at=home.clock.now(),
    )  # fmt: skip
    member = home.signed_in("m")
    database = home.database.seen_by(member.sight)
    with pytest.raises(WouldNotSee):
        classify_case(database, case_id, [], reason="x", by=member, at=home.clock.now())
    with pytest.raises(WouldUncover):
        unlink_object(database, case_id, object_id, reason="x", by=member.actor, at=home.clock.now())
    third = home.person(Role.CASE_HANDLER, "third")
    with pytest.raises(WouldNotSee):
        add_member(database, case_id, third.account_id, reason="x", until=None, by=member, at=home.clock.now())


def test_a_package_is_for_who_sees_all_that_is_in_it(home: ArchiveHome) -> None:
    head, other = home.person(Role.UNIT_HEAD, "head"), home.person(Role.UNIT_HEAD, "other")
    case_id, object_id = home.case(), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="同一检查", by=OPERATOR, at=home.clock.now())
    clear(home, head, MINORS)
    head = home.signed_in("head")
    classify_object(home.database, object_id, [MINORS], reason="x", by=head, at=home.clock.now())

    def ask(by: Caller) -> Any:
        database = home.database.seen_by(by.sight)
        return ask_for_package(
            database, case_id, by=by, purpose="x", with_renditions=False, rules=RULES, at=home.clock.now()
        )

    with pytest.raises(PackageRestricted):
        ask(other)
    package_id = ask(head)
    home.execute("UPDATE package SET state = 'ready'")
    grant_download(home.database.seen_by(head.sight), package_id, by=head, rules=RULES, at=home.clock.now())
    with pytest.raises(PackageMissing):
        grant_download(home.database.seen_by(other.sight), package_id, by=other, rules=RULES, at=home.clock.now())


def test_events_are_told_of_what_is_seen_only(home: ArchiveHome) -> None:
    team, sister = unit(home, "10"), unit(home, "11")
    object_id = home.deliver(home.dock(unit_id=team), b"clip")
    with home.database.begin() as tx:
        publish(tx, Event(EventType.ITEM_READY, object_id, {"item": {"id": str(object_id)}}), at=home.clock.now())
    for where, wanted in ((team, [object_id]), (FIRST_UNIT, [object_id]), (sister, [])):
        with home.database.seen_by(Sight(frozenset({party_of(where)}), 0, home.clock.now())).read() as tx:
            assert [row.about_id for row in events(tx).rows] == wanted


# ---- against a model -------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What there is, and who must see what, without any database."""

    parents: dict[UUID, UUID | None]
    case_unit: dict[UUID, UUID] = field(default_factory=dict)
    item_unit: dict[UUID, UUID] = field(default_factory=dict)
    filed: set[tuple[UUID, UUID]] = field(default_factory=set)
    classes: dict[UUID, int] = field(default_factory=dict)
    members: set[tuple[UUID, UUID]] = field(default_factory=set)
    cleared: dict[UUID, int] = field(default_factory=dict)

    def line(self, unit_id: UUID | None) -> Collection[UUID]:
        line = []
        while unit_id is not None:
            line.append(unit_id)
            unit_id = self.parents[unit_id]
        return line

    def sees(self, account: UUID, unit_id: UUID) -> set[UUID]:
        cleared = self.cleared.get(account, 0)
        found: set[UUID] = set()
        for case_id, where in self.case_unit.items():
            is_open = not self.classes.get(case_id, 0) & ~cleared
            if (unit_id in self.line(where) and is_open) or (case_id, account) in self.members:
                found.add(case_id)
        for object_id, where in self.item_unit.items():
            cases = [case_id for case_id, filed in self.filed if filed == object_id]
            classes = self.classes.get(object_id, 0)
            for case_id in cases:
                classes |= self.classes.get(case_id, 0)
            units = {
                above for part in (where, *(self.case_unit[case_id] for case_id in cases)) for above in self.line(part)
            }
            is_member = any(
                (case_id, account) in self.members
                and not reduce(or_, (self.classes.get(other, 0) for other in cases if other != case_id), 0) & ~cleared
                for case_id in cases
            )
            if (unit_id in units and not classes & ~cleared) or is_member:
                found.add(object_id)
        return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everybody_sees_what_the_model_says_after_every_change(home: ArchiveHome, seed: int) -> None:
    chance = random.Random(seed)
    units: list[UUID] = [FIRST_UNIT]
    parents: dict[UUID, UUID | None] = {FIRST_UNIT: None}
    for number in range(4):
        parent = chance.choice(units)
        units.append(made := unit(home, f"u{number}", parent))
        parents[made] = parent
    model = Model(parents)
    people = {
        home.person(Role.UNIT_HEAD, f"p{number}", unit_id=where).account_id: (f"p{number}", where)
        for number, where in enumerate(units)
    }
    clears: dict[UUID, list[Any]] = {}

    def open_case() -> None:
        name, where = chance.choice(list(people.values()))
        case_id = home.case(f"〔2026〕{len(model.case_unit)}号", by=home.signed_in(name).actor)
        model.case_unit[case_id] = where

    def deliver() -> None:
        where = chance.choice(units)
        number = len(model.item_unit)
        model.item_unit[home.deliver(home.dock(f"d{number}", unit_id=UnitId(where)), b"clip %d" % number)] = where

    def file() -> None:
        free = [(c, o) for c in model.case_unit for o in model.item_unit if (c, o) not in model.filed]
        if free:
            case_id, object_id = chance.choice(free)
            link_object(
                home.database, CaseId(case_id), ObjectId(object_id), act_id=None, reason="x", by=OPERATOR,
                at=home.clock.now(),
            )  # fmt: skip
            model.filed.add((case_id, object_id))

    def unfile() -> None:
        if model.filed:
            case_id, object_id = chance.choice(sorted(model.filed))
            unlink_object(
                home.database, CaseId(case_id), ObjectId(object_id), reason="x", by=OPERATOR, at=home.clock.now()
            )  # fmt: skip
            model.filed.remove((case_id, object_id))

    def restrict() -> None:
        account, (name, _) = chance.choice(list(people.items()))
        for restricted_class in (MINORS, PRIVACY):
            clears.setdefault(account, []).append(clear(home, home.signed_in(name), restricted_class, hours=8))
        model.cleared[account] = bits([MINORS, PRIVACY])
        classes = chance.sample([MINORS, PRIVACY], chance.randint(0, 2))
        things = [*model.case_unit, *model.item_unit]
        if things:
            thing = chance.choice(things)
            by = home.signed_in(name)
            if thing in model.case_unit:
                classify_case(home.database, CaseId(thing), classes, reason="x", by=by, at=home.clock.now())
            else:
                classify_object(home.database, ObjectId(thing), classes, reason="x", by=by, at=home.clock.now())
            model.classes[thing] = bits(classes)

    def end_clearances() -> None:
        if clears:
            account = chance.choice(list(clears))
            for given in clears.pop(account):
                end_clearance(home.database, account, given, by=OPERATOR, at=home.clock.now())
            model.cleared[account] = 0

    def join() -> None:
        free = [(c, a) for c in model.case_unit for a in people if (c, a) not in model.members]
        if free:
            case_id, account = chance.choice(free)
            adder, name = next((other, name) for other, (name, _) in people.items() if other != account)
            filed = (object_id for other, object_id in model.filed if other == case_id)
            restricted = reduce(or_, (model.classes.get(thing, 0) for thing in (case_id, *filed)), 0)

            def add() -> None:
                by, at = home.signed_in(name), home.clock.now()
                add_member(home.database, CaseId(case_id), account, reason="x", until=None, by=by, at=at)

            if restricted & ~model.cleared.get(adder, 0):
                with pytest.raises(WouldNotSee):
                    add()
            else:
                add()
                model.members.add((case_id, account))

    def leave() -> None:
        if model.members:
            case_id, account = chance.choice(sorted(model.members))
            by = home.signed_in("p0")
            remove_member(home.database, CaseId(case_id), account, by=by, at=home.clock.now())  # type: ignore[arg-type]
            model.members.remove((case_id, account))

    def move() -> None:
        moved = chance.choice(units[1:])
        free = [where for where in units if moved not in model.line(where)]
        parent = chance.choice(free)
        change_unit(
            home.database, UnitId(moved), code=f"m{moved.hex[-6:]}", name="x", parent_id=UnitId(parent), by=OPERATOR,
            at=home.clock.now(),
        )  # fmt: skip
        work(home)
        model.parents[moved] = parent

    def hand() -> None:
        case_id = chance.choice(list(model.case_unit))
        where, by = chance.choice(units), home.signed_in(chance.choice(list(people.values()))[0])
        move_case(home.database, CaseId(case_id), where, reason="x", by=by, at=home.clock.now())
        model.case_unit[case_id] = where

    steps = (open_case, deliver, file, file, unfile, restrict, end_clearances, join, leave, move, hand)
    open_case()
    deliver()
    for _ in range(30):
        chance.choice(steps)()
        for account, (name, where) in people.items():
            assert seen(home, home.signed_in(name)) == model.sees(account, where)
    # What waits beside was said to be done, so that the items lack their renditions.
    assert [fault for fault in home.faults() if fault.code != "fsck.job_lost"] == []
