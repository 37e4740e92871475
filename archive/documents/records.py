"""Filing a text record: a PDF becomes an object of its own, preserved like footage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from archive.custody.events import record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.documents.models import Draft, RecordScan, TextRecord
from archive.documents.texts import READ_RECORD
from archive.jobs.queue import add_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import CaseId, ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.kernel.names import safe_file_name
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.keys import ManifestSigner, SecondSigner

MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
SECOND_SIGNATURE: Final = "metadata/original.sm2"
"""Where the second signature over the original lies: SM2 with SM3 in DER, as `signing.sm2` has it."""
SECOND_KEY: Final = "metadata/original.sm2.pem"
"""Where its public key lies."""


class NotPdf(InvalidInput):
    """A text record is filed as PDF; this file is none."""

    code = "documents.not_pdf"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class PreservedRecord:
    """A text record whose object is durable but that the catalogue does not know yet."""

    object_id: ObjectId
    name: str
    content_path: str
    digests: DigestSet


def require_pdf(pdf: bytes) -> None:
    """Refuse what cannot be filed. Raises: NotPdf, InvalidInput when it is larger than 64 MiB."""
    if len(pdf) > MAX_RECORD_BYTES:
        raise InvalidInput("A text record has at most 64 MiB")
    if not pdf.startswith(b"%PDF-") or b"%%EOF" not in pdf[-2048:]:
        raise NotPdf


def preserve_record(
    objects: OcflRoot,
    signer: ManifestSigner,
    *,
    object_id: ObjectId,
    name: str,
    pdf: bytes,
    by: Actor,
    at: Instant,
    second: SecondSigner | None = None,
) -> PreservedRecord:
    """Make the record's bytes, its manifest and the archive's signature durable as one OCFL object.

    With `second` there is a further signature, over the PDF itself. Signatures that an attempt before made are kept.
    Raises: NotPdf, InvalidInput when it is larger than 64 MiB, StorageFull.
    """
    require_pdf(pdf)
    content_path = f"original/{safe_file_name(name)}"
    digests = digest_of(pdf)
    manifest = canonical_json(
        {
            "v": 1,
            "id": str(object_id),
            "name": name,
            "path": content_path,
            "size": digests.size_bytes,
            **digests.as_json(),
            "filed_by": str(by.id),
            "times": {"received": format_instant(at)},
        }
    )
    container = "metadata/manifest.json.p7s"
    files = [
        NewFile(content_path, pdf, digests),
        NewFile.of_bytes("metadata/manifest.json", manifest),
        NewFile.of_bytes(container, _kept_or(objects, object_id, container, lambda: signer.sign_detached(manifest))),
    ]
    if second is not None:
        signature = _kept_or(objects, object_id, SECOND_SIGNATURE, lambda: second.sign(pdf))
        files += [NewFile.of_bytes(SECOND_SIGNATURE, signature), NewFile.of_bytes(SECOND_KEY, second.public_pem)]
    objects.create_object(
        object_id,
        files,
        message="Filed as text record",
        user=VersionUser("liuhen", "urn:liuhen:archive"),
        at=at,
    )
    return PreservedRecord(object_id, name, content_path, digests)


def _kept_or(objects: OcflRoot, object_id: ObjectId, path: str, made: Callable[[], bytes]) -> bytes:
    """Return a file as an earlier attempt stored it, else a new one: no two signatures are the same bytes."""
    try:
        with objects.open_file(object_id, path) as file:
            return file.read()
    except NotFound:
        return made()


def write_record(
    tx: Session,
    preserved: PreservedRecord,
    *,
    form: str,
    title: str,
    case_id: CaseId,
    unit_id: UUID,
    by: Actor,
    at: Instant,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the record's rows, custody event, log entry and the job that reads its text, in one transaction.

    The transaction is the caller's. `more` is what the log entry says beside.
    """
    digests = preserved.digests
    insert_row(
        tx,
        PreservedObject,
        id=preserved.object_id,
        kind="record",
        name=preserved.name,
        content_path=preserved.content_path,
        media_type="application/pdf",
        size_bytes=digests.size_bytes,
        sha256=digests.sha256.hex,
        sha512=digests.sha512.hex,
        preserved_at=at,
        unit_id=unit_id,
    )
    insert_row(tx, TextRecord, object_id=preserved.object_id, form=form, title=title, filed_by=by.id, filed_at=at)
    record_event(
        tx,
        preserved.object_id,
        NewEntry(
            EntryType.RECORD_FILED,
            by,
            Target("record", preserved.object_id, "v1"),
            case=case_id,
            digests=digests,
            detail={"title": title, "form": form, "name": preserved.name, "unit": str(unit_id), **more},
        ),
        at=at,
    )
    add_job(tx, READ_RECORD, {"object_id": str(preserved.object_id)}, at=at, key=f"text:{preserved.object_id}")


def count_pages(tx: Session, object_id: ObjectId, pages: int) -> None:
    """Write down how many pages a record has: read from its bytes, and to be read again at any time."""
    tx.execute(update(TextRecord).where(TextRecord.object_id == object_id).values(pages=pages))


def is_scanned(tx: Session, object_id: ObjectId) -> bool:
    """Return whether a record was scanned or came from elsewhere: it was not written in this archive."""
    return tx.scalar(select(Draft.id).where(Draft.id == object_id)) is None


def keep_scan(
    tx: Session, object_id: ObjectId, found: Mapping[str, Any], *, sha256: str, tool: str, at: Instant
) -> None:
    """Write down what was seen of a scanned record, in place of an older look. The caller writes the log entry."""
    tx.execute(delete(RecordScan).where(RecordScan.object_id == object_id))
    insert_row(tx, RecordScan, object_id=object_id, found=dict(found), sha256=sha256, tool=tool, made_at=at)
