"""Findings about a package in the order of the checks, and the two verdicts that follow from them."""

import importlib.resources
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from archive.kernel.findings import Finding, Outcome, worst
from archive.packages.verification.layout import shown


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Return the sentences by code and language (`en`, `zh`)."""
    text = importlib.resources.files("archive.packages.verification").joinpath("sentences.toml").read_text("utf-8")
    return tomllib.loads(text)


def finding(code: str, outcome: Outcome, where: str = "", detail: str = "") -> Finding:
    """Return a finding with the sentence of its code."""
    text = sentences()[code]["en"]
    return Finding(code, outcome, f"{text} ({detail})" if detail else text, shown(where))


@dataclass(slots=True)
class Findings:
    """What the checks found so far, in their order."""

    found: list[Finding] = field(default_factory=list)

    def holds(self, code: str, where: str = "", detail: str = "") -> None:
        """Add: this was checked and holds."""
        self.found.append(finding(code, Outcome.VALID, where, detail))

    def fails(self, code: str, where: str = "", detail: str = "") -> None:
        """Add: this was checked and does not hold."""
        self.found.append(finding(code, Outcome.INVALID, where, detail))

    def leaves_open(self, code: str, where: str = "", detail: str = "") -> None:
        """Add: this could not be checked."""
        self.found.append(finding(code, Outcome.INDETERMINATE, where, detail))

    def add(self, verdict: "Verdict", where: str) -> None:
        """Add what one check of one file said."""
        self.found.append(finding(verdict.code, verdict.outcome, where, verdict.detail))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check of one file says, before it is known as what it stands in the report."""

    code: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PackageReport:
    """The report: `unaltered` from the checks 1 to 7, `complete` from check 8.

    `size` and `time` say up to which checkpoint; None where that could not be read.
    """

    checked: str
    unaltered: Sequence[Finding]
    complete: Sequence[Finding]
    size: int | None
    time: str | None

    @property
    def findings(self) -> Sequence[Finding]:
        """All findings, in the order of the checks."""
        return (*self.unaltered, *self.complete)

    @property
    def outcomes(self) -> tuple[Outcome, Outcome]:
        """The two verdicts: unaltered, complete."""
        return worst(each.outcome for each in self.unaltered), worst(each.outcome for each in self.complete)

    @property
    def outcome(self) -> Outcome:
        """The worse of the two verdicts."""
        return worst(self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form of docs/formats/case-package.md."""
        unaltered, complete = self.outcomes
        return {
            "checked": self.checked,
            "outcome": self.outcome.value,
            "unaltered": unaltered.value,
            "complete": complete.value,
            "up_to": {"size": self.size, "time": self.time},
            "findings": [each.as_json() for each in self.findings],
        }
