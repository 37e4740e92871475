"""What a schedule makes of a million objects: the algebra's own answers, each asked for once.

When a period ends depends on the local day of its basis alone, and which rules an object meets on a few words. So for
objects that agree in these words, what all rules of one basis ask for is one answer for each day, and `kept_by` is
asked for it once; the longest of several is the longest of their longests.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from archive.calendar.days import local_day
from retention.planning.readings import Filing, Thing, as_instant, as_text, recorded_at
from retention.schedules.algebra import Facts, Kept, Rule, kept_by
from retention.schedules.terms import Basis, Mark

_HOUR: Final = slice(0, 13)
"""`YYYY-MM-DD HH` of a moment: the bureau's days begin with an hour, so that it tells the day."""
_RECORDED, _RECEIVED, _CASE_CLOSED = (basis.value for basis in (Basis.RECORDED, Basis.RECEIVED, Basis.CASE_CLOSED))
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Answer(NamedTuple):
    """What a schedule asks for: `until` as of `retention.planning.readings`; `waits_for` is a rule whose clock waits."""

    until: str | None
    is_permanent: bool
    is_waiting: bool
    rule: str | None
    basis: str | None
    waits_for: str | None


Decision = tuple[Answer, str | None]
"""An answer for one object, and the moment that it counts from."""


def answer_of(kept: Kept) -> Answer:
    """Return what all rules together ask for."""
    winner = kept.longest
    if winner is not None and winner.is_permanent:
        return Answer(None, is_permanent=True, is_waiting=False, rule=winner.rule, basis=winner.basis, waits_for=None)
    waiting = next((reason for reason in kept.reasons if reason.waits), None)
    told = winner or waiting
    return Answer(
        until=None if winner is None or winner.until is None else as_text(winner.until),
        is_permanent=False,
        is_waiting=waiting is not None or not kept.reasons,
        rule=None if told is None else told.rule,
        basis=None if told is None else told.basis.value,
        waits_for=None if waiting is None else waiting.rule,
    )


class _Longest(NamedTuple):
    """The longest that rules of one basis ask for; no `rule` where none of them ends or is for ever."""

    until: str
    rule: str | None
    is_permanent: bool
    waits_for: str | None


_NONE: Final = _Longest("", None, is_permanent=False, waits_for=None)
_Longests = dict[date | None, _Longest]


class _Shape:
    """Objects that meet the same rules, by basis; with what these ask for by each day that was met."""

    __slots__ = ("by_closing", "by_receipt", "by_recording", "facts", "rules")

    def __init__(self, facts: Facts, rules: Sequence[Rule]) -> None:
        met = [rule for rule in rules if rule.condition.is_met_by(facts)]
        self.facts = facts
        self.rules = {basis: [rule for rule in met if rule.basis is basis] for basis in Basis}
        found: list[_Longests | None] = [
            {} if self.rules[basis] else None for basis in (Basis.RECORDED, Basis.RECEIVED, Basis.CASE_CLOSED)
        ]
        self.by_recording, self.by_receipt, self.by_closing = found


class Decider:
    """Says what the rules of one schedule ask for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the rules."""
        self._rules = rules
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._days: dict[str, date] = {}

    def decide(self, thing: Thing, filings: Sequence[Filing], marks: frozenset[str]) -> Decision:
        """Return what the rules ask for an object that is known so."""
        _, kind, received, stated, offset_ms = thing
        closed: str | None = None
        if not filings:
            key: tuple[object, ...] = (kind, marks)
        elif len(filings) == 1:
            _, category, closed, stage = filings[0]
            key = (kind, marks, category, stage)
        else:
            ends = [filing[2] for filing in filings if filing[2] is not None]
            closed = max(ends) if len(ends) == len(filings) else None
            key = (kind, marks, frozenset((filing[1], filing[3]) for filing in filings))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _Shape(_words(kind, filings, marks), self._rules)
        best, basis, basis_at, waits_for = _NONE, None, None, None
        if shape.by_recording is not None:
            recorded = recorded_at(stated, offset_ms) or received
            found = shape.by_recording.get(self._day(recorded)) or self._asked(shape, Basis.RECORDED, recorded)
            best, basis, basis_at = found, _RECORDED, recorded
        if shape.by_receipt is not None:
            found = shape.by_receipt.get(self._day(received)) or self._asked(shape, Basis.RECEIVED, received)
            if _is_longer(found, best):
                best, basis, basis_at = found, _RECEIVED, received
        if shape.by_closing is not None:
            day = None if closed is None else self._day(closed)
            found = shape.by_closing.get(day) or self._asked(shape, Basis.CASE_CLOSED, closed)
            waits_for = found[3]
            if _is_longer(found, best):
                best, basis, basis_at = found, _CASE_CLOSED, closed
        until, rule, is_permanent, _ = best
        if is_permanent:
            return Answer(None, True, False, rule, basis, None), basis_at  # noqa: FBT003 - a row
        if rule is not None:
            return Answer(until, False, waits_for is not None, rule, basis, waits_for), basis_at  # noqa: FBT003
        return Answer(None, False, True, waits_for, waits_for and _CASE_CLOSED, waits_for), None  # noqa: FBT003

    def _day(self, at: str) -> date:
        hour = at[_HOUR]
        day = self._days.get(hour)
        if day is None:
            day = self._days[hour] = local_day(as_instant(f"{hour}:00:00.000000"))
        return day

    def _asked(self, shape: _Shape, basis: Basis, at: str | None) -> _Longest:
        """Return what the rules of one basis ask for, counted from a moment; remember it for its day."""
        counted = None if at is None else as_instant(at)
        facts = replace(
            shape.facts,
            received_at=counted or _NEVER,
            recorded_at=counted,
            closings=(counted,) if shape.facts.closings else (),
        )
        answer = answer_of(kept_by(facts, shape.rules[basis]))
        ends = answer.is_permanent or answer.until is not None
        found = _Longest(answer.until or "", answer.rule if ends else None, answer.is_permanent, answer.waits_for)
        by_day = {Basis.RECORDED: shape.by_recording, Basis.RECEIVED: shape.by_receipt}.get(basis, shape.by_closing)
        if by_day is not None:
            by_day[None if at is None else self._day(at)] = found
        return found


def _is_longer(one: _Longest, other: _Longest) -> bool:
    """Whether of two the first wins, as `Kept.longest` has it."""
    if one[2] or other[2]:
        return one[2] and (not other[2] or str(one[1]) < str(other[1]))
    return one[1] is not None and (other[1] is None or (one[0], one[1]) > (other[0], other[1]))


def _words(kind: str, filings: Sequence[Filing], marks: frozenset[str]) -> Facts:
    """Return facts that meet the rules that an object meets; the moments are none of anything's."""
    return Facts(
        kind=kind,
        received_at=_NEVER,
        marks=frozenset(map(Mark, marks)),
        categories=frozenset(filing[1] for filing in filings),
        stages=frozenset(filing[3] for filing in filings if filing[3] is not None),
        closings=(None,) if filings else (),
    )
