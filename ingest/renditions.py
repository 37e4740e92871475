"""The jobs that follow an intake: look into the item, make it playable, prove that it is what was recorded.

`probe_item` copies at once what can be copied; what must be encoded goes on as `encode_item` (`ingest.live`). The
playable rendition comes first; everything else follows as jobs of its own.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from archive.cases.events import publish_ready, publish_unplayable
from archive.cases.indexing import index_objects
from archive.custody.models import PreservedObject
from archive.evidence.items import evidence_item
from archive.evidence.models import EvidenceItem
from archive.evidence.models import Rendition as RenditionRow
from archive.evidence.terms import VAGUE, RecordedFrom
from archive.jobs.queue import LONG, ClaimedJob, add_job, finish_job
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.kernel.instants import parse_instant
from archive.ledger.entries import EntryType
from archive.ports.blobs import BlobMissing
from ingest.axis.marks import told_reason
from ingest.follow_ups import (
    ENCODE_ITEM,
    MAKE_POSTER,
    PROBE_ITEM,
    PROVE_ESSENCE,
    add_contents,
    add_follow_ups,
    add_grouping,
)
from ingest.media.allowed import Kind
from ingest.media.errors import Unplayable
from ingest.media.essence import Essence, compare_essence, essence, needs_decoding
from ingest.media.facts import Probe
from ingest.media.plan import PlanKind, RenditionPlan, plan
from ingest.media.probe import probe
from ingest.media.renditions import Rendition, make_playable, make_poster
from ingest.play_state import tell_known_damage
from ingest.proxies import ALWAYS, ask_for_proxies, rungs_of
from ingest.workshop import Handler, Made, Report, Workshop


@dataclass(frozen=True, slots=True)
class PlayableJobs:
    """The jobs that end in something to play, and in the proof that it is what was recorded."""

    shop: Workshop

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {
            PROBE_ITEM: self.shop.with_original(self.probe_item),
            MAKE_POSTER: self.shop.with_original(self.make_poster),
            PROVE_ESSENCE: self.shop.with_original(self.prove_essence),
        }

    def probe_item(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Establish what the item is, and make it playable at once if that needs no encode.

        Raises: what the media steps raise; retryable causes lead to another attempt.
        """
        found = probe(source, toolbox=self.shop.toolbox())
        chosen = plan(found)
        if found.kind in {Kind.DOCUMENT, Kind.ARCHIVE} and not found.findings:
            with self.shop.database.begin() as tx:
                self._write_probe(tx, object_id, found)
                add_contents(tx, object_id, found, at=self.shop.now())
                finish_job(tx, job, at=self.shop.now())
        elif chosen.reason is not None:
            self.give_up(job, object_id, found, told_reason(self.shop.objects, object_id, chosen.reason))
        elif chosen.kind is PlanKind.ENCODE and found.video is not None:
            with self.shop.database.begin() as tx:
                self._write_probe(tx, object_id, found)
                add_job(
                    tx,
                    ENCODE_ITEM,
                    job.args,
                    at=self.shop.now(),
                    queue=LONG,
                    key=f"encode:{object_id}",
                )
                index_objects(tx, [object_id])
                finish_job(tx, job, at=self.shop.now())
        else:
            self.make_whole(job, object_id, source, found, report)

    def make_poster(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Make a still of the item, where it has a picture. Raises: as `probe_item`."""
        found = self.shop.probe_of(object_id)
        with self.shop.workplace(job) as out:
            try:
                made = make_poster(source, toolbox=self.shop.toolbox(), out=out, probe=found)
            except Unplayable:
                made = None  # the recording plays, or not, without it
            report(900)
            stored = None if made is None else self.shop.store(object_id, _made(made))
            with self.shop.database.begin() as tx:
                if stored is not None:
                    self.shop.write_rendition(tx, object_id, stored)
                finish_job(tx, job, at=self.shop.now())

    def prove_essence(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Make the playable rendition durable, and compare its packets with those of the original.

        A rendition that a power cut has taken before it was durable is made again first.
        Raises: as `probe_item`.
        """
        with self.shop.database.read() as tx:
            view = evidence_item(tx, object_id)
        playable = view.rendition("playable")
        if playable is not None and not self._is_whole(playable):
            self._make_again(job, object_id, source, playable)
            with self.shop.database.read() as tx:
                view = evidence_item(tx, object_id)
            playable = view.rendition("playable")
        found = Probe.from_json(view.item.probe)
        result: dict[str, Any] = {"findings": []}
        try:
            original = essence(source, toolbox=self.shop.toolbox(), probe=found)
            result["original"] = original.as_json()
            report(500)
            if playable is not None:
                with self.shop.renditions.borrow(playable.key) as path:
                    result |= self._compared(source, path, original, found=found, playable=playable)
        except Unplayable as exc:
            result["reason"] = exc.facts.get("reason", exc.code)
        with self.shop.database.begin() as tx:
            tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(essence=result))
            sha256 = self.shop.keep_found(object_id, "essence", result)
            detail = {"of": str(object_id), **_told(result), "essence_sha256": sha256}
            self.shop.event(tx, object_id, EntryType.DERIVATIVE_VERIFIED, detail)
            finish_job(tx, job, at=self.shop.now())

    def _compared(
        self, source: Path, path: Path, original: Essence, *, found: Probe, playable: RenditionRow
    ) -> Mapping[str, Any]:
        """Make a rendition durable and hold its packets against the original's; return what was found."""
        _sync(path)
        toolbox, decoded = self.shop.toolbox(), {}
        made, chosen = probe(path, toolbox=toolbox), RenditionPlan.from_json(playable.recipe["plan"])
        if needs_decoding(chosen, format_name=found.format_name):
            original = essence(source, toolbox=toolbox, probe=found, is_decoded=True)
            decoded = {"decoded": original.as_json()}
        theirs = essence(path, toolbox=toolbox, probe=made, is_decoded=original.how == "decoded")
        findings = compare_essence(original, theirs, chosen=chosen, format_name=found.format_name)
        told = [finding.as_json() for finding in findings]
        return {**decoded, "rendition": theirs.as_json(), "findings": told}

    def _is_whole(self, row: RenditionRow) -> bool:
        try:
            with self.shop.renditions.open(row.key) as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == row.sha256  # type: ignore[arg-type]
        except BlobMissing:
            return False

    def _make_again(self, job: ClaimedJob, object_id: ObjectId, source: Path, lost: RenditionRow) -> None:
        found = self.shop.probe_of(object_id)
        with suppress(BlobMissing):  # a remux is named by the same digest again, so the broken one must go first
            self.shop.renditions.delete(lost.key)
        with self.shop.workplace(job) as out:
            made = make_playable(source, toolbox=self.shop.toolbox(), out=out, probe=found)
            stored = self.shop.store(object_id, _made(made))
            with self.shop.database.begin() as tx:
                self.shop.write_rendition(tx, object_id, stored)

    def make_whole(self, job: ClaimedJob, object_id: ObjectId, source: Path, found: Probe, report: Report) -> None:
        """Make what plays in one run, and finish the job with it. Raises: as `probe_item`."""
        with self.shop.workplace(job) as out:
            try:
                made = make_playable(source, toolbox=self.shop.toolbox(), out=out, probe=found, on_progress=report)
            except Unplayable as exc:
                finding = Finding(str(exc.facts.get("reason", exc.code)), Outcome.INVALID, exc.message)
                self.give_up(job, object_id, found, finding)
                return
            self.finish(job, object_id, found, made)

    def finish(
        self,
        job: ClaimedJob,
        object_id: ObjectId,
        found: Probe,
        made: Rendition,
        *,
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """Store what plays, write it down and finish the job, with what else belongs into that transaction."""
        stored = self.shop.store(object_id, _made(made))
        damage = made.findings[0] if made.findings else None
        with self.shop.database.begin() as tx:
            if job.kind == PROBE_ITEM:
                self._write_probe(tx, object_id, found)
            tx.execute(
                update(EvidenceItem)
                .where(EvidenceItem.object_id == object_id)
                .values(
                    play_state="playable" if damage is None else "damaged",
                    play_reason=None if damage is None else damage.code,
                    play_note=None if damage is None else f"{damage.message} {damage.where}".strip()[:500],
                )
            )
            tell_known_damage(tx, object_id)
            self.shop.write_rendition(tx, object_id, stored)  # its entry tells of the state too
            publish_ready(tx, object_id, at=self.shop.now())
            index_objects(tx, [object_id])
            add_follow_ups(tx, object_id, found, at=self.shop.now())
            if rungs_of(evidence_item(tx, object_id), self.shop.proxies, when=(ALWAYS,)):
                ask_for_proxies(tx, object_id, at=self.shop.now())
            if also is not None:
                also(tx)
            finish_job(tx, job, at=self.shop.now())

    def give_up(
        self,
        job: ClaimedJob,
        object_id: ObjectId,
        found: Probe,
        reason: Finding,
        *,
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """Write down why nothing plays, and finish the job."""
        code, note = reason.code, reason.message
        with self.shop.database.begin() as tx:
            if job.kind == PROBE_ITEM:
                self._write_probe(tx, object_id, found)
            tx.execute(
                update(EvidenceItem)
                .where(EvidenceItem.object_id == object_id)
                .values(play_state="unplayable", play_reason=code[:64], play_note=note[:500])
            )
            self.shop.event(tx, object_id, EntryType.DERIVATIVE_FAILED, {"reason": code, "message": note[:500]})
            publish_unplayable(tx, object_id, at=self.shop.now())
            index_objects(tx, [object_id])
            if also is not None:
                also(tx)
            finish_job(tx, job, at=self.shop.now())

    def _write_probe(self, tx: Session, object_id: ObjectId, found: Probe) -> None:
        values: dict[str, Any] = {"probe": found.as_json(), "kind": found.kind.value, "duration_ms": found.duration_ms}
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(**values))
        claim = next((claim.instant for claim in found.recorded_at if claim.instant), None)
        if claim is not None:
            tx.execute(
                update(EvidenceItem)
                .where(
                    EvidenceItem.object_id == object_id,
                    or_(EvidenceItem.recorded_at.is_(None), EvidenceItem.recorded_from.in_(VAGUE)),
                )
                .values(recorded_at=parse_instant(claim), recorded_from=RecordedFrom.PROBE.value)
            )
        if found.media_type:
            tx.execute(
                update(PreservedObject).where(PreservedObject.id == object_id).values(media_type=found.media_type[:100])
            )
        self.shop.write_described(tx, object_id, "probe", found.as_json())
        add_grouping(tx, object_id, found.kind, at=self.shop.now())


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the log says of a comparison: outcomes and hashes by stream, no sentences."""
    return {
        "streams": [
            {"stream": finding["where"], "code": finding["code"], "outcome": finding["outcome"]}
            for finding in result["findings"]
        ],
        **{name: result[name] for name in ("original", "decoded", "rendition", "reason") if name in result},
    }


def _made(made: Rendition) -> Made:
    """A page picture of a photo plays the part of the playable rendition."""
    kind = "poster" if made.kind.value == "poster" else "playable"
    return Made(kind, made.path, made.media_type, made.recipe)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
