"""What is asked of officers and reviewers, as data: shipped with a date, replaced by a bureau's own file.

Nothing is refused by it: pages show whether it is met.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from archive.kernel.errors import LiuhenError
from archive.kernel.rules import load_rules

_SHIPPED: Final = Path(__file__).parent / "rules.toml"
_NAMES: Final = {"from", "set_by", "training", "reviewers"}
_MOST_HOURS: Final = 2_000


class OrganisationRulesInvalid(LiuhenError):
    """The file of the rules of officers and reviewers is wrong."""

    code = "organisation.rules_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How many hours of training an officer needs in a calendar year, and why."""

    hours_a_year: int
    basis: str


@dataclass(frozen=True, slots=True)
class ReviewerRule:
    """How many reviewers an agency needs: a share of its officers, and some at least; and why."""

    percent_of_officers: int
    at_least: int
    basis: str

    def needed(self, officers: int) -> int:
        """Return how many reviewers an agency with so many officers needs; none where there is no officer. Pure."""
        return max(self.at_least, -(-officers * self.percent_of_officers // 100)) if officers else 0


@dataclass(frozen=True, slots=True)
class OrganisationRules:
    """A dated set of the rules."""

    since: date
    set_by: str
    training: TrainingRule
    reviewers: ReviewerRule

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: OrganisationRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, OrganisationRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != _NAMES:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        training, reviewers = TrainingRule(**told["training"]), ReviewerRule(**told["reviewers"])
        numbers = (
            (training.hours_a_year, _MOST_HOURS),
            (reviewers.percent_of_officers, 100),
            (reviewers.at_least, 100),
        )
        if not all(type(number) is int and 0 <= number <= most for number, most in numbers):
            raise ValueError("hours, percent and number are whole, and not below zero")
        if not isinstance(told["from"], date) or not all(
            isinstance(text, str) and text.strip() for text in (told["set_by"], training.basis, reviewers.basis)
        ):
            raise ValueError("from is a day; set_by and every basis say something")
        return cls(told["from"], told["set_by"], training, reviewers)
