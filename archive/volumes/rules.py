"""The rules of case files as data: which paper stands in which volume and where, file numbers, the day of filing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from archive.calendar.days import local_day
from archive.cases.terms import RecordForm, Stage
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.kernel.rules import check_scheme, load_rules

MAX_NUMBER_CHARACTERS: Final = 100
_SHIPPED: Final = Path(__file__).parent / "rules.toml"
_NAMES: Final = {"from", "set_by", "file_number", "filing", "volume", "section"}
_FIELDS: Final = {"fonds", "year", "period", "serial"}


class VolumeRulesInvalid(LiuhenError):
    """The file of the rules of case files is wrong."""

    code = "volumes.rules_invalid"
    exit_code = 78


class VolumeKind(StrEnum):
    """Main volume (正卷), which the party may read, and sub volume (副卷), which is internal."""

    MAIN = "main"
    SUB = "sub"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a volume: the forms of papers in their order, and the stages whose footage stands behind them."""

    volume: VolumeKind
    name: str
    forms: tuple[RecordForm, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class VolumeRules:
    """A dated set of the rules. Units: days."""

    since: date
    set_by: str
    scheme: str
    fonds: str
    period: str
    within_days: int
    words: Mapping[VolumeKind, str]
    sections: Sequence[Section]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: VolumeRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, VolumeRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != _NAMES:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        rules = cls(
            since=told["from"],
            set_by=told["set_by"],
            **_exactly(told["file_number"], {"scheme", "fonds", "period"}),
            **_exactly(told["filing"], {"within_days"}),
            words={VolumeKind(kind): word for kind, word in told["volume"].items()},
            sections=tuple(_section(section) for section in told["section"]),
        )
        texts = [rules.set_by, rules.scheme, rules.fonds, rules.period, *rules.words.values()]
        if type(rules.since) is not date or {*map(type, texts)} != {str}:
            raise TypeError("a value is of another type")
        if type(rules.within_days) is not int:
            raise TypeError("a number is of another type")
        if not 1 <= rules.within_days <= 366:
            raise ValueError("1 to 366 days")
        if set(rules.words) != set(VolumeKind):
            raise ValueError("each kind of volume has a word")
        _require_each_once([form for section in rules.sections for form in section.forms], RecordForm)
        _require_each_once([stage for section in rules.sections for stage in section.stages], Stage)
        check_scheme(rules.scheme, _FIELDS)
        if len(rules.file_number(year=9999, serial=10**9)) > MAX_NUMBER_CHARACTERS:
            raise ValueError(f"a file number has at most {MAX_NUMBER_CHARACTERS} characters")
        return rules

    def file_number(self, *, year: int, serial: int) -> str:
        """Return the file number (档号) with this serial."""
        return self.scheme.format(fonds=self.fonds, period=self.period, year=year, serial=serial)

    def file_by(self, closed_at: Instant) -> date:
        """Return the last day on which a case that was closed at a moment is filed in time."""
        return local_day(closed_at) + timedelta(days=self.within_days)


def _section(told: Mapping[str, Any]) -> Section:
    told = _exactly(told, {"volume", "name", "forms", "stages"})
    if type(told["name"]) is not str or not told["name"].strip():
        raise TypeError("a section has a name")
    forms, stages = tuple(map(RecordForm, told["forms"])), tuple(map(Stage, told["stages"]))
    return Section(VolumeKind(told["volume"]), told["name"], forms, stages)


def _exactly(told: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    if set(told) != names:
        raise ValueError(f"the names are {', '.join(sorted(names))}")
    return told


def _require_each_once(found: Sequence[StrEnum], kind: type[StrEnum]) -> None:
    """Refuse an order that leaves a paper without a place, or gives it two. Raises: ValueError."""
    missing, twice = set(kind) - set(found), {one for one in found if found.count(one) > 1}
    if missing or twice:
        raise ValueError(f"in no section: {', '.join(sorted(missing))}; in two: {', '.join(sorted(twice))}")
