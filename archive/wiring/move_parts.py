"""Putting together what moves all objects to another store: both places by their settings, and who may work on it."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.db.process_lock import ProcessLock
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.wiring.stores import open_stores, store_place, term_of, told_store, with_store
from ingest.models import DirectUpload, Upload
from retention.moving.parts import MoveParts, Side
from retention.moving.terms import MoverBusy

_LOCK_KEY: Final = 0x6C69_756D_6F76  # "liumov"


def move_parts(settings: Settings, database: Database, signer: ManifestSigner, clock: Clock) -> MoveParts:
    """Return what a move works with. Raises: SettingsInvalid."""
    home = settings.home.absolute()
    lock = functools.partial(ProcessLock, database, home / "run" / "move.lock", key=_LOCK_KEY, what="mover")
    return MoveParts(
        database=database,
        clock=clock,
        signer=signer,
        origin=settings.origin,
        settings=told_store(settings),
        place=store_place(settings),
        folder=home / "moves",
        open_side=lambda told: _side(with_store(settings, told), clock),
        alone=lambda: _alone(lock()),
        uploads=_uploads_in_store,
    )


def _side(settings: Settings, clock: Clock) -> Side:
    stores = open_stores(settings, clock)
    return Side(
        place=store_place(settings),
        originals=stores.originals,
        quarantine=stores.quarantine,
        drafts=stores.drafts,
        renditions=stores.renditions,
        journal=stores.journal,
        term=term_of(settings),
        close=stores.close,
    )


@contextlib.contextmanager
def _alone(lock: ProcessLock) -> Iterator[None]:
    """Be the only one who works on a move, on any host. Raises: MoverBusy."""
    if not lock.try_acquire():
        raise MoverBusy
    try:
        yield
    finally:
        lock.release()


def _uploads_in_store(tx: Session) -> int:
    """Count the uploads whose bytes went straight to the bucket and are not taken in: no object holds them yet."""
    open_ones = Upload.state.in_(("receiving", "complete"))
    query = select(func.count()).select_from(DirectUpload).join(Upload, Upload.id == DirectUpload.upload_id)
    return int(tx.scalar(query.where(DirectUpload.key != "", open_ones)) or 0)


def settings_to_set(told: Mapping[str, Any]) -> list[str]:
    """Return the lines of `liuhen.toml` that name a store."""
    return [f"{name} = {_toml(value)}" for name, value in told.items()]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
