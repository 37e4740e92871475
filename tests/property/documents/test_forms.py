"""Whatever is filled in is read or refused, and what was read reads back from its JSON as the same values."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.documents import template_fields as kinds
from archive.documents.amounts import capitals, figures
from archive.documents.forms import check_form
from archive.documents.paper import compose
from archive.documents.template import Template
from archive.documents.values import ValuesRefused, as_values
from archive.kernel.canonical import canonical_json, parse_json
from tests.unit.documents.forms import CODES, TEMPLATES, context

_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
_days = st.dates(datetime(1950, 1, 1, tzinfo=UTC).date(), datetime(2090, 1, 1, tzinfo=UTC).date())
_moments = st.builds(datetime.combine, _days, st.times())
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "number", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _one(field: Any) -> st.SearchStrategy[Any]:
    match field:
        case kinds.DateField():
            return _days.map(lambda day: day.isoformat())
        case kinds.MomentField():
            return _moments.map(lambda at: at.isoformat(timespec="minutes"))
        case kinds.AmountField():
            return st.integers(field.least_fen, min(field.most_fen, 10**12)).map(figures)
        case kinds.CapitalsField():
            return st.integers(0, 10**12).map(capitals)
        case kinds.NumberField():
            return st.integers(field.least, field.most).map(str)
        case kinds.ChoiceField():
            return st.sampled_from([choice.value for choice in field.choices])
        case kinds.YesNoField():
            return st.booleans()
        case kinds.PersonField() | kinds.SubjectField():
            return st.fixed_dictionaries({"name": _texts}, optional={"phone": _texts, "address": _texts})
        case kinds.OfficersField():
            return st.lists(st.fixed_dictionaries({"name": _texts, "certificate_number": _texts}), max_size=3)
        case kinds.DialogueField():
            return st.lists(st.fixed_dictionaries({"question": _texts, "answer": _texts}), max_size=3)
        case kinds.ReferenceField():
            return st.fixed_dictionaries({"id": st.uuids().map(str), "title": st.just("题名")})
        case kinds.ListField():
            return st.lists(
                st.fixed_dictionaries({}, optional={column.name: _one(column) for column in field.columns}), max_size=3
            )
        case _:
            return _texts


def _filled(template: Template) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={field.name: _one(field) for field in template.fields})


forms = st.sampled_from(CODES).flatmap(lambda code: st.tuples(st.just(TEMPLATES[code]), _filled(TEMPLATES[code])))


@settings(max_examples=60)
@given(forms)
def test_a_draft_reads_back_from_its_canonical_json(form: tuple[Template, dict[str, Any]]) -> None:
    template, given_values = form
    values = as_values(template, given_values)
    told = parse_json(canonical_json(values.as_json()))
    assert as_values(template, told["values"]) == values


@settings(max_examples=60)
@given(forms)
def test_any_draft_can_be_checked_and_composed(form: tuple[Template, dict[str, Any]]) -> None:
    template, given_values = form
    values = as_values(template, given_values)
    missing = {field.name for field in template.fields if field.required and values.get(field.name) is None}
    found = {each.field for each in check_form(template, values, context=context()) if each.code == "form.required"}
    assert missing <= found
    for is_draft in (True, False):
        canonical_json(compose(template, values, is_draft=is_draft))


@settings(max_examples=100)
@given(st.sampled_from(CODES), st.data())
def test_any_input_is_read_or_refused_by_its_field(code: str, data: st.DataObject) -> None:
    template = TEMPLATES[code]
    name = data.draw(st.sampled_from([field.name for field in template.fields]))
    try:
        values = as_values(template, {name: data.draw(_junk)})
    except ValuesRefused as refused:
        assert all(found.field.startswith(name) for found in refused.findings)
        return
    canonical_json(values.as_json())
