"""Subjects, numbers and merges against the log: what somebody with the database in hand might do to them."""

from datetime import datetime

import pytest
from sqlalchemy import insert, text

from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import merge_subjects, separate_subjects
from archive.cases.models import Case, Subject
from archive.cases.subjects import NewSubject, add_identifier, record_subject, update_subject
from archive.cases.terms import SubjectKind
from archive.kernel.ids import CaseId, SubjectId, new_uuid7
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry, Target
from tests.integration.fsck.test_tampering import raw
from tests.support.archive_home import ArchiveHome

RESIDENT = Identifier(IdentifierKind.RESIDENT_ID, "11010519491231002X")
PASSPORT = Identifier(IdentifierKind.PASSPORT, "EA1234567")


@pytest.fixture
def people(home: ArchiveHome) -> dict[str, SubjectId]:
    """甲 with a number and another name than at first; 乙 under 甲; 丙 under 乙; 丁 separated again."""
    vault, at = home.services.identifiers, home.clock.now
    made = {
        name: record_subject(home.database, vault, NewSubject(name, SubjectKind.PERSON), by=OPERATOR, at=at())
        for name in "甲乙丙丁"
    }
    add_identifier(home.database, vault, made["甲"], RESIDENT, by=OPERATOR, at=at())
    add_identifier(home.database, vault, made["乙"], PASSPORT, by=OPERATOR, at=at())
    update_subject(home.database, made["甲"], name="甲甲", by=OPERATOR, at=at())
    for keep, gone in ("乙丙", "甲乙", "甲丁"):
        merge_subjects(home.database, made[keep], made[gone], reason="同一人", by=OPERATOR, at=at())
    separate_subjects(home.database, made["丁"], reason="不是", by=OPERATOR, at=at())
    home.sequence()
    home.assert_sound()
    return made


CHANGES = {
    "the name of before": "UPDATE subject SET name = '甲' WHERE name = '甲甲'",
    "another name": "UPDATE subject SET name = '戊' WHERE name = '丁'",
    "another kind": "UPDATE subject SET kind = 'organisation' WHERE name = '丁'",
    "another time": "UPDATE subject SET created_at = '2020-01-01 00:00:00+00:00' WHERE name = '丁'",
    "nobody": "DELETE FROM subject WHERE name = '丁'",
    "a number less": "DELETE FROM subject_identifier WHERE kind = 'passport'",
    "another kind of number": "UPDATE subject_identifier SET kind = 'other' WHERE kind = 'passport'",
    "the number of somebody else": (
        "UPDATE subject_identifier SET subject_id = (SELECT id FROM subject WHERE name = '丁') WHERE kind = 'passport'"
    ),
    "another ciphertext": (
        "UPDATE subject_identifier SET sealed = (SELECT sealed FROM subject_identifier WHERE kind = 'resident_id') "
        "WHERE kind = 'passport'"
    ),
    "an index that finds somebody else": (
        "UPDATE subject_identifier SET last_index = (SELECT last_index FROM subject_identifier "
        "WHERE kind = 'resident_id') WHERE kind = 'passport'"
    ),
    "a merge less": "DELETE FROM subject_merge WHERE gone_id = (SELECT id FROM subject WHERE name = '丙')",
    "a merge into somebody else": (
        "UPDATE subject_merge SET keep_id = (SELECT id FROM subject WHERE name = '丁') "
        "WHERE gone_id = (SELECT id FROM subject WHERE name = '丙')"
    ),
    "a merge that leads elsewhere": (
        "UPDATE subject_merge SET root_id = keep_id WHERE gone_id = (SELECT id FROM subject WHERE name = '丙')"
    ),
    "a merge that was undone": (
        "INSERT INTO subject_merge SELECT (SELECT id FROM subject WHERE name = '丁'), keep_id, root_id, entry_id, "
        "merged_by, merged_at FROM subject_merge WHERE gone_id = (SELECT id FROM subject WHERE name = '乙')"
    ),
    "merges that lead round": (
        "UPDATE subject_merge SET keep_id = (SELECT id FROM subject WHERE name = '丙') "
        "WHERE gone_id = (SELECT id FROM subject WHERE name = '乙')"
    ),
}


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_noticed(home: ArchiveHome, what: str) -> None:
    with raw(home) as connection:
        assert connection.execute(text(CHANGES[what])).rowcount == 1
    faults = [
        fault for fault in home.faults() if fault.code in {"fsck.row_changed", "fsck.row_missing", "fsck.unlogged"}
    ]
    assert faults
    assert all(fault.where for fault in faults)


