"""The time limits of procedures (办案期限) as data: which limit, how long, by which provision, counted in what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from archive.calendar.days import WorkingDays
from archive.calendar.deadlines import Deadline, Limit, PeriodInvalid, Unit, deadline
from archive.kernel.errors import LiuhenError
from archive.kernel.rules import load_rules

_SHIPPED: Final = Path(__file__).parent / "limits.toml"
_NAMES: Final = {"code", "zh", "en", "amount", "unit", "sense", "moves_on", "basis"}


class LimitsInvalid(LiuhenError):
    """The file of time limits is wrong."""

    code = "documents.limits_invalid"
    exit_code = 78


class Sense(StrEnum):
    """Whether something has to happen by the last day, or lie at least so many days ahead."""

    WITHIN = "within"
    NOT_BEFORE = "not_before"


@dataclass(frozen=True, slots=True)
class ProcedureLimit:
    """A time limit by its code, with its words."""

    code: str
    zh: str
    en: str
    sense: Sense
    limit: Limit

    def deadline(self, start: date, *, days: WorkingDays) -> Deadline:
        """Count from a day. Raises: PeriodInvalid."""
        return deadline(start, self.limit, days=days)

    def is_kept(self, found: Deadline, day: date) -> bool:
        """Return whether a day keeps the limit.

        What has to lie seven days ahead (七日前) has seven full days between, so it is after the seventh.
        """
        return day <= found.last if self.sense is Sense.WITHIN else day > found.last


@dataclass(frozen=True, slots=True)
class ProcedureLimits:
    """A dated set of the limits."""

    since: date
    set_by: str
    limits: Mapping[str, ProcedureLimit]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the limits: a bureau's own where a file is named, else those that are shipped.

        Raises: LimitsInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, LimitsInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != {"from", "set_by", "limit"}:
            raise ValueError("the names are from, set_by, limit")
        if type(told["from"]) is not date or not isinstance(told["set_by"], str):
            raise TypeError("`from` is a date and `set_by` a text")
        limits: dict[str, ProcedureLimit] = {}
        for each in told["limit"]:
            found = _limit(each)
            if found.code in limits:
                raise ValueError(f"{found.code} is there twice")
            limits[found.code] = found
        return cls(told["from"], told["set_by"], limits)


def _limit(told: Mapping[str, Any]) -> ProcedureLimit:
    if set(told) != _NAMES:
        raise ValueError(f"a limit has {', '.join(sorted(_NAMES))}")
    texts = [told[name] for name in ("code", "zh", "en", "basis")]
    if not all(isinstance(text, str) and text for text in texts):
        raise TypeError("code, zh, en and basis are texts")
    if type(told["amount"]) is not int or not isinstance(told["moves_on"], bool):
        raise TypeError("`amount` is a number, `moves_on` true or false")
    try:
        limit = Limit(told["amount"], Unit(told["unit"]), moves_on=told["moves_on"], basis=told["basis"])
    except PeriodInvalid as exc:
        raise ValueError(str(exc)) from exc
    return ProcedureLimit(told["code"], told["zh"], told["en"], Sense(told["sense"]), limit)
