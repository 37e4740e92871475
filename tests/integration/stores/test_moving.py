"""Moving between folders and buckets, and from prefix to prefix: locks are set and read back, and respected."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl.layout import is_root_inventory, object_root
from retention.moving.terms import MoveState
from retention.planning.models import RetentionPlan
from tests.support import moves
from tests.support.archive_home import ArchiveHome, clock, make_home
from tests.support.deployment import weed_of_run
from tests.support.moves import Told

__all__ = ["clock"]


@pytest.fixture
def folders(tmp_path: Path, clock: Any) -> Iterator[ArchiveHome]:
    made = make_home(tmp_path, "", clock, store="files", lock_days=0)
    yield made
    made.services.close()


def in_buckets(base: Path, clock: Any, **more: Any) -> ArchiveHome:
    return make_home(base, "", clock, **moves.buckets(base, **more))


def filled(home: ArchiveHome) -> dict[ObjectId, bytes]:
    dock = home.dock()
    films = (b"small", os.urandom(9 << 20), "中文".encode())
    found = {home.deliver(dock, film): film for film in films}
    home.sequence()
    return found


def assert_there(home: ArchiveHome, films: dict[ObjectId, bytes]) -> None:
    for object_id, film in films.items():
        assert moves.original(home, object_id) == film
    home.sequence()
    home.assert_sound()


def locks(home: ArchiveHome, told: Told, object_id: ObjectId) -> dict[str, tuple[Instant | None, str]]:
    """Return until when each version of an object is locked, and whether it is held, as the server says."""
    client, prefix = weed_of_run().client(), f"{told.get('s3_prefix', '')}/store/{object_root(object_id)}/".lstrip("/")
    found = {}
    for row in client.list_object_versions(Bucket=told["s3_bucket"], Prefix=prefix)["Versions"]:
        key = row["Key"].removeprefix(f"{told.get('s3_prefix', '')}/store/".lstrip("/"))
        if is_root_inventory(key):
            continue
        where = {"Bucket": told["s3_bucket"], "Key": row["Key"], "VersionId": row["VersionId"]}
        try:
            until = client.get_object_retention(**where)["Retention"]["RetainUntilDate"]
        except ClientError:
            until = None
        try:
            held = client.get_object_legal_hold(**where)["LegalHold"]["Status"]
        except ClientError:
            held = "OFF"
        found[key] = (until, held)
    return found


def test_from_folders_into_buckets_and_back(folders: ArchiveHome, tmp_path: Path) -> None:
    old, films, there = moves.here(folders), filled(folders), moves.buckets(tmp_path / "there", lock_days=2)
    permanent = next(iter(films))
    with folders.database.begin() as tx:
        tx.add(RetentionPlan(object_id=permanent, is_permanent=True, planned_at=folders.clock.now()))
    moves.begin(folders, there, keep_days=1)
    assert moves.run(folders).balances
    assert moves.switch(folders, there).balances
    least = folders.clock.now() + timedelta(days=2) - timedelta(minutes=10)
    for object_id in films:
        found = locks(folders, there, object_id)
        assert len(found) == 10
        assert all(until is not None and until >= least for until, _ in found.values())
        assert {held for _, held in found.values()} == {"ON" if object_id == permanent else "OFF"}
    rows = folders.rows("SELECT count(*) FROM object_lock")
    assert rows == [(len(films),)]
    assert_there(folders, films)
    folders.clock.step(timedelta(days=2))
    assert moves.release(folders).move.state == MoveState.RELEASED
    assert moves.left_in(folders, old) == set()
    # Back again: what is locked there stays until its lock ends, and is told.
    moves.begin(folders, old, keep_days=1)
    assert moves.run(folders).balances
    assert moves.switch(folders, old).balances
    assert_there(folders, films)
    folders.clock.step(timedelta(days=1, hours=1))
    standing = moves.release(folders)
    assert (standing.move.state, standing.cleared, standing.locked) == (MoveState.RELEASING, 0, len(films))
    assert standing.locked_until is not None
    assert len(moves.left_in(folders, there)) > 30
    assert_there(folders, films)


def test_from_prefix_to_prefix_without_locks_nothing_is_left(tmp_path: Path, clock: Any) -> None:
    (tmp_path / "here").mkdir()
    home = in_buckets(tmp_path / "here", clock, lock_days=0, s3_prefix="one")
    try:
        old, films = moves.here(home), filled(home)
        there = {**old, "s3_prefix": "two"}
        moves.begin(home, there, keep_days=1)
        assert moves.run(home).balances
        assert moves.switch(home, there).balances
        home.clock.step(timedelta(days=2))
        assert moves.release(home).move.state == MoveState.RELEASED
        assert moves.left_in(home, old) == set()
        for object_id, film in films.items():
            assert moves.original(home, object_id) == film
    finally:
        home.services.close()


def test_the_old_bucket_stays_locked_for_as_long_as_it_is_kept(tmp_path: Path, clock: Any) -> None:
    (tmp_path / "here").mkdir()
    home = in_buckets(tmp_path / "here", clock, lock_days=1)
    try:
        old, films = moves.here(home), filled(home)
        there = moves.buckets(tmp_path / "there", lock_days=1)
        moves.begin(home, there, keep_days=9)
        moves.run(home)
        moves.switch(home, there)
        until = home.clock.now() + timedelta(days=9) - timedelta(minutes=10)
        for object_id in films:
            assert all(ends is not None and ends >= until for ends, _ in locks(home, old, object_id).values())
        assert_there(home, films)
    finally:
        home.services.close()


def test_a_lock_of_the_old_place_is_not_shortened_by_the_move(tmp_path: Path, clock: Any) -> None:
    (tmp_path / "here").mkdir()
    home = in_buckets(tmp_path / "here", clock, lock_days=30)
    try:
        films = filled(home)
        home.services.locks.note_new()
        there = moves.buckets(tmp_path / "there", lock_days=1)
        moves.begin(home, there)
        moves.run(home)
        least = home.clock.now() + timedelta(days=30) - timedelta(minutes=10)
        for object_id in films:
            assert all(ends is not None and ends >= least for ends, _ in locks(home, there, object_id).values())
    finally:
        home.services.close()
