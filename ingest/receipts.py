"""Receipts: given only when a checkpoint covers the reception. A receipt is what allows a camera to be wiped."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select

from archive.kernel.ids import EntryId, UploadId
from archive.ledger.cosigning import settled_inclusion
from archive.ledger.models import LogEntry
from archive.ledger.receipt import issue_receipt
from archive.meters import meters
from ingest.accept import refusal_of
from ingest.context import Intake
from ingest.errors import UploadNotFound
from ingest.models import Upload
from ingest.uploads import own_upload

_AWAITED: Final = timedelta(hours=1)
"""A receipt that is asked for later is a copy, and says nothing of how long somebody waited."""


def receipt(intake: Intake, upload_id: UploadId, *, dock_id: UUID, sender_id: UUID | None = None) -> bytes | None:
    """Return the signed receipt of an accepted upload; None as long as no checkpoint that counts covers it.

    A checkpoint counts when witnesses have cosigned it as the archive's policy asks.
    Raises: UploadNotFound, DigestMismatch, ManifestUntrusted.
    Source: INTEGRITY 1.10; docs/formats/receipt.md.
    """
    with intake.database.read() as tx:
        upload = tx.scalar(select(Upload).where(*own_upload(upload_id, dock_id=dock_id, sender_id=sender_id)))
        if upload is None:
            raise UploadNotFound
        refusal = refusal_of(upload)
        if refusal is not None:
            raise refusal
        if upload.state != "accepted" or upload.entry_id is None:
            return None
        proof = settled_inclusion(tx, EntryId(upload.entry_id), policy=intake.policy)
        if proof is None:
            return None
        entry = tx.get_one(LogEntry, upload.entry_id)
    _count(intake, upload)
    return issue_receipt(
        upload_id=upload_id,
        manifest=upload.manifest,
        entry=entry.body,
        proof=proof,
        origin=intake.origin,
        key=intake.receipt_key,
    )


def _count(intake: Intake, upload: Upload) -> None:
    meters().receipts.inc()
    waited = intake.clock.now() - (upload.expires_at - intake.upload_lifetime)  # moved on with the last byte
    if timedelta(0) <= waited <= _AWAITED:
        meters().receipt_seconds.observe(waited.total_seconds())
