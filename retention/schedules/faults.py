"""What can be wrong in a schedule: a cause by its code, with facts, the rule and the field that it stands in."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.errors import LiuhenError

_SENTENCES: Final[Mapping[str, str]] = {
    "form": "this has another form than it should",
    "unknown_names": "these names are not known here: {names}",
    "no_rules": "a schedule has at least one rule",
    "too_many_rules": "a schedule has at most {most} rules",
    "required": "this is missing",
    "too_long": "this has at most {most} characters",
    "control_characters": "this holds control characters",
    "not_a_code": "a code begins with a small letter, and has small letters, digits and _ only, at most {most}",
    "code_twice": "another rule has this code",
    "unknown_value": "{value} is none of the values that can stand here",
    "value_twice": "{value} stands here twice",
    "not_a_period": "a period is a whole number of months, 1 to {most}",
    "not_a_day": "this is no day",
    "never_met": "what is filed under no case has neither a category nor a stage: the rule is for nothing",
    "closing_needs_case": "only what is filed under a case counts from its closing: say so, or name categories, stages",
}
"""The English sentence of each cause. The pages have their own in both languages, under `schedule_fault`."""


@dataclass(frozen=True, slots=True)
class RuleFault:
    """What is wrong: `rule` is the place of the rule from 0 on, None for the schedule as a whole."""

    rule: int | None
    field: str
    code: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """Return the place and the cause as one line in English."""
        where = "" if self.rule is None else f"rule {self.rule + 1}, "
        return f"{where}{self.field}: {_SENTENCES[self.code].format(**self.facts)}"


class ScheduleInvalid(LiuhenError):
    """A retention schedule is wrong."""

    code = "retention.schedule_invalid"
    exit_code = 65

    def __init__(self, faults: Sequence[RuleFault] = ()) -> None:
        """Keep every fault; the first one is told."""
        self.faults = tuple(faults)
        super().__init__(None, **({"cause": str(faults[0])} if faults else {}))


def fault_codes() -> frozenset[str]:
    """Return every code that a fault can have."""
    return frozenset(_SENTENCES)
