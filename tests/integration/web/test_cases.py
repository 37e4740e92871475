"""The page of a case, and the forms that add to it."""

import http.client
import re

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.listings import case_view
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.documents.records import MAX_RECORD_BYTES
from archive.kernel.ids import CaseId
from tests.integration.web.conftest import HTMX, VIDEO, words
from tests.support.archive_home import PDF
from tests.support.seed import Bureau


@pytest.fixture
def case_id(bureau: Bureau, request: pytest.FixtureRequest) -> CaseId:
    """A case of this test's own."""
    return open_case(
        bureau.services.database,
        bureau.services.identifiers,
        number=f"案 {request.node.name}"[:100],
        title="现场检查 <script>alert(1)</script>",
        category=Category.INSPECTION,
        subject=NewSubject('"张三" & 李四', SubjectKind.PERSON),
        by=bureau.people[Role.CASE_HANDLER],
        at=bureau.now(),
    )


def _view(bureau: Bureau, case_id: CaseId):  # type: ignore[no-untyped-def]
    with bureau.services.database.read() as tx:
        return case_view(tx, case_id)


def test_a_case_shows_what_is_filed_under_it(handler: httpx.Client, bureau: Bureau) -> None:
    text = words(handler.get(f"/cases/{bureau.cases['main']}"))
    for part in (
        "官综执罚〔2026〕第031号", "官渡区阿明烧烤店", "单位", "行政处罚", "李晓东", VIDEO, "BWC-0117",
        "2026-03-02 09:30", "可播放", "现场检查笔录", "归档时间",
    ):  # fmt: skip
        assert part in text


def test_what_people_wrote_cannot_become_markup(handler: httpx.Client, case_id: CaseId) -> None:
    page = handler.get(f"/cases/{case_id}")
    assert "<script>alert" not in page.text
    assert "现场检查 <script>alert(1)</script>" in words(page)
    assert '"张三" & 李四' in words(page)


def test_acts_stand_on_a_timeline(handler: httpx.Client, bureau: Bureau, case_id: CaseId) -> None:
    for stage, started, ended in (
        ("seizure", "2026-03-02T12:30", "2026-03-02T12:42:30"),
        ("filing", "2026-02-27T09:30", ""),
    ):
        form = {"stage": stage, "place": "北京路 188 号", "started_at": started, "ended_at": ended}
        answer = handler.post(f"/cases/{case_id}/acts", data=form)
        assert answer.headers["location"] == f"/cases/{case_id}?done=act_recorded"
    text = words(handler.get(f"/cases/{case_id}?done=act_recorded"))
    assert "执法活动已记录" in text
    assert text.index("2026-02-27 09:30 立案") < text.index("2026-03-02 12:30 – 12:42 查封扣押")
    first = _view(bureau, case_id).acts[0]
    assert first.started_at.isoformat() == "2026-02-27T01:30:00+00:00"


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"stage": ""}, "stage", "请选择一项"),
        ({"place": ""}, "place", "请填写此项"),
        ({"started_at": ""}, "started_at", "请填写此项"),
        ({"started_at": "tomorrow"}, "started_at", "不是有效的日期和时间"),
        ({"ended_at": "2026-03-01T00:00"}, "ended_at", "结束时间早于开始时间"),
    ],
)
def test_an_act_that_cannot_be_is_refused_at_its_field(
    handler: httpx.Client, bureau: Bureau, case_id: CaseId, changed: dict[str, str], field: str, message: str
) -> None:
    form = {"stage": "hearing", "place": "听证室", "started_at": "2026-03-02T09:00", "ended_at": "", **changed}
    answer = handler.post(f"/cases/{case_id}/acts", data=form)
    assert answer.status_code == 422
    assert message in words(answer)
    assert f'id="act-{field}-fault"' in answer.text
    assert 'id="act" open' in answer.text
    assert _view(bureau, case_id).acts == []


def test_footage_is_linked_with_a_reason_and_taken_out_again(
    handler: httpx.Client, bureau: Bureau, case_id: CaseId
) -> None:
    item = bureau.items["unplayable"]
    handler.post(f"/cases/{case_id}/acts", data={"stage": "sampling", "place": "x", "started_at": "2026-03-02T09:00"})
    act = _view(bureau, case_id).acts[0].id
    form = {"object_id": str(item), "act_id": str(act), "reason": "漏传补录"}
    assert handler.post(f"/cases/{case_id}/links", data=form).headers["location"].endswith("done=linked")
    assert [(row.item.object_id, row.act_id) for row in _view(bureau, case_id).items] == [(item, act)]
    again = handler.post(f"/cases/{case_id}/links", data=form)
    assert again.status_code == 422
    assert "已经关联在这个案件中" in words(again)
    trail = words(handler.get(f"/objects/{item}/trail", headers=HTMX))
    assert "关联到案件" in trail
    assert "漏传补录" in trail
    form = {"object_id": str(item), "reason": "关联错误"}
    assert handler.post(f"/cases/{case_id}/removals", data=form).headers["location"].endswith("done=unlinked")
    assert _view(bureau, case_id).items == []
    assert "关联错误" in words(handler.get(f"/objects/{item}/trail", headers=HTMX))
    gone = handler.post(f"/cases/{case_id}/removals", data=form)
    assert gone.status_code == 422
    assert "不在这个案件中" in words(gone)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"object_id": "nonsense"}, "object_id"),
        ({"object_id": "00000000-0000-7000-8000-000000000000"}, "object_id"),
        ({"act_id": "00000000-0000-7000-8000-000000000000"}, "act_id"),
        ({"act_id": "nonsense"}, "act_id"),
        ({"reason": ""}, "reason"),
    ],
)
def test_a_link_that_cannot_be_is_refused_at_its_field(
    handler: httpx.Client, bureau: Bureau, case_id: CaseId, changed: dict[str, str], field: str
) -> None:
    form = {"object_id": str(bureau.items["audio"]), "act_id": "", "reason": "x", **changed}
    answer = handler.post(f"/cases/{case_id}/links", data=form)
    assert answer.status_code == 422
    assert f'id="link-{field}-fault"' in answer.text
    assert _view(bureau, case_id).items == []


