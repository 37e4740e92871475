"""Originals that are in the store and in no published entry: taken in once more, from what lies beside them.

An item is durable before its entry, and its entry before its round is published. Where the database is lost in between,
the object holds all that intake needs: manifest and signature of the dock, the item's own manifest with the archive's
signature. So the upload and its claim are written as they were, and intake finishes it as after any crash.
"""

from itertools import islice
from typing import Final

from sqlalchemy import select

from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import unique_or
from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import DigestSet, hash_stream
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.findings import indeterminate, invalid
from archive.kernel.ids import ObjectId, UploadId, parse_uuid
from archive.kernel.instants import parse_instant
from archive.recovery.sources import Sources
from ingest.accept import finish_upload
from ingest.context import Intake
from ingest.manifest import parse_manifest, signed_bytes
from ingest.models import Dock, IntakeClaim, Upload
from signing.ed25519 import verify_ed25519

_CREDENTIAL: Final = "recovered"
"""In place of the credential that the upload came with, which no object keeps."""
_SENT: Final = "metadata/dock-manifest.json"
_FILES: Final = (_SENT, f"{_SENT}.sig", "metadata/manifest.json", "metadata/manifest.json.p7s")
_MOST_BYTES: Final = 1024 * 1024
_AT_ONCE: Final = 500


class AdoptionRefused(InvalidInput):
    """The dock that signed for this original is not known, or signed for other bytes."""

    code = "recovery.adoption_refused"


class UploadKnown(Conflict):
    """The upload that brought this original is known, and became something else."""

    code = "recovery.upload_known"


def adopt_unlogged(intake: Intake, sources: Sources) -> int:
    """Take in every original that the catalogue does not know; return how many. What cannot be is told.

    Raises: StorageFull, Unavailable.
    """
    adopted, ids = 0, sources.objects.object_ids()
    while some := list(islice(ids, _AT_ONCE)):
        with intake.database.read() as tx:
            known = set(tx.scalars(select(PreservedObject.id).where(PreservedObject.id.in_(some))))
        adopted += sum(_adopt(intake, sources, object_id) for object_id in some if object_id not in known)
    return adopted


def _adopt(intake: Intake, sources: Sources, object_id: ObjectId) -> bool:
    """Take in one object; return whether that could be done. What is told says why not."""
    files = sources.objects.read_inventory(object_id).versions[0].state
    if _SENT not in files:
        told = "An object is in no published entry and does not say where it belongs: file it again"
        sources.tell(invalid("recovery.object_unlogged", told, str(object_id)))
        return False
    try:
        upload_id, digests = _write_upload(intake, sources, object_id)
        finish_upload(intake, upload_id, digests=digests)
    except (InvalidInput, NotFound, Conflict, KeyError) as exc:
        told = f"An original is in no published entry and cannot be taken in once more: {type(exc).__name__}"
        sources.tell(invalid("recovery.object_unlogged", told, str(object_id)))
        return False
    told = "An original was in no published entry; it was taken in once more"
    sources.tell(indeterminate("recovery.object_adopted", told, str(object_id)))
    return True


def _write_upload(intake: Intake, sources: Sources, object_id: ObjectId) -> tuple[UploadId, DigestSet]:
    """Write the upload that brought an object, complete, with the claim on its bytes, which are read and hashed anew.

    Raises: AdoptionRefused, ManifestMalformed, NotFound for a file that is missing, Conflict where the row is taken.
    """
    sent, signature, item, item_signature = (_file(sources, object_id, path) for path in _FILES)
    manifest, told = parse_manifest(sent), parse_canonical(item)
    with sources.objects.open_file(object_id, told["path"]) as file:
        digests = hash_stream(file, algorithms=intake.algorithms)
    with intake.database.read() as tx:
        dock = tx.get(Dock, manifest.dock_id)
    if dock is None or not manifest.digests.agrees_with(digests):
        raise AdoptionRefused
    if not verify_ed25519(dock.public_key, signature, signed_bytes(sent)):
        raise AdoptionRefused
    upload_id, at = UploadId(parse_uuid(told["upload"])), parse_instant(told["times"]["received"])
    sender = manifest.fields.get("sender") or {}
    with unique_or(UploadKnown), intake.database.begin() as tx:
        insert_row(
            tx,
            Upload,
            id=upload_id,
            dock_id=dock.id,
            sender_id=None if "account" not in sender else parse_uuid(sender["account"]),
            credential=_CREDENTIAL,
            size_bytes=digests.size_bytes,
            offset_bytes=digests.size_bytes,
            metadata_header="",
            manifest=sent,
            manifest_signature=signature,
            state="complete",
            object_id=object_id,
            created_at=at,
            expires_at=at,
        )
        claim = {"item_manifest": item, "item_signature": item_signature}
        insert_row(
            tx, IntakeClaim, sha512=digests.sha512.hex, upload_id=upload_id, object_id=object_id, **claim
        )  # fmt: skip
    return upload_id, digests


def _file(sources: Sources, object_id: ObjectId, path: str) -> bytes:
    with sources.objects.open_file(object_id, path) as file:
        return file.read(_MOST_BYTES)
