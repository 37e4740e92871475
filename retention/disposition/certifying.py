"""The certificate of destruction (销毁证明书): set, signed, stamped for the long term, kept for ever as an object.

Like a closed volume it is made durable first; rows and log entry tell of it in one transaction. Whoever comes after a
crash takes the object as it is where it is whole, and makes it anew where it is not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from archive.custody.events import record_event
from archive.custody.models import PreservationIntent, PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.documents.typesetting import Typesetter
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.digests import digest_of
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import ObjectId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target
from archive.ledger.models import LogLeaf
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from retention.disposition.carrying import tell_people
from retention.disposition.certificate_words import certificate_told
from retention.disposition.certificates import as_told, insert_certificate, name_of, renewal_of
from retention.disposition.models import DisposalCertificate, DispositionList, Tombstone
from retention.disposition.terms import CERTIFICATE, ListState
from signing.longterm import ValidationData, extend, renew
from signing.pades import Token

PATH: Final = "original/certificate.pdf"
_MANIFEST: Final = "metadata/manifest.json"
_REASON: Final = "Certificate of destruction"
_PDF: Final = "application/pdf"
_USER: Final = VersionUser("liuhen", "urn:liuhen:archive")
_MOST_BYTES: Final = 64 * 1024 * 1024
_ALSO_SOON: Final = timedelta(days=1)


class CertificateDamaged(LiuhenError):
    """The newest version of a certificate has other bytes than were written: have the archive checked."""

    code = "disposition.certificate_damaged"
    exit_code = 65


class PdfSigner(Protocol):
    """Signs a PDF; see `signing.pades.PadesSigner`."""

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with a signature."""
        ...


