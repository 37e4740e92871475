"""data/case.json as far as the checks need it. Source: docs/formats/case-package.md."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import SIZES_BYTES
from archive.kernel.errors import InvalidInput

_VERSION: Final = 1


class MalformedCase(InvalidInput):
    """The list of the case is not in its prescribed form."""

    code = "package.case_malformed"


@dataclass(frozen=True, slots=True)
class FileLine:
    """What the list says of one file; an object of the archive has an id and entries, a rendition has none.

    Units: size in bytes.
    """

    path: str
    size: int
    digests: Mapping[str, str]
    kind: str = ""
    object_id: str = ""
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What the list says."""

    case_id: str
    origin: str
    objects: tuple[FileLine, ...]
    renditions: tuple[FileLine, ...]
    entries: tuple[int, ...]
    size: int
    root: str
    issued: str


def parse_case(raw: bytes) -> Case:
    """Parse the list. Raises: InvalidInput."""
    fields = _object(parse_canonical(raw))
    if not is_count(fields.get("v")) or fields["v"] != _VERSION:
        raise MalformedCase("not version 1")
    head = _object(fields.get("checkpoint"))
    objects = tuple(_object_line(_object(each)) for each in _list(fields, "objects"))
    if len({each.object_id for each in objects}) != len(objects):
        raise MalformedCase("an object stands twice")
    return Case(
        case_id=_string(_object(fields.get("case")), "id"),
        origin=_string(fields, "origin"),
        objects=objects,
        renditions=tuple(_rendition_line(_object(each)) for each in _list(fields, "renditions")),
        entries=_indices(_list(fields, "entries")),
        size=_count(head, "size"),
        root=_string(head, "root"),
        issued=_string(head, "issued"),
    )


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number from 0."""
    return type(value) is int and value >= 0


def is_hex(value: Any, chars: int) -> bool:
    """Return whether a value is lower-case hexadecimal of this length."""
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{chars}}}", value) is not None


def _object_line(one: dict[str, Any]) -> FileLine:
    kind = one.get("kind")
    if kind not in ("item", "record"):
        raise MalformedCase("not an object")
    digests = _digests(one, ("sha256", "sha512"))
    if "sm3" in one:
        digests["sm3"] = one["sm3"]
    entries = _indices(_list(one, "entries"))
    return FileLine(_string(one, "path"), _count(one, "size"), digests, kind, _string(one, "id"), entries)


def _rendition_line(one: dict[str, Any]) -> FileLine:
    _string(one, "object")
    return FileLine(_string(one, "path"), _count(one, "size"), _digests(one, ("sha256",)))


def _digests(one: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = {name: one.get(name) for name in names}
    if not all(is_hex(value, 2 * SIZES_BYTES[name]) for name, value in found.items()):
        raise MalformedCase("a file without digests")
    return found


def _indices(values: list[Any]) -> tuple[int, ...]:
    if not all(is_count(each) for each in values):
        raise MalformedCase("an index is none")
    if any(one >= two for one, two in itertools.pairwise(values)):
        raise MalformedCase("indices are not in order")
    return tuple(values)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedCase("an object is missing")
    return value


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise MalformedCase("a list is missing")
    return value


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedCase("a text is missing")
    return value


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not is_count(value):
        raise MalformedCase("a number is missing")
    return int(value)  # type: ignore[arg-type]
