"""What a check of a form has to know beside the form: the day, the register of officers, the case, limits, calendar."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from archive.calendar.days import WorkingDays, shipped_days
from archive.documents.limits import ProcedureLimits


@dataclass(frozen=True, slots=True)
class OfficerStanding:
    """An officer as the register has one: from when until when the certificate is valid, and since when suspended."""

    name: str
    valid_from: date | None = None
    valid_until: date | None = None
    suspended_on: date | None = None

    def is_valid_on(self, day: date) -> bool:
        """Return whether the certificate is valid on a day."""
        return (
            (self.valid_from is None or self.valid_from <= day)
            and (self.valid_until is None or day <= self.valid_until)
            and (self.suspended_on is None or day < self.suspended_on)
        )


@functools.cache
def shipped_limits() -> ProcedureLimits:
    """Return the limits that are shipped."""
    return ProcedureLimits.load()


@dataclass(frozen=True, slots=True)
class FormContext:
    """What is known around a form.

    `officers` by certificate number; None means that the register was not asked. `case_days` are days of the case by
    the names of `template_parts.CaseDay`; one that is not there is not known.
    """

    today: date
    officers: Mapping[str, OfficerStanding] | None = None
    case_days: Mapping[str, date] = field(default_factory=dict)
    days: WorkingDays = field(default_factory=shipped_days)
    limits: ProcedureLimits = field(default_factory=shipped_limits)
