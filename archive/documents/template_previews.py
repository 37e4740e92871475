"""Showing a template filled in with example values, as pages to be looked at, and as a PDF.

A template is data to the typesetter, never markup: it can name no file and run nothing. How much it may ask for is
bounded before anything is set, since what is being set cannot be stopped.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from archive.documents import template_fields as kinds
from archive.documents.form_findings import ValuesRefused
from archive.documents.paper import compose
from archive.documents.record_setting import RecordSetter
from archive.documents.template import Template
from archive.documents.templates import example_of, shipped_templates
from archive.documents.values import Values, as_values
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant

_MOST_LINES: Final = 1200
"""Some thirty pages: more than any form has that somebody looks at, little enough to be set in a second."""
_LINE_CHARACTERS: Final = 28
_PPI: Final = 96
_LONGEST: Final = 2000


class PreviewTooLong(InvalidInput):
    """The paper of this template is too long to be shown here; a record with it can still be set."""

    code = "documents.preview_too_long"


@dataclass(frozen=True, slots=True)
class TemplatePreviews:
    """Shows templates, with a compiler of its own."""

    setter: RecordSetter

    def pages(self, template: Template, *, at: Instant) -> tuple[bytes, ...]:
        """Return each page as a PNG. Raises: PreviewTooLong, TypesettingFault."""
        values = example_values(template)
        _require_short(template, values)
        return self.setter.set_pages(template, values, at=at, ppi=_PPI)

    def pdf(self, template: Template, *, at: Instant) -> bytes:
        """Return the pages as a PDF that says it is a draft. Raises: PreviewTooLong, TypesettingFault."""
        values = example_values(template)
        _require_short(template, values)
        return self.setter.set_record(template, values, at=at, is_draft=True).pdf


def example_values(template: Template) -> Values:
    """Return values to look at a template with: of the shipped example where its fields fit, else made up by kind."""
    known = example_of(template.code) if template.code in shipped_templates() else {}
    found: dict[str, Any] = {}
    for field in template.fields:
        for given in (known.get(field.name), _made_up(field)):
            value = _readable(template, field.name, given)
            if value is not None:
                found[field.name] = value
                break
    return Values(template.code, template.version, found)


def _readable(template: Template, name: str, given: Any) -> Any:
    try:
        value = None if given is None else as_values(template, {name: given}).get(name)
    except ValuesRefused:
        return None
    return value[:_LONGEST] if isinstance(value, str) else value


_PARTS: Final[Mapping[str, str]] = {
    "name": "王某某",
    "sex": "女",
    "age": "35",
    "id_number": "110101199003078515",
    "number": "91530100MA6K3XQ84M",
    "phone": "13800000000",
    "address": "某市某区某路1号",
    "employer": "某某公司",
    "post": "经理",
    "representative": "王某某",
}


def _made_up(field: kinds.AnyField) -> Any:
    """Return an example of a kind, within the bounds of the field."""
    return _EXAMPLES[type(field)](field)


def _words(field: Any) -> str:
    return str(field.default or f"（{field.label.zh}）"[: field.longest])


def _people(field: Any) -> dict[str, str]:
    return {part: _PARTS[part] for part in field.needs}


def _chosen(field: Any) -> Any:
    first = field.default or field.choices[0].value
    return [first] if field.several else first


_OFFICERS: Final = (
    {"name": "张明远", "certificate_number": "25010020017"},
    {"name": "陈思源", "certificate_number": "25010020036"},
)
_EXAMPLES: Final[Mapping[type, Callable[[Any], Any]]] = {
    kinds.TextField: _words,
    kinds.LongTextField: _words,
    kinds.PlaceField: lambda field: "某市某区某路1号"[: field.longest],
    kinds.DateField: lambda _: "2026-03-05",
    kinds.MomentField: lambda _: "2026-03-05T09:30",
    kinds.AmountField: lambda field: min(max(field.least_fen, 1_000_000), field.most_fen),
    kinds.CapitalsField: lambda _: "壹万元整",
    kinds.NumberField: lambda field: min(max(field.least, 1), field.most),
    kinds.ChoiceField: _chosen,
    kinds.YesNoField: lambda _: True,
    kinds.PersonField: _people,
    kinds.SubjectField: _people,
    kinds.OfficersField: lambda field: list(_OFFICERS[: field.most]),
    kinds.DialogueField: lambda _: [{"question": "请您说明情况。", "answer": "情况如下。"}],
    kinds.ReferenceField: lambda _: {"id": str(UUID(int=0)), "title": "现场检查笔录", "number": "〔2026〕1号"},
    kinds.ListField: lambda field: [{column.name: _made_up(column) for column in field.columns}],
}


def _require_short(template: Template, values: Values) -> None:
    """Refuse a paper that would take long to set. Raises: PreviewTooLong."""
    if sum(_lines(compose(template, values, is_draft=True)["blocks"])) > _MOST_LINES:
        raise PreviewTooLong


def _lines(part: Any) -> Iterator[int]:
    """Yield how many lines each piece of a paper takes, generously."""
    match part:
        case str():
            yield 1 + len(part) // _LINE_CHARACTERS
        case Mapping():
            yield int(part.get("lines", 0)) if isinstance(part.get("lines"), int) else 0
            for value in part.values():
                yield from _lines(value)
        case list() | tuple():
            for value in part:
                yield from _lines(value)
        case _:
            return
