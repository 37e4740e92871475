"""Values are read or refused, never mended."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from archive.documents.values import OfficerName, People, ValuesRefused, as_values
from archive.kernel.instants import BUREAU_ZONE
from tests.unit.documents.forms import TEMPLATES, example


def _codes(code: str, **other: Any) -> list[tuple[str, str]]:
    try:
        as_values(TEMPLATES[code], example(code, **other))
    except ValuesRefused as refused:
        return [(found.field, found.code) for found in refused.findings]
    return []


def test_each_kind_has_its_type() -> None:
    values = as_values(TEMPLATES["penalty_decision"], example("penalty_decision"))
    assert values.get("fine") == 5_000_000
    assert values.get("decided_on") == date(2026, 5, 20)
    assert isinstance(values.get("subject"), People)
    listed = as_values(TEMPLATES["seizure_list"], example("seizure_list"))
    assert listed.get("items")[0]["quantity"] == Decimal(46)  # type: ignore[index]
    assert listed.get("officers")[0] == OfficerName("张明远", "25010020017")  # type: ignore[index]
    asked = as_values(TEMPLATES["questioning_record"], example("questioning_record"))
    assert asked.get("started_at") == datetime(2026, 3, 10, 14, 30, tzinfo=BUREAU_ZONE)
    assert asked.get("minor") is False


def test_a_draft_may_lack_anything() -> None:
    for template in TEMPLATES.values():
        assert as_values(template, {}).fields == {}
        assert as_values(template, {field.name: "" for field in template.fields}).fields == {}
        assert (
            as_values(
                template, {"subject": {"name": " "}, "officers": [{}]} if template.code == "filing_form" else {}
            ).fields
            == {}
        )


@pytest.mark.parametrize(
    ("code", "other", "expected"),
    [
        ("filing_form", {"colour": "red"}, [("colour", "form.unknown_field")]),
        ("filing_form", {"cause": 1}, [("cause", "form.not_a_text")]),
        ("filing_form", {"cause": "案" * 201}, [("cause", "form.too_long")]),
        ("filing_form", {"cause": "一\n二"}, [("cause", "form.control_characters")]),
        ("filing_form", {"cause": "一\u0000"}, [("cause", "form.control_characters")]),
        ("filing_form", {"summary": "一\n二"}, []),
        ("filing_form", {"source": "rumour"}, [("source", "form.not_a_choice")]),
        ("filing_form", {"found_on": "2026-02-29"}, [("found_on", "form.not_a_day")]),
        ("filing_form", {"found_on": "2026-3-5"}, [("found_on", "form.not_a_day")]),
        ("filing_form", {"found_on": "1899-12-31"}, [("found_on", "form.not_a_day")]),
        ("filing_form", {"subject": "某公司"}, [("subject", "form.not_people")]),
        ("filing_form", {"subject": {"nickname": "x"}}, [("subject", "form.not_people")]),
        ("filing_form", {"officers": "张明远"}, [("officers", "form.not_a_list")]),
        ("filing_form", {"officers": [{"name": "张明远", "rank": "1"}]}, [("officers[0]", "form.not_people")]),
        ("filing_form", {"officers": [{"name": "x"}] * 7}, [("officers", "form.too_many")]),
        ("questioning_record", {"started_at": "2026-03-10"}, [("started_at", "form.not_a_moment")]),
        ("questioning_record", {"started_at": "2026-03-10T25:00"}, [("started_at", "form.not_a_moment")]),
        ("questioning_record", {"started_at": "2026-03-10T06:30Z"}, []),
        ("questioning_record", {"times": "0"}, [("times", "form.out_of_bounds")]),
        ("questioning_record", {"times": "1.5"}, [("times", "form.too_many_decimals")]),
        ("questioning_record", {"times": "one"}, [("times", "form.not_a_number")]),
        ("questioning_record", {"times": True}, [("times", "form.not_a_number")]),
        ("questioning_record", {"minor": "perhaps"}, [("minor", "form.not_yes_or_no")]),
        ("questioning_record", {"minor": 1.0}, [("minor", "form.not_yes_or_no")]),
        ("penalty_decision", {"fine": "5,0000"}, [("fine", "form.not_an_amount")]),
        ("penalty_decision", {"fine": 5.0}, [("fine", "form.not_an_amount")]),
        ("penalty_decision", {"fine": "0"}, [("fine", "form.out_of_bounds")]),
        ("penalty_decision", {"fine_capitals": "五万元整"}, [("fine_capitals", "form.not_in_capitals")]),
        ("seizure_list", {"items": [{"name": "x", "quantity": "1.2345", "unit": "袋"}]}, [("items[0].quantity", "form.too_many_decimals")]),
        ("seizure_list", {"items": [{"name": "x"}, {"name": 3}]}, [("items[1].name", "form.not_a_text")]),
        ("seizure_list", {"items": [{"weight": "x"}]}, [("items[0]", "form.not_people")]),
        ("address_confirmation", {"ways": ["email", "pigeon"]}, [("ways", "form.not_a_choice")]),
        ("service_receipt", {"record": {"id": "x", "title": "y"}}, [("record", "form.not_a_reference")]),
        ("service_receipt", {"record": {"id": "0190b2a5-0000-7000-8000-000000000001"}}, [("record", "form.not_people")]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_field(
    code: str, other: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert _codes(code, **other) == expected


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert _codes("filing_form", found_on="x", source="y", officers=[{"name": 1}]) == [
        ("source", "form.not_a_choice"),
        ("found_on", "form.not_a_day"),
        ("officers[0]", "form.not_a_text"),
    ]


def test_one_moment_has_one_json_whatever_its_offset() -> None:
    template = TEMPLATES["questioning_record"]
    here = as_values(template, example("questioning_record", started_at="2026-03-10T14:30"))
    there = as_values(template, example("questioning_record", started_at="2026-03-10T06:30:45Z"))
    assert here.digest() == there.digest()
    assert here.as_json()["values"]["started_at"] == "2026-03-10T14:30+08:00"


def test_the_digest_is_that_of_the_values_and_the_version() -> None:
    template = TEMPLATES["filing_form"]
    values = as_values(template, example("filing_form"))
    assert as_values(template, example("filing_form", remarks="x")).digest() != values.digest()
    newer = template.model_copy(update={"version": 2})
    assert as_values(newer, example("filing_form")).digest() != values.digest()
