"""Finishing an upload: every durable byte sequence becomes an item with a receipt, or goes to quarantine.

Nothing is acknowledged before bytes and log entry are durable, and finishing twice has one effect: the claim row fixes
object id, item manifest and signature before the first byte of the object is written.
"""

import io
import mimetypes
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.actors import unit_of
from archive.cases.events import publish_quarantined
from archive.cases.filing import case_by_number, write_link
from archive.cases.indexing import index_objects
from archive.cases.models import CaseLink
from archive.custody.events import record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import unique_or
from archive.evidence.models import EvidenceItem
from archive.evidence.terms import RecordedFrom
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet, digest_of, hash_stream
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import CaseId, EntryId, ObjectId, UploadId
from archive.kernel.instants import Instant, format_instant
from archive.kernel.names import safe_file_name
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.meters import meters
from archive.ocfl.inventory import IN_PLACE, NewFile, VersionUser
from archive.organisation.models import Officer
from archive.ports.blobs import BlobExists
from ingest.context import Intake
from ingest.errors import DigestMismatch, IntakeBusy, ManifestUntrusted, Quarantined, StagedBytesLost
from ingest.manifest import DockManifest, parse_manifest, signed_bytes
from ingest.models import DirectUpload, Dock, IntakeClaim, QuarantineItem, Upload
from ingest.staging import remove_staged, staged_path
from ingest.uploads import upload_actor
from ingest.waiting import note_arrived
from signing.ed25519 import verify_ed25519


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An upload whose bytes are all there, with what is known of them."""

    upload: Upload
    manifest: DockManifest
    digests: DigestSet
    at: Instant
    in_store: str | None
    """The key of the bytes where they went straight to the store of originals."""


def finish_upload(intake: Intake, upload_id: UploadId, *, digests: DigestSet | None = None) -> None:
    """Take a complete upload into the archive, or into quarantine.

    Guarantees: on return bytes, custody event and log entry are durable. `digests` are those of the staged bytes;
        without them (after a restart) the bytes are read again.
    Idempotent: yes, by upload.
    Raises: DigestMismatch or ManifestUntrusted (the bytes are in quarantine), IntakeBusy (try again), StorageFull,
        StagedBytesLost.
    """
    with intake.database.read() as tx:
        upload = tx.get_one(Upload, upload_id)
        dock = tx.get_one(Dock, upload.dock_id)
    if upload.state != "complete":
        _tell(upload)
        return
    try:
        _take(intake, upload, dock, digests)
    except Quarantined:
        raise
    except LiuhenError:
        with intake.database.read() as tx:
            upload = tx.get_one(Upload, upload_id)
        if upload.state == "complete":
            raise
        _tell(upload)  # somebody else was quicker, and took the staged bytes with them


def _take(intake: Intake, upload: Upload, dock: Dock, digests: DigestSet | None) -> None:
    if digests is None:
        digests = _staged_digests(intake, upload)
    manifest = parse_manifest(upload.manifest)
    with intake.database.read() as tx:
        direct = tx.get(DirectUpload, upload.id)
    arrival = _Arrival(upload, manifest, digests, intake.clock.now(), None if direct is None else direct.key)
    refusal = _refusal(arrival, dock)
    if refusal is None:
        _accept(intake, arrival)
    else:
        _quarantine(intake, arrival, refusal)
        raise refusal


def _tell(upload: Upload) -> None:
    """Say how an upload ended. Raises: DigestMismatch, ManifestUntrusted."""
    refusal = refusal_of(upload)
    if refusal is not None:
        raise refusal


def _staged_digests(intake: Intake, upload: Upload) -> DigestSet:
    try:
        with staged_path(intake.staging, UploadId(upload.id)).open("rb") as staged:
            return hash_stream(staged, algorithms=intake.algorithms)
    except FileNotFoundError as exc:
        raise StagedBytesLost(upload_id=upload.id, offset_bytes=upload.offset_bytes) from exc


def _refusal(arrival: _Arrival, dock: Dock) -> Quarantined | None:
    signed = verify_ed25519(dock.public_key, arrival.upload.manifest_signature, signed_bytes(arrival.upload.manifest))
    if not signed or arrival.manifest.dock_id != dock.id:
        return ManifestUntrusted(upload_id=arrival.upload.id)
    if not arrival.manifest.digests.agrees_with(arrival.digests):
        return DigestMismatch(
            upload_id=arrival.upload.id,
            declared=str(arrival.manifest.digests.sha256),
            actual=str(arrival.digests.sha256),
        )
    return None


def refusal_of(upload: Upload) -> Quarantined | None:
    """Return why the upload went to quarantine, if it did."""
    for refusal in (DigestMismatch, ManifestUntrusted):
        if upload.refusal == refusal.code:
            return refusal(upload_id=upload.id)
    return None


def _accept(intake: Intake, arrival: _Arrival) -> None:
    claim = _claim(intake, arrival)
    if claim is None:
        with unique_or(IntakeBusy), intake.database.begin() as tx:
            _have(tx, arrival.upload)
            _write_duplicate(tx, arrival)
    else:
        content_path = f"original/{safe_file_name(arrival.manifest.name)}"
        intake.objects.create_object(
            ObjectId(claim.object_id),
            _object_files(intake, arrival, claim, content_path),
            message="Taken in from a dock",
            user=VersionUser("liuhen", "urn:liuhen:archive"),
            at=arrival.upload.created_at,
        )
        with unique_or(IntakeBusy), intake.database.begin() as tx:
            _have(tx, arrival.upload)
            _write_new_item(tx, arrival, ObjectId(claim.object_id), content_path)
    meters().uploads.labels("accepted").inc()
    # The object holds the bytes under its own name now; the staged name is the last thing to go.
    remove_staged(intake.staging, UploadId(arrival.upload.id))


def _claim(intake: Intake, arrival: _Arrival) -> IntakeClaim | None:
    """Return the claim that makes this upload the one to write the object; None when the item exists already."""
    sha512 = arrival.digests.sha512.hex
    with intake.database.read() as tx:
        if tx.scalar(select(EvidenceItem.object_id).where(EvidenceItem.sha512 == sha512)) is not None:
            return None
        claim = tx.get(IntakeClaim, sha512)
    if claim is None:
        manifest = _item_manifest(arrival)
        claim = IntakeClaim(
            sha512=sha512,
            upload_id=arrival.upload.id,
            object_id=arrival.upload.object_id,
            item_manifest=manifest,
            item_signature=intake.signer.sign_detached(manifest),
        )
        with unique_or(IntakeBusy), intake.database.begin() as tx:
            tx.add(claim)
            tx.flush()
    if claim.upload_id != arrival.upload.id:
        raise IntakeBusy
    return claim


def _have(tx: Session, upload: Upload) -> None:
    """Have the upload to the transaction's end, so that of two that finish it one writes. Raises: IntakeBusy."""
    state = tx.scalar(select(Upload.state).where(Upload.id == upload.id).with_for_update())
    if state != "complete":
        raise IntakeBusy


