"""Answers to OCSP requests about certificates of the embedded root, signed by a responder that it delegated to.

In the directory of the authority: `ocsp.pem`, key and certificate of the responder; one file, so renewing is atomic.
The root's own key is read only to issue that certificate.
Source: RFC 6960; RFC 8954 for the nonce.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from archive.ports.revocations import RevocationReason, RevocationRegister
from signing import certificates, keyfiles
from signing.authority import EmbeddedAuthority

_FILE: Final = "ocsp.pem"
ANSWER_VALID: Final = timedelta(days=1)
RENEW_BEFORE: Final = timedelta(days=30)
MOST_REQUEST_BYTES: Final = 8 * 1024
_CLOCKS_DIFFER: Final = timedelta(hours=1)
_MOST_NONCE_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class EmbeddedOcsp:
    """Answers from the register. Usable from several threads and processes over one directory."""

    authority: EmbeddedAuthority
    register: RevocationRegister
    clock: Clock

    def respond(self, request: bytes) -> bytes:
        """Return the answer (DER) to a request (DER) about one certificate, whatever the request is.

        Good, revoked with time and reason, or unknown for what the root did not issue. A nonce is echoed. What cannot
        be read is answered as malformed, a request about several certificates as unauthorised; neither is signed.
        Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        if len(request) > MOST_REQUEST_BYTES:
            return _refused(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        try:
            asked = ocsp.load_der_ocsp_request(request)
            nonce = _nonce(asked)
            hash_algorithm = asked.hash_algorithm
        except NotImplementedError:
            return _refused(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        except (ValueError, TypeError, x509.DuplicateExtension):
            return _refused(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        now = self.clock.now().replace(microsecond=0)
        status, revoked_at, reason = self._status(asked)
        key, certificate = self.prepare()
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=hash_algorithm,
                cert_status=status,
                this_update=now,
                next_update=now + ANSWER_VALID,
                revocation_time=revoked_at,
                revocation_reason=reason,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
            .certificates([certificate])
        )
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def prepare(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Return key and certificate of the responder, made or renewed where that is due.

        Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        with keyfiles.exclusive(self.authority.directory / "ocsp.lock"):
            now = self.clock.now()
            try:
                found = self.authority.read_service_key(_FILE)
            except keyfiles.KeyMissing:
                return self._made(now)
            ends, root_ends = found[1].not_valid_after_utc, self.authority.root.not_valid_after_utc
            # A certificate of the root's last days cannot outlast the root: renewing it again would change nothing.
            return self._made(now) if now > ends - RENEW_BEFORE and ends < root_ends else found

    def _made(self, now: Instant) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        # From an hour ago, for clients whose clocks are slow.
        return self.authority.make_service_key(_FILE, certificates.OCSP_RESPONDING, valid_from=now - _CLOCKS_DIFFER)

    def _status(self, asked: ocsp.OCSPRequest) -> tuple[ocsp.OCSPCertStatus, Instant | None, x509.ReasonFlags | None]:
        root, serial = self.authority.root, asked.serial_number
        if (asked.issuer_name_hash, asked.issuer_key_hash) != certificates.issuer_hashes(root, asked.hash_algorithm):
            return ocsp.OCSPCertStatus.UNKNOWN, None, None
        for each in self.register.revocations():
            if each.serial == serial:
                is_told = each.reason is not RevocationReason.UNSPECIFIED
                reason = x509.ReasonFlags(each.reason.value) if is_told else None
                return ocsp.OCSPCertStatus.REVOKED, each.at.replace(microsecond=0), reason
        is_issued = self.register.is_issued(serial)
        return (ocsp.OCSPCertStatus.GOOD if is_issued else ocsp.OCSPCertStatus.UNKNOWN), None, None


def _refused(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _nonce(asked: ocsp.OCSPRequest) -> x509.OCSPNonce | None:
    """Return the nonce of a request. Raises: ValueError for one that is too long or empty. RFC 8954 section 2.1."""
    try:
        found = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return None
    if not 1 <= len(found.nonce) <= _MOST_NONCE_BYTES:
        raise ValueError("the nonce has no allowed length")
    return found
