"""Telling other systems what happened to an item: which events there are, and what stands in them.

Each goes into the transaction of the change it tells of. No personal data: ids, numbers of cases, digests, codes.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.external_ids import external_ids_of
from archive.cases.models import Case, CaseLink
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.kernel.digests import DigestSet
from archive.kernel.ids import ActId, CaseId, ObjectId, UploadId
from archive.kernel.instants import Instant
from archive.notify.events import Event, EventType, publish


def publish_ready(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """Tell that an item can be played, with damage or without; its row says so already."""
    item, original = _item(tx, object_id)
    facts = {
        "state": item.play_state,
        "kind": item.kind,
        "duration_ms": item.duration_ms,
        "size_bytes": original.size_bytes,
        "sha256": original.sha256,
    }
    _publish_of_item(tx, EventType.ITEM_READY, object_id, facts, at=at)


def publish_unplayable(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """Tell that an item cannot be played, and the code of the reason; its row says so already."""
    item, original = _item(tx, object_id)
    facts = {
        "state": item.play_state,
        "kind": item.kind,
        "reason": item.play_reason,
        "size_bytes": original.size_bytes,
        "sha256": original.sha256,
    }
    _publish_of_item(tx, EventType.ITEM_UNPLAYABLE, object_id, facts, at=at)


def publish_quarantined(
    tx: Session, upload_id: UploadId, *, dock_id: UUID, reason: str, digests: DigestSet, at: Instant
) -> None:
    """Tell that an upload went to quarantine. Nothing that only its manifest says stands in the event."""
    data = {
        "upload": {"id": str(upload_id)},
        "dock": {"id": str(dock_id)},
        "reason": reason,
        "size_bytes": digests.size_bytes,
        "sha256": digests.sha256.hex,
    }
    publish(tx, Event(EventType.ITEM_QUARANTINED, upload_id, data), at=at)


def publish_linked(tx: Session, case_id: CaseId, object_id: ObjectId, *, act_id: ActId | None, at: Instant) -> None:
    """Tell that something was filed under a case, where it is an item."""
    act = None if act_id is None else {"id": str(act_id)}
    _publish_of_link(tx, EventType.ITEM_LINKED, case_id, object_id, {"act": act}, [act_id] if act_id else [], at=at)


def publish_unlinked(tx: Session, case_id: CaseId, object_id: ObjectId, *, at: Instant) -> None:
    """Tell that something was taken out of a case, where it is an item."""
    _publish_of_link(tx, EventType.ITEM_UNLINKED, case_id, object_id, {}, [], at=at)


def _publish_of_item(
    tx: Session, event_type: EventType, object_id: ObjectId, facts: Mapping[str, Any], *, at: Instant
) -> None:
    cases = tx.execute(
        select(Case.id, Case.number)
        .join(CaseLink, CaseLink.case_id == Case.id)
        .where(CaseLink.object_id == object_id)
        .order_by(CaseLink.linked_at, Case.id)
    ).all()
    data = {
        "item": {"id": str(object_id)},
        "cases": [{"id": str(case_id), "number": number} for case_id, number in cases],
        **facts,
    }
    external = external_ids_of(tx, [case_id for case_id, _ in cases])
    publish(tx, Event(event_type, object_id, data, external), at=at)


def _publish_of_link(
    tx: Session,
    event_type: EventType,
    case_id: CaseId,
    object_id: ObjectId,
    facts: Mapping[str, Any],
    named: Sequence[UUID],
    *,
    at: Instant,
) -> None:
    if tx.scalar(select(PreservedObject.kind).where(PreservedObject.id == object_id)) != "item":
        return
    number = tx.scalars(select(Case.number).where(Case.id == case_id)).one()
    data = {"item": {"id": str(object_id)}, "case": {"id": str(case_id), "number": number}, **facts}
    publish(tx, Event(event_type, object_id, data, external_ids_of(tx, [case_id, *named])), at=at)


def _item(tx: Session, object_id: ObjectId) -> tuple[EvidenceItem, PreservedObject]:
    row = tx.execute(
        select(EvidenceItem, PreservedObject)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .where(EvidenceItem.object_id == object_id)
        .execution_options(populate_existing=True)
    ).one()
    return row[0], row[1]