def test_an_item_is_linked_from_its_own_page(handler: httpx.Client, bureau: Bureau, case_id: CaseId) -> None:
    item, number = bureau.items["audio"], _view(bureau, case_id).case.number
    for form, message in (
        ({"number": "no such case", "reason": "x"}, "没有这个案号的案件"),
        ({"number": number, "reason": ""}, "请填写此项"),
    ):
        refused = handler.post(f"/items/{item}/links", data=form)
        assert refused.status_code == 422
        assert message in words(refused)
    assert handler.post(f"/items/{item}/links", data={"number": number, "reason": "补充"}).status_code == 303
    assert [row.item.object_id for row in _view(bureau, case_id).items] == [item]
    handler.post(f"/cases/{case_id}/removals", data={"object_id": str(item), "reason": "x"})


# ---- records -------------------------------------------------------------------------------------------------------


def test_a_pdf_is_filed(handler: httpx.Client, bureau: Bureau, case_id: CaseId) -> None:
    form = {"title": "询问笔录 <b>", "form": "questioning_record"}
    files = {"file": ("笔录 (终稿).pdf", PDF, "application/pdf")}
    answer = handler.post(f"/cases/{case_id}/records", data=form, files=files)
    assert answer.headers["location"] == f"/cases/{case_id}?done=record_filed"
    (row,) = _view(bureau, case_id).records
    assert (row.record.title, row.original.name, row.original.size_bytes) == (
        "询问笔录 <b>",
        "笔录 (终稿).pdf",
        len(PDF),
    )
    with bureau.services.objects.open_file(row.record.object_id, row.original.content_path) as stored:
        assert stored.read() == PDF
    assert "询问笔录 <b>" in words(handler.get(f"/records/{row.record.object_id}"))


@pytest.mark.parametrize(
    ("changed", "file", "field", "message"),
    [
        ({}, ("a.pdf", b"<html>no pdf</html>"), "file", "文件不是 PDF"),
        ({}, ("a.pdf", b""), "file", "请选择一个 PDF 文件"),
        ({}, ("", b""), "file", "请选择一个 PDF 文件"),
        ({"title": ""}, ("a.pdf", PDF), "title", "请填写此项"),
        ({"form": "love_letter"}, ("a.pdf", PDF), "form", "请选择一项"),
    ],
)
def test_a_record_that_cannot_be_is_refused_at_its_field(
    handler: httpx.Client,
    bureau: Bureau,
    case_id: CaseId,
    changed: dict[str, str],
    file: tuple[str, bytes],
    field: str,
    message: str,
) -> None:
    form = {"title": "笔录", "form": "other", **changed}
    answer = handler.post(f"/cases/{case_id}/records", data=form, files={"file": (*file, "application/pdf")})
    assert answer.status_code == 422
    assert message in words(answer)
    assert f'id="record-{field}-fault"' in answer.text
    assert _view(bureau, case_id).records == []


def test_a_record_that_is_too_large_is_refused_before_it_is_read(handler: httpx.Client, case_id: CaseId) -> None:
    """Only the head of the request is sent: whoever waited for the body would wait for ever."""
    connection = http.client.HTTPConnection(handler.base_url.host, handler.base_url.port, timeout=30)
    headers = {
        "Content-Length": str(MAX_RECORD_BYTES * 2),
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": f"liuhen_session={handler.cookies['liuhen_session']}",
        "Accept": "text/html",
    }
    connection.request("POST", f"/cases/{case_id}/records", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "文件最大 64 MiB" in answer.read().decode()
    connection.close()


def test_a_record_without_a_length_is_refused(handler: httpx.Client, case_id: CaseId) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = handler.post(f"/cases/{case_id}/records", headers=headers, content=iter([b"--x--\r\n"]))
    assert answer.status_code == 413


# ---- what changes by itself ----------------------------------------------------------------------------------------


def test_footage_that_is_being_prepared_is_asked_for_again(
    handler: httpx.Client, bureau: Bureau, case_id: CaseId
) -> None:
    item = bureau.items["pending"]
    assert "hx-trigger" not in handler.get(f"/cases/{case_id}/footage", headers=HTMX).text
    handler.post(f"/cases/{case_id}/links", data={"object_id": str(item), "reason": "x"})
    part = handler.get(f"/cases/{case_id}/footage", headers=HTMX)
    assert re.search(rf'hx-get="/cases/{case_id}/footage" hx-trigger="every \d+ms"', part.text)
    assert "排队中" in words(part)
    handler.post(f"/cases/{case_id}/removals", data={"object_id": str(item), "reason": "x"})


def test_the_auditor_reads_and_has_no_forms(auditor: httpx.Client, bureau: Bureau) -> None:
    page = auditor.get(f"/cases/{bureau.cases['main']}")
    assert "现场检查笔录" in words(page)
    assert re.findall(r'<form[^>]*action="(/cases[^"]*)"', page.text) == []
