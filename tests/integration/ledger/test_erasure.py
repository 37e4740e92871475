"""Erasing one detail: what goes, what stays, what is on record, and what a kill in between leaves."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from archive.cli.main import run
from archive.kernel.ids import EntryId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.erasure import (
    EntryUnknown,
    ErasedBefore,
    ErasureUnexplained,
    NotErasable,
    NotInJournalYet,
    erase_detail,
    find_entry,
    finish_erasures,
)
from archive.ledger.journal import State
from archive.ledger.models import LogEntry
from archive.ledger.proofs import inclusion
from archive.ledger.restoring import read_details, restore_details
from archive.ports.blobs import StoreUnavailable
from archive.wiring import Services
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, make_home

SECRET = "李四 13800000000"


def write(home: ArchiveHome, word: str) -> EntryId:
    with home.database.begin() as tx:
        return append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"t": word}), at=home.clock.now())


def erase(services: Services, entry_id: EntryId, **given: str) -> EntryId:
    return erase_detail(
        services.database,
        services.journal,
        entry_id,
        **{"reason": "wrong person", "authority": "局长办公会 2026-11", **given},
        by=OPERATOR,
        at=services.clock.now(),
    )


def erase_in_child(services: Services, entry_id: EntryId) -> None:
    with contextlib.suppress(ErasedBefore):
        erase(services, entry_id)


def states(home: ArchiveHome) -> list[State]:
    return [found.state for found in read_details(home.database, home.services.journal)]


@pytest.fixture
def secret(home: ArchiveHome) -> EntryId:
    """An entry with a detail that is to go, at index 1."""
    write(home, "before")
    found = write(home, SECRET)
    write(home, "after")
    home.sequence()
    return found


def test_the_detail_goes_and_the_entry_with_its_proof_stays(home: ArchiveHome, secret: EntryId) -> None:
    told_by = erase(home.services, secret)
    assert home.count("log_detail", "entry_id = :id", id=home.id_value(secret)) == 0
    assert states(home) == [State.KEPT, State.ERASED, State.KEPT]
    home.assert_sound()
    home.sequence()
    home.assert_sound()
    with home.database.read() as tx:
        proof = inclusion(tx, secret)
        assert proof is not None
        assert proof.verify(tx.get_one(LogEntry, secret).body, trust=home.services.trust).outcome == "valid"
    told = next(entry for entry in home.entries() if entry["id"] == str(told_by))
    assert (told["type"], told["obj"]) == ("detail.erased", {"kind": "entry", "id": str(secret), "ver": str(secret)})
    assert "wrong person" not in json.dumps(told)
    (detail,) = home.rows("SELECT detail FROM log_detail WHERE entry_id = :id", id=home.id_value(told_by))
    assert json.loads(bytes(detail[0])) == {
        "type": "admin.init", "reason": "wrong person", "authority": "局长办公会 2026-11", "rest": {},
    }  # fmt: skip


def test_no_file_of_the_archive_holds_it_any_more(home: ArchiveHome, secret: EntryId) -> None:
    salt = bytes(home.rows("SELECT salt FROM log_detail WHERE entry_id = :id", id=home.id_value(secret))[0][0])
    places = [home.path, Path(str(home.database.url.database)).parent] if home.database.is_sqlite else [home.path]

    def found() -> set[str]:
        return {
            path.name
            for place in places
            for path in place.rglob("*")
            if path.is_file() and any(needle in path.read_bytes() for needle in (SECRET.encode(), salt))
        }

    assert found() or not home.database.is_sqlite
    erase(home.services, secret)
    assert found() == set()


def test_the_entry_of_a_case_is_told_with_its_case(home: ArchiveHome) -> None:
    case_id = home.case()
    assert home.erase(lambda entry: entry["type"] == "case.opened") == 1
    told = [entry for entry in home.entries() if entry["type"] == "detail.erased"]
    assert [(entry["case"], entry["obj"]["id"]) for entry in told] == [(str(case_id), str(case_id))]


@pytest.mark.parametrize("given", [{"reason": " "}, {"authority": ""}, {"reason": "x" * 2001}])
def test_nothing_goes_without_reason_and_authority(home: ArchiveHome, secret: EntryId, given: dict[str, str]) -> None:
    with pytest.raises(ErasureUnexplained):
        erase(home.services, secret, **given)
    assert states(home) == [State.KEPT] * 3


def test_it_is_refused_where_it_cannot_be_whole(home: ArchiveHome, secret: EntryId) -> None:
    waiting = write(home, "waits")
    with pytest.raises(NotInJournalYet):
        erase(home.services, waiting)
    told_by = erase(home.services, secret)
    with pytest.raises(ErasedBefore):
        erase(home.services, secret)
    home.sequence()
    with pytest.raises(NotErasable):
        erase(home.services, told_by)
    with home.database.read() as tx:
        for which in ("99", "01900000-0000-7000-8000-000000000000"):
            with pytest.raises(EntryUnknown):
                find_entry(tx, which)
        assert find_entry(tx, "1") == find_entry(tx, str(secret)) == secret
    assert home.types().count("detail.erased") == 1
    home.assert_sound()


def test_the_database_lets_a_detail_go_only_with_an_erasure(home: ArchiveHome, secret: EntryId) -> None:
    statement = text("DELETE FROM log_detail WHERE entry_id = :id")
    with pytest.raises(DBAPIError, match="append-only"), home.database.begin() as tx:
        tx.execute(statement, {"id": home.id_value(secret)})
    erase(home.services, secret)
    with pytest.raises(DBAPIError, match="append-only"), home.database.begin() as tx:
        tx.execute(text("DELETE FROM log_detail"))


def test_restoring_never_brings_it_back(home: ArchiveHome, secret: EntryId) -> None:
    erase(home.services, secret)
    home.sequence()
    home.execute("DELETE FROM log_detail")
    found = restore_details(home.database, home.services.journal)
    assert (found.erased, found.lost) == (1, 0)
    assert home.count("log_detail", "entry_id = :id", id=home.id_value(secret)) == 0


@pytest.mark.service
def test_erasing_and_restoring_at_once_ends_with_it_gone(postgres_url: str, tmp_path: Path) -> None:
    """On PostgreSQL neither sees the other before both are committed."""
    home = make_home(tmp_path, postgres_url)
    entry_id = write(home, SECRET)
    home.sequence()
    home.execute("DELETE FROM log_detail")

    todo = [entry_id]

    def erase_meanwhile(_: Session) -> None:
        if todo:
            erase(home.services, todo.pop())

    event.listen(Session, "before_commit", erase_meanwhile)
    try:
        assert restore_details(home.database, home.services.journal).written == 1
    finally:
        event.remove(Session, "before_commit", erase_meanwhile)
    assert home.count("log_detail", "entry_id = :id", id=entry_id) == 0
    assert states(home) == [State.ERASED]
    home.assert_sound()
    home.services.close()


def test_a_kill_at_any_step_ends_with_the_key_gone(home: ArchiveHome) -> None:
    """Once the entry is there, the sequencer's next round finishes what the killed process did not."""
    killed, seen = True, set()
    for at_step in range(1, 10):
        entry_id = write(home, SECRET)
        home.sequence()
        killed = run_killed(home.settings, erase_in_child, entry_id, at_step=at_step)
        is_told = home.count("log_erasure", "entry_id = :id", id=home.id_value(entry_id)) == 1
        (before,) = [
            found.state for found in read_details(home.database, home.services.journal) if found.entry_id == entry_id
        ]
        seen.add((is_told, before))
        home.assert_sound()
        home.sequence()
        (after,) = [
            found.state for found in read_details(home.database, home.services.journal) if found.entry_id == entry_id
        ]
        assert after is (State.ERASED if is_told else State.KEPT)
        home.assert_sound()
        if not killed:
            break
    assert not killed
    assert seen == {(False, State.KEPT), (True, State.KEPT), (True, State.ERASED)}


