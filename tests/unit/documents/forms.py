"""What the tests of forms share: the register, the day and the case of the worked examples."""

from datetime import date
from typing import Any

from archive.documents.form_context import FormContext, OfficerStanding
from archive.documents.templates import example_of, shipped_templates

TEMPLATES = shipped_templates()
CODES = sorted(TEMPLATES)
OFFICERS = {
    "25010020017": OfficerStanding("张明远", date(2024, 1, 1), date(2028, 12, 31)),
    "25010020036": OfficerStanding("陈思源", date(2024, 1, 1), date(2028, 12, 31)),
}
CASE_DAYS = {"filed_on": date(2026, 3, 6), "notified_on": date(2026, 4, 15)}


def context(**other: Any) -> FormContext:
    """Return what is known on the last day of June 2026, with what a test says otherwise."""
    return FormContext(**{"today": date(2026, 6, 30), "officers": OFFICERS, "case_days": CASE_DAYS, **other})


def example(code: str, **other: Any) -> dict[str, Any]:
    """Return the worked example of a template with other values; None takes a value out."""
    return {name: value for name, value in {**example_of(code), **other}.items() if value is not None}
