"""ML-DSA-44 keys in files: the log's second signature, which a quantum computer does not break.

Source: FIPS 204 (ML-DSA, pure, with an empty context), RFC 9881 (PKCS#8 form).
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from signing.key_handle import FileKeyHandle

PUBLIC_KEY_BYTES: Final = 1312
SIGNATURE_BYTES: Final = 2420


class MlDsa44KeyHandle(FileKeyHandle):
    """An ML-DSA-44 key: 1,312 bytes public, signatures of 2,420 bytes."""

    __slots__ = ()

    kind = MLDSA44PrivateKey
    algorithm = "ML-DSA-44"