def _item_manifest(arrival: _Arrival) -> bytes:
    upload, manifest = arrival.upload, arrival.manifest
    return canonical_json(
        {
            "v": 1,
            "id": str(upload.object_id),
            "name": manifest.name,
            "path": f"original/{safe_file_name(manifest.name)}",
            "size": arrival.digests.size_bytes,
            **arrival.digests.as_json(),
            "dock": str(upload.dock_id),
            "upload": str(upload.id),
            "dock_manifest": {"sha256": digest_of(upload.manifest).sha256.hex},
            "device": manifest.fields["device"],
            "times": {**manifest.fields["times"], "received": format_instant(arrival.at)},
        }
    )


def _object_files(intake: Intake, arrival: _Arrival, claim: IntakeClaim, content_path: str) -> list[NewFile]:
    upload = arrival.upload
    metadata = {
        "metadata/dock-manifest.json": upload.manifest,
        "metadata/dock-manifest.json.sig": upload.manifest_signature,
        "metadata/manifest.json": claim.item_manifest,
        "metadata/manifest.json.p7s": claim.item_signature,
    }
    source = staged_path(intake.staging, UploadId(upload.id)) if arrival.in_store is None else IN_PLACE
    return [
        NewFile(content_path, source, arrival.digests),
        *(NewFile(path, data, digest_of(data)) for path, data in metadata.items()),
    ]


