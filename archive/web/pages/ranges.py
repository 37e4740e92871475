"""HTTP ranges. Pure. Source: RFC 9110 sections 13 and 14."""

import re
from dataclasses import dataclass
from typing import Final

_SINGLE: Final = re.compile(r"bytes=(\d{1,19})?-(\d{1,19})?", re.IGNORECASE | re.ASCII)


class Unsatisfiable(Exception):
    """The range begins behind the last byte."""


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a sequence of bytes. Units: bytes."""

    offset: int
    length: int
    size_bytes: int

    @property
    def content_range(self) -> str:
        """The value of the header `Content-Range`."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size_bytes}"


def wanted_range(header: str | None, *, size_bytes: int) -> Range | None:
    """Return the range that is asked for; None means the whole.

    Only a single range is served: what is malformed, in another unit, or several ranges is answered with the whole, as
    RFC 9110 section 14.2 allows. Raises: Unsatisfiable.
    """
    match = None if header is None else _SINGLE.fullmatch(header.strip())
    if match is None or match.groups() == (None, None):
        return None
    first, last = match.groups()
    if first is None:  # the last bytes
        length = min(int(last), size_bytes)
        if length == 0:
            raise Unsatisfiable
        return Range(size_bytes - length, length, size_bytes)
    if last is not None and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise Unsatisfiable
    end = size_bytes - 1 if last is None else min(int(last), size_bytes - 1)
    return Range(int(first), end - int(first) + 1, size_bytes)


def is_current(if_range: str | None, *, etag: str) -> bool:
    """Return whether a range may be served: there is no `If-Range`, or it names these very bytes.

    A date never does: it cannot tell two states within a second apart.
    """
    return if_range is None or if_range.strip() == etag


def is_known(if_none_match: str | None, *, etag: str) -> bool:
    """Return whether the client has these bytes already."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
