"""Objects whose time is truly over: a schedule with short periods is in force, and they are planned by it.

What docks deliver in tests was recorded in March 2026 unless they say something else, so that what is filed nowhere is
due at once; what is filed is due a month after its case was closed.
"""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.kernel.ids import HoldId, ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import OPERATOR, Actor
from retention.holding.holds import NewHold, place_hold
from retention.holding.terms import HoldScope
from retention.planning.models import RetentionPlan
from retention.schedules.models import RetentionSchedule
from retention.schedules.register import put_in_force, save_schedule, seen_of
from retention.schedules.terms import Basis
from tests.support.archive_home import PASSWORD, ArchiveHome
from tests.support.schedule_in_force import rule

PERIOD = timedelta(days=32)
"""Longer than every period of the schedule, which is a month."""
SHORT = (
    rule("case_file", 1, Basis.CASE_CLOSED, filed=True),
    rule("unfiled", 1, Basis.RECORDED, filed=False),
)
_TITLE = "保管期限表（一个月）"


def short_schedule(home: ArchiveHome) -> None:
    """Put the schedule with short periods in force, once: one person wrote it, another lets it hold."""
    with home.database.read() as tx:
        if tx.scalar(select(RetentionSchedule.id).where(RetentionSchedule.title == _TITLE)) is not None:
            return
    first, second = (_keeper(home, name) for name in ("schedules1", "schedules2"))
    schedule_id = save_schedule(home.database, _TITLE, SHORT, by=first, at=home.clock.now())
    with home.database.read() as tx:
        seen = seen_of(tx.get_one(RetentionSchedule, schedule_id))
    at = home.clock.now()
    put_in_force(home.database, schedule_id, valid_from=local_day(at), seen=seen, by=second, at=at)


def planned(home: ArchiveHome, *object_ids: ObjectId) -> dict[ObjectId, Instant | None]:
    """Plan objects by the short schedule and lock them as long as that says; return until when each is kept."""
    short_schedule(home)
    home.services.planner.plan_now(object_ids)
    while home.services.locks.term and home.services.locks.extend_some():
        pass
    with home.database.read() as tx:
        return {object_id: tx.get_one(RetentionPlan, object_id).retain_until for object_id in object_ids}


def due(home: ArchiveHome, *object_ids: ObjectId) -> None:
    """Plan objects whose time is over; nothing stops them by their plan."""
    at = home.clock.now()
    late = {each: until for each, until in planned(home, *object_ids).items() if until is None or until > at}
    assert not late, f"these are kept: {late}"


def recorded_now(home: ArchiveHome) -> dict[str, str | int]:
    """Return the times of a recording that was made just now: for `times` of a delivery."""
    now = format_instant(home.clock.now().replace(microsecond=0))
    return {"signed": now, "recorded": now, "clock_offset_ms": 0}


def hold(home: ArchiveHome, object_id: ObjectId) -> HoldId:
    """Place a hold on an object."""
    at = home.clock.now()
    given = NewHold(
        scope=HoldScope.OBJECT,
        ref_id=object_id,
        query=None,
        authority="某某人民法院",
        reason="a suit",
        review_on=local_day(at + PERIOD),
        request=str(uuid4()),
    )
    return place_hold(home.database, home.services.holding.rules, given, by=OPERATOR, at=at)


def _keeper(home: ArchiveHome, name: str) -> Actor:
    account_id = create_account(
        home.database,
        username=name,
        display_name=name.title(),
        roles=[Role.RECORDS_MANAGER],
        password=PASSWORD,
        by=OPERATOR,
        at=home.clock.now(),
    )
    return Actor(account_id)
