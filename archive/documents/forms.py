"""Checking a form: what is required is there, bounds of lists hold, every rule of the template is kept or named.

A draft is checked as often as anybody likes; a finished form has no finding that is invalid. A rule that cannot be
checked, since the case does not know a day or the register was not asked, is indeterminate and never passed over.
"""

from collections.abc import Iterator

from archive.documents import template_fields as kinds
from archive.documents.form_context import FormContext
from archive.documents.form_findings import FormFinding, fault, holds
from archive.documents.form_rules import rule_findings
from archive.documents.template import Template
from archive.documents.values import Exchange, OfficerName, People, Values

__all__ = ["FormContext", "check_form"]


def check_form(template: Template, values: Values, *, context: FormContext) -> tuple[FormFinding, ...]:
    """Check the values of a form against its template; every check that was made has its finding.

    1. the values are of this version   2. required fields and parts are there   3. lists have enough lines
    4. each rule of the template, in its order
    """
    found = list(_version_findings(template, values))  # 1.
    missing = [each for field in template.fields for each in _field_findings(field, values)]  # 2., 3.
    found += missing or [holds("fields")]
    for rule in template.rules:  # 4.
        found += rule_findings(rule, template, values, context)
    return tuple(found)


def _version_findings(template: Template, values: Values) -> Iterator[FormFinding]:
    if (values.template, values.version) != (template.code, template.version):
        yield fault("other_version", template=values.template, version=values.version)


def _field_findings(field: kinds.AnyField, values: Values) -> Iterator[FormFinding]:
    value = values.get(field.name)
    if value is None:
        if field.required:
            yield fault("required", field.name)
        return
    match field, value:
        case ((kinds.PersonField() | kinds.SubjectField()), People()):
            for part in field.needs:
                if not value.parts.get(part):
                    yield fault("part_required", f"{field.name}.{part}", part=part)
        case ((kinds.OfficersField() | kinds.DialogueField() | kinds.ListField()), tuple()):
            if len(value) < field.least:
                yield fault("too_few", field.name, least=field.least)
            yield from _line_findings(field, value)
        case _:
            pass


def _line_findings(field: kinds.AnyField, lines: tuple[object, ...]) -> Iterator[FormFinding]:
    for index, line in enumerate(lines):
        where = f"{field.name}[{index}]"
        match line:
            case OfficerName():
                empty = [name for name in ("name", "certificate_number") if not getattr(line, name)]
            case Exchange():
                empty = [name for name in ("question", "answer") if not getattr(line, name)]
            case dict() if isinstance(field, kinds.ListField):
                empty = [column.name for column in field.columns if column.required and column.name not in line]
            case _:
                empty = []
        yield from (fault("required", f"{where}.{name}") for name in empty)
