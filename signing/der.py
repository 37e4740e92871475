"""The little of DER that a signature container needs: reading strictly, writing in the one way there is.

Certificates are left to `cryptography`; here they are opaque bytes with a tag and a length.
Source: ITU-T X.690 sections 8 and 10.
"""

from typing import Final, Self

from archive.kernel.errors import InvalidInput

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = b"\x05\x00"
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31


class NotDer(InvalidInput):
    """The bytes are not in the distinguished encoding."""

    code = "der.malformed"


class Reader:
    """Reads one element after the other from the contents of an element; whatever is not as expected raises NotDer."""

    def __init__(self, contents: bytes) -> None:
        """Stand before the first element."""
        self._contents = contents
        self._at = 0

    def take(self, tag: int) -> bytes:
        """Return the contents of the next element, which has this tag."""
        element = self.take_whole(tag)
        return element[_header_size(element) :]

    def take_whole(self, tag: int) -> bytes:
        """Return the next element, which has this tag, with tag and length."""
        rest = self._contents[self._at :]
        if not rest or rest[0] != tag:
            raise NotDer("Another element is expected", at_byte=self._at)
        start = _header_size(rest)
        size = rest[1] if start == 2 else int.from_bytes(rest[2:start], "big")
        if start > 2 and (size < 0x80 or rest[2] == 0):
            raise NotDer("A length is not in its shortest form", at_byte=self._at)
        if start + size > len(rest):
            raise NotDer("An element ends after its container", at_byte=self._at)
        self._at += start + size
        return rest[: start + size]

    def enter(self, tag: int) -> Self:
        """Return a reader for the contents of the next element, which has this tag."""
        return type(self)(self.take(tag))

    def stands_before(self, tag: int) -> bool:
        """Return whether there is a next element and it has this tag."""
        return self._contents[self._at : self._at + 1] == bytes([tag])

    def end(self) -> None:
        """Demand that nothing follows."""
        if self._at != len(self._contents):
            raise NotDer("Something follows where nothing may", at_byte=self._at)


def element(tag: int, *contents: bytes) -> bytes:
    """Return an element with this tag around `contents`."""
    body = b"".join(contents)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*contents: bytes) -> bytes:
    """Return a SEQUENCE of these elements."""
    return element(SEQUENCE, *contents)


def set_of(*contents: bytes) -> bytes:
    """Return a SET OF these elements, in the order that DER gives them. Source: X.690 section 11.6."""
    return element(SET, *sorted(contents))


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER. Source: X.690 section 8.19."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_base128(arc) for arc in (first * 40 + second, *others)))


def _base128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def _header_size(element_or_more: bytes) -> int:
    """Return how many bytes tag and length take."""
    if len(element_or_more) < 2 or element_or_more[1] in {0x80, 0xFF}:
        raise NotDer("A length is missing or indefinite")
    size = 2 if element_or_more[1] < 0x80 else 2 + (element_or_more[1] & 0x7F)
    if size > min(len(element_or_more), 6):
        raise NotDer("A length is cut off or larger than any file here")
    return size
