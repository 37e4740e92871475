"""The state of evidence items, as other systems may read it: metadata and digests, never content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from archive.access.external_ids import external_ids_of
from archive.cases.filing import require_case
from archive.cases.models import Case, CaseLink
from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.custody.events import ObjectNotFound
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import CaseId, IntegrationId, ObjectId

_ALL: Final = "api-items"


@dataclass(frozen=True, slots=True)
class FiledUnder:
    """A case that an item is filed under, with what the asking system calls case and act."""

    case: Case
    act_id: UUID | None
    case_external_id: str | None
    act_external_id: str | None


@dataclass(frozen=True, slots=True)
class ItemState:
    """An item and where it is filed."""

    item: EvidenceItem
    original: PreservedObject
    filed_under: Sequence[FiledUnder]


def item_state(tx: Session, integration_id: IntegrationId, object_id: ObjectId) -> ItemState:
    """Return one item. Raises: ObjectNotFound."""
    found = _states(tx, integration_id, [EvidenceItem.object_id == object_id], _ALL, None, 1).rows
    if not found:
        raise ObjectNotFound
    return found[0]


def item_states(
    tx: Session,
    integration_id: IntegrationId,
    *,
    unlinked_only: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[ItemState]:
    """Return all items, or those that are filed nowhere, the newest first."""
    unlinked = ~exists().where(CaseLink.object_id == EvidenceItem.object_id)
    listing = f"{_ALL}-unlinked" if unlinked_only else _ALL
    return _states(tx, integration_id, [unlinked] if unlinked_only else [], listing, cursor, limit)


def item_states_of_case(
    tx: Session, integration_id: IntegrationId, case_id: CaseId, *, cursor: str | None = None, limit: int = 50
) -> Slice[ItemState]:
    """Return the items that are filed under a case, the newest first. Raises: CaseNotFound."""
    require_case(tx, case_id)
    filed = exists().where(CaseLink.object_id == EvidenceItem.object_id, CaseLink.case_id == case_id)
    return _states(tx, integration_id, [filed], f"{_ALL}-{case_id}", cursor, limit)


def _states(
    tx: Session,
    integration_id: IntegrationId,
    conditions: Sequence[ColumnElement[bool]],
    listing: str,
    cursor: str | None,
    limit: int,
) -> Slice[ItemState]:
    query = (
        select(EvidenceItem, PreservedObject)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .where(*conditions)
        .order_by(EvidenceItem.received_at.desc(), EvidenceItem.object_id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(before(EvidenceItem.received_at, EvidenceItem.object_id, cursor, listing))
    rows: list[Any] = list(tx.execute(query))
    found = sliced(rows, limit, lambda row: cursor_of(listing, row[0].received_at, row[0].object_id))
    filed = _filed_under(tx, integration_id, [item.object_id for item, _ in found.rows])
    return Slice(
        [ItemState(item, original, filed.get(item.object_id, [])) for item, original in found.rows], found.next_cursor
    )


def _filed_under(
    tx: Session, integration_id: IntegrationId, object_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[FiledUnder]]:
    links = tx.execute(
        select(CaseLink.object_id, CaseLink.act_id, Case)
        .join(Case, Case.id == CaseLink.case_id)
        .where(CaseLink.object_id.in_(object_ids))
        .order_by(CaseLink.linked_at, Case.id)
    ).all()
    things = {case.id for _, _, case in links} | {act_id for _, act_id, _ in links if act_id is not None}
    names = external_ids_of(tx, things).get(integration_id, {})
    found: dict[UUID, list[FiledUnder]] = {}
    for object_id, act_id, case in links:
        act_name = None if act_id is None else names.get(act_id)
        found.setdefault(object_id, []).append(FiledUnder(case, act_id, names.get(case.id), act_name))
    return found