def test_a_start_finishes_what_was_not(home: ArchiveHome, secret: EntryId, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(home.services.journal._keys, "blank", broken)
    with pytest.raises(StoreUnavailable):
        erase(home.services, secret)
    with pytest.raises(StoreUnavailable):
        home.sequence()
    monkeypatch.undo()
    assert {fault.code for fault in home.faults()} == {"fsck.journal_not_erased"}
    home.reopen()
    home.services.sequencer.recover()
    assert states(home)[1] is State.ERASED
    home.assert_sound()


def test_a_file_of_keys_that_is_gone_does_not_stop_the_log(home: ArchiveHome, secret: EntryId) -> None:
    for path in (home.path / "journal-keys").rglob("0-*"):
        path.unlink()
    erase(home.services, secret)
    home.services.sequencer.recover()
    assert home.sequence() == 1
    assert finish_erasures(home.database, home.services.journal) == 1
    assert {fault.code for fault in home.faults()} == {"fsck.journal_keys"}


def test_from_the_command_line(
    home: ArchiveHome, secret: EntryId, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", home.settings.database_url)
    where = ["--home", str(home.path), "--json"]
    assert run(["log", "erase", "1", "--reason", "r", *where]) == 64
    assert run(["log", "erase", "1", "--reason", "r", "--authority", " ", *where]) == 64
    capsys.readouterr()
    assert run(["log", "erase", "1", "--reason", "r", "--authority", "a", *where]) == 0
    assert json.loads(capsys.readouterr().out)["erased"] == str(secret)
    assert run(["log", "erase", str(secret), "--reason", "r", "--authority", "a", *where]) == 73
    home.assert_sound()
