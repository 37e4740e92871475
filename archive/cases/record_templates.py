"""Templates as cases use them: beside what a template says of itself, its form is one of the kinds of text records."""

import functools

from archive.cases.terms import RecordForm
from archive.documents.template import Template
from archive.documents.template_faults import TemplateFault, cause
from archive.documents.template_loading import TemplateInvalid, load_template
from archive.documents.toml_lines import TomlLines


@functools.lru_cache(maxsize=64)
def checked_template(text: str) -> Template:
    """Read a template whose form is one of `RecordForm`.

    Raises: TemplateInvalid, with line, path and cause of every fault.
    """
    template = load_template(text)
    if template.form not in set(RecordForm):
        why = cause("form", expected=", ".join(RecordForm))
        raise TemplateInvalid([TemplateFault(TomlLines(text).line_of(("form",)), "form", why)])
    return template
