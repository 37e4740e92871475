"""Whose unit an actor is of: what somebody makes is that unit's."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.models import Account, Integration
from archive.db.sight import FIRST_UNIT
from archive.ledger.entries import Actor


def unit_of(tx: Session, actor: Actor) -> UUID:
    """Return the unit of an account or an integration; what the archive itself makes is the first unit's."""
    for table in (Account, Integration):
        found = tx.scalar(select(table.unit_id).where(table.id == actor.id))
        if found is not None:
            return found
    return FIRST_UNIT
