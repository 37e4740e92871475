"""What a template refers to exists and fits: fields, roles, wording, columns, placeholders."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.placeholders import Placeholder, placeholders
from archive.documents.template import Template
from archive.documents.template_faults import Cause, cause
from archive.documents.template_fields import AnyField

_DATED: Final = (kinds.DateField, kinds.MomentField)
_PEOPLE: Final = (kinds.PersonField, kinds.OfficersField, kinds.TextField, kinds.SubjectField)
_TEXTS: Final = (kinds.TextField, kinds.LongTextField, kinds.PlaceField)
_NAMES: Final = (*_TEXTS, kinds.PersonField, kinds.SubjectField)
_FILLED: Final[Mapping[kinds.Fill, tuple[type, ...]]] = {
    "agency.name": _NAMES,
    "unit.name": _NAMES,
    "case.number": _TEXTS,
    "case.title": _TEXTS,
    "case.category": (kinds.ChoiceField,),
    "case.subject": _NAMES,
    "case.filed_on": (kinds.DateField,),
    "act.place": _TEXTS,
    "act.started_at": _DATED,
    "act.ended_at": _DATED,
    "act.officers": (*_TEXTS, kinds.OfficersField),
    "officer.name": _NAMES,
    "officer.certificate_number": _TEXTS,
    "record.number": _TEXTS,
    "today": _DATED,
}
"""The kinds of fields that a first value of each origin fits."""
_MOST_PLACEHOLDERS: Final = 1000
_Fault = tuple[tuple[str | int, ...], Cause]
_Asked = Iterable[tuple[str, tuple[type, ...]]]


def unmet_references(template: Template) -> Iterator[_Fault]:
    """Yield path and cause of everything that refers to nothing or does not fit."""
    known = {each.name: each for each in template.fields}
    yield from _twice("field", [each.name for each in template.fields])
    yield from _twice("signature", [each.role for each in template.signatures])
    yield from _filing_faults(template.filing)
    for index, field in enumerate(template.fields):
        yield from _field_faults(field, ("field", index))
    for index, rule in enumerate(template.rules):
        yield from ((("rule", index), why) for why in _rule_faults(rule, known))
    yield from _wording_faults(template, known)
    yield from _too_many_placeholders(template)
    for index, block in enumerate(template.body):
        yield from ((("body", index), why) for why in _block_faults(block, known, template.wording))
    yield from _signature_faults(template)
    for index, guide in enumerate(template.guide):
        if guide.field not in known:
            yield ("guide", index), cause("no_field", name=guide.field)


def _filing_faults(filing: parts.Filing) -> Iterator[_Fault]:
    if filing.status == "filed" and None in (filing.filed_with, filing.on):
        yield ("filing",), cause("filing")


def _wording_faults(template: Template, known: Mapping[str, AnyField]) -> Iterator[_Fault]:
    texts: dict[tuple[str, ...], str] = {("heading",): template.heading, ("number",): template.number or ""}
    texts |= {("wording", name): text for name, text in template.wording.items()}
    for path, text in texts.items():
        yield from ((path, why) for why in _text_faults(text, known))


def _signature_faults(template: Template) -> Iterator[_Fault]:
    roles = {each.role for each in template.signatures}
    placed: list[str] = []
    for index, block in enumerate(template.body):
        signing = _roles_of(block)
        for role in signing:
            if role not in roles:
                yield ("body", index), cause("no_signature", name=role)
            if role in placed:
                yield ("body", index), cause("signs_twice", name=role)
        placed += signing
    for index, each in enumerate(template.signatures):
        if each.role not in placed:
            yield ("signature", index), cause("signs_nowhere", name=each.role)
        if each.across_pages and each.by != "seal":
            yield ("signature", index), cause("only_seals_across")
        if each.every_page and (each.by != "hand" or template.layout != "record"):
            yield ("signature", index), cause("only_hands_every_page")


def _twice(what: str, names: Sequence[str]) -> Iterator[_Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (what, index), cause("twice", name=name)


def _field_faults(field: AnyField, path: tuple[str | int, ...]) -> Iterator[_Fault]:
    if field.fill is not None and not isinstance(field, _FILLED[field.fill]):
        yield (*path, "fill"), cause("fill_kind", name=field.name, fill=field.fill)
    if isinstance(field, kinds.ChoiceField):
        values = [choice.value for choice in field.choices]
        if len(set(values)) != len(values):
            yield path, cause("value_twice")
        if field.default is not None and field.default not in values:
            yield path, cause("no_choice", name=field.default)
    if isinstance(field, kinds.ListField):
        yield from _twice("column", [each.name for each in field.columns])
        if field.widths and len(field.widths) != len(field.columns):
            yield path, cause("widths")
        for index, column in enumerate(field.columns):
            if column.fill is not None:
                yield (*path, "column", index), cause("no_column_fill")
            yield from _field_faults(column, (*path, "column", index))
    if isinstance(field, kinds.OfficersField | kinds.DialogueField | kinds.ListField) and field.least > field.most:
        yield path, cause("least_most")


def _rule_faults(rule: parts.Rule, known: Mapping[str, AnyField]) -> Iterator[Cause]:
    for name, allowed in _ASKED[type(rule)](rule):
        if name not in known:
            yield cause("no_field", name=name)
        elif not isinstance(known[name], allowed):
            yield cause("rule_kind", name=name)
    match rule:
        case parts.SumOf():
            columns = getattr(known.get(rule.list), "columns", ())
            if not any(each.name == rule.column and isinstance(each, kinds.AmountField) for each in columns):
                yield cause("no_amounts", name=rule.list, column=rule.column)
        case parts.RequiredIf():
            yield from _when_faults(rule.when, known)
        case parts.TimeLimit() if (rule.since is None) is (rule.since_case is None):
            yield cause("one_since")
        case _:
            pass


def _days(rule: parts.Ordered | parts.NotAfterToday) -> _Asked:
    return [(name, _DATED) for name in rule.fields]


_ASKED: Final[Mapping[type, Callable[[Any], _Asked]]] = {
    parts.Ordered: _days,
    parts.NotAfterToday: _days,
    parts.ValidOfficers: lambda rule: [(rule.field, (kinds.OfficersField,)), (rule.on, _DATED)],
    parts.SameAmount: lambda rule: [(rule.figures, (kinds.AmountField,)), (rule.capitals, (kinds.CapitalsField,))],
    parts.SumOf: lambda rule: [(rule.field, (kinds.AmountField,)), (rule.list, (kinds.ListField,))],
    parts.RequiredIf: lambda rule: [(rule.field, (object,))],
    parts.Different: lambda rule: [(name, _PEOPLE) for name in (rule.field, *rule.others)],
    parts.TimeLimit: lambda rule: [(name, _DATED) for name in (rule.since, rule.until) if name is not None],
}
"""The fields that a rule needs, and the kinds that they may be of."""


def _when_faults(when: parts.When, known: Mapping[str, AnyField]) -> Iterator[Cause]:
    field = known.get(when.field)
    if field is None:
        yield cause("no_field", name=when.field)
    elif isinstance(when.value, bool) and not isinstance(field, kinds.YesNoField):
        yield cause("no_yes_no", name=when.field)
    elif isinstance(when.value, str) and not (
        isinstance(field, kinds.ChoiceField) and any(choice.value == when.value for choice in field.choices)
    ):
        yield cause("no_choice_of", value=when.value, name=when.field)


def _block_faults(block: parts.Block, known: Mapping[str, AnyField], wording: Mapping[str, str]) -> Iterator[Cause]:
    if isinstance(block, parts.Paragraph | parts.Wording) and block.when is not None:
        yield from _when_faults(block.when, known)
    match block:
        case parts.Paragraph():
            yield from _text_faults(block.text, known)
        case parts.Wording() if block.name not in wording:
            yield cause("no_wording", name=block.name)
        case parts.Row():
            for _, text in block.cells:
                yield from _text_faults(text, known)
        case parts.Table() if not isinstance(known.get(block.field), kinds.ListField):
            yield cause("no_list", name=block.field)
        case parts.Dialogue() if not isinstance(known.get(block.field), kinds.DialogueField):
            yield cause("no_dialogue", name=block.field)
        case parts.Sealing():
            yield from _text_faults(block.agency, known)
            yield from _text_faults(block.date, known)
        case _:
            pass


def _roles_of(block: parts.Block) -> Sequence[str]:
    match block:
        case parts.Row():
            return block.sign
        case parts.Signing():
            return block.roles
        case parts.Sealing():
            return (block.role,)
        case _:
            return ()


def _too_many_placeholders(template: Template) -> Iterator[_Fault]:
    """Yield where the bound of placeholders is passed: each may bring in as much text as its field holds."""
    texts: list[tuple[tuple[str | int, ...], str]] = [
        (("wording", name), text) for name, text in template.wording.items()
    ]
    for index, block in enumerate(template.body):
        match block:
            case parts.Paragraph():
                texts.append((("body", index), block.text))
            case parts.Row():
                texts += [(("body", index), text) for _, text in block.cells]
            case _:
                pass
    count = 0
    for path, text in texts:
        count += text.count("{")
        if count > _MOST_PLACEHOLDERS:
            yield path, cause("many_fields", most=_MOST_PLACEHOLDERS)
            return


def _text_faults(text: str, known: Mapping[str, AnyField]) -> Iterator[Cause]:
    try:
        found = [piece for piece in placeholders(text) if isinstance(piece, Placeholder)]
    except ValueError:
        yield cause("brace")
        return
    for piece in found:
        if piece.name not in known:
            yield cause("no_field", name=piece.name)
        elif not piece.fits(known[piece.name]):
            yield cause("no_part", name=piece.name, part=piece.part)
