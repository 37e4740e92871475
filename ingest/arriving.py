"""A file on its way to a scratch folder, hashed block by block with every hash that signatures are judged with."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, Self

from archive.kernel.digests import Digest, DigestSet
from ingest.errors import TooLarge
from ingest.judgements import SignedFile
from signing.validation.requests import CONTENT_HASHES

_BLOCK_BYTES: Final = 1024 * 1024


def hashed_file(path: Path) -> SignedFile:
    """Return a file that lies where it shall be judged, with its digests. Raises: OSError."""
    hashes = {each: hashlib.new(each) for each in CONTENT_HASHES}
    size_bytes = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            size_bytes += len(block)
            for each in hashes.values():
                each.update(block)
    return _signed_file(path, path.name, size_bytes, {name: each.digest() for name, each in hashes.items()})


def _signed_file(path: Path, name: str, size_bytes: int, found: Mapping[str, bytes]) -> SignedFile:
    digests = DigestSet(size_bytes, Digest("sha256", found["sha256"]), Digest("sha512", found["sha512"]))
    return SignedFile(path, name, digests, found)


class ArrivingFile:
    """Takes the blocks of one file and writes them to `path`, `most` bytes of them. Close it before it is judged."""

    def __init__(self, path: Path, name: str, *, most: int) -> None:
        """Open a new file. Raises: OSError."""
        self._path, self._name, self._left = path, name, most
        self._hashes = {each: hashlib.new(each) for each in CONTENT_HASHES}
        self._file = path.open("xb")
        self.size_bytes = 0

    @classmethod
    def copied(cls, source: BinaryIO, path: Path, name: str, *, most: int) -> SignedFile:
        """Copy a whole stream. Raises: TooLarge, OSError."""
        with cls(path, name, most=most) as made:
            while block := source.read(_BLOCK_BYTES):
                made.take(block)
        return made.file()

    def take(self, block: bytes) -> None:
        """Take one block. Raises: TooLarge, OSError."""
        self._left -= len(block)
        if self._left < 0:
            raise TooLarge
        for each in self._hashes.values():
            each.update(block)
        self._file.write(block)
        self.size_bytes += len(block)

    def file(self) -> SignedFile:
        """Return what arrived, with its digests."""
        found = {name: each.digest() for name, each in self._hashes.items()}
        return _signed_file(self._path, self._name, self.size_bytes, found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()
