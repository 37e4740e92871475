"""First values of forms: what the archive knows stands there, what it does not know or the form cannot hold does not."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.cases.changes import ActNotFound
from archive.cases.filing import CaseNotFound, record_act
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.indexing import index_sight
from archive.cases.models import ActOfficer
from archive.cases.prefilling import prefilled
from archive.cases.subjects import NewSubject
from archive.cases.terms import Stage, SubjectKind
from archive.documents.form_findings import FormFinding
from archive.documents.forms import check_form
from archive.documents.template import Template
from archive.documents.template_loading import TemplateInvalid, load_template
from archive.documents.templates import example_of, shipped_templates
from archive.documents.values import as_values
from archive.kernel.ids import ActId, CaseId, OfficerId
from archive.kernel.instants import BUREAU_ZONE
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry, Target
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import name_first_agency
from tests.support.archive_home import ArchiveHome
from tests.unit.documents.forms import context

CREDIT_CODE = "91530100719400050J"
STARTED = datetime(2026, 3, 5, 9, 30, tzinfo=BUREAU_ZONE)
KNOWN: Mapping[str, Any] = {
    "agency.name": "昆明市市场监督管理局",
    "unit.name": "昆明市市场监督管理局",
    "case.number": "昆市监罚〔2026〕1号",
    "case.title": "无证经营案",
    "case.filed_on": "2026-03-04",
    "act.place": "人民路1号",
    "act.started_at": "2026-03-05T09:30+08:00",
    "act.ended_at": "2026-03-05T10:00+08:00",
    "act.officers": [
        {"name": "张明远", "certificate_number": "25010020017"},
        {"name": "陈思源", "certificate_number": "25010020036"},
    ],
}


def officer(home: ArchiveHome, number: str, name: str) -> OfficerId:
    """An officer of the register."""
    return record_officer(home.database, OfficerFacts(number, name, "局"), by=OPERATOR, at=home.clock.now())


def scene(home: ArchiveHome) -> tuple[CaseId, ActId]:
    """A case that was filed the day before its inspection, by two officers."""
    at = home.clock.now()
    name_first_agency(home.database, str(KNOWN["agency.name"]), at=at)
    number = Identifier(IdentifierKind.CREDIT_CODE, CREDIT_CODE)
    case_id = home.case(subject=NewSubject("某某餐饮店", SubjectKind.ORGANISATION, number))

    def act(stage: Stage, started_at: datetime) -> ActId:
        return record_act(
            home.database, case_id, stage=stage, place="人民路1号", started_at=started_at,
            ended_at=started_at + timedelta(minutes=30), by=OPERATOR, at=at,
        )  # fmt: skip

    act(Stage.FILING, STARTED - timedelta(days=1))
    act_id = act(Stage.INSPECTION, STARTED)
    officers = [officer(home, one["certificate_number"], one["name"]) for one in reversed(KNOWN["act.officers"])]
    with home.database.begin() as tx:
        tx.execute(insert(ActOfficer), [{"act_id": act_id, "officer_id": each} for each in officers])
        detail = {"officers": sorted(map(str, officers)), "was": {"officers": []}}
        told = NewEntry(EntryType.CASE_ACT_UPDATED, OPERATOR, Target("act", act_id), case=case_id, detail=detail)
        append_entry(tx, told, at=at)
        index_sight(tx, [case_id])
    return case_id, act_id


def fill(
    home: ArchiveHome, template: Template, case_id: CaseId, act_id: ActId | None = None, by: Caller | None = None,
    officer_id: OfficerId | None = None,
) -> dict[str, Any]:  # fmt: skip
    """First values, in a transaction that writes."""
    with home.database.begin() as tx:
        return prefilled(
            tx, template, case_id=case_id, act_id=act_id, officer_id=officer_id, at=STARTED,
            identifiers=home.services.identifiers, by=by,
        )  # fmt: skip


def wrong(template: Template, values: Mapping[str, Any]) -> set[str]:
    """The fields of a form in which something is found wrong."""
    found: tuple[FormFinding, ...] = check_form(template, as_values(template, values), context=context())
    return {each.field.partition(".")[0] for each in found if each.outcome.value == "invalid"}


def test_every_shipped_template_gets_what_is_known_and_nothing_else(home: ArchiveHome) -> None:
    case_id, act_id = scene(home)
    handler = home.person(Role.CASE_HANDLER)
    for template in shipped_templates().values():
        values = fill(home, template, case_id, act_id, handler)
        expected: dict[str, Any] = {}
        for field in template.fields:
            if field.fill == "case.subject":
                expected[field.name] = {"name": "某某餐饮店", "number": CREDIT_CODE}
            elif field.fill is not None and field.fill in KNOWN:
                expected[field.name] = KNOWN[field.fill]
            elif default := getattr(field, "default", None):
                expected[field.name] = default
        assert values == expected, template.code
        assert as_values(template, values).fields, "the form reads what it is given"
        filled = {name for name in values if name != "subject"}
        assert not filled & wrong(template, {**example_of(template.code), **values}), "and finds nothing wrong in it"
    home.assert_sound()


def test_what_is_not_known_is_left_to_whoever_writes(home: ArchiveHome) -> None:
    template = shipped_templates()["questioning_record"]
    case_id = home.case()
    assert set(fill(home, template, case_id)) == {"agency", "cause", "confirmation"}, "the last by its default"
    writer = officer(home, "25010020017", "张明远")
    alone = fill(home, template, case_id, officer_id=writer)
    assert alone["officers"] == [{"name": "张明远", "certificate_number": "25010020017"}]
    assert wrong(template, {**example_of(template.code), **alone}) == {"officers"}, "a second one is asked for"


def test_a_whole_number_is_shown_to_whom_it_may_be_shown_and_the_log_tells_it(home: ArchiveHome) -> None:
    case_id, _ = scene(home)
    decision, record = (shipped_templates()[code] for code in ("penalty_decision", "inspection_record"))
    shown = "access.identifier"
    assert fill(home, decision, case_id)["subject"] == {"name": "某某餐饮店"}
    assert fill(home, decision, case_id, by=home.person(Role.OFFICER))["subject"] == {"name": "某某餐饮店"}
    assert shown not in home.types()
    assert fill(home, decision, case_id, by=home.person(Role.CASE_HANDLER))["subject"]["number"] == CREDIT_CODE
    assert home.types().count(shown) == 1
    assert "number" in fill(home, record, case_id, by=home.signed_in(Role.CASE_HANDLER.value))["subject"]
    assert home.types().count(shown) == 2
    told = [json.loads(detail) for (detail,) in home.rows("SELECT detail FROM log_detail")]
    assert [each["purpose"] for each in told if "purpose" in each] == ["填写文书：昆市监罚〔2026〕1号"] * 2
    home.assert_sound()


CUSTOM = """
code = "own"
version = 1
form = "other"
title = { zh = "自制", en = "Own" }
heading = "{office}"
valid_from = 2026-01-01
basis = ["无"]
layout = "notice"
filing = { status = "not_filed" }
body = [{ kind = "paragraph", text = "{place}" }]

