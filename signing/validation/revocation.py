"""What revocation lists and OCSP answers say of a certificate at a proven time. Only what is given is looked at.

Source: RFC 5280 sections 5 and 6.3, RFC 6960 sections 3.2 and 4.2.2.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.instants import Instant
from signing.certificates import issuer_hashes
from signing.chains import UNREADABLE, is_issued_by
from signing.validation.paths import TrustPath
from signing.validation.verdict import RevocationState

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_SOUND_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MOST_ANSWERS: Final = 64


@dataclass(frozen=True, slots=True)
class Status:
    """What is known: good, revoked at a time, or unknown.

    Said by `source`, a list (`crl`) or an answer (`ocsp`), at `told_at`.
    """

    state: RevocationState
    revoked_at: Instant | None = None
    reason: str = ""
    source: str = ""
    told_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Revocation lists and OCSP answers that could be read; what could not is left out, and so tells nothing."""

    lists: Sequence[x509.CertificateRevocationList] = ()
    answers: Sequence[ocsp.OCSPResponse] = ()

    @classmethod
    def read(cls, lists: Iterable[bytes], answers: Iterable[bytes]) -> Self:
        """Read lists (DER or PEM) and answers (DER)."""
        return cls(tuple(_lists(lists)), tuple(_answers(answers)))

    def __add__(self, other: Self) -> Self:
        """Return both together."""
        return type(self)((*self.lists, *other.lists), (*self.answers, *other.answers))

    def status(self, path: TrustPath, *, at: Instant, known_at: Instant) -> Status:
        """Return what is known of the chain at time `at` by what was made until `known_at`.

        The worst of all certificates but the trusted one. Revoked wins over good, good over unknown.
        """
        found = [
            self._status_of(certificate, issuer, at=at, known_at=known_at)
            for certificate, issuer in zip(path.chain[:-1], path.chain[1:], strict=True)
        ]
        revoked = [each for each in found if each.state is RevocationState.REVOKED]
        if revoked:
            return min(revoked, key=lambda each: each.revoked_at or at)
        if found and all(each.state is RevocationState.GOOD for each in found):
            return replace(found[0], state=RevocationState.GOOD)
        return Status(RevocationState.UNKNOWN)

    def _status_of(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, at: Instant, known_at: Instant
    ) -> Status:
        said = [
            *self._listed(certificate, issuer, at=at, known_at=known_at),
            *self._answered(certificate, issuer, at=at, known_at=known_at),
        ]
        revoked = [each for each in said if each.state is RevocationState.REVOKED]
        if revoked:
            return min(revoked, key=lambda each: each.revoked_at or at)
        return said[0] if said else Status(RevocationState.UNKNOWN)

    def _listed(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, at: Instant, known_at: Instant
    ) -> Iterator[Status]:
        for crl in self.lists:
            if crl.issuer != issuer.subject or not _is_whole(crl) or not _has_signed(issuer, crl):
                continue
            if crl.last_update_utc > known_at + _CLOCKS_DIFFER:
                continue
            entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
            reason = _reason_of(entry)
            if entry is not None and reason != x509.ReasonFlags.remove_from_crl.value:
                since = entry.revocation_date_utc
                yield Status(RevocationState.REVOKED, since, reason, "crl", crl.last_update_utc)
            elif _tells(certificate, crl.last_update_utc, crl.next_update_utc, at):
                yield Status(RevocationState.GOOD, source="crl", told_at=crl.last_update_utc)

    def _answered(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, at: Instant, known_at: Instant
    ) -> Iterator[Status]:
        for answer in self.answers:
            if not _is_authorised(answer, issuer):
                continue
            for single in answer.responses:
                if single.serial_number != certificate.serial_number or not _names(single, issuer):
                    continue
                if single.this_update_utc > known_at + _CLOCKS_DIFFER:
                    continue
                if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
                    reason = single.revocation_reason
                    told = "" if reason is None else reason.value
                    since = single.revocation_time_utc
                    yield Status(RevocationState.REVOKED, since, told, "ocsp", single.this_update_utc)
                elif single.certificate_status is ocsp.OCSPCertStatus.GOOD and _tells(
                    certificate, single.this_update_utc, single.next_update_utc, at
                ):
                    yield Status(RevocationState.GOOD, source="ocsp", told_at=single.this_update_utc)


def _tells(certificate: x509.Certificate, since: Instant, until: Instant | None, at: Instant) -> bool:
    """Return whether "not revoked", said for this period, holds for the time `at`.

    A list made after the end of a certificate need not name it any more: RFC 5280 section 3.3.
    """
    return since <= certificate.not_valid_after_utc and (at <= since or (until is not None and at <= until))


def _lists(raw: Iterable[bytes]) -> Iterator[x509.CertificateRevocationList]:
    for each in raw:
        with contextlib.suppress(*UNREADABLE):
            is_pem = each.lstrip().startswith(b"-----BEGIN")
            yield x509.load_pem_x509_crl(each) if is_pem else x509.load_der_x509_crl(each)


def _answers(raw: Iterable[bytes]) -> Iterator[ocsp.OCSPResponse]:
    for each in raw:
        with contextlib.suppress(*UNREADABLE):
            answer = ocsp.load_der_ocsp_response(each)
            if (
                answer.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
                and len(list(answer.responses)) <= _MOST_ANSWERS
            ):
                yield answer


def _is_whole(crl: x509.CertificateRevocationList) -> bool:
    """Return whether the list speaks of all certificates of its issuer: no delta, not for some of them."""
    try:
        for extension in crl.extensions:
            if isinstance(extension.value, x509.IssuingDistributionPoint):
                point = extension.value
                if point.indirect_crl or point.only_contains_attribute_certs or point.only_some_reasons:
                    return False
                if point.only_contains_ca_certs or point.only_contains_user_certs:
                    return False
            elif extension.critical or isinstance(extension.value, x509.DeltaCRLIndicator):
                return False
    except UNREADABLE:
        return False
    return True


def _has_signed(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    key: Any = issuer.public_key()
    try:
        if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:
            return False
        return isinstance(crl.signature_hash_algorithm, _SOUND_HASHES) and crl.is_signature_valid(key)
    except (x509.ExtensionNotFound, *UNREADABLE, UnsupportedAlgorithm):
        return False


def _reason_of(entry: x509.RevokedCertificate | None) -> str:
    if entry is None:
        return ""
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ""


def _names(single: ocsp.OCSPSingleResponse, issuer: x509.Certificate) -> bool:
    return (single.issuer_name_hash, single.issuer_key_hash) == issuer_hashes(issuer, single.hash_algorithm)


def _is_authorised(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """Return whether the issuer, or a responder that it delegated, signed. Source: RFC 6960 section 4.2.2.2."""
    delegated = [each for each in answer.certificates if _is_delegated(each, issuer, answer.produced_at_utc)]
    return any(_signed_answer(each, answer) for each in (issuer, *delegated))


def _is_delegated(responder: x509.Certificate, issuer: x509.Certificate, at: Instant) -> bool:
    try:
        purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        # Without this somebody would have to say whether the responder itself is revoked: RFC 6960 section 4.2.2.2.1.
        responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in purposes
        and is_issued_by(responder, issuer)
        and responder.not_valid_before_utc <= at <= responder.not_valid_after_utc
    )


def _signed_answer(by: x509.Certificate, answer: ocsp.OCSPResponse) -> bool:
    algorithm = answer.signature_hash_algorithm
    key = by.public_key()
    if not isinstance(algorithm, _SOUND_HASHES):
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
