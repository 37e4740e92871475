"""Whatever order of crashes, going on, intake and damage: the report balances or says what does not, nothing is lost."""

import contextlib
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.layout import object_root
from archive.wiring.stores import told_store
from retention.moving.switching import switch_move
from retention.moving.terms import MoveState
from tests.support import moves
from tests.support.archive_home import ArchiveHome, SteppedClock, copy_home, flip
from tests.support.deployment import new_database


class Crashed(BaseException):
    """What a kill is here: nobody catches it, and nothing after it is done."""


class Moving(RuleBasedStateMachine):
    """An archive that is moved to and fro between two folders."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="liuhen-moving-"))
        self.films: dict[ObjectId, bytes] = {}
        self.damaged: dict[Path, int] = {}
        self.home: ArchiveHome

    @initialize()
    def make(self) -> None:
        self.home = copy_home(self.base, new_database(self.base / "liuhen.sqlite3"), SteppedClock())
        self.old: moves.Told = told_store(self.home.settings)
        self.there: moves.Told = moves.another_folder(self.base)
        self.dock = self.home.dock()

    def teardown(self) -> None:
        if hasattr(self, "home"):
            with contextlib.suppress(LiuhenError):
                self.mend_all()
                self.home.sequence()
            self.home.services.close()
        shutil.rmtree(self.base, ignore_errors=True)

    # ---- what is there -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        rows = self.home.rows("SELECT state FROM store_move ORDER BY begun_at DESC, id DESC")
        return rows[0][0] if rows else ""

    def target(self) -> moves.Told:
        here = told_store(self.home.settings)
        return self.there if here == self.old else self.old

    def crashing(self, fatal: int, act: Any) -> None:
        """Do something that is broken off at a call of a store, as by a kill; 0 lets it come to its end."""
        try:
            with moves.failing(fatal, Crashed):
                act()
        except Crashed:
            pass
        except LiuhenError as error:
            assert error.code.startswith(("move.", "ocfl.")), error
        moves.follow_what_is_in_use(self.home, self.old, self.there)
        self.damaged = {path: at for path, at in self.damaged.items() if path.exists()}

    # ---- what happens ------------------------------------------------------------------------------------------------

    @rule(film=st.binary(min_size=1, max_size=60), is_placed=st.booleans())
    def take_in(self, film: bytes, is_placed: bool) -> None:
        film = len(self.films).to_bytes(2, "big") + film
        self.films[self.home.deliver(self.dock, film)] = film
        if is_placed:
            self.home.sequence()

    @precondition(lambda self: self.state in {"", MoveState.RELEASED, MoveState.ABANDONED})
    @rule(fatal=st.integers(0, 30))
    def begin(self, fatal: int) -> None:
        self.crashing(fatal, lambda: moves.begin(self.home, self.target(), keep_days=1))

    @precondition(lambda self: self.state == MoveState.COPYING)
    @rule(fatal=st.integers(0, 400))
    def run_on(self, fatal: int) -> None:
        self.crashing(fatal, lambda: moves.run(self.home))

    @precondition(lambda self: self.state == MoveState.COPYING)
    @rule(fatal=st.integers(0, 600))
    def switch(self, fatal: int) -> None:
        self.crashing(fatal, lambda: switch_move(self.home.services.moving, by=OPERATOR))

    @precondition(lambda self: self.state == MoveState.SWITCHED)
    @rule(fatal=st.integers(0, 200))
    def settle(self, fatal: int) -> None:
        self.crashing(fatal, lambda: moves.settle(self.home))

    @precondition(lambda self: self.state in {MoveState.SWITCHED, MoveState.RELEASING})
    @rule(fatal=st.integers(0, 600))
    def release(self, fatal: int) -> None:
        self.home.clock.step(timedelta(days=2))
        self.crashing(fatal, lambda: moves.release(self.home))

    @precondition(lambda self: self.state in {MoveState.COPYING, MoveState.ABANDONING})
    @rule(fatal=st.integers(0, 200))
    def abandon(self, fatal: int) -> None:
        self.crashing(fatal, lambda: moves.abandon(self.home))

    @precondition(lambda self: bool(self.films))
    @rule(which=st.integers(0, 1000), at=st.integers(0, 1))
    def damage(self, which: int, at: int) -> None:
        """Let bytes of an original rot in the store that is in use."""
        object_id = sorted(self.films)[which % len(self.films)]
        path = self.original_of(object_id)
        if path not in self.damaged:
            flip(path, at=at)
            self.damaged[path] = at

    @rule()
    def mend_all(self) -> None:
        """Bring back from elsewhere what has rotted."""
        for path, at in self.damaged.items():
            if path.exists():
                flip(path, at=at)
        self.damaged.clear()

    def original_of(self, object_id: ObjectId) -> Path:
        return self.home.raw / "store" / object_root(object_id) / "v1/content/original/a.mp4"

    # ---- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        for object_id, film in self.films.items():
            if self.original_of(object_id) not in self.damaged:
                assert moves.original(self.home, object_id) == film

    @invariant()
    def the_report_balances_or_says_what_does_not(self) -> None:
        if not hasattr(self, "home") or not self.state:
            return
        found = moves.stands(self.home).balance
        told = found.due + found.moved + found.verified + found.missing + found.different + found.unknown
        assert told == found.catalogue == len(self.films)
        if self.state in {MoveState.RELEASING, MoveState.RELEASED}:
            assert found.balances, "something old was given up, and something is missing"


Moving.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestMoving = Moving.TestCase
