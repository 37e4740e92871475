"""Ed25519 keys in files: the log, the receipts and the docks sign with them.

Source: RFC 8032 (Ed25519), RFC 8410 (PKCS#8 form).
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signing.key_handle import FileKeyHandle

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _P, _P + 1, _ORDER_8_Y, _P - _ORDER_8_Y})


class Ed25519KeyHandle(FileKeyHandle):
    """An Ed25519 key: 32 bytes public, signatures of 64 bytes."""

    __slots__ = ()

    kind = Ed25519PrivateKey
    algorithm = "Ed25519"


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
