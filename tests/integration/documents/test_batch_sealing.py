"""Several records are sealed under one approval: each as it was looked at, and none that changed meanwhile."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.batch_sealing import ApprovalEmpty, approve_sealing, seal_approved
from archive.documents.desk import pdfs_of
from archive.documents.drafts import DraftNotFound, DraftState, draft
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DraftId, new_uuid7
from archive.ledger.models import LogDetail, LogEntry
from tests.support import seed, seed_records
from tests.support.archive_home import ArchiveHome, clock, dock, home
from tests.support.seed import Bureau

__all__ = ["clock", "dock", "home"]


@pytest.fixture
def bureau(home: ArchiveHome) -> Bureau:
    made = Bureau(home.services)
    for role in (Role.CASE_HANDLER, Role.UNIT_HEAD):
        made.people[role] = home.person(role).actor
    made.cases["main"] = home.case("1")
    seed_records.make_signers(made)
    return made


def _waiting(bureau: Bureau, count: int) -> dict[DraftId, str]:
    """Records that only the seal is missing from, each with the digest of what there is to look at."""
    ids = [
        seed_records.set_record(
            bureau, seed_records.begin(bureau, bureau.cases["main"], "advance_notice", f"告知书 {at}")
        )
        for at in range(count)
    ]
    with bureau.services.database.read() as tx:
        return {draft_id: pdfs_of(tx, draft_id)[-1].sha256 for draft_id in ids}


def _entries(bureau: Bureau, kind: str) -> list[dict[str, Any]]:
    with bureau.services.database.read() as tx:
        rows = tx.execute(
            select(LogEntry.body, LogEntry.id, LogDetail.detail)
            .join(LogDetail, LogDetail.entry_id == LogEntry.id)
            .order_by(LogEntry.id)
        ).all()
    told = [
        json.loads(body) | {"detail": json.loads(detail), "entry": str(entry_id)} for body, entry_id, detail in rows
    ]
    return [each for each in told if each["type"] == kind]


def test_each_seal_names_the_approval_and_the_approval_names_what_was_looked_at(bureau: Bureau) -> None:
    chosen, head = _waiting(bureau, 3), bureau.people[Role.UNIT_HEAD]
    approval = approve_sealing(bureau.services.database, chosen, approval="局务会纪要", by=head, at=bureau.now())
    outcomes = seal_approved(bureau.services.seals, approval, chosen, by=head)
    assert [(each.completes, each.cause) for each in outcomes] == [(True, None)] * 3
    told = _entries(bureau, "record.sealing_approved")
    assert told[0]["detail"] == {
        "approval": "局务会纪要",
        "records": [{"id": str(draft_id), "sha256": sha256} for draft_id, sha256 in chosen.items()],
    }
    sealed = _entries(bureau, "record.sealed")
    assert {each["detail"]["approval"] for each in sealed} == {told[0]["entry"]}
    seed.work(bureau)
    with bureau.services.database.read() as tx:
        assert {draft(tx, draft_id).state for draft_id in chosen} == {DraftState.FILED.value}


def test_what_is_another_than_was_looked_at_is_not_sealed_and_keeps_nobody_else_from_it(bureau: Bureau) -> None:
    chosen, head = _waiting(bureau, 2), bureau.people[Role.UNIT_HEAD]
    first = next(iter(chosen))
    chosen[first] = "0" * 64
    approval = approve_sealing(bureau.services.database, chosen, approval="x", by=head, at=bureau.now())
    outcomes = {each.draft_id: each for each in seal_approved(bureau.services.seals, approval, chosen, by=head)}
    assert outcomes[first].cause is not None
    assert [each.completes for each in outcomes.values()] == [False, True]
    assert len(_entries(bureau, "record.sealed")) == 1


def test_a_second_round_under_the_same_approval_seals_nothing_twice(bureau: Bureau) -> None:
    chosen, head = _waiting(bureau, 1), bureau.people[Role.UNIT_HEAD]
    approval = approve_sealing(bureau.services.database, chosen, approval="x", by=head, at=bureau.now())
    assert seal_approved(bureau.services.seals, approval, chosen, by=head)[0].completes
    assert seal_approved(bureau.services.seals, approval, chosen, by=head)[0].cause is not None
    assert len(_entries(bureau, "record.sealed")) == 1


def test_an_approval_says_something_about_records_that_are_there(bureau: Bureau) -> None:
    head, database = bureau.people[Role.UNIT_HEAD], bureau.services.database
    with pytest.raises(ApprovalEmpty):
        approve_sealing(database, {}, approval="x", by=head, at=bureau.now())
    with pytest.raises(DraftNotFound):
        approve_sealing(database, {DraftId(new_uuid7()): "0" * 64}, approval="x", by=head, at=bureau.now())
    with pytest.raises(InvalidInput):
        approve_sealing(database, _waiting(bureau, 1), approval=" ", by=head, at=bureau.now())
    assert _entries(bureau, "record.sealing_approved") == []


def test_a_guard_that_says_no_keeps_one_record_back(bureau: Bureau) -> None:
    chosen, head = _waiting(bureau, 2), bureau.people[Role.UNIT_HEAD]
    barred = next(iter(chosen))

    class Barring:
        def require_may_seal(self, tx: object, draft_id: DraftId, **_: object) -> None:
            if draft_id == barred:
                raise InvalidInput("legal review comes first")

    room = bureau.services.seals.room
    desk = replace(room.desk, seal_guards=[Barring()])
    guarded = replace(bureau.services.seals, room=replace(room, desk=desk))
    approval = approve_sealing(bureau.services.database, chosen, approval="x", by=head, at=bureau.now())
    outcomes = seal_approved(guarded, approval, chosen, by=head)
    assert [str(each.cause or "") for each in outcomes] == ["legal review comes first", ""]
