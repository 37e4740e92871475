"""Which rule keeps an object, and until when. Pure: facts and rules in, the answer with its reasons out.

The longest wins; the order of the rules does not matter; a period whose clock has not begun stops disposition and is
said. Days are local ones. The day of the basis does not count; the day of the same number so many months later is the
last one and counts to its end, so that no period is shorter than it says. Where that month has no such day, its last
day is the last.
Source: 机关档案管理规定 (the longest period of several wins); 民法典 art. 200 to 203 (how periods are counted).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from archive.calendar.days import day_start, local_day
from archive.kernel.instants import Instant
from retention.schedules.terms import Basis, Mark, Period

LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of what would end later than a date can be: the clock of a device may say anything."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an object that schedules ask about.

    `kind` is of `PreservedObject` (footage, audio, photo, document, record, volume, ...). `categories` and `stages` are
    those of every case and act that it is filed under. `closings` has one member for each case that it is filed under:
    when that was closed, None while it is open.
    """

    kind: str
    received_at: Instant
    recorded_at: Instant | None = None
    marks: frozenset[Mark] = frozenset()
    categories: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    closings: tuple[Instant | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """Which objects a rule is for: every part that is not empty must be met, by any of its members.

    `filed` asks whether the object is filed under a case at all; None does not ask.
    """

    kinds: frozenset[str] = frozenset()
    marks: frozenset[Mark] = frozenset()
    categories: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    filed: bool | None = None

    def is_met_by(self, facts: Facts) -> bool:
        """Return whether the rule is for an object with these facts."""
        return (
            (not self.kinds or facts.kind in self.kinds)
            and (not self.marks or not self.marks.isdisjoint(facts.marks))
            and (not self.categories or not self.categories.isdisjoint(facts.categories))
            and (not self.stages or not self.stages.isdisjoint(facts.stages))
            and (self.filed is None or self.filed == bool(facts.closings))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a schedule (保管期限表): for what, how long, from when, by which law.

    `title` is in Chinese, `title_en` in English where there is one. `since` is the day from which the rule holds by its
    legal basis, None where nothing is said of it: a schedule is not put in force for days before it.
    """

    code: str
    title: str
    condition: Condition
    period: Period
    basis: Basis
    legal_basis: str
    title_en: str = ""
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule asks for. `until` is None for a permanent rule, and where the clock has not begun (`waits`)."""

    rule: str
    basis: Basis
    basis_at: Instant | None
    until: Instant | None
    is_permanent: bool = False

    @property
    def waits(self) -> bool:
        """Whether its clock has not begun: nothing ends before it does."""
        return not self.is_permanent and self.until is None


@dataclass(frozen=True, slots=True)
class Kept:
    """What all rules together ask for: every reason, in the order of the rules' codes.

    No reason at all means that no rule is for the object: it is kept until one is.
    """

    reasons: tuple[Reason, ...]

    @property
    def is_permanent(self) -> bool:
        """Whether any rule keeps it for ever."""
        return any(reason.is_permanent for reason in self.reasons)

    @property
    def waits(self) -> bool:
        """Whether the clock of any rule has not begun."""
        return any(reason.waits for reason in self.reasons)

    @property
    def longest(self) -> Reason | None:
        """The reason that wins: a permanent one, else the one that ends last; None where none has an end."""
        for reason in self.reasons:
            if reason.is_permanent:
                return reason
        ending = [reason for reason in self.reasons if reason.until is not None]
        return max(ending, key=lambda reason: (reason.until, reason.rule), default=None)

    @property
    def until(self) -> Instant | None:
        """When the last period ends; None for ever, and where no period has begun."""
        winner = self.longest
        return None if winner is None else winner.until


def kept_by(facts: Facts, rules: Iterable[Rule]) -> Kept:
    """Return what rules ask for an object with these facts. The order of the rules does not matter."""
    met = sorted((rule for rule in rules if rule.condition.is_met_by(facts)), key=lambda rule: rule.code)
    return Kept(tuple(_reason(facts, rule) for rule in met))


def ends_at(basis_at: Instant, period: Period) -> Instant | None:
    """Return when a period that counts from `basis_at` ends, the first moment that is not of it; None for ever."""
    if period.months is None:
        return None
    try:
        day = local_day(basis_at)
        months = day.year * 12 + day.month - 1 + period.months
        first = date(months // 12, months % 12 + 1, 1)
        after = date((months + 1) // 12, (months + 1) % 12 + 1, 1)
        return day_start(min(first + timedelta(days=day.day), after))
    except (ValueError, OverflowError):
        return LAST


def _reason(facts: Facts, rule: Rule) -> Reason:
    at = _basis_at(facts, rule.basis)
    if rule.period.is_permanent:
        return Reason(rule.code, rule.basis, at, None, is_permanent=True)
    return Reason(rule.code, rule.basis, at, None if at is None else ends_at(at, rule.period))


def _basis_at(facts: Facts, basis: Basis) -> Instant | None:
    """Return the moment that a period counts from: of several cases the last closing, None while one is open."""
    if basis is Basis.CASE_CLOSED:
        closings = [closing for closing in facts.closings if closing is not None]
        return max(closings) if closings and len(closings) == len(facts.closings) else None
    if basis is Basis.RECORDED:
        return facts.recorded_at or facts.received_at
    return facts.received_at
