"""The values of a form: user input read strictly into one type, by the fields of the template.

A value is read or refused, never mended: text is brought into NFC, blank input is none. A draft may lack any of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from archive.documents import template_fields as kinds
from archive.documents.form_findings import FormFinding, ValuesRefused
from archive.documents.template import Template
from archive.documents.value_reading import MISSING, NotReadable, read_scalar, read_text
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import Digest, digest_of
from archive.kernel.findings import Outcome
from archive.kernel.instants import BUREAU_ZONE

_PERSON_PARTS: Final = {
    "name": 100,
    "sex": 10,
    "age": 10,
    "id_number": 40,
    "phone": 40,
    "address": 300,
    "employer": 200,
    "post": 100,
}
_SUBJECT_PARTS: Final = {"name": 200, "number": 40, "representative": 100, "post": 100, "address": 300, "phone": 40}


@dataclass(frozen=True, slots=True)
class People:
    """A person or a subject: the parts that were filled in, by name."""

    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name, or nothing."""
        return self.parts.get("name", "")


@dataclass(frozen=True, slots=True)
class OfficerName:
    """An officer as a record names one."""

    name: str
    certificate_number: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Another record of the case."""

    id: UUID
    title: str
    number: str


Scalar = str | bool | int | date | datetime | Decimal
Value = (
    Scalar
    | People
    | Reference
    | tuple[str, ...]
    | tuple[OfficerName, ...]
    | tuple[Exchange, ...]
    | tuple[Mapping[str, Scalar], ...]
)
"""What a field holds: amounts are fen, moments are aware, numbers are decimals, a list is lines of columns."""


@dataclass(frozen=True, slots=True)
class Values:
    """What was filled into one version of a template; a field that has no value is not in `fields`."""

    template: str
    version: int
    fields: Mapping[str, Value]

    def get(self, name: str) -> Value | None:
        """Return the value of a field, or None."""
        return self.fields.get(name)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, which `as_values` reads back: `{template, version, values}`."""
        return {
            "template": self.template,
            "version": self.version,
            "values": {name: _as_json(value) for name, value in self.fields.items()},
        }

    def digest(self) -> Digest:
        """Return the SHA-256 of the canonical JSON form, which the code on the paper carries."""
        return digest_of(canonical_json(self.as_json())).sha256


def as_values(template: Template, given: Mapping[str, Any]) -> Values:
    """Read user input by the fields of a template; amounts as figures or fen, days and moments as ISO 8601.

    A moment without an offset is one where the bureau is.
    Raises: ValuesRefused with a finding for every field that is unknown or cannot be read.
    """
    findings = [
        FormFinding("form.unknown_field", Outcome.INVALID, str(name)[:60], {})
        for name in given
        if name not in {field.name for field in template.fields}
    ]
    found: dict[str, Value] = {}
    for field in template.fields:
        try:
            value = _read(field, given.get(field.name), findings)
        except NotReadable as exc:
            findings.append(exc.finding(field.name))
            continue
        if value is not MISSING:
            found[field.name] = value
    if findings:
        raise ValuesRefused(findings)
    return Values(template.code, template.version, found)


def _read(field: kinds.AnyField, given: Any, findings: list[FormFinding]) -> Any:
    if given is None or given in ("", [], (), {}):
        return MISSING
    reader = _READERS.get(type(field))
    return read_scalar(field, given) if reader is None else reader(field, given, findings)


def _people(field: Any, given: Any, _: list[FormFinding]) -> Any:
    known = _PERSON_PARTS if isinstance(field, kinds.PersonField) else _SUBJECT_PARTS
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        raise NotReadable("not_people", parts=", ".join(known))
    parts: dict[str, str] = {}
    for name, longest in known.items():
        text = read_text(given.get(name), longest)
        if text is not MISSING:
            parts[name] = str(text)
    return People(parts) if parts else MISSING


def _lines(field: Any, given: Any, findings: list[FormFinding], read: Any) -> Any:
    if not isinstance(given, list | tuple):
        raise NotReadable("not_a_list")
    if len(given) > field.most:
        raise NotReadable("too_many", most=field.most)
    lines = []
    for index, line in enumerate(given):
        try:
            found = read(line, f"{field.name}[{index}]")
        except NotReadable as exc:
            findings.append(exc.finding(f"{field.name}[{index}]"))
        else:
            if found is not MISSING:
                lines.append(found)
    return tuple(lines) or MISSING


def _record(line: Any, kind: Any, *longest: int) -> Any:
    names = tuple(kind.__dataclass_fields__)
    if not isinstance(line, Mapping) or not set(line) <= set(names):
        raise NotReadable("not_people", parts=", ".join(names))
    texts = [
        read_text(line.get(name), most, has_lines=kind is Exchange) for name, most in zip(names, longest, strict=True)
    ]
    if all(text is MISSING for text in texts):
        return MISSING
    return kind(*("" if text is MISSING else text for text in texts))


def _list(field: kinds.ListField, given: Any, findings: list[FormFinding]) -> Any:
    columns = {column.name: column for column in field.columns}

    def read(line: Any, where: str) -> Any:
        if not isinstance(line, Mapping) or not set(line) <= set(columns):
            raise NotReadable("not_people", parts=", ".join(columns))
        cells = {}
        for name, column in columns.items():
            try:
                value = read_scalar(column, line.get(name))
            except NotReadable as exc:
                findings.append(exc.finding(f"{where}.{name}"))
                continue
            if value is not MISSING:
                cells[name] = value
        return cells or MISSING

    return _lines(field, given, findings, read)


def _officers(field: Any, given: Any, findings: list[FormFinding]) -> Any:
    return _lines(field, given, findings, lambda line, _: _record(line, OfficerName, 100, 64))


def _dialogue(field: Any, given: Any, findings: list[FormFinding]) -> Any:
    return _lines(field, given, findings, lambda line, _: _record(line, Exchange, 5000, 20_000))


def _reference(_: Any, given: Any, __: list[FormFinding]) -> Any:
    if not isinstance(given, Mapping) or not {"id", "title"} <= set(given) <= {"id", "title", "number"}:
        raise NotReadable("not_people", parts="id, title, number")
    try:
        found = UUID(str(given["id"]))
    except ValueError as exc:
        raise NotReadable("not_a_reference") from exc
    title, number = read_text(given["title"], 300), read_text(given.get("number"), 100)
    if title is MISSING:
        raise NotReadable("not_a_reference")
    return Reference(found, str(title), "" if number is MISSING else str(number))


_READERS: Final[Mapping[type, Callable[[Any, Any, list[FormFinding]], Any]]] = {
    kinds.PersonField: _people,
    kinds.SubjectField: _people,
    kinds.OfficersField: _officers,
    kinds.DialogueField: _dialogue,
    kinds.ListField: _list,
    kinds.ReferenceField: _reference,
}


def _as_json(value: Any) -> Any:
    match value:
        case People():
            told: Any = dict(value.parts)
        case OfficerName() | Exchange():
            told = {name: getattr(value, name) for name in value.__dataclass_fields__}
        case Reference():
            told = {"id": str(value.id), "title": value.title, "number": value.number}
        case datetime():
            told = value.astimezone(BUREAU_ZONE).isoformat(timespec="minutes")
        case date():
            told = value.isoformat()
        case Decimal():
            told = f"{value:f}"
        case tuple():
            told = [_as_json(each) for each in value]
        case Mapping():
            told = {name: _as_json(each) for name, each in value.items()}
        case _:
            told = value
    return told
