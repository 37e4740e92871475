"""What a schedule makes of a million objects: the algebra's own answers, each asked for once.

When a period ends depends on the local day of its basis alone, and which rules an object meets on a few words. So for
objects that agree in these words, what all rules of one basis ask for is one answer for each day, and `kept_by` is
asked for it once; the longest of several is the longest of their longests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from archive.calendar.days import local_day
from retention.planning.readings import Filing, Texts, Thing, as_instant, recorded_at
from retention.schedules.algebra import Facts, Kept, Rule, kept_by
from retention.schedules.terms import Basis, Mark

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_FOR_EVER: Final = "~"
"""Comes after every moment."""
_RECORDED, _RECEIVED, _CASE_CLOSED = (basis.value for basis in (Basis.RECORDED, Basis.RECEIVED, Basis.CASE_CLOSED))

Decision = tuple[str | None, bool, bool, str | None, str | None, str | None, str | None]
"""What is asked for an object, moments as of `retention.planning.readings`: until when, whether for ever, whether
something waits; rule and basis of that, the moment that it counts from; the rule whose clock waits."""


def decision_of(kept: Kept, texts: Texts) -> Decision:
    """Return what all rules together ask for."""
    winner, waiting = kept.longest, next((reason for reason in kept.reasons if reason.waits), None)
    told = winner or waiting
    is_permanent = winner is not None and winner.is_permanent
    return (
        None if winner is None or winner.until is None else texts.of(winner.until),
        is_permanent,
        not is_permanent and (waiting is not None or not kept.reasons),
        None if told is None else told.rule,
        None if told is None else told.basis.value,
        None if told is None or told.basis_at is None else texts.of(told.basis_at),
        None if waiting is None or is_permanent else waiting.rule,
    )


_Rank = tuple[str, int]
_Longest = tuple[_Rank, str | None, str | None]
"""The longest that rules of one basis ask for: its rank among all, its rule; the rule whose clock waits."""
_NONE: Final[_Longest] = (("", 0), None, None)


class _Days(dict[str, int]):
    """The number of the local day of each hour (`YYYY-MM-DD HH`): the bureau's days begin with an hour."""

    def __missing__(self, hour: str) -> int:
        day = self[hour] = local_day(as_instant(f"{hour}:00:00")).toordinal()
        return day


@dataclass(frozen=True, slots=True)
class _Group:
    """Rules of one basis that are met together, and what they ask for by each day that was met."""

    basis: Basis
    rules: Sequence[Rule]
    longest: dict[int, _Longest]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Objects that meet the same rules, by basis; `facts` are of one of them."""

    facts: Facts
    by_recording: _Group | None
    by_receipt: _Group | None
    by_closing: _Group | None


class Decider:
    """Says what the rules of one schedule ask for."""

    def __init__(self, rules: Sequence[Rule], texts: Texts) -> None:
        """Take the rules, and how moments are told."""
        self._texts = texts
        self._rules = sorted(rules, key=lambda rule: rule.code)
        self._places = {rule.code: place for place, rule in enumerate(self._rules, 1)}
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._groups: dict[tuple[Basis, tuple[str, ...]], _Group] = {}
        self._days = _Days()

    def decide(self, thing: Thing, marks: frozenset[str] | None) -> Decision:
        """Return what the rules ask for an object that is known so."""
        _, kind, received, stated, offset_ms, filings = thing
        closed: str | None = None
        if not filings:
            key: tuple[object, ...] = (kind, marks)
        elif len(filings) == 1:
            _, category, closed, stage = filings[0]
            key = (kind, marks, category, stage)
        else:
            ends = [filing[2] for filing in filings if filing[2]]
            closed = max(ends) if len(ends) == len(filings) else None
            key = (kind, marks, frozenset((filing[1], filing[3]) for filing in filings))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = self._shape(_words(kind, filings, marks))
        (best, rule, waits_for), basis, basis_at, days = _NONE, None, None, self._days
        if (group := shape.by_recording) is not None:
            at = recorded_at(stated, offset_ms, self._texts) or received
            day = days[at[:13]]
            best, rule, _ = group.longest.get(day) or self._asked(shape, group, day, at)
            basis, basis_at = _RECORDED, at
        if (group := shape.by_receipt) is not None:
            day = days[received[:13]]
            rank, code, _ = group.longest.get(day) or self._asked(shape, group, day, received)
            if rank > best:
                best, rule, basis, basis_at = rank, code, _RECEIVED, received
        if (group := shape.by_closing) is not None:
            day = days[closed[:13]] if closed else 0
            rank, code, waits_for = group.longest.get(day) or self._asked(shape, group, day, closed)
            if rank > best:
                best, rule, basis, basis_at = rank, code, _CASE_CLOSED, closed
        if best[0] == _FOR_EVER:
            return None, True, False, rule, basis, basis_at, None
        if rule is not None:
            return best[0], False, waits_for is not None, rule, basis, basis_at, waits_for
        return None, False, True, waits_for, waits_for and _CASE_CLOSED, None, waits_for

    def _shape(self, facts: Facts) -> _Shape:
        met = [rule for rule in self._rules if rule.condition.is_met_by(facts)]
        groups: list[_Group | None] = []
        for basis in (Basis.RECORDED, Basis.RECEIVED, Basis.CASE_CLOSED):
            rules = [rule for rule in met if rule.basis is basis]
            codes = tuple(rule.code for rule in rules)
            groups.append(self._groups.setdefault((basis, codes), _Group(basis, rules, {})) if rules else None)
        return _Shape(facts, *groups)

    def _asked(self, shape: _Shape, group: _Group, day: int, at: str | None) -> _Longest:
        """Return what the rules of one basis ask for, counted from a moment; remember it for its day."""
        counted = as_instant(at) if at else None
        facts = replace(
            shape.facts,
            received_at=counted or _NEVER,
            recorded_at=counted,
            closings=(counted,) if shape.facts.closings else (),
        )
        kept = kept_by(facts, group.rules)
        until, is_permanent, _, rule, _, _, _ = decision_of(kept, self._texts)
        waits_for = next((reason.rule for reason in kept.reasons if reason.waits), None)
        # As `Kept.longest` has it: of two that are for ever the first, of two that end on one day the last.
        if is_permanent and rule is not None:
            found: _Longest = ((_FOR_EVER, -self._places[rule]), rule, waits_for)
        elif until is not None and rule is not None:
            found = ((until, self._places[rule]), rule, waits_for)
        else:
            found = (_NONE[0], None, waits_for)
        group.longest[day] = found
        return found


def _words(kind: str, filings: Sequence[Filing], marks: frozenset[str] | None) -> Facts:
    """Return facts that meet the rules that an object meets; the moments are none of anything's."""
    return Facts(
        kind=kind,
        received_at=_NEVER,
        marks=frozenset(map(Mark, marks or ())),
        categories=frozenset(filing[1] for filing in filings),
        stages=frozenset(filing[3] for filing in filings if filing[3]),
        closings=(None,) if filings else (),
    )