@dataclass(frozen=True, slots=True)
class Certifier:
    """What makes certificates, put together by wiring. `validation` returns by what their signature is judged later."""

    database: Database
    objects: OcflRoot
    setter: Typesetter
    pdf_signer: PdfSigner
    signer: ManifestSigner
    token: Token
    validation: Callable[[], ValidationData]
    organisation: str
    clock: Clock

    def certify(self, list_id: UUID) -> bool:
        """Make the certificate of a list that was carried out; return whether it is there.

        It waits for the places in the log of all tombstones. Idempotent: yes.
        Raises: TypesettingFault, StorageFull; what the authority of time raises.
        """
        with self.database.read() as tx:
            row = tx.get_one(DispositionList, list_id)
            if row.state != ListState.DESTROYED.value:
                return row.state == ListState.CERTIFIED.value
            if not _are_placed(tx, row):
                return False
        object_id = self._announced(row)
        pdf = self._preserved(row, object_id)
        self._write(row, object_id, pdf)
        return True

    def renew_due(self) -> int:
        """Put a newer timestamp under each certificate whose last one ages; return how many. Older ones stay beside.

        Raises: CertificateDamaged, RenewalTooLate; what the authority of time raises.
        """
        at = self.clock.now()
        newest = (
            select(DisposalCertificate.list_id, func.max(DisposalCertificate.number).label("number"))
            .group_by(DisposalCertificate.list_id)
            .subquery()
        )
        is_newest = (newest.c.list_id == DisposalCertificate.list_id) & (newest.c.number == DisposalCertificate.number)
        due = select(DisposalCertificate).join(newest, is_newest)
        with self.database.read() as tx:
            rows = tx.scalars(due.where(DisposalCertificate.renew_at <= at + _ALSO_SOON)).all()
        for row in rows:
            self._renew(row, at)
        return len(rows)

    # ---- making one ------------------------------------------------------------------------------------------------

    def _announced(self, row: DispositionList) -> ObjectId:
        """Return the id of the object to come, which is written down before anything is stored."""
        with self.database.begin() as tx:
            held = tx.scalars(select(DispositionList).where(DispositionList.id == row.id).with_for_update()).one()
            if held.certificate_id is None:
                fresh = new_uuid7()
                insert_row(tx, PreservationIntent, object_id=fresh, begun_at=self.clock.now())
                tx.execute(update(DispositionList).where(DispositionList.id == row.id).values(certificate_id=fresh))
                return ObjectId(fresh)
            return ObjectId(held.certificate_id)

    def _preserved(self, row: DispositionList, object_id: ObjectId) -> bytes:
        """Make the object durable, or find it; return its PDF."""
        self.objects.repair([object_id])
        if not self.objects.exists(object_id):
            self.objects.discard_unfinished(object_id)
            self._preserve(row, object_id)
        with self.objects.open_file(object_id, PATH) as file:
            return file.read(_MOST_BYTES)

    def _preserve(self, row: DispositionList, object_id: ObjectId) -> None:
        at = self.clock.now()
        with self.database.read() as tx:
            told = certificate_told(tx, row, organisation=self.organisation, at=at)
        signed = self.pdf_signer.sign_pdf(self.setter.set_pdf(told, at=at), reason=_REASON)
        pdf = extend(signed, validation=self.validation(), token=self.token)
        digests = digest_of(pdf)
        manifest = canonical_json(
            {
                "v": 1,
                "id": str(object_id),
                "name": name_of(row),
                "path": PATH,
                "size": digests.size_bytes,
                **digests.as_json(),
                "list": str(row.id),
                "list_sha256": row.sha256,
                "times": {"received": format_instant(at)},
            }
        )
        self.objects.create_object(
            object_id,
            [
                NewFile(PATH, pdf, digests),
                NewFile.of_bytes(_MANIFEST, manifest),
                NewFile.of_bytes(f"{_MANIFEST}.p7s", self.signer.sign_detached(manifest)),
            ],
            message=_REASON,
            user=_USER,
            at=at,
        )

    def _write(self, row: DispositionList, object_id: ObjectId, pdf: bytes) -> None:
        with self.objects.open_file(object_id, _MANIFEST) as file:
            name = str(parse_canonical(file.read())["name"])
        at, digests = self.clock.now(), digest_of(pdf)
        renewal = renewal_of(pdf, at)
        with self.database.begin() as tx:
            held = tx.scalars(select(DispositionList).where(DispositionList.id == row.id).with_for_update()).one()
            if held.state != ListState.DESTROYED.value:
                return
            insert_row(
                tx,
                PreservedObject,
                id=object_id,
                kind=CERTIFICATE,
                name=name,
                content_path=PATH,
                media_type=_PDF,
                size_bytes=digests.size_bytes,
                sha256=digests.sha256.hex,
                sha512=digests.sha512.hex,
                preserved_at=at,
                unit_id=row.unit_id,
            )
            detail = {
                "list": str(row.id),
                "list_sha256": row.sha256,
                "name": name,
                "unit": str(row.unit_id),
                "number": 1,
                "path": PATH,
                "balance": row.balance,
                "done_at": None if row.done_at is None else format_instant(row.done_at),
                **as_told(renewal),
            }
            target = Target(CERTIFICATE, object_id, "v1")
            entry = NewEntry(EntryType.DISPOSAL_CERTIFIED, ARCHIVE, target, digests=digests, detail=detail)
            entry_id = record_event(tx, object_id, entry, at=at)
            insert_certificate(tx, row.id, 1, object_id, PATH, digests, renewal, entry_id, at=at)
            ended = {"state": ListState.CERTIFIED.value, "ended_at": at, "trouble": None, "trouble_at": None}
            tx.execute(update(DispositionList).where(DispositionList.id == row.id).values(**ended))
            tx.execute(delete(PreservationIntent).where(PreservationIntent.object_id == object_id))
            tell_people(tx, row.id, at=at)

    # ---- renewing one ----------------------------------------------------------------------------------------------

    def _renew(self, last: DisposalCertificate, at: Instant) -> None:
        object_id = ObjectId(last.object_id)
        with self.objects.open_file(object_id, last.path) as file:
            pdf = file.read(_MOST_BYTES)
        if digest_of(pdf).sha512.hex != last.sha512:
            raise CertificateDamaged(object_id=object_id)
        made = renew(pdf, at=at, validation=self.validation(), token=self.token)
        digests, number, renewal = digest_of(made), last.number + 1, renewal_of(made, at)
        path = f"extended/{number:03d}-{digests.sha256.hex[:16]}.pdf"
        self.objects.add_version(
            object_id, [NewFile(path, made, digests)], message="Extended for the long term", user=_USER, at=at
        )
        with self.database.begin() as tx:
            if tx.get(DisposalCertificate, (last.list_id, number)) is not None:
                return
            detail = {"number": number, "path": path, "list": str(last.list_id), **as_told(renewal)}
            target = Target(CERTIFICATE, object_id)
            entry = NewEntry(EntryType.RECORD_EXTENDED, ARCHIVE, target, digests=digests, detail=detail)
            entry_id = record_event(tx, object_id, entry, at=at)
            insert_certificate(tx, last.list_id, number, object_id, path, digests, renewal, entry_id, at=at)


def _are_placed(tx: Session, row: DispositionList) -> bool:
    """Return whether every tombstone of a list has its place in the log."""
    waiting = (
        select(Tombstone.object_id)
        .outerjoin(LogLeaf, LogLeaf.entry_id == Tombstone.entry_id)
        .where(Tombstone.list_id == row.id, LogLeaf.index.is_(None))
        .limit(1)
    )
    return tx.scalar(waiting) is None
