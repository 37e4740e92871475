"""The templates that are shipped, a file each, and a worked example of each; a bureau may name a folder of its own."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from archive.documents.template import Template
from archive.documents.template_faults import TemplateFault, cause
from archive.documents.template_loading import TemplateInvalid, load_template

_SHIPPED: Final = Path(__file__).parent


def load_templates(folder: Path) -> Mapping[str, Template]:
    """Read every template of a folder, `*.toml`, by its code.

    Raises: TemplateInvalid, also for a file that cannot be read or is not named after its code.
    """
    found: dict[str, Template] = {}
    for file in sorted(folder.glob("*.toml")):
        try:
            template = load_template(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise TemplateInvalid([TemplateFault(1, file.name, cause("file", cause=str(exc)[:200]))]) from exc
        except TemplateInvalid as exc:
            raise TemplateInvalid(
                [TemplateFault(each.line, f"{file.name}: {each.where}", each.why) for each in exc.faults]
            ) from exc
        if file.stem != template.code:
            raise TemplateInvalid(
                [TemplateFault(1, file.name, cause("file", cause=f"the file of {template.code} has its name"))]
            )
        found[template.code] = template
    return found


@cache
def shipped_templates() -> Mapping[str, Template]:
    """Return the templates that are shipped, by code."""
    return load_templates(_SHIPPED)


@cache
def shipped_texts() -> Mapping[str, str]:
    """Return the texts of the templates that are shipped, by code."""
    return {code: (_SHIPPED / f"{code}.toml").read_text("utf-8") for code in shipped_templates()}


def example_of(code: str) -> Mapping[str, Any]:
    """Return the worked example of a shipped template as user input, for a preview. Raises: KeyError for none."""
    if code not in shipped_templates():
        raise KeyError(code)
    return tomllib.loads((_SHIPPED / "examples" / f"{code}.toml").read_text("utf-8"))
