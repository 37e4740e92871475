"""The words of retention schedules: from when a period counts, and what an object may be marked as."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from archive.kernel.errors import InvalidInput

KINDS: Final = ("footage", "audio", "photo", "document", "archive", "other", "record", "volume")
"""What an object can be: the kinds of items by their content (an item is `other` until it was looked at), a text record
(文书), the closed volume of a case file (案卷)."""


class Basis(StrEnum):
    """The moment from which a period counts; stored with every date that was counted from it."""

    RECORDED = "recorded"
    RECEIVED = "received"
    CASE_CLOSED = "case_closed"


class Mark(StrEnum):
    """What somebody said of an object or a case that its schedule asks about.

    Source: 公安机关现场执法视音频记录工作规定 art. 13 (in force 2016-07-01), its four grounds of permanent keeping.
    """

    EVIDENCE = "evidence"
    OBSTRUCTION = "obstruction"
    MAJOR_INCIDENT = "major_incident"
    COMPLEX = "complex"


class ScheduleState(StrEnum):
    """Where a version of the schedule stands: it is written, holds from its day on, or was taken back before."""

    DRAFT = "draft"
    IN_FORCE = "in_force"
    WITHDRAWN = "withdrawn"


class BadPeriod(InvalidInput):
    """A period is a whole number of months, 1 to 1,200, or permanent."""

    code = "retention.bad_period"


@dataclass(frozen=True, slots=True)
class Period:
    """How long: whole months of the local calendar, or for ever (`months` is None). Raises: BadPeriod."""

    months: int | None

    def __post_init__(self) -> None:
        """Refuse what is no period."""
        if self.months is not None and not 1 <= self.months <= 1200:
            raise BadPeriod(months=self.months)

    @property
    def is_permanent(self) -> bool:
        """Whether it never ends."""
        return self.months is None


PERMANENT = Period(None)
