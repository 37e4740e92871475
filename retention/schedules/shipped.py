"""Schedules as files: those that come with the program, and how any such file is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import LiuhenError
from archive.kernel.rules import load_rules
from retention.schedules.algebra import Rule
from retention.schedules.content import read_rules
from retention.schedules.faults import ScheduleInvalid

_FOLDER: Final = Path(__file__).parent
_NAMES: Final = {"from", "set_by", "title", "rule"}
_LISTS: Final = ("kinds", "marks", "categories", "stages")
_RULE: Final = {"code", "title", "filed", "years", "months", "permanent", "basis", "legal_basis", "from", *_LISTS}
_MOST_YEARS: Final = 100


class Shipped(StrEnum):
    """The schedules that come with the program."""

    DEFAULT = "default"
    """What holds until a bureau puts its own in force."""
    POLICE = "police"
    """The police's own rule, which holds nowhere until a bureau takes it up."""


class ScheduleFileInvalid(LiuhenError):
    """The file of a retention schedule is wrong."""

    code = "retention.schedule_file_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """What a file says. `since` and `set_by` are of the file as a whole, `title` is Chinese, `title_en` English."""

    title: str
    title_en: str
    since: date
    set_by: str
    rules: tuple[Rule, ...]


def load_schedule(path: Path) -> ScheduleFile:
    """Read a schedule's TOML file; default.toml says the names. Raises: ScheduleFileInvalid, with file and cause."""
    return load_rules(path, _read, ScheduleFileInvalid)


@cache
def shipped_schedule(name: Shipped) -> ScheduleFile:
    """Return a schedule that came with the program."""
    return load_schedule(_FOLDER / f"{name.value}.toml")


def _read(told: Mapping[str, Any]) -> ScheduleFile:
    if set(told) != _NAMES or not isinstance(told["rule"], list):
        raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
    title, since, set_by = told["title"], told["from"], told["set_by"]
    if not isinstance(title, Mapping) or set(title) != {"zh", "en"} or not all(map(_is_said, title.values())):
        raise TypeError("title has a text in zh and one in en")
    if type(since) is not date or not _is_said(set_by):
        raise TypeError("from is a day, and set_by a text")
    try:
        rules = read_rules([_rule(number, each) for number, each in enumerate(told["rule"], 1)])
    except ScheduleInvalid as exc:
        raise ValueError("; ".join(map(str, exc.faults))) from exc
    if unsaid := [rule.code for rule in rules if rule.since is None or not rule.title_en]:
        raise ValueError(f"{unsaid[0]} says no day that it holds from, or has no English title")
    return ScheduleFile(title["zh"], title["en"], since, set_by, rules)


def _rule(number: int, told: Any) -> dict[str, Any]:
    """Return a rule of a file as the JSON of a schedule has it. Raises: ValueError, TypeError."""
    if not isinstance(told, Mapping):
        raise TypeError(f"rule {number} is no table")
    if unknown := set(told) - _RULE:
        raise ValueError(f"rule {number} has names that are not known here: {', '.join(sorted(unknown))}")
    if "from" in told and type(told["from"]) is not date:
        raise TypeError(f"rule {number}: from is a day")
    found = {name: told.get(name) for name in ("code", "title", "filed", "basis", "legal_basis")}
    found |= {name: told.get(name, []) for name in _LISTS}
    found["from"] = told["from"].isoformat() if "from" in told else None
    found["months"] = _months(number, told)
    return found


def _months(number: int, told: Mapping[str, Any]) -> int | None:
    given = [name for name in ("years", "months", "permanent") if name in told]
    if len(given) != 1:
        raise ValueError(f"rule {number} has one of years, months, permanent")
    value = told[given[0]]
    if given == ["permanent"]:
        if value is not True:
            raise ValueError(f"rule {number}: permanent is true, or not there")
        return None
    if type(value) is not int or (given == ["years"] and not 1 <= value <= _MOST_YEARS):
        raise ValueError(f"rule {number}: years are 1 to {_MOST_YEARS}, months 1 to {12 * _MOST_YEARS}")
    return value * 12 if given == ["years"] else value


def _is_said(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
