"""The one writer of the log: what it gives, what it refuses, and what a crash of it leaves."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from archive.db.database import Database
from archive.kernel.errors import StorageFull
from archive.kernel.ids import new_uuid7
from archive.ledger import sequencer as sequencer_module
from archive.ledger.append import append_entry
from archive.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.faults import SequencerFault
from archive.ledger.models import LogCheckpoint, LogDetail, LogEntry, LogLeaf, LogNode, LogPending, LogSegment
from archive.ledger.note import Signer
from archive.ledger.proofs import consistency, find_index, head, inclusion, pending_count
from archive.ledger.publishing import Published
from archive.ledger.sequencer import Sequencer
from archive.ledger.tree import EMPTY_ROOT, leaf_hash, verify_consistency
from signing.ed25519 import Ed25519KeyHandle
from tests.integration.fsck.test_tampering import raw
from tests.support.archive_crash import run_killed
from tests.support.archive_crash import sequence as sequence_in_child
from tests.support.archive_home import ArchiveHome, SteppedClock, flip, make_home
from tests.support.unguarded import unguarded


def entry(text: str = "x") -> NewEntry:
    return NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"text": text})


def write(home: ArchiveHome, count: int = 1) -> list[object]:
    ids = []
    for _ in range(count):
        with home.database.begin() as tx:
            ids.append(append_entry(tx, entry(), at=home.clock.now()))
    return ids


def published(home: ArchiveHome) -> Checkpoint:
    keys = home.services.trust.logs
    origin = home.services.settings.origin
    return open_checkpoint((home.path / "log" / "checkpoint").read_bytes(), keys=keys, origin=origin).checkpoint


def newest(home: ArchiveHome) -> LogCheckpoint:
    with home.database.read() as tx:
        found = head(tx)
    assert found is not None
    return found


@pytest.fixture
def another_sequencer(home: ArchiveHome) -> Iterator[Sequencer]:
    """A second writer that has no lock, as after a connection was lost unnoticed."""
    origin = home.services.settings.origin
    key = Ed25519KeyHandle.load(home.path / "keys" / "log.pem")
    database = Database(home.services.settings.effective_database_url)
    yield Sequencer(
        database,
        origin=origin,
        signers=[Signer(origin, key)],
        published=Published(database, public=home.path / "log", private=home.path / "log-entries"),
        journal=home.services.journal,
        clock=home.clock,
    )
    database.close()


def roll_back(home: ArchiveHome, size: int) -> None:
    """Make the database what it was when the log had `size` entries: an old copy of it was put back."""
    with unguarded(home.database) as tx:
        gone = tx.scalars(select(LogLeaf.entry_id).where(LogLeaf.index >= size)).all()
        tx.execute(delete(LogSegment).where(LogSegment.size > size))
        tx.execute(delete(LogCheckpoint).where(LogCheckpoint.size > size))
        tx.execute(delete(LogLeaf).where(LogLeaf.index >= size))
        for node in tx.execute(select(LogNode.level, LogNode.position)).all():
            if (node.position + 1) << node.level > size:
                tx.execute(delete(LogNode).where(LogNode.level == node.level, LogNode.position == node.position))
        for table in (LogDetail, LogPending):
            tx.execute(delete(table).where(table.entry_id.in_(gone)))
        tx.execute(delete(LogEntry).where(LogEntry.id.in_(gone)))


def test_a_new_log_has_a_checkpoint_of_nothing(home: ArchiveHome) -> None:
    assert published(home) == Checkpoint(home.services.settings.origin, 0, EMPTY_ROOT)
    assert home.sequence() == 0
    home.assert_sound()


def test_indices_are_contiguous_and_every_checkpoint_leads_to_the_next(home: ArchiveHome) -> None:
    seen = [published(home)]
    for count in (1, 2, 5, 1, 8):
        written = write(home, count)
        assert home.sequence() == count
        with home.database.read() as tx:
            assert pending_count(tx) == 0
            for entry_id in written:
                proof = inclusion(tx, entry_id)
                assert proof is not None
                body = tx.get_one(LogEntry, entry_id).body
                assert proof.verify(body, trust=home.services.trust).outcome == "valid"
        seen.append(published(home))
    assert [index for index, _ in home.logged()] == list(range(17))
    with home.database.read() as tx:
        for old, new in pairwise(seen[1:]):
            hashes = consistency(tx, old_size=old.size, new_size=new.size)
            verify_consistency(old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=hashes)
    home.assert_sound()


def test_an_entry_has_no_index_and_no_proof_before_a_checkpoint_covers_it(home: ArchiveHome) -> None:
    (entry_id,) = write(home)
    with home.database.read() as tx:
        assert (find_index(tx, entry_id), inclusion(tx, entry_id), pending_count(tx)) == (None, None, 1)
    home.sequence()
    with home.database.read() as tx:
        assert (find_index(tx, entry_id), pending_count(tx)) == (0, 0)
        assert inclusion(tx, entry_id) is not None


def test_one_round_takes_so_many_and_leaves_the_rest(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer_module, "ROUND_ENTRIES", 4)
    write(home, 10)
    assert [home.sequence() for _ in range(4)] == [4, 4, 2, 0]
    assert [index for index, _ in home.logged()] == list(range(10))
    home.assert_sound()


@pytest.mark.service
def test_an_entry_that_commits_late_is_not_lost(postgres_url: str, tmp_path: Path) -> None:
    """Ids commit out of order on PostgreSQL: a high-water mark would pass over the late one for ever."""
    home = make_home(tmp_path, postgres_url)
    with home.database.begin() as late:
        first = append_entry(late, entry("late"), at=home.clock.now())
        later = write(home, 3)
        assert home.sequence() == 3
        assert home.sequence() == 0
    assert home.sequence() == 1
    assert all(first < other for other in later), "the late one was made first"
    assert [entry_id for _, entry_id in home.logged()] == [*later, first]
    home.assert_sound()
    home.services.close()


def test_eight_writers_at_once_lose_nothing(home: ArchiveHome) -> None:
    written: list[object] = []
    done = threading.Event()

    def work() -> None:
        written.extend(write(home, 12))

    def keep_sequencing() -> None:
        while not done.is_set():
            home.sequence()

    threads = [threading.Thread(target=work) for _ in range(8)]
    keeper = threading.Thread(target=keep_sequencing)
    for thread in [*threads, keeper]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    keeper.join()
    home.sequence()
    logged = home.logged()
    assert [index for index, _ in logged] == list(range(96))
    assert {entry_id for _, entry_id in logged} == set(written)
    home.assert_sound()


def test_two_heads_cannot_follow_one(home: ArchiveHome) -> None:
    write(home)
    home.sequence()
    head_now = newest(home)
    rival = {"root": head_now.root, "note": head_now.note, "issued_at": home.clock.now()}
    for size, previous in ((2, 0), (1, 1)):
        with pytest.raises(IntegrityError), home.database.begin() as tx:
            tx.execute(insert(LogCheckpoint).values(size=size, previous_size=previous, **rival))


def test_two_sequencers_without_a_lock_never_fork_the_log(home: ArchiveHome, another_sequencer: Sequencer) -> None:
    both = [home.services.sequencer, another_sequencer]
    done = threading.Event()
    unexpected: list[BaseException] = []

    def race(one: Sequencer) -> None:
        while not done.is_set():
            try:
                one.sequence()
            except SequencerFault:
                continue
            except OSError:
                continue  # both publish through one name; the process would end here, and the next start publishes
            except BaseException as error:  # noqa: BLE001 - told by the test
                unexpected.append(error)

    threads = [threading.Thread(target=race, args=[one]) for one in both]
    for thread in threads:
        thread.start()
    write(home, 30)
    done.set()
    for thread in threads:
        thread.join()
    assert unexpected == []
    home.services.sequencer.sequence()
    home.services.sequencer.recover()
    assert [index for index, _ in home.logged()] == list(range(30))
    home.assert_sound()


def test_a_clock_that_goes_far_back_stops_the_log_and_changes_nothing(home: ArchiveHome) -> None:
    write(home)
    home.sequence()
    home.clock.step(timedelta(minutes=-1))
    write(home)
    for _ in range(2):
        with pytest.raises(SequencerFault, match="clock"):
            home.sequence()
    assert newest(home).size == 1
    home.clock.step(timedelta(minutes=2))
    assert home.sequence() == 1
    home.assert_sound()


def test_a_clock_that_goes_a_little_back_is_waited_for(home: ArchiveHome) -> None:
    write(home)
    home.sequence()
    home.clock.step(timedelta(seconds=-4))
    write(home)
    assert home.sequence() == 0
    home.clock.step(timedelta(seconds=5))
    assert home.sequence() == 1


TAMPERED = {
    "a node of the edge": lambda: update(LogNode).where(LogNode.level == 1).values(hash=leaf_hash(b"other")),
    "the root": lambda: update(LogCheckpoint).where(LogCheckpoint.size == 2).values(root=leaf_hash(b"other")),
    "a node that is gone": lambda: delete(LogNode).where(LogNode.level == 1),
    "a node that is short": lambda: update(LogNode).where(LogNode.level == 1).values(hash=b"short"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_stored_tree_that_was_tampered_with_is_not_gone_on_with(home: ArchiveHome, what: str) -> None:
    write(home, 2)
    home.sequence()
    with unguarded(home.database) as tx:
        tx.execute(TAMPERED[what]())
    write(home)
    with pytest.raises(SequencerFault):
        home.sequence()
    with pytest.raises(SequencerFault):
        home.services.sequencer.recover()
    assert home.count("log_pending") == 1
    assert published(home).size == 2


def test_a_note_that_is_not_ours_is_not_gone_on_with(home: ArchiveHome, tmp_path: Path) -> None:
    write(home, 2)
    home.sequence()
    good = newest(home)
    origin = home.services.settings.origin
    stranger = Signer(origin, Ed25519KeyHandle.generate(tmp_path / "stranger.pem"))
    ours, elsewhere = (
        Signer(name, Ed25519KeyHandle.load(home.path / "keys" / "log.pem")) for name in (origin, "another.example/log")
    )
    notes = (
        good.note.replace("\n2\n", "\n3\n"),
        good.note[:-3] + "AA\n",
        "not a note",
        sign_checkpoint(Checkpoint(origin, 2, good.root), signers=[stranger]).decode(),
        sign_checkpoint(Checkpoint("another.example/log", 2, good.root), signers=[elsewhere]).decode(),
        sign_checkpoint(Checkpoint(origin, 3, good.root), signers=[ours]).decode(),
        sign_checkpoint(Checkpoint(origin, 2, leaf_hash(b"other")), signers=[ours]).decode(),
    )
    for note in notes:
        home.execute("UPDATE log_checkpoint SET note = :note WHERE size = 2", note=note)
        with pytest.raises(SequencerFault):
            home.services.sequencer.recover()
    home.execute("UPDATE log_checkpoint SET note = :note WHERE size = 2", note=good.note)
    home.services.sequencer.recover()


def test_an_old_copy_of_the_database_is_refused(home: ArchiveHome) -> None:
    write(home, 3)
    home.sequence()
    write(home, 2)
    home.sequence()
    roll_back(home, 3)
    home.reopen()
    with pytest.raises(SequencerFault, match="old copy") as refused:
        home.services.sequencer.recover()
    assert refused.value.facts == {"published": 5, "stored": 3}
    assert published(home).size == 5, "what was published stays as evidence"


@pytest.mark.parametrize("fresh", [2, 4])
def test_a_log_that_was_written_anew_behind_a_published_checkpoint_is_refused(home: ArchiveHome, fresh: int) -> None:
    write(home, 3)
    home.sequence()
    write(home, 2)
    home.sequence()
    before = (home.path / "log" / "checkpoint").read_bytes()
    roll_back(home, 3)
    write(home, fresh)
    with contextlib.suppress(SequencerFault):  # a tile of that width was published already
        home.sequence()
    (home.path / "log" / "checkpoint").write_bytes(before)
    with pytest.raises(SequencerFault, match="not one of this log"):
        home.services.sequencer.recover()


def test_a_published_file_that_is_damaged_is_refused(home: ArchiveHome) -> None:
    write(home)
    home.sequence()
    flip(home.path / "log" / "checkpoint")
    with pytest.raises(SequencerFault):
        home.services.sequencer.recover()


def test_a_published_checkpoint_that_lags_or_is_missing_is_published_again(home: ArchiveHome) -> None:
    file = home.path / "log" / "checkpoint"
    write(home)
    home.sequence()
    first = file.read_bytes()
    write(home)
    home.sequence()
    second = file.read_bytes()
    file.write_bytes(first)
    home.services.sequencer.recover()
    assert file.read_bytes() == second
    file.unlink()
    (file.parent / "checkpoint.0123.new").write_bytes(b"half a che")  # a crash while publishing
    home.services.sequencer.recover()
    assert file.read_bytes() == second
    assert sorted(path.name for path in file.parent.iterdir()) == ["checkpoint", "tile"]
    home.assert_sound()


@pytest.fixture
def steps(home: ArchiveHome) -> Iterator[list[tuple[int, int]]]:
    """Kill a sequencer at each of its steps; what was stored and what was published after each kill."""
    seen = []
    for at_step in range(1, 20):
        write(home, 2)
        killed = run_killed(home.settings, sequence_in_child, at_step=at_step)
        seen.append((newest(home).size, published(home).size))
        home.services.sequencer.recover()
        home.assert_sound()
        assert published(home).size == newest(home).size
        if not killed:
            break
        home.sequence()
    yield seen


def test_a_kill_at_any_step_loses_nothing_and_recover_publishes(
    home: ArchiveHome, steps: list[tuple[int, int]]
) -> None:
    total = home.count("log_entry")
    assert total == 2 * len(steps)
    assert [index for index, _ in home.logged()] == list(range(total))
    assert any(stored == shown + 2 for stored, shown in steps), "one kill falls between commit and publication"
    assert any(stored == shown for stored, shown in steps[:-1]), "and one before the commit"


def test_a_disk_that_is_full_after_the_commit_leaves_no_hole(
    home: ArchiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred entries complete a tile; the round after them must not forget it."""
    write(home, 300)
    publish = Published.publish
    full = iter([StorageFull("The disk is full")])

    def once_full(published: Published, note: bytes, **sizes: int) -> None:
        for error in full:
            raise error
        publish(published, note, **sizes)

    monkeypatch.setattr(Published, "publish", once_full)
    with pytest.raises(StorageFull):
        home.sequence()
    assert home.sequence() == 0
    write(home, 3)
    home.sequence()
    home.assert_sound()


def test_an_entry_that_waits_and_is_not_there_stops_the_log(home: ArchiveHome) -> None:
    with raw(home) as connection:
        connection.execute(insert(LogPending).values(entry_id=new_uuid7()))
    with pytest.raises(SequencerFault):
        home.sequence()


def test_a_system_whose_clock_stands_still_waits(home: ArchiveHome) -> None:
    class Still(SteppedClock):
        at = home.clock.now()

        def now(self):  # type: ignore[no-untyped-def]
            return self.at

    origin = home.services.settings.origin
    key = Ed25519KeyHandle.load(home.path / "keys" / "log.pem")
    still = Sequencer(
        home.database,
        origin=origin,
        signers=[Signer(origin, key)],
        published=Published(home.database, public=home.path / "log", private=home.path / "log-entries"),
        journal=home.services.journal,
        clock=Still(),
    )
    write(home)
    assert still.sequence() == 1
    write(home)
    assert still.sequence() == 0, "two checkpoints never have one time"
