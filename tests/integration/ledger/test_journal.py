"""The encrypted journal: what a round leaves, what is checked, what is restored, what a crash or a full disk leaves."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.cli.main import run
from archive.kernel.errors import StorageFull
from archive.kernel.findings import Outcome
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.faults import SequencerFault
from archive.ledger.journal import State
from archive.ledger.restoring import fill_journal, read_details, restore_details
from archive.ledger.segments import SegmentName
from archive.wiring import build_services
from signing.keyfiles import KeyMissing
from tests.integration.ledger.test_sequencer import roll_back
from tests.support.archive_crash import run_killed
from tests.support.archive_crash import sequence as sequence_in_child
from tests.support.archive_home import ArchiveHome, doom_commits, flip, spare_commits
from tests.support.deployment import remove_tree
from tests.support.unguarded import unguarded


def write(home: ArchiveHome, count: int = 1, word: str = "x") -> list[object]:
    ids = []
    for number in range(count):
        with home.database.begin() as tx:
            entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"text": f"{word}{number}"})
            ids.append(append_entry(tx, entry, at=home.clock.now()))
    return ids


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def folder_of(home: ArchiveHome, name: str) -> Path:
    return home.raw / name if name == "journal" else home.path / name


def segments(home: ArchiveHome) -> list[Path]:
    return files(home.raw / "journal")


def keys(home: ArchiveHome) -> list[Path]:
    return files(home.path / "journal-keys")


def codes(home: ArchiveHome) -> set[str]:
    return {fault.code for fault in home.faults()}


@pytest.fixture
def rounds(home: ArchiveHome) -> ArchiveHome:
    """Three rounds: entries 0 to 2, 3, 4 to 5."""
    for count in (3, 1, 2):
        write(home, count)
        assert home.sequence() == count
    home.assert_sound()
    return home


def test_each_round_leaves_one_segment_and_its_keys(rounds: ArchiveHome) -> None:
    names = [SegmentName.parse(str(path.relative_to(rounds.raw / "journal"))) for path in segments(rounds)]
    assert [(name.old_size, name.new_size) for name in names] == [(0, 3), (3, 4), (4, 6)]
    assert [path.name for path in keys(rounds)] == [path.name for path in segments(rounds)]
    roots = rounds.rows("SELECT root FROM log_checkpoint WHERE size > 0 ORDER BY size")
    assert [name.root for name in names] == [bytes(root) for (root,) in roots]
    assert rounds.sequence() == 0
    assert len(segments(rounds)) == 3


def test_no_detail_can_be_read_from_the_files(home: ArchiveHome) -> None:
    write(home, 3, word="张三的电话号码")
    home.sequence()
    secret = (home.path / "keys" / "journal.key").read_bytes()
    for path in (*segments(home), *keys(home)):
        data = path.read_bytes()
        assert "张三".encode() not in data
        assert secret not in data


def test_every_detail_is_read_back(rounds: ArchiveHome) -> None:
    kept = list(read_details(rounds.database, rounds.services.journal))
    assert [found.index for found in kept] == list(range(6))
    assert {found.state for found in kept} == {State.KEPT}
    stored = rounds.rows(
        "SELECT d.salt, d.detail FROM log_detail d JOIN log_leaf l USING (entry_id) ORDER BY leaf_index"
    )
    assert [(found.salt, found.detail) for found in kept] == [(bytes(salt), bytes(detail)) for salt, detail in stored]


def test_a_table_that_was_lost_is_restored(rounds: ArchiveHome) -> None:
    assert rounds.erase(lambda entry: entry == rounds.entries()[1]) == 1
    before = rounds.rows("SELECT * FROM log_detail ORDER BY entry_id")
    rounds.execute("DELETE FROM log_detail")
    assert codes(rounds) == {"fsck.detail_missing"}
    found = restore_details(rounds.database, rounds.services.journal)
    assert (found.there, found.written, found.erased, found.lost) == (0, 6, 1, 0)
    assert rounds.rows("SELECT * FROM log_detail ORDER BY entry_id") == before
    rounds.assert_sound()
    again = restore_details(rounds.database, rounds.services.journal)
    assert (again.there, again.written, again.erased, again.lost) == (6, 0, 1, 0)


def test_what_waits_for_its_index_is_not_in_the_journal_and_is_told_as_lost(rounds: ArchiveHome) -> None:
    write(rounds)
    rounds.execute("DELETE FROM log_detail")
    found = restore_details(rounds.database, rounds.services.journal)
    assert (found.written, found.lost) == (6, 1)


def test_what_the_journal_does_not_hold_as_committed_is_not_restored(rounds: ArchiveHome) -> None:
    first, second, _ = keys(rounds)
    flip(first, at=24)  # the first slot
    second.unlink()
    rounds.execute("DELETE FROM log_detail")
    found = restore_details(rounds.database, rounds.services.journal)
    assert (found.written, found.lost) == (4, 2)
    assert found.unreadable_segments == (str(second.relative_to(rounds.path / "journal-keys")),)
    assert rounds.count("log_detail") == 4


def remove(path: Path) -> None:
    path.unlink()


def cut_off(path: Path) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1])


def swap_slots(path: Path) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:24] + data[64:104] + data[24:64] + data[104:])


def blank_slot(path: Path) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:24] + bytes(40) + data[64:])


DAMAGE = {
    "a segment is gone": ("journal", remove, "fsck.journal_missing"),
    "a segment is changed": ("journal", flip, "fsck.journal_changed"),
    "a segment is cut off": ("journal", cut_off, "fsck.journal_changed"),
    "keys are gone": ("journal-keys", remove, "fsck.journal_keys"),
    "keys are cut off": ("journal-keys", cut_off, "fsck.journal_keys"),
    "a key is changed": ("journal-keys", lambda path: flip(path, at=30), "fsck.journal_unreadable"),
    "keys are exchanged": ("journal-keys", swap_slots, "fsck.journal_unreadable"),
    "a key is gone and nobody says why": ("journal-keys", blank_slot, "fsck.journal_detail_missing"),
    "keys are of another wrapping key": ("journal-keys", lambda path: flip(path, at=17), "fsck.journal_keys"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found(rounds: ArchiveHome, what: str) -> None:
    folder, damage, code = DAMAGE[what]
    damage(files(folder_of(rounds, folder))[0])
    assert codes(rounds) == {code}


TAMPERED = {
    "a row says another digest": (
        "UPDATE log_segment SET sha256 = (SELECT root FROM log_checkpoint WHERE size = 3) WHERE size = 3",
        "fsck.journal_changed",
    ),
    "a row is gone": ("DELETE FROM log_segment WHERE size = 4", "fsck.journal_gap"),
    "the last row is gone": ("DELETE FROM log_segment WHERE size = 6", "fsck.journal_gap"),
    "a detail is another": ("UPDATE log_detail SET detail = salt WHERE entry_id = :id", "fsck.journal_detail"),
    "a detail is gone": ("DELETE FROM log_detail WHERE entry_id = :id", "fsck.detail_missing"),
    "an erasure that nobody tells of": ("INSERT INTO log_erasure VALUES (:id, :id)", "fsck.unlogged"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_with_rows_is_found(rounds: ArchiveHome, what: str) -> None:
    statement, code = TAMPERED[what]
    values = {"id": rounds.id_value(rounds.logged()[0][1])} if ":id" in statement else {}
    with unguarded(rounds.database) as tx:
        assert tx.execute(text(statement), values).rowcount == 1
    assert code in codes(rounds)


def test_a_file_that_no_checkpoint_explains_is_found(rounds: ArchiveHome) -> None:
    first = segments(rounds)[0]
    other = first.with_name(first.name[:-1] + ("0" if first.name[-1] != "0" else "1"))
    other.write_bytes(first.read_bytes())
    assert codes(rounds) == {"fsck.journal_stray"}
    assert len(rounds.faults()) == 1


def test_without_its_key_nothing_is_called_checked(rounds: ArchiveHome) -> None:
    (rounds.path / "keys" / "journal.key").unlink()
    (fault,) = rounds.faults()
    assert (fault.code, fault.outcome) == ("fsck.journal_key", Outcome.INDETERMINATE)


def test_a_lost_key_is_not_replaced_unasked(rounds: ArchiveHome) -> None:
    (rounds.path / "keys" / "journal.key").unlink()
    rounds.reopen()
    write(rounds)
    with pytest.raises(KeyMissing):
        rounds.sequence()
    assert rounds.count("log_pending") == 1


# --- archives from before the journal -------------------------------------------------------------------------------


def make_old(home: ArchiveHome) -> None:
    """Make the archive what it was before there was a journal."""
    home.execute("DELETE FROM log_segment")
    for name in ("journal", "journal-keys"):
        remove_tree(folder_of(home, name))
    (home.path / "keys" / "journal.key").unlink()
    home.reopen()


def test_an_archive_from_before_gets_its_journal_at_the_start(rounds: ArchiveHome) -> None:
    make_old(rounds)
    assert [(fault.code, fault.outcome) for fault in rounds.faults()] == [("fsck.journal_gap", Outcome.INDETERMINATE)]
    rounds.services.sequencer.recover()
    assert len(segments(rounds)) == 1, "one segment for many small rounds"
    rounds.assert_sound()
    write(rounds)
    assert rounds.sequence() == 1
    assert len(segments(rounds)) == 2
    rounds.assert_sound()


def test_older_ranges_are_cut_at_checkpoints(rounds: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(rounds)
    monkeypatch.setattr("archive.ledger.restoring.SEGMENT_ENTRIES", 2)
    assert fill_journal(rounds.database, rounds.services.journal) == 3
    assert fill_journal(rounds.database, rounds.services.journal) == 0
    rounds.assert_sound()


def test_a_start_that_is_killed_while_it_writes_older_ranges_is_gone_on_with(
    rounds: ArchiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(rounds)
    doom_commits(rounds.database, "log_segment")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        rounds.services.sequencer.recover()
    spare_commits(rounds.database, "log_segment")
    (left,) = segments(rounds)
    rounds.services.sequencer.recover()
    assert segments(rounds) == [left], "it was taken as it is"
    rounds.assert_sound()


def test_keys_that_a_kill_left_without_segment_are_made_anew(rounds: ArchiveHome) -> None:
    make_old(rounds)
    doom_commits(rounds.database, "log_segment")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        rounds.services.sequencer.recover()
    spare_commits(rounds.database, "log_segment")
    segments(rounds)[0].unlink()
    rounds.services.sequencer.recover()
    rounds.assert_sound()


def test_another_segment_in_the_place_of_a_missing_one_stops_the_start(rounds: ArchiveHome) -> None:
    rounds.execute("DELETE FROM log_segment")
    flip(keys(rounds)[0], at=30)
    with pytest.raises(SequencerFault, match="another segment"):
        rounds.services.sequencer.recover()
    assert len(segments(rounds)) == 3


def test_rows_that_are_lost_are_found_again_from_the_files(rounds: ArchiveHome) -> None:
    before = rounds.rows("SELECT * FROM log_segment ORDER BY size")
    rounds.execute("DELETE FROM log_segment")
    rounds.services.sequencer.recover()
    assert rounds.rows("SELECT * FROM log_segment ORDER BY size") == before
    rounds.assert_sound()


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_commit_that_fails_leaves_what_the_next_round_replaces(rounds: ArchiveHome) -> None:
    write(rounds, 2)
    doom_commits(rounds.database, "log_checkpoint")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        rounds.sequence()
    assert len(segments(rounds)) == 4
    assert rounds.count("log_pending") == 2
    rounds.assert_sound()  # a round that broke off is no fault
    spare_commits(rounds.database, "log_checkpoint")
    before = segments(rounds)[-1].read_bytes()
    assert rounds.sequence() == 2
    assert len(segments(rounds)) == 4
    assert segments(rounds)[-1].read_bytes() != before, "the same name, and fresh keys"
    rounds.assert_sound()


def test_a_round_that_broke_off_and_grew_leaves_nothing_behind(rounds: ArchiveHome) -> None:
    write(rounds, 2)
    doom_commits(rounds.database, "log_checkpoint")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        rounds.sequence()
    spare_commits(rounds.database, "log_checkpoint")
    rounds.reopen()
    rounds.services.sequencer.recover()
    write(rounds, 1)
    assert rounds.sequence() == 3
    assert [path.name.split("-")[1] for path in segments(rounds)] == ["3", "4", "6", "9"]
    assert len(keys(rounds)) == 4
    rounds.assert_sound()


@pytest.fixture
def kills(rounds: ArchiveHome) -> Iterator[set[tuple[bool, bool]]]:
    """SIGKILL at each step of a round; whether the segment was there, and whether its checkpoint was, after each."""
    seen = set()
    for at_step in range(1, 30):
        write(rounds, 2)
        size, there = rounds.rows("SELECT max(size) FROM log_checkpoint")[0][0], len(segments(rounds))
        killed = run_killed(rounds.settings, sequence_in_child, at_step=at_step)
        is_committed = rounds.rows("SELECT max(size) FROM log_checkpoint")[0][0] > size
        seen.add((len(segments(rounds)) > there, is_committed))
        rounds.assert_journal_sound()
        rounds.reopen()
        rounds.services.sequencer.recover()
        rounds.sequence()
        if not killed:
            break
    yield seen


def test_a_kill_at_any_step_of_a_round_leaves_a_sound_journal(
    rounds: ArchiveHome, kills: set[tuple[bool, bool]]
) -> None:
    assert kills == {(False, False), (True, False), (True, True)}
    rounds.assert_sound()
    assert {found.state for found in read_details(rounds.database, rounds.services.journal)} == {State.KEPT}
    assert len(segments(rounds)) == len(keys(rounds)) == rounds.count("log_segment")


def test_a_full_disk_loses_nothing(rounds: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    write(rounds, 2)

    def full(*_: object) -> None:
        raise StorageFull

    for name in ("_keys", "_segments"):
        store = getattr(rounds.services.journal, name)
        monkeypatch.setattr(store, "put_once", full)
        with pytest.raises(StorageFull):
            rounds.sequence()
        monkeypatch.undo()
        assert rounds.count("log_pending") == 2
        assert rounds.count("log_leaf") == 6
        rounds.assert_sound()
    assert rounds.sequence() == 2
    rounds.assert_sound()
    assert len(segments(rounds)) == len(keys(rounds)) == 4


@pytest.mark.parametrize("size", [0, 3, 4])
def test_an_old_copy_of_the_database_is_refused_by_the_journal_alone(rounds: ArchiveHome, size: int) -> None:
    """Where the published log was put back as well, the journal still knows more."""
    roll_back(rounds, size)
    for name in ("log", "log-entries"):
        shutil.rmtree(rounds.path / name)
    rounds.reopen()
    with pytest.raises(SequencerFault, match="old copy"):
        rounds.services.sequencer.recover()
    assert len(segments(rounds)) == 3, "what the journal knows stays as evidence"


def test_two_archives_have_two_keys(home: ArchiveHome) -> None:
    services = build_services(home.settings)
    assert services.journal is not home.services.journal
    assert (home.path / "keys" / "journal.key").stat().st_mode & 0o777 == 0o600
    services.close()


def test_the_journal_is_checked_and_restored_from_the_command_line(
    rounds: ArchiveHome, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", rounds.settings.database_url)
    where = ["--home", str(rounds.path), "--json"]
    assert run(["log", "journal", "check", *where]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "valid"
    rounds.execute("DELETE FROM log_detail")
    assert run(["log", "journal", "check", *where]) == 1
    capsys.readouterr()
    assert run(["log", "journal", "restore", *where]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "there": 0, "written": 6, "erased": 0, "lost": 0, "unreadable_segments": [],
    }  # fmt: skip
    assert run(["log", "journal", "check", *where]) == 0
