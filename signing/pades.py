"""PAdES signatures of documents: B-T with a timestamp, B-B where the archive has no timestamp authority.

ECDSA P-256 or RSA, never Ed25519, which pdfsig cannot judge. Source: ETSI EN 319 142-1 section 6.3, ISO 32000-1 12.8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant, format_instant
from archive.ports.clock import Clock
from signing.cades import SignerNotValid, SigningKey

Token = Callable[[bytes], bytes]
"""Returns an RFC 3161 token (DER of a ContentInfo) over a SHA-256."""

BYTES_RESERVED: Final = 24 * 1024
"""Room for the signature in hexadecimal; a token with its certificate takes about 5 KB of DER."""


class DocumentUnreadable(LiuhenError):
    """The PDF cannot be read, so it cannot be signed."""

    code = "signing.document_unreadable"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class PadesSigner:
    """Signs PDFs with a key that is held in this process. Usable from several threads."""

    key: SigningKey
    certificate: x509.Certificate
    clock: Clock
    token: Token | None = None

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with a signature and a visible line on its last page that says who signed, and when.

        Raises: SignerNotValid, DocumentUnreadable, what the timestamp authority raises.
        """
        # Late, since most processes never sign.
        from signing.pyhanko_documents import sign_document

        now = self.clock.now()
        if not self.certificate.not_valid_before_utc <= now <= self.certificate.not_valid_after_utc:
            raise SignerNotValid(now=format_instant(now))
        try:
            return sign_document(
                pdf,
                key=self.key,
                certificate=self.certificate.public_bytes(Encoding.DER),
                line=self._line(now),
                reason=reason,
                token=self.token,
                bytes_reserved=BYTES_RESERVED,
            )
        except ValueError as exc:
            raise DocumentUnreadable(f"The PDF cannot be read: {exc}") from exc

    def _line(self, now: Instant) -> str:
        # In ASCII: the font of the stamp is one of those that each reader has.
        serial = f"{self.certificate.serial_number:x}"
        return f"Digitally signed by this archive (self-issued)\ncertificate {serial}\n{format_instant(now)}"
