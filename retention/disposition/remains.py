"""What there is of an object, and what stays of it: nothing of its content, not its names, and all of its history.

In the stores: the object with all its versions, the second copy, what was made from it, the PDFs that were its drafts.
In the catalogue: what was said of it and read out of it goes; the row with its digests, its links, its custody trail,
who looked at it and why, holds and plans stay. In the journal the details that name it are erased
(docs/adr/0035-destruction.md says which stay).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import JSON, LargeBinary, String, Uuid, column, delete, select, table, update
from sqlalchemy.orm import Session

from archive.cases.indexing import index_objects
from archive.cases.models import CaseLink
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.database import overwrite_deleted
from archive.documents.models import Draft, ItemText, RecordExtension, RecordScan, TextRecord
from archive.evidence.grouping import RecordingRules
from archive.evidence.models import EvidenceItem, ItemLook, LiveEncoding, Rendition
from archive.evidence.regrouping import ungroup_item
from archive.jobs.models import Job
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType
from archive.ledger.models import LogErasure
from archive.ocfl.destroying import Extent
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobMissing, BlobStore
from archive.volumes.models import Volume, VolumeCheck, VolumeLine
from retention.copies import Copies
from retention.models import ObjectCopy, ObjectLock

NAMING: Final = (
    EntryType.OBJECT_PRESERVED.value,
    EntryType.INGEST_RECEIVED.value,
    EntryType.ITEM_DESCRIBED.value,
    EntryType.RECORD_SET.value,
    EntryType.RECORD_FILED.value,
)
"""Types of entries whose details name an object or say what is in it: these are erased."""
STOPPED_JOB: Final = "disposition: the object is being destroyed"
"""What stands in a job that was ended, so that whoever rolls back finds it again."""
NOTHING_WRITTEN: Final = "{}"
_JOBS: Final = (
    "contents", "damage", "encode", "essence", "group", "inspect", "poster", "probe", "proxy", "sweep_live", "text",
    "track",
)  # fmt: skip
"""Beginnings of the keys of jobs about one object."""

# These belong to intake, which stands beside retention.
_UPLOAD: Final = table(
    "upload",
    column("id", Uuid()),
    column("object_id", Uuid()),
    column("metadata_header", String()),
    column("manifest", LargeBinary()),
    column("manifest_signature", LargeBinary()),
)
_CLAIM: Final = table("intake_claim", column("object_id", Uuid()))
_WAITING: Final = table("waiting_recording", column("upload_id", Uuid()), column("name", String()))
_AXIS_OBJECT: Final = table(
    "axis_object", column("id", Uuid()), column("container_id", Uuid()), column("state", String())
)
_AXIS_CONTAINER: Final = table("axis_container", column("id", Uuid()), column("meta", JSON()))


@dataclass(frozen=True, slots=True)
class DisposalStores:
    """Every store that holds something of an object. `copies` may be without a place."""

    originals: OcflRoot
    copies: Copies
    renditions: BlobStore
    drafts: BlobStore

    def copy(self) -> OcflRoot | None:
        """Return the second copy, None where there is none. Raises: CopyAway, StoreUnavailable."""
        return self.copies.opened() if self.copies.place else None

    def extents(self, object_id: ObjectId) -> Mapping[str, Extent]:
        """Return how much of an object each store holds. Raises: CopyAway, StoreUnavailable."""
        copy = self.copy()
        return {
            "originals": self.originals.extent(object_id),
            "copy": Extent() if copy is None else copy.extent(object_id),
            "renditions": _extent_below(self.renditions, object_id),
            "drafts": _extent_below(self.drafts, object_id),
        }

    def delete_derived(self, object_id: ObjectId) -> None:
        """Delete what was made from an object, and what it was made from: renditions, segments, finds, drafts.

        Idempotent. Raises: StoreUnavailable.
        """
        for store in (self.renditions, self.drafts):
            for key in list(store.keys(str(object_id))):
                with suppress(BlobMissing):
                    store.delete(key)


def _extent_below(store: BlobStore, object_id: ObjectId) -> Extent:
    found = Extent()
    for key in store.keys(str(object_id)):
        with suppress(BlobMissing):
            found += Extent(1, store.size_bytes(key))
    return found


def as_told(extents: Mapping[str, Extent]) -> dict[str, Any]:
    """Return how much there is in each store, as rows and entries hold it: files and bytes."""
    return {name: {"files": each.files, "bytes": each.size_bytes} for name, each in extents.items()}


def naming_entries(tx: Session, object_id: ObjectId) -> Sequence[EntryId]:
    """Return the entries about an object whose details are to be erased and are not yet."""
    erased = select(LogErasure.entry_id)
    rows = (
        select(CustodyEvent.entry_id)
        .where(
            CustodyEvent.object_id == object_id,
            CustodyEvent.type.in_(NAMING),
            CustodyEvent.entry_id.not_in(erased),
        )
        .order_by(CustodyEvent.entry_id)
    )
    return [EntryId(each) for each in tx.scalars(rows)]


def stop_jobs(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """End the jobs about an object; whoever has one under way loses the lease, and what it made is not written down."""
    open_ones = (Job.key.in_(_keys(object_id)), Job.state.in_(("ready", "running")))
    ended = {"state": "done", "finished_at": at, "lease_token": None, "lease_until": None, "last_error": STOPPED_JOB}
    tx.execute(update(Job).where(*open_ones).values(**ended))


def revive_jobs(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """Have the jobs done after all that were ended by `stop_jobs`: the object stays."""
    ended = (Job.key.in_(_keys(object_id)), Job.state == "done", Job.last_error == STOPPED_JOB)
    again = {"state": "ready", "not_before": at, "finished_at": None, "last_error": None, "rung_at": None}
    tx.execute(update(Job).where(*ended).values(**again))


def _keys(object_id: ObjectId) -> Iterator[str]:
    return (f"{name}:{object_id}" for name in _JOBS)


def forget_rows(tx: Session, row: PreservedObject, *, rules: RecordingRules, at: Instant) -> None:
    """Remove what the catalogue says of a destroyed object but for its digests and its history, in one transaction.

    What is deleted is overwritten where the database can do that.
    """
    object_id = ObjectId(row.id)
    overwrite_deleted(tx)
    if row.kind == "item":
        ungroup_item(tx, object_id, rules=rules, at=at)
    for of_object in (Rendition, LiveEncoding, ItemLook, ItemText, RecordScan, RecordExtension):
        tx.execute(delete(of_object).where(of_object.object_id == object_id))
    tx.execute(delete(EvidenceItem).where(EvidenceItem.object_id == object_id))
    tx.execute(update(TextRecord).where(TextRecord.object_id == object_id).values(title="", pages=None))
    unwritten = {"title": "", "field_values": NOTHING_WRITTEN, "number": None, "pages": None, "values_sha256": None}
    tx.execute(update(Draft).where(Draft.id == object_id).values(**unwritten))
    _forget_volume(tx, object_id)
    _forget_intake(tx, object_id)
    for kept_elsewhere in (ObjectCopy, ObjectLock):
        tx.execute(delete(kept_elsewhere).where(kept_elsewhere.object_id == object_id))
    blank = {"content_path": "", "media_type": "", **({} if row.kind == "volume" else {"name": ""})}
    tx.execute(update(PreservedObject).where(PreservedObject.id == object_id).values(**blank, destroyed_at=at))
    index_objects(tx, [object_id])


def _forget_volume(tx: Session, object_id: ObjectId) -> None:
    """Remove the lines of a volume and its checks: what stood in it. Number, root and counts of the volume stay.

    What was bound in it is bound no more.
    """
    volumes = select(Volume.id).where(Volume.object_id == object_id)
    tx.execute(update(CaseLink).where(CaseLink.volume_id.in_(volumes)).values(volume_id=None))
    for inside in (VolumeLine, VolumeCheck):
        tx.execute(delete(inside).where(inside.volume_id.in_(volumes)))


def _forget_intake(tx: Session, object_id: ObjectId) -> None:
    """Remove what came with the uploads of an object: the dock's manifest, and what stood in transfer.

    The claim goes too: the same bytes, sent again, are a new object, and are kept.
    """
    uploads: Sequence[UUID] = tx.scalars(select(_UPLOAD.c.id).where(_UPLOAD.c.object_id == object_id)).all()
    nothing = {"manifest": b"", "manifest_signature": b"", "metadata_header": ""}
    tx.execute(update(_UPLOAD).where(_UPLOAD.c.object_id == object_id).values(**nothing))
    tx.execute(update(_WAITING).where(_WAITING.c.upload_id.in_(uploads)).values(name=""))
    tx.execute(delete(_CLAIM).where(_CLAIM.c.object_id == object_id))
    containers = tx.scalars(select(_AXIS_OBJECT.c.container_id).where(_AXIS_OBJECT.c.id.in_(uploads)).distinct()).all()
    tx.execute(delete(_AXIS_OBJECT).where(_AXIS_OBJECT.c.id.in_(uploads)))
    for container_id in containers:
        others = select(_AXIS_OBJECT.c.id).where(
            _AXIS_OBJECT.c.container_id == container_id, _AXIS_OBJECT.c.state.in_(("staged", "delivered"))
        )
        if tx.scalar(others.limit(1)) is None:  # of this recording nothing is kept any more
            tx.execute(delete(_AXIS_OBJECT).where(_AXIS_OBJECT.c.container_id == container_id))
            tx.execute(update(_AXIS_CONTAINER).where(_AXIS_CONTAINER.c.id == container_id).values(meta={}))


def as_extents(told: Mapping[str, Any] | None) -> Mapping[str, Extent]:
    """Return what `as_told` has told."""
    return {name: Extent(int(each["files"]), int(each["bytes"])) for name, each in (told or {}).items()}
