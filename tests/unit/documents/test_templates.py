"""The templates that are shipped: whole, of known forms, with limits, words and worked examples that pass."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from archive.cases.terms import RecordForm
from archive.documents import templates as package
from archive.documents.faces import shownable
from archive.documents.form_findings import outcome_of, require_finished
from archive.documents.forms import check_form
from archive.documents.limits import ProcedureLimits
from archive.documents.template import Template
from archive.documents.template_loading import TemplateInvalid, load_template
from archive.documents.template_parts import Sealing, TimeLimit
from archive.documents.templates import example_of, load_templates
from archive.documents.values import as_values
from archive.kernel.findings import Outcome
from tests.unit.documents.forms import CODES, TEMPLATES, context

FOLDER = Path(package.__file__).parent
ROOT = Path(__file__).parents[3]


def test_every_record_that_the_issue_names_has_its_template() -> None:
    assert set(CODES) == {form.value for form in RecordForm} - {"other"}
    assert {template.form for template in TEMPLATES.values()} <= set(RecordForm)


@pytest.mark.parametrize("code", CODES)
def test_the_worked_example_is_finished_and_valid(code: str) -> None:
    template = TEMPLATES[code]
    findings = check_form(template, as_values(template, example_of(code)), context=context())
    assert [found for found in findings if found.outcome is not Outcome.VALID] == []
    assert outcome_of(findings) is Outcome.VALID
    require_finished(findings)


@pytest.mark.parametrize("code", CODES)
def test_values_read_back_from_their_json_with_the_same_digest(code: str) -> None:
    values = as_values(TEMPLATES[code], example_of(code))
    again = as_values(TEMPLATES[code], values.as_json()["values"])
    assert again == values
    assert again.digest() == values.digest()


def test_limits_of_rules_are_known() -> None:
    known = ProcedureLimits.load().limits
    named = {rule.limit for each in TEMPLATES.values() for rule in each.rules if isinstance(rule, TimeLimit)}
    assert named <= set(known)
    assert named >= {
        "registered_preservation",
        "seal_up",
        "hearing_notice",
        "hearing_request",
        "penalty_decision",
        "service",
    }


def _standing(template: Template) -> str:
    return "\n".join(
        [*template.wording.values(), *(getattr(block, "text", "") for block in template.body), *template.basis]
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("advance_notice", ["陈述、申辩", "要求举行听证", "五个工作日内", "不会因陈述、申辩而给予更重的处罚"]),
        (
            "penalty_decision",
            ["六十日内", "行政复议", "六个月内", "行政诉讼", "十五日内", "百分之三加处罚款", "不停止执行"],
        ),
        ("seizure_decision", ["不得超过三十日", "陈述、申辩", "六十日内", "六个月内", "保管费用由本机关承担"]),
        ("preservation_notice", ["七个工作日内", "不得销毁或者转移证据"]),
        ("questioning_record", ["申请回避", "逐页签名", "如实回答"]),
        ("hearing_notice", ["第六十四条", "委托一至二人代理", "申请听证主持人、听证员、记录员回避"]),
        ("service_receipt", ["第六十一条"]),
        ("address_confirmation", ["第六十一条第二款"]),
        ("evidence_list", ["法发〔2016〕22号", "法释〔2002〕21号"]),
    ],
)
def test_rights_and_bases_are_told(code: str, words: list[str]) -> None:
    told = _standing(TEMPLATES[code])
    assert [word for word in words if word not in told] == []


def test_who_signs_and_how() -> None:
    questioned = TEMPLATES["questioning_record"].signature("party")
    assert questioned.every_page
    assert questioned.may_refuse
    assert questioned.by == "hand"
    assert TEMPLATES["penalty_decision"].signature("agency").across_pages
    for code in ("advance_notice", "hearing_notice", "penalty_decision", "seizure_decision", "preservation_notice"):
        assert any(isinstance(block, Sealing) for block in TEMPLATES[code].body)
    for code in ("inspection_record", "questioning_record", "service_receipt", "seizure_decision"):
        assert TEMPLATES[code].signature("officer").count == 2


def test_labels_say_where_something_is() -> None:
    template = TEMPLATES["seizure_list"]
    assert template.label("items[2].quantity", chinese=True) == "物品 3 数量"
    assert template.label("officers[0].certificate_number", chinese=False) == "Officers 1 certificate number"
    assert template.label("subject.name", chinese=True) == "当事人"
    assert template.label("nothing", chinese=True) == "nothing"


# ---- what is wrong is told with its line -----------------------------------------------------------------------------

_TEXT = (FOLDER / "penalty_decision.toml").read_text("utf-8")


def _line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "where", "cause"),
    [
        ("version = 1", "version = 0", "version", "1 or more"),
        ("version = 1", 'version = "1"', "version", "valid integer"),
        ("version = 1", "version = 1\ncolour = 1", "colour", "not known here"),
        ('layout = "notice"', 'layout = "poster"', "layout", "one of"),
        ('status = "not_filed"', 'status = "filed"', "filing", "with whom and on which day"),
        ('name = "fine"\nkind = "amount"', 'name = "fine"\nkind = "money"', "field.12", "none of the kinds"),
        ('name = "fine"\nkind = "amount"', 'name = "fine_capitals"\nkind = "amount"', "field.13", "is there twice"),
        ("least_fen = 1", "least_fen = 1.5", "field.12.least_fen", "valid integer"),
        ("least_fen = 1", "shortest = 1", "field.12.shortest", "not known here"),
        ('figures = "fine"', 'figures = "court"', "rule.2", "another kind than the rule needs"),
        ('figures = "fine"', 'figures = "nothing"', "rule.2", "there is no field nothing"),
        ("数额（大写）", "", None, None),
        ("{ground}", "{grund}", "body.9", "there is no field grund"),
        ("{ground}", "{ground.part}", "body.9", "ground has no part part"),
        ("{ground}", "{ground", "body.9", "a brace stands alone"),
        ('name = "payment"\nwhen', 'name = "payments"\nwhen', "body.12", "there is no wording payments"),
        ('role = "agency"\nagency', 'role = "agent"\nagency', "body.15", "there is no signature agent"),
        ('is = "heard"', 'is = "herd"', "rule.7", "herd is none of the choices"),
        ('heading = "{agency}"', 'heading = "{bureau}"', "heading", "there is no field bureau"),
        ("本机关于{notified_on}", "本机关于{notified}", "wording.notice", "there is no field notified"),
        ('field = "defence_view"\ntitle', 'field = "view"\ntitle', "guide.0", "there is no field view"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_line_and_name(old: str, new: str, where: str | None, cause: str | None) -> None:
    assert old in _TEXT
    text = _TEXT.replace(old, new, 1)
    if where is None or cause is None:
        load_template(text)
        return
    with pytest.raises(TemplateInvalid) as caught:
        load_template(text)
    found = caught.value.faults[0]
    assert found.where == where
    assert cause in found.cause
    shown = text.splitlines()[found.line - 1]
    name = where.rpartition(".")[2]
    assert shown.startswith(f"[[{where.partition('.')[0]}]]") if name.isdigit() else re_name(name, shown)


def re_name(name: str, line: str) -> bool:
    return line.startswith((f"{name} =", f"[{name}]"))


def test_every_fault_is_told_at_once() -> None:
    text = _TEXT.replace("version = 1", "version = 0").replace("least_fen = 1", "least_fen = -1")
    with pytest.raises(TemplateInvalid) as caught:
        load_template(text)
    assert [found.where for found in caught.value.faults] == ["version", "field.12.least_fen"]
    assert f"line={_line_of(text, 'version = 0')}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), ("code = \n", 1), ("code = 'x'\nversion = 1\nversion = 2\n", 3), ("[[field]]\nname", 2), ("x" * 200_001, 1),
     ("code = 12:30:00", 1), ("a = [[[[" * 400, 1)],
)  # fmt: skip
def test_any_text_is_a_template_or_refused(text: str, line: int) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        load_template(text)
    assert caught.value.faults[0].line == line


def test_a_bureau_has_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "penalty_decision.toml").write_text(_TEXT.replace("version = 1", "version = 7", 1), "utf-8")
    assert load_templates(tmp_path)["penalty_decision"].version == 7
    (tmp_path / "other.toml").write_text(_TEXT, "utf-8")
    with pytest.raises(TemplateInvalid, match=r"other\.toml"):
        load_templates(tmp_path)
    (tmp_path / "other.toml").write_bytes(b"\xff")
    with pytest.raises(TemplateInvalid, match=r"other\.toml"):
        load_templates(tmp_path)


def test_the_faces_show_every_character_of_the_templates() -> None:
    for path in [*FOLDER.glob("*.toml"), *FOLDER.glob("examples/*.toml")]:
        text = path.read_text("utf-8").replace("†", "")  # it stands in comments only
        assert shownable(text, has_lines=True) == text, path.name


def test_there_is_no_example_of_what_is_not_shipped() -> None:
    with pytest.raises(KeyError):
        example_of("../penalty_decision")


def test_templates_and_examples_are_one_for_one() -> None:
    assert sorted(path.stem for path in (FOLDER / "examples").glob("*.toml")) == CODES
    for path in FOLDER.glob("*.toml"):
        assert tomllib.loads(path.read_text("utf-8"))["code"] == path.stem


# ---- the format's document ------------------------------------------------------------------------------------------


def _models(kind: Any, seen: set[type]) -> Iterator[type[BaseModel]]:
    """Yield every part of a template, from the type of the whole."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            seen.add(kind)
            yield kind
            for each in kind.model_fields.values():
                yield from _models(each.annotation, seen)
        return
    for part in get_args(kind):
        yield from _models(part, seen)


def _values(kind: Any) -> Iterator[str]:
    """Yield the words of closed lists that a type names."""
    if get_origin(kind) is Literal:
        yield from (value for value in get_args(kind) if isinstance(value, str))
    else:
        for part in get_args(kind):
            yield from _values(part)


def test_every_name_and_word_that_the_loader_knows_stands_in_the_formats_document() -> None:
    told = set(re.findall(r"[a-z_.]+", (ROOT / "docs" / "formats" / "template.md").read_text("utf-8")))
    told |= {part for each in told for part in each.split(".")}
    models = list(_models(Template, set()))
    names = {field.alias or name for model in models for name, field in model.model_fields.items()}
    words = {word for model in models for field in model.model_fields.values() for word in _values(field.annotation)}
    assert len(models) > 35
    assert len(names) > 60
    assert sorted((names | words) - told) == []