def test_a_subject_that_nobody_recorded_is_noticed(home: ArchiveHome, people: dict[str, SubjectId]) -> None:
    stranger = new_uuid7()
    with home.database.begin() as tx:
        tx.execute(insert(Subject).values(id=stranger, kind="person", name="戊", created_at=home.clock.now()))
    assert [(fault.code, fault.where) for fault in home.faults()] == [("fsck.unlogged", str(stranger))]


def open_as_before(home: ArchiveHome, number: str, subject_id: SubjectId, at: datetime, *, name: str) -> CaseId:
    """Open a case as the first version did: its entry is the only one that names the subject."""
    case_id = CaseId(new_uuid7())
    with home.database.begin() as tx:
        known = tx.get(Subject, subject_id)
        if known is None:
            tx.execute(insert(Subject).values(id=subject_id, kind="organisation", name=name, created_at=at))
        values = {"number": number, "title": "案", "category": "penalty"}
        tx.execute(
            insert(Case).values(id=case_id, subject_id=subject_id, opened_at=at, opened_by=OPERATOR.id, **values)
        )
        detail = {**values, "subject": str(subject_id), "subject_kind": "organisation", "subject_name": name}
        append_entry(
            tx, NewEntry(EntryType.CASE_OPENED, OPERATOR, Target("case", case_id), case=case_id, detail=detail), at=at
        )
    return case_id


def test_a_subject_from_before_is_told_by_its_first_case(home: ArchiveHome) -> None:
    subject_id = SubjectId(new_uuid7())
    open_as_before(home, "1", subject_id, home.clock.now(), name="老店")
    open_as_before(home, "2", subject_id, home.clock.now(), name="老店")
    home.sequence()
    home.assert_sound()
    home.execute("UPDATE subject SET name = '新店'")
    assert [fault.code for fault in home.faults()] == ["fsck.row_changed"]
    home.execute("UPDATE subject SET name = '老店'")
    update_subject(home.database, subject_id, name="新店", by=OPERATOR, at=home.clock.now())
    number = Identifier(IdentifierKind.CREDIT_CODE, "91350100M000100Y43")
    vault = home.services.identifiers
    add_identifier(home.database, vault, subject_id, number, by=OPERATOR, at=home.clock.now())
    home.sequence()
    home.assert_sound()
    home.execute("UPDATE subject SET name = '老店'")
    assert [fault.code for fault in home.faults()] == ["fsck.row_changed"]
    with raw(home) as connection:
        connection.execute(text("DELETE FROM subject_identifier"))
        connection.execute(text("DELETE FROM subject"))
    assert "fsck.row_missing" in {fault.code for fault in home.faults()}


def test_what_was_erased_is_not_asked_about(home: ArchiveHome, people: dict[str, SubjectId]) -> None:
    open_as_before(home, "1", SubjectId(new_uuid7()), home.clock.now(), name="老店")
    home.sequence()
    assert home.erase(lambda entry: entry["type"].startswith(("subject.", "case.")))
    home.assert_sound()
    home.execute("UPDATE subject SET name = 'x'")
    home.assert_sound()
    home.execute("UPDATE subject_merge SET merged_by = :id", id=home.id_value(new_uuid7()))
    assert {fault.code for fault in home.faults()} == {"fsck.row_changed"}
