"""Outcomes of checks: valid, invalid, indeterminate, with coded findings.

A check that was not made is a finding too, and never counts as valid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The three outcomes of any check."""

    VALID = "valid"
    INVALID = "invalid"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check established.

    `code` is stable and dotted; `where` names the file, row or entry; `message` is one plain English sentence.
    """

    code: str
    outcome: Outcome
    message: str
    where: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the JSON form used by reports."""
        return {
            "code": self.code,
            "outcome": self.outcome.value,
            "message": self.message,
            "where": self.where,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Findings and the outcome that follows from them."""

    findings: Sequence[Finding] = field(default_factory=tuple)

    @property
    def outcome(self) -> Outcome:
        """Invalid if anything is invalid; else indeterminate if anything is, or if nothing was checked; else valid."""
        return worst(finding.outcome for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: outcome first, then every finding."""
        return {"outcome": self.outcome.value, "findings": [finding.as_json() for finding in self.findings]}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome of the whole; nothing checked is indeterminate."""
    seen = set(outcomes)
    if Outcome.INVALID in seen:
        return Outcome.INVALID
    if Outcome.INDETERMINATE in seen or not seen:
        return Outcome.INDETERMINATE
    return Outcome.VALID


def valid(code: str, message: str, where: str = "") -> Finding:
    """Make a finding: this was checked and holds."""
    return Finding(code, Outcome.VALID, message, where)


def invalid(code: str, message: str, where: str = "") -> Finding:
    """Make a finding: this was checked and does not hold."""
    return Finding(code, Outcome.INVALID, message, where)


def indeterminate(code: str, message: str, where: str = "") -> Finding:
    """Make a finding: this could not be checked."""
    return Finding(code, Outcome.INDETERMINATE, message, where)
