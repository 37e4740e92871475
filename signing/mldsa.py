"""ML-DSA-44 keys in files: the log's second signature, which a quantum computer does not break.

Source: FIPS 204 (ML-DSA, pure, with an empty context), RFC 9881 (PKCS#8 form).
"""

from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from signing.keyfiles import PRIVATE, KeyUnreadable, private_pem, read_private_key, write_once

PUBLIC_KEY_BYTES: Final = 1312
SIGNATURE_BYTES: Final = 2420


class MlDsa44KeyHandle:
    """A private key in this process, read from a file once. Satisfies `archive.ports.keys.KeyHandle`."""

    __slots__ = ("_private", "_public_bytes")

    def __init__(self, private: MLDSA44PrivateKey) -> None:
        """Hold the key."""
        self._private = private
        self._public_bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Make a new key and write it to `path` (PKCS#8 PEM, mode 0600); durable on return.

        Raises: KeyExists when there is a file already (it stays as it is), StorageFull, InvalidInput.
        """
        private = MLDSA44PrivateKey.generate()
        write_once(path, private_pem(private, passphrase=passphrase), mode=PRIVATE)
        return cls(private)

    @classmethod
    def load(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Read the key from `path`.

        Raises: KeyMissing, KeyExposed, KeyUnreadable.
        """
        private = read_private_key(path, passphrase=passphrase)
        if not isinstance(private, MLDSA44PrivateKey):
            raise KeyUnreadable("The file holds a key of another kind than ML-DSA-44", path=str(path))
        return cls(private)

    @property
    def public_bytes(self) -> bytes:
        """The 1,312-byte public key."""
        return self._public_bytes

    def sign(self, message: bytes) -> bytes:
        """Return the 2,420-byte signature over `message`."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Show the beginning of the public key only."""
        return f"MlDsa44KeyHandle(public={self._public_bytes[:8].hex()}…)"
