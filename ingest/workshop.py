"""What every media job stands on: the original to read, a folder to work in, the store of renditions, the log.

The original is only ever read. A result is stored under the name of its digest; row and log entry are written in the
transaction that finishes the job.
"""

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.custody.events import kept_object, record_event
from archive.db.base import insert_row
from archive.db.database import Database
from archive.evidence.items import evidence_item
from archive.evidence.models import ItemLook, Rendition
from archive.jobs.models import Job
from archive.jobs.queue import ClaimedJob
from archive.kernel.canonical import canonical_json
from archive.kernel.ids import ObjectId, RenditionId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobExists, BlobStore
from archive.ports.clock import Clock
from ingest.media.facts import Probe
from ingest.media.tools import Toolbox

Report = Callable[[int], None]
"""Tells progress in permille and keeps the lease. Raises: LeaseLost."""

Handler = Callable[[ClaimedJob, Report], None]

SourceHandler = Callable[[ClaimedJob, Report, ObjectId, Path], None]
"""Handles a job about an object, with the object's id and its original, which is only read."""

_UUID_LENGTH: Final = 36


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made from an original, before it is stored. `recipe` is enough to make it again."""

    kind: str
    path: Path
    media_type: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a rendition lies. Units: bytes."""

    made: Made
    key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the media jobs work with, put together by wiring."""

    database: Database
    clock: Clock
    objects: OcflRoot
    renditions: BlobStore
    work: Path
    toolbox: Callable[[], Toolbox]
    proxies: Mapping[int, str] = field(default_factory=dict)
    """When versions for slow links are made, by their height: always, on_demand or never."""

    def now(self) -> Instant:
        """Return the time."""
        return self.clock.now()

    def with_original(self, work: SourceHandler) -> Handler:
        """Return a handler that gives `work` the object that a job is about, and its original as a local file.

        The handler raises: ObjectNotFound, StorageFull, StoreUnavailable; what `work` raises.
        """

        def handle(job: ClaimedJob, report: Report) -> None:
            object_id = object_of(job)
            with self.database.read() as tx:
                content_path = kept_object(tx, object_id).content_path
            with self.objects.borrow(object_id, content_path) as source:
                work(job, report, object_id, source)

        return handle

    def probe_of(self, object_id: ObjectId) -> Probe:
        """Return what the probe found. Raises: ObjectNotFound; InvalidInput when it has not looked yet."""
        with self.database.read() as tx:
            return Probe.from_json(evidence_item(tx, object_id).item.probe)

    @contextmanager
    def workplace(self, job: ClaimedJob) -> Iterator[Path]:
        """Give an empty folder on the file system of the renditions, and remove it after."""
        folder = self.work / f"job-{job.id}-{job.lease_token}"
        for left in self.work.glob(f"job-{job.id}*"):
            shutil.rmtree(left, ignore_errors=True)  # what an attempt that was killed left behind
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove the work folders of attempts that nobody holds any more: their worker died before it could.

        Other workers may be at work in theirs, on this machine or another.
        """
        for folder in self.work.glob("job-*"):
            job_id, token = folder.name[len("job-") :][:_UUID_LENGTH], folder.name[len("job-") + _UUID_LENGTH + 1 :]
            with self.database.read() as tx:
                held = tx.scalar(select(Job.lease_token).where(Job.id == parse_uuid(job_id)))
            if held is None or str(held) != token:
                shutil.rmtree(folder, ignore_errors=True)

    def store(self, object_id: ObjectId, made: Made) -> Stored:
        """Put a file into the rendition store, in place of what lay there of its kind.

        It is not fsynced here: whoever waits for the picture should not wait for the disk, and a rendition can always
        be made again.
        """
        with made.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        folder = f"{object_id}/{made.kind}"
        key = f"{folder}/{sha256}{made.path.suffix}"
        size_bytes = made.path.stat().st_size
        with suppress(BlobExists):  # named by its digest: these are the same bytes
            self.renditions.adopt(key, made.path)
        for other in list(self.renditions.keys(folder)):
            if other != key:
                self.renditions.delete(other)  # left by an attempt that died before it was written down
        return Stored(made, key, sha256, size_bytes)

    def keep_found(self, object_id: ObjectId, look: str, found: Mapping[str, Any]) -> str:
        """Put what a look found beside the renditions, under its SHA-256; return that, in hexadecimal.

        The log names the digest, so that the row comes back from here when the database is lost. Like a rendition it
        can be made again, so nothing waits for the disk.
        Raises: NotCanonical where `found` has no canonical JSON: it holds a float.
        """
        data = canonical_json(dict(found))
        sha256 = hashlib.sha256(data).hexdigest()
        key = found_key(object_id, look, sha256)
        with suppress(BlobExists):
            self.renditions.put_once(key, io.BytesIO(data))
        for other in list(self.renditions.keys(key.rpartition("/")[0])):
            if other != key:
                self.renditions.delete(other)
        return sha256

    def write_rendition(self, tx: Session, object_id: ObjectId, stored: Stored) -> None:
        """Write down a stored rendition, in place of an older one of its kind, with its log entry."""
        made, rendition_id, at = stored.made, RenditionId(new_uuid7()), self.now()
        tx.execute(delete(Rendition).where(Rendition.object_id == object_id, Rendition.kind == made.kind))
        insert_row(
            tx,
            Rendition,
            id=rendition_id,
            object_id=object_id,
            kind=made.kind,
            key=stored.key,
            media_type=made.media_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            recipe=made.recipe,
            created_at=at,
        )
        detail = {
            "of": str(object_id),
            "kind": made.kind,
            "sha256": stored.sha256,
            "size": stored.size_bytes,
            "key": stored.key,
            "media_type": made.media_type,
            "recipe_sha256": self.keep_found(object_id, f"recipe-{made.kind}", made.recipe),
            "item": item_facts(tx, object_id),
        }
        self.event(tx, object_id, EntryType.DERIVATIVE_CREATED, detail, Target("rendition", rendition_id), at=at)

    def write_described(
        self,
        tx: Session,
        object_id: ObjectId,
        look: str,
        found: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the log entry of a look into an item: which look, and the SHA-256 of the canonical JSON it found.

        `facts` go into the detail beside them: what else the look has changed about the item.
        """
        sha256 = self.keep_found(object_id, look, found)
        detail = dict(facts or {}) | {"look": look, "sha256": sha256, "item": item_facts(tx, object_id)}
        self.event(tx, object_id, EntryType.ITEM_DESCRIBED, detail)

    def write_look(
        self,
        tx: Session,
        object_id: ObjectId,
        look: str,
        found: Mapping[str, Any],
        tool: str,
        *,
        facts: Mapping[str, Any] | None = None,
        at: Instant | None = None,
    ) -> None:
        """Write down what a look found, in place of an older one of its name, with its log entry.

        Raises: NotCanonical where `found` has no canonical JSON: it holds a float.
        """
        at, sha256 = at or self.now(), self.keep_found(object_id, look, found)
        tx.execute(delete(ItemLook).where(ItemLook.object_id == object_id, ItemLook.look == look))
        insert_row(
            tx, ItemLook, object_id=object_id, look=look, found=dict(found), sha256=sha256, tool=tool, made_at=at
        )
        detail = dict(facts or {}) | {"look": look, "sha256": sha256, "tool": tool, "item": item_facts(tx, object_id)}
        self.event(tx, object_id, EntryType.ITEM_DESCRIBED, detail, at=at)

    def event(
        self,
        tx: Session,
        object_id: ObjectId,
        kind: EntryType,
        detail: Mapping[str, Any],
        target: Target | None = None,
        *,
        at: Instant | None = None,
    ) -> None:
        """Write a custody event of the archive's own and its log entry."""
        entry = NewEntry(kind, ARCHIVE, target or Target("item", object_id), detail=detail)
        record_event(tx, object_id, entry, at=at or self.now())


def object_of(job: ClaimedJob) -> ObjectId:
    """Return the object that a job is about."""
    return ObjectId(parse_uuid(job.args["object_id"]))


def found_key(object_id: ObjectId, look: str, sha256: str) -> str:
    """Return where beside the renditions lies what a look found."""
    return f"{object_id}/found-{look}/{sha256}.json"


def item_facts(tx: Session, object_id: ObjectId) -> dict[str, Any]:
    """Return what is known of an item's content, as the log says it with everything that was made or found."""
    view = evidence_item(tx, object_id)
    item = view.item
    tx.refresh(item)
    tx.refresh(view.original)
    return {
        "kind": item.kind,
        "media_type": view.original.media_type,
        "duration_ms": item.duration_ms,
        "recorded_at": None if item.recorded_at is None else format_instant(item.recorded_at),
        "recorded_from": item.recorded_from,
        "play_state": item.play_state,
        "play_reason": item.play_reason,
        "play_note": item.play_note,
    }
