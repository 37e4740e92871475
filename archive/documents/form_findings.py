"""What checks of a form find: a code, an outcome, the field, and the facts for a text in either language."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.documents.template import Template
from archive.documents.template_fields import PART_LABELS
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome, worst

_FIELDS: Final = ("other", "others", "capitals", "list")
"""Facts that name fields."""


@dataclass(frozen=True, slots=True)
class FormFinding:
    """One thing that a check of a form established.

    `code` is stable (`form.required`); its text stands in the catalogues under `finding`, or `held` where it holds.
    `field` is the path of the field: `fine`, `items[2].quantity`, `party.name`; empty for the whole form.
    """

    code: str
    outcome: Outcome
    field: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def words(self, template: Template, *, chinese: bool) -> Mapping[str, str]:
        """Return what a text of the catalogues fills in, fields by their labels; `{field}` is the finding's own."""
        told = {name: str(value) for name, value in self.facts.items()}
        for name in _FIELDS:
            if name in told:
                labels = [template.label(each, chinese=chinese) for each in told[name].split(",")]
                told[name] = ("、" if chinese else ", ").join(labels)
        for name in ("part", "parts"):
            if name in told:
                told[name] = ("、" if chinese else ", ").join(
                    PART_LABELS.get(part, (part, part))[0 if chinese else 1] for part in told[name].split(", ")
                )
        return {"field": template.label(self.field, chinese=chinese), **told}

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "code": self.code,
            "outcome": self.outcome.value,
            "field": self.field,
            "facts": {name: str(value) for name, value in self.facts.items()},
        }


class ValuesRefused(InvalidInput):
    """What was filled in cannot be read."""

    code = "documents.values_refused"

    def __init__(self, findings: Sequence[FormFinding] = ()) -> None:
        """Keep every finding."""
        self.findings = tuple(findings)
        super().__init__(None, fields=", ".join(sorted({found.field for found in findings})))


class FormUnfinished(InvalidInput):
    """The form is not finished: something is missing, breaks a rule, or could not be checked."""

    code = "documents.form_unfinished"

    def __init__(self, findings: Sequence[FormFinding] = ()) -> None:
        """Keep the findings that stand in the way."""
        self.findings = tuple(findings)
        super().__init__(None, fields=", ".join(sorted({found.field for found in findings})))


def fault(code: str, where: str = "", **facts: Any) -> FormFinding:
    """Make a finding: this was checked and does not hold."""
    return FormFinding(f"form.{code}", Outcome.INVALID, where, facts)


def unsure(code: str, where: str = "", **facts: Any) -> FormFinding:
    """Make a finding: this could not be checked."""
    return FormFinding(f"form.{code}", Outcome.INDETERMINATE, where, facts)


def holds(code: str, where: str = "", **facts: Any) -> FormFinding:
    """Make a finding: this was checked and holds."""
    return FormFinding(f"form.{code}", Outcome.VALID, where, facts)


def require_finished(findings: Iterable[FormFinding]) -> None:
    """Let a form pass that has no invalid finding and was checked at all.

    What could not be checked does not stand in the way: the one who signs has seen it, and the record shows it.
    Raises: FormUnfinished.
    """
    found = tuple(findings)
    wrong = [each for each in found if each.outcome is Outcome.INVALID]
    if wrong or not found:
        raise FormUnfinished(wrong)


def outcome_of(findings: Iterable[FormFinding]) -> Outcome:
    """Return the outcome of the whole form; nothing checked is indeterminate."""
    return worst(found.outcome for found in findings)
