"""Disposition lists for a bureau that is looked at: one certified, one in its recovery period, one being appraised."""

from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import select, update

from archive.access.accounts import create_account
from archive.access.models import Account
from archive.access.policy import Role
from archive.access.sessions import sign_in, signed_in_caller
from archive.calendar.days import local_day
from archive.kernel.ids import DispositionId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR
from archive.ledger.faults import SequencerFault
from archive.ledger.models import LogPending
from retention.disposition.confirming import Confirmed, confirm
from retention.disposition.deciding import appraise, decide, supervise
from retention.disposition.models import DispositionItem, DispositionList
from retention.disposition.proposing import Wanted, propose_list
from retention.disposition.terms import ListState, Opinion
from retention.holding.holds import NewHold, place_hold
from retention.holding.terms import HoldScope
from tests.support import seed
from tests.support.seed import PASSWORD, UTC, Bureau

_PEOPLE = {
    "luolin": (Role.RECORDS_MANAGER, "罗琳（档案）"),
    "zhaomin": (Role.LEGAL_REVIEWER, "赵敏（法制）"),
    "sunwei": (Role.LEGAL_REVIEWER, "孙伟"),
    "yang": (Role.UNIT_HEAD, "杨国栋（中队）"),
    "chen": (Role.SUPERVISOR, "陈立群（大队）"),
    "gao": (Role.RECORDS_MANAGER, "高岚"),
    "wu": (Role.UNIT_HEAD, "吴建平"),
}
_RECORDED, _DUE_BY = datetime(2025, 2, 11, 2, 17, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
"""Long before anything else of the bureau, so that nothing else comes onto these lists."""
_APPRAISERS = ("zhaomin", "sunwei", "yang")
_WORDS = {
    "zhaomin": "已逐件核对，未涉诉、未涉复议，同意销毁。",
    "sunwei": "保管期限届满，无继续保存价值。",
    "yang": "第二件拍到道路塌陷现场，建议留存；其余同意。",
}
_TITLES = {
    "certified": "2025年2月无案件录像（一）",
    "waiting": "2025年2月无案件录像（二）",
    "proposed": "2025年2月零散录像",
}


def dispose_of_some(bureau: Bureau) -> dict[str, DispositionId]:
    """Make the lists, and carry one of them out; idempotent."""
    services, now = bureau.services, bureau.now()
    with services.database.read() as tx:
        known = {row.title: DispositionId(row.id) for row in tx.scalars(select(DispositionList))}
    if known:
        return {name: known[title] for name, title in _TITLES.items()}
    _hire(bureau, now - timedelta(days=90))
    made = {"certified": _list(bureau, "certified", 5, at=now - timedelta(days=16))}
    _agree(bureau, made["certified"], at=now - timedelta(days=14), strikes=2)
    _settle(bureau)
    for _ in range(8):
        services.dispositions.go_on()
        _settle(bureau)
    with services.database.read() as tx:
        row = tx.get_one(DispositionList, made["certified"])
        assert row.state == ListState.CERTIFIED.value, row.trouble
        bureau.items["destroyed"] = ObjectId(
            tx.scalars(select(DispositionItem.object_id).where(DispositionItem.state == "destroyed").limit(1)).one()
        )
    made["waiting"] = _list(bureau, "waiting", 4, at=now - timedelta(days=5))
    _agree(bureau, made["waiting"], at=now - timedelta(days=3, hours=5))
    made["proposed"] = _list(bureau, "proposed", 3, at=now - timedelta(days=1))
    for name in _APPRAISERS[:2]:
        _appraise(bureau, made["proposed"], name, at=now - timedelta(hours=20))
    _leave_candidates(bureau)
    _settle(bureau)
    return made


def _settle(bureau: Bureau) -> None:
    """Wait until every entry has its place in the log; who serves the bureau may sequence it too."""
    while True:
        with bureau.services.database.read() as tx:
            if tx.scalar(select(LogPending.entry_id).limit(1)) is None:
                return
        with suppress(SequencerFault):
            bureau.services.sequencer.sequence()


def _hire(bureau: Bureau, at: Instant) -> None:
    """Give the bureau seven people who have been there for long; those of the pictures seem to be so too."""
    database = bureau.services.database
    for username, (role, name) in _PEOPLE.items():
        create_account(
            database, username=username, display_name=name, roles=[role], password=PASSWORD, by=OPERATOR, at=at
        )
    with database.begin() as tx:
        tx.execute(update(Account).where(Account.username.not_in(list(_PEOPLE))).values(created_at=at))


def _recordings(bureau: Bureau, count: int, name: str) -> list[ObjectId]:
    dock, made = seed.new_dock(bureau, f"采集站 {name}"), []
    for number in range(count):
        file = f"BWC0117_{_RECORDED:%Y%m%d}_{name}_{number + 1:02}.bin"
        data = f"{name} {number}".encode() * 40_000
        made.append(seed.deliver(bureau, dock, data, file, recorded_at=_RECORDED + timedelta(minutes=7 * number)))
    _settle(bureau)
    bureau.services.planner.plan_now(made)
    return made


def _list(bureau: Bureau, name: str, count: int, *, at: Instant) -> DispositionId:
    _recordings(bureau, count, name)
    services = bureau.services
    return propose_list(
        services.database,
        services.disposal_rules,
        Wanted(kind="item", due_by=_DUE_BY),
        title=_TITLES[name],
        reason="保管期限届满，未归入案件，无继续保存价值",
        by=_confirmed(bureau, "luolin", at),
        at=at,
    )


def _agree(bureau: Bureau, list_id: DispositionId, *, at: Instant, strikes: int = 0) -> None:
    """Have everybody agree, each an hour after the one before; the third strikes the object of this number."""
    services, struck = bureau.services, dict[ObjectId, str]()
    with services.database.read() as tx:
        items = select(DispositionItem.object_id).where(
            DispositionItem.list_id == list_id, DispositionItem.position == strikes
        )
        struck = {ObjectId(each): "拍到道路塌陷现场，仍有查考价值" for each in tx.scalars(items)}
    for number, name in enumerate(_APPRAISERS):
        told = struck if name == "yang" else {}
        _appraise(bureau, list_id, name, at=at + timedelta(hours=number), struck=told)
    moment = at + timedelta(hours=3)
    by = _confirmed(bureau, "chen", moment)
    words = "同意鉴定小组意见。"
    decide(services.database, services.disposal_rules, list_id, approves=True, words=words, by=by, at=moment)
    for number, name in enumerate(("gao", "wu")):
        moment = at + timedelta(hours=4 + number)
        by = _confirmed(bureau, name, moment)
        supervise(services.database, services.disposal_rules, list_id, words="到场监销。", by=by, at=moment)


def _appraise(
    bureau: Bureau, list_id: DispositionId, name: str, *, at: Instant, struck: dict[ObjectId, str] | None = None
) -> None:
    appraise(
        bureau.services.database,
        bureau.services.disposal_rules,
        list_id,
        Opinion.DESTROY,
        words=_WORDS[name] if struck or name != "yang" else "同意。",
        struck=struck,
        by=_confirmed(bureau, name, at),
        at=at,
    )


def _confirmed(bureau: Bureau, username: str, at: Instant) -> Confirmed:
    services = bureau.services
    token = sign_in(services.sign_ins, username=username, password=PASSWORD, at=at)
    with services.database.read() as tx:
        caller = signed_in_caller(tx, token=token, at=at)
    assert caller is not None
    return confirm(services.sign_ins, caller, PASSWORD, at=at)


def _leave_candidates(bureau: Bureau) -> None:
    """Leave some for the next list, one of them held."""
    held, *_ = _recordings(bureau, 6, "next")
    at = bureau.now()
    given = NewHold(
        HoldScope.OBJECT, held, None, "官渡区人民法院（2026）云0111行初12号应诉通知书", "行政诉讼期间保留",
        local_day(at + timedelta(days=90)), "disposition",
    )  # fmt: skip
    place_hold(bureau.services.database, bureau.services.holding.rules, given, by=OPERATOR, at=at)
