"""Reading file names: a pattern for each way in which devices name their files, shipped as data and added to by users.

A name that no pattern knows says nothing. What a name says is a claim: whoever can rename a file can make it.
Format: docs/formats/name-patterns.md.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from archive.evidence.terms import RecordedFrom, SourceKind
from archive.kernel.errors import InvalidInput
from ingest.manifest import MOST_CHANNEL, MOST_OFFICER, MOST_SEQUENCE, MOST_SERIES

_SHIPPED: Final = Path(__file__).with_name("patterns.toml")
_SHANGHAI: Final = "Asia/Shanghai"
# All of China has kept one offset since 1991, so the shipped zone needs no time zone database.
_FIXED: Final = {_SHANGHAI: timezone(timedelta(hours=8), _SHANGHAI), "UTC": UTC}
_OFFSET: Final = re.compile(r"([+-])(\d{2}):(\d{2})", re.ASCII)
_DIGITS: Final = ("YYYYMMDDhhmmssfff", "YYYYMMDDhhmmss", "YYYYMMDDhhmm", "YYMMDDhhmmss")
_FILE_KEYS: Final = {"version", "zone", "extensions", "pattern"}
_KEYS: Final = {
    "id", "about", "source", "name", "folder", "extensions", "time", "zone", "sequence", "first", "series", "channel",
}  # fmt: skip
_FLAGS: Final = re.ASCII | re.IGNORECASE
_EARLIEST: Final = 1990
_MOST_PATTERNS: Final = 500
_MOST_SERIAL: Final = 128
_MOST_FILE_BYTES: Final = 1 << 20


class PatternsInvalid(InvalidInput):
    """The file with name patterns cannot be used."""

    code = "dock.patterns_invalid"


@dataclass(frozen=True, slots=True)
class NameClaims:
    """What the name of a file says. `recorded_at` keeps the offset of its zone; `is_exact` whether it says the second.

    With a `series`, `sequence` numbers the chapters of one recording; without, it is a running number of the device.
    """

    pattern: str
    source: SourceKind | None = None
    serial: str | None = None
    officer: str | None = None
    channel: str | None = None
    series: str | None = None
    sequence: int | None = None
    trigger: str | None = None
    recorded_at: datetime | None = None
    is_exact: bool = False

    @property
    def device(self) -> dict[str, str | int]:
        """What it says of the device, in the fields of a manifest."""
        said = {
            "serial": self.serial,
            "officer": self.officer,
            "channel": self.channel,
            "source": None if self.source is None else self.source.value,
            "series": self.series,
            "sequence": self.sequence,
        }
        return {key: value for key, value in said.items() if value is not None}

    @property
    def times(self) -> dict[str, str]:
        """When the recording began if nothing tells it better, in the fields of a manifest."""
        if self.recorded_at is None:
            return {}
        told_by = RecordedFrom.NAME if self.is_exact else RecordedFrom.NAME_MINUTE
        named = self.recorded_at.isoformat()
        return {"named": named, "recorded": named, "recorded_from": told_by.value}

    @property
    def recorded(self) -> str | None:
        """The time as text, with the offset of its zone."""
        return None if self.recorded_at is None else self.recorded_at.isoformat()


@dataclass(frozen=True, slots=True)
class _Pattern:
    id: str
    source: SourceKind | None
    name: re.Pattern[str]
    folder: re.Pattern[str] | None
    extensions: frozenset[str]
    digits: str
    zone: tzinfo | None
    has_chapters: bool
    first: int | None
    series: str | None
    channel: str | None

    def read(self, stem: str, folder: str, zone: tzinfo) -> NameClaims | None:
        found = self.name.fullmatch(stem)
        above = None if self.folder is None else self.folder.search(folder)
        if found is None or (self.folder is not None and above is None):
            return None
        groups = {**({} if above is None else above.groupdict()), **found.groupdict()}
        said = {name: value for name, value in groups.items() if value}
        told = "".join(
            char for char in said.get("time", said.get("date", "") + said.get("clock", "")) if char.isdigit()
        )
        recorded_at = None
        if told:
            recorded_at = _moment(told, self.digits, self.zone or zone)
            if recorded_at is None:
                return None  # no such time: the name only looks like one of this kind
        sequence = int(said["sequence"]) if "sequence" in said else self.first
        has_chapter = self.has_chapters and sequence is not None
        return NameClaims(
            pattern=self.id,
            source=self.source,
            serial=_word(said.get("serial"), _MOST_SERIAL),
            officer=_word(said.get("officer"), MOST_OFFICER),
            channel=_word(_filled(self.channel, said) or said.get("channel"), MOST_CHANNEL),
            series=_word(_filled(self.series, said), MOST_SERIES) if has_chapter else None,
            sequence=None if sequence is None or sequence > MOST_SEQUENCE else sequence,
            trigger=_word(said.get("trigger"), MOST_CHANNEL),
            recorded_at=recorded_at,
            is_exact="ss" in self.digits,
        )


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Patterns in the order in which they are tried, and the zone of names that tell local time."""

    zone: tzinfo
    patterns: Sequence[_Pattern]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a user's file; its patterns come before those that are shipped, its zone stands for all.

        Raises: PatternsInvalid.
        """
        try:
            with path.open("rb") as source:
                text = source.read(_MOST_FILE_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise PatternsInvalid("The file with name patterns cannot be read", file=str(path)) from exc
        base = _shipped()
        own = _parsed(text, str(path), base=base.groups)
        return cls(own.zone or base.zone or UTC, (*own.patterns, *base.patterns))

    def read(self, name: str, *, folder: str = "") -> NameClaims | None:
        """Return what the first pattern that knows this name reads from it; `folder` is where the file lay, with `/`.

        None for every other name.
        """
        base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
        stem, dot, extension = base.rpartition(".")
        if not dot or not stem:
            return None
        folder = unicodedata.normalize("NFC", folder).replace("\\", "/").strip("/")
        for pattern in self.patterns:
            if extension.lower() in pattern.extensions:
                claims = pattern.read(stem, folder, self.zone)
                if claims is not None:
                    return claims
        return None


@cache
def shipped_patterns() -> NamePatterns:
    """Return the patterns that are shipped."""
    own = _shipped()
    return NamePatterns(own.zone or UTC, own.patterns)


@dataclass(frozen=True, slots=True)
class _File:
    zone: tzinfo | None
    patterns: tuple[_Pattern, ...]
    groups: Mapping[str, frozenset[str]]


def _parsed(text: str, file: str, *, base: Mapping[str, frozenset[str]]) -> _File:
    where = file
    try:
        told = tomllib.loads(text)
        _require(
            set(told) <= _FILE_KEYS and told.get("version") == 1,
            f"it holds version = 1 and any of: {', '.join(sorted(_FILE_KEYS - {'version'}))}",
        )
        groups = {**base, **{name: _lower(listed) for name, listed in told.get("extensions", {}).items()}}
        zone = None if "zone" not in told else _zone(told["zone"])
        made = []
        for number, fields in enumerate(told.get("pattern", []), 1):
            where = f"{file}: pattern {number} ({fields.get('id', 'without id')})"
            made.append(_pattern(fields, groups))
        where = file
        _require(
            len({pattern.id for pattern in made}) == len(made) <= _MOST_PATTERNS,
            f"there are at most {_MOST_PATTERNS} patterns, each with an id of its own",
        )
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as exc:
        raise PatternsInvalid(where=where, cause=str(exc)[:200]) from exc
    return _File(zone, tuple(made), groups)


@cache
def _shipped() -> _File:
    return _parsed(_SHIPPED.read_text("utf-8"), _SHIPPED.name, base={})


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - said right where it is asked
    if not holds:
        raise ValueError(otherwise)


def _pattern(fields: Mapping[str, Any], groups: Mapping[str, frozenset[str]]) -> _Pattern:
    _require(set(fields) <= _KEYS, f"unknown keys: {', '.join(sorted(set(fields) - _KEYS))}")
    name = re.compile(fields["name"], _FLAGS)
    folder = re.compile(rf"(?:^|/)(?:{fields['folder']})$", _FLAGS) if "folder" in fields else None
    known = {*name.groupindex, *(() if folder is None else folder.groupindex)}
    numbering = fields.get("sequence", "number")
    digits = fields.get("time", "YYYYMMDDhhmmss")
    _require(numbering in {"number", "chapter"}, "sequence is number or chapter")
    _require(digits in _DIGITS, f"time is one of {', '.join(_DIGITS)}")
    _require((numbering == "chapter") == ("series" in fields), "chapters, and only they, have a series")
    for template in (fields.get("series", ""), fields.get("channel", "")):
        template.format_map(dict.fromkeys(known, ""))
    return _Pattern(
        id=_checked_id(fields["id"]),
        source=SourceKind(fields["source"]) if "source" in fields else None,
        name=name,
        folder=folder,
        extensions=_extensions(fields.get("extensions", sorted(groups)), groups),
        digits=digits,
        zone=None if "zone" not in fields else _zone(fields["zone"]),
        has_chapters=numbering == "chapter",
        first=None if "first" not in fields else int(fields["first"]),
        series=fields.get("series"),
        channel=fields.get("channel"),
    )


def _checked_id(text: str) -> str:
    is_id = re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", text, re.ASCII) is not None
    _require(is_id, "an id has 1 to 40 lower-case letters, digits and hyphens")
    return text


def _extensions(listed: Sequence[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*(groups.get(each, frozenset({each.lower()})) for each in _lower(listed)))


def _lower(listed: Sequence[str]) -> frozenset[str]:
    _require(isinstance(listed, list), "extensions are lists")
    return frozenset(each.lower() for each in listed)


def _zone(text: str) -> tzinfo:
    if text in _FIXED:
        return _FIXED[text]
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-ahead if offset[1] == "-" else ahead)
    return ZoneInfo(text)


def _moment(digits: str, template: str, zone: tzinfo) -> datetime | None:
    """Return the time that these digits tell, None where there is no such time."""
    if len(digits) != len(template):
        return None

    def part(letter: str) -> int:
        chosen = "".join(digit for digit, place in zip(digits, template, strict=True) if place == letter)
        return int(chosen or "0")

    year = part("Y") + (2000 if template.startswith("YYM") else 0)
    try:
        at = datetime(year, part("M"), part("D"), part("h"), part("m"), part("s"), part("f") * 1000, tzinfo=zone)
        return at if at.astimezone(UTC).year >= _EARLIEST else None
    except (ValueError, OverflowError):
        return None


def _filled(template: str | None, said: Mapping[str, str]) -> str | None:
    return None if template is None else template.format_map(_Blank(said))


class _Blank(dict[str, str]):
    """Groups that took part in no match stand for nothing."""

    def __missing__(self, name: str) -> str:
        return ""


def _word(text: str | None, most: int) -> str | None:
    """Return a text of at most so many characters; noughts only are what a device writes that was never set up."""
    if text is None or not text.strip("0-_ ") or len(text) > most:
        return None
    return text
