"""Agencies, units and supervision: recording, moving, closing, each with its entry; trees hold together."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from archive.access.accounts import OfficerHasAccount, OwnAccount, RolesApart, change_account, create_account
from archive.access.listings import has_accounts
from archive.access.policy import Role
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AgencyId, OfficerId, SupervisionId, UnitId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.listings import supervisions, unit_names, unit_rows
from archive.organisation.models import FIRST_AGENCY, Agency, Officer, Unit
from archive.organisation.officers import (
    AlreadySuspended,
    NotSuspended,
    OfficerFacts,
    OfficerNotFound,
    record_officer,
    reinstate_officer,
    suspend_officer,
)
from archive.organisation.supervision import (
    SupervisesItself,
    SupervisionExists,
    SupervisionNotFound,
    end_supervision,
    set_supervision,
    supervised_roots,
)
from archive.organisation.units import (
    MAX_DEPTH,
    AgencyNotFound,
    OrganisationNameTaken,
    UnitInUse,
    UnitNotFound,
    UnitUnderItself,
    change_unit,
    close_unit,
    lines_of,
    record_agency,
    record_unit,
    rename_agency,
    unit_named,
)
from tests.integration.cases.test_filing import at_once
from tests.support.archive_home import PASSWORD, ArchiveHome


def agency(home: ArchiveHome, code: str = "2", name: str = "西山区综合行政执法局") -> AgencyId:
    return record_agency(home.database, code=code, name=name, by=OPERATOR, at=home.clock.now())


def root(home: ArchiveHome, agency_id: UUID) -> UnitId:
    with home.database.read() as tx:
        return UnitId(tx.get_one(Agency, agency_id).root_unit_id)


def unit(home: ArchiveHome, code: str, parent: UUID = FIRST_UNIT, name: str | None = None) -> UnitId:
    return record_unit(
        home.database, parent_id=UnitId(parent), code=code, name=name or f"{code}中队", by=OPERATOR, at=home.clock.now()
    )


def change(home: ArchiveHome, unit_id: UnitId, **fields: Any) -> None:
    with home.database.read() as tx:
        row = tx.get_one(Unit, unit_id)
    given = {"code": row.code, "name": row.name, "parent_id": row.parent_id, **fields}
    change_unit(home.database, unit_id, **given, by=OPERATOR, at=home.clock.now())


def supervise(home: ArchiveHome, supervisor: UUID, supervised: UUID | None, basis: str = "条例第十条") -> SupervisionId:
    return set_supervision(
        home.database,
        supervisor_id=AgencyId(supervisor),
        supervised_id=None if supervised is None else AgencyId(supervised),
        basis=basis,
        by=OPERATOR,
        at=home.clock.now(),
    )


def test_an_archive_begins_with_one_agency_and_its_unit(home: ArchiveHome) -> None:
    with home.database.read() as tx:
        (row,) = unit_rows(tx)
    assert (row.unit.id, row.agency.id, row.depth, row.is_root) == (FIRST_UNIT, FIRST_AGENCY, 0, True)
    home.assert_sound()


def test_units_stand_in_the_tree_of_their_agency(home: ArchiveHome) -> None:
    other = agency(home)
    first = unit(home, "10")
    second = unit(home, "11", first)
    beside = unit(home, "05")
    elsewhere = unit(home, "10", root(home, other))
    with home.database.read() as tx:
        shown = [(row.unit.id, row.depth) for row in unit_rows(tx)]
        lines = lines_of(tx, [second, elsewhere, new_uuid7()])
        names = unit_names(tx, [second, root(home, other)])
    assert shown[:4] == [(FIRST_UNIT, 0), (beside, 1), (first, 1), (second, 2)]
    assert shown[4:] == [(root(home, other), 0), (elsewhere, 1)]
    assert lines[second] == [second, first, FIRST_UNIT]
    assert lines[elsewhere] == [elsewhere, root(home, other)]
    assert names[root(home, other)] == "西山区综合行政执法局"
    assert names[second].endswith(" / 11中队")
    home.assert_sound()


def test_every_change_has_its_entry_and_no_change_has_none(home: ArchiveHome) -> None:
    rename_agency(home.database, AgencyId(FIRST_AGENCY), code="1", name="官渡区局", by=OPERATOR, at=home.clock.now())
    rename_agency(home.database, AgencyId(FIRST_AGENCY), code="1", name="官渡区局", by=OPERATOR, at=home.clock.now())
    first = unit(home, "10")
    change(home, first)
    change(home, first, name="一中队")
    close_unit(home.database, first, has_people=has_accounts, by=OPERATOR, at=home.clock.now())
    assert home.types() == ["admin.agency_recorded", *["admin.unit_recorded"] * 3]
    home.assert_sound()


def test_codes_and_names_are_there_once(home: ArchiveHome) -> None:
    other = agency(home)
    with pytest.raises(OrganisationNameTaken):
        agency(home, code="3")
    with pytest.raises(OrganisationNameTaken):
        agency(home, name="另一个局")
    with pytest.raises(OrganisationNameTaken):
        rename_agency(home.database, other, code="1", name="x", by=OPERATOR, at=home.clock.now())
    first, second = unit(home, "10"), unit(home, "11")
    with pytest.raises(OrganisationNameTaken):
        unit(home, "10", first)
    with pytest.raises(OrganisationNameTaken):
        change(home, second, code="10")
    results = at_once(*[lambda: unit(home, "12")] * 3)
    assert sorted(isinstance(found, UUID) for found in results) == [False, False, True]
    assert results.count(OrganisationNameTaken) == 2
    home.assert_sound()


@pytest.mark.parametrize("bad", ["", "  ", "x" * 201, "a\nb", "\x00"])
def test_an_unusable_name_is_refused(home: ArchiveHome, bad: str) -> None:
    for work in (lambda: agency(home, name=bad), lambda: agency(home, code=bad), lambda: unit(home, bad)):
        with pytest.raises(InvalidInput):
            work()
    assert home.types() == []


def test_a_unit_never_stands_below_itself_or_in_another_agency(home: ArchiveHome) -> None:
    other = agency(home)
    first = unit(home, "10")
    second = unit(home, "11", first)
    third = unit(home, "12", second)
    for parent in (first, second, third, root(home, other)):
        with pytest.raises(UnitUnderItself):
            change(home, first, parent_id=parent)
    with pytest.raises(UnitNotFound):
        change(home, first, parent_id=UnitId(new_uuid7()))
    with pytest.raises(UnitNotFound):
        change(home, UnitId(FIRST_UNIT), name="x", parent_id=first)
    change(home, third, parent_id=UnitId(FIRST_UNIT))
    with home.database.read() as tx:
        assert lines_of(tx, [third])[third] == [third, FIRST_UNIT]


def test_two_moves_at_once_make_no_ring(home: ArchiveHome) -> None:
    first, second = unit(home, "10"), unit(home, "11")
    results = at_once(
        lambda: change(home, first, parent_id=second),
        lambda: change(home, second, parent_id=first),
    )
    with home.database.read() as tx:
        lines = lines_of(tx, [first, second])
    assert all(line[-1] == FIRST_UNIT for line in lines.values())
    assert results.count(None) == 1
    assert results.count(UnitUnderItself) == 1


def test_a_tree_is_twelve_deep_at_most(home: ArchiveHome) -> None:
    below: UUID = FIRST_UNIT
    for depth in range(1, MAX_DEPTH):
        below = unit(home, f"level {depth}", below)
    with pytest.raises(UnitUnderItself):
        unit(home, "too deep", below)
    pair = unit(home, "pair")
    unit(home, "of pair", pair)
    with home.database.read() as tx:
        above = tx.get_one(Unit, below).parent_id
    with pytest.raises(UnitUnderItself):
        change(home, pair, parent_id=above)


def test_a_unit_closes_only_when_nobody_is_in_it(home: ArchiveHome) -> None:
    first = unit(home, "10", name="北市区中队")
    second = unit(home, "11", first)
    facts = OfficerFacts(certificate_number="01160001", name="马俊", agency="1", unit="11")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())

    def close(unit_id: UnitId) -> None:
        close_unit(home.database, unit_id, has_people=has_accounts, by=OPERATOR, at=home.clock.now())

    for in_use in (first, second):
        with pytest.raises(UnitInUse):
            close(in_use)
    moved = OfficerFacts(certificate_number="01160001", name="马俊", agency="1")
    record_officer(home.database, moved, by=OPERATOR, at=home.clock.now())
    account_id = create_account(
        home.database, username="m", display_name="马俊", roles=[Role.OFFICER], unit_id=second, password=PASSWORD,
        officer_id=officer_id, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    with pytest.raises(UnitInUse):
        close(second)
    change_account(
        home.database, account_id, display_name="马俊", roles=[Role.OFFICER], unit_id=FIRST_UNIT, officer_id=officer_id,
        is_enabled=True, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    close(second)
    close(first)
    for gone in (first, second, UnitId(FIRST_UNIT)):
        with pytest.raises(UnitNotFound):
            close(gone)
    home.assert_sound()


def test_supervision_is_set_once_and_ends(home: ArchiveHome) -> None:
    bureau, other = agency(home), agency(home, "3", "司法局")
    one = supervise(home, bureau, FIRST_AGENCY)
    supervise(home, other, None)
    for supervisor, supervised, cause in (
        (bureau, FIRST_AGENCY, SupervisionExists),
        (other, None, SupervisionExists),
        (bureau, bureau, SupervisesItself),
        (bureau, new_uuid7(), AgencyNotFound),
    ):
        with pytest.raises(cause):
            supervise(home, supervisor, supervised)
    with pytest.raises(InvalidInput):
        supervise(home, other, bureau, basis=" ")
    with home.database.read() as tx:
        assert [(row.supervisor.id, row.supervised and row.supervised.id) for row in supervisions(tx)] == [
            (bureau, FIRST_AGENCY),
            (other, None),
        ]
    home.assert_sound()
    end_supervision(home.database, one, by=OPERATOR, at=home.clock.now())
    with pytest.raises(SupervisionNotFound):
        end_supervision(home.database, one, by=OPERATOR, at=home.clock.now())
    assert home.types().count("admin.supervision_ended") == 1
    home.assert_sound()


def test_supervision_leads_on_and_may_go_in_a_ring(home: ArchiveHome) -> None:
    province, city, district = (agency(home, str(number), f"{number}级局") for number in (5, 6, 7))
    supervise(home, province, city)
    supervise(home, city, district)
    supervise(home, district, province)

    def seen(agency_id: AgencyId) -> set[UUID] | None:
        with home.database.read() as tx:
            found = supervised_roots(tx, agency_id)
            return None if found is None else set(found)

    assert seen(province) == {root(home, city), root(home, district)}
    assert seen(AgencyId(FIRST_AGENCY)) == set()
    supervise(home, district, None)
    assert seen(province) is None


def test_an_officer_is_found_a_unit_by_name_or_code(home: ArchiveHome) -> None:
    rename_agency(home.database, AgencyId(FIRST_AGENCY), code="1", name="官渡区局", by=OPERATOR, at=home.clock.now())
    first = unit(home, "10", name="一中队")
    unit(home, "11", name="同名"), unit(home, "12", name="同名")
    with home.database.read() as tx:
        found = {
            given: unit_named(tx, *given)
            for given in (
                ("官渡区局", "一中队"), ("1", "10"), ("官渡区局", ""), ("官渡区局", "同名"), ("没有", "一中队"), ("1", "没有"),
            )
        }  # fmt: skip
    assert list(found.values()) == [first, first, FIRST_UNIT, None, None, None]


def test_a_certificate_is_suspended_and_given_back(home: ArchiveHome) -> None:
    facts = OfficerFacts(certificate_number="01160001", name="马俊", agency="官渡区局", area="官渡区")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())

    def suspend() -> None:
        suspend_officer(home.database, officer_id, reason="未参加年度培训", by=OPERATOR, at=home.clock.now())

    def reinstate(whom: OfficerId = officer_id) -> None:
        reinstate_officer(home.database, whom, by=OPERATOR, at=home.clock.now())

    with pytest.raises(NotSuspended):
        reinstate()
    with pytest.raises(OfficerNotFound):
        reinstate(OfficerId(new_uuid7()))
    suspend()
    with pytest.raises(AlreadySuspended):
        suspend()
    home.assert_sound()
    reinstate()
    with home.database.read() as tx:
        row = tx.scalars(select(Officer)).one()
    assert (row.suspended_at, row.suspension_reason, row.area) == (None, None, "官渡区")
    assert home.types() == ["admin.officer_recorded"] * 3
    home.assert_sound()


def test_rights_of_an_account_are_changed_by_somebody_else(home: ArchiveHome) -> None:
    admin = home.person(Role.ADMINISTRATOR, "admin")
    person = home.person(Role.CASE_HANDLER, "li")
    facts = OfficerFacts(certificate_number="01160001", name="李晓东", agency="1")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
    unit_id = unit(home, "10")

    def give(account_id: Any = person.account_id, **fields: Any) -> None:
        given = {
            "display_name": "李晓东", "roles": [Role.UNIT_HEAD, Role.PUBLICITY_EDITOR], "unit_id": unit_id,
            "officer_id": officer_id, "is_enabled": True, **fields,
        }  # fmt: skip
        change_account(home.database, account_id, **given, by=admin.actor, at=home.clock.now())

    before = len(home.types())
    for wrong, cause in (
        ({"roles": []}, RolesApart),
        ({"roles": [Role.OPERATOR, Role.CASE_HANDLER]}, RolesApart),
        ({"account_id": admin.account_id}, OwnAccount),
        ({"unit_id": new_uuid7()}, UnitNotFound),
        ({"officer_id": OfficerId(new_uuid7())}, OfficerNotFound),
        ({"display_name": ""}, InvalidInput),
    ):
        with pytest.raises(cause):
            give(**wrong)
    give()
    give()
    assert home.types()[before:] == ["admin.account_changed"]
    other = home.person(Role.OFFICER, "other")
    with pytest.raises(OfficerHasAccount):
        give(other.account_id, roles=[Role.OFFICER])
    home.assert_sound()
    assert home.signed_in("li").roles == {Role.UNIT_HEAD, Role.PUBLICITY_EDITOR}
    give(is_enabled=False)
    assert home.count("session", "account_id = :who", who=home.id_value(person.account_id)) == 0
    home.assert_sound()
