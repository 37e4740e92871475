"""Pages of complaints and reports: registering, handling, who complained, taking the list away."""

import csv
import io
import re

import httpx
import pytest

from archive.access.models import Clearance
from archive.access.policy import Role
from archive.db.base import insert_row
from archive.kernel.ids import OfficerId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.officers import OfficerFacts, record_officer
from tests.integration.web.conftest import HTMX, words
from tests.support.seed import Bureau, timedelta

FILLED = {
    "kind": "complaint", "channel": "hotline", "received_at": "2026-03-01T09:30:00", "unit_id": str(FIRST_UNIT),
    "says": "第一行\r\n<b>第二行</b>", "name": "王小明", "contact": "13900001234",
}  # fmt: skip


def register(client: httpx.Client, **fields: str) -> str:
    answer = client.post("/complaints", data={**FILLED, **fields})
    assert answer.status_code == 303, words(answer)
    assert answer.headers["location"].endswith("?done=complaint_registered")
    return answer.headers["location"].partition("?")[0]


def officer(bureau: Bureau, number: str) -> OfficerId:
    facts = OfficerFacts(number, "被举报人", "官渡区综合行政执法局")
    return record_officer(bureau.services.database, facts, by=OPERATOR, at=bureau.now())


def types(bureau: Bureau) -> list[str]:
    from sqlalchemy import text

    with bureau.services.database.read() as tx:
        rows = tx.execute(text("SELECT body FROM log_entry ORDER BY id"))
        return re.findall(r'"type":"([a-z_.]+)"', " ".join(bytes(body).decode() for (body,) in rows))


def test_a_complaint_is_registered_and_shown(supervisor: httpx.Client) -> None:
    page = supervisor.get(register(supervisor))
    assert "王**" in words(page)
    assert "王小明" not in page.text
    assert "13900001234" not in page.text
    assert "<b>第二行</b>" not in page.text
    assert "自然日" in words(page)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "x"}, {"channel": ""}, {"received_at": "2999-01-01T00:00:00"}, {"received_at": "x"}, {"says": " "},
        {"says": "a\0b"}, {"unit_id": str(new_uuid7())}, {"unit_id": "x"}, {"name": "x" * 101}, {"case_number": "no such"},
        {"certificate": "no such"}, {"certificate": "x" * 65},
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_written(
    supervisor: httpx.Client, bureau: Bureau, fields: dict[str, str]
) -> None:
    before = len(types(bureau))
    answer = supervisor.post("/complaints", data={**FILLED, **fields})
    assert answer.status_code == 422
    assert 'class="fault"' in answer.text
    assert len(types(bureau)) == before


def test_a_report_is_not_shown_to_who_is_not_cleared(supervisor: httpx.Client, bureau: Bureau) -> None:
    answer = supervisor.post("/complaints", data={**FILLED, "kind": "report", "says": "举报内容甲"})
    assert answer.headers["location"] == "/complaints?done=complaint_registered_unseen"
    assert "举〔" not in supervisor.get("/complaints?which=all").text
    with bureau.services.database.begin() as tx:
        insert_row(
            tx, Clearance, id=new_uuid7(), account_id=bureau.people[Role.SUPERVISOR].id, restricted_class="informant",
            reason="x", granted_at=bureau.now(), until=bureau.now() + timedelta(seconds=30),
        )  # fmt: skip
    assert "举〔" in supervisor.get("/complaints?which=all").text


def test_handling_goes_on_step_by_step(supervisor: httpx.Client, bureau: Bureau) -> None:
    path = register(supervisor)
    assert supervisor.post(f"{path}/steps", data={"step": "answered", "text": "x"}).status_code == 422
    assert supervisor.post(f"{path}/steps", data={"step": "nonsense", "text": "x"}).status_code == 422
    for step in ("note", "accepted", "investigated", "answered", "closed"):
        answer = supervisor.post(f"{path}/steps", data={"step": step, "text": f"说明{step}"})
        assert answer.status_code == 303
    page = words(supervisor.get(path))
    assert "说明investigated" in page
    assert "已办结" in page
    account = str(bureau.people[Role.SUPERVISOR].id)
    assert supervisor.post(f"{path}/responsible", data={"account_id": account}).status_code == 422


def test_somebody_is_made_responsible(supervisor: httpx.Client, bureau: Bureau) -> None:
    path = register(supervisor)
    for wrong in (str(bureau.people[Role.AUDITOR].id), "x", str(new_uuid7())):
        assert supervisor.post(f"{path}/responsible", data={"account_id": wrong}).status_code == 422
    account = str(bureau.people[Role.SUPERVISOR].id)
    assert supervisor.post(f"{path}/responsible", data={"account_id": account}).status_code == 303
    assert "陈立群" in words(supervisor.get("/complaints"))


