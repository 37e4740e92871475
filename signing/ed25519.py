"""Ed25519 keys in files: the log, the receipts and the docks sign with them.

Source: RFC 8032 (Ed25519), RFC 8410 (PKCS#8 form).
"""

from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signing.keyfiles import PRIVATE, KeyUnreadable, private_pem, read_private_key, write_once

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _P, _P + 1, _ORDER_8_Y, _P - _ORDER_8_Y})


class Ed25519KeyHandle:
    """A private key in this process, read from a file once. Satisfies `archive.ports.keys.KeyHandle`."""

    __slots__ = ("_private", "_public_bytes")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Hold the key."""
        self._private = private
        self._public_bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Make a new key and write it to `path` (PKCS#8 PEM, mode 0600); durable on return.

        Raises: KeyExists when there is a file already (it stays as it is), StorageFull, InvalidInput.
        """
        private = Ed25519PrivateKey.generate()
        write_once(path, private_pem(private, passphrase=passphrase), mode=PRIVATE)
        return cls(private)

    @classmethod
    def load(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Read the key from `path`.

        Raises: KeyMissing, KeyExposed, KeyUnreadable.
        """
        private = read_private_key(path, passphrase=passphrase)
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyUnreadable("The file holds a key of another kind than Ed25519", path=str(path))
        return cls(private)

    @property
    def public_bytes(self) -> bytes:
        """The 32-byte public key."""
        return self._public_bytes

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Show the public key only."""
        return f"Ed25519KeyHandle(public={self._public_bytes.hex()})"


def verify_ed25519(public_bytes: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether `signature` over `message` was made with the private half of `public_bytes`.

    False also for what is no key or no signature, and for the public keys of small order: under those, OpenSSL takes
    one and the same signature for every message, so they establish nothing.
    """
    if len(public_bytes) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES or _is_small_order(public_bytes):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_bytes).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_small_order(public_bytes: bytes) -> bool:
    return int.from_bytes(public_bytes, "little") & (2**255 - 1) in _SMALL_ORDER_Y
