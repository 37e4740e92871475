"""What the form of a text record sends, as values of its template: what was written stays as it was written.

A field is named after its template's: `v.place`, a part of a person `v.asked.name`, a part of a line `v.items.2.unit`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request

from archive.documents import template_fields as kinds
from archive.documents.amounts import figures
from archive.documents.template import Template
from archive.web.pages.forms import read_items

MOST_BYTES: Final = 4 * 1024 * 1024
"""What a form of a text record may take as it is sent: a draft holds 1 MiB, whose characters may be sent as three."""
_MOST_FIELDS: Final = 60_000
_LINE: Final = re.compile(r"(\d{1,5})\.([a-z][a-z0-9_]{0,39})")
_LINES: Final[Mapping[type, tuple[str, ...]]] = {
    kinds.OfficersField: ("name", "certificate_number"),
    kinds.DialogueField: ("question", "answer"),
}
PERSON_PARTS: Final = ("name", "sex", "age", "id_number", "phone", "address", "employer", "post")
SUBJECT_PARTS: Final = ("name", "number", "representative", "post", "address", "phone")


async def posted_items(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a posted form of a text record. Raises: FormTooLarge, InvalidInput."""
    return await read_items(request, most_fields=_MOST_FIELDS, most_bytes=MOST_BYTES)


def values_in(
    template: Template, items: Sequence[tuple[str, str]], references: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the values that a form holds, by field; what is blank is left out.

    `references` are the records that a field may point to, by their ids.
    """
    given: dict[str, list[str]] = {}
    for name, text in items:
        if name.startswith("v.") and text.strip():
            given.setdefault(name[2:], []).append(text.replace("\r\n", "\n"))
    found = {field.name: _value(field, given, references) for field in template.fields}
    return {name: value for name, value in found.items() if value not in (None, {}, [])}


def _value(
    field: kinds.AnyField, given: Mapping[str, Sequence[str]], references: Mapping[str, Mapping[str, str]]
) -> Any:
    match field:
        case kinds.PersonField() | kinds.SubjectField():
            parts = PERSON_PARTS if isinstance(field, kinds.PersonField) else SUBJECT_PARTS
            return {part: given[f"{field.name}.{part}"][-1] for part in parts if f"{field.name}.{part}" in given}
        case kinds.OfficersField() | kinds.DialogueField():
            return _lines(field.name, given, _LINES[type(field)])
        case kinds.ListField():
            return _lines(field.name, given, tuple(column.name for column in field.columns))
        case kinds.ReferenceField():
            return references.get(given.get(field.name, [""])[-1])
        case kinds.ChoiceField() if field.several:
            return list(given.get(field.name, ()))
        case _:
            return given.get(field.name, [None])[-1]


def _lines(name: str, given: Mapping[str, Sequence[str]], parts: Sequence[str]) -> list[dict[str, str]]:
    lines: dict[int, dict[str, str]] = {}
    for key, texts in given.items():
        found = _LINE.fullmatch(key.removeprefix(f"{name}.")) if key.startswith(f"{name}.") else None
        if found is not None and found[2] in parts:
            lines.setdefault(int(found[1]), {})[found[2]] = texts[-1]
    return [lines[number] for number in sorted(lines)]


def shown(field: kinds.AnyField | kinds.Column, value: Any) -> str:
    """Return a scalar value as its field of the form holds it."""
    if value is None:
        return ""
    if isinstance(field, kinds.AmountField) and type(value) is int:
        return figures(value)
    if isinstance(field, kinds.YesNoField):
        return {True: "yes", False: "no"}.get(value, str(value))
    if isinstance(field, kinds.MomentField):
        return str(value)[:16].replace(" ", "T")
    return str(value)


def columns_of(field: kinds.AnyField) -> Sequence[str]:
    """Return the parts of each line of a field that has lines."""
    if isinstance(field, kinds.ListField):
        return [column.name for column in field.columns]
    return _LINES.get(type(field), ())
