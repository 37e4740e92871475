"""What is kept of officers and the legal staff: under which key, with which history, and what stays when words are erased."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, update

from archive.access.policy import Role
from archive.db.revision import VERSIONS
from archive.kernel.ids import OfficerId
from archive.ledger.entries import OPERATOR
from archive.organisation.legal_staff import LegalFacts, LegalKind, end_legal_staff, record_legal_staff
from archive.organisation.models import OfficerPhoto, StaffEvent
from archive.organisation.officers import OfficerFacts, record_officer, suspend_officer
from archive.organisation.photos import keys_of_photos, photo_of, rekey_photos, remove_photo, set_photo
from archive.organisation.records import (
    RecordFacts,
    RecordKind,
    RecordResult,
    RecordWithdrawn,
    add_record,
    hours_trained,
    withdraw_record,
)
from archive.ports.identifiers import IdentifierUnreadable
from tests.support.archive_home import ArchiveHome

FACE = b"\xff\xd8 a face \xff\xd9" * 400
TRAINING = RecordFacts(RecordKind.TRAINING, "处罚法", date(2026, 1, 2), 80)


def officer(home: ArchiveHome, number: str = "1") -> OfficerId:
    return record_officer(home.database, OfficerFacts(number, "马俊", "1"), by=OPERATOR, at=home.clock.now())


def add(home: ArchiveHome, officer_id: OfficerId, facts: RecordFacts = TRAINING, **more: Any) -> Any:
    return add_record(home.database, officer_id, facts, by=OPERATOR, at=home.clock.now(), **more)


def test_portraits_get_a_new_key_and_open_for_their_officer_only(home: ArchiveHome) -> None:
    vault, one, two = home.services.identifiers, officer(home, "1"), officer(home, "2")
    assert set_photo(home.database, vault, one, FACE, by=OPERATOR, at=home.clock.now()) is True
    assert set_photo(home.database, vault, one, FACE, by=OPERATOR, at=home.clock.now()) is False
    old = vault.key_ids[-1]
    vault.add_key()
    assert rekey_photos(home.database, vault, by=OPERATOR, clock=home.clock) == 1
    assert rekey_photos(home.database, vault, by=OPERATOR, clock=home.clock) == 0
    with home.database.read() as tx:
        assert list(keys_of_photos(tx)) == [vault.key_ids[-1]] != [old]
        assert photo_of(tx, vault, one) == FACE
    home.assert_sound()
    with home.database.begin() as tx:
        tx.execute(update(OfficerPhoto).values(officer_id=two))
    with home.database.read() as tx, pytest.raises(IdentifierUnreadable):
        photo_of(tx, vault, two)
    assert {fault.code for fault in home.faults()} >= {"fsck.unlogged", "fsck.row_missing"}


def test_the_history_of_officers_is_written_from_the_log(home: ArchiveHome) -> None:
    """The migration does so for archives from before there was any."""
    one = officer(home, "1")
    suspend_officer(home.database, one, reason="调查", by=OPERATOR, at=home.clock.now())
    officer(home, "2")
    before = home.rows("SELECT * FROM staff_event ORDER BY entry_id")
    with home.database.begin() as tx:
        tx.execute(delete(StaffEvent))
    assert len(home.faults()) == 3
    spec = importlib.util.spec_from_file_location("m0018", VERSIONS / "0018_officer_records.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with home.database.begin() as tx:
        module._fill_history(tx.connection())
    assert home.rows("SELECT * FROM staff_event ORDER BY entry_id") == before
    home.assert_sound()


def test_erased_words_are_not_asked_about_and_their_rows_still_are(home: ArchiveHome) -> None:
    vault, one = home.services.identifiers, officer(home)
    set_photo(home.database, vault, one, FACE, by=OPERATOR, at=home.clock.now())
    remove_photo(home.database, one, by=OPERATOR, at=home.clock.now())
    set_photo(home.database, vault, one, FACE, by=OPERATOR, at=home.clock.now())
    first = add(home, one)
    add(home, one, replaces=first, reason="有误")
    facts = LegalFacts("F1", "吕", LegalKind.REVIEWER, "1", date(2020, 1, 1))
    reviewer = home.person(Role.LEGAL_REVIEWER)
    staff_id = record_legal_staff(
        home.database, facts, has_account=lambda *_: True, by=reviewer.actor, at=home.clock.now()
    )
    end_legal_staff(home.database, staff_id, until=date(2026, 1, 1), reason="x", by=OPERATOR, at=home.clock.now())
    home.sequence()
    assert home.erase(lambda entry: entry["type"].startswith(("admin.officer", "admin.legal"))) >= 8
    home.sequence()
    home.assert_sound()
    home.execute("DELETE FROM officer_photo")
    home.execute("DELETE FROM legal_staff")
    assert {fault.code for fault in home.faults()} == {"fsck.row_missing"}


def test_of_two_who_correct_one_record_at_once_one_does(home: ArchiveHome) -> None:
    one = officer(home)
    first = add(home, one)

    def correct(hours: int) -> bool:
        facts = RecordFacts(RecordKind.TRAINING, "处罚法", date(2026, 1, 2), hours)
        try:
            add(home, one, facts, replaces=first, reason="有误")
        except RecordWithdrawn:
            return False
        return True

    with ThreadPoolExecutor() as pool:
        assert sorted(pool.map(correct, (10, 20))) == [False, True]
    assert home.rows("SELECT count(*), count(withdrawn_at) FROM officer_record") == [(2, 1)]
    home.assert_sound()


def test_hours_count_in_their_year_and_only_what_was_passed_and_stands(home: ArchiveHome) -> None:
    one = officer(home)
    add(home, one)
    add(home, one, RecordFacts(RecordKind.TRAINING, "a", date(2026, 1, 3), 15, result=RecordResult.PASSED))
    add(home, one, RecordFacts(RecordKind.TRAINING, "b", date(2026, 1, 4), 100, result=RecordResult.FAILED))
    add(home, one, RecordFacts(RecordKind.TRAINING, "c", date(2025, 12, 31), 100))
    add(home, one, RecordFacts(RecordKind.EXAMINATION, "d", date(2026, 1, 5), 100, result=RecordResult.PASSED))
    gone = add(home, one, RecordFacts(RecordKind.TRAINING, "e", date(2026, 1, 6), 100))
    withdraw_record(home.database, one, gone, reason="登记错人", by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        assert hours_trained(tx, [one], year=2026) == {one: 95}
        assert hours_trained(tx, [one], year=2024) == {}