def test_a_complainant_is_shown_for_a_purpose(supervisor: httpx.Client, bureau: Bureau) -> None:
    path = register(supervisor)
    assert supervisor.post(f"{path}/sight", data={"purpose": ""}).status_code == 422
    before = types(bureau).count("access.identifier")
    assert "王小明" in words(supervisor.post(f"{path}/sight", data={"purpose": "电话答复"}))
    assert types(bureau).count("access.identifier") == before + 1
    assert "王小明" not in supervisor.get(path).text


def test_links_are_made_and_taken_back(supervisor: httpx.Client, bureau: Bureau) -> None:
    path = register(supervisor)
    item, number = bureau.items["video"], "官综执罚〔2026〕第031号"
    officer_id = officer(bureau, "530111777")
    for what, which in (
        ("case", number),
        ("officer", "530111777"),
        ("object", f"https://archive.example/items/{item}"),
    ):
        fields = {"what": what, "number": which, "reason": "有关"}
        assert supervisor.post(f"{path}/links", data=fields).status_code == 303
        assert supervisor.post(f"{path}/links", data=fields).status_code == 422
        assert supervisor.post(f"{path}/links", data={**fields, "number": "nothing"}).status_code == 422
    assert supervisor.post(f"{path}/links", data={"what": "x", "number": "y", "reason": "z"}).status_code == 422
    case_id = bureau.cases["main"]
    for address in (f"/complaints?case={case_id}", f"/complaints?object={item}"):
        assert path.rpartition("/")[2] in supervisor.get(address).text
    for link in (f"case-{case_id}", f"officer-{officer_id}", f"object-{item}"):
        assert supervisor.post(f"{path}/removals", data={"link": link, "reason": "有误"}).status_code == 303
    assert supervisor.post(f"{path}/removals", data={"link": f"case-{case_id}", "reason": "x"}).status_code == 404
    assert supervisor.post(f"{path}/removals", data={"link": "case-x", "reason": "x"}).status_code == 422


def test_case_and_item_lead_to_their_complaints(
    supervisor: httpx.Client, handler: httpx.Client, bureau: Bureau
) -> None:
    for path, link in (
        (f"/cases/{bureau.cases['main']}", f"/complaints?case={bureau.cases['main']}"),
        (f"/items/{bureau.items['video']}", f"/complaints?object={bureau.items['video']}"),
        (f"/records/{bureau.records['inspection']}", f"/complaints?object={bureau.records['inspection']}"),
    ):
        assert link in supervisor.get(path).text
        assert "/complaints" not in handler.get(path).text
        assert supervisor.get(link).status_code == 200
    for wrong in ("case=x", f"case={new_uuid7()}", f"object={new_uuid7()}"):
        assert supervisor.get(f"/complaints?{wrong}").status_code == 404


def test_the_list_goes_on_and_filters(supervisor: httpx.Client) -> None:
    for _ in range(52):
        register(supervisor)
    page = supervisor.get("/complaints?which=registered").text
    more = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = supervisor.get(more, headers=HTMX)
    assert "<html" not in rest.text
    assert rest.text.count("row-link") >= 2
    assert supervisor.get("/complaints?which=nonsense").status_code == 200
    assert supervisor.get("/complaints?cursor=x").status_code == 400
    assert "投〔" in supervisor.get("/complaints?which=overdue").text


def test_the_list_is_taken_away_and_no_cell_is_a_formula(
    supervisor: httpx.Client, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(supervisor)
    before = types(bureau).count("access.list_exported")
    answer = supervisor.post("/complaints/lists", data={"which": "all"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert types(bureau).count("access.list_exported") == before + 1
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][0] == "编号"
    assert all(len(row) == len(rows[0]) for row in rows)
    assert "王小明" not in answer.text
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)


def test_of_whom_it_is_about_nothing_is_shown(handler: httpx.Client, supervisor: httpx.Client, bureau: Bureau) -> None:
    officer(bureau, "530111888")
    path = register(supervisor, certificate="530111888", says="内容乙")
    from sqlalchemy import text

    with bureau.services.database.begin() as tx:
        tx.execute(
            text("UPDATE account SET officer_id = (SELECT id FROM officer WHERE certificate_number = '530111888') WHERE username = 'supervisor'")
        )  # fmt: skip
    try:
        page = supervisor.get(path)
        assert "涉及您本人" in words(page)
        for hidden in ("内容乙", "王**", "/steps", "/sight"):
            assert hidden not in page.text
        answer = supervisor.post(f"{path}/sight", data={"purpose": "x"})
        assert answer.status_code == 403
        assert supervisor.post("/complaints", data={**FILLED, "certificate": "530111888"}).status_code == 422
    finally:
        with bureau.services.database.begin() as tx:
            tx.execute(text("UPDATE account SET officer_id = NULL WHERE username = 'supervisor'"))
