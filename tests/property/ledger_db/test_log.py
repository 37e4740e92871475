"""The log in a database, in any order of writing, rolling back, sequencing, crashing and starting again.

What was once told to anybody (an index, a published checkpoint) holds for ever.
"""

from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event
from sqlalchemy.orm import Session

from archive.ledger.append import append_entry
from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.models import LogEntry
from archive.ledger.proofs import consistency, inclusion
from archive.ledger.tree import verify_consistency
from tests.support.archive_home import ArchiveHome, make_home


class Crash(Exception):
    """The process would be gone here; what is in memory is thrown away by opening the archive anew."""


class Log(RuleBasedStateMachine):
    """All runs grow one log: it only ever grows."""

    home: ClassVar[ArchiveHome]
    told: ClassVar[dict[object, int]]
    published: ClassVar[list[Checkpoint]]

    @rule(count=st.integers(1, 6))
    def write(self, count: int) -> None:
        with self.home.database.begin() as tx:
            for number in range(count):
                append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"n": number}), at=self.now)

    @rule(count=st.integers(1, 3))
    def roll_back(self, count: int) -> None:
        try:
            with self.home.database.begin() as tx:
                for _ in range(count):
                    append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR), at=self.now)
                raise Crash
        except Crash:
            pass

    @rule()
    def sequence(self) -> None:
        waiting = self.home.count("log_pending")
        assert self.home.sequence() == waiting
        assert self.home.count("log_pending") == 0

    @rule(moment=st.sampled_from(["before_commit", "after_commit"]))
    def crash_while_sequencing(self, moment: str) -> None:
        def crash(_: Session) -> None:
            raise Crash

        waiting = self.home.count("log_pending")
        event.listen(Session, moment, crash)
        try:
            self.home.sequence()
        except Crash:
            pass
        finally:
            event.remove(Session, moment, crash)
        assert self.home.count("log_pending") == (waiting if moment == "before_commit" else 0)
        self.start_again()

    @rule()
    def start_again(self) -> None:
        self.home.reopen()
        self.home.services.sequencer.recover()

    @invariant()
    def indices_are_contiguous_and_never_change(self) -> None:
        logged = self.home.logged()
        assert [index for index, _ in logged] == list(range(len(logged)))
        now = {entry_id: index for index, entry_id in logged}
        assert self.told.items() <= now.items()
        self.told.update(now)

    @invariant()
    def what_is_published_only_grows(self) -> None:
        services = self.home.services
        raw = (self.home.path / "log" / "checkpoint").read_bytes()
        seen = open_checkpoint(raw, keys=services.trust.logs, origin=services.settings.origin).checkpoint
        if not self.published or self.published[-1] != seen:
            self.published.append(seen)
        if len(self.published) > 1 and self.published[-2].size:
            old, new = self.published[-2:]
            with self.home.database.read() as tx:
                proof = consistency(tx, old_size=old.size, new_size=new.size)
            verify_consistency(old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=proof)

    @property
    def now(self):  # type: ignore[no-untyped-def]
        return self.home.clock.now()


def test_what_was_told_holds_for_ever(database_url: str, tmp_path: Path) -> None:
    home = make_home(tmp_path, database_url)

    class OfThisHome(Log):
        pass

    OfThisHome.home, OfThisHome.told, OfThisHome.published = home, {}, []
    run_state_machine_as_test(OfThisHome, settings=settings(max_examples=12, stateful_step_count=20))
    home.sequence()
    home.assert_sound()
    assert all(old.size < new.size for old, new in pairwise(OfThisHome.published))
    with home.database.read() as tx:
        for _, entry_id in home.logged():
            proof = inclusion(tx, entry_id)
            assert proof is not None
            body = tx.get_one(LogEntry, entry_id).body
            assert proof.verify(body, trust=home.services.trust).outcome == "valid"
    home.services.close()
