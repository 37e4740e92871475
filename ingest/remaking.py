"""Dropping renditions and having them made again: they are derived, so nothing is lost but time.

The original is not touched by any of this.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from archive.cases.indexing import index_objects
from archive.custody.events import record_event
from archive.evidence.items import evidence_item, item_ids, looks
from archive.evidence.models import EvidenceItem, Rendition
from archive.jobs.listings import jobs_by_key
from archive.jobs.models import Job
from archive.jobs.queue import LONG, PROMPT, renew_job
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId, RenditionId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.blobs import BlobMissing
from ingest.follow_ups import ENCODE_ITEM, LOOKERS, MAKERS, PROBE_ITEM, Maker
from ingest.media.allowed import Kind
from ingest.workshop import Workshop

PLAYABLE: Final = "playable"
_PLAYS: Final = ("playable", "damaged")
_LOOKED_INTO: Final = {Kind.DOCUMENT.value: ("document", "pages"), Kind.ARCHIVE.value: ("archive",)}
_MOVING: Final = (Kind.FOOTAGE.value, Kind.AUDIO.value)
# A job that makes the same bytes again must not find the old ones, which are on their way out.
_HELD_BACK: Final = timedelta(seconds=30)


class KindUnknown(InvalidInput):
    """No job makes renditions or looks of this kind."""

    code = "renditions.kind_unknown"


@dataclass(frozen=True, slots=True)
class Missing:
    """What an item should have and does not."""

    object_id: ObjectId
    kinds: tuple[str, ...]


def drop_renditions(
    shop: Workshop, object_id: ObjectId, *, by: Actor, kinds: Collection[str] | None = None
) -> Sequence[str]:
    """Remove an item's renditions, of these kinds or all, with a log entry for each; return their kinds.

    What plays is made again at once; until then the item counts as one that is being prepared.
    Raises: ObjectNotFound.
    """
    at = shop.now()
    with shop.database.begin() as tx:
        rows = [row for row in evidence_item(tx, object_id).renditions if kinds is None or row.kind in kinds]
        for row in rows:
            detail = {"of": str(object_id), "kind": row.kind, "sha256": row.sha256}
            target = Target("rendition", RenditionId(row.id))
            record_event(tx, object_id, NewEntry(EntryType.DERIVATIVE_DROPPED, by, target, detail=detail), at=at)
            tx.execute(delete(Rendition).where(Rendition.id == row.id))
        dropped = [row.kind for row in rows]
        if PLAYABLE in dropped:
            tx.execute(
                update(EvidenceItem)
                .where(EvidenceItem.object_id == object_id, EvidenceItem.play_state.in_(_PLAYS))
                .values(play_state="pending", play_reason=None, play_note=None)
            )
            _renew(tx, object_id, _maker(tx, object_id, PLAYABLE), at=at + _HELD_BACK)
            index_objects(tx, [object_id])
    for kind in dropped:
        for key in list(shop.renditions.keys(f"{object_id}/{kind}")):
            with suppress(BlobMissing):
                shop.renditions.delete(key)
    if PLAYABLE in dropped:
        with shop.database.begin() as tx:
            maker = _maker(tx, object_id, PLAYABLE)
            ready = (Job.key == f"{maker.key}:{object_id}", Job.state == "ready", Job.attempt == 0)
            tx.execute(update(Job).where(*ready).values(not_before=shop.now()))
    return dropped


def remake(shop: Workshop, object_id: ObjectId, kinds: Collection[str]) -> Sequence[str]:
    """Have renditions and looks made again; return the kinds of the jobs that do it. What is there stays until then.

    Raises: ObjectNotFound, KindUnknown.
    """
    with shop.database.begin() as tx:
        evidence_item(tx, object_id)
        makers = {_maker(tx, object_id, kind) for kind in kinds}
        for maker in makers:
            _renew(tx, object_id, maker, at=shop.now())
    return sorted(maker.job for maker in makers)


def makeable(shop: Workshop, object_id: ObjectId, *, has_damage: bool = True) -> Sequence[str]:
    """Return the kinds of renditions and looks that an item should have. Raises: ObjectNotFound."""
    with shop.database.read() as tx:
        return _wanted(evidence_item(tx, object_id).item, has_damage=has_damage)


def missing(shop: Workshop, *, has_damage: bool = True) -> Iterator[Missing]:
    """Yield each item that lacks something: a rendition or its bytes, a look, or a job that makes it play.

    `has_damage`: whether every recording is to be searched for damage.
    """
    with shop.database.read() as tx:
        ids = item_ids(tx)
    for object_id in ids:
        with shop.database.read() as tx:
            kinds = _missing(tx, shop, object_id, has_damage=has_damage)
        if kinds:
            yield Missing(object_id, kinds)


def _missing(tx: Session, shop: Workshop, object_id: ObjectId, *, has_damage: bool) -> tuple[str, ...]:
    view = evidence_item(tx, object_id)
    if view.item.play_state == "pending":
        alive = jobs_by_key(tx, [f"{key}:{object_id}" for key in ("probe", "encode", "contents")]).values()
        return () if any(job.state in {"ready", "running", "dead"} for job in alive) else (PLAYABLE,)
    seen = looks(tx, object_id)
    keyframes = seen["keyframes"].found if "keyframes" in seen else {}
    # What a pass could not make is not missing.
    unmade = {"sprite": not keyframes.get("sprite"), "peaks": not keyframes.get("has_peaks")} if keyframes else {}
    if "document" in seen:
        unmade["pages"] = not seen["document"].found.get("drawn")
    found = {row.kind for row in view.renditions if shop.renditions.exists(row.key)}
    found |= {kind for kind, is_unmade in unmade.items() if is_unmade}
    found |= {look for look, row in seen.items() if row.found.get("outcome") != "indeterminate"}
    return tuple(kind for kind in _wanted(view.item, has_damage=has_damage) if kind not in found)


def _wanted(item: EvidenceItem, *, has_damage: bool) -> tuple[str, ...]:
    if item.play_state not in _PLAYS:
        return ()
    if item.kind in _LOOKED_INTO:
        return _LOOKED_INTO[item.kind]
    streams = (item.probe or {}).get("streams", [])
    has_sound = any(stream.get("kind") == "audio" for stream in streams)
    wanted = [PLAYABLE]
    if item.kind == Kind.FOOTAGE.value:
        wanted += ["poster", "sprite"]
    if item.kind in _MOVING:
        wanted += [*(["peaks"] if has_sound else []), "keyframes", *(["damage"] if has_damage else [])]
    return (*wanted, "track")


def _maker(tx: Session, object_id: ObjectId, kind: str) -> Maker:
    """Return what makes a rendition or a look. Raises: KindUnknown."""
    if kind in {PLAYABLE, "view"}:
        # What was encoded goes straight to the encode: its probe is known.
        if jobs_by_key(tx, [f"encode:{object_id}"]):
            return Maker(ENCODE_ITEM, LONG, "encode")
        return Maker(PROBE_ITEM, PROMPT, "probe")
    maker = MAKERS.get(kind) or LOOKERS.get(kind)
    if maker is None:
        raise KindUnknown(kind=kind)
    return maker


def _renew(tx: Session, object_id: ObjectId, maker: Maker, *, at: Instant) -> None:
    args = {"object_id": str(object_id)}
    renew_job(tx, maker.job, args, at=at, queue=maker.queue, key=f"{maker.key}:{object_id}")
