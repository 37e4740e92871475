"""pyHanko writes the revision of a signature: field, appearances, dictionary and byte range. Import it late.

The container that goes in is made by `signing.document_cms`; nothing here holds a key or judges one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm, SigFieldSpec, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigMDPSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import DocumentTimestamp, PdfSignedData, SignatureObject

from archive.kernel.instants import Instant
from signing.appearances import Appearance
from signing.asn1_lock import ASN1_LOCK
from signing.document_fields import Box
from signing.documents import DocumentClosed, FieldMissing, MarksDiffer, NothingToStamp, SignatureTooLarge
from signing.pyhanko_forms import FormWriter
from signing.pyhanko_reading import entry, open_reader, open_writer, reading, signed_fields

HAND: Final = "/LHN_Hand"
_STRING_BYTES: Final = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a signature's revision holds besides the signature. `new_box` makes the field where it is not prepared."""

    field: str
    at: Instant
    hash_name: str
    room_bytes: int
    is_last: bool = False
    reason: str | None = None
    location: str | None = None
    name: str | None = None
    appearance: Appearance | None = None
    marks: Mapping[str, Sequence[Appearance]]
    sealed: bytes | None = None
    new_box: Box | None = None


def sign_revision(pdf: bytes, revision: Revision, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the PDF with the revision; `sign` makes the container over the digest of the signed bytes.

    Raises: DocumentUnreadable, DocumentEncrypted, DocumentClosed, FieldMissing, MarksDiffer,
    SignatureTooLarge, what `sign` raises.
    """
    with reading():
        writer = open_writer(pdf)
        signed = [value for _, value, _ in signed_fields(writer)]
        _demand_open(signed, [revision.field, *revision.marks])
        embedding, field = _field(writer, revision.field, revision.new_box)
        forms = FormWriter(writer)
        if revision.appearance is not None:
            forms.show(field, revision.appearance)
        for name, appearances in revision.marks.items():
            _show_marks(writer, forms, name, appearances, locked=_locked_by(field))
        dictionary = SignatureObject(
            timestamp=revision.at.replace(microsecond=0),
            subfilter=SigSeedSubFilter.PADES,
            name=revision.name,
            location=revision.location,
            reason=revision.reason,
            bytes_reserved=2 * revision.room_bytes,
        )
        if revision.sealed is not None:
            dictionary[pdf_name(HAND)] = generic.ArrayObject(
                generic.ByteStringObject(revision.sealed[at : at + _STRING_BYTES])
                for at in range(0, len(revision.sealed), _STRING_BYTES)
            )
        mdp = _permissions(field, revision, is_first=not signed)
        digest, out = _written(embedding, dictionary, revision.hash_name, mdp)
    return _filled(embedding, out, sign(digest), revision.room_bytes)


def stamp_revision(
    pdf: bytes,
    *,
    prepare: Callable[[IncrementalPdfFileWriter], None],
    token: Callable[[bytes], bytes],
    hash_name: str,
    room_bytes: int,
) -> bytes:
    """Return the PDF with a document timestamp, after `prepare` has put into its revision what it will cover.

    Raises: DocumentUnreadable, DocumentEncrypted, SignatureTooLarge, what `prepare` and `token` raise.
    Source: ETSI EN 319 142-1 section 5.4.3, ISO 32000-2 section 12.8.5.
    """
    with reading():
        writer = open_writer(pdf)
        prepare(writer)
        names = {name for name, _, _ in enumerate_sig_fields(writer)}
        name = next(f"Timestamp{at}" for at in range(1, len(names) + 2) if f"Timestamp{at}" not in names)
        embedding = PdfCMSEmbedder(SigFieldSpec(name)).write_cms(name, writer)
        next(embedding)
        digest, out = _written(embedding, DocumentTimestamp(bytes_reserved=2 * room_bytes), hash_name, None)
    return _filled(embedding, out, token(digest), room_bytes)


def newest_gap(pdf: bytes) -> tuple[int, int]:
    """Return where the container of the newest signature begins and ends, brackets included.

    Raises: NothingToStamp where there is none, or something follows it; DocumentUnreadable, DocumentEncrypted.
    """
    with reading():
        signatures = open_reader(pdf).embedded_signatures
        ranges = [[int(each) for each in signature.sig_object["/ByteRange"]] for signature in signatures]
    if not ranges or sum(ranges[-1][2:]) != len(pdf):
        raise NothingToStamp
    return ranges[-1][1], ranges[-1][2]


def sealed_records(pdf: bytes) -> Sequence[tuple[str, bytes]]:
    """Return (name of the field, sealed bytes) of the signatures of a document that hold such a record.

    Raises: DocumentUnreadable, DocumentEncrypted.
    """
    with reading(), ASN1_LOCK:
        found = []
        for signature in open_reader(pdf).embedded_signatures:
            pieces = entry(signature.sig_object, HAND)
            if pieces is not None:
                found.append((str(signature.field_name), b"".join(_octets(piece) for piece in pieces)))
        return found


def _field(writer: IncrementalPdfFileWriter, name: str, new_box: Box | None) -> tuple[Any, Any]:
    """Return the embedding, standing before the signature dictionary, and the field. Raises: FieldMissing."""
    if new_box is None:
        if not any(found for found, value, _ in enumerate_sig_fields(writer) if found == name and value is None):
            raise FieldMissing(field=name)
        embedding = PdfCMSEmbedder().write_cms(name, writer, existing_fields_only=True)
    else:
        box = (round(new_box.left), round(new_box.bottom), round(new_box.right), round(new_box.top))
        embedding = PdfCMSEmbedder(SigFieldSpec(name, on_page=new_box.page, box=box)).write_cms(name, writer)
    return embedding, next(embedding).get_object()


def _demand_open(signed: Sequence[Any], names: Sequence[str]) -> None:
    """Demand that no signature forbids what is about to be filled in. Raises: DocumentClosed."""
    for value in signed:
        for reference in entry(value.get_object(), "/Reference", ()):
            terms = entry(reference.get_object(), "/TransformParams", {})
            locks = FieldMDPSpec.from_pdf_object(terms) if "/Action" in terms else None
            is_locked = locks is not None and any(locks.is_locked(name) for name in names)
            if entry(terms, "/P") == MDPPerm.NO_CHANGES.value or is_locked:
                raise DocumentClosed(fields=list(names))


def _locked_by(field: Any) -> Sequence[str]:
    return [str(name) for name in entry(entry(field, "/Lock", {}), "/Fields", ())]


def _show_marks(
    writer: IncrementalPdfFileWriter, forms: FormWriter, name: str, appearances: Sequence[Appearance], *, locked: Any
) -> None:
    """Fill the marks of this name, which the signature locks. Raises: MarksDiffer."""
    if name not in locked:
        raise MarksDiffer("The marks do not belong to this signature", marks=name)
    fields = (each.get_object() for each in writer.root["/AcroForm"]["/Fields"])
    kids = next((each["/Kids"] for each in fields if entry(each, "/T") == name and entry(each, "/FT") == "/Btn"), ())
    if len(kids) != len(appearances):
        raise MarksDiffer(marks=name, prepared=len(kids), given=len(appearances))
    for kid, appearance in zip(kids, appearances, strict=True):
        forms.show(kid.get_object(), appearance)


def _permissions(field: Any, revision: Revision, *, is_first: bool) -> SigMDPSetup | None:
    """Return what may change afterwards.

    The first signature certifies: filling in and signing are allowed (P=2), or nothing (P=1) when it is the last too.
    A later one locks the marks that belong to it, and the last one all fields. Source: ISO 32000-1 section 12.8.2.
    """
    lock = FieldMDPSpec.from_pdf_object(field["/Lock"]) if "/Lock" in field else None
    if is_first:
        permitted = MDPPerm.NO_CHANGES if revision.is_last else MDPPerm.FILL_FORMS
        return SigMDPSetup(md_algorithm=revision.hash_name, certify=True, field_lock=lock, docmdp_perms=permitted)
    if revision.is_last:
        everything = FieldMDPSpec.from_pdf_object(generic.DictionaryObject({pdf_name("/Action"): pdf_name("/All")}))
        return SigMDPSetup(md_algorithm=revision.hash_name, field_lock=everything, docmdp_perms=MDPPerm.NO_CHANGES)
    return None if lock is None else SigMDPSetup(md_algorithm=revision.hash_name, field_lock=lock)


def _written(
    embedding: Any, dictionary: PdfSignedData, hash_name: str, mdp: SigMDPSetup | None
) -> tuple[bytes, BytesIO]:
    """Write the revision with room for the container; return the digest of the rest, and the document."""
    embedding.send(SigObjSetup(sig_placeholder=dictionary, mdp_setup=mdp))
    prepared, out = embedding.send(SigIOSetup(md_algorithm=hash_name, output=BytesIO()))
    digest: bytes = prepared.document_digest
    return digest, out


def _filled(embedding: Any, out: BytesIO, container: bytes, room_bytes: int) -> bytes:
    if len(container) > room_bytes:
        raise SignatureTooLarge(needed_bytes=len(container), room_bytes=room_bytes)
    embedding.send(container)
    return out.getvalue()


def _octets(piece: Any) -> bytes:
    """Return a string's bytes: pyHanko takes those that look like text for text."""
    octets: bytes = piece.original_bytes if isinstance(piece, generic.TextStringObject) else bytes(piece)
    return octets
