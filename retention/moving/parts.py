"""What a move works with, put together by wiring: two places, the catalogue, a signer for its reports."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.instants import Instant
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import LockableBlobStore
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from retention.moving.models import StoreMove
from retention.moving.terms import UNDER_WAY, MoveNotReady, MoveState, NoMove

BATCH: Final = 100
BATCH_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two places. Locks in it last for `term`; nothing where it has none."""

    place: str
    originals: LockableBlobStore
    quarantine: LockableBlobStore
    drafts: LockableBlobStore
    renditions: LockableBlobStore
    journal: LockableBlobStore
    term: timedelta
    close: Callable[[], None]

    @property
    def objects(self) -> OcflRoot:
        """The originals as a storage root."""
        return OcflRoot(self.originals)

    @property
    def blobs(self) -> Mapping[str, LockableBlobStore]:
        """The stores of single blobs whose keys are put once and stay."""
        return {"quarantine": self.quarantine, "drafts": self.drafts}


@dataclass(frozen=True, slots=True)
class Sides:
    """Where everything comes from, and where it goes."""

    source: Side
    target: Side


@dataclass(frozen=True, slots=True)
class MoveParts:
    """The parts of a move.

    `settings` are those of the store that this process uses. `open_side` opens the place that settings name; nothing
    is made there that is not there. `alone` is held by the one process that works on a move. `uploads` counts the
    uploads whose bytes lie in the store and belong to no object yet. `tombstones` selects the objects that were
    destroyed and keep their row. `recheck` puts objects first in line for the checks of fixity.
    """

    database: Database
    clock: Clock
    signer: ManifestSigner
    origin: str
    settings: Mapping[str, Any]
    place: str
    folder: Path
    open_side: Callable[[Mapping[str, Any]], Side]
    alone: Callable[[], AbstractContextManager[None]]
    uploads: Callable[[Session], int]
    tombstones: Select[UUID] | None = None
    recheck: Callable[[Session, Sequence[UUID], Instant], None] = lambda _tx, _ids, _at: None

    @contextlib.contextmanager
    def opened(self, settings: str) -> Iterator[Side]:
        """Open the place that settings name, as a move has them. Raises: StoreUnavailable, SettingsInvalid."""
        side = self.open_side(parse_canonical(settings.encode()))
        try:
            yield side
        finally:
            side.close()

    @contextlib.contextmanager
    def sides(self, move: StoreMove) -> Iterator[Sides]:
        """Open both places of a move. Raises: as `opened`."""
        with self.opened(move.from_settings) as source, self.opened(move.to_settings) as target:
            yield Sides(source, target)


def move_under_way(tx: Session) -> StoreMove:
    """Return the move that has not ended. Raises: NoMove."""
    found = tx.scalar(select(StoreMove).where(StoreMove.state.in_(UNDER_WAY)))
    if found is None:
        raise NoMove
    return found


def move_in(tx: Session, *states: MoveState) -> StoreMove:
    """Return the move that has not ended, which must be in one of these states. Raises: NoMove, MoveNotReady."""
    found = move_under_way(tx)
    if found.state not in states:
        raise MoveNotReady(state=found.state)
    return found
