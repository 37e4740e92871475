"""The rows of certificates: which is the newest, what it is called, and when it needs its next timestamp."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.kernel.digests import DigestSet
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from retention.disposition.models import DisposalCertificate, DispositionList
from signing.longterm import renewal_due

Renewal = tuple[Instant | None, Instant | None]
"""When a certificate needs its next timestamp, and when it would be too late."""


def name_of(row: DispositionList) -> str:
    """Return the file name of a list's certificate."""
    return f"{row.number}销毁证明书.pdf"


def newest_certificate(tx: Session, list_id: UUID) -> DisposalCertificate | None:
    """Return the newest certificate of a list, None where there is none yet."""
    return tx.scalar(
        select(DisposalCertificate)
        .where(DisposalCertificate.list_id == list_id)
        .order_by(DisposalCertificate.number.desc())
        .limit(1)
    )


def renewal_of(pdf: bytes, at: Instant) -> Renewal:
    """Return when a certificate needs its next timestamp, not before half of the time that this one gives; and its end.

    As records do (`archive.documents.long_term`).
    """
    due = renewal_due(pdf, at)
    if due.due_at is None or due.ends_at is None:
        return due.due_at, due.ends_at
    return max(due.due_at, at + (due.ends_at - at) / 2), due.ends_at


def as_told(renewal: Renewal) -> Mapping[str, str | None]:
    """Return both as entries hold them."""
    names = ("renew_at", "ends_at")
    return {name: each and format_instant(each) for name, each in zip(names, renewal, strict=True)}


def insert_certificate(
    tx: Session,
    list_id: UUID,
    number: int,
    object_id: ObjectId,
    path: str,
    digests: DigestSet,
    renewal: Renewal,
    entry_id: UUID,
    *,
    at: Instant,
) -> None:
    """Write a certificate down, in the caller's transaction."""
    insert_row(
        tx,
        DisposalCertificate,
        list_id=list_id,
        number=number,
        object_id=object_id,
        path=path,
        size_bytes=digests.size_bytes,
        sha256=digests.sha256.hex,
        sha512=digests.sha512.hex,
        renew_at=renewal[0],
        ends_at=renewal[1],
        at=at,
        entry_id=entry_id,
    )
