"""What can be wrong in a template: a cause by its code, with facts, the line, and the path of the name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_SENTENCES: Final[Mapping[str, str]] = {
    "syntax": "{cause}",
    "too_much": "a template has at most {most} characters",
    "many_stops": "a line has at most {most} full stops",
    "too_deep": "{cause}",
    "missing": "this is missing",
    "unknown_name": "this name is not known here",
    "one_of": "this is one of {expected}",
    "no_such_kind": "{tag} is none of the kinds: {expected}",
    "no_kind": "this says no kind",
    "too_short": "this has at least {least}",
    "too_long": "this has at most {most}",
    "not_a_name": "a name begins with a small letter, and has small letters, digits and _ only, at most 40",
    "least": "this is {least} or more",
    "most": "this is {most} or less",
    "other_type": "this is of another type: {cause}",
    "other": "{cause}",
    "no_field": "there is no field {name}",
    "no_signature": "there is no signature {name}",
    "no_wording": "there is no wording {name}",
    "twice": "{name} is there twice",
    "filing": "what is filed says with whom and on which day",
    "signs_twice": "{name} has a place to sign already",
    "signs_nowhere": "no block gives {name} a place to sign",
    "only_seals_across": "only a seal goes across pages",
    "only_hands_every_page": "only signatures by hand stand on every page, and only in the layout `record`",
    "value_twice": "a value is there twice",
    "no_choice": "{name} is none of the choices",
    "widths": "there is a width for each column, or none",
    "no_column_fill": "only whole fields are filled in",
    "fill_kind": "{name} is of another kind than {fill}",
    "least_most": "the least is more than the most",
    "rule_kind": "{name} is of another kind than the rule needs",
    "no_amounts": "{name} has no column {column} of amounts",
    "one_since": "a limit counts from a field or from what the case knows, one of them",
    "no_yes_no": "{name} is not answered by yes or no",
    "no_choice_of": "{value} is none of the choices of {name}",
    "no_list": "{name} is no list",
    "no_dialogue": "{name} holds no questions and answers",
    "many_fields": "a template names fields at most {most} times",
    "brace": "a brace stands alone: a field is written as {{name}} or {{name.part}}",
    "no_part": "{name} has no part {part}",
    "form": "the form is one of {expected}",
    "file": "{cause}",
}
"""The English sentence of each cause. The pages have their own in both languages, under `template_fault`."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a template is refused, by a code that is stable; `facts` fill its sentence in."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return _SENTENCES[self.code].format(**self.facts)


def cause(code: str, **facts: Any) -> Cause:
    """Make a cause."""
    return Cause(code, facts)


def cause_codes() -> frozenset[str]:
    """Return every code that a cause can have."""
    return frozenset(_SENTENCES)


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What is wrong in a template: the line, the path of the name, and why."""

    line: int
    where: str
    why: Cause

    @property
    def cause(self) -> str:
        """The cause in one English sentence."""
        return str(self.why)


def cause_of(error: Mapping[str, Any]) -> Cause:
    """Return the cause of what the reader of types refuses, from one of its errors."""
    kind, context = str(error["type"]), error.get("ctx") or {}
    match kind:
        case "missing" | "union_tag_not_found":
            found = cause("missing" if kind == "missing" else "no_kind")
        case "extra_forbidden":
            found = cause("unknown_name")
        case "literal_error":
            found = cause("one_of", expected=context.get("expected", ""))
        case "union_tag_invalid":
            found = cause(
                "no_such_kind", tag=str(context.get("tag", ""))[:60], expected=context.get("expected_tags", "")
            )
        case "string_pattern_mismatch":
            found = cause("not_a_name")
        case "string_too_short" | "too_short":
            found = cause("too_short", least=context.get("min_length", 1))
        case "string_too_long" | "too_long":
            found = cause("too_long", most=context.get("max_length", 0))
        case _:
            found = _of_numbers_and_types(kind, context, str(error["msg"]))
    return found


def _of_numbers_and_types(kind: str, context: Mapping[str, Any], message: str) -> Cause:
    match kind:
        case "greater_than_equal":
            return cause("least", least=context.get("ge", 0))
        case "less_than_equal" | "less_than":
            return cause("most", most=context.get("le", context.get("lt", 0)))
        case _ if kind.endswith(("_type", "_parsing", "_from_float")):
            return cause("other_type", cause=message)
        case _:
            return cause("other", cause=message)
