"""The ports to keys that sign and keys that wrap, which may live anywhere: file, PKCS#11 token, remote service."""

from collections.abc import Sequence
from typing import Protocol

from archive.kernel.errors import LiuhenError


class KeyHandle(Protocol):
    """A raw Ed25519 or ML-DSA-44 key that can sign; the private part need not be in this process."""

    @property
    def public_bytes(self) -> bytes:
        """The public key: 32 bytes (RFC 8032 section 5.1.5), or 1,312 bytes (FIPS 204)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`: 64 bytes (RFC 8032 section 5.1.6), or 2,420 bytes (FIPS 204)."""
        ...


class ManifestSigner(Protocol):
    """Signs an item manifest so that any CMS tool can check it."""

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES signature (strict DER `.p7s`) over `content`. Source: ETSI EN 319 122-1."""
        ...


class SecondSigner(Protocol):
    """Signs what is signed already a second time, by a key of its own kind that is known by its public part."""

    @property
    def public_pem(self) -> bytes:
        """The public key as PEM (RFC 7468 section 13)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the bare signature over `message`."""
        ...


class DocumentKey(Protocol):
    """The key of a person or an agency that signs documents, with its certificate; it may live in a token."""

    @property
    def certificate(self) -> bytes:
        """The X.509 certificate of the key, in DER."""
        ...

    @property
    def chain(self) -> Sequence[bytes]:
        """Certificates (DER) that lead from it to a root; they travel in each signature."""
        ...

    def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
        """Return the bare signature over `data`: ECDSA in DER, or RSA PKCS#1 v1.5; with `sha256` or `sha384`.

        Raises: what the key has to say; retryable where trying again may help.
        """
        ...


class WrappedKeyUnreadable(LiuhenError):
    """A wrapped key cannot be opened: it was erased or changed, or was wrapped under another key."""

    code = "key.wrapped_unreadable"
    exit_code = 78


class KeyWrapper(Protocol):
    """Encrypts random keys under a key-encryption key, with AES-KW (RFC 3394): 32 bytes become 40."""

    @property
    def id(self) -> bytes:
        """The first 8 bytes of SHA-256 over `liuhen journal key` and the key-encryption key."""
        ...

    def wrap(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Return each 32-byte key in its wrapped form."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the key. Raises: WrappedKeyUnreadable."""
        ...
