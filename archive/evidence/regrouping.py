"""Putting an item where it belongs among the recordings of its device.

The rows follow from the items alone, by the rule of `archive.evidence.grouping`. Only what an item can touch is grouped
anew: recordings that lie within the tolerance of it or of each other, and chapters of the same series. Every item that
finds its place, changes it or loses it gets a custody event.
"""

import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from archive.custody.events import record_event
from archive.db.base import insert_row, insert_rows
from archive.evidence.grouping import (
    DeviceKey,
    Placed,
    RecordingRules,
    Take,
    as_instant,
    device_key,
    grouped,
    take_of,
)
from archive.evidence.models import Clip, EvidenceItem, Recording
from archive.kernel.ids import ObjectId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target

_LOCKS: Final = 0x7265_636F  # "reco": the first of two numbers; the sequencer's lock has one
_AT_ONCE: Final = 500
"""Values in one statement; databases limit how many it may carry."""


def group_item(tx: Session, object_id: ObjectId, *, rules: RecordingRules, at: Instant) -> bool:
    """Group an item with the files of its device that it belongs to; return whether anything changed.

    Guarantees: the recordings that items end in do not depend on the order of the calls. Two calls for one device wait
        for each other. Custody events are written in the same transaction.
    Idempotent: yes.
    """
    key = device_key(tx.get_one(EvidenceItem, object_id), rules=rules)
    _wait_for_devices(tx, [None if key is None else key.digest, _held_key(tx, object_id)])
    # Another transaction may have been at work until now.
    item = tx.get_one(EvidenceItem, object_id, populate_existing=True)
    key, take, held = device_key(item, rules=rules), take_of(item), _held_key(tx, object_id)
    changes = _Changes(tx, at)
    if held is not None and (key is None or take is None or held != key.digest):
        _leave(tx, object_id, rules, changes)
    if key is not None and take is not None:
        _settle(tx, key, {take.object_id: take}, rules, changes)
    return changes.count > 0


def ungroup_item(tx: Session, object_id: ObjectId, *, rules: RecordingRules, at: Instant) -> None:
    """Take an item that is destroyed out of its recording, and group anew what is left of that; as `group_item`."""
    _wait_for_devices(tx, [_held_key(tx, object_id)])
    if _held_key(tx, object_id) is not None:
        _leave(tx, object_id, rules, _Changes(tx, at))


def _held_key(tx: Session, object_id: UUID) -> str | None:
    held = select(Recording.device_key).join(Clip, Clip.recording_id == Recording.id)
    return tx.scalar(held.where(Clip.object_id == object_id))


def _wait_for_devices(tx: Session, digests: Sequence[str | None]) -> None:
    """Be the only transaction that groups files of these devices, to its end. SQLite has one writer at a time anyway.

    Raises: Unavailable when two wait for each other; try again.
    """
    if tx.get_bind().dialect.name == "postgresql":
        for digest in sorted(digest for digest in digests if digest is not None):
            tx.execute(select(func.pg_advisory_xact_lock(_LOCKS, zlib.crc32(digest.encode()) - 2**31)))


def _leave(tx: Session, object_id: UUID, rules: RecordingRules, changes: "_Changes") -> None:
    """Take an item out of the recording that it is in, and group anew what is left of that."""
    clips = _clips_of(tx, set(tx.scalars(select(Clip.recording_id).where(Clip.object_id == object_id))))
    others = _items(tx, [clip.object_id for clip in clips if clip.object_id != object_id])
    takes = {take.object_id: take for item in others if (take := take_of(item)) is not None}
    key = device_key(others[0], rules=rules) if others else None
    if key is None or not takes:
        changes.replace([], clips, key=None, items={})
    else:
        _settle(tx, key, takes, rules, changes, without=object_id)


def _settle(
    tx: Session,
    key: DeviceKey,
    takes: dict[UUID, Take],
    rules: RecordingRules,
    changes: "_Changes",
    *,
    without: UUID | None = None,
) -> None:
    """Group these takes with everything that they touch, and write down what changed."""
    held = set(_by_parts(tx, select(Clip.recording_id), Clip.object_id, takes))
    while True:
        clips = _clips_of(tx, held)
        for item in _items(tx, [clip.object_id for clip in clips if clip.object_id not in takes]):
            if item.object_id != without and (take := take_of(item)) is not None:
                takes[item.object_id] = take
        placed = grouped(takes.values(), ground=key.ground, rules=rules)
        near = _recordings_near(tx, key, placed, rules)
        if near <= held:
            break
        held |= near
    changes.replace(placed, clips, key=key, items={item.object_id: item for item in _items(tx, takes)})


def _recordings_near(
    tx: Session, key: DeviceKey, placed: Sequence[Sequence[Placed]], rules: RecordingRules
) -> set[UUID]:
    """Return the recordings of this device that one of these could be joined with, or that lie among them."""
    every = [clip for recording in placed for clip in recording]
    low_ms = min(min(clip.starts_ms, clip.take.stated_ms) for clip in every)
    high_ms = max(max(clip.ends_ms, clip.take.stated_ms + (clip.take.duration_ms or 0)) for clip in every)

    def touching(query: Any, by_ms: int) -> Any:
        return query.where(
            Recording.device_key == key.digest,
            Recording.ended_at >= as_instant(low_ms - by_ms),
            Recording.started_at <= as_instant(high_ms + by_ms),
        )

    near = set(tx.scalars(touching(select(Recording.id), rules.tolerance_ms)))
    chapters: Any = (
        select(Recording.id)
        .join(Clip, Clip.recording_id == Recording.id)
        .join(EvidenceItem, EvidenceItem.object_id == Clip.object_id)
    )
    chapters = touching(chapters, rules.most_chapter_gap_ms + rules.tolerance_ms)
    series = {clip.take.series for clip in every if clip.take.series is not None}
    return near | set(_by_parts(tx, chapters, EvidenceItem.series, series))


