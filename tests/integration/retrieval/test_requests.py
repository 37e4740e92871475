"""A purpose with a number for every look; what needs an approval is asked for, decided, warned of, ended."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.policy import CertificateBars, Role
from archive.kernel.canonical import parse_json
from archive.kernel.errors import Forbidden, InvalidInput, LiuhenError
from archive.ledger.entries import OPERATOR
from archive.ledger.models import LogDetail
from archive.organisation.officers import OfficerFacts, record_officer, suspend_officer
from archive.packages.requests import PackageNeedsApproval, ask_for_package
from archive.retrieval.grants import (
    ApprovalNeeded,
    GrantNotFound,
    NobodyToTell,
    Purpose,
    ReferenceMissing,
    active_grant,
    renew,
)
from archive.retrieval.models import Grant
from archive.retrieval.requests import (
    ApprovalNotNeeded,
    NobodyApproves,
    OwnRequest,
    RequestDecided,
    RequestNotFound,
    RequestWaiting,
    decide,
    end,
    withdraw,
)
from archive.retrieval.rules import GrantKind
from archive.retrieval.watching import lapse_requests, warn_of_ends
from tests.integration.retrieval.conftest import NUMBER, Office

VIEW, EXPORT, PRINT = GrantKind


def test_a_look_is_for_a_case_or_a_task(office: Office) -> None:
    with office.home.database.read() as tx:
        grant = tx.get_one(Grant, office.grant("handler", office.plain))
        told = parse_json(tx.get_one(LogDetail, grant.entry_id).detail)
    assert (grant.purpose, grant.reference) == ("案件办理", NUMBER), "what is filed is for its case"
    assert told["reference"] == NUMBER
    with office.home.database.read() as tx:
        other = tx.get_one(Grant, office.grant("handler", office.plain, why=Purpose("督办", "督〔2026〕8号")))
    assert other.reference == "督〔2026〕8号"
    unfiled = office.home.deliver(office.home.dock("2"), b"unfiled clip")
    with pytest.raises(ReferenceMissing):
        office.grant("handler", unfiled)
    with pytest.raises(InvalidInput):
        office.grant("handler", unfiled, why=Purpose("督办", "x" * 101))
    assert office.grant("handler", unfiled, why=Purpose("督办", "任务 3"))
    office.home.assert_sound()


def test_what_is_a_secret_is_shown_after_an_approval_and_as_long_as_that_lasts(office: Office) -> None:
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.secret)
    assert office.grant("head", office.secret), "the head of its unit decides for himself"
    request_id = office.ask("handler", office.secret, days=2)
    assert office.notices("head") == [("retrieval.asked", {"name": "Handler"})]
    assert office.notices("other") == [], "who does not see it cannot approve it"
    with pytest.raises(RequestWaiting):
        office.ask("handler", office.secret)
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.secret)
    with pytest.raises(RequestNotFound):
        office.decide("other", request_id)
    office.decide("head", request_id, reason="同意")
    assert office.notices("handler") == [("retrieval.approved", {"reference": NUMBER})]
    with pytest.raises(RequestDecided):
        office.decide("head", request_id, is_approved=False, reason="x")
    grant_id = office.grant("handler", office.secret, why=Purpose("", ""))
    with office.home.database.read() as tx:
        grant = tx.get_one(Grant, grant_id)
    assert (grant.purpose, grant.reference, grant.request_id) == ("案件办理", NUMBER, request_id)
    office.home.assert_sound()
    office.home.clock.step(timedelta(days=2) - timedelta(minutes=30))
    late = office.grant("handler", office.secret)
    with office.home.database.read() as tx:
        assert tx.get_one(Grant, late).expires_at == office.request(request_id).until, "and not longer"
    office.home.clock.step(timedelta(minutes=30))
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.secret)
    office.home.assert_sound()


def test_a_copy_is_a_right_of_its_own(office: Office) -> None:
    for kind in (EXPORT, PRINT):
        with pytest.raises(ApprovalNeeded):
            office.grant("handler", office.plain, kind)
        assert office.grant("head", office.plain, kind)
    office.decide("head", office.ask("handler", office.plain, EXPORT))
    assert office.grant("handler", office.plain, EXPORT)
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.plain, PRINT)
    with pytest.raises(ApprovalNotNeeded):
        office.ask("handler", office.plain, VIEW)
    office.home.person(Role.OFFICER, "officer")
    for name in ("auditor", "officer"):
        with pytest.raises((Forbidden, LiuhenError)):
            office.grant(name, office.plain, EXPORT)
    office.home.assert_sound()


def test_a_package_holds_nothing_that_was_not_approved(office: Office) -> None:
    supervisor = office.home.person(Role.SUPERVISOR, "supervisor")
    now = office.home.clock.now()
    grant_clearance(
        office.home.database, supervisor.account_id, restricted_class=RestrictedClass.STATE_SECRET, reason="督办",
        until=now + timedelta(days=9), by=OPERATOR, at=now,
    )  # fmt: skip

    def package() -> object:
        by = office.who("supervisor")
        return ask_for_package(
            office.home.database.seen_by(by.sight), office.case_id, by=by, purpose="移送", with_renditions=False,
            rules=office.rules, at=office.home.clock.now(),
        )  # fmt: skip

    with pytest.raises(PackageNeedsApproval):
        package()
    office.decide("head", office.ask("supervisor", office.secret, EXPORT))
    assert package()
    office.home.assert_sound()


def test_who_asks_does_not_decide_and_who_is_barred_neither(office: Office) -> None:
    request_id = office.ask("handler", office.plain, EXPORT)
    with pytest.raises(Forbidden):
        office.decide("handler", request_id)
    facts = OfficerFacts(certificate_number="01160009", name="Third", agency="1")
    officer_id = record_officer(office.home.database, facts, by=OPERATOR, at=office.home.clock.now())
    office.home.person(Role.UNIT_HEAD, "third", officer_id=officer_id)
    suspend_officer(office.home.database, officer_id, reason="调查", by=OPERATOR, at=office.home.clock.now())
    with pytest.raises(CertificateBars):
        office.decide("third", request_id)
    with pytest.raises(InvalidInput):
        office.decide("head", request_id, is_approved=False)
    office.decide("head", request_id, is_approved=False, reason="与案件无关")
    assert office.notices("handler") == [("retrieval.refused", {"reference": NUMBER})]
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.plain, EXPORT)
    office.home.assert_sound()


def test_nobody_is_asked_who_cannot_decide(office: Office) -> None:
    own = office.ask("handler", office.secret)
    withdraw(office.home.database, own, by=office.who("handler"), at=office.home.clock.now())
    with pytest.raises(RequestDecided):
        office.decide("head", own)
    office.home.execute("UPDATE account SET disabled_at = :at WHERE username = 'head'", at="2026-01-01 00:00:00+00:00")
    with pytest.raises(NobodyApproves):
        office.ask("handler", office.secret)


def test_a_request_is_its_askers_to_withdraw_and_lapses_by_itself(office: Office) -> None:
    first = office.ask("handler", office.plain, EXPORT)
    with pytest.raises(RequestNotFound):
        withdraw(office.home.database, first, by=office.who("head"), at=office.home.clock.now())
    withdraw(office.home.database, first, by=office.who("handler"), at=office.home.clock.now())
    second = office.ask("handler", office.plain, EXPORT)
    assert lapse_requests(office.home.database, office.rules, at=office.home.clock.now()) == 0
    office.home.clock.step(office.rules.decide_within)
    with pytest.raises(RequestDecided):
        office.decide("head", second)
    assert lapse_requests(office.home.database, office.rules, at=office.home.clock.now()) == 1
    assert lapse_requests(office.home.database, office.rules, at=office.home.clock.now()) == 0
    assert [office.request(found).state for found in (first, second)] == ["withdrawn", "lapsed"]
    assert office.notices("handler") == [("retrieval.lapsed", {"reference": NUMBER})]
    office.home.assert_sound()


def test_people_are_told_before_an_approval_ends_and_ask_again_in_time(office: Office) -> None:
    office.decide("head", office.ask("handler", office.secret, days=1))
    office.decide("head", office.ask("handler", office.plain, EXPORT, days=10))
    database, rules = office.home.database, office.rules
    assert warn_of_ends(database, rules, at=office.home.clock.now()) == 0
    office.home.clock.step(timedelta(days=7, minutes=1))
    assert [warn_of_ends(database, rules, at=office.home.clock.now()) for _ in range(2)] == [1, 0]
    kind, params = office.notices("handler")[-1]
    assert (kind, params["reference"]) == ("retrieval.ending", NUMBER)
    again = office.ask("handler", office.plain, EXPORT, days=10)
    office.decide("head", again)
    office.home.clock.step(timedelta(days=4))
    assert office.grant("handler", office.plain, EXPORT), "the first one has ended, the second goes on"
    office.home.assert_sound()


def test_what_was_approved_can_be_ended_and_what_runs_ends_with_it(office: Office) -> None:
    request_id = office.ask("handler", office.secret)
    office.decide("head", request_id)
    grant_id, handler = office.grant("handler", office.secret), office.who("handler")
    with pytest.raises(Forbidden):
        end(office.home.database, request_id, reason="x", by=handler, at=office.home.clock.now())
    head = office.who("head")
    end(office.home.database, request_id, reason="案件移交", by=head, at=office.home.clock.now())
    with office.home.database.read() as tx, pytest.raises(GrantNotFound):
        active_grant(tx, grant_id, by=handler, at=office.home.clock.now())
    with pytest.raises(ApprovalNeeded):
        office.grant("handler", office.secret)
    assert office.notices("handler")[-1] == ("retrieval.ended", {"reference": NUMBER})
    with pytest.raises(RequestDecided):
        end(office.home.database, request_id, reason="x", by=head, at=office.home.clock.now())
    office.home.assert_sound()


def test_a_grant_goes_on_when_it_is_renewed_in_time(office: Office) -> None:
    grant_id, handler = office.grant("handler", office.plain), office.who("handler")
    database, clock = office.home.database, office.home.clock
    with pytest.raises(GrantNotFound):
        renew(database, grant_id, by=office.who("head"), rules=office.rules, at=clock.now())
    clock.step(office.rules.lasts - timedelta(minutes=1))
    assert [grant.id for grant in renew(database, grant_id, by=handler, rules=office.rules, at=clock.now())] == [
        grant_id
    ]
    clock.step(timedelta(minutes=2))
    with database.read() as tx:
        assert active_grant(tx, grant_id, by=handler, at=clock.now())
    office.home.assert_sound()
    clock.step(office.rules.lasts)
    with pytest.raises(GrantNotFound):
        renew(database, grant_id, by=handler, rules=office.rules, at=clock.now())


def test_a_renewal_does_not_outlast_the_approval(office: Office) -> None:
    request_id = office.ask("handler", office.secret, days=1)
    office.decide("head", request_id)
    office.home.clock.step(timedelta(hours=21))
    grant_id = office.grant("handler", office.secret)
    office.home.clock.step(timedelta(hours=2))
    (grant,) = renew(
        office.home.database, grant_id, by=office.who("handler"), rules=office.rules, at=office.home.clock.now()
    )
    assert grant.expires_at == office.request(request_id).until
    office.home.assert_sound()


def test_in_an_emergency_it_is_shown_at_once_and_two_people_are_told(office: Office) -> None:
    grant_id = office.emergency("handler", office.secret)
    with office.home.database.read() as tx:
        grant = tx.get_one(Grant, grant_id)
    assert grant.is_emergency
    assert grant.expires_at - grant.granted_at == office.rules.emergency_lasts
    for name in ("head", "other", "auditor"):
        assert office.notices(name) == [("retrieval.emergency", {"name": "Handler"})]
    assert office.notices("handler") == []
    with pytest.raises(GrantNotFound):
        renew(office.home.database, grant_id, by=office.who("handler"), rules=office.rules, at=office.home.clock.now())
    with pytest.raises(Forbidden):
        office.emergency("auditor", office.plain)
    assert office.home.types().count("access.break_glass") == 1
    office.home.assert_sound()


def test_without_two_people_to_tell_there_is_no_emergency(office: Office) -> None:
    before = len(office.home.types())
    office.home.execute(
        "UPDATE account SET disabled_at = :at WHERE username IN ('other', 'auditor')", at="2026-01-01 00:00:00+00:00"
    )
    with pytest.raises(NobodyToTell):
        office.emergency("handler", office.secret)
    assert "access.break_glass" not in office.home.types()[before:]


def test_of_two_who_decide_at_once_one_decides(office: Office) -> None:
    request_id = office.ask("handler", office.plain, EXPORT)
    callers = [office.who(name) for name in ("head", "other")]

    def decided(number: int) -> str:
        try:
            decide(
                office.home.database, request_id, is_approved=number == 0, reason="x", by=callers[number],
                at=office.home.clock.now(),
            )  # fmt: skip
        except RequestDecided:
            return "late"
        return "decided"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decided, range(2))) == ["decided", "late"]
    office.home.assert_sound()


def test_own_requests_are_decided_by_somebody_else(office: Office) -> None:
    sister = office.home.person(Role.UNIT_HEAD, "sister")
    request_id = office.ask("handler", office.plain, EXPORT)
    office.home.execute("UPDATE retrieval_request SET account_id = :id", id=office.home.id_value(sister.account_id))
    with pytest.raises(OwnRequest):
        decide(
            office.home.database, request_id, is_approved=True, reason="", by=office.who("sister"),
            at=office.home.clock.now(),
        )  # fmt: skip