def _write_new_item(tx: Session, arrival: _Arrival, object_id: ObjectId, content_path: str) -> None:
    manifest, digests, unit_id = arrival.manifest, arrival.digests, _unit_of(tx, arrival)
    insert_row(
        tx,
        PreservedObject,
        id=object_id,
        kind="item",
        name=manifest.name,
        content_path=content_path,
        media_type=guessed_media_type(content_path),
        size_bytes=digests.size_bytes,
        sha256=digests.sha256.hex,
        sha512=digests.sha512.hex,
        sm3=None if digests.sm3 is None else digests.sm3.hex,
        preserved_at=arrival.at,
        unit_id=unit_id,
    )
    insert_row(tx, EvidenceItem, object_id=object_id, received_at=arrival.at, **new_item_columns(manifest, digests))
    preserved = _entry(EntryType.OBJECT_PRESERVED, arrival, object_id, unit=str(unit_id))
    record_event(tx, object_id, preserved, at=arrival.at)
    _finish_row(tx, arrival, object_id)
    add_job(tx, "probe_item", {"object_id": str(object_id)}, at=arrival.at, queue=PROMPT, key=f"probe:{object_id}")
    index_objects(tx, [object_id])


def guessed_media_type(content_path: str) -> str:
    """Return what an original is by its name, until somebody has looked."""
    return mimetypes.guess_type(content_path)[0] or "application/octet-stream"


def new_item_columns(manifest: DockManifest, digests: DigestSet) -> dict[str, Any]:
    """Return what the row of an item says that nobody has looked into yet."""
    return {
        "sha512": digests.sha512.hex,
        "kind": "other",
        "dock_id": manifest.dock_id,
        "device_serial": manifest.device_serial,
        **_source_of(manifest),
        "recorded_at": manifest.recorded_at or manifest.modified_at,
        "recorded_from": _recorded_from(manifest),
        "clock_offset_ms": manifest.clock_offset_ms,
        "play_state": "pending",
    }


def _write_duplicate(tx: Session, arrival: _Arrival) -> None:
    object_id = tx.scalars(
        select(EvidenceItem.object_id).where(EvidenceItem.sha512 == arrival.digests.sha512.hex)
    ).one()
    manifest = {
        "dock_manifest": arrival.upload.manifest.decode(),
        "dock_signature": arrival.upload.manifest_signature.hex(),
    }
    _finish_row(tx, arrival, ObjectId(object_id), **manifest)
    index_objects(tx, [object_id])


def _unit_of(tx: Session, arrival: _Arrival) -> UUID:
    """Return whose the item is: the unit of who sent it from a browser, of who wore the camera, or of the dock."""
    if arrival.upload.sender_id is not None:
        return unit_of(tx, Actor(arrival.upload.sender_id))
    number = arrival.manifest.officer_number
    worn_in = None if number is None else tx.scalar(select(Officer.unit_id).where(Officer.certificate_number == number))
    return worn_in or tx.scalars(select(Dock.unit_id).where(Dock.id == arrival.upload.dock_id)).one()


def _finish_row(tx: Session, arrival: _Arrival, object_id: ObjectId, **facts: str) -> None:
    """Write the reception that the receipt speaks of, link what the dock filed, and close the upload.

    `facts` stand in the entry beside: the manifest, where no object keeps it.
    """
    entry = _entry(EntryType.INGEST_RECEIVED, arrival, object_id, begun=_begun(arrival), **facts)
    entry_id = record_event(tx, object_id, entry, at=arrival.at)
    if arrival.manifest.case_number is not None:
        case = case_by_number(tx, arrival.manifest.case_number)
        if case is not None and tx.get(CaseLink, (case.id, object_id)) is None:
            write_link(
                tx,
                CaseId(case.id),
                object_id,
                act_id=None,
                reason="dock" if arrival.upload.sender_id is None else "browser",
                by=upload_actor(arrival.upload),
                at=arrival.at,
            )
    _close(tx, arrival, state="accepted", entry_id=entry_id, object_id=object_id)
    note_arrived(tx, arrival.upload.id, object_id, at=arrival.at)


