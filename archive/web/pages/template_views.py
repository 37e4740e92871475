"""A template as people read it: its fields, rules and signatures in words, and what changed since another version."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.form_context import shipped_limits
from archive.documents.template import Template
from archive.web.i18n import Catalogue, Language

_MOST_LINES: Final = 5000
"""Of a text that is compared: the comparison of longer ones may take longer than anybody waits."""
_NAMED: Final = ("fields", "field", "on", "figures", "capitals", "list", "others", "until")
_BOUNDS: Final = ("longest", "least", "most", "decimals")


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule or a bound asks: its name in the catalogues, and what the text is filled in with."""

    key: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FieldLine:
    """A field with what binds it, in words; `depth` is 1 for a column of a list."""

    name: str
    label: str
    kind: str
    is_required: bool
    fill: str | None
    help: str
    bounds: Sequence[Said]
    depth: int = 0


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a comparison: `sign` is `+`, `-`, a blank, or `@` where lines were left out."""

    sign: str
    text: str


def is_chinese(texts: Catalogue) -> bool:
    """Return whether the reader reads the Chinese words of a template."""
    return texts.language is Language.CHINESE


def field_lines(template: Template, *, texts: Catalogue) -> Sequence[FieldLine]:
    """Return every field of a template with the columns of lists below it."""
    found = []
    for field in template.fields:
        found.append(_line(field, texts=texts))
        if isinstance(field, kinds.ListField):
            found += [_line(column, texts=texts, depth=1) for column in field.columns]
    return found


def rule_lines(template: Template, *, texts: Catalogue) -> Sequence[Said]:
    """Return what each rule asks, in its order."""
    return [_rule(rule, template, texts=texts) for rule in template.rules]


def difference(before: str, after: str) -> Sequence[DiffLine] | None:
    """Return what changed from one text to another, with three lines around; None where they are too long."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > _MOST_LINES:
        return None
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    return [DiffLine("@", line) if line.startswith("@@") else DiffLine(line[:1], line[1:]) for line in lines]


def _words(words: Any, *, texts: Catalogue) -> str:
    return str(words.zh if is_chinese(texts) else words.en)


def _line(field: Any, *, texts: Catalogue, depth: int = 0) -> FieldLine:
    return FieldLine(
        name=field.name,
        label=_words(field.label, texts=texts),
        kind=field.kind,
        is_required=field.required,
        fill=field.fill,
        help="" if field.help is None else _words(field.help, texts=texts),
        bounds=list(_bounds(field, texts=texts)),
        depth=depth,
    )


def _bounds(field: Any, *, texts: Catalogue) -> Iterator[Said]:
    match field:
        case kinds.AmountField():
            if field.least_fen:
                yield Said("least", {"least": f"{field.least_fen / 100:,.2f}"})
        case kinds.ChoiceField():
            words = [_words(choice, texts=texts) for choice in field.choices]
            yield Said("several" if field.several else "one", {"choices": _join(words, texts=texts)})
        case kinds.PersonField() | kinds.SubjectField():
            needs = [kinds.PART_LABELS[part][0 if is_chinese(texts) else 1] for part in field.needs]
            yield Said("needs", {"parts": _join(needs, texts=texts)})
        case kinds.ReferenceField():
            yield Said("forms", {"forms": ", ".join(field.forms)})
        case _:
            for name in _BOUNDS:
                value = getattr(field, name, None)
                if value is not None and (value or name == "least"):
                    yield Said(name, {name: f"{value:,}"})
            if getattr(field, "unit", None) is not None:
                yield Said("unit", {"unit": _words(field.unit, texts=texts)})


def _join(words: Sequence[str], *, texts: Catalogue) -> str:
    return texts.text("list.and").join(words)


def _rule(rule: parts.Rule, template: Template, *, texts: Catalogue) -> Said:
    told: dict[str, Any] = {}
    for name in _NAMED:  # attributes of rules that name a field, or several
        names = getattr(rule, name, None)
        if names is not None:
            each = [names] if isinstance(names, str) else names
            told[name] = _join([template.label(one, chinese=is_chinese(texts)) for one in each], texts=texts)
    match rule:
        case parts.RequiredIf():
            told["other"] = template.label(rule.when.field, chinese=is_chinese(texts))
            if rule.when.value is not None:
                return Said("required_if_is", told | {"value": _value(rule.when, template, texts=texts)})
        case parts.TimeLimit():
            limit = shipped_limits().limits.get(rule.limit)
            told["limit"] = rule.limit if limit is None else _words(limit, texts=texts)
        case _:
            pass
    return Said(rule.kind, told)


def _value(when: parts.When, template: Template, *, texts: Catalogue) -> str:
    field = template.field(when.field)
    if isinstance(field, kinds.ChoiceField):
        return next((_words(each, texts=texts) for each in field.choices if each.value == when.value), "")
    return texts.text("template.yes") if when.value else texts.text("template.no")
