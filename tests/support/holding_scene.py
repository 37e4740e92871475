"""Things that are kept and held: objects with plans, cases, holds, and what stops each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.filing import link_object, unlink_object
from archive.db.database import Database
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import CaseId, HoldId, ObjectId, UnitId
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR, Actor
from archive.organisation.units import record_unit
from retention.holding.hold_queries import HoldQuery
from retention.holding.holds import NewHold, place_hold, release_hold
from retention.holding.stops import stops_of
from retention.holding.terms import HoldScope
from retention.planning.planner import mark_stale
from retention.schedules.algebra import Rule
from retention.stops import Stop, StopKind
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.planned import OVER, plan

PAPER = "官渡区人民法院（2026）云0111行初12号应诉通知书"
_requests = count(1)
_numbers = count(1)


@dataclass
class HoldingScene:
    """What the tests speak of: a bureau with two teams."""

    home: ArchiveHome
    dock: EnrolledDock
    team: UnitId
    other_team: UnitId

    @property
    def now(self) -> Instant:
        return self.home.clock.now()

    def person(self, name: str, role: Role = Role.RECORDS_MANAGER, unit: UUID = FIRST_UNIT) -> Caller:
        return self.home.person(role, name, unit_id=unit)

    def seen_by(self, person: Caller) -> Database:
        found: Database = self.home.database.seen_by(person.sight)
        return found

    def item(self, dock: EnrolledDock | None = None, **fields: Any) -> ObjectId:
        """Deliver a recording that is like no other."""
        number = next(_numbers)
        return self.home.deliver(dock or self.dock, b"recording %d" % number, f"{number}.mp4", **fields)

    def case(self, *object_ids: ObjectId, **fields: Any) -> CaseId:
        """Open a case and file objects under it."""
        case_id = self.home.case(**{"number": f"案〔2026〕{next(_numbers)}号", **fields})
        for object_id in object_ids:
            self.link(case_id, object_id)
        return case_id

    def link(self, case_id: CaseId, object_id: ObjectId) -> None:
        link_object(self.home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=self.now)

    def unlink(self, case_id: CaseId, object_id: ObjectId) -> None:
        unlink_object(self.home.database, case_id, object_id, reason="x", by=OPERATOR, at=self.now)

    def close(self, case_id: CaseId) -> None:
        close_case(self.home.database, case_id, on=local_day(self.now), by=OPERATOR, at=self.now)

    def plan(self, *object_ids: ObjectId, by: tuple[Rule, ...] = (OVER,)) -> None:
        """Plan objects by these rules alone."""
        plan(self.home, *object_ids, by=by)

    def mark_stale(self, object_id: ObjectId) -> None:
        """Say that something changed that schedules ask about."""
        with self.home.database.begin() as tx:
            mark_stale(tx, [object_id], self.now)

    def due(self, **fields: Any) -> ObjectId:
        """Return an item that nothing stops."""
        object_id = self.item(**fields)
        self.plan(object_id)
        return object_id

    def new_hold(
        self, scope: HoldScope, what: UUID | HoldQuery, *, review_in: int = 100, request: str = "", **changes: Any
    ) -> NewHold:
        is_query = isinstance(what, HoldQuery)
        given = {
            "scope": scope,
            "ref_id": None if is_query else what,
            "query": what if is_query else None,
            "authority": PAPER,
            "reason": "行政诉讼",
            "review_on": self.day(review_in),
            "request": request or f"r{next(_requests)}",
        }
        return NewHold(**{**given, **changes})

    def hold(
        self, scope: HoldScope, what: UUID | HoldQuery, *, by: Caller | Actor = OPERATOR, **changes: Any
    ) -> HoldId:
        """Place a hold as somebody who sees everything, or as whoever is named sees it."""
        database = self.seen_by(by) if isinstance(by, Caller) else self.home.database
        actor = by.actor if isinstance(by, Caller) else by
        given = self.new_hold(scope, what, **changes)
        return place_hold(database, self.home.services.holding.rules, given, by=actor, at=self.now)

    def release(self, hold_id: HoldId, *, by: Actor) -> None:
        release_hold(self.home.database, hold_id, reason="判决生效", by=by, at=self.now)

    def day(self, ahead: int) -> date:
        return local_day(self.now) + timedelta(days=ahead)

    def stops(self, object_id: ObjectId) -> list[Stop]:
        return list(self.all_stops([object_id])[object_id])

    def all_stops(self, object_ids: Iterable[ObjectId]) -> Mapping[UUID, tuple[Stop, ...]]:
        with self.home.database.read() as tx:
            return stops_of(tx, list(object_ids), self.now)

    def kinds(self, object_id: ObjectId) -> list[StopKind]:
        return [stop.kind for stop in self.stops(object_id)]

    def held_by(self, object_id: ObjectId) -> set[UUID | None]:
        return {stop.ref_id for stop in self.stops(object_id) if stop.kind is StopKind.HOLD}


def holding_scene(home: ArchiveHome) -> HoldingScene:
    """Make a bureau with two teams and a dock."""
    team, other = (
        record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code=code, name=name, by=OPERATOR, at=home.clock.now())
        for code, name in (("01", "一中队"), ("02", "二中队"))
    )
    return HoldingScene(home, home.dock(), team, other)
