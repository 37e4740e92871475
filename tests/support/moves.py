"""Moves to another store as tests have them: where to, the steps with short words, and what lies where, raw."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from archive.adapters.filesystem_store import FilesystemStore
from archive.db.store_guard import store_in_use
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.layout import ROOT_FILES
from archive.wiring.stores import store_place, told_store, with_store
from retention.moving.beginning import begin_move, give_up
from retention.moving.releasing import clear_given_up, release_move
from retention.moving.reporting import Balance
from retention.moving.running import MoveStanding, run_move, standing
from retention.moving.switching import settle_move, switch_move
from tests.support import deployment
from tests.support.archive_home import ArchiveHome
from tests.support.deployment import STORES, RawStores

Told = Mapping[str, Any]
_METHODS = ("put_once", "adopt", "replace_if", "open", "size_bytes", "exists", "delete", "keys")


def another_folder(base: Path, name: str = "there") -> Told:
    """Return the settings of a store in a new folder."""
    folder = base / name
    folder.mkdir()
    return {"store": "files", "store_folder": str(folder)}


def buckets(base: Path, **more: Any) -> Told:
    """Return the settings of a store in two new buckets of the run's server."""
    told = {**deployment.s3_settings(base), **more}
    return {name: str(value) if isinstance(value, Path) else value for name, value in told.items()}


def begin(home: ArchiveHome, to: Told, *, keep_days: int = 30) -> UUID:
    return begin_move(home.services.moving, to, keep_days=keep_days, by=OPERATOR)


def run(home: ArchiveHome) -> Balance:
    return run_move(home.services.moving, by=OPERATOR)


def switch(home: ArchiveHome, to: Told) -> Balance:
    """Switch, start anew with the settings of the new place, and settle."""
    switch_move(home.services.moving, by=OPERATOR)
    follow(home, to)
    return settle(home)


def settle(home: ArchiveHome) -> Balance:
    return settle_move(home.services.moving, by=OPERATOR)


def release(home: ArchiveHome, *, leaves: bool = False) -> MoveStanding:
    return release_move(home.services.moving, by=OPERATOR, leaves=leaves)


def abandon(home: ArchiveHome, *, leaves: bool = False) -> MoveStanding:
    give_up(home.services.moving, by=OPERATOR)
    return clear_given_up(home.services.moving, by=OPERATOR, leaves=leaves)


def stands(home: ArchiveHome) -> MoveStanding:
    with home.database.read() as tx:
        return standing(tx, home.services.moving)


def follow(home: ArchiveHome, to: Told) -> None:
    """Start anew with the settings of another place."""
    home.settings = with_store(home.settings, to)
    home.reopen()


def here(home: ArchiveHome) -> Told:
    """Return the settings of the store that the archive has now."""
    return dict(told_store(home.settings))


def raw_of(home: ArchiveHome, told: Told) -> RawStores:
    """Return the stores of a place past the archive."""
    return RawStores.of(with_store(home.settings, told))


def left_in(home: ArchiveHome, told: Told) -> set[str]:
    """Return what lies in a place, but for the files of a storage root."""
    found = set()
    for name in STORES:
        folder = raw_of(home, told) / name
        for path in folder.rglob("*") if folder.exists() else ():
            if path.is_file():
                key = path.relative_to(folder).as_posix()
                if name != "store" or key not in ROOT_FILES:
                    found.add(f"{name}/{key}")
    return found


def original(home: ArchiveHome, object_id: ObjectId, path: str = "original/a.mp4") -> bytes:
    """Return an original as the archive reads it."""
    with home.services.objects.open_file(object_id, path) as source:
        return source.read()


def follow_what_is_in_use(home: ArchiveHome, old: Told, there: Told) -> None:
    """Start anew with the settings of the store that the rows say is in use."""
    with home.database.read() as tx:
        used = store_in_use(tx)
    wanted = with_store(home.settings, there)
    told = there if used == store_place(wanted) else old
    if store_place(with_store(home.settings, told)) != store_place(home.settings):
        follow(home, told)


class Failing:
    """Lets the calls of all stores in folders fail at one of them: as if the disk were full, or did not answer."""

    def __init__(self, fatal: int, error: type[BaseException]) -> None:
        self.left, self.error = fatal, error

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


@contextlib.contextmanager
def failing(fatal: int, error: type[BaseException]) -> Iterator[Failing]:
    count, originals = Failing(fatal, error), {name: getattr(FilesystemStore, name) for name in _METHODS}

    def counted(original: Any) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            count()
            return original(*given, **named)

        return called

    for name, original in originals.items():
        setattr(FilesystemStore, name, counted(original))
    try:
        yield count
    finally:
        for name, original in originals.items():
            setattr(FilesystemStore, name, original)
