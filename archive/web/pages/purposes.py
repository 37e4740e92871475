"""Why something is retrieved: what a form offers and what it says, and how somebody stands to an object."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.custody.models import PreservedObject
from archive.retrieval.decisions import admissions_to, case_numbers
from archive.retrieval.grants import MAX_PURPOSE_CHARACTERS, MAX_REFERENCE_CHARACTERS, Purpose
from archive.retrieval.rules import GrantKind
from archive.web.i18n import Catalogue
from archive.web.pages.forms import Form
from archive.wiring import Services

PURPOSES: Final = ("case_handling", "file_review", "legal_review", "complaint", "litigation", "supervision")
"""Usual purposes that a form offers; any other can be written."""


def usual_purposes(texts: Catalogue) -> Sequence[str]:
    """Return the purposes that a form offers, in the reader's words."""
    return [texts.text(f"purpose.{purpose}") for purpose in PURPOSES]


def given_purpose(form: Form, numbers: Sequence[str]) -> Purpose:
    """Return the purpose that a form says; what is filed under a case is for that one where nothing else is said."""
    words = form.text("purpose", most=MAX_PURPOSE_CHARACTERS)
    if numbers and not form.value("reference").strip():
        return Purpose(words, numbers[0])
    return Purpose(words, form.text("reference", most=MAX_REFERENCE_CHARACTERS))


def retrieval_context(
    tx: Session,
    row: PreservedObject,
    kinds: Sequence[GrantKind],
    caller: Caller,
    services: Services,
    *,
    texts: Catalogue,
) -> dict[str, Any]:
    """Return what the forms of a page need that sees, copies or prints an object."""
    rules, now = services.retrievals.rules, services.clock.now()
    return {
        "admission": admissions_to(tx, row, kinds, by=caller, rules=rules, at=now),
        "numbers": case_numbers(tx, row.id),
        "purposes": usual_purposes(texts),
        "longest_days": rules.longest_days,
        **grant_context(services),
    }


def grant_context(services: Services) -> dict[str, Any]:
    """Return what a page needs to warn before a grant ends."""
    now = services.clock.now()
    return {
        "left_s": lambda end: max(0, int((end - now).total_seconds())),
        "warn_s": int(services.retrievals.rules.warn.total_seconds()),
    }
