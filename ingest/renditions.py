"""The jobs that follow an intake: look into the item, make it playable, prove that it is what was recorded.

`probe_item` copies at once what can be copied; what must be encoded goes on as `encode_item`. The playable rendition
comes first; poster and essence hash follow as jobs of their own. The original is only ever read.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from archive.custody.events import record_event
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.evidence.items import evidence_item
from archive.evidence.models import EvidenceItem
from archive.evidence.models import Rendition as RenditionRow
from archive.jobs.models import Job
from archive.jobs.queue import LONG, PROMPT, ClaimedJob, add_job, finish_job
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId, RenditionId, new_uuid7, parse_uuid
from archive.kernel.instants import parse_instant
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobExists, BlobMissing, BlobStore
from archive.ports.clock import Clock
from ingest.media.allowed import Kind
from ingest.media.errors import Unplayable
from ingest.media.essence import compare_essence, essence
from ingest.media.facts import Probe
from ingest.media.plan import PlanKind, RenditionPlan, plan
from ingest.media.probe import probe
from ingest.media.renditions import Rendition, make_playable, make_poster
from ingest.media.tools import Toolbox

PROBE_ITEM: Final = "probe_item"
ENCODE_ITEM: Final = "encode_item"
MAKE_POSTER: Final = "make_poster"
PROVE_ESSENCE: Final = "prove_essence"

Report = Callable[[int], None]
"""Tells progress in permille and keeps the lease. Raises: LeaseLost."""


@dataclass(frozen=True, slots=True)
class MediaJobs:
    """What the media jobs need, put together by wiring."""

    database: Database
    clock: Clock
    objects: OcflRoot
    renditions: BlobStore
    work: Path
    toolbox: Callable[[], Toolbox]

    @property
    def handlers(self) -> Mapping[str, Callable[[ClaimedJob, Report], None]]:
        """The handler of each kind of job."""
        return {
            PROBE_ITEM: self.probe_item,
            ENCODE_ITEM: self.encode_item,
            MAKE_POSTER: self.make_poster,
            PROVE_ESSENCE: self.prove_essence,
        }

    def probe_item(self, job: ClaimedJob, report: Report) -> None:
        """Establish what the item is, and make it playable at once if that needs no encode.

        Raises: what the media steps raise; retryable causes lead to another attempt.
        """
        object_id, source = self._source(job)
        found = probe(source, toolbox=self.toolbox())
        chosen = plan(found)
        if found.kind is Kind.DOCUMENT or chosen.reason is not None:
            self._write_unplayable(job, object_id, found, chosen.reason)
        elif chosen.kind is PlanKind.ENCODE and found.video is not None:
            with self.database.begin() as tx:
                _write_probe(tx, object_id, found)
                add_job(
                    tx,
                    ENCODE_ITEM,
                    job.args,
                    at=self.clock.now(),
                    queue=LONG,
                    key=f"encode:{object_id}",
                )
                finish_job(tx, job, at=self.clock.now())
        else:
            self._make_playable(job, object_id, source, found, report)

    def encode_item(self, job: ClaimedJob, report: Report) -> None:
        """Encode an item whose streams no browser plays. Raises: as `probe_item`."""
        object_id, source = self._source(job)
        with self.database.read() as tx:
            found = Probe.from_json(evidence_item(tx, object_id).item.probe)
        self._make_playable(job, object_id, source, found, report)

    def make_poster(self, job: ClaimedJob, report: Report) -> None:
        """Make a still of the item, where it has a picture. Raises: as `probe_item`."""
        object_id, source = self._source(job)
        with self.database.read() as tx:
            found = Probe.from_json(evidence_item(tx, object_id).item.probe)
        with self._workplace(job) as out:
            try:
                made = make_poster(source, toolbox=self.toolbox(), out=out, probe=found)
            except Unplayable:
                made = None  # the recording plays, or not, without it
            report(900)
            stored = None if made is None else self._stored(object_id, made)
            with self.database.begin() as tx:
                if made is not None and stored is not None:
                    self._write_rendition(tx, object_id, made, *stored)
                finish_job(tx, job, at=self.clock.now())

    def prove_essence(self, job: ClaimedJob, report: Report) -> None:
        """Make the playable rendition durable, and compare its packets with those of the original.

        A rendition that a power cut has taken before it was durable is made again first.
        Raises: as `probe_item`.
        """
        object_id, source = self._source(job)
        with self.database.read() as tx:
            view = evidence_item(tx, object_id)
        playable = view.rendition("playable")
        if playable is not None and not self._is_whole(playable):
            self._make_again(job, object_id, source, playable)
            with self.database.read() as tx:
                view = evidence_item(tx, object_id)
            playable = view.rendition("playable")
        path = None if playable is None else self.renditions.local_path(playable.key)
        found = Probe.from_json(view.item.probe)
        result: dict[str, Any] = {"findings": []}
        try:
            original = essence(source, toolbox=self.toolbox(), probe=found)
            result["original"] = original.as_json()
            report(500)
            if playable is not None and path is not None:
                _sync(path)
                made = probe(path, toolbox=self.toolbox())
                theirs = essence(path, toolbox=self.toolbox(), probe=made)
                chosen = RenditionPlan.from_json(playable.recipe["plan"])
                findings = compare_essence(original, theirs, chosen=chosen, format_name=found.format_name)
                result |= {
                    "rendition": theirs.as_json(),
                    "findings": [finding.as_json() for finding in findings],
                }
        except Unplayable as exc:
            result["reason"] = exc.facts.get("reason", exc.code)
        with self.database.begin() as tx:
            tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(essence=result))
            self._event(tx, object_id, EntryType.DERIVATIVE_VERIFIED, {"of": str(object_id), **_told(result)})
            finish_job(tx, job, at=self.clock.now())

    def _is_whole(self, row: RenditionRow) -> bool:
        path = self.renditions.local_path(row.key) if self.renditions.exists(row.key) else None
        if path is None:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == row.sha256

    def _make_again(self, job: ClaimedJob, object_id: ObjectId, source: Path, lost: RenditionRow) -> None:
        with self.database.read() as tx:
            found = Probe.from_json(evidence_item(tx, object_id).item.probe)
        with suppress(BlobMissing):  # a remux is named by the same digest again, so the broken one must go first
            self.renditions.delete(lost.key)
        with self._workplace(job) as out:
            made = make_playable(source, toolbox=self.toolbox(), out=out, probe=found)
            stored = self._stored(object_id, made)
            with self.database.begin() as tx:
                self._write_rendition(tx, object_id, made, *stored)

    def _source(self, job: ClaimedJob) -> tuple[ObjectId, Path]:
        object_id = ObjectId(parse_uuid(job.args["object_id"]))
        with self.database.read() as tx:
            content_path = evidence_item(tx, object_id).original.content_path
        path = self.objects.local_path(object_id, content_path)
        if path is None:
            raise FileNotFoundError(content_path)
        return object_id, path

    def sweep(self) -> None:
        """Remove the work folders of jobs that have ended: their worker died before it could. For start-up."""
        for folder in self.work.glob("job-*"):
            with self.database.read() as tx:
                state = tx.scalar(select(Job.state).where(Job.id == parse_uuid(folder.name.removeprefix("job-"))))
            if state in {"done", "dead"}:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _workplace(self, job: ClaimedJob) -> Iterator[Path]:
        """Give an empty folder on the file system of the renditions, and remove it after."""
        folder = self.work / f"job-{job.id}"
        shutil.rmtree(folder, ignore_errors=True)  # what an attempt that was killed left behind
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _make_playable(self, job: ClaimedJob, object_id: ObjectId, source: Path, found: Probe, report: Report) -> None:
        with self._workplace(job) as out:
            try:
                made = make_playable(source, toolbox=self.toolbox(), out=out, probe=found, on_progress=report)
            except Unplayable as exc:
                finding = Finding(str(exc.facts.get("reason", exc.code)), Outcome.INVALID, exc.message)
                self._write_unplayable(job, object_id, found, finding)
                return
            stored = self._stored(object_id, made)
            damage = made.findings[0] if made.findings else None
            with self.database.begin() as tx:
                _write_probe(tx, object_id, found)
                self._write_rendition(tx, object_id, made, *stored)
                tx.execute(
                    update(EvidenceItem)
                    .where(EvidenceItem.object_id == object_id)
                    .values(
                        play_state="playable" if damage is None else "damaged",
                        play_reason=None if damage is None else damage.code,
                        play_note=None if damage is None else f"{damage.message} {damage.where}".strip()[:500],
                    )
                )
                self._follow_up(tx, object_id, found)
                finish_job(tx, job, at=self.clock.now())

    def _follow_up(self, tx: Session, object_id: ObjectId, found: Probe) -> None:
        args, now = {"object_id": str(object_id)}, self.clock.now()
        if found.video is not None:
            add_job(tx, MAKE_POSTER, args, at=now, queue=PROMPT, key=f"poster:{object_id}")
        if found.kind is not Kind.PHOTO:
            add_job(tx, PROVE_ESSENCE, args, at=now, queue=LONG, key=f"essence:{object_id}")

    def _stored(self, object_id: ObjectId, made: Rendition) -> tuple[str, str]:
        """Put the file into the rendition store; return key and sha256.

        It is not fsynced here: whoever waits for the picture should not wait for the disk, and a rendition can always
        be made again. `prove_essence` makes it durable.
        """
        with made.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        folder = f"{object_id}/{made.kind.value}"
        key = f"{folder}/{sha256}{made.path.suffix}"
        with suppress(BlobExists):  # named by its digest: these are the same bytes
            self.renditions.adopt(key, made.path)
        for other in list(self.renditions.keys(folder)):
            if other != key:
                self.renditions.delete(other)  # left by an attempt that died before it was written down
        return key, sha256

    def _write_rendition(self, tx: Session, object_id: ObjectId, made: Rendition, key: str, sha256: str) -> None:
        kind, now = _row_kind(made), self.clock.now()
        rendition_id = RenditionId(new_uuid7())
        tx.execute(delete(RenditionRow).where(RenditionRow.object_id == object_id, RenditionRow.kind == kind))
        tx.execute(
            insert(RenditionRow).values(
                id=rendition_id,
                object_id=object_id,
                kind=kind,
                key=key,
                media_type=made.media_type,
                size_bytes=made.size_bytes,
                sha256=sha256,
                recipe=made.recipe,
                created_at=now,
            )
        )
        detail = {"of": str(object_id), "kind": kind, "sha256": sha256, "size": made.size_bytes}
        self._event(tx, object_id, EntryType.DERIVATIVE_CREATED, detail, Target("rendition", rendition_id))

    def _write_unplayable(self, job: ClaimedJob, object_id: ObjectId, found: Probe, reason: Finding | None) -> None:
        code = "media.document" if reason is None else reason.code
        note = "" if reason is None else reason.message
        with self.database.begin() as tx:
            _write_probe(tx, object_id, found)
            tx.execute(
                update(EvidenceItem)
                .where(EvidenceItem.object_id == object_id)
                .values(play_state="unplayable", play_reason=code[:64], play_note=note[:500])
            )
            self._event(tx, object_id, EntryType.DERIVATIVE_FAILED, {"reason": code, "message": note[:500]})
            finish_job(tx, job, at=self.clock.now())

    def _event(
        self,
        tx: Session,
        object_id: ObjectId,
        kind: EntryType,
        detail: Mapping[str, Any],
        target: Target | None = None,
    ) -> None:
        entry = NewEntry(kind, ARCHIVE, target or Target("item", object_id), detail=detail)
        record_event(tx, object_id, entry, at=self.clock.now())


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the log says of a comparison: outcomes and hashes by stream, no sentences."""
    return {
        "streams": [
            {"stream": finding["where"], "code": finding["code"], "outcome": finding["outcome"]}
            for finding in result["findings"]
        ],
        **{name: result[name] for name in ("original", "rendition", "reason") if name in result},
    }


def _row_kind(made: Rendition) -> str:
    """A page picture of a photo plays the part of the playable rendition."""
    return "poster" if made.kind.value == "poster" else "playable"


def _write_probe(tx: Session, object_id: ObjectId, found: Probe) -> None:
    values: dict[str, Any] = {"probe": found.as_json(), "kind": found.kind.value, "duration_ms": found.duration_ms}
    tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(**values))
    claim = next((claim.instant for claim in found.recorded_at if claim.instant), None)
    if claim is not None:
        tx.execute(
            update(EvidenceItem)
            .where(EvidenceItem.object_id == object_id, EvidenceItem.recorded_at.is_(None))
            .values(recorded_at=parse_instant(claim))
        )
    if found.media_type:
        tx.execute(
            update(PreservedObject).where(PreservedObject.id == object_id).values(media_type=found.media_type[:100])
        )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
