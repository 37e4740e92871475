"""PAdES signatures of documents: B-T with a timestamp, B-B where there is no timestamp authority.

The long-term levels are in `signing.longterm`, the fields in `signing.document_fields`, drawings in
`signing.appearances` and `signing.seals`. The time of signing is in the entry /M of the signature dictionary.
Source: ETSI EN 319 142-1 section 6, ISO 32000-1 section 12.8.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, format_instant
from archive.ports.clock import Clock
from archive.ports.keys import DocumentKey
from signing import document_cms
from signing.appearances import Appearance, Line, lines_appearance
from signing.cades import SignerNotValid, SigningKey
from signing.document_cms import Commitment, SignatureFault
from signing.document_fields import Box
from signing.document_keys import (
    DIGESTS,
    CertificateExpired,
    CertificateNotYetValid,
    HeldKey,
    demand_usable,
    digest_for,
)
from signing.hand_signatures import HandSignature, Refusal, deflate, inflate, read_record
from signing.stamps import read_stamp
from signing.typefaces import Typeface

Token = Callable[[bytes], bytes]
"""Returns an RFC 3161 token (DER of a ContentInfo) over a SHA-256."""

TOKEN_ROOM_BYTES: Final = 8 * 1024
"""Room for a token with the certificates of an outside authority; one of ours takes about 1 KB."""

HAND_REASON: Final = "系统服务密钥封存当事人的手写签名或拒签说明 / sealed by a service key, not the party's"

_ARCHIVE_BOX: Final = (52, 76, 300, 116)  # points from the lower left corner; templates leave room on the last page


class ReasonAndCommitment(InvalidInput):
    """A signature says why it is made in one way only: by a reason in words, or by a commitment type."""

    code = "signing.reason_and_commitment"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature says and shows besides its signer.

    `reason` and `commitment` exclude each other (ETSI EN 319 142-1 section 6.3). `is_last`: nobody signs after it, so
    later changes are forbidden. `marks` are the drawings for `PageMarks` of this name, one for each place. `hand` is
    what a party wrote, or why not; the key is then a service's, and the reason says so.
    """

    reason: str | None = None
    commitment: Commitment | None = None
    location: str | None = None
    name: str | None = None
    is_last: bool = False
    appearance: Appearance | None = None
    marks: Mapping[str, Sequence[Appearance]] = field(default_factory=dict)
    hand: HandSignature | Refusal | None = None

    def __post_init__(self) -> None:
        """Refuse what says it twice, and a commitment in the name of a party. Raises: ReasonAndCommitment."""
        if self.commitment is not None and (self.reason is not None or self.hand is not None):
            raise ReasonAndCommitment

    @property
    def told_reason(self) -> str | None:
        """The reason that stands in the document."""
        return self.reason or (None if self.hand is None else HAND_REASON)


