"""Pages of case files and of the ledger: from the papers of a case to a closed volume and its files."""

import csv
import io
import json
import re
from collections.abc import Mapping
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, RecordForm, SubjectKind
from archive.custody.models import AccessRecord
from archive.kernel.ids import CaseId, new_uuid7
from archive.ledger.models import LogDetail
from archive.volumes.models import Volume, VolumePlace
from tests.integration.web.conftest import HTMX, words
from tests.support.case_files import give_seal, scan
from tests.support.retrievals import make_secret
from tests.support.seed import Bureau

TITLE = "决定书 <b>一</b>"


def new_case(bureau: Bureau, number: str) -> CaseId:
    """Open a case of an agency that has a seal."""
    services = bureau.services
    give_seal(services)
    return open_case(
        services.database, services.identifiers, number=number, title="占道 <i>经营</i>案",
        category=Category.PENALTY, subject=NewSubject("某店", SubjectKind.ORGANISATION),
        by=bureau.people[Role.CASE_HANDLER], at=bureau.now(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def case_id(bureau: Bureau) -> CaseId:
    """A case with two papers, of an agency that has a seal."""
    services, made = bureau.services, new_case(bureau, "官综执罚〔2026〕第401号")
    scan(services, made, RecordForm.FILING_FORM, "立案审批表", pages=2)
    scan(services, made, RecordForm.PENALTY_DECISION, TITLE, pages=3)
    return made


def paper(bureau: Bureau, case_id: CaseId, page: httpx.Response, title: str) -> str:
    found = re.search(rf'<option value="([0-9a-f-]+)">\d+ {title}', page.text)
    assert found is not None
    return found[1]


def taken_along(bureau: Bureau, volume_id: UUID) -> list[tuple[str, UUID]]:
    """What the log tells of files of a volume that were taken along: which one, by whom."""
    query = select(AccessRecord.actor_id, LogDetail.detail).join(LogDetail, LogDetail.entry_id == AccessRecord.entry_id)
    with bureau.services.database.read() as tx:
        rows = tx.execute(query.where(AccessRecord.type == "access.list_exported").order_by(AccessRecord.at)).all()
    told = [(json.loads(detail), actor_id) for actor_id, detail in rows]
    return [(detail["file"], actor_id) for detail, actor_id in told if detail.get("volume") == str(volume_id)]


def test_from_papers_to_a_closed_volume(
    bureau: Bureau, handler: httpx.Client, auditor: httpx.Client, case_id: CaseId
) -> None:
    address = f"/cases/{case_id}/file"
    assert address in handler.get(f"/cases/{case_id}").text
    page = handler.get(address)
    assert page.status_code == 200, page.text
    assert "案件未结案" in words(page)
    assert "<b>一</b>" not in page.text
    assert "close-main" not in page.text
    for fields, status in ({"kind": "main", "inspector": "赵六"}, 422), ({"kind": "x"}, 422):
        assert handler.post(f"{address}/volumes", data=fields).status_code == status
    for on in ("", "x", "1999-01-01", "2999-01-01"):
        assert handler.post(f"{address}/case", data={"on": on}).status_code == 422
    today = local_day(bureau.now()).isoformat()
    assert handler.post(f"{address}/case", data={"on": today}).headers["location"] == f"{address}?done=case_closed"
    assert handler.post(f"{address}/case", data={"on": today}).status_code == 422
    moved = {
        "kind": "main",
        "object_id": paper(bureau, case_id, page, "立案审批表"),
        "move": "down",
        "reason": "便于 <u>查阅</u>",
    }
    for wrong in ({"object_id": str(new_uuid7())}, {"object_id": "x"}, {"move": "up"}, {"move": ""}, {"reason": " "}):
        assert handler.post(f"{address}/places", data={**moved, **wrong}).status_code == 422, wrong
    assert handler.post(f"{address}/places", data=moved).status_code == 303
    page = handler.get(address)
    assert "便于 <u>查阅</u>" in words(page)
    assert words(page).index("决定书") < words(page).index("立案审批表")
    assert handler.post(f"{address}/openings", data={"kind": "main", "reason": "x"}).status_code == 422
    for wrong in ({"inspector": " "}, {"inspector": "a\0"}, {"remarks": "x" * 1001}):
        answer = handler.post(f"{address}/volumes", data={"kind": "main", "inspector": "赵六", "remarks": "", **wrong})
        assert answer.status_code == 422, wrong
    answer = handler.post(f"{address}/volumes", data={"kind": "main", "inspector": "赵六", "remarks": "齐全\r\n无缺"})
    assert answer.headers["location"] == f"{address}?done=volume_closed"
    with bureau.services.database.read() as tx:
        volume = tx.scalars(select(Volume).where(Volume.case_id == case_id)).one()
        assert tx.scalars(select(VolumePlace.reason).where(VolumePlace.case_id == case_id)).all() == [
            "便于 <u>查阅</u>"
        ]
    page = auditor.get(address)
    assert str(volume.file_number) in words(page)
    files = f"{address}/volumes/{volume.id}"
    index = json.loads(auditor.get(f"{files}/index.json").content)
    assert [line["title"] for line in index["lines"]] == [TITLE, "立案审批表"]
    for name in ("cover.pdf", "catalogue.pdf", "remarks.pdf", "index.p7s", "index.seal.p7s"):
        answer = auditor.get(f"{files}/{name}")
        assert (answer.status_code, answer.headers["content-disposition"].partition(";")[0]) == (200, "attachment")
    taken = [name for name, who in taken_along(bureau, volume.id) if who == bureau.people[Role.AUDITOR].id]
    assert taken == ["index.json", "cover.pdf", "catalogue.pdf", "remarks.pdf", "index.p7s", "index.seal.p7s"]
    for wrong in (f"{files}/metadata", f"{files}/check-1.pdf", f"{address}/volumes/{new_uuid7()}/index.json"):
        assert auditor.get(wrong).status_code == 404, wrong
    other = f"/cases/{bureau.cases['main']}/file/volumes/{volume.id}"
    assert auditor.get(f"{other}/index.json").status_code == 404
    assert handler.post(f"{other}/checks").status_code == 404
    removal = {"object_id": moved["object_id"], "reason": "x"}
    assert handler.post(f"/cases/{case_id}/removals", data=removal).status_code == 422
    assert auditor.post(f"{files}/checks").status_code == 303
    assert "正在检测" in words(auditor.get(address))
    scan(bureau.services, case_id, RecordForm.SERVICE_RECEIPT, "送达回证")
    page = handler.get(address)
    assert "请先续立下一卷" in words(page)
    assert handler.post(f"{address}/openings", data={"kind": "main", "reason": " "}).status_code == 422
    assert handler.post(f"{address}/openings", data={"kind": "main", "reason": "补充送达"}).status_code == 303
    assert "第 2 卷" in words(handler.get(address))


def test_the_ledger_and_its_file(bureau: Bureau, supervisor: httpx.Client, case_id: CaseId) -> None:
    for query in ("", "?which=filed", "?which=late", "?which=x&unit=x&since=x&until=9999-12-31", "?since=2026-01-01"):
        assert supervisor.get(f"/ledger{query}").status_code == 200, query
    assert "占道 <i>经营</i>案" in words(supervisor.get("/ledger"))
    assert "占道" not in words(supervisor.get("/ledger?until=2001-01-01"))
    assert supervisor.get("/ledger?cursor=x", headers=HTMX).status_code == 400
    answer = supervisor.post("/ledger/lists", data={"which": "all"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][0] == "案号"
    assert "官综执罚〔2026〕第401号" in {row[0] for row in rows}


def test_who_does_not_see_each_paper_takes_along_nothing_that_names_them(
    bureau: Bureau, handler: httpx.Client, browsers: Mapping[Role | None, httpx.Client]
) -> None:
    made = new_case(bureau, "官综执罚〔2026〕第402号")
    bureau.items["bound"] = scan(bureau.services, made, RecordForm.PENALTY_DECISION, TITLE, pages=1)
    address, today = f"/cases/{made}/file", local_day(bureau.now()).isoformat()
    assert handler.post(f"{address}/case", data={"on": today}).status_code == 303
    closing = {"kind": "main", "inspector": "赵六", "remarks": ""}
    assert handler.post(f"{address}/volumes", data=closing).status_code == 303
    with bureau.services.database.read() as tx:
        volume = tx.scalars(select(Volume).where(Volume.case_id == made)).one()
    reviewer = browsers[Role.LEGAL_REVIEWER]
    assert f"{volume.id}/index.json" in reviewer.get(address).text
    make_secret(bureau, "bound")
    page = reviewer.get(address)
    assert "受限材料" in words(page)
    assert "目录不提供下载" in words(page)
    before = taken_along(bureau, volume.id)
    for name in ("index.json", "catalogue.pdf", "cover.pdf"):
        assert f"{volume.id}/{name}" not in page.text
        assert reviewer.get(f"{address}/volumes/{volume.id}/{name}").status_code == 404
    assert taken_along(bureau, volume.id) == before
    assert handler.get(f"{address}/volumes/{volume.id}/index.json").status_code == 200
