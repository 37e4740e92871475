"""Reading templates: one TOML text is one template, strictly; docs/formats/template.md says every name.

What a template refers to exists, or it is refused; every fault is told with its line.
"""

import json
import tomllib
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from pydantic import ValidationError

from archive.documents.template import Template
from archive.documents.template_checks import unmet_references
from archive.documents.template_faults import TemplateFault, cause, cause_of
from archive.documents.toml_lines import TomlLines
from archive.kernel.errors import LiuhenError

__all__ = ["MOST_CHARACTERS", "TemplateFault", "TemplateInvalid", "load_template"]
MOST_CHARACTERS: Final = 200_000
_MOST_STOPS: Final = 100
"""Full stops in one line: each parts a name, and a name of many parts takes a parser longer than anybody waits."""
_TAGGED: Final = frozenset({"field", "column", "body", "rule"})
"""Lists whose members are told apart by their kind: the judge names it in the path of a fault, the text does not."""


class TemplateInvalid(LiuhenError):
    """A template is wrong."""

    code = "documents.template_invalid"
    exit_code = 65

    def __init__(self, faults: Sequence[TemplateFault] = ()) -> None:
        """Keep every fault; the first one is told."""
        self.faults = tuple(faults)
        first = {"line": faults[0].line, "where": faults[0].where, "cause": faults[0].cause} if faults else {}
        super().__init__(None, **first)


def load_template(text: str) -> Template:
    """Read a template strictly.

    Raises: TemplateInvalid, with line, path and cause of every fault.
    """
    if len(text) > MOST_CHARACTERS:
        raise TemplateInvalid([TemplateFault(1, "", cause("too_much", most=MOST_CHARACTERS))])
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_STOPS:
            raise TemplateInvalid([TemplateFault(number, "", cause("many_stops", most=_MOST_STOPS))])
    try:
        told = tomllib.loads(text)
        lines = TomlLines(text)
        found = Template.model_validate_json(json.dumps(told, default=_as_text))
    except tomllib.TOMLDecodeError as exc:
        raise TemplateInvalid([TemplateFault(_line(str(exc), text), "", cause("syntax", cause=str(exc)))]) from exc
    except ValidationError as exc:
        raise TemplateInvalid([_fault(each, lines) for each in exc.errors(include_url=False)]) from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise TemplateInvalid([TemplateFault(1, "", cause("too_deep", cause=str(exc)[:200]))]) from exc
    if wrong := list(unmet_references(found)):
        raise TemplateInvalid(
            [TemplateFault(lines.line_of(path), ".".join(map(str, path)), why) for path, why in wrong]
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
    return TemplateFault(lines.line_of(path), ".".join(map(str, path)), cause_of(error))
