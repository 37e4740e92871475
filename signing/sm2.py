"""SM2 signatures with SM3 (国密): an optional second one beside the first, over a manifest or the digests of a file.

A signature is DER over the bytes themselves, with the signer's id `1234567812345678`; OpenSSL checks it:

    openssl pkeyutl -verify -pubin -inkey key.pub.pem -rawin -digest sm3 -pkeyopt distid:1234567812345678
        -in manifest.json -sigfile manifest.sm2

The private key lies in a file, wrapped under a key-encryption key; the public one is a PEM file and its fingerprint. It
is a signature by a key that is known by its fingerprint, no certificate and no seal.
Source: GB/T 32918.2-2016 and GB/T 32918.5-2017; GM/T 0009-2012 section 7 for the form and the id; RFC 5480 for the key.
"""

import binascii
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from archive.kernel.canonical import NotCanonical, canonical_json, parse_canonical
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Report, indeterminate, invalid, valid
from archive.ports.keys import KeyWrapper, WrappedKeyUnreadable
from signing import der
from signing.keyfiles import PRIVATE, KeyUnreadable, read_secret, write_once

SIGNER_ID: Final = b"1234567812345678"
_KEY_BYTES: Final = 32
_POINT_BYTES: Final = 64
_BIT_STRING: Final = 0x03
_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_ALGORITHM: Final = der.sequence(der.oid("1.2.840.10045.2.1"), der.oid("1.2.156.10197.1.301"))
_BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
_END: Final = "-----END PUBLIC KEY-----"


class NotSm2Key(InvalidInput):
    """This is not a public SM2 key in PEM."""

    code = "key.not_sm2"


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """A point of the curve, 64 bytes. Raises: NotSm2Key."""

    point: bytes

    def __post_init__(self) -> None:
        """Refuse what does not lie on the curve."""
        from gmssl_pyx import InvalidValueError, normalize_sm2_public_key

        try:
            if len(self.point) != _POINT_BYTES or normalize_sm2_public_key(self.point) != self.point:
                raise NotSm2Key
        except InvalidValueError as exc:
            raise NotSm2Key("The point is not on the curve") from exc

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Parse a SubjectPublicKeyInfo, in the one form that `to_pem` writes; text before it is passed over.

        Raises: NotSm2Key.
        """
        try:
            _, begin, rest = pem.decode("ascii").partition(_BEGIN)
            body, end, after = rest.partition(_END)
            raw = binascii.a2b_base64("".join(body.split()), strict_mode=True)
            info = der.Reader(raw).enter(der.SEQUENCE)
            info.take_whole(der.SEQUENCE)
            point = info.take(_BIT_STRING)[2:]
        except (UnicodeDecodeError, binascii.Error, der.NotDer) as exc:
            raise NotSm2Key from exc
        if not begin or not end or after.strip() or _public_info(point) != raw:
            raise NotSm2Key
        return cls(point)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the SubjectPublicKeyInfo in lower-case hexadecimal."""
        return hashlib.sha256(_public_info(self.point)).hexdigest()

    def to_pem(self) -> bytes:
        """Return the key as PEM below its fingerprint. Source: RFC 7468 sections 5.2 and 13."""
        text = binascii.b2a_base64(_public_info(self.point), newline=False).decode("ascii")
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return "\n".join([f"SM2 public key, SHA-256 {self.fingerprint}", _BEGIN, *lines, _END, ""]).encode("ascii")


class Sm2Key:
    """A private key in this process. Usable from several threads."""

    def __init__(self, private: bytes, public: Sm2PublicKey) -> None:
        """Hold the key."""
        self._private = private
        self.public = public

    @classmethod
    def generate(cls, path: Path, *, wrapper: KeyWrapper) -> Self:
        """Make a new key and write it to `path`, wrapped, mode 0600; durable on return.

        Raises: KeyExists, StorageFull, what the wrapper raises.
        """
        from gmssl_pyx import sm2_key_generate

        point, private = sm2_key_generate()
        kept = {
            "v": 1,
            "kek": wrapper.id.hex(),
            "public": point.hex(),
            "wrapped": wrapper.wrap([private])[0].hex(),
        }
        write_once(path, canonical_json(kept), mode=PRIVATE)
        return cls(private, Sm2PublicKey(point))

    @classmethod
    def load(cls, path: Path, *, wrapper: KeyWrapper) -> Self:
        """Read the key from `path`; it is used once to see that both halves belong together.

        Raises: KeyMissing, KeyExposed, KeyUnreadable, what the wrapper raises.
        """
        try:
            kept = parse_canonical(read_secret(path))
            public = Sm2PublicKey(bytes.fromhex(kept["public"]))
            private = wrapper.unwrap(bytes.fromhex(kept["wrapped"]))
        except (NotCanonical, NotSm2Key, WrappedKeyUnreadable, KeyError, TypeError, ValueError) as exc:
            raise KeyUnreadable(path=str(path)) from exc
        key = cls(private, public)
        if len(private) != _KEY_BYTES or not _verifies(b"", key.sign(b""), public):
            raise KeyUnreadable(path=str(path))
        return key

    @property
    def public_pem(self) -> bytes:
        """The public key as PEM."""
        return self.public.to_pem()

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message` in DER: r and s. Source: GM/T 0009-2012 section 7.3."""
        from gmssl_pyx import sm2_sign

        signature: bytes = sm2_sign(self._private, self.public.point, message, SIGNER_ID)
        return signature

    def __repr__(self) -> str:
        """Show the fingerprint only."""
        return f"Sm2Key({self.public.fingerprint})"


def digest_statement(digests: DigestSet) -> bytes:
    """Return what is signed for a file that is too large, or signed already: its size and digests in canonical JSON."""
    return canonical_json({"v": 1, "size_bytes": digests.size_bytes, "digests": digests.as_json()})


def check_sm2(
    content: bytes, signature: bytes, *, public: Sm2PublicKey, known: Collection[str] = (), where: str = ""
) -> Report:
    """Judge an SM2 signature over `content`. `known` are fingerprints that the reader has from elsewhere.

    Valid: it verifies, and the key is known. Invalid: it does not, or is not in its one form. Indeterminate: it
    verifies, but nobody vouches for the key.
    """
    if not _is_strict(signature):
        return Report((invalid("signature.malformed", "The SM2 signature is not in its one form", where),))
    if not _verifies(content, signature, public):
        return Report((invalid("signature.value_mismatch", "The SM2 signature is not over this by this key", where),))
    if not any(hmac.compare_digest(public.fingerprint, each) for each in known):
        unknown = indeterminate("signature.untrusted", f"The SM2 key {public.fingerprint} is not a known one", where)
        return Report((unknown,))
    return Report((valid("signature.established", f"Signed with SM2 by the key {public.fingerprint}", where),))


def _verifies(content: bytes, signature: bytes, public: Sm2PublicKey) -> bool:
    from gmssl_pyx import GmsslInnerError, sm2_verify

    try:
        return bool(sm2_verify(public.point, content, signature, SIGNER_ID))
    except GmsslInnerError:
        return False


def _is_strict(signature: bytes) -> bool:
    try:
        pair = der.Reader(signature).enter(der.SEQUENCE)
        r, s = (int.from_bytes(pair.take(der.INTEGER), "big") for _ in range(2))
    except der.NotDer:
        return False
    is_in_range = 0 < r < _ORDER and 0 < s < _ORDER
    return is_in_range and der.sequence(der.integer(r), der.integer(s)) == signature


def _public_info(point: bytes) -> bytes:
    return der.sequence(_ALGORITHM, der.element(_BIT_STRING, b"\0\x04" + point))
