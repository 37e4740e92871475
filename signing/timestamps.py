"""An outside timestamp authority, asked over HTTP. Nothing is asked unless the operator has set its address.

A token is judged before it is handed on: status, imprint, nonce, policy, form, signature, purpose, chain, time.
Source: RFC 3161 sections 2.4 and 3.4.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import format_instant
from archive.ports.clock import Clock
from archive.ports.outbound import Outbound, Undelivered, UrlRefused
from signing import der
from signing.chains import TrustRoots
from signing.stamps import TokenRefused, read_stamp
from signing.tokens import imprint_of, nonce_of

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_NONCE_BITS: Final = 120
_TRUE: Final = b"\x01\x01\xff"
_HEADERS: Final = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}


class TsaUnreachable(LiuhenError):
    """The outside timestamp authority does not answer; it is asked again."""

    code = "timestamp.authority_unreachable"
    exit_code = 75
    retryable = True


class TsaRefuses(LiuhenError):
    """The outside timestamp authority answers that it gives no token."""

    code = "timestamp.authority_refuses"
    exit_code = 76
    retryable = True


class TsaUntrusted(LiuhenError):
    """The certificate of the outside timestamp authority leads to none of those in the setting tsa_ca."""

    code = "timestamp.authority_untrusted"
    exit_code = 76
    retryable = True


class TsaClocksDiffer(LiuhenError):
    """The outside timestamp authority and this machine do not agree on the time: one of the clocks is wrong."""

    code = "timestamp.clocks_differ"
    exit_code = 76
    retryable = True


class OutsideTsa:
    """Asks an outside authority for tokens. Satisfies `archive.ports.timestamps.TimestampAuthority`."""

    def __init__(self, outbound: Outbound, url: str, clock: Clock, *, issuers_pem: bytes, policy: str | None) -> None:
        """Take the address, the roots and issuers that its certificates come from, and the policy that is asked for.

        Raises: BadTrustRoots.
        """
        self._outbound = outbound
        self._url = url
        self._clock = clock
        self._policy = None if policy is None else der.oid(policy)
        self._trust = TrustRoots.from_pem(issuers_pem)
        self._known = {each.public_bytes(Encoding.DER) for each in (*self._trust.roots, *self._trust.intermediates)}

    def token(self, imprint: bytes) -> bytes:
        """Return a token over a SHA-256 or SHA-512 that our verifiers accept.

        Raises: TsaUnreachable, TsaRefuses, TokenRefused, TsaUntrusted, TsaClocksDiffer; BadImprint.
        """
        nonce = secrets.randbits(_NONCE_BITS) | 1 << _NONCE_BITS
        token = self._granted(self._asked(self._query(imprint, nonce)))
        stamp = read_stamp(token, imprint)
        if nonce_of(stamp.token.info) != nonce:
            raise TokenRefused("The timestamp answers another request")
        if self._policy is not None and stamp.info.policy != self._policy:
            raise TokenRefused("The timestamp is under another policy than was asked for")
        if not self._known.issuperset(stamp.token.others):
            raise TsaUntrusted("The timestamp brings a certificate that does not stand in the setting tsa_ca")
        if not self._trust.reach(stamp.certificate, at=stamp.at):
            raise TsaUntrusted
        if abs(stamp.at - self._clock.now()) > _CLOCKS_DIFFER:
            raise TsaClocksDiffer(theirs=format_instant(stamp.at))
        return token

    def _query(self, imprint: bytes, nonce: int) -> bytes:
        """Return a TimeStampReq that asks for the certificate too."""
        policy = [] if self._policy is None else [self._policy]
        return der.sequence(der.integer(1), imprint_of(imprint), *policy, der.integer(nonce), _TRUE)

    def _asked(self, query: bytes) -> bytes:
        try:
            reply = self._outbound.post(self._url, headers=_HEADERS, body=query)
        except (Undelivered, UrlRefused) as exc:
            raise TsaUnreachable(reason=exc.code) from exc
        if reply.status != 200:
            raise TsaUnreachable(status=reply.status)
        return reply.body

    @staticmethod
    def _granted(reply: bytes) -> bytes:
        """Return the token in a TimeStampResp. Raises: TsaRefuses, TokenRefused."""
        try:
            whole = der.Reader(reply)
            response = whole.enter(der.SEQUENCE)
            whole.end()
            status = int.from_bytes(response.enter(der.SEQUENCE).take(der.INTEGER), "big")
            if status != 0:
                raise TsaRefuses(status=status)
            token = response.take_whole(der.SEQUENCE)
            response.end()
        except der.NotDer as exc:
            raise TokenRefused(f"The answer of the timestamp authority cannot be read: {exc.message}") from exc
        return token


def merged_issuers(root_pem: bytes, *others: bytes) -> bytes:
    """Return one root as it is given, then all other certificates, each once, in PEM. Raises: BadTrustRoots."""
    first = set(_certificates(root_pem))
    found = dict.fromkeys(each for pem in others for each in _certificates(pem) if each not in first)
    return root_pem + b"".join(each.public_bytes(Encoding.PEM) for each in found)


def root_digests(issuers_pem: bytes) -> Sequence[bytes]:
    """Return the SHA-256 of the roots among these certificates: what a trust file pins. Raises: BadTrustRoots."""
    roots = TrustRoots.from_pem(issuers_pem).roots
    return [hashlib.sha256(each.public_bytes(Encoding.DER)).digest() for each in roots]


def _certificates(pem: bytes) -> Sequence[x509.Certificate]:
    trust = TrustRoots.from_pem(pem)
    return (*trust.roots, *trust.intermediates)