def _clips_of(tx: Session, recording_ids: Collection[UUID]) -> list[Clip]:
    return list(_by_parts(tx, select(Clip), Clip.recording_id, recording_ids))


def _items(tx: Session, object_ids: Collection[UUID]) -> list[EvidenceItem]:
    return list(_by_parts(tx, select(EvidenceItem), EvidenceItem.object_id, object_ids))


def _by_parts(tx: Session, query: Any, column: Any, values: Collection[Any]) -> Iterator[Any]:
    """Yield what a query finds where a column has one of these values, however many, as the database has it now."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        part = query.where(column.in_(ordered[start : start + _AT_ONCE]))
        yield from tx.scalars(part, execution_options={"populate_existing": True})


class _Changes:
    """Brings rows to what the rule says, and writes the events."""

    def __init__(self, tx: Session, at: Instant) -> None:
        self._tx = tx
        self._at = at
        self.count = 0

    def replace(
        self,
        placed: Sequence[Sequence[Placed]],
        clips: Sequence[Clip],
        *,
        key: DeviceKey | None,
        items: dict[UUID, EvidenceItem],
    ) -> None:
        """Let these recordings stand in place of those that the clips are of; what is as it was is not touched."""
        held = {clip.object_id: clip for clip in clips}
        free = {clip.recording_id for clip in clips}
        wanted: dict[UUID, dict[str, Any]] = {}
        facts: dict[UUID, dict[str, Any]] = {}
        for recording in placed:
            # The oldest of the ids that its clips had stays: addresses outlive what arrives late.
            known = sorted(
                {held[clip.take.object_id].recording_id for clip in recording if clip.take.object_id in held}
            )
            recording_id = next((known_id for known_id in known if known_id in free), None) or new_uuid7()
            free.discard(recording_id)
            facts[recording_id] = _facts(recording, items, key)
            for position, clip in enumerate(recording, 1):
                wanted[clip.take.object_id] = _clip_values(recording_id, position, clip)
        self._write(wanted, held, facts, gone=free)

    def _write(
        self,
        wanted: dict[UUID, dict[str, Any]],
        held: dict[UUID, Clip],
        facts: dict[UUID, dict[str, Any]],
        *,
        gone: set[UUID],
    ) -> None:
        known = {clip.recording_id for clip in held.values()}
        stale = [item for item, clip in held.items() if _values_of(clip) != wanted.get(item)]
        fresh = [item for item in wanted if item not in held or item in set(stale)]
        counts = {recording_id: values["clip_count"] for recording_id, values in facts.items()}
        was = {item: _values_of(clip) for item, clip in held.items()}
        for recording_id, values in facts.items():
            if recording_id in known:
                self._tx.execute(update(Recording).where(Recording.id == recording_id).values(**values))
            else:
                insert_row(self._tx, Recording, id=recording_id, **values)
        for start in range(0, len(stale), _AT_ONCE):
            self._tx.execute(delete(Clip).where(Clip.object_id.in_(stale[start : start + _AT_ONCE])))
        insert_rows(self._tx, Clip, [{"object_id": item, **wanted[item]} for item in fresh])
        if gone:
            self._tx.execute(delete(Recording).where(Recording.id.in_(gone)))
        for item in sorted({*stale, *fresh}):
            self._tell(item, was.get(item), wanted.get(item), counts)

    def _tell(
        self, item: UUID, was: dict[str, Any] | None, now: dict[str, Any] | None, counts: dict[UUID, int]
    ) -> None:
        """Write the event of an item whose place in a recording is another one; its number there may move silently."""
        told = ("recording_id", "starts_at", "duration_ms")
        if was is not None and now is not None and all(was[name] == now[name] for name in told):
            return
        self.count += 1
        detail: dict[str, Any] = {"recording": None, "before": None}
        if was is not None:
            detail["before"] = str(was["recording_id"])
        if now is not None:
            detail |= {
                "recording": str(now["recording_id"]),
                "starts_at": format_instant(now["starts_at"]),
                "duration_ms": now["duration_ms"],
                "position": now["position"],
                "clips": counts[now["recording_id"]],
            }
        entry = NewEntry(EntryType.RECORDING_GROUPED, ARCHIVE, Target("item", item), detail=detail)
        record_event(self._tx, ObjectId(item), entry, at=self._at)


def _facts(recording: Sequence[Placed], items: dict[UUID, EvidenceItem], key: DeviceKey | None) -> dict[str, Any]:
    first = items[recording[0].take.object_id]
    return {
        "device_key": "" if key is None else key.digest,
        "device_serial": first.device_serial,
        "source_kind": first.source_kind,
        "started_at": as_instant(recording[0].starts_ms),
        "ended_at": as_instant(max(clip.ends_ms for clip in recording)),
        "clip_count": len(recording),
        "duration_ms": sum(clip.take.duration_ms or 0 for clip in recording),
    }


def _clip_values(recording_id: UUID, position: int, clip: Placed) -> dict[str, Any]:
    return {
        "recording_id": recording_id,
        "position": position,
        "starts_at": as_instant(clip.starts_ms),
        "duration_ms": clip.take.duration_ms,
        "gap_before_ms": clip.gap_before_ms,
    }


def _values_of(clip: Clip) -> dict[str, Any]:
    return {
        "recording_id": clip.recording_id,
        "position": clip.position,
        "starts_at": clip.starts_at,
        "duration_ms": clip.duration_ms,
        "gap_before_ms": clip.gap_before_ms,
    }
