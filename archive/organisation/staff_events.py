"""What happened to an officer or one of the legal staff, as the log tells it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.models import LogDetail
from archive.organisation.models import StaffEvent


def tell_of_person(
    tx: Session,
    person_id: UUID,
    kind: EntryType,
    target: Target,
    detail: Mapping[str, Any],
    *,
    by: Actor,
    at: Instant,
) -> EntryId:
    """Write an entry that is about a person, in the caller's transaction, and that it is; days become texts."""
    entry_id = append_entry(tx, NewEntry(kind, by, target, detail=plain(detail)), at=at)
    insert_row(tx, StaffEvent, entry_id=entry_id, person_id=person_id, type=kind.value, actor_id=by.id, at=at)
    return entry_id


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a detail holds them: days, moments and ids as texts."""
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, date):  # a moment is a date too
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


@dataclass(frozen=True, slots=True)
class StaffLine:
    """A line of somebody's history. `detail` is empty where it was erased."""

    event: StaffEvent
    detail: Mapping[str, Any]

    @property
    def changed(self) -> Sequence[str]:
        """The names of what was changed."""
        was = self.detail.get("was")
        return sorted(was) if isinstance(was, dict) else ()

    @property
    def reason(self) -> str:
        """The reason that was given, if any."""
        said = self.detail.get("reason") or self.detail.get("suspension_reason") or self.detail.get("end_reason")
        return said if isinstance(said, str) else ""


def history_of(tx: Session, person_id: UUID, *, limit: int = 100) -> Sequence[StaffLine]:
    """Return what happened to a person, the newest first."""
    rows: Any = tx.execute(
        select(StaffEvent, LogDetail.detail)
        .outerjoin(LogDetail, LogDetail.entry_id == StaffEvent.entry_id)
        .where(StaffEvent.person_id == person_id)
        .order_by(StaffEvent.entry_id.desc())
        .limit(limit)
    )
    return [StaffLine(event, {} if detail is None else json.loads(detail)) for event, detail in rows]
