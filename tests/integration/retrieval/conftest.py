"""An office with something that is the state's secret, people who may see it, and heads of unit who decide."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.policy import Role
from archive.cases.filing import link_object
from archive.cases.restrictions import classify_object
from archive.kernel.ids import CaseId, GrantId, ObjectId, RequestId
from archive.ledger.entries import OPERATOR
from archive.notify.notices import notices
from archive.retrieval.grants import Purpose, grant_access, grant_in_emergency
from archive.retrieval.models import RetrievalRequest
from archive.retrieval.requests import Asked, ask, decide
from archive.retrieval.rules import GrantKind, RetrievalRules
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, clock, dock, home

__all__ = ["EnrolledDock", "SteppedClock", "clock", "dock", "home"]

NUMBER = "昆市监罚〔2026〕1号"
WHY = Purpose("案件办理")


@dataclass
class Office:
    """Two items in one case, of which one is restricted; a handler and two heads who are cleared, one who is not."""

    home: ArchiveHome
    rules: RetrievalRules
    case_id: CaseId
    plain: ObjectId
    secret: ObjectId

    def who(self, name: str) -> Caller:
        """Return somebody as he or she is signed in now."""
        return self.home.signed_in(name)

    def grant(self, name: str, object_id: ObjectId, kind: GrantKind = GrantKind.VIEW, why: Purpose = WHY) -> GrantId:
        """Have somebody be granted a retrieval."""
        by, at = self.who(name), self.home.clock.now()
        database = self.home.database.seen_by(by.sight)
        return grant_access(database, object_id, kind=kind, purpose=why, by=by, rules=self.rules, at=at)

    def emergency(self, name: str, object_id: ObjectId) -> GrantId:
        """Have somebody open something in an emergency."""
        by, at = self.who(name), self.home.clock.now()
        database = self.home.database.seen_by(by.sight)
        return grant_in_emergency(database, object_id, purpose=WHY, by=by, rules=self.rules, at=at)

    def ask(self, name: str, object_id: ObjectId, kind: GrantKind = GrantKind.VIEW, days: int = 7) -> RequestId:
        """Have somebody ask for a retrieval."""
        by, at = self.who(name), self.home.clock.now()
        database = self.home.database.seen_by(by.sight)
        return ask(database, object_id, Asked(kind, WHY, days), by=by, rules=self.rules, at=at)

    def decide(self, name: str, request_id: RequestId, *, is_approved: bool = True, reason: str = "") -> None:
        """Have somebody decide."""
        by, at = self.who(name), self.home.clock.now()
        database = self.home.database.seen_by(by.sight)
        decide(database, request_id, is_approved=is_approved, reason=reason, by=by, at=at)

    def request(self, request_id: RequestId) -> RetrievalRequest:
        """Return a request as it stands."""
        with self.home.database.read() as tx:
            return tx.get_one(RetrievalRequest, request_id)

    def notices(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what somebody was told, the oldest first."""
        with self.home.database.read() as tx:
            rows = notices(tx, self.who(name).account_id).rows
        return [(row.kind, dict(row.params)) for row in reversed(rows)]


@pytest.fixture
def office(home: ArchiveHome, dock: EnrolledDock) -> Office:
    people = {"handler": Role.CASE_HANDLER, "head": Role.UNIT_HEAD, "other": Role.UNIT_HEAD, "auditor": Role.AUDITOR}
    made = {name: home.person(role, name) for name, role in people.items()}
    case_id = home.case(NUMBER, by=made["handler"].actor)
    plain, secret = home.deliver(dock, b"plain clip"), home.deliver(dock, b"secret clip")
    for object_id in (plain, secret):
        link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    for name in ("handler", "head"):
        grant_clearance(
            home.database,
            made[name].account_id,
            restricted_class=RestrictedClass.STATE_SECRET,
            until=home.clock.now() + timedelta(days=300),
            reason="承办",
            by=OPERATOR,
            at=home.clock.now(),
        )
    head = home.signed_in("head")
    classify_object(home.database, secret, [RestrictedClass.STATE_SECRET], reason="涉密", by=head, at=home.clock.now())
    return Office(home, home.services.retrievals.rules, case_id, plain, secret)
