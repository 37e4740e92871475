"""The journal in any order of rounds, erasures, crashes, losses of the table and starts: it always holds what it should.

A detail that was erased never comes back; one that was not can always be restored.
"""

from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event
from sqlalchemy.orm import Session

from archive.kernel.ids import EntryId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.erasure import ErasedBefore, NotInJournalYet, erase_detail
from archive.ledger.journal import State
from archive.ledger.restoring import read_details, restore_details
from tests.support.archive_home import ArchiveHome, make_home


class Crash(Exception):
    """The process would be gone here."""


def crash(*_: object, **__: object) -> None:
    raise Crash


class JournalOfOneLog(RuleBasedStateMachine):
    """All runs grow one log and its journal."""

    home: ClassVar[ArchiveHome]
    written: ClassVar[list[EntryId]]
    erased: ClassVar[set[EntryId]]

    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        fresh = []
        with self.home.database.begin() as tx:
            for number in range(count):
                entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"n": number})
                fresh.append(append_entry(tx, entry, at=self.home.clock.now()))
        self.written.extend(fresh)

    @rule()
    def sequence(self) -> None:
        self.home.sequence()

    @rule(store=st.sampled_from(["_keys", "_segments"]), is_before=st.booleans())
    def crash_at_a_file(self, store: str, *, is_before: bool) -> None:
        """Crash before or after one of the two files of a round."""
        owner = getattr(self.home.services.journal, store)
        original = owner.put_once

        def put_then_crash(*given: object) -> None:
            if not is_before:
                original(*given)
            raise Crash

        owner.put_once = put_then_crash
        with suppress(Crash):
            self.home.sequence()
        self.start_again()

    @rule(moment=st.sampled_from(["before_commit", "after_commit"]))
    def crash_at_a_commit(self, moment: str) -> None:
        event.listen(Session, moment, crash)
        with suppress(Crash):
            self.home.sequence()
        event.remove(Session, moment, crash)
        self.start_again()

    @rule(which=st.integers(0, 10_000), crashes=st.sampled_from([None, "before_commit", "after_commit", "blank"]))
    def erase(self, which: int, crashes: str | None) -> None:
        if not self.written:
            return
        entry_id = self.written[which % len(self.written)]
        if crashes == "blank":
            self.home.services.journal._keys.blank = crash  # type: ignore[method-assign]
        elif crashes is not None:
            event.listen(Session, crashes, crash)
        with suppress(Crash):
            self.erase_one(entry_id)
        if crashes not in {None, "blank"}:
            event.remove(Session, crashes, crash)
        if self.home.count("log_erasure", "entry_id = :id", id=self.home.id_value(entry_id)):
            self.erased.add(entry_id)
        if crashes is not None:
            self.start_again()

    def erase_one(self, entry_id: EntryId) -> None:
        services = self.home.services
        try:
            erase_detail(
                services.database, services.journal, entry_id,
                reason="r", authority="a", by=OPERATOR, at=self.home.clock.now(),
            )  # fmt: skip
            assert entry_id not in self.erased
        except ErasedBefore:
            assert entry_id in self.erased
        except NotInJournalYet:
            assert entry_id not in {known for _, known in self.home.logged()}

    @rule()
    def lose_the_table_and_restore_it(self) -> None:
        self.home.sequence()
        before = self.home.rows("SELECT * FROM log_detail ORDER BY entry_id")
        self.home.execute("DELETE FROM log_detail")
        assert restore_details(self.home.database, self.home.services.journal).lost == 0
        assert self.home.rows("SELECT * FROM log_detail ORDER BY entry_id") == before

    @rule()
    def start_again(self) -> None:
        self.home.reopen()
        self.home.services.sequencer.recover()

    @invariant()
    def it_holds_what_it_should(self) -> None:
        self.home.assert_journal_sound()
        found = {kept.entry_id: kept.state for kept in read_details(self.home.database, self.home.services.journal)}
        assert set(found) == {entry_id for _, entry_id in self.home.logged()}
        assert {entry_id for entry_id, state in found.items() if state is not State.KEPT} <= self.erased
        assert {state for entry_id, state in found.items() if entry_id in self.erased} <= {State.ERASED}


def test_the_journal_always_holds_what_it_should(database_url: str, tmp_path: Path) -> None:
    home = make_home(tmp_path, database_url)

    class OfThisHome(JournalOfOneLog):
        pass

    OfThisHome.home, OfThisHome.written, OfThisHome.erased = home, [], set()
    run_state_machine_as_test(OfThisHome, settings=settings(max_examples=5, stateful_step_count=12))
    home.sequence()
    home.assert_sound()
    files = [path for path in (home.raw / "journal").rglob("*") if path.is_file()]
    assert len(files) == home.count("log_segment")
    home.services.close()
