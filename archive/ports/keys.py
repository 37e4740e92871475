"""The port to a signing key that may live anywhere: file, PKCS#11 token, remote service."""

from typing import Protocol


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
