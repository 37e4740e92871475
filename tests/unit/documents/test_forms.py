"""Checks of forms: each rule holds, fails, or says that it could not be checked."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archive.documents import limits as limits_module
from archive.documents.form_context import OfficerStanding
from archive.documents.form_findings import FormUnfinished, outcome_of, require_finished
from archive.documents.forms import check_form
from archive.documents.limits import LimitsInvalid, ProcedureLimits
from archive.documents.template_loading import load_template
from archive.documents.templates import shipped_templates
from archive.documents.values import Values, as_values
from archive.kernel.findings import Outcome
from archive.web.i18n import Language, catalogue
from tests.unit.documents.forms import CASE_DAYS, CODES, OFFICERS, TEMPLATES, context, example

OTHER = {"name": "周立", "certificate_number": "25010020099"}


def _found(code: str, known: dict[str, Any] | None = None, **other: Any) -> list[tuple[str, str, str]]:
    values = as_values(TEMPLATES[code], example(code, **other))
    found = check_form(TEMPLATES[code], values, context=context(**(known or {})))
    return [(each.outcome.value, each.field, each.code) for each in found if each.outcome is not Outcome.VALID]


TWICE = [{"name": "张明远", "certificate_number": "25010020017"}] * 2


@pytest.mark.parametrize(
    ("code", "known", "other", "expected"),
    [
        ("filing_form", {}, {"cause": None}, [("invalid", "cause", "form.required")]),
        ("filing_form", {}, {"remarks": None}, []),
        ("filing_form", {}, {"subject": {"name": "某公司", "number": "1"}}, [("invalid", "subject.address", "form.part_required")]),
        ("filing_form", {}, {"officers": TWICE[:1]}, [("invalid", "officers", "form.too_few")]),
        ("filing_form", {}, {"officers": TWICE}, [("invalid", "officers[1]", "form.same_officer")]),
        ("filing_form", {}, {"officers": [TWICE[0], OTHER]}, [("invalid", "officers[1]", "form.officer_unknown")]),
        ("filing_form", {}, {"officers": [TWICE[0], {"name": "陈思远", "certificate_number": "25010020036"}]}, [("invalid", "officers[1]", "form.officer_other_name")]),
        ("filing_form", {}, {"officers": [TWICE[0], {"name": "陈思源"}]}, [("invalid", "officers[1].certificate_number", "form.required")]),
        ("filing_form", {"officers": None}, {}, [("indeterminate", f"officers[{n}]", "form.officer_unchecked") for n in (0, 1)]),
        ("filing_form", {"officers": {**OFFICERS, "25010020036": OfficerStanding("陈思源", None, date(2026, 3, 5))}}, {}, [("invalid", "officers[1]", "form.certificate_not_valid")]),
        ("filing_form", {"officers": {**OFFICERS, "25010020036": OfficerStanding("陈思源", date(2026, 3, 7), date(2027, 3, 5))}}, {}, [("invalid", "officers[1]", "form.certificate_not_valid")]),
        ("filing_form", {"officers": {**OFFICERS, "25010020036": OfficerStanding("陈思源", None, date(2027, 3, 5), date(2026, 3, 6))}}, {}, [("invalid", "officers[1]", "form.certificate_not_valid")]),
        ("filing_form", {"officers": {**OFFICERS, "25010020036": OfficerStanding("陈思源")}}, {}, [("indeterminate", "officers[1]", "form.validity_unknown")]),
        ("filing_form", {"today": date(2026, 3, 5)}, {}, [("invalid", "proposed_on", "form.in_future"), ("invalid", "filed_on", "form.in_future")]),
        ("filing_form", {}, {"filed_on": "2026-03-05"}, [("invalid", "filed_on", "form.not_in_order")]),
        ("filing_form", {}, {"found_on": "2026-02-08"}, [("invalid", "filed_on", "form.too_late")]),
        ("filing_form", {}, {"found_on": "2026-02-09"}, []),
        ("inspection_record", {}, {"ended_at": "2026-03-05T09:29"}, [("invalid", "ended_at", "form.not_in_order")]),
        ("inspection_record", {}, {"recusal": True}, [("invalid", "recusal_reason", "form.required_here")]),
        ("inspection_record", {}, {"attending": {"name": "张明远"}}, [("invalid", "attending", "form.same_person")]),
        ("questioning_record", {}, {"dialogue": [{"question": "问？"}]}, [("invalid", "dialogue[0].answer", "form.required")]),
        ("questioning_record", {}, {"minor": True}, [("invalid", "guardian", "form.required_here")]),
        ("seizure_decision", {}, {"until_on": "2026-04-05"}, [("invalid", "until_on", "form.too_late")]),
        ("seizure_list", {}, {"items": [{"name": "x", "unit": "袋"}]}, [("invalid", "items[0].quantity", "form.required")]),
        ("preservation_notice", {}, {"until_on": "2026-03-17"}, [("invalid", "until_on", "form.too_late")]),
        ("hearing_notice", {}, {"noticed_on": "2026-04-28"}, [("invalid", "hearing_at", "form.too_early")]),
        ("hearing_notice", {}, {"noticed_on": "2026-04-24"}, [("invalid", "hearing_at", "form.too_early")]),
        ("hearing_notice", {}, {"noticed_on": "2026-04-23"}, []),
        ("hearing_notice", {}, {"host": "张明远"}, [("invalid", "host", "form.same_person")]),
        ("hearing_notice", {"case_days": {}}, {}, [("indeterminate", "asked_on", "form.limit_start_unknown")]),
        ("penalty_decision", {}, {"decided_on": "2026-06-05"}, [("invalid", "decided_on", "form.too_late")]),
        ("penalty_decision", {"case_days": {}}, {}, [("indeterminate", "decided_on", "form.limit_start_unknown")]),
        ("penalty_decision", {}, {"fine_capitals": "伍仟元整"}, [("invalid", "fine_capitals", "form.other_amount")]),
        ("penalty_decision", {}, {"fine_capitals": "人民币伍万圆正"}, []),
        ("penalty_decision", {}, {"fine_capitals": None}, [("invalid", "fine_capitals", "form.required_here")]),
        ("penalty_decision", {}, {"fine": None, "fine_capitals": None, "bank": None, "account": None}, []),
        ("penalty_decision", {}, {"defence": "stated", "defence_view": None}, [("invalid", "defence_view", "form.required_here")]),
        ("service_receipt", {}, {"served_at": "2026-06-01T09:00"}, [("invalid", "served_at", "form.too_late")]),
        ("service_receipt", {}, {"way": "electronic"}, [("invalid", "consent", "form.required_here")]),
        ("service_receipt", {}, {"way": "left", "receiver": None}, [("invalid", "refusal", "form.required_here")]),
        ("service_receipt", {"today": date(2027, 1, 30)}, {"decided_on": "2026-12-29", "served_at": "2027-01-08T09:00"}, [("indeterminate", "served_at", "form.limit_years_unknown")]),
        ("service_receipt", {"limits": ProcedureLimits(date(2026, 1, 1), "x", {})}, {}, [("indeterminate", "served_at", "form.limit_unknown")]),
        ("address_confirmation", {}, {"email": None}, [("invalid", "email", "form.required_here")]),
        ("address_confirmation", {}, {"agreed": False, "ways": None, "email": None}, []),
    ],
)  # fmt: skip
def test_a_form_is_checked(
    code: str, known: dict[str, Any], other: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert _found(code, known, **other) == expected


def test_a_sum_is_held_against_its_lines() -> None:
    text = (
        'code = "bill"\nversion = 1\nform = "other"\ntitle.zh = "单"\ntitle.en = "Bill"\nheading = "单"\n'
        'valid_from = 2026-01-01\nbasis = ["x"]\nlayout = "inventory"\n[filing]\nstatus = "not_filed"\n'
        '[[field]]\nname = "total"\nkind = "amount"\nlabel.zh = "计"\nlabel.en = "Total"\n'
        '[[field]]\nname = "lines"\nkind = "list"\nlabel.zh = "项"\nlabel.en = "Lines"\n'
        '[[field.column]]\nname = "price"\nkind = "amount"\nlabel.zh = "价"\nlabel.en = "Price"\n'
        '[[rule]]\nkind = "sum_of"\nfield = "total"\nlist = "lines"\ncolumn = "price"\n'
        '[[body]]\nkind = "table"\nfield = "lines"\n'
    )
    template = load_template(text)
    for total, outcome in (("3.50", Outcome.VALID), ("3.51", Outcome.INVALID)):
        values = as_values(template, {"total": total, "lines": [{"price": "1.25"}, {"price": "2.25"}]})
        found = check_form(template, values, context=context())
        assert outcome_of(found) is outcome
        assert {each.code for each in found} == {
            "form.fields",
            "form.sum" if outcome is Outcome.VALID else "form.other_sum",
        }


def test_another_version_is_no_answer_to_this_one() -> None:
    template = TEMPLATES["filing_form"]
    values = as_values(template, example("filing_form"))
    newer = template.model_copy(update={"version": 2})
    assert check_form(newer, values, context=context())[0].code == "form.other_version"


def test_a_finished_form_lacks_nothing() -> None:
    for code in CODES:
        with pytest.raises(FormUnfinished) as caught:
            require_finished(check_form(TEMPLATES[code], Values(code, 1, {}), context=context()))
        required = {field.name for field in TEMPLATES[code].fields if field.required}
        assert {found.field for found in caught.value.findings} == required
    with pytest.raises(FormUnfinished):
        require_finished([])


def test_what_could_not_be_checked_is_never_valid() -> None:
    values = as_values(TEMPLATES["filing_form"], example("filing_form"))
    found = check_form(TEMPLATES["filing_form"], values, context=context(officers=None, case_days=CASE_DAYS))
    assert outcome_of(found) is Outcome.INDETERMINATE
    require_finished(found)


@pytest.mark.parametrize("language", Language)
def test_every_finding_reads_in_both_languages(language: Language) -> None:
    texts, chinese = catalogue(language), language is Language.CHINESE
    cases: list[dict[str, Any]] = [{}, {"subject": {"name": "x"}}, {"officers": TWICE}, {"filed_on": "2026-03-05"}]
    for code, template in shipped_templates().items():
        for other in cases:
            wanted = {
                name: value for name, value in other.items() if any(field.name == name for field in template.fields)
            }
            values = as_values(template, example(code, **wanted))
            for found in check_form(template, values, context=context(officers=None, case_days={})):
                group = "held" if found.outcome is Outcome.VALID else "finding"
                told = texts.text(f"{group}.{found.code}", **found.words(template, chinese=chinese))
                assert "{" not in told
                assert found.as_json()["code"] == found.code


# ---- the limits ------------------------------------------------------------------------------------------------------

_LIMITS = (Path(limits_module.__file__).parent / "limits.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('set_by = "liuhen"', "set_by = 1", "`set_by` a text"),
        ('set_by = "liuhen"', "", "the names are"),
        ("amount = 15", "amount = 0", "from 1 to 3660"),
        ("amount = 15", "amount = 1.5", "`amount` is a number"),
        ('unit = "working_days"', 'unit = "weeks"', "weeks"),
        ('sense = "within"', 'sense = "about"', "about"),
        ('code = "filing"', 'code = "service"', "service is there twice"),
        ('zh = "立案"\n', "", "a limit has"),
        ('zh = "立案"', "zh = 3", "are texts"),
    ],
)
def test_a_wrong_file_of_limits_is_refused(tmp_path: Path, old: str, new: str, cause: str) -> None:
    assert old in _LIMITS
    (tmp_path / "limits.toml").write_text(_LIMITS.replace(old, new, 1), "utf-8")
    with pytest.raises(LimitsInvalid) as caught:
        ProcedureLimits.load(tmp_path / "limits.toml")
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "start", "last"),
    [
        ("registered_preservation", date(2026, 3, 5), date(2026, 3, 16)),
        ("seal_up", date(2026, 3, 5), date(2026, 4, 4)),
        ("hearing_request", date(2026, 4, 15), date(2026, 4, 22)),
        ("penalty_decision", date(2026, 3, 6), date(2026, 6, 4)),
        ("service", date(2026, 5, 20), date(2026, 5, 29)),
        ("payment", date(2026, 5, 22), date(2026, 6, 8)),
        ("reconsideration", date(2026, 5, 22), date(2026, 7, 21)),
        ("litigation", date(2026, 5, 22), date(2026, 11, 23)),
    ],
)
def test_the_limits_count_as_a_lawyer_does(limit: str, start: date, last: date) -> None:
    assert ProcedureLimits.load().limits[limit].deadline(start, days=context().days).last == last
