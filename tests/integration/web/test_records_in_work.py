"""Text records in work, seen by who may see content: each look and each copy is told, and no other paper is sealed."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.documents.desk import pdfs_of
from archive.documents.drafts import DraftState, draft
from archive.documents.signatures import signing_of
from archive.fsck.accesses import check_accesses
from archive.kernel.findings import Outcome
from archive.kernel.ids import CaseId, DraftId, ObjectId
from archive.ledger.models import LogDetail, LogEntry
from tests.integration.web.conftest import words
from tests.support.retrievals import make_secret
from tests.support.seed import Bureau
from tests.support.seed_records import begin, make_signers, seal, set_record


@pytest.fixture(scope="module")
def case_id(bureau: Bureau) -> CaseId:
    """A case of an agency that has a seal."""
    make_signers(bureau)
    return open_case(
        bureau.services.database, bureau.services.identifiers, number="官综执罚〔2026〕第501号", title="在办文书案",
        category=Category.PENALTY, subject=NewSubject("某店", SubjectKind.ORGANISATION),
        by=bureau.people[Role.CASE_HANDLER], at=bureau.now(),
    )  # fmt: skip


def looks(bureau: Bureau, draft_id: DraftId) -> list[tuple[str, Role]]:
    """What the log tells of a record in work: which access, by whom."""
    query = select(LogEntry.body, LogDetail.detail).join(LogDetail, LogDetail.entry_id == LogEntry.id)
    with bureau.services.database.read() as tx:
        rows = tx.execute(query.order_by(LogEntry.id)).all()
    told = [(json.loads(body), json.loads(detail)) for body, detail in rows]
    roles = {str(actor.id): role for role, actor in bureau.people.items()}
    return [
        (body["type"], roles[body["actor"]])
        for body, detail in told
        if body["type"].startswith("access.draft") and detail == {"record": str(draft_id)}
    ]


def test_a_draft_is_content_and_each_person_who_opens_it_is_told_once(
    bureau: Bureau, handler: httpx.Client, supervisor: httpx.Client, auditor: httpx.Client, case_id: CaseId
) -> None:
    draft_id = begin(bureau, case_id, "questioning_record", "询问笔录甲")
    address = f"/drafts/{draft_id}"
    assert looks(bureau, draft_id) == []
    for page in (address, f"{address}/preview/1", address):
        assert handler.get(page).status_code == 200, page
    assert looks(bureau, draft_id) == [("access.draft", Role.CASE_HANDLER)]
    assert supervisor.get(f"{address}/preview/1").status_code == 200
    seen = [("access.draft", Role.CASE_HANDLER), ("access.draft", Role.SUPERVISOR)]
    assert looks(bureau, draft_id) == seen
    for page in (address, f"{address}/preview/1", f"{address}/pages/1", f"{address}/record.pdf"):
        assert auditor.get(page).status_code == 404, page
    assert looks(bureau, draft_id) == seen
    page = auditor.get(f"/cases/{case_id}")
    assert "询问笔录甲" in words(page)
    assert address not in page.text
    assert address in handler.get(f"/cases/{case_id}").text
    assert {"打开在办文书", "官综执罚〔2026〕第501号"} <= set(words(auditor.get("/trace?which=accesses")).split())


def test_a_set_paper_that_is_taken_along_is_in_the_register_of_copies(
    bureau: Bureau, handler: httpx.Client, auditor: httpx.Client, case_id: CaseId
) -> None:
    draft_id = set_record(bureau, begin(bureau, case_id, "advance_notice", "告知书甲"))
    for _ in range(2):
        assert handler.get(f"/drafts/{draft_id}/pages/1").status_code == 200
        assert handler.get(f"/drafts/{draft_id}/record.pdf").content.startswith(b"%PDF")
    copied = ("access.draft_copied", Role.CASE_HANDLER)
    assert looks(bureau, draft_id) == [("access.draft", Role.CASE_HANDLER), copied, copied]
    assert "带走在办文书" in words(auditor.get("/trace?which=copies"))
    with bureau.services.database.read() as tx:
        found = list(check_accesses(tx.connection()))
    assert [each for each in found if each.outcome is not Outcome.VALID] == []


def test_only_the_paper_that_was_shown_is_sealed(
    bureau: Bureau, browsers: Mapping[Role | None, httpx.Client], case_id: CaseId
) -> None:
    head = browsers[Role.UNIT_HEAD]
    draft_id = set_record(bureau, begin(bureau, case_id, "advance_notice", "告知书乙"))
    with bureau.services.database.read() as tx:
        shown, place = pdfs_of(tx, draft_id)[-1].sha256, signing_of(tx, draft_id).due[0].place
    assert shown in head.get(f"/drafts/{draft_id}").text
    for other in ({"sha256": ""}, {"sha256": "0" * 64}, {"x": shown}):
        answer = head.post(f"/drafts/{draft_id}/seals/{place}", data=other)
        assert answer.status_code == 422, other
        assert "他人刚刚签过" in words(answer)
    with bureau.services.database.read() as tx:
        assert len(pdfs_of(tx, draft_id)) == 1
    assert head.post(f"/drafts/{draft_id}/seals/{place}", data={"sha256": shown}).status_code == 303
    with bureau.services.database.read() as tx:
        assert draft(tx, draft_id).state == DraftState.FILED.value


def test_an_amendment_begins_with_a_record_that_is_open_to_whoever_amends_it(
    bureau: Bureau, handler: httpx.Client, case_id: CaseId
) -> None:
    record_id = seal(bureau, set_record(bureau, begin(bureau, case_id, "advance_notice", "告知书丙")))
    told: dict[str, Any] = {"amends": str(record_id), "reason": "笔误"}
    answer = handler.post(f"/cases/{case_id}/drafts", data=told)
    assert answer.headers["location"].startswith("/drafts/")
    bureau.items["告知书丙"] = ObjectId(record_id)
    make_secret(bureau, "告知书丙")
    answer = handler.post(f"/cases/{case_id}/drafts", data=told)
    assert answer.status_code == 422
    assert "请先申请调阅" in words(answer)
