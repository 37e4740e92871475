"""Granting and checking: content leaves the archive only under a grant, and a grant exists only with its log entry."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.custody.events import preserved_object, record_event
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import NotFound
from archive.kernel.ids import GrantId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.retrieval.models import Grant

LIFETIME: Final = timedelta(hours=4)


class GrantKind(StrEnum):
    """To see, or to take a copy away."""

    VIEW = "view"
    EXPORT = "export"


class GrantNotFound(NotFound):
    """There is no such grant, it is not yours, or it has ended; open the item again."""

    code = "retrieval.grant_not_found"


_RIGHTS: Final = {
    GrantKind.VIEW: (Capability.VIEW_CONTENT, EntryType.ACCESS_VIEW),
    GrantKind.EXPORT: (Capability.EXPORT_CONTENT, EntryType.ACCESS_EXPORT),
}


def grant_access(
    database: Database, object_id: ObjectId, *, kind: GrantKind, purpose: str, by: Caller, at: Instant
) -> GrantId:
    """Grant a person the sight or a copy of an object, for a purpose, for 4 hours.

    Guarantees: on return the grant and its log entry are committed together.
    Raises: Forbidden, ObjectNotFound, InvalidInput without a purpose.
    """
    return grant_all(database, [object_id], kind=kind, purpose=purpose, by=by, at=at)[object_id]


def grant_all(
    database: Database, object_ids: Sequence[ObjectId], *, kind: GrantKind, purpose: str, by: Caller, at: Instant
) -> Mapping[ObjectId, GrantId]:
    """Grant the sight or a copy of several objects for one purpose: a grant and a log entry for each, or none at all.

    Raises: as `grant_access`.
    """
    capability, _ = _RIGHTS[kind]
    require(by.roles, capability)
    purpose = clean_text(purpose, "purpose", 500)
    with database.begin() as tx:
        return {found: _grant(tx, found, kind=kind, purpose=purpose, by=by, at=at) for found in object_ids}


def _grant(tx: Session, object_id: ObjectId, *, kind: GrantKind, purpose: str, by: Caller, at: Instant) -> GrantId:
    grant_id, (_, entry_type) = GrantId(new_uuid7()), _RIGHTS[kind]
    row = preserved_object(tx, object_id)
    entry_id = record_event(
        tx,
        object_id,
        NewEntry(
            entry_type,
            by.actor,
            Target(row.kind, object_id),
            detail={"purpose": purpose, "grant": str(grant_id)},
        ),
        at=at,
    )
    insert_row(
        tx,
        Grant,
        id=grant_id,
        account_id=by.account_id,
        object_id=object_id,
        kind=kind.value,
        purpose=purpose,
        entry_id=entry_id,
        granted_at=at,
        expires_at=at + LIFETIME,
    )
    return grant_id


def active_grant(tx: Session, grant_id: GrantId, *, by: Caller, at: Instant) -> Grant:
    """Return the caller's own grant while it lasts. Raises: GrantNotFound, also for other people's grants."""
    grant = tx.scalar(
        select(Grant).where(Grant.id == grant_id, Grant.account_id == by.account_id, Grant.expires_at > at)
    )
    if grant is None:
        raise GrantNotFound
    return grant
