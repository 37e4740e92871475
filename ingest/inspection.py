"""The jobs that look into an item once it plays: stills and sound for the time line, damage, places and devices.

None of them changes what plays; each leaves a look (docs/formats/looks.md), some leave renditions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from archive.cases.indexing import index_objects
from archive.evidence.items import evidence_item
from archive.evidence.models import EvidenceItem
from archive.jobs.queue import IDLE, ClaimedJob, add_job, finish_job
from archive.kernel.canonical import parse_json
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.ports.blobs import BlobMissing
from ingest.axis.trail import trail_of
from ingest.follow_ups import FIND_DAMAGE, INSPECT_ITEM, READ_TRACK, add_grouping
from ingest.manifest import MAX_MANIFEST_BYTES
from ingest.media.allowed import Kind
from ingest.media.bookmarks import bookmarks
from ingest.media.boxes import tracks
from ingest.media.damage import find_damage
from ingest.media.errors import Unplayable
from ingest.media.inspection import inspect
from ingest.media.track import clean, read_track
from ingest.play_state import DAMAGE, tell_damage
from ingest.workshop import Handler, Made, Report, Workshop

KEYFRAMES: Final = "keyframes"
TRACK: Final = "track"
DamageSearch = Literal["always", "keyframes", "never"]
"""Whether everything is decoded to find damage, keyframes only, or nothing."""
_MOST_SERIAL: Final = 128


@dataclass(frozen=True, slots=True)
class InspectionJobs:
    """The jobs of looking. `damage`: how far each recording is searched for damage without being asked."""

    shop: Workshop
    damage: DamageSearch = "always"

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {
            INSPECT_ITEM: self.shop.with_original(self.inspect_item),
            FIND_DAMAGE: self.shop.with_original(self.find_damage),
            READ_TRACK: self.shop.with_original(self.read_track),
        }

    def inspect_item(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Look through a recording by its keyframes: sprite, peaks, and the look `keyframes`.

        Raises: what the media steps raise; retryable causes lead to another attempt.
        """
        probe, toolbox = self.shop.probe_of(object_id), self.shop.toolbox()
        with self.shop.workplace(job) as out:
            made: list[Made] = []
            try:
                seen = inspect(
                    source,
                    toolbox=toolbox,
                    out=out,
                    probe=probe,
                    duration_ms=self._played_ms(object_id),
                    on_progress=report,
                )
                found = seen.found
                if seen.sheet is not None:
                    made.append(Made("sprite", seen.sheet.path, "image/jpeg", seen.recipe))
                if seen.peaks is not None:
                    made.append(Made("peaks", seen.peaks, "application/octet-stream", seen.recipe))
            except Unplayable as exc:
                found = {"reason": str(exc.facts.get("reason", exc.code))}
            stored = [self.shop.store(object_id, each) for each in made]
            with self.shop.database.begin() as tx:
                for each in stored:
                    self.shop.write_rendition(tx, object_id, each)
                self.shop.write_look(tx, object_id, KEYFRAMES, found, toolbox.ffmpeg.version)
                if self.damage != "never":
                    at, key = self.shop.now(), f"damage:{object_id}"
                    add_job(tx, FIND_DAMAGE, job.args, at=at, queue=IDLE, key=key)
                finish_job(tx, job, at=self.shop.now())

    def find_damage(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Decode a recording to find damage: the look `damage`, and the item's state. Raises: as `inspect_item`."""
        probe, toolbox = self.shop.probe_of(object_id), self.shop.toolbox()
        depth: Literal["keyframes", "whole"] = "keyframes" if self.damage == "keyframes" else "whole"
        found: dict[str, Any] = {"depth": depth, "complaints": 0, "places_ms": [], "findings": []}
        try:
            seen = find_damage(source, toolbox=toolbox, probe=probe, depth=depth, on_progress=report)
            found |= {
                "complaints": seen.complaints,
                "places_ms": list(seen.places_ms),
                "findings": [finding.as_json() for finding in seen.findings],
            }
        except Unplayable as exc:
            found["reason"] = str(exc.facts.get("reason", exc.code))
        with self.shop.database.begin() as tx:
            facts = {"play_state": "damaged"} if tell_damage(tx, object_id, found) else {}
            self.shop.write_look(tx, object_id, DAMAGE, found, toolbox.ffmpeg.version, facts=facts)
            finish_job(tx, job, at=self.shop.now())

    def read_track(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Read where an item was recorded and by what: the look `track`, and the device's serial where none is known.

        Raises: as `inspect_item`.
        """
        toolbox, manifest = self.shop.toolbox(), self._manifest(object_id)
        found = read_track(source, toolbox=toolbox)
        report(900)
        if not found["points"]:
            found |= trail_of(self.shop.database, self.shop.objects, manifest)
        found["device"] = _device_of(manifest) | found["device"]
        found["bookmarks"] = bookmarks(manifest.get("sidecar"))
        tool = "" if toolbox.exiftool is None else toolbox.exiftool.version
        serial = str(found["device"].get("serial", {}).get("value", ""))[:_MOST_SERIAL]
        with self.shop.database.begin() as tx:
            is_news = bool(serial) and _fill_serial(tx, object_id, serial)
            if is_news:
                add_grouping(tx, object_id, Kind(tx.get_one(EvidenceItem, object_id).kind), at=self.shop.now())
            facts = {"device_serial": serial} if is_news else {}
            self.shop.write_look(tx, object_id, TRACK, found, tool, facts=facts)
            finish_job(tx, job, at=self.shop.now())

    def _played_ms(self, object_id: ObjectId) -> int | None:
        """Return how long the playable rendition is, by its index: containers may state anything."""
        with self.shop.database.read() as tx:
            playable = evidence_item(tx, object_id).rendition("playable")
        if playable is None or not self.shop.renditions.exists(playable.key):
            return None
        with self.shop.renditions.borrow(playable.key) as path:
            return max((track.end_ms for track in tracks(path)), default=0) or None

    def _manifest(self, object_id: ObjectId) -> Mapping[str, Any]:
        """Return what the dock said of the item; nothing where it said nothing that can be read."""
        try:
            with self.shop.objects.open_file(object_id, "metadata/dock-manifest.json") as file:
                told = parse_json(file.read(MAX_MANIFEST_BYTES))
        except (BlobMissing, KeyError, InvalidInput):
            return {}
        return told if isinstance(told, dict) else {}


def _device_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the dock said of the device; the recording's own tags stand above it."""
    device = manifest.get("device")
    said = (
        {name: clean(device.get(name)) for name in ("serial", "model", "firmware")} if isinstance(device, dict) else {}
    )
    return {name: {"value": value, "tag": f"manifest.device.{name}"} for name, value in said.items() if value}


def _fill_serial(tx: Session, object_id: ObjectId, serial: str) -> bool:
    filled = tx.execute(
        update(EvidenceItem)
        .where(EvidenceItem.object_id == object_id, EvidenceItem.device_serial.is_(None))
        .values(device_serial=serial)
    )
    index_objects(tx, [object_id])
    return bool(filled.rowcount)  # type: ignore[attr-defined]
