"""What a schedule would change, object by object. Pure: facts, what is stored and two sets of rules in, words out.

What is stored only grows, so an object is compared with the later of what is stored and what today's rules ask for.
While a case is open its period has not begun: it is counted as if all its cases were closed now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from archive.calendar.days import local_day
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.instants import Instant, format_instant, parse_instant
from retention.schedules.algebra import Facts, Kept, Rule, kept_by

MOST_EXAMPLES: Final = 5
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)
_MOST_REMEMBERED: Final = 20_000


class Change(StrEnum):
    """What would become of an object."""

    LONGER = "longer"
    FOR_EVER = "for_ever"
    """It would be kept permanently, and is not now."""
    AS_NOW = "as_now"
    STAYS = "stays"
    """The rules ask for less than what is stored; what is stored stays."""
    SHORTER = "shorter"
    """The rules ask for less than today's, and nothing longer is stored yet: its case is open, or it came just now."""
    FIRST_RULE = "first_rule"
    """No rule is for it now, which keeps it until one is; it would get an end."""
    WITHOUT_RULE = "without_rule"
    """No rule would be for it: what is stored stays, and it is kept beyond that until a rule is."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Until when an object is kept as it was planned."""

    until: Instant | None = None
    is_permanent: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of one object: until when it is kept now and then, None for ever and where no rule is for it.

    `rule` is the code of the rule that would decide, `rule_now` of the one that decides by today's schedule; empty
    where none does. `met` are all that would be for it.
    """

    change: Change
    rule: str
    rule_now: str
    until: Instant | None
    until_now: Instant | None
    met: tuple[str, ...]


class Comparison:
    """Compares two sets of rules on one object after the other, at a moment.

    Verdicts are remembered: ends depend on local days and on what conditions ask about, in which few objects differ.
    """

    def __init__(self, now: Sequence[Rule], then: Sequence[Rule], at: Instant) -> None:
        """Take today's rules and those that are tried."""
        self._now, self._then = tuple(now), tuple(then)
        self._at = at
        self._known: dict[Any, Verdict] = {}

    def verdict(self, facts: Facts, stored: Stored) -> Verdict:
        """Return what would become of an object."""
        closings = tuple(at or self._at for at in facts.closings)
        closed = replace(facts, closings=closings)
        counted = (facts.received_at, facts.recorded_at, max(closings) if closings else None)
        try:
            days = tuple(None if at is None else local_day(at) for at in counted)
        except OverflowError:  # the clock of a device may say anything
            return self._judged(closed, stored)
        key = (closed.kind, closed.marks, closed.categories, closed.stages, days, stored)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._judged(closed, stored)
        return found

    def _judged(self, closed: Facts, stored: Stored) -> Verdict:
        now, then = kept_by(closed, self._now), kept_by(closed, self._then)
        kept, asked, would = _length_of(stored), _length(now, self._at), _length(then, self._at)
        return Verdict(
            _change(kept, asked, would),
            rule=_winner(then),
            rule_now=_winner(now),
            until=_shown(would),
            until_now=_shown(max((each for each in (kept, asked) if each is not None), default=None)),
            met=tuple(reason.rule for reason in then.reasons),
        )


@dataclass
class Tally:
    """What was counted. Units: bytes of originals.

    `changes` has count and bytes of each change, `rules` by the code of the rule that would decide (empty for none) the
    count of each change, `met` how many objects each rule would be for, `units` by unit the count of each change,
    `examples` the first objects of each change.
    """

    objects: int = 0
    changes: dict[str, list[int]] = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)
    met: dict[str, int] = field(default_factory=dict)
    units: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, object_id: UUID, unit_id: UUID, size_bytes: int, verdict: Verdict) -> None:
        """Count one object."""
        change = verdict.change.value
        self.objects += 1
        counted = self.changes.setdefault(change, [0, 0])
        counted[0] += 1
        counted[1] += size_bytes
        for counts, key in ((self.rules, verdict.rule), (self.units, str(unit_id))):
            of_key = counts.setdefault(key, {})
            of_key[change] = of_key.get(change, 0) + 1
        for code in verdict.met:
            self.met[code] = self.met.get(code, 0) + 1
        examples = self.examples.setdefault(change, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(
                {
                    "object": str(object_id),
                    "rule": verdict.rule,
                    "rule_now": verdict.rule_now,
                    "until": None if verdict.until is None else format_instant(verdict.until),
                    "until_now": None if verdict.until_now is None else format_instant(verdict.until_now),
                }
            )

    def to_json(self) -> str:
        """Return it as canonical JSON."""
        return canonical_json({"v": 1, **self.__dict__}).decode()

    @classmethod
    def of_json(cls, told: str) -> Self:
        """Read what `to_json` wrote."""
        found = parse_canonical(told.encode())
        found.pop("v")
        return cls(**found)

    def count(self, change: Change) -> int:
        """Return how many objects have this change."""
        return self.changes.get(change.value, [0, 0])[0]

    def size_bytes(self, change: Change) -> int:
        """Return how many bytes the objects with this change have."""
        return self.changes.get(change.value, [0, 0])[1]


def moment_of(told: str | None) -> Instant | None:
    """Return a moment that a tally holds."""
    return None if told is None else parse_instant(told)


def _length_of(stored: Stored) -> Instant | None:
    return _FOR_EVER if stored.is_permanent else stored.until


def _length(kept: Kept, at: Instant) -> Instant | None:
    """Return when something ends, `_FOR_EVER` where it never does, None where no rule is for it."""
    if kept.is_permanent:
        return _FOR_EVER
    if kept.until is None and kept.waits:  # its clock will begin, and not before now
        return at
    return kept.until


def _change(kept: Instant | None, asked: Instant | None, would: Instant | None) -> Change:
    """Return what becomes of what is stored until `kept`, where two sets of rules ask for two ends.

    None stands for nothing stored, and for no rule.
    """
    if would is None:
        return Change.AS_NOW if asked is None else Change.WITHOUT_RULE
    if asked is None and kept != _FOR_EVER:
        return Change.FOR_EVER if would == _FOR_EVER else Change.FIRST_RULE
    before = max(each for each in (kept, asked) if each is not None)
    if would > before:
        return Change.FOR_EVER if would == _FOR_EVER else Change.LONGER
    if would == before:
        return Change.AS_NOW
    return Change.STAYS if kept == before else Change.SHORTER


def _winner(kept: Kept) -> str:
    longest = kept.longest
    return "" if longest is None else longest.rule


def _shown(length: Instant | None) -> Instant | None:
    return None if length in {None, _FOR_EVER} else length
