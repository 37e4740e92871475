"""Giving every number a new key: for when the old one may be known, and from time to time."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.cases.models import SubjectIdentifier
from archive.cases.subjects import (
    identifier_rows,
    opened_identifier,
    require_subject,
    sealed_values,
    tell_identifiers,
)
from archive.db.database import Database
from archive.kernel.ids import SubjectId
from archive.ledger.entries import Actor
from archive.ports.clock import Clock
from archive.ports.identifiers import IdentifierVault


def rekey_identifiers(database: Database, vault: IdentifierVault, *, by: Actor, clock: Clock) -> int:
    """Put every number that is under an older key under the newest one; return how many there were.

    Each subject is a transaction with its own entry; what breaks off is gone on with by the next call.
    Raises: IdentifierUnreadable at the first number that cannot be opened, IdentifierTaken.
    """
    newest = vault.key_ids[-1]
    count = 0
    with database.read() as tx:
        waiting = tx.scalars(
            select(SubjectIdentifier.subject_id).where(SubjectIdentifier.key_id != newest).distinct()
        ).all()
    for found in waiting:
        with database.begin() as tx:
            count += _rekey(tx, vault, SubjectId(found), by=by, clock=clock)
    return count


def used_keys(tx: Session) -> Sequence[str]:
    """Return the ids of the keys that some number is under."""
    return tx.scalars(select(SubjectIdentifier.key_id).distinct()).all()


def _rekey(tx: Session, vault: IdentifierVault, subject_id: SubjectId, *, by: Actor, clock: Clock) -> int:
    require_subject(tx, subject_id)
    before = identifier_rows(tx, [subject_id])
    stale = [row for row in before if row.key_id != vault.key_ids[-1]]
    for row in stale:
        values = sealed_values(vault, subject_id, opened_identifier(vault, row))
        tx.execute(update(SubjectIdentifier).where(SubjectIdentifier.id == row.id).values(**values))
    if stale:
        tx.expire_all()
        after = identifier_rows(tx, [subject_id])
        tell_identifiers(tx, subject_id, before, after, by=by, at=clock.now(), reason="rekeyed")
    return len(stale)
