"""Moving everything to another store: nothing is lost, nothing is ambiguous, and nothing old goes too early."""

import csv
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from archive.cli.main import run as run_command
from archive.db.store_guard import StoreElsewhere
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.layout import object_root
from archive.settings import SettingsInvalid
from archive.wiring import build_services
from archive.wiring.stores import with_store
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from ingest.errors import Quarantined
from retention.moving.models import MovedObject, StoreMove
from retention.moving.renaming import rename_store
from retention.moving.stops import being_moved
from retention.moving.switching import switch_move
from retention.moving.terms import (
    MoveKept,
    MoveNotReady,
    MoverBusy,
    MoveState,
    MoveUnbalanced,
    MoveUnderWay,
    NoMove,
    NotThisStore,
    ObjectState,
    PlaceTaken,
)
from retention.stops import StopKind
from signing.cades import check_detached
from tests.support import moves
from tests.support.archive_home import ArchiveHome, EnrolledDock, flip
from tests.support.deployment import environment
from tests.support.moves import Told

Deliver = Callable[..., ObjectId]


@pytest.fixture
def there(tmp_path: Path) -> Told:
    return moves.another_folder(tmp_path)


def quarantine_one(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.begin(dock, b"other bytes", said=b"as was said").id
    home.stage(upload_id, b"other bytes")
    with pytest.raises(Quarantined):
        finish_upload(home.intake, upload_id)


def test_everything_goes_to_another_folder_while_the_archive_goes_on(
    home: ArchiveHome, dock: EnrolledDock, deliver: Deliver, there: Told
) -> None:
    old = moves.here(home)
    first = [deliver(f"film {number}".encode()) for number in range(4)]
    quarantine_one(home, dock)
    home.sequence()
    move_id = moves.begin(home, there)
    found = moves.run(home)
    assert (found.catalogue, found.verified, found.balances) == (4, 4, True)
    during = deliver(b"came meanwhile")
    home.sequence()
    found = moves.run(home)
    assert (found.catalogue, found.verified) == (5, 5)
    last = deliver(b"came last, and has no place in the log")
    before = home.services
    assert moves.switch(home, there).balances
    for number, object_id in enumerate(first):
        assert moves.original(home, object_id) == f"film {number}".encode()
    assert moves.original(home, during) == b"came meanwhile"
    assert moves.original(home, last) == b"came last, and has no place in the log"
    assert before.settings.store_folder != home.settings.store_folder
    home.sequence()
    home.assert_sound()
    after = deliver(b"came after")
    assert moves.original(home, after) == b"came after"
    old_folder = moves.raw_of(home, old) / "store" / object_root(after)
    assert not old_folder.exists()
    with pytest.raises(MoveKept):
        moves.release(home)
    home.clock.step(timedelta(days=31))
    kept = moves.left_in(home, old)
    assert len(kept) > 40, "the old place is readable for as long as it is kept"
    standing = moves.release(home)
    assert (standing.move.state, standing.cleared, standing.locked) == (MoveState.RELEASED, 6, 0)
    assert moves.left_in(home, old) == set()
    home.sequence()
    home.assert_sound()
    told = [entry["type"] for entry in home.entries() if entry.get("obj", {}).get("id") == str(move_id)]
    assert told[0] == "store.move_begun"
    assert told.count("store.move_switched") == 2
    assert told[-3:] == ["store.move_released"] * 3
    with home.database.read() as tx, pytest.raises(NoMove):
        from retention.moving.parts import move_under_way

        move_under_way(tx)


def test_a_process_with_the_old_settings_writes_nothing_any_more(
    home: ArchiveHome, dock: EnrolledDock, deliver: Deliver, there: Told
) -> None:
    deliver(b"film")
    home.sequence()
    upload_id = home.bring(dock, b"on its way")
    old = build_services(home.settings, clock=home.clock)
    worker = Worker(old.database, handlers=old.handlers, clock=home.clock, lease_s=15)
    moves.begin(home, there)
    moves.run(home)
    moves.switch(home, there)
    with pytest.raises(StoreElsewhere):
        build_services(old.settings, clock=home.clock)
    count = home.count("preserved_object")
    with pytest.raises(StoreElsewhere) as refused:
        finish_upload(old.intake, upload_id)
    assert "store_folder" not in refused.value.message
    assert home.count("preserved_object") == count
    assert not worker.run_once([PROMPT, LONG])
    assert worker.is_stopping
    with pytest.raises(StoreElsewhere):
        old.sequencer.sequence()
    old.close()
    finish_upload(home.intake, upload_id)
    assert moves.original(home, ObjectId(home.upload(upload_id).object_id)) == b"on its way"
    home.services.sequencer.recover()
    home.sequence()
    home.assert_sound()


def test_nobody_writes_into_the_new_place_before_it_is_in_use(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    deliver(b"film")
    home.sequence()
    early = with_store(home.settings, there)
    moves.begin(home, there)
    with pytest.raises(StoreElsewhere):
        build_services(early, clock=home.clock)
    moves.abandon(home)
    build_services(early, clock=home.clock).close()


def test_a_store_that_is_called_otherwise_is_known_again(
    home: ArchiveHome, deliver: Deliver, there: Told, tmp_path: Path
) -> None:
    object_id = deliver(b"film")
    home.sequence()
    moves.begin(home, there)
    moves.run(home)
    moves.switch(home, there)
    home.clock.step(timedelta(days=31))
    moves.release(home)
    home.sequence()
    folder, other = Path(str(there["store_folder"])), tmp_path / "mounted elsewhere"
    with pytest.raises(InvalidInput):
        rename_store(home.services.moving, by=OPERATOR)
    home.services.close()
    folder.rename(other)
    home.settings = with_store(home.settings, {"store": "files", "store_folder": str(other)})
    with pytest.raises(StoreElsewhere):
        build_services(home.settings, clock=home.clock)
    kept = other / "store" / object_root(object_id) / "inventory.json"
    kept.rename(other / "kept")
    for is_there in (False, True):
        home.services = build_services(home.settings, clock=home.clock, is_renaming=True)
        if not is_there:
            with pytest.raises(NotThisStore):
                rename_store(home.services.moving, by=OPERATOR)
            (other / "kept").rename(kept)
            home.services.close()
    rename_store(home.services.moving, by=OPERATOR)
    home.reopen()
    deliver(b"goes on")
    home.sequence()
    home.assert_sound()


def test_what_is_damaged_is_told_and_nothing_is_switched(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    bad, gone, good = deliver(b"bad" * 9), deliver(b"gone"), deliver(b"good")
    home.sequence()
    flip(home.file_of(bad, "original/a.mp4"), at=3)
    missing = home.file_of(gone, "original/a.mp4")
    kept = missing.read_bytes()
    missing.unlink()
    moves.begin(home, there)
    found = moves.run(home)
    assert (found.verified, found.different, found.missing, found.balances) == (1, 1, 1, False)
    faults = {fault.object_id: (fault.state, fault.code) for fault in moves.stands(home).faults}
    assert faults == {
        bad: (ObjectState.DIFFERENT, "ocfl.source_damaged"),
        gone: (ObjectState.MISSING, "ocfl.source_damaged"),
    }
    assert home.rows("SELECT state FROM moved_object WHERE object_id = :id", id=home.id_value(good)) == [("verified",)]
    with pytest.raises(MoveUnbalanced):
        switch_move(home.services.moving, by=OPERATOR)
    deliver(b"the archive goes on in the old place")
    flip(home.file_of(bad, "original/a.mp4"), at=3)
    missing.write_bytes(kept)
    assert moves.run(home).balances
    assert moves.switch(home, there).balances
    home.sequence()
    home.assert_sound()


def test_what_came_out_wrong_in_the_new_place_is_copied_once_more(
    home: ArchiveHome, deliver: Deliver, there: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = deliver(b"film" * 99)
    home.sequence()
    moves.begin(home, there)
    new = moves.raw_of(home, there) / "store"
    copied = new / object_root(object_id) / "v1/content/original/a.mp4"
    from retention.moving import running

    verify, flips = running.verify_some, [True]

    def flipped(*given: Any, **named: Any) -> int:
        if flips and copied.exists():
            flips.pop()
            flip(copied, at=9)
        return verify(*given, **named)

    monkeypatch.setattr(running, "verify_some", flipped)
    assert moves.run(home).different == 1, "read again, after it was put and read back"
    assert moves.stands(home).faults[0].code == "target.ocfl.content"
    assert moves.run(home).balances
    assert moves.switch(home, there).balances
    home.sequence()
    home.assert_sound()


def test_the_report_has_a_line_for_each_object_and_is_signed(
    home: ArchiveHome, deliver: Deliver, there: Told, tmp_path: Path
) -> None:
    ids = sorted(str(deliver(f"film {number}".encode())) for number in range(3))
    home.sequence()
    move_id = moves.begin(home, there)
    moves.run(home)
    moves.switch(home, there)
    with home.database.read() as tx:
        row = tx.get_one(StoreMove, move_id)
    told = json.loads(row.report)
    assert (told["step"], told["verified"], told["missing"], told["balances"]) == ("switch", 3, 0, True)
    roots = home.services.authority.root_pem
    assert check_detached(row.report, row.report_signature, trust_roots_pem=roots, at=home.clock.now()).outcome is (
        Outcome.VALID
    )
    folder = home.path / "moves" / str(move_id)
    lines = (folder / "switch.csv").read_bytes()
    assert hashlib.sha256(lines).hexdigest() == told["csv"]["sha256"]
    rows = list(csv.DictReader(lines.decode().splitlines()))
    assert [each["object"] for each in rows] == ids
    assert {each["outcome"] for each in rows} == {"verified"}
    assert {path.name for path in folder.iterdir()} == {
        f"{step}.{ending}" for step in ("before-switch", "switch") for ending in ("csv", "json", "json.p7s")
    }


def test_one_move_at_a_time_to_a_place_that_is_free(
    home: ArchiveHome, deliver: Deliver, there: Told, tmp_path: Path
) -> None:
    deliver(b"film")
    with pytest.raises(NoMove):
        moves.run(home)
    with pytest.raises(InvalidInput):
        moves.begin(home, moves.here(home))
    with pytest.raises(SettingsInvalid):
        moves.begin(home, {**there, "port": 1})
    with pytest.raises(SettingsInvalid):
        moves.begin(home, {"store_folder": there["store_folder"]})
    taken = Path(str(there["store_folder"])) / "store" / "something"
    taken.parent.mkdir()
    taken.write_text("of another")
    with pytest.raises(PlaceTaken):
        moves.begin(home, there)
    taken.unlink()
    moves.begin(home, there)
    with pytest.raises(MoveUnderWay):
        moves.begin(home, moves.another_folder(tmp_path, "third"))
    with home.services.moving.alone(), pytest.raises(MoverBusy):
        moves.run(home)
    with pytest.raises(MoveNotReady):
        moves.release(home)


def test_what_two_places_hold_is_not_disposed_of(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    object_id, other = deliver(b"film"), deliver(b"more")
    home.sequence()

    def stopped() -> set[UUID]:
        with home.database.read() as tx:
            found = being_moved(tx, [object_id, other], home.clock.now())
        assert {stop.kind for stop in found.values()} <= {StopKind.BEING_MOVED}
        return set(found)

    assert stopped() == set()
    moves.begin(home, there)
    assert stopped() == {object_id, other}
    moves.run(home)
    moves.switch(home, there)
    assert stopped() == {object_id, other}
    home.clock.step(timedelta(days=31))
    moves.release(home)
    assert stopped() == set()


def test_a_move_that_is_given_up_leaves_nothing_behind(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    object_id = deliver(b"film")
    home.sequence()
    moves.begin(home, there)
    moves.run(home)
    assert moves.left_in(home, there)
    standing = moves.abandon(home)
    assert (standing.move.state, standing.cleared) == (MoveState.ABANDONED, 1)
    assert moves.left_in(home, there) == set()
    assert moves.original(home, object_id) == b"film"
    home.sequence()
    home.assert_sound()
    moves.begin(home, there)
    moves.run(home)
    assert moves.switch(home, there).balances, "the same place may be taken later"
    with pytest.raises(MoveNotReady):
        moves.abandon(home)


def test_back_to_where_it_came_from(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    old = moves.here(home)
    deliver(b"film")
    home.sequence()
    for place in (there, old):
        moves.begin(home, place, keep_days=1)
        moves.run(home)
        assert moves.switch(home, place).balances
        home.clock.step(timedelta(days=2))
        moves.release(home)
        deliver(f"in {place['store_folder']}".encode())
        home.sequence()
    assert moves.left_in(home, there) == set()
    home.assert_sound()


def test_a_place_that_is_lost_can_be_left(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    object_id = deliver(b"film")
    home.sequence()
    moves.begin(home, there)
    moves.run(home)
    assert moves.abandon(home, leaves=True).move.state == MoveState.ABANDONED
    assert moves.left_in(home, there)
    assert moves.original(home, object_id) == b"film"


def test_nothing_old_goes_while_anything_new_is_damaged(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    old, object_id = moves.here(home), deliver(b"film" * 50)
    deliver(b"another")
    home.sequence()
    moves.begin(home, there)
    moves.run(home)
    moves.switch(home, there)
    kept = moves.left_in(home, old)
    home.clock.step(timedelta(days=31))
    flip(home.file_of(object_id, "original/a.mp4"), at=5)
    with pytest.raises(MoveUnbalanced):
        moves.release(home)
    assert moves.left_in(home, old) == kept
    standing = moves.stands(home)
    assert (standing.balance.different, standing.move.state) == (1, MoveState.SWITCHED)
    flip(home.file_of(object_id, "original/a.mp4"), at=5)
    assert moves.release(home).move.state == MoveState.RELEASED


def test_the_commands(
    home: ArchiveHome,
    deliver: Deliver,
    there: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliver(b"film")
    home.sequence()
    file = tmp_path / "there.toml"
    file.write_text(f'store = "files"\nstore_folder = "{there["store_folder"]}"\n')

    def told(*words: str) -> tuple[int, Any]:
        for name, value in environment(home.settings).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run_command(["move", *words])
        out = capsys.readouterr().out
        return code, json.loads(out) if "--json" in words else out

    code, _ = told("begin", "--to", str(file))
    assert code == 0
    code, standing = told("status", "--json")
    assert (code, standing["state"], standing["unknown"]) == (2, "copying", 1)
    code, standing = told("run", "--json")
    assert (code, standing["verified"], standing["balances"]) == (0, 1, True)
    code, standing = told("switch", "--json")
    assert (code, standing["state"]) == (0, "switched")
    assert standing["settings"] == ['store = "files"', f'store_folder = "{there["store_folder"]}"']
    code, _ = told("status", "--json")
    assert code == 78, "the old settings lead nowhere any more"
    moves.follow(home, there)
    (tmp_path / "saved").mkdir()
    code, standing = told("status", "--json", "--save", str(tmp_path / "saved"))
    assert (code, standing["state"], standing["balances"]) == (0, "switched", True)
    assert len(list((tmp_path / "saved").iterdir())) == 3
    code, _ = told("release", "--json")
    assert code == 73
    home.sequence()
    home.assert_sound()


def test_rows_of_a_move_are_held_against_the_log(home: ArchiveHome, deliver: Deliver, there: Told) -> None:
    object_id = deliver(b"film")
    home.sequence()
    moves.begin(home, there)
    moves.run(home)
    moves.switch(home, there)
    home.sequence()
    home.assert_sound()
    for sql in (
        "UPDATE moved_object SET head = 7",
        "UPDATE store_move SET keep_until = begun_at",
        "UPDATE store_move SET keep_days = 1",
    ):
        table, column = sql.split()[1], sql.split()[3]
        with home.database.read() as tx:
            before = tx.scalars(
                __import__("sqlalchemy").select(StoreMove if table == "store_move" else MovedObject)
            ).one()
            value = getattr(before, column)
        home.execute(sql)
        assert {fault.code for fault in home.faults()} == {"fsck.row_changed"}, sql
        with home.database.begin() as tx:
            row = tx.get_one(type(before), before.id if table == "store_move" else (before.move_id, object_id))
            setattr(row, column, value)
    home.assert_sound()
    home.execute("DELETE FROM moved_object")
    assert {fault.code for fault in home.faults()} == {"fsck.row_missing"}
