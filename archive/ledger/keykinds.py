r"""What a kind of key signs, and how its signature is judged: the only place that knows the signed messages.

Pure. Kinds that sign notes get the text of the note; two of them put a time in front of the signature and sign it too.

Source: C2SP signed-note (0x01), C2SP tlog-cosignature (0x04, 0x06), RFC 8032, FIPS 204 with an empty context.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

ED25519: Final = b"\x01"
"""Ed25519 over the text of a note. Source: C2SP signed-note, signature types."""
ED25519_COSIGNATURE: Final = b"\x04"
"""Ed25519 over a time and the text of a checkpoint. Source: C2SP tlog-cosignature."""
MLDSA44: Final = b"\x06"
"""ML-DSA-44 over signer, time, origin, size and root of a checkpoint. Source: C2SP tlog-cosignature."""
RECEIPT: Final = b"\xffliuhen-receipt/v1"
"""Plain Ed25519 over a receipt (`archive.ledger.receipt`), never over a note.

0xff is the byte that signed-note sets aside for kinds without a number; a longer name must follow it.
"""
MAX_TIME: Final = 2**63 - 1
_TIME_BYTES: Final = 8
_LABEL: Final = b"subtree/v1\n\0"
_MOST_NAME_BYTES: Final = 255
_HASH_BYTES: Final = 32
_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")

_Verify = Callable[[bytes, bytes, bytes], bool]
_Message = Callable[[str, str, int], bytes | None]


def cosigned_text(name: str, text: str, time_s: int) -> bytes | None:
    """Return what an Ed25519 cosignature signs. Source: C2SP tlog-cosignature, Ed25519 signed message."""
    del name  # not committed to
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def cosigned_tree(name: str, text: str, time_s: int) -> bytes | None:
    """Return the `cosigned_message` of a whole tree; None where the text is no checkpoint or a name is too long.

    Source: C2SP tlog-cosignature, ML-DSA-44 signed message; RFC 8446 section 3 for the encoding.
    """
    lines = text.split("\n")
    if len(lines) < 4 or not _SIZE.fullmatch(lines[1]):
        return None
    signer, origin, size = name.encode(), lines[0].encode(), int(lines[1])
    try:
        root = base64.b64decode(lines[2], validate=True)
    except ValueError:
        return None
    if not (0 < len(signer) <= _MOST_NAME_BYTES and 0 < len(origin) <= _MOST_NAME_BYTES):
        return None
    if size > MAX_TIME or len(root) != _HASH_BYTES:
        return None
    start = 0
    return b"".join(
        (
            *(_LABEL, len(signer).to_bytes(1), signer, time_s.to_bytes(_TIME_BYTES)),
            *(len(origin).to_bytes(1), origin, start.to_bytes(8), size.to_bytes(8), root),
        )
    )


def _verify_ed25519(public_bytes: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_bytes).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_mldsa44(public_bytes: bytes, message: bytes, signature: bytes) -> bool:
    try:
        MLDSA44PublicKey.from_public_bytes(public_bytes).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class KeyKind:
    """What differs between kinds of keys. `timed` makes the message of kinds that sign a time with the note."""

    public_size_bytes: int
    verify: _Verify
    signs_notes: bool = True
    timed: _Message | None = None


KINDS: Final = {
    ED25519: KeyKind(32, _verify_ed25519),
    ED25519_COSIGNATURE: KeyKind(32, _verify_ed25519, timed=cosigned_text),
    MLDSA44: KeyKind(1312, _verify_mldsa44, timed=cosigned_tree),
    RECEIPT: KeyKind(32, _verify_ed25519, signs_notes=False),
}
LOG_KINDS: Final = frozenset({ED25519, MLDSA44})
WITNESS_KINDS: Final = frozenset({ED25519_COSIGNATURE, MLDSA44})


def join_time(time_s: int, signature: bytes) -> bytes:
    """Return a `timestamped_signature`. Source: C2SP tlog-cosignature, format."""
    return time_s.to_bytes(_TIME_BYTES) + signature


def split_time(value: bytes) -> tuple[int, bytes]:
    """Return time and signature of a `timestamped_signature`; what is too short has no signature."""
    return int.from_bytes(value[:_TIME_BYTES]), value[_TIME_BYTES:]