[[field]]
name = "office"
kind = "text"
label = { zh = "机构", en = "Unit" }
fill = "unit.name"

[[field]]
name = "place"
kind = "place"
label = { zh = "地点", en = "Place" }
fill = "act.place"
longest = 3

[[field]]
name = "day"
kind = "date"
label = { zh = "日期", en = "Day" }
fill = "act.started_at"

[[field]]
name = "today"
kind = "date"
label = { zh = "今天", en = "Today" }
fill = "today"

[[field]]
name = "who"
kind = "person"
label = { zh = "谁", en = "Who" }
fill = "case.subject"

[[field]]
name = "writer"
kind = "text"
label = { zh = "记录人", en = "Writer" }
fill = "officer.name"

[[field]]
name = "writer_number"
kind = "text"
label = { zh = "执法证号", en = "Number" }
fill = "officer.certificate_number"

[[field]]
name = "class"
kind = "choice"
label = { zh = "类别", en = "Category" }
choices = [{ value = "penalty", zh = "处罚", en = "Penalty" }, { value = "other", zh = "其他", en = "Other" }]
fill = "case.category"

[[field]]
name = "words"
kind = "long_text"
label = { zh = "说明", en = "Words" }
default = "如下："
"""


def test_values_take_the_form_of_their_field_and_too_long_ones_are_left_out(home: ArchiveHome) -> None:
    case_id, act_id = scene(home)
    writer = officer(home, "25010020017", "张明远")
    assert fill(home, load_template(CUSTOM), case_id, act_id, officer_id=writer) == {
        "office": "昆明市市场监督管理局",
        "day": "2026-03-05",
        "today": "2026-03-05",
        "who": {"name": "某某餐饮店"},
        "writer": "张明远",
        "writer_number": "25010020017",
        "class": "penalty",
        "words": "如下：",
    }


def test_a_field_of_another_kind_is_refused_by_its_line() -> None:
    with pytest.raises(TemplateInvalid) as refused:
        load_template(CUSTOM.replace('fill = "today"', 'fill = "case.title"'))
    (fault,) = refused.value.faults
    assert fault.where == "field.3.fill"
    assert CUSTOM.splitlines()[fault.line - 1] == 'fill = "today"'


def test_a_case_that_is_not_there_and_an_act_of_another(home: ArchiveHome) -> None:
    case_id, act_id = scene(home)
    other = home.case("2")
    template = shipped_templates()["inspection_record"]
    with pytest.raises(CaseNotFound):
        fill(home, template, CaseId(uuid4()))
    for wanted in (act_id, ActId(uuid4())):
        with pytest.raises(ActNotFound):
            fill(home, template, other, wanted)
    assert date.fromisoformat(fill(home, template, case_id, act_id)["started_at"][:10]) == date(2026, 3, 5)
