"""Moves that are killed at each step, and stores that fail at each call: nothing is lost, and the report balances."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.errors import StorageFull
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ports.blobs import StoreUnavailable
from archive.wiring import Services
from retention.moving.beginning import begin_move, give_up
from retention.moving.releasing import clear_given_up, release_move
from retention.moving.running import newest_move, run_move
from retention.moving.switching import settle_move, switch_move
from retention.moving.terms import MoveState, NoMove
from tests.support import moves
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, clock, deliver, dock, home
from tests.support.moves import Told

__all__ = ["clock", "deliver", "dock", "home"]

Deliver = Callable[..., ObjectId]
_MOST_KILLS = 400


@pytest.fixture
def there(tmp_path: Path) -> Told:
    return moves.another_folder(tmp_path)


def move_on(services: Services, step: str, there: Told) -> None:
    """Do one step of a move, or go on with it; what is done already is left as it is."""
    parts = services.moving
    try:
        with services.database.read() as tx:
            move = newest_move(tx)
        state, is_settled, until = move.state, move.settled_at is not None, move.keep_until
    except NoMove:
        state, is_settled, until = "", False, None
    if step == "begin" and not state:
        begin_move(parts, there, keep_days=30, by=OPERATOR)
    elif step == "run":
        run_move(parts, by=OPERATOR)
    elif step == "switch":
        if state == MoveState.COPYING:
            switch_move(parts, by=OPERATOR)
        if not is_settled:
            settle_move(parts, by=OPERATOR)
    elif step == "release" and state != MoveState.RELEASED:
        if until is not None and services.clock.now() < until:
            services.clock.step(timedelta(days=31))  # type: ignore[attr-defined]
        release_move(parts, by=OPERATOR)
    elif step == "abandon" and state != MoveState.ABANDONED:
        give_up(parts, by=OPERATOR)
        clear_given_up(parts, by=OPERATOR)


def assert_nothing_lost(home: ArchiveHome, films: dict[ObjectId, bytes]) -> None:
    for object_id, film in films.items():
        assert moves.original(home, object_id) == film


def filled(home: ArchiveHome, deliver: Deliver) -> dict[ObjectId, bytes]:
    films = {deliver(film): film for film in (b"one" * 100, b"two")}
    home.sequence()
    return films


@pytest.mark.parametrize("ends", ["release", "abandon"])
def test_killed_at_any_step_a_move_is_gone_on_with(home: ArchiveHome, deliver: Deliver, there: Told, ends: str) -> None:
    old, films = moves.here(home), filled(home, deliver)
    steps = ["begin", "run", "switch", "release"] if ends == "release" else ["begin", "run", "abandon"]
    for step in steps:
        for kills in range(_MOST_KILLS):
            was_killed = run_killed(home.settings, move_on, step, there, at_step=kills + 1)
            moves.follow_what_is_in_use(home, old, there)
            assert_nothing_lost(home, films)
            if not was_killed:
                break
        assert kills > 2, step
        if step == "run":
            assert moves.stands(home).balance.balances
    standing = moves.stands(home)
    assert standing.move.state == (MoveState.RELEASED if ends == "release" else MoveState.ABANDONED)
    assert moves.left_in(home, old if ends == "release" else there) == set()
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize("error", [StoreUnavailable, StorageFull])
def test_a_store_that_fails_at_any_call_loses_nothing(
    home: ArchiveHome, deliver: Deliver, there: Told, error: type[Exception]
) -> None:
    old, films = moves.here(home), filled(home, deliver)
    for step in ("begin", "run", "switch", "release"):
        for fatal in range(1, 5000):
            try:
                with moves.failing(fatal, error) as count:
                    move_on(home.services, step, there)
            except error:
                pass
            moves.follow_what_is_in_use(home, old, there)
            if fatal % 10 == 1 or count.left > 0:
                assert_nothing_lost(home, films)
            if count.left > 0:
                break
        else:
            raise AssertionError(f"{step} never came to its end")
    assert moves.stands(home).move.state == MoveState.RELEASED
    assert moves.left_in(home, old) == set()
    home.sequence()
    home.assert_sound()