@dataclass(frozen=True, slots=True)
class DocumentSigner:
    """Signs documents with one key. Usable from several threads, beside a running event loop, for any number.

    Without `token` it may leave room for one that comes later (`signing.late_tokens`).

    Nothing is left half-signed: what a key or a timestamp authority raises goes through, and there is no document.
    """

    key: DocumentKey
    clock: Clock
    token: Token | None = None
    token_room_bytes: int = TOKEN_ROOM_BYTES
    leaves_room: bool = False

    def sign(self, pdf: bytes, field: str, statement: Statement | None = None) -> bytes:
        """Return the PDF with the prepared field of this name signed.

        The first signature of a document certifies it. Raises: KeyKindRefused, CertificateExpired,
        CertificateNotYetValid, CertificateNotForDocuments, CertificateUnreadable, DocumentUnreadable,
        DocumentEncrypted, DocumentClosed, FieldMissing, MarksDiffer, SignatureFault, SignatureTooLarge, TokenRefused;
        what key and timestamp authority raise.
        """
        return self._signed(pdf, field, statement or Statement(), at=self.clock.now(), new_box=None)

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES signature (DER) over content in a file of its own: B-T where there is a `token`.

        Raises: as `sign`, but for what concerns documents and fields.
        Source: ETSI EN 319 122-1 section 6.3.
        """
        at = self.clock.now()
        public_key = demand_usable(self.key, at=at).public_key()
        hash_name = digest_for(public_key)
        digest = hashlib.new(hash_name, content).digest()
        return self._container(digest, public_key, hash_name, None, signing_time=at)

    def _signed(self, pdf: bytes, field: str, said: Statement, *, at: Instant, new_box: Box | None) -> bytes:
        # Late, since most processes never sign.
        from signing.pyhanko_documents import Revision, sign_revision

        public_key = demand_usable(self.key, at=at).public_key()
        hash_name = digest_for(public_key)
        token_bytes = self.token_room_bytes if self.token is not None or self.leaves_room else 0
        revision = Revision(
            field=field,
            at=at,
            hash_name=hash_name,
            room_bytes=document_cms.room_for(self.key, public_key, token_bytes=token_bytes),
            is_last=said.is_last,
            reason=said.told_reason,
            location=said.location,
            name=said.name,
            appearance=said.appearance,
            marks=said.marks,
            sealed=None if said.hand is None else deflate(said.hand.record()),
            new_box=new_box,
        )
        return sign_revision(
            pdf, revision, lambda digest: self._container(digest, public_key, hash_name, said.commitment)
        )

    def _container(
        self,
        digest: bytes,
        public_key: PublicKeyTypes,
        hash_name: str,
        commitment: Commitment | None,
        *,
        signing_time: Instant | None = None,
    ) -> bytes:
        attributes = document_cms.signed_attributes(
            digest,
            certificate=self.key.certificate,
            public_key=public_key,
            hash_name=hash_name,
            commitment=commitment,
            signing_time=signing_time,
        )
        signature = self.key.sign(attributes.encoded, digest_algorithm=hash_name)
        _demand_verifies(public_key, signature, attributes.encoded, hash_name)
        token = None if self.token is None else self._stamped(self.token, signature)
        return document_cms.container(attributes, signature, key=self.key, public_key=public_key, token=token)

    @staticmethod
    def _stamped(token: Token, signature: bytes) -> bytes:
        """Return a token over the signature value; one over anything else is refused. Raises: TokenRefused."""
        imprint = hashlib.sha256(signature).digest()
        found = token(imprint)
        read_stamp(found, imprint)
        return found


@dataclass(frozen=True, slots=True)
class PadesSigner:
    """Signs what the archive itself makes, in a field of its own on the last page. Usable from several threads."""

    key: SigningKey
    certificate: x509.Certificate
    clock: Clock
    token: Token | None = None
    typeface: Typeface | None = None

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF, certified, with a signature and, where there is a typeface, who signed when on its last page.

        Raises: SignerNotValid, DocumentUnreadable, DocumentEncrypted, what the timestamp authority raises.
        """
        now = self.clock.now()
        signer = DocumentSigner(HeldKey(self.key, self.certificate), self.clock, self.token)
        try:
            demand_usable(signer.key, at=now)
        except (CertificateExpired, CertificateNotYetValid) as exc:
            raise SignerNotValid(now=format_instant(now)) from exc
        from signing.document_fields import page_sizes

        box = Box(max(len(page_sizes(pdf)) - 1, 0), *_ARCHIVE_BOX)
        said = Statement(reason=reason, appearance=self._appearance(box, now))
        return signer._signed(pdf, "Archive", said, at=now, new_box=box)  # noqa: SLF001 (the same module)

    def _appearance(self, box: Box, now: Instant) -> Appearance | None:
        if self.typeface is None:
            return None
        told = (
            "Digitally signed by this archive (self-issued)",
            f"certificate {self.certificate.serial_number:x}",
            format_instant(now),
        )
        return lines_appearance(self.typeface, [Line(each, 8) for each in told], width=box.width, height=box.height)


def hand_records(pdf: bytes) -> Mapping[str, HandSignature | Refusal]:
    """Return what parties wrote by hand, or why not, by the name of the signature field that holds it.

    Whether the signatures hold is for the validation to say.
    Raises: DocumentUnreadable, DocumentEncrypted, HandRecordUnreadable.
    """
    from signing.pyhanko_documents import sealed_records

    return {name: read_record(inflate(sealed)) for name, sealed in sealed_records(pdf)}


def _demand_verifies(public_key: PublicKeyTypes, signature: bytes, data: bytes, hash_name: str) -> None:
    """Let no signature leave that its certificate does not bear out: tokens fail too. Raises: SignatureFault."""
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, data, ec.ECDSA(DIGESTS[hash_name]))
        elif isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, padding.PKCS1v15(), DIGESTS[hash_name])
    except InvalidSignature as exc:
        raise SignatureFault from exc
