"""A folder as one ZIP file that is never written: stored, so that every byte of it has its place before it is read.

The CRC-32 of each file is known from when the folder was written. So the length is known, and any range can be read by
itself: a download that broke off goes on. Memory does not grow with the size of files.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 (records), 4.4.4 (bit 11: names are UTF-8), 4.5.3 (ZIP64).
"""

import io
import os
import struct
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant

_BLOCK_BYTES: Final = 1 << 20
_LARGE: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF
_UTF_8: Final = 1 << 11
_PLAIN, _ZIP64 = 20, 45
_MADE_BY: Final = 3 << 8 | _ZIP64
"""Unix, so that the file's mode counts."""
_MODE: Final = 0o100644 << 16
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR: Final = struct.Struct("<4sIQI")


class MemberChanged(LiuhenError):
    """A file of the package is not there any more, or has another size than when it was written."""

    code = "package.file_changed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the folder, by its path with `/`. Units: bytes."""

    path: str
    size_bytes: int
    crc32: int

    @property
    def is_large(self) -> bool:
        """Whether its size does not fit the fields that ZIP had first."""
        return self.size_bytes >= _LARGE


class StoredZip:
    """The ZIP of a folder whose files are known. `size_bytes` is its length."""

    def __init__(self, folder: Path, members: Sequence[Member], *, top: str, at: Instant) -> None:
        """Take the folder and its files; they stand under the folder `top` in the ZIP, with the time `at`."""
        self._folder, self._members = folder, members
        self._top = top
        self._time = at.hour << 11 | at.minute << 5 | at.second // 2
        self._date = (max(at.year, 1980) - 1980) << 9 | at.month << 5 | at.day
        heads = [_LOCAL.size + len(self._name(each)) + (20 if each.is_large else 0) for each in members]
        sizes = [size for head, each in zip(heads, members, strict=True) for size in (head, each.size_bytes)]
        self._starts = list(accumulate(sizes, initial=0))  # of each head and each file, and of the directory
        directory = [len(self._central(number)) for number in range(len(members))]
        self._starts += list(accumulate(directory, initial=self._starts.pop()))
        self.size_bytes = self._starts[-1] + len(self._end())

    def open(self, offset: int, length: int | None = None) -> BinaryIO:
        """Return a part of the ZIP to read; what is opened belongs to the caller, who closes it.

        Reading raises MemberChanged where the folder is not what it was.
        """
        end = self.size_bytes if length is None else min(offset + length, self.size_bytes)
        return cast("BinaryIO", _Reader(self._blocks(offset, end)))

    def _blocks(self, offset: int, end: int) -> Generator[bytes]:
        piece = bisect_right(self._starts, offset) - 1
        while offset < end:
            skip = offset - self._starts[piece]
            for block in self._piece(piece, skip, end - offset):
                offset += len(block)
                yield block
            piece += 1

    def _piece(self, piece: int, skip: int, most: int) -> Generator[bytes]:
        count = len(self._members)
        if piece < 2 * count and piece % 2:
            yield from self._content(self._members[piece // 2], skip, most)
            return
        if piece < 2 * count:
            whole = self._local(piece // 2)
        else:
            whole = self._central(piece - 2 * count) if piece < 3 * count else self._end()
        yield whole[skip : skip + most]

    def _content(self, member: Member, skip: int, most: int) -> Generator[bytes]:
        left = min(member.size_bytes - skip, most)
        if left <= 0:
            return
        try:
            source = os.fdopen(os.open(self._folder / member.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as exc:
            raise MemberChanged(path=member.path) from exc
        with source:
            if os.fstat(source.fileno()).st_size != member.size_bytes:
                raise MemberChanged(path=member.path)
            source.seek(skip)
            while left:
                block = source.read(min(left, _BLOCK_BYTES))
                if not block:
                    raise MemberChanged(path=member.path)
                left -= len(block)
                yield block

    def _name(self, member: Member) -> bytes:
        return f"{self._top}/{member.path}".encode()

    def _local(self, number: int) -> bytes:
        member, name = self._members[number], self._name(self._members[number])
        size, extra = member.size_bytes, b""
        if member.is_large:
            size, extra = _LARGE, struct.pack("<2H2Q", 1, 16, member.size_bytes, member.size_bytes)
        needed = _ZIP64 if member.is_large else _PLAIN
        stamps = (self._time, self._date, member.crc32)
        return _LOCAL.pack(b"PK\3\4", needed, _UTF_8, 0, *stamps, size, size, len(name), len(extra)) + name + extra

    def _central(self, number: int) -> bytes:
        member, name, start = self._members[number], self._name(self._members[number]), self._starts[2 * number]
        large = [member.size_bytes, member.size_bytes] if member.is_large else []
        large += [start] if start >= _LARGE else []
        extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        size = _LARGE if member.is_large else member.size_bytes
        head = _CENTRAL.pack(
            b"PK\1\2",
            *(_MADE_BY, _ZIP64 if large else _PLAIN, _UTF_8, 0),
            *(self._time, self._date, member.crc32),
            *(size, size, len(name), len(extra)),
            *(0, 0, 0, _MODE, min(start, _LARGE)),
        )
        return head + name + extra

    def _end(self) -> bytes:
        count = len(self._members)
        start, end = self._starts[2 * count], self._starts[-1]
        size, large = end - start, b""
        if count >= _MANY or start >= _LARGE or size >= _LARGE:
            large = _END_64.pack(b"PK\6\6", 44, _MADE_BY, _ZIP64, 0, 0, count, count, size, start)
            large += _LOCATOR.pack(b"PK\6\7", 0, end, 1)
        told = (min(count, _MANY), min(count, _MANY), min(size, _LARGE), min(start, _LARGE))
        return large + _END.pack(b"PK\5\6", 0, 0, *told, 0)


class _Reader(io.RawIOBase):
    """Blocks as a file that is read from front to end."""

    def __init__(self, blocks: Generator[bytes]) -> None:
        self._source, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._source, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._source.close()  # and with it the file that is open
        super().close()
