"""What is made anew once the rows are back: recordings, the index and who sees what, jobs for what is unfinished.

Nothing here is evidence. What a draft said that was never set, nobody knows any more: it is given up, with an entry.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from archive.cases.indexing import rebuild_index
from archive.complaints.models import Complaint
from archive.complaints.reaching import reach_complaints
from archive.custody.models import AccessRecord, CustodyEvent, PreservedObject
from archive.db.base import insert_rows
from archive.db.database import Database
from archive.devices.models import Device
from archive.devices.reaching import reach_devices
from archive.documents.drafts import DraftState
from archive.documents.models import Draft, ItemText, TextRecord
from archive.documents.signatures import STAMP_RECORD, add_filing, signing_of
from archive.documents.texts import READ_RECORD
from archive.evidence.grouping import RecordingRules, device_key, grouped, take_of
from archive.evidence.models import Clip, EvidenceItem, Recording
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.ids import CaseId, DraftId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry, Target
from archive.ledger.models import LogDetail
from archive.recovery.told import as_moment
from archive.retrieval.models import UnusualAccess
from retention.disposition.models import DispositionList
from retention.disposition.reaching import reach_lists
from retention.holding.models import Hold
from retention.holding.reaching import reach_holds
from retention.models import ObjectCopy, ObjectLock
from retention.planning.models import RetentionPlan

_BATCH: Final = 200
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_JUDGED_WITHIN: Final = timedelta(hours=1)
"""Accesses are judged within minutes: older ones were, whatever no entry says of it."""
_LOST: Final = "what was written was in no log and went with the database"


@dataclass(frozen=True, slots=True)
class Anew:
    """How much was made anew: recordings, drafts that were given up, jobs, things in the index."""

    recordings: int
    drafts: int
    jobs: int
    found: int


def make_anew(database: Database, rules: RecordingRules, *, at: Instant) -> Anew:
    """Make anew what follows from the rows. Idempotent: yes."""
    recordings = _recordings(database, rules)
    _judge_again(database)
    drafts = _give_up_drafts(database, at)
    _reach(database)
    _look_at_locks(database)
    jobs = _jobs(database, at)
    return Anew(recordings, drafts, jobs, rebuild_index(database))


def _recordings(database: Database, rules: RecordingRules) -> int:
    """Put every item into the recording that the newest entry about it names."""
    with database.begin() as tx:
        tx.execute(delete(Clip))
        tx.execute(delete(Recording))
        clips: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for object_id, detail in _newest_places(tx):
            if detail.get("recording") is not None:
                clips[UUID(detail["recording"])].append(
                    {
                        "object_id": object_id,
                        "starts_at": as_moment(detail["starts_at"]),
                        "duration_ms": detail["duration_ms"],
                    }
                )
        for recording_id, found in clips.items():
            _write_recording(tx, recording_id, found, rules)
    return len(clips)


def _newest_places(tx: Session) -> Iterator[tuple[UUID, dict[str, Any]]]:
    """Yield each item with the detail of the newest entry that groups it; ids are ordered by time."""
    rank = func.row_number().over(partition_by=CustodyEvent.object_id, order_by=CustodyEvent.entry_id.desc())
    of_type = CustodyEvent.type == EntryType.RECORDING_GROUPED.value
    ranked = select(CustodyEvent.object_id, CustodyEvent.entry_id, rank.label("rank")).where(of_type).subquery()
    rows = (
        select(ranked.c.object_id, LogDetail.detail)
        .join(LogDetail, LogDetail.entry_id == ranked.c.entry_id)
        .where(ranked.c.rank == 1)
    )
    for object_id, detail in tx.execute(rows):
        yield object_id, json.loads(detail)


def _look_at_locks(database: Database) -> None:
    """Have every lock held against its plan: what a database says of a store may be older than the store."""
    with database.begin() as tx:
        tx.execute(update(ObjectLock).values(locked_until=_LONG_AGO))
        for table in (RetentionPlan, ObjectCopy):
            tx.execute(update(table).where(~table.lock_due).values(lock_due=True))


def _write_recording(
    tx: Session, recording_id: UUID, clips: list[dict[str, Any]], rules: RecordingRules
) -> None:  # fmt: skip
    items = {
        item.object_id: item
        for item in tx.scalars(select(EvidenceItem).where(EvidenceItem.object_id.in_([c["object_id"] for c in clips])))
    }
    clips = [clip for clip in clips if clip["object_id"] in items]
    if not clips:
        return
    clips.sort(key=lambda clip: (clip["starts_at"], _end(clip), items[clip["object_id"]].sha512))
    first = items[clips[0]["object_id"]]
    key = device_key(first, rules=rules)
    gaps = _gaps(clips, items, rules)
    recording = {
        "id": recording_id,
        "device_key": "" if key is None else key.digest,
        "device_serial": first.device_serial,
        "source_kind": first.source_kind,
        "started_at": clips[0]["starts_at"],
        "ended_at": max(map(_end, clips)),
        "clip_count": len(clips),
        "duration_ms": sum(clip["duration_ms"] or 0 for clip in clips),
    }
    insert_rows(tx, Recording, [recording])
    rows = [
        {**clip, "recording_id": recording_id, "position": position, "gap_before_ms": gap}
        for position, (clip, gap) in enumerate(zip(clips, gaps, strict=True), 1)
    ]
    insert_rows(tx, Clip, rows)


def _gaps(
    clips: Sequence[dict[str, Any]], items: dict[UUID, EvidenceItem], rules: RecordingRules
) -> Sequence[int | None]:
    """Return the time before each clip: as the rule of grouping has it where it gives the same clips, else counted."""
    key = device_key(items[clips[0]["object_id"]], rules=rules)
    takes = [take for clip in clips if (take := take_of(items[clip["object_id"]])) is not None]
    if key is not None and len(takes) == len(clips):
        placed = grouped(takes, ground=key.ground, rules=rules)
        ids = [clip["object_id"] for clip in clips]
        durations = [clip["duration_ms"] for clip in clips]
        found = placed[0] if len(placed) == 1 else []
        if [each.take.object_id for each in found] == ids and [each.take.duration_ms for each in found] == durations:
            return [each.gap_before_ms for each in found]
    gaps: list[int | None] = [None]
    for before, clip in pairwise(clips):
        is_known = before["duration_ms"] is not None
        gaps.append((clip["starts_at"] - _end(before)) // timedelta(milliseconds=1) if is_known else None)
    return gaps


def _end(clip: dict[str, Any]) -> Instant:
    ended: Instant = clip["starts_at"] + timedelta(milliseconds=clip["duration_ms"] or 0)
    return ended


def _reach(database: Database) -> None:
    """Bring in step who sees complaints, devices, holds and lists; the index does the same for what is in it."""
    families = (
        (Complaint.id, reach_complaints),
        (Device.id, reach_devices),
        (Hold.id, reach_holds),
        (DispositionList.id, reach_lists),
    )
    for column, reach in families:
        with database.read() as tx:
            ids = tx.scalars(select(column)).all()
        for start in range(0, len(ids), _BATCH):
            with database.begin() as tx:
                reach(tx, ids[start : start + _BATCH])


def _judge_again(database: Database) -> None:
    """Have accesses of the log's last hour held against the rules again, but those that were found unusual."""
    with database.begin() as tx:
        newest = tx.scalar(select(func.max(AccessRecord.at)))
        if newest is not None:
            known = select(UnusualAccess.entry_id)
            late = (AccessRecord.at > newest - _JUDGED_WITHIN, AccessRecord.entry_id.not_in(known))
            tx.execute(update(AccessRecord).where(*late).values(is_judged=False))


