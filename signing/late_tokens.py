"""A timestamp that comes after its signature, since the authority was down then: it goes into the room that was left.

What is signed does not change: the container lies outside the bytes that it signs. Nobody may have signed since, for
later signatures cover the container. Source: ETSI EN 319 142-1 section 6.3, ISO 32000-1 section 12.8.1.
"""

import hashlib
from collections.abc import Callable

from signing import der, document_cms
from signing.documents import NothingToStamp, SignatureTooLarge
from signing.stamps import read_stamp


def add_token(pdf: bytes, token: Callable[[bytes], bytes]) -> bytes:
    """Return the PDF with a timestamp in its newest signature, which is of ours and has none.

    Raises: NothingToStamp, SignatureTooLarge, DocumentUnreadable, DocumentEncrypted, TokenRefused, what the authority
        raises.
    """
    from signing.pyhanko_documents import newest_gap

    start, end = newest_gap(pdf)
    try:
        container = _container(bytes.fromhex(pdf[start + 1 : end - 1].decode("ascii")))
        imprint = hashlib.sha256(document_cms.signature_in(container)).digest()
    except (der.NotDer, ValueError) as exc:
        raise NothingToStamp from exc
    found = token(imprint)
    read_stamp(found, imprint)
    room = (end - start - 2) // 2
    stamped = document_cms.with_token(container, found)
    if len(stamped) > room:
        raise SignatureTooLarge(needed_bytes=len(stamped), room_bytes=room)
    return pdf[: start + 1] + stamped.ljust(room, b"\0").hex().encode("ascii") + pdf[end - 1 :]


def _container(padded: bytes) -> bytes:
    """Return the container without what fills its room up. Raises: NotDer."""
    whole = der.Reader(padded).take_whole(der.SEQUENCE)
    if padded[len(whole) :].strip(b"\0"):
        raise der.NotDer("Something follows the container")
    return whole