def _entry(kind: EntryType, arrival: _Arrival, object_id: ObjectId, **facts: str) -> NewEntry:
    return NewEntry(
        kind,
        upload_actor(arrival.upload),
        Target("item", object_id, "v1"),
        device=arrival.upload.dock_id,
        digests=arrival.digests,
        request=str(arrival.upload.id),
        detail={
            "name": arrival.manifest.name,
            "case_number": arrival.manifest.case_number,
            "device_serial": arrival.manifest.device_serial,
            **_source_of(arrival.manifest),
            "dock_manifest_sha256": digest_of(arrival.upload.manifest).sha256.hex,
            **facts,
        },
    )


def _begun(arrival: _Arrival) -> str:
    return format_instant(arrival.upload.created_at)


def _recorded_from(manifest: DockManifest) -> str | None:
    if manifest.recorded_at is not None:
        return (manifest.recorded_from or RecordedFrom.DOCK).value
    return None if manifest.modified_at is None else RecordedFrom.FILE_TIME.value


def _source_of(manifest: DockManifest) -> dict[str, str | int]:
    """Return what the manifest says of the source, as columns and details name it; what it does not say is left out."""
    told = {
        "source_kind": None if manifest.source_kind is None else manifest.source_kind.value,
        "officer_number": manifest.officer_number,
        "channel": manifest.channel,
        "series": manifest.series,
        "sequence": manifest.sequence,
    }
    return {name: value for name, value in told.items() if value is not None}


def _close(
    tx: Session,
    arrival: _Arrival,
    *,
    state: str,
    entry_id: EntryId,
    object_id: UUID | None = None,
    refusal: str | None = None,
) -> None:
    tx.execute(
        update(Upload)
        .where(Upload.id == arrival.upload.id)
        .values(
            state=state,
            entry_id=entry_id,
            object_id=object_id or arrival.upload.object_id,
            refusal=refusal,
            finished_at=arrival.at,
        )
    )


def _quarantine(intake: Intake, arrival: _Arrival, refusal: Quarantined) -> None:
    """Keep the bytes aside with what came with them, and write down why."""
    upload = arrival.upload
    prefix = str(upload.id)
    with suppress(BlobExists):  # an earlier try got this far: same upload, same staged bytes
        if arrival.in_store is None or intake.direct is None:
            intake.quarantine.adopt(f"{prefix}/bytes", staged_path(intake.staging, UploadId(upload.id)))
        else:
            with intake.direct.blobs.open(arrival.in_store) as stored:
                intake.quarantine.put_once(f"{prefix}/bytes", stored)
    for name, data in (("manifest.json", upload.manifest), ("manifest.json.sig", upload.manifest_signature)):
        with suppress(BlobExists):
            intake.quarantine.put_once(f"{prefix}/{name}", io.BytesIO(data))
    with intake.database.begin() as tx:
        _have(tx, upload)
        insert_row(
            tx,
            QuarantineItem,
            upload_id=upload.id,
            key=f"{prefix}/bytes",
            reason=refusal.code,
            name=arrival.manifest.name,
            size_bytes=arrival.digests.size_bytes,
            sha256=arrival.digests.sha256.hex,
            sha512=arrival.digests.sha512.hex,
            quarantined_at=arrival.at,
        )
        entry_id = append_entry(
            tx,
            NewEntry(
                EntryType.INGEST_QUARANTINED,
                upload_actor(upload),
                Target("upload", upload.id),
                device=upload.dock_id,
                digests=arrival.digests,
                request=str(upload.id),
                detail={"reason": refusal.code, "name": arrival.manifest.name, "begun": _begun(arrival)},
            ),
            at=arrival.at,
        )
        publish_quarantined(
            tx,
            UploadId(upload.id),
            dock_id=upload.dock_id,
            reason=refusal.code,
            digests=arrival.digests,
            at=arrival.at,
        )
        _close(tx, arrival, state="quarantined", entry_id=entry_id, refusal=refusal.code)
    meters().uploads.labels("quarantined").inc()
    meters().refused.labels(refusal.code).inc()
    remove_staged(intake.staging, UploadId(upload.id))
