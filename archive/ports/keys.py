"""The port to a signing key that may live anywhere: file, PKCS#11 token, remote service."""

from typing import Protocol


class KeyHandle(Protocol):
    """A raw Ed25519 key that can sign; the private part need not be in this process."""

    @property
    def public_bytes(self) -> bytes:
        """The 32-byte public key. Source: RFC 8032 section 5.1.5."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over `message`. Source: RFC 8032 section 5.1.6."""
        ...


class ManifestSigner(Protocol):
    """Signs an item manifest so that any CMS tool can check it."""

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES signature (strict DER `.p7s`) over `content`. Source: ETSI EN 319 122-1."""
        ...
