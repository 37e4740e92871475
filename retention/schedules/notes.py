"""What the author of a schedule may not have meant: objects that no rule is for, rules that never decide. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from archive.cases.terms import Category
from retention.schedules.algebra import Condition, Facts, Rule, kept_by
from retention.schedules.terms import KINDS

_THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


class NoteCode(StrEnum):
    """What a note is about."""

    GAP_UNFILED = "gap_unfiled"
    """No rule is for objects of these kinds that are filed under no case."""
    GAP_FILED = "gap_filed"
    """No rule is for objects of these kinds that are filed under cases of these categories."""
    NEVER_DECIDES = "never_decides"
    """Whatever this rule is for, another one keeps at least as long."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to look at. `kinds` are those that a gap is about; `rule` and `by` are codes of rules."""

    code: NoteCode
    kinds: tuple[str, ...] = field(default=())
    categories: tuple[str, ...] = field(default=())
    rule: str = ""
    by: str = ""


def notes_of(rules: Sequence[Rule]) -> Sequence[Note]:
    """Return what is to be looked at in rules without fault. Marks and stages fill no gap: few objects have them."""
    found = []
    if kinds := _without(rules, category=None):
        found.append(Note(NoteCode.GAP_UNFILED, kinds))
    gaps: dict[tuple[str, ...], list[str]] = {}
    for category in Category:
        gaps.setdefault(_without(rules, category=category), []).append(category.value)
    found += [Note(NoteCode.GAP_FILED, kinds, tuple(categories)) for kinds, categories in gaps.items() if kinds]
    return found + list(_beaten(rules))


def _without(rules: Sequence[Rule], *, category: Category | None) -> tuple[str, ...]:
    """Return the kinds that no rule is for, filed under a case of this category, or under none."""

    def facts(kind: str) -> Facts:
        if category is None:
            return Facts(kind, _THEN)
        return Facts(kind, _THEN, categories=frozenset({category.value}), closings=(_THEN,))

    # Text records and volumes are of a case from the moment they are there.
    kinds = [kind for kind in KINDS if category is not None or kind not in {"record", "volume"}]
    return tuple(kind for kind in kinds if not kept_by(facts(kind), rules).reasons)


def _beaten(rules: Sequence[Rule]) -> Iterable[Note]:
    for rule in rules:
        for other in rules:
            if other is rule or not _implies(rule.condition, other.condition):
                continue
            is_mutual = _is_as_long(rule, other) and _implies(other.condition, rule.condition)
            if _is_as_long(other, rule) and not (is_mutual and rule.code < other.code):  # of two alike one is told
                yield Note(NoteCode.NEVER_DECIDES, rule=rule.code, by=other.code)
                break


def _is_as_long(rule: Rule, other: Rule) -> bool:
    """Return whether a rule keeps what both are for at least as long as another."""
    if rule.period.months is None:
        return True
    months = other.period.months
    return rule.basis is other.basis and months is not None and rule.period.months >= months


def _implies(condition: Condition, other: Condition) -> bool:
    """Return whether all that one condition is for the other is for too."""
    parts = ("kinds", "marks", "categories", "stages")
    if not all(
        not getattr(other, part) or (getattr(condition, part) and getattr(condition, part) <= getattr(other, part))
        for part in parts
    ):
        return False
    if other.filed is None or other.filed == condition.filed:
        return True
    return other.filed and condition.filed is None and bool(condition.categories or condition.stages)
