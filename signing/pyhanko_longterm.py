"""pyHanko writes validation data and document timestamps. Import it late."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asn1crypto import crl, ocsp, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation.dss import DocumentSecurityStore

from archive.kernel.instants import Instant
from signing.asn1_lock import ASN1_LOCK
from signing.longterm import ValidationData, ValidationDataUnreadable
from signing.pyhanko_documents import stamp_revision
from signing.pyhanko_reading import open_reader, reading

_DAMAGE: Final = (ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True)
class Newest:
    """What the newest document timestamp rests on, if there is one; else the end of the first signer's certificate."""

    has_signature: bool
    ends: Instant | None
    hash_name: str | None
    signature_ends: Instant | None


def newest_of(pdf: bytes) -> Newest:
    """Return what the document rests on. Raises: DocumentUnreadable, DocumentEncrypted."""
    with reading(), ASN1_LOCK:
        reader = open_reader(pdf)
        signatures = reader.embedded_regular_signatures
        stamps = reader.embedded_timestamp_signatures
        ends = [each.signer_cert.not_valid_after for each in signatures]
        if not stamps:
            return Newest(bool(signatures), None, None, min(ends, default=None))
        last = stamps[-1]
        return Newest(bool(signatures), last.signer_cert.not_valid_after, last.md_algorithm, min(ends, default=None))


def add_timestamp(
    pdf: bytes, validation: ValidationData, token: Callable[[bytes], bytes], *, hash_name: str, room_bytes: int
) -> bytes:
    """Return the PDF with one revision that holds the validation data and a document timestamp.

    Raises: ValidationDataUnreadable; as `signing.pyhanko_documents.stamp_revision`.
    """
    return stamp_revision(
        pdf,
        prepare=lambda writer: _store(writer, validation),
        token=token,
        hash_name=hash_name,
        room_bytes=room_bytes,
    )


def _store(writer: IncrementalPdfFileWriter, validation: ValidationData) -> None:
    """Add to the document security store what is not in it yet. Source: ISO 32000-2 section 12.8.4.3."""
    with ASN1_LOCK:
        try:
            certificates = [_strict(x509.Certificate, each) for each in validation.certificates]
            crls = [_strict(crl.CertificateList, each) for each in validation.crls]
            answers = [_strict(ocsp.OCSPResponse, each) for each in validation.ocsp_responses]
        except _DAMAGE as exc:
            raise ValidationDataUnreadable from exc
        DocumentSecurityStore.supply_dss_in_writer(writer, None, certs=certificates, crls=crls, ocsps=answers)


def _strict(kind: Any, encoded: bytes) -> Any:
    found = kind.load(encoded, strict=True)
    found.native  # noqa: B018 (asn1crypto reads only when it is asked)
    return found
