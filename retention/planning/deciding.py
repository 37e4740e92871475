"""What a schedule makes of a million objects: the algebra's own answers, each asked for once.

When a period ends depends on the local day of its basis alone, and which rules an object meets on a few words. So
objects that agree in these words and in the days that their rules count from have one answer: `kept_by` is asked for
it once, and nothing here decides anything itself.
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
_MOST_KEPT: Final = 200_000
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_FROM_RECORDING, _FROM_RECEIPT = Basis.RECORDED.value, Basis.RECEIVED.value
_Days = tuple[date | None, date | None, date | None]


class Answer(NamedTuple):
    """What a schedule asks for: `until` as of `retention.planning.readings`; `waits_for` is a rule whose clock waits."""

    until: str | None
    is_permanent: bool
    is_waiting: bool
    rule: str | None
    basis: str | None
    waits_for: str | None


class Decision(NamedTuple):
    """An answer for one object, with the moment that it counts from."""

    answer: Answer
    basis_at: str | None


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


class _Shape:
    """Objects that meet the same rules, and what came of each combination of days that these count from."""

    __slots__ = ("answers", "facts", "from_closing", "from_receipt", "from_recording", "rules")

    def __init__(self, facts: Facts, rules: Sequence[Rule]) -> None:
        self.facts = facts
        self.rules = [rule for rule in rules if rule.condition.is_met_by(facts)]
        bases = {rule.basis for rule in self.rules}
        self.from_recording, self.from_receipt = Basis.RECORDED in bases, Basis.RECEIVED in bases
        self.from_closing = Basis.CASE_CLOSED in bases
        self.answers: dict[_Days, Answer] = {}


class Decider:
    """Says what the rules of one schedule ask for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the rules."""
        self._rules = rules
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._days: dict[str, date] = {}
        self._kept = 0

    def decide(self, thing: Thing, filings: Sequence[Filing], marks: frozenset[str]) -> Decision:
        """Return what the rules ask for an object that is known so."""
        _, kind, received, _, _ = thing
        closed: str | None = None
        if not filings:
            key: tuple[object, ...] = (kind, marks)
        elif len(filings) == 1:
            _, category, closed, stage = filings[0]
            key = (kind, marks, category, stage)
        else:
            closings = [filing.closed_at for filing in filings]
            ends = [closing for closing in closings if closing is not None]
            closed = max(ends) if len(ends) == len(closings) else None
            key = (kind, marks, frozenset({(each.category, each.stage) for each in filings}))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _Shape(_words(kind, filings, marks), self._rules)
        recorded = (recorded_at(thing) or received) if shape.from_recording else None
        days = (
            self._day(recorded) if recorded is not None else None,
            self._day(received) if shape.from_receipt else None,
            self._day(closed) if closed is not None and shape.from_closing else None,
        )
        answer = shape.answers.get(days)
        if answer is None:
            answer = self._asked(shape, recorded, received, closed)
            shape.answers[days] = answer
        if answer.basis == _FROM_RECEIPT:
            return Decision(answer, received)
        if answer.basis == _FROM_RECORDING:
            return Decision(answer, recorded)
        return Decision(answer, None if answer.basis is None else closed)

    def _asked(self, shape: _Shape, recorded: str | None, received: str, closed: str | None) -> Answer:
        self._kept += 1
        if self._kept > _MOST_KEPT:
            for each in self._shapes.values():
                each.answers.clear()
            self._kept = 1
        facts = replace(
            shape.facts,
            received_at=as_instant(received),
            recorded_at=None if recorded is None else as_instant(recorded),
            closings=(None if closed is None else as_instant(closed),) if shape.facts.closings else (),
        )
        return answer_of(kept_by(facts, shape.rules))

    def _day(self, at: str) -> date:
        hour = at[_HOUR]
        day = self._days.get(hour)
        if day is None:
            day = self._days[hour] = local_day(as_instant(f"{hour}:00:00.000000"))
        return day


def _words(kind: str, filings: Sequence[Filing], marks: frozenset[str]) -> Facts:
    """Return facts that meet the rules that an object meets; the moments are none of anything's."""
    return Facts(
        kind=kind,
        received_at=_NEVER,
        marks=frozenset(map(Mark, marks)),
        categories=frozenset(filing.category for filing in filings),
        stages=frozenset(filing.stage for filing in filings if filing.stage is not None),
        closings=(None,) if filings else (),
    )
