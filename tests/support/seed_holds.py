"""Holds and marks for a bureau that is looked at, made by the real use cases."""

from datetime import datetime, timedelta

from sqlalchemy import select

from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.cases.terms import Category
from archive.kernel.ids import HoldId
from archive.organisation.models import FIRST_UNIT
from retention.holding.hold_queries import HoldQuery
from retention.holding.holds import NewHold, place_hold, release_hold, review_hold
from retention.holding.marks import Marked
from retention.holding.models import Hold
from retention.holding.terms import HeldKind, HoldScope, MarkedKind
from retention.schedules.terms import Mark
from tests.support import seed
from tests.support.seed import UTC, Bureau

_PAPERS = {
    "lawsuit": (
        "官渡区人民法院（2026）云0111行初12号应诉通知书",
        "当事人不服行政处罚决定提起行政诉讼，一审期间保留全部证据。",
    ),
    "review": ("官渡区人民政府行政复议办公室 官政复〔2026〕8号提出答复通知书", "行政复议期间保留。"),
    "audit": ("昆明市审计局 昆审通〔2026〕15号审计通知书", "专项审计，调取三月份执法音像记录。"),
    "inquiry": ("区纪委监委派驻纪检监察组 来函", "核查群众反映的执法态度问题。"),
    "over": ("官渡区人民法院（2025）云0111行初88号应诉通知书", "行政诉讼。"),
}


def place_holds(bureau: Bureau) -> dict[str, HoldId]:
    """Place holds of every scope, one to be reviewed soon, one overdue, one released; mark a case and an item."""
    seed.organise(bureau)
    services, now = bureau.services, bureau.now()
    with services.database.read() as tx:
        known = {row.authority: HoldId(row.id) for row in tx.scalars(select(Hold))}
    if known:
        return {name: known[paper] for name, (paper, _) in _PAPERS.items() if paper in known}
    made: dict[str, HoldId] = {}
    keeper, head = bureau.people[Role.RECORDS_MANAGER], bureau.people[Role.UNIT_HEAD]
    march = [datetime(2026, month, 1, tzinfo=UTC) - timedelta(hours=8) for month in (3, 4)]
    query = HoldQuery(
        FIRST_UNIT, recorded_from=march[0], recorded_until=march[1], category=Category.PENALTY, kind=HeldKind.FOOTAGE
    )
    for name, scope, what, days, ahead in (
        ("over", HoldScope.CASE, bureau.cases["main"], 300, 350),
        ("inquiry", HoldScope.OBJECT, bureau.items["audio"], 100, 95),
        ("audit", HoldScope.QUERY, query, 40, 50),
        ("review", HoldScope.SUBJECT, bureau.subjects["官渡区阿明烧烤店"], 20, 180),
        ("lawsuit", HoldScope.CASE, bureau.cases["main"], 3, 180),
    ):
        at = now - timedelta(days=days)
        is_query = isinstance(what, HoldQuery)
        authority, reason = _PAPERS[name]
        given = NewHold(
            scope, None if is_query else what, what if is_query else None, authority, reason,
            local_day(at) + timedelta(days=ahead), name,
        )  # fmt: skip
        made[name] = place_hold(services.database, services.holding.rules, given, by=keeper, at=at)
    review_hold(
        services.database, services.holding.rules, made["lawsuit"], review_on=local_day(now) + timedelta(days=200),
        reason="一审尚未开庭，继续保留。", by=head, at=now - timedelta(hours=5),
    )  # fmt: skip
    release_hold(services.database, made["over"], reason="判决生效，原告撤诉。", by=head, at=now - timedelta(days=30))
    for on, mark, reason in (
        (Marked(MarkedKind.CASE, bureau.cases["main"]), Mark.COMPLEX, "经集体讨论认定为疑难案件"),
        (Marked(MarkedKind.OBJECT, bureau.items["video"]), Mark.EVIDENCE, "作为处罚决定的定案依据"),
    ):
        services.holding.marks.set_mark(services.database, on, mark, reason=reason, by=keeper, at=now)
    return made
