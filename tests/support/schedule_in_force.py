"""A schedule that a test puts in force: what `rules_in_force` returns on every day, from when it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from sqlalchemy.orm import Session

from retention.schedules.algebra import Condition, Rule
from retention.schedules.terms import PERMANENT, Basis, Mark, Period


@dataclass(frozen=True, slots=True)
class Given:
    """The rules, and the version that they stand in."""

    rules: Sequence[Rule]
    schedule_id: UUID | None = None


def rule(
    code: str,
    months: int | None,
    basis: Basis,
    *,
    kinds: Sequence[str] = (),
    marks: Sequence[Mark] = (),
    categories: Sequence[str] = (),
    stages: Sequence[str] = (),
    filed: bool | None = None,
) -> Rule:
    """Return a rule; without months it keeps for ever."""
    condition = Condition(frozenset(kinds), frozenset(marks), frozenset(categories), frozenset(stages), filed)
    period = PERMANENT if months is None else Period(months)
    return Rule(code, code, condition, period, basis, "依据")


USUAL = (
    rule("case-file", 120, Basis.CASE_CLOSED, filed=True),
    rule("footage", 6, Basis.RECORDED, kinds=("footage", "audio", "other")),
    rule("marked", None, Basis.RECEIVED, marks=tuple(Mark)),
    rule("unfiled", 12, Basis.RECEIVED, filed=False),
)
"""Ten years from the case's end, six months from recording, a year for what is filed nowhere, marked for ever."""


@dataclass(slots=True)
class Schedules:
    """What is in force; `since` gives other rules from a day on."""

    now: Given = field(default_factory=lambda: Given(USUAL))
    since: dict[date, Given] = field(default_factory=dict)

    def __call__(self, tx: Session, day: date) -> Given:
        """Return what is in force on a day."""
        del tx
        begun = [first for first in self.since if first <= day]
        return self.since[max(begun)] if begun else self.now
