"""What intake needs, put together by wiring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from archive.db.database import Database
from archive.kernel.digests import STANDARD
from archive.kernel.errors import StorageFull
from archive.ledger.policy import NO_WITNESSES, WitnessPolicy
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobStore
from archive.ports.clock import Clock
from archive.ports.direct import DirectStore
from archive.ports.keys import KeyHandle, ManifestSigner
from ingest.staging import free_bytes


@dataclass(frozen=True, slots=True)
class DirectParts:
    """How bytes come straight to the store of originals: `store` takes their parts, `blobs` reads and removes them."""

    store: DirectStore
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class DockLimits:
    """What one dock may send: bytes begun in 24 hours, bytes in a second, uploads at once. 0 means any number."""

    bytes_per_day: int = 0
    bytes_per_s: int = 0
    uploads: int = 0


@dataclass(frozen=True, slots=True)
class Intake:
    """The parts of intake.

    `policy` says which cosignatures a checkpoint needs before receipts lead to it.
    `direct` is there where docks may send straight to the bucket.
    `staging` lies on the file system of the stores, so that a finished upload becomes an object without a copy.
    `place` names the disk that it lies on, which other hosts may not see (`ingest.places`).
    """

    database: Database
    clock: Clock
    objects: OcflRoot
    quarantine: BlobStore
    staging: Path
    signer: ManifestSigner
    receipt_key: KeyHandle
    origin: str
    policy: WitnessPolicy = NO_WITNESSES
    algorithms: Sequence[str] = field(default=STANDARD)
    max_size_bytes: int = 1 << 40
    axis_waiting_bytes: int = 1 << 40
    upload_lifetime: timedelta = timedelta(days=7)
    reserve_bytes: int = 64 * 1024 * 1024
    direct: DirectParts | None = None
    dock_limits: DockLimits = DockLimits()
    most_waiting_uploads: int = 0
    most_due_jobs: int = 0
    place: str = ""
    give_way: Callable[[int], None] = lambda _: None

    def room_bytes(self, wanted_bytes: int) -> int:
        """Return how much room the disk has above the reserve; copies of what lies in a bucket give way to `wanted`."""
        room = free_bytes(self.staging) - self.reserve_bytes
        if room < wanted_bytes:
            self.give_way(wanted_bytes + self.reserve_bytes)
            room = free_bytes(self.staging) - self.reserve_bytes
        return room

    def require_room(self, size_bytes: int) -> None:
        """Refuse a file that would go into the reserve. Raises: StorageFull."""
        if self.room_bytes(size_bytes) < size_bytes:
            raise StorageFull("There is not enough room for this file", needed_bytes=size_bytes)

    def is_here(self, place: str) -> bool:
        """Whether staged bytes lie where this process sees them; those from before there were places do."""
        return place in {"", self.place}
