"""What other systems call things of ours: each name is bound to one thing, and says so in the log."""

import unicodedata
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.models import ExternalId
from archive.db.base import insert_row
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import CaseId, IntegrationId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.staff_events import tell_of_person

MAX_EXTERNAL_ID_CHARACTERS: Final = 200


class ExternalKind(StrEnum):
    """What an external id can name."""

    SUBJECT = "subject"
    CASE = "case"
    ACT = "act"
    OFFICER = "officer"


_TOLD_BY: Final = {
    ExternalKind.SUBJECT: EntryType.SUBJECT_UPDATED,
    ExternalKind.CASE: EntryType.CASE_UPDATED,
    ExternalKind.ACT: EntryType.CASE_ACT_UPDATED,
    ExternalKind.OFFICER: EntryType.ADMIN_OFFICER_RECORDED,
}


class ExternalIdInvalid(InvalidInput):
    """An external id has 1 to 200 characters, none of them a control character, and no blank at either end."""

    code = "access.external_id_invalid"


class ExternalIdTaken(Conflict):
    """This system calls the thing by another external id already."""

    code = "access.external_id_taken"


def clean_external_id(text: str) -> str:
    """Return an external id in NFC. Nothing is taken away from it: two ids that differ stay different.

    Raises: ExternalIdInvalid.
    """
    cleaned = unicodedata.normalize("NFC", text)
    if not cleaned or len(cleaned) > MAX_EXTERNAL_ID_CHARACTERS or cleaned != cleaned.strip():
        raise ExternalIdInvalid
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in cleaned):
        raise ExternalIdInvalid
    return cleaned


def bound_id(
    tx: Session, integration_id: IntegrationId, kind: ExternalKind, external_id: str, *, locked: bool = False
) -> UUID | None:
    """Return what an external id is bound to, if it is; `locked` to the end of the transaction, if wanted."""
    query = select(ExternalId.internal_id).where(
        ExternalId.integration_id == integration_id,
        ExternalId.kind == kind.value,
        ExternalId.external_id == external_id,
    )
    return tx.scalar(query.with_for_update() if locked else query)


def external_id_of(tx: Session, integration_id: IntegrationId, kind: ExternalKind, internal_id: UUID) -> str | None:
    """Return what a system calls a thing of ours, if it has a name for it."""
    return tx.scalar(
        select(ExternalId.external_id).where(
            ExternalId.integration_id == integration_id,
            ExternalId.kind == kind.value,
            ExternalId.internal_id == internal_id,
        )
    )


def external_ids_of(tx: Session, internal_ids: Collection[UUID]) -> Mapping[IntegrationId, Mapping[UUID, str]]:
    """Return, by system, what it calls each of these things."""
    found: dict[IntegrationId, dict[UUID, str]] = {}
    if internal_ids:
        rows = tx.execute(
            select(ExternalId.integration_id, ExternalId.internal_id, ExternalId.external_id).where(
                ExternalId.internal_id.in_(internal_ids)
            )
        )
        for integration_id, internal_id, external_id in rows:
            found.setdefault(IntegrationId(integration_id), {})[internal_id] = external_id
    return found


def bind_external_id(
    tx: Session,
    integration_id: IntegrationId,
    kind: ExternalKind,
    external_id: str,
    internal_id: UUID,
    *,
    case_id: CaseId | None = None,
    by: Actor,
    at: Instant,
) -> None:
    """Bind an external id, which is bound to nothing, to a thing; in the caller's transaction, with its entry.

    Goes inside `unique_or`: another transaction may bind it at the same time.
    Raises: ExternalIdTaken when the system has another name for the thing.
    """
    other = external_id_of(tx, integration_id, kind, internal_id)
    if other is not None:
        raise ExternalIdTaken(external_id=other)
    insert_row(
        tx,
        ExternalId,
        integration_id=integration_id,
        kind=kind.value,
        external_id=external_id,
        internal_id=internal_id,
        bound_at=at,
    )
    detail: dict[str, Any] = {"external": {"integration": str(integration_id), "id": external_id}}
    target = Target(kind.value, internal_id)
    if kind is ExternalKind.OFFICER:
        tell_of_person(tx, internal_id, _TOLD_BY[kind], target, detail, by=by, at=at)
    else:
        append_entry(tx, NewEntry(_TOLD_BY[kind], by, target, case=case_id, detail=detail), at=at)
