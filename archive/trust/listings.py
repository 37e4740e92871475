"""The register of certificates as it is shown: lists by purpose, state and holder, one certificate with what it had."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from archive.kernel.ids import CertificateId
from archive.kernel.instants import Instant
from archive.trust.models import KeyCertificate, KeyRequest
from archive.trust.terms import KeyPurpose

ENDS_WITHIN: Final = timedelta(days=30)
_MOST_IN_CHAIN: Final = 50


class KeyState(StrEnum):
    """Where a certificate stands at a moment: it signs, soon no more, not yet; it ended, was replaced or revoked."""

    VALID = "valid"
    ENDING = "ending"
    NOT_YET = "not_yet"
    ENDED = "ended"
    REPLACED = "replaced"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which certificates a list shows; what is None narrows nothing down."""

    purpose: KeyPurpose | None = None
    state: KeyState | None = None
    holders: Collection[UUID] | None = None


def state_of(row: KeyCertificate, *, at: Instant) -> KeyState:
    """Return where a certificate stands at a moment."""
    if row.revoked_at is not None:
        return KeyState.REVOKED
    if row.replaced_by is not None:
        return KeyState.REPLACED
    if row.not_after < at:
        return KeyState.ENDED
    if row.not_before > at:
        return KeyState.NOT_YET
    return KeyState.ENDING if row.not_after <= at + ENDS_WITHIN else KeyState.VALID


def certificates(
    tx: Session, wanted: Wanted, *, at: Instant, limit: int, before: CertificateId | None = None
) -> Sequence[KeyCertificate]:
    """Return certificates, the newest first, from before one of them on."""
    query = select(KeyCertificate).order_by(KeyCertificate.id.desc()).limit(limit)
    if before is not None:
        query = query.where(KeyCertificate.id < before)
    if wanted.purpose is not None:
        query = query.where(KeyCertificate.purpose == wanted.purpose.value)
    if wanted.holders is not None:
        query = query.where(KeyCertificate.holder_id.in_(wanted.holders))
    if wanted.state is not None:
        query = query.where(*_in_state(wanted.state, at))
    return tx.scalars(query).all()


def certificates_held(tx: Session, holder_id: UUID) -> Sequence[KeyCertificate]:
    """Return all certificates of a holder, the newest first."""
    return tx.scalars(
        select(KeyCertificate).where(KeyCertificate.holder_id == holder_id).order_by(KeyCertificate.id.desc())
    ).all()


def certificates_by_id(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, KeyCertificate]:
    """Return the certificates with these ids."""
    rows = tx.scalars(select(KeyCertificate).where(KeyCertificate.id.in_(ids))) if ids else ()
    return {row.id: row for row in rows}


def ending_certificates(tx: Session, *, at: Instant, within: timedelta) -> Sequence[KeyCertificate]:
    """Return the certificates that sign now and end within this time, the first to end first."""
    return tx.scalars(
        select(KeyCertificate)
        .where(
            KeyCertificate.revoked_at.is_(None),
            KeyCertificate.replaced_by.is_(None),
            KeyCertificate.not_after >= at,
            KeyCertificate.not_after <= at + within,
        )
        .order_by(KeyCertificate.not_after, KeyCertificate.id)
    ).all()


def rotation_of(tx: Session, row: KeyCertificate) -> Sequence[KeyCertificate]:
    """Return the chain of certificates that replaced one another and that this one is in, the oldest first.

    One that came in the place of several is preceded by the newest of them. At most some 50 each way.
    """
    chain = [row]
    while len(chain) < _MOST_IN_CHAIN and (
        older := tx.scalar(
            select(KeyCertificate)
            .where(KeyCertificate.replaced_by == chain[0].id)
            .order_by(KeyCertificate.id.desc())
            .limit(1)
        )
    ):
        chain.insert(0, older)
    for _ in range(_MOST_IN_CHAIN):
        newer = None if chain[-1].replaced_by is None else tx.get(KeyCertificate, chain[-1].replaced_by)
        if newer is None:
            break
        chain.append(newer)
    return chain


def requests_about(tx: Session, row: KeyCertificate) -> Sequence[KeyRequest]:
    """Return the requests for acts with a certificate, that for its registration among them, the newest first."""
    return tx.scalars(
        select(KeyRequest)
        .where(or_(KeyRequest.certificate_id == row.id, KeyRequest.certificate == row.certificate))
        .order_by(KeyRequest.id.desc())
    ).all()


def _in_state(state: KeyState, at: Instant) -> Sequence[ColumnElement[bool]]:
    row = KeyCertificate
    if state is KeyState.REVOKED:
        return (row.revoked_at.is_not(None),)
    if state is KeyState.REPLACED:
        return (row.revoked_at.is_(None), row.replaced_by.is_not(None))
    live = (row.revoked_at.is_(None), row.replaced_by.is_(None))
    match state:
        case KeyState.ENDED:
            return (*live, row.not_after < at)
        case KeyState.NOT_YET:
            return (*live, row.not_after >= at, row.not_before > at)
        case KeyState.ENDING:
            return (*live, row.not_before <= at, row.not_after >= at, row.not_after <= at + ENDS_WITHIN)
        case _:
            return (*live, row.not_before <= at, row.not_after > at + ENDS_WITHIN)
