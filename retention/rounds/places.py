"""The places that rounds go through: the originals, and the second copy where there is one."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.errors import Unavailable
from archive.ledger.models import LogEntry
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import LockableBlobStore
from archive.ports.mending import Mender
from retention.models import CopyPlace
from retention.rounds.models import ORIGINALS, FixityMend

_KEPT_S: Final = 5.0
_LOADED: Final = (LogEntry,)
"""What rows of mended blobs refer to."""


class MendedVersions:
    """Which version of a blob that was mended readers of a place get, as the catalogue has it: asked now and then."""

    def __init__(self, database: Database, place: Callable[[Session], str | None]) -> None:
        """Tell of a place, whose id `place` returns once it has one; nothing is asked yet."""
        self._database, self._place = database, place
        self._guard = threading.Lock()
        self._asked_at = -float("inf")
        self._known: Mapping[str, str] | None = None
        self._tried: dict[str, str] = {}

    def __call__(self, key: str) -> str | None:
        """Return the version that a key stands for since it was mended; None for one that never was."""
        with self._guard:
            if time.monotonic() - self._asked_at >= _KEPT_S:
                try:
                    self._known = self._ask()
                except Unavailable:
                    if self._known is None:
                        raise
                self._asked_at = time.monotonic()
            return self._tried.get(key) or (self._known or {}).get(key)

    def try_out(self, versions: Mapping[str, str]) -> None:
        """Have this process read these versions too, before the catalogue has them."""
        with self._guard:
            self._tried.update(versions)

    def settle(self) -> None:
        """Forget what was tried out, and ask the catalogue again."""
        with self._guard:
            self._tried.clear()
            self._asked_at = -float("inf")

    def _ask(self) -> Mapping[str, str]:
        with self._database.read() as tx:
            place = self._place(tx)
            rows = select(FixityMend.key, FixityMend.version).where(FixityMend.place == place)
            return {} if place is None else {row.key: row.version for row in tx.execute(rows)}


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it is used now: `id` in rows, `name` in entries and for people; what reads it, and what mends it."""

    id: str
    name: str
    store: LockableBlobStore
    mender: Mender
    mended: MendedVersions

    @property
    def objects(self) -> OcflRoot:
        """The storage root that fills it."""
        return OcflRoot(self.store)


@dataclass(frozen=True, slots=True)
class CopySide:
    """The second copy: `name` is empty where there is none. `opened` returns store and mender.

    Raises: CopyAway, StoreUnavailable.
    """

    name: str = ""
    opened: Callable[[], tuple[LockableBlobStore, Mender]] | None = None
    mended: MendedVersions | None = None


@dataclass(frozen=True, slots=True)
class PlacesInUse:
    """Where objects lie now."""

    database: Database
    originals: Place
    copy: CopySide = field(default_factory=CopySide)

    @property
    def ids(self) -> list[str]:
        """The ids of the places, the originals first; a copy that nothing was copied to has none yet."""
        with self.database.read() as tx:
            copy = copy_place_id(tx, self.copy.name)
        return [ORIGINALS, *([] if copy is None else [copy])]

    def opened(self, place_id: str) -> Place | None:
        """Return a place; None for one that is not in use. Raises: CopyAway, StoreUnavailable."""
        if place_id == ORIGINALS:
            return self.originals
        with self.database.read() as tx:
            is_ours = copy_place_id(tx, self.copy.name) == place_id
        if not is_ours or self.copy.opened is None or self.copy.mended is None:
            return None
        store, mender = self.copy.opened()
        return Place(place_id, self.copy.name, store, mender, self.copy.mended)

    def name_of(self, place_id: str) -> str:
        """Return the name of a place in use."""
        return self.originals.name if place_id == ORIGINALS else self.copy.name[:300]

    def others(self, place_id: str) -> list[str]:
        """Return the ids of the places beside one."""
        return [each for each in self.ids if each != place_id]


def copy_place_id(tx: Session, name: str) -> str | None:
    """Return the id of a place of copies by its name; None where nothing was ever copied there."""
    found = None if not name else tx.scalar(select(CopyPlace.id).where(CopyPlace.place == name[:300]))
    return None if found is None else str(found)


def place_names(tx: Session) -> Mapping[str, str]:
    """Return the name of every place there ever was, by id; that of the originals is its id."""
    rows = tx.execute(select(CopyPlace.id, CopyPlace.place))
    return {ORIGINALS: ORIGINALS, **{str(row.id): row.place for row in rows}}
