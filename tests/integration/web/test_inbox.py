"""The inbox: suggestions beside what is filed nowhere, and the form that files many at once."""

from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.filing import open_case, record_act
from archive.cases.listings import case_view
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, Stage, SubjectKind
from archive.kernel.ids import CaseId, new_uuid7
from tests.integration.web.conftest import HTMX, words
from tests.support import seed
from tests.support.seed import Bureau

START = seed.datetime(2026, 4, 7, 1, 30, tzinfo=seed.UTC)
NUMBER, STRANGER = "官综执检〔2026〕第900号", "01a20f2c-7bbb-7700-a00e-aa9f6c5175b9"


@dataclass(frozen=True)
class Inbox:
    """A case with an act, and two recordings of that hour that are filed nowhere."""

    bureau: Bureau
    case_id: CaseId
    act_id: str
    items: list[str]

    def names(self) -> set[str]:
        with self.bureau.services.database.read() as tx:
            return {row.original.name for row in case_view(tx, self.case_id).items}


@pytest.fixture
def inbox(bureau: Bureau) -> Inbox:
    handler, number = bureau.people[Role.CASE_HANDLER], f"{NUMBER}-{new_uuid7().hex[-8:]}"
    case_id = open_case(
        bureau.services.database,
        bureau.services.identifiers,
        number=number,
        title="夜市检查",
        category=Category.INSPECTION,
        subject=NewSubject("夜市", SubjectKind.ORGANISATION),
        by=handler,
        at=bureau.now(),
    )
    act_id = record_act(
        bureau.services.database,
        case_id,
        stage=Stage.INSPECTION,
        place="昌宏路",
        started_at=START - timedelta(minutes=2),
        ended_at=START + timedelta(minutes=20),
        by=handler,
        at=bureau.now(),
    )
    dock = seed.new_dock(bureau, "待办采集站")
    items = [
        str(seed.deliver(bureau, dock, new_uuid7().bytes, f"夜市-{place}.mp4", recorded_at=START)) for place in "东西"
    ]
    return Inbox(bureau, case_id, str(act_id), items)


def number_of(inbox: Inbox) -> str:
    with inbox.bureau.services.database.read() as tx:
        return case_view(tx, inbox.case_id).case.number


def test_a_suggestion_says_which_case_and_why(handler: httpx.Client, inbox: Inbox) -> None:
    page = handler.get("/unlinked")
    assert f'data-act="{inbox.act_id}"' in page.text
    assert "执法活动期间" in words(page)
    assert f'data-number="{number_of(inbox)}"' in page.text


def test_several_are_filed_under_a_case(handler: httpx.Client, inbox: Inbox) -> None:
    form = {
        "object_id": inbox.items,
        "number": f" {number_of(inbox)} ",
        "act_id": inbox.act_id,
        "reason": "时间吻合",
    }
    answer = handler.post("/unlinked/links", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/unlinked?done=linked")
    assert inbox.names() == {"夜市-东.mp4", "夜市-西.mp4"}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("number", "没有这个案号", "没有这个案号"),
        ("number", "", "请填写"),
        ("reason", "", "请填写"),
        ("object_id", "", "请勾选"),
        ("object_id", "nonsense", "请勾选"),
        ("object_id", STRANGER, "刚被他人"),
        ("act_id", STRANGER, "请选择"),
    ],
)
def test_a_form_with_a_fault_is_shown_again_and_nothing_is_filed(
    handler: httpx.Client, inbox: Inbox, field: str, value: str, told: str
) -> None:
    form = {"object_id": inbox.items[0], "number": number_of(inbox), "reason": "时间吻合"}
    answer = handler.post("/unlinked/links", data={**form, field: value})
    assert answer.status_code == 422
    assert told in words(answer)
    assert inbox.names() == set()


def test_the_acts_of_the_case_that_is_being_written_are_offered(handler: httpx.Client, inbox: Inbox) -> None:
    whole = handler.get("/unlinked/acts", params={"number": number_of(inbox)}, headers=HTMX)
    assert f'value="{inbox.act_id}"' in whole.text
    part = handler.get("/unlinked/acts", params={"number": "900号"}, headers=HTMX)
    assert f'<option value="{number_of(inbox)}">夜市检查</option>' in part.text


def test_who_may_not_file_is_offered_nothing(auditor: httpx.Client, inbox: Inbox) -> None:
    page = auditor.get("/unlinked")
    assert "夜市-东.mp4" in page.text
    assert "data-suggest" not in page.text
    assert "checkbox" not in page.text
