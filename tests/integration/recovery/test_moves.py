"""An archive that was moved and whose signatures were renewed loses its database: that comes back too."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.recovery.comparison import closed_list, compare, take_dump
from retention.moving.releasing import release_move
from tests.support import moves
from tests.support.archive_home import ArchiveHome, SteppedClock, clock, deliver, dock, home
from tests.support.lost_databases import command, lose_database, migrate_empty

__all__ = ["clock", "deliver", "dock", "home"]


@pytest.mark.parametrize("ends", ["kept", "released", "copying"])
def test_what_was_moved_and_renewed_comes_back(
    home: ArchiveHome,
    deliver: Callable[..., ObjectId],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ends: str,
) -> None:
    there = moves.another_folder(tmp_path)
    first = deliver(b"film")
    deliver(b"another")
    home.sequence()
    home.services.evidence.renew_due()
    home.services.evidence.objects.renew(first, by=OPERATOR)
    moves.begin(home, there, keep_days=1)
    moves.run(home)
    if ends != "copying":
        moves.switch(home, there)
    if ends == "released":
        ahead = SteppedClock()  # of the release alone: the log goes by the machine's, as what comes after does
        ahead.step(timedelta(days=2))
        release_move(replace(home.services.moving, clock=ahead), by=OPERATOR)
    home.sequence()
    before = take_dump(home.database)
    lose_database(home)
    migrate_empty(home)
    capsys.readouterr()
    assert command(home, monkeypatch, "recover", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each for each in told["findings"] if each["outcome"] != "valid"] == []
    home.reopen()
    found = compare(before, take_dump(home.database), closed_list())
    assert sorted({(each.table, each.kind) for each in found.unlisted}) == []
    assert moves.original(home, first) == b"film"
    if ends == "copying":
        assert moves.run(home).balances, "a move that was under way is gone on with"
