"""The rules of retrieval as data: who sees at once, who asks first, how long it lasts, which accesses are unusual."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from archive.access.classes import RestrictedClass
from archive.access.policy import Role
from archive.kernel.errors import LiuhenError
from archive.kernel.rules import load_rules

_SHIPPED: Final = Path(__file__).parent / "rules.toml"
_NAMES: Final = {"from", "set_by", "grant", "request", "break_glass", "rule", "unusual"}


class RetrievalRulesInvalid(LiuhenError):
    """The file of the rules of retrieval is wrong."""

    code = "retrieval.rules_invalid"
    exit_code = 78


class GrantKind(StrEnum):
    """To see (调阅), to take a copy away (复制), or to print (打印)."""

    VIEW = "view"
    EXPORT = "export"
    PRINT = "print"


class Decision(StrEnum):
    """What the rules say of a retrieval."""

    AT_ONCE = "at_once"
    APPROVAL = "approval"
    REFUSED = "refused"


class Where(StrEnum):
    """Where a thing is for whoever looks: an own one, in the own unit or below it, or elsewhere."""

    OWN = "own"
    UNIT = "unit"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for a kind of retrieval by a role; `classes` and `where` narrow it, empty means any."""

    kinds: frozenset[GrantKind]
    roles: frozenset[Role]
    decision: Decision
    classes: frozenset[RestrictedClass] = frozenset()
    where: frozenset[Where] = frozenset()

    def fits(self, kind: GrantKind, roles: Collection[Role], classes: Collection[RestrictedClass], at: Where) -> bool:
        """Return whether this rule is about such a retrieval."""
        return (
            kind in self.kinds
            and not self.roles.isdisjoint(roles)
            and (not self.classes or not self.classes.isdisjoint(classes))
            and (not self.where or at in self.where)
        )


@dataclass(frozen=True, slots=True)
class Many:
    """More than `things` different things within `within`."""

    things: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Night:
    """Between two times of day where the bureau is; from a later to an earlier one is over midnight."""

    since: time
    until: time

    def has(self, clock: time) -> bool:
        """Return whether a time of day is in it."""
        if self.since <= self.until:
            return self.since <= clock < self.until
        return clock >= self.since or clock < self.until


@dataclass(frozen=True, slots=True)
class OutsideOwnCases:
    """Something that whoever has one of these roles had nothing to do with."""

    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class OwnName:
    """Something that concerns whoever looks."""


Unusual = Many | Night | OutsideOwnCases | OwnName


@dataclass(frozen=True, slots=True)
class RetrievalRules:
    """A dated set of the rules."""

    since: date
    set_by: str
    lasts: timedelta
    warn: timedelta
    decide_within: timedelta
    longest_days: int
    warn_days: int
    emergency_lasts: timedelta
    told: int
    rules: Sequence[Rule]
    unusual: Mapping[str, Unusual]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: RetrievalRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, RetrievalRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) - {"unusual"} != _NAMES - {"unusual"}:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        if type(told["from"]) is not date or not isinstance(told["set_by"], str):
            raise TypeError("`from` is a date and `set_by` a text")
        grant, request, glass = told["grant"], told["request"], told["break_glass"]
        return cls(
            since=told["from"],
            set_by=told["set_by"],
            lasts=timedelta(minutes=_within(grant["lasts_minutes"], 5, 24 * 60)),
            warn=timedelta(minutes=_within(grant["warn_minutes"], 1, 60)),
            decide_within=timedelta(hours=_within(request["decide_within_hours"], 1, 30 * 24)),
            longest_days=_within(request["longest_days"], 1, 366),
            warn_days=_within(request["warn_days"], 0, 60),
            emergency_lasts=timedelta(minutes=_within(glass["lasts_minutes"], 5, 24 * 60)),
            told=_within(glass["told"], 2, 10),
            rules=tuple(_rule(each) for each in told["rule"]),
            unusual=_unusual_of(told.get("unusual", [])),
        )

    def decide(
        self, kind: GrantKind, *, roles: Collection[Role], classes: Collection[RestrictedClass], where: Where
    ) -> Decision:
        """Return what the first rule that fits says; REFUSED where none does."""
        found = (rule.decision for rule in self.rules if rule.fits(kind, roles, classes, where))
        return next(found, Decision.REFUSED)


def _rule(told: Mapping[str, Any]) -> Rule:
    if not {"kinds", "roles", "decision"} <= set(told) <= {"kinds", "roles", "decision", "classes", "where"}:
        raise ValueError("a rule has kinds, roles and decision, and perhaps classes and where")
    return Rule(
        kinds=frozenset(map(GrantKind, told["kinds"])),
        roles=frozenset(map(Role, told["roles"])),
        decision=Decision(told["decision"]),
        classes=frozenset(map(RestrictedClass, told.get("classes", ()))),
        where=frozenset(map(Where, told.get("where", ()))),
    )


def _unusual_of(told: Sequence[Mapping[str, Any]]) -> Mapping[str, Unusual]:
    found: dict[str, Unusual] = {}
    for each in told:
        name = each["name"]
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = _unusual(name, {key: value for key, value in each.items() if key != "name"})
    return found


def _unusual(name: str, told: Mapping[str, Any]) -> Unusual:
    match name, sorted(told):
        case "many", ["minutes", "things"]:
            within = timedelta(minutes=_within(told["minutes"], 1, 24 * 60))
            return Many(_within(told["things"], 1, 10_000), within)
        case "night", ["from", "until"]:
            return Night(time.fromisoformat(told["from"]), time.fromisoformat(told["until"]))
        case "outside_own_cases", ["roles"]:
            return OutsideOwnCases(frozenset(map(Role, told["roles"])))
        case "own_name", []:
            return OwnName()
    raise ValueError(f"{name} is no rule of what is unusual, or has other names than these")


def _within(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"a number from {least} to {most}")
    return value
