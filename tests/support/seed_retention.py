"""Retention of a bureau: everything planned by a schedule as bureaus have one, some of it long ago."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from archive.access.policy import Role
from archive.cases.terms import Category
from archive.kernel.ids import new_uuid7
from retention.holding.models import HeldObject, Hold, RetentionMark
from retention.planning.planner import RetentionPlanner
from retention.schedules.algebra import Rule
from retention.schedules.terms import Basis, Mark
from tests.support.schedule_in_force import Given, Schedules, rule
from tests.support.seed import Bureau, sequence

_TITLED: Final = {
    "case-file": "案卷及随卷音像（10 年）",
    "coercion": "行政强制案卷（30 年）",
    "footage": "未立案的执法音像（6 个月）",
    "marked": "作为证据、重大疑难（永久）",
}


def rules() -> tuple[Rule, ...]:
    """Return a schedule with its titles."""
    made = (
        rule("case-file", 120, Basis.CASE_CLOSED, filed=True),
        rule("coercion", 360, Basis.CASE_CLOSED, categories=(Category.COERCION.value,)),
        rule("footage", 6, Basis.RECORDED, kinds=("footage", "audio"), filed=False),
        rule("marked", None, Basis.RECEIVED, marks=tuple(Mark)),
    )
    return tuple(
        Rule(each.code, _TITLED[each.code], each.condition, each.period, each.basis, "《机关档案管理规定》")
        for each in made
    )


def plan_everything(bureau: Bureau) -> None:
    """Plan every object of the bureau, one of them marked and one on hold."""
    database, at = bureau.services.database, bureau.now()
    by = bureau.people[Role.RECORDS_MANAGER].id
    with database.begin() as tx:
        tx.add(
            RetentionMark(
                id=new_uuid7(), ref_kind="object", ref_id=bureau.items["video"], mark=Mark.EVIDENCE.value,
                reason="已作为证据使用", set_by=by, set_at=at,
            )
        )  # fmt: skip
        hold = Hold(
            id=new_uuid7(), number="冻〔2026〕1号", scope="object", authority="检察建议〔2026〕9号", reason="行政诉讼",
            review_on=(at + timedelta(days=90)).date(), unit_id=UUID(int=1), placed_by=by, placed_at=at,
        )  # fmt: skip
        tx.add(hold)
        tx.flush()
        tx.add(HeldObject(hold_id=hold.id, object_id=bureau.items["video"], since=at))
    planner = RetentionPlanner(database, bureau.services.clock, Schedules(Given(rules())))
    while planner.sweep_some():
        pass
    sequence(bureau)
