"""Templates (文书格式): what a text record asks for, checks, says and looks like, as data that a bureau may replace.

A template is one TOML text; docs/formats/template.md says every name. What it refers to exists, or it is refused.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.placeholders import Placeholder, placeholders
from archive.documents.template_fields import AnyField, Label, Name, Part, Sentence, Words
from archive.documents.toml_lines import TomlLines
from archive.kernel.errors import LiuhenError

MOST_CHARACTERS: Final = 200_000
_TAGGED: Final = frozenset({"field", "column", "body", "rule"})
"""Lists whose members are told apart by their kind: the judge names it in the path of a fault, the text does not."""
_DATED: Final = (kinds.DateField, kinds.MomentField)


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What is wrong in a template: the line, the path of the name, and the cause in one English sentence."""

    line: int
    where: str
    cause: str


class TemplateInvalid(LiuhenError):
    """A template is wrong."""

    code = "documents.template_invalid"
    exit_code = 65

    def __init__(self, faults: Sequence[TemplateFault] = ()) -> None:
        """Keep every fault; the first one is told."""
        self.faults = tuple(faults)
        first = {"line": faults[0].line, "where": faults[0].where, "cause": faults[0].cause} if faults else {}
        super().__init__(None, **first)


class Template(Part):
    """One version of a template, as it stands in its file."""

    code: Name
    version: Annotated[int, Field(ge=1)]
    form: Name
    title: Words
    heading: Label
    number: Label | None = None
    filing: parts.Filing
    valid_from: date
    basis: Annotated[tuple[Sentence, ...], Field(min_length=1)]
    layout: Literal["approval", "record", "notice", "inventory", "receipt"]
    fields: Annotated[tuple[AnyField, ...], Field(min_length=1, max_length=200, alias="field")]
    signatures: tuple[parts.Signature, ...] = Field((), alias="signature")
    rules: tuple[parts.Rule, ...] = Field((), alias="rule")
    wording: Mapping[Name, parts.LongText] = Field(default_factory=dict)
    body: Annotated[tuple[parts.Block, ...], Field(min_length=1)]
    guide: tuple[parts.Guide, ...] = ()

    def field(self, name: str) -> AnyField:
        """Return the field of this name. Raises: KeyError."""
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(name)

    def signature(self, role: str) -> parts.Signature:
        """Return the signature of this role. Raises: KeyError."""
        for found in self.signatures:
            if found.role == role:
                return found
        raise KeyError(role)

    def label(self, path: str, *, chinese: bool) -> str:
        """Return the words for a field, or for a column of one line: `items[2].name`."""
        name, _, rest = path.partition("[")
        try:
            found: Any = self.field(name.partition(".")[0])
        except KeyError:
            return path
        label = found.label.zh if chinese else found.label.en
        if not rest or not isinstance(found, kinds.ListField):
            return str(label)
        number, _, column = rest.partition("].")
        word = next((each.label for each in found.columns if each.name == column), None)
        where = f"{label} {int(number.rstrip(']')) + 1}"
        return where if word is None else f"{where} {word.zh if chinese else word.en}"


def load_template(text: str) -> Template:
    """Read a template strictly.

    Raises: TemplateInvalid, with line, path and cause of every fault.
    """
    if len(text) > MOST_CHARACTERS:
        raise TemplateInvalid([TemplateFault(1, "", f"a template has at most {MOST_CHARACTERS} characters")])
    try:
        told = tomllib.loads(text)
        lines = TomlLines(text)
        found = Template.model_validate_json(json.dumps(told, default=_as_text))
    except tomllib.TOMLDecodeError as exc:
        raise TemplateInvalid([TemplateFault(_line(str(exc), text), "", str(exc))]) from exc
    except ValidationError as exc:
        raise TemplateInvalid([_fault(each, lines) for each in exc.errors(include_url=False)]) from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise TemplateInvalid([TemplateFault(1, "", str(exc)[:200])]) from exc
    if wrong := list(_unmet(found)):
        raise TemplateInvalid(
            [TemplateFault(lines.line_of(path), ".".join(map(str, path)), cause) for path, cause in wrong]
        )
    return found


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a template holds no {type(value).__name__}")


def _line(message: str, text: str) -> int:
    _, found, rest = message.rpartition("(at line ")
    return int(rest.split(",")[0]) if found else text.count("\n") + 1


def _fault(error: Any, lines: TomlLines) -> TemplateFault:
    path: list[str | int] = []
    given = error["loc"]
    for index, step in enumerate(given):
        is_tag = index >= 2 and isinstance(given[index - 1], int) and given[index - 2] in _TAGGED
        if not (is_tag and isinstance(step, str)):
            path.append(step)
    return TemplateFault(lines.line_of(path), ".".join(map(str, path)), str(error["msg"]))


# ---- what is referred to exists --------------------------------------------------------------------------------------

_Fault = tuple[tuple[str | int, ...], str]


