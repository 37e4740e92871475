"""A bureau with two teams: who handles complaints, who is cleared for reports, and an officer who has an account."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from archive.access.accounts import create_account
from archive.access.callers import Caller
from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.policy import Role
from archive.complaints.complainants import Complainant
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.rules import ComplaintRules
from archive.complaints.terms import Channel, ComplaintKind
from archive.db.database import Database
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import ComplaintId, OfficerId, UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import record_unit
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, deliver, dock, home

__all__ = ["clock", "deliver", "dock", "home"]
ZHANG = Complainant("张三丰", "13812345678")


@dataclass
class Office:
    """What the tests speak of."""

    home: ArchiveHome
    rules: ComplaintRules
    team: UnitId
    other_team: UnitId
    officer: OfficerId

    def person(
        self, name: str, role: Role = Role.UNIT_HEAD, unit: UUID = FIRST_UNIT, officer: OfficerId | None = None
    ) -> Caller:
        create_account(
            self.home.database, username=name, display_name=name, roles=[role], password=PASSWORD, unit_id=unit,
            officer_id=officer, by=OPERATOR, at=self.home.clock.now(),
        )  # fmt: skip
        return self.home.signed_in(name)

    def cleared(self, person: Caller) -> Caller:
        """Clear a person for informants, and sign in anew."""
        now = self.home.clock.now()
        grant_clearance(
            self.home.database, person.account_id, restricted_class=RestrictedClass.INFORMANT, reason="举报件承办",
            until=now + timedelta(days=300), by=OPERATOR, at=now,
        )  # fmt: skip
        return self.home.signed_in(person.username)

    def seen_by(self, person: Caller) -> Database:
        """Return the database as a person sees it, as pages use it."""
        found: Database = self.home.database.seen_by(person.sight)
        return found

    def register(
        self,
        by: Caller,
        kind: ComplaintKind = ComplaintKind.COMPLAINT,
        *,
        says: str = "执法人员未出示证件。",
        unit: UUID | None = None,
        complainant: Complainant | None = ZHANG,
        links: Links | None = None,
        ago: timedelta = timedelta(0),
    ) -> ComplaintId:
        at = self.home.clock.now()
        given = NewComplaint(
            kind, Channel.HOTLINE, at - ago, says, self.team if unit is None else unit, complainant, links or Links()
        )
        return register_complaint(
            self.seen_by(by), self.home.services.identifiers, self.rules, given, by=by, at=at
        )  # fmt: skip


@pytest.fixture
def office(home: ArchiveHome) -> Office:
    at = home.clock.now()
    team, other = (
        record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code=code, name=name, by=OPERATOR, at=at)
        for code, name in (("01", "一中队"), ("02", "二中队"))
    )
    facts = OfficerFacts("530111001", "李执法", "官渡区综合行政执法局")
    officer = record_officer(home.database, facts, by=OPERATOR, at=at)
    return Office(home, ComplaintRules.load(), team, other, officer)
