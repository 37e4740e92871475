"""What is written down of a thing that a system has pushed, in that system's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bound_id, external_ids_of
from archive.access.models import ExternalId
from archive.cases.identifiers import masked
from archive.cases.models import Act, ActOfficer, Case, Subject
from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.cases.subjects import identifier_rows, opened_identifier
from archive.kernel.errors import NotFound
from archive.kernel.ids import IntegrationId
from archive.kernel.instants import format_instant
from archive.organisation.models import Officer
from archive.ports.identifiers import IdentifierVault


class NothingPushed(NotFound):
    """This system has pushed nothing under this external id."""

    code = "cases.nothing_pushed"


@dataclass(frozen=True, slots=True)
class PushedThing:
    """A thing by the name that a system has for it."""

    kind: ExternalKind
    id: UUID
    external_id: str
    facts: Mapping[str, Any]


def pushed_thing(
    tx: Session, vault: IdentifierVault, integration_id: IntegrationId, kind: ExternalKind, external_id: str
) -> PushedThing:
    """Return what a system has pushed under an external id. Raises: NothingPushed."""
    found = bound_id(tx, integration_id, kind, external_id)
    if found is None:
        raise NothingPushed(external_id=external_id)
    return PushedThing(kind, found, external_id, facts_of(tx, vault, integration_id, kind, found))


def pushed_things(
    tx: Session,
    vault: IdentifierVault,
    integration_id: IntegrationId,
    kind: ExternalKind,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[PushedThing]:
    """Return everything of a kind that a system has pushed, the newest name first."""
    query = (
        select(ExternalId)
        .where(ExternalId.integration_id == integration_id, ExternalId.kind == kind.value)
        .order_by(ExternalId.bound_at.desc(), ExternalId.internal_id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(before(ExternalId.bound_at, ExternalId.internal_id, cursor, kind.value))
    found = sliced(tx.scalars(query).all(), limit, lambda row: cursor_of(kind.value, row.bound_at, row.internal_id))
    things = [
        PushedThing(kind, row.internal_id, row.external_id, facts_of(tx, vault, integration_id, kind, row.internal_id))
        for row in found.rows
    ]
    return Slice(things, found.next_cursor)


def facts_of(
    tx: Session, vault: IdentifierVault, integration_id: IntegrationId, kind: ExternalKind, internal_id: UUID
) -> dict[str, Any]:
    """Return what is written down of a thing; numbers of persons are masked."""
    match kind:
        case ExternalKind.SUBJECT:
            return _subject(tx, vault, internal_id)
        case ExternalKind.CASE:
            return _case(tx, integration_id, internal_id)
        case ExternalKind.ACT:
            return _act(tx, integration_id, internal_id)
        case ExternalKind.OFFICER:
            return _officer(tx, internal_id)


def _subject(tx: Session, vault: IdentifierVault, subject_id: UUID) -> dict[str, Any]:
    row = tx.get_one(Subject, subject_id, populate_existing=True)
    numbers = [opened_identifier(vault, found) for found in identifier_rows(tx, [subject_id])]
    return {
        "kind": row.kind,
        "name": row.name,
        "identifiers": [{"kind": found.kind.value, "masked": masked(found.number)} for found in numbers],
    }


def _case(tx: Session, integration_id: IntegrationId, case_id: UUID) -> dict[str, Any]:
    row = tx.get_one(Case, case_id, populate_existing=True)
    return {
        "number": row.number,
        "title": row.title,
        "category": row.category,
        "subject": _reference(tx, integration_id, row.subject_id),
    }


def _act(tx: Session, integration_id: IntegrationId, act_id: UUID) -> dict[str, Any]:
    row = tx.get_one(Act, act_id, populate_existing=True)
    officers = tx.scalars(
        select(ActOfficer.officer_id).where(ActOfficer.act_id == act_id).order_by(ActOfficer.officer_id)
    )
    return {
        "case": _reference(tx, integration_id, row.case_id),
        "stage": row.stage,
        "place": row.place,
        "started_at": format_instant(row.started_at),
        "ended_at": None if row.ended_at is None else format_instant(row.ended_at),
        "officers": _references(tx, integration_id, officers.all()),
    }


def _officer(tx: Session, officer_id: UUID) -> dict[str, Any]:
    row = tx.get_one(Officer, officer_id, populate_existing=True)
    return {
        "certificate_number": row.certificate_number,
        "name": row.name,
        "agency": row.agency,
        "unit": row.unit,
        "categories": list(row.categories),
        "valid_from": None if row.valid_from is None else row.valid_from.isoformat(),
        "valid_until": None if row.valid_until is None else row.valid_until.isoformat(),
    }


def _reference(tx: Session, integration_id: IntegrationId, internal_id: UUID) -> dict[str, Any]:
    return _references(tx, integration_id, [internal_id])[0]


def _references(tx: Session, integration_id: IntegrationId, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    names = external_ids_of(tx, ids).get(integration_id, {})
    return [{"id": str(found), "external_id": names.get(found)} for found in ids]