def _unmet(template: Template) -> Iterator[_Fault]:
    yield from _twice("field", [each.name for each in template.fields])
    yield from _twice("signature", [each.role for each in template.signatures])
    if template.filing.status == "filed" and None in (template.filing.filed_with, template.filing.on):
        yield ("filing",), "what is filed says with whom and on which day"
    for index, field in enumerate(template.fields):
        yield from _field_faults(field, ("field", index))
    known = {each.name: each for each in template.fields}
    for index, rule in enumerate(template.rules):
        for cause in _rule_faults(rule, known):
            yield ("rule", index), cause
    for name, text in (("heading", template.heading), ("number", template.number or "")):
        for cause in _text_faults(text, known):
            yield (name,), cause
    for name, wording in template.wording.items():
        for cause in _text_faults(wording, known):
            yield ("wording", name), cause
    placed: set[str] = set()
    roles = {each.role for each in template.signatures}
    for index, block in enumerate(template.body):
        for cause in _block_faults(block, known, template.wording):
            yield ("body", index), cause
        signing = _roles_of(block)
        placed |= set(signing)
        for role in (role for role in signing if role not in roles):
            yield ("body", index), f"there is no signature {role}"
    for index, each in enumerate(template.signatures):
        if each.role not in placed:
            yield ("signature", index), f"no block gives {each.role} a place to sign"
        if each.across_pages and each.by != "seal":
            yield ("signature", index), "only a seal goes across pages"
        if each.every_page and (each.by != "hand" or template.layout != "record"):
            yield ("signature", index), "only signatures by hand stand on every page, and only in the layout `record`"
    for index, guide in enumerate(template.guide):
        if guide.field not in known:
            yield ("guide", index), f"there is no field {guide.field}"


def _twice(what: str, names: Sequence[str]) -> Iterator[_Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (what, index), f"{name} is there twice"


def _field_faults(field: AnyField, path: tuple[str | int, ...]) -> Iterator[_Fault]:
    if isinstance(field, kinds.ChoiceField):
        values = [choice.value for choice in field.choices]
        if len(set(values)) != len(values):
            yield path, "a value is there twice"
        if field.default is not None and field.default not in values:
            yield path, f"{field.default} is none of the choices"
    if isinstance(field, kinds.ListField):
        yield from _twice("column", [each.name for each in field.columns])
        if field.widths and len(field.widths) != len(field.columns):
            yield path, "there is a width for each column, or none"
        for index, column in enumerate(field.columns):
            yield from _field_faults(column, (*path, "column", index))
    if isinstance(field, kinds.OfficersField | kinds.DialogueField | kinds.ListField) and field.least > field.most:
        yield path, "the least is more than the most"


def _rule_faults(rule: parts.Rule, known: Mapping[str, AnyField]) -> Iterator[str]:
    asked: list[tuple[str, tuple[type, ...]]] = []
    match rule:
        case parts.Ordered() | parts.NotAfterToday():
            asked = [(name, _DATED) for name in rule.fields]
        case parts.ValidOfficers():
            asked = [(rule.field, (kinds.OfficersField,)), (rule.on, _DATED)]
        case parts.SameAmount():
            asked = [(rule.figures, (kinds.AmountField,)), (rule.capitals, (kinds.CapitalsField,))]
        case parts.SumOf():
            asked = [(rule.field, (kinds.AmountField,)), (rule.list, (kinds.ListField,))]
            columns = getattr(known.get(rule.list), "columns", ())
            if not any(each.name == rule.column and isinstance(each, kinds.AmountField) for each in columns):
                yield f"{rule.list} has no column {rule.column} of amounts"
        case parts.RequiredIf():
            asked = [(rule.field, (object,))]
            yield from _when_faults(rule.when, known)
        case parts.Different():
            people = (kinds.PersonField, kinds.OfficersField, kinds.TextField, kinds.SubjectField)
            asked = [(name, people) for name in (rule.field, *rule.others)]
        case parts.TimeLimit():
            asked = [(name, _DATED) for name in (rule.since, rule.until) if name is not None]
            if (rule.since is None) is (rule.since_case is None):
                yield "a limit counts from a field or from what the case knows, one of them"
    for name, allowed in asked:
        if name not in known:
            yield f"there is no field {name}"
        elif not isinstance(known[name], allowed):
            yield f"{name} is of another kind than the rule needs"


def _when_faults(when: parts.When, known: Mapping[str, AnyField]) -> Iterator[str]:
    field = known.get(when.field)
    if field is None:
        yield f"there is no field {when.field}"
    elif isinstance(when.value, bool) and not isinstance(field, kinds.YesNoField):
        yield f"{when.field} is not answered by yes or no"
    elif isinstance(when.value, str) and not (
        isinstance(field, kinds.ChoiceField) and any(choice.value == when.value for choice in field.choices)
    ):
        yield f"{when.value} is none of the choices of {when.field}"


def _block_faults(block: parts.Block, known: Mapping[str, AnyField], wording: Mapping[str, str]) -> Iterator[str]:
    if isinstance(block, parts.Paragraph | parts.Wording) and block.when is not None:
        yield from _when_faults(block.when, known)
    match block:
        case parts.Paragraph():
            yield from _text_faults(block.text, known)
        case parts.Wording() if block.name not in wording:
            yield f"there is no wording {block.name}"
        case parts.Row():
            for _, text in block.cells:
                yield from _text_faults(text, known)
        case parts.Table() if not isinstance(known.get(block.field), kinds.ListField):
            yield f"{block.field} is no list"
        case parts.Dialogue() if not isinstance(known.get(block.field), kinds.DialogueField):
            yield f"{block.field} holds no questions and answers"
        case parts.Sealing():
            yield from _text_faults(block.agency, known)
            yield from _text_faults(block.date, known)
        case _:
            pass


def _roles_of(block: parts.Block) -> Iterable[str]:
    match block:
        case parts.Row():
            return block.sign
        case parts.Signing():
            return block.roles
        case parts.Sealing():
            return (block.role,)
        case _:
            return ()


def _text_faults(text: str, known: Mapping[str, AnyField]) -> Iterator[str]:
    try:
        found = [piece for piece in placeholders(text) if isinstance(piece, Placeholder)]
    except ValueError as exc:
        yield str(exc)
        return
    for piece in found:
        if piece.name not in known:
            yield f"there is no field {piece.name}"
        elif not piece.fits(known[piece.name]):
            yield f"{piece.name} has no part {piece.part}"
