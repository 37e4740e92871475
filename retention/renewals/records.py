"""Signed records that were never extended for the long term: due before the first of their signers' certificates ends.

`archive.documents.renewing` renews what was extended once; here what nobody has bound in a closed volume is found.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from archive.documents.drafts import DraftState
from archive.documents.models import Draft, DraftPdf, RecordExtension
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.trust.models import KeyCertificate, KeyUse


def never_extended(*, longest: timedelta, until: Instant) -> Select[UUID, Instant]:
    """Return the query for filed records that were signed here and never extended, due by then: id and first end.

    A certificate of a person lives for years: `longest` is taken as it is.
    """
    ends = func.min(KeyCertificate.not_after).label("ends")
    return (
        select(Draft.id, ends)
        .join(DraftPdf, DraftPdf.draft_id == Draft.id)
        .join(KeyUse, KeyUse.entry_id == DraftPdf.entry_id)
        .join(KeyCertificate, KeyCertificate.id == KeyUse.certificate_id)
        .where(
            Draft.state == DraftState.FILED.value,
            ~exists().where(RecordExtension.object_id == Draft.id),
            KeyCertificate.not_after <= until + longest,
        )
        .group_by(Draft.id)
    )


def due_for_the_first(
    tx: Session, *, longest: timedelta, at: Instant, limit: int, tried: Sequence[UUID] = ()
) -> Sequence[ObjectId]:
    """Return records that are due for their first extension and were not tried, the most urgent first."""
    query = never_extended(longest=longest, until=at)
    if tried:
        query = query.where(Draft.id.not_in(tried))
    return [ObjectId(row[0]) for row in tx.execute(query.order_by("ends", Draft.id).limit(limit))]
