"""What the certificate of destruction says, in the words of paper."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.models import Account
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.ledger.models import LogLeaf
from archive.organisation.models import Agency, Unit
from retention.disposition.freezing import items_of
from retention.disposition.models import DispositionItem, DispositionList, DispositionPart, Tombstone
from retention.disposition.terms import ItemState, Opinion, Part
from retention.stops import StopKind

_PARTS: Final = {
    Part.PROPOSE: "提出",
    Part.APPRAISE: "鉴定小组",
    Part.APPROVE: "审批",
    Part.SUPERVISE: "监销",
}
_ROLES: Final = {
    Role.OFFICER: "执法人员",
    Role.CASE_HANDLER: "案件承办人",
    Role.UNIT_HEAD: "机构负责人",
    Role.SUPERVISOR: "监督人员",
    Role.AUDITOR: "审计人员",
    Role.RECORDS_MANAGER: "档案管理员",
    Role.LEGAL_REVIEWER: "法制审核人员",
    Role.PUBLICITY_EDITOR: "公示编辑",
    Role.ADMINISTRATOR: "系统管理员",
    Role.OPERATOR: "运维人员",
}
_OPINIONS: Final = {Opinion.DESTROY.value: "同意销毁", Opinion.KEEP.value: "继续保管"}
_KINDS: Final = {"item": "音像及电子证据", "record": "文字记录", "volume": "案卷"}
_STORES: Final = {
    "originals": "原件（全部版本）",
    "copy": "第二副本",
    "renditions": "转码件及衍生数据",
    "drafts": "制作过程中的文书",
}
_STOPS: Final = {
    StopKind.NOT_PLANNED: "未确定保管期限",
    StopKind.NO_RULE: "无适用的保管期限",
    StopKind.NOT_DUE: "保管期限未满",
    StopKind.PERMANENT: "永久保管",
    StopKind.CLOCK_NOT_BEGUN: "期限尚未起算",
    StopKind.HOLD: "冻结",
    StopKind.OPEN_CASE: "案件未结",
    StopKind.OPEN_COMPLAINT: "投诉举报未办结",
    StopKind.OPEN_RETRIEVAL: "调阅未结束",
    StopKind.BOUND_IN_VOLUME: "已归入案卷",
    StopKind.STORE_LOCK: "存储锁定",
    StopKind.DAMAGED: "存在损坏",
    StopKind.IN_DISPOSITION: "已列入其他清册",
    StopKind.BEING_MOVED: "正在迁移",
    StopKind.COPY_OUT_OF_REACH: "有副本无法访问",
}


def certificate_told(tx: Session, row: DispositionList, *, organisation: str, at: Instant) -> Mapping[str, Any]:
    """Return what the layout sets: whose list, who decided, the counts, every tombstone with its place in the log."""
    items = items_of(tx, row.id)
    indices = _indices(tx, row.id)
    unit = tx.get_one(Unit, row.unit_id)
    agency = tx.get_one(Agency, unit.agency_id)
    struck = [item for item in items if item.state == ItemState.STRUCK.value]
    left = [item for item in items if item.state == ItemState.LEFT.value]
    balance = row.balance or {}
    return {
        "number": row.number,
        "title": row.title,
        "reason": row.reason,
        "organisation": organisation,
        "unit": agency.name if unit.name == agency.name else f"{agency.name} {unit.name}",
        "sha256": row.sha256,
        "on": _day(at),
        "days": [
            {"name": name, "at": _moment(when)}
            for name, when in (
                ("提出", row.proposed_at),
                ("恢复期届满", row.recovers_until),
                ("开始销毁", row.begun_at),
                ("销毁完毕", row.done_at),
            )
        ],
        "people": [_person(part, name) for part, name in _people(tx, row.id)],
        "objects": balance.get("objects", {}),
        "counts": [
            {"name": _STORES.get(name, name), **{part: _extent(each[part]) for part in each}}
            for name, each in balance.get("stores", {}).items()
        ],
        "listed": len(items),
        "struck": [{"object": str(item.object_id), "why": item.reason or ""} for item in struck],
        "left": [{"object": str(item.object_id), "why": _why(item)} for item in left],
        "gone": [
            {
                "object": str(item.object_id),
                "kind": _KINDS.get(item.kind, item.kind),
                "size": f"{item.size_bytes:,}",
                "sha256": item.sha256,
                "index": str(indices[item.object_id]),
            }
            for item in items
            if item.state == ItemState.DESTROYED.value
        ],
    }


def _indices(tx: Session, list_id: UUID) -> Mapping[UUID, int]:
    rows = (
        select(Tombstone.object_id, LogLeaf.index)
        .join(LogLeaf, LogLeaf.entry_id == Tombstone.entry_id)
        .where(Tombstone.list_id == list_id)
    )
    return {object_id: index for object_id, index in tx.execute(rows)}  # noqa: C416 - rows are no pairs to dict()


def _people(tx: Session, list_id: UUID) -> Sequence[tuple[DispositionPart, str]]:
    rows = tx.execute(
        select(DispositionPart, Account.display_name)
        .join(Account, Account.id == DispositionPart.account_id)
        .where(DispositionPart.list_id == list_id)
        .order_by(DispositionPart.at, DispositionPart.entry_id)
    )
    return [(part, name) for part, name in rows]


def _person(part: DispositionPart, name: str) -> dict[str, str]:
    roles = [_ROLES[role] for role in Role if role.value in part.roles.split()]
    opinion = _OPINIONS.get(part.opinion or "", "")
    return {
        "part": _PARTS[Part(part.part)],
        "name": name,
        "roles": "、".join(roles),
        "words": "；".join(each for each in (opinion, part.words) if each),
        "at": _moment(part.at),
    }


def _why(item: DispositionItem) -> str:
    return "、".join(_STOPS[StopKind(kind)] for kind in item.stops or ())


def _extent(told: Mapping[str, int]) -> str:
    return f"{told['files']:,} / {told['bytes']:,}"


def _day(at: Instant) -> str:
    day = local_day(at)
    return f"{day.year}年{day.month}月{day.day}日"


def _moment(at: Instant | None) -> str:
    return "" if at is None else f"{at.astimezone(BUREAU_ZONE):%Y-%m-%d %H:%M:%S}"