def _give_up_drafts(database: Database, at: Instant) -> int:
    """Give up drafts of which nothing but their beginning is known."""
    lost = (Draft.state == DraftState.WRITING.value, Draft.revision == 0)
    with database.begin() as tx:
        rows = tx.scalars(select(Draft).where(*lost)).all()
        for row in rows:
            detail = {"reason": _LOST, "state": DraftState.DROPPED.value}
            target = Target("record", row.id)
            entry = NewEntry(EntryType.RECORD_DROPPED, OPERATOR, target, case=CaseId(row.case_id), detail=detail)
            append_entry(tx, entry, at=at)
        tx.execute(update(Draft).where(*lost).values(state=DraftState.DROPPED.value))
    return len(rows)


def _jobs(database: Database, at: Instant) -> int:
    """Add the jobs that bring what is unfinished to its end: items to look into, records to read or to file."""
    count = 0
    with database.begin() as tx:
        # What was found by looking is gone with the renditions: it is looked anew, as if it had just come.
        unseen = (EvidenceItem.probe.is_(None), EvidenceItem.play_state != "pending")
        tx.execute(update(EvidenceItem).where(*unseen).values(play_state="pending", play_reason=None, play_note=None))
        for object_id in tx.scalars(select(EvidenceItem.object_id).where(EvidenceItem.play_state == "pending")).all():
            add_job(tx, "probe_item", {"object_id": str(object_id)}, at=at, queue=PROMPT, key=f"probe:{object_id}")
            count += 1
        unread = select(TextRecord.object_id).where(
            (TextRecord.pages.is_(None)) | (TextRecord.object_id.not_in(select(ItemText.object_id))),
            TextRecord.object_id.in_(select(PreservedObject.id).where(PreservedObject.destroyed_at.is_(None))),
        )
        for object_id in tx.scalars(unread).all():
            add_job(tx, READ_RECORD, {"object_id": str(object_id)}, at=at, key=f"text:{object_id}")
            count += 1
        for draft_id in tx.scalars(select(Draft.id).where(Draft.state == DraftState.SET.value)).all():
            standing = signing_of(tx, DraftId(draft_id))
            if standing.is_complete:
                add_filing(tx, DraftId(draft_id), at=at)
            elif standing.awaits_time:
                key = f"stamp:{draft_id}:{standing.pdfs[-1].number + 1}"
                add_job(tx, STAMP_RECORD, {"draft_id": str(draft_id)}, at=at, key=key)
            count += standing.is_complete or standing.awaits_time
    return count
