"""Telling of holds in the log: each entry about a hold, and which objects it covers, some at a time.

A hold on one object is part of that object's custody trail. What a hold on a case, a subject or a query covers stands
in the details of the hold's own entries: one for each object would be thousands at once. Source: docs/adr/0034.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from archive.custody.events import preserved_object, record_event
from archive.db.base import insert_rows
from archive.db.sight import unbound
from archive.kernel.ids import CaseId, EntryId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from retention.holding.models import HeldObject, Hold
from retention.holding.terms import HoldScope

HOLD: Final = "hold"
"""The kind of holds in entries and in `reach`."""
MOST_TOLD: Final = 200
"""How many objects one entry names."""


def tell_of_hold(
    tx: Session, kind: EntryType, hold: Hold, detail: Mapping[str, Any], *, by: Actor, at: Instant
) -> EntryId:
    """Write an entry about a hold, in the caller's transaction; one on a single object is in its custody trail."""
    if hold.scope == HoldScope.OBJECT and kind is not EntryType.HOLD_EXTENDED and hold.ref_id is not None:
        with unbound(tx):
            row = preserved_object(tx, ObjectId(hold.ref_id))
        entry = NewEntry(kind, by, Target(row.kind, row.id), request=str(hold.id), detail=detail)
        return record_event(tx, ObjectId(row.id), entry, at=at)
    case_id = CaseId(hold.ref_id) if hold.scope == HoldScope.CASE and hold.ref_id is not None else None
    entry = NewEntry(kind, by, Target(HOLD, hold.id), case=case_id, request=str(hold.id), detail=detail)
    return append_entry(tx, entry, at=at)


def write_held(tx: Session, hold_id: UUID, object_ids: Sequence[UUID], *, at: Instant) -> None:
    """Write that a hold covers objects; the caller tells of them."""
    insert_rows(tx, HeldObject, [{"hold_id": hold_id, "object_id": object_id, "since": at} for object_id in object_ids])


def extend_hold(tx: Session, hold: Hold, object_ids: Sequence[UUID], *, by: Actor, at: Instant) -> None:
    """Write that a hold covers further objects, with an entry for each 200 of them, in the caller's transaction."""
    for first in range(0, len(object_ids), MOST_TOLD):
        some = object_ids[first : first + MOST_TOLD]
        write_held(tx, hold.id, some, at=at)
        tell_of_hold(tx, EntryType.HOLD_EXTENDED, hold, {"objects": [str(found) for found in some]}, by=by, at=at)
