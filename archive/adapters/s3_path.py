"""A bucket read as if it were folders, for checks that trust no other code of ours: each listing and read is raw.

A key that is written once is its oldest version, whatever lies over it, or the one that mended it; what lies over such
a key beyond that is remembered.
"""

import errno
import io
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from archive.adapters.s3_client import S3Place, s3_client

_KNOWN_FOLDERS: Final = 8192
_KNOWN_LOCKS: Final = 512
_READ_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _File:
    version: str
    size_bytes: int


@dataclass(slots=True)
class _Folder:
    files: dict[str, _File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


class Bucket:
    """A folder of a bucket; `is_replaced` tells the keys whose newest version counts, below that folder.

    A folder with at most `at_once` versions below is learnt in one answer; of a larger one what lies right in it.
    """

    def __init__(
        self, place: S3Place, *, is_replaced: Callable[[str], bool] = lambda _: False, at_once: int = 1000
    ) -> None:
        """Open it; nothing is asked yet."""
        self._client, self._bucket, self._prefix = s3_client(place), place.bucket, place.prefix
        self._above = f"{place.prefix}/" if place.prefix else ""
        self._is_replaced, self._at_once = is_replaced, at_once
        self._known: OrderedDict[str, _Folder] = OrderedDict()
        self._locks: OrderedDict[str, tuple[datetime | None, bool]] = OrderedDict()
        self.covered: set[str] = set()
        """Keys that are written once and were seen with something over them."""
        self.mended: Mapping[str, str] = {}
        """The version of each key that was mended, as the catalogue has it: of these it is the file."""

    @property
    def root(self) -> "BucketPath":
        """The folder."""
        return BucketPath(self, PurePosixPath())

    def told(self, path: PurePosixPath) -> str:
        """Return how a path is named in findings."""
        return f"s3://{self._bucket}/{self.key(path)}"

    def key(self, path: PurePosixPath) -> str:
        """Return the key of a path."""
        return str(PurePosixPath(self._prefix) / path) if self._prefix else str(path)

    def folder(self, path: PurePosixPath) -> _Folder:
        """Return what lies in a folder. Raises: OSError."""
        name = "" if path == PurePosixPath() else f"{path}/"
        if name not in self._known:
            self._known |= self._learn(name)
            while len(self._known) > _KNOWN_FOLDERS:
                self._known.popitem(last=False)
        return self._known[name]

    def open(self, path: PurePosixPath, file: _File) -> BinaryIO:
        """Open a version for reading, and remember its lock. Raises: OSError."""
        with _as_os_errors(self.told(path)):
            answer = self._client.get_object(Bucket=self._bucket, Key=self.key(path), VersionId=file.version)
        until = answer.get("ObjectLockRetainUntilDate") if answer.get("ObjectLockMode") == "COMPLIANCE" else None
        self._locks[str(path)] = until, answer.get("ObjectLockLegalHoldStatus") == "ON"
        while len(self._locks) > _KNOWN_LOCKS:
            self._locks.popitem(last=False)
        return io.BufferedReader(_Body(answer["Body"], self.told(path)), buffer_size=_READ_BUFFER_BYTES)

    def lock(self, path: PurePosixPath, file: _File) -> tuple[datetime | None, bool]:
        """Return until when a version is locked (COMPLIANCE), None for not, and whether it is held. Raises: OSError."""
        if str(path) not in self._locks:
            self.open(path, file).close()
        return self._locks[str(path)]

    def _learn(self, name: str) -> dict[str, _Folder]:
        """Ask what lies in a folder; in all folders below it too, where one answer has room for that."""
        start, found, hidden = self.key(PurePosixPath(name)) + "/" if name else self._above, {name: _Folder()}, set()
        asked = {"Bucket": self._bucket, "Prefix": start}
        with _as_os_errors(f"s3://{self._bucket}/{start}"):
            first = self._client.list_object_versions(**asked, MaxKeys=self._at_once)
            pages = self._client.get_paginator("list_object_versions").paginate(**asked, Delimiter="/")
            for page in pages if first.get("IsTruncated") else (first,):
                for row in page.get("CommonPrefixes", ()):
                    found[name].folders.add(row["Prefix"][len(start) :].rstrip("/"))
                for row in page.get("Versions", ()):
                    key = row["Key"][len(self._above) :]
                    self._take(key, _folder_of(found, key).files, _File(row["VersionId"], row["Size"]))
                for row in page.get("DeleteMarkers", ()):
                    key = row["Key"][len(self._above) :]
                    if not self._is_replaced(key):
                        self.covered.add(key)
                    elif row["IsLatest"]:
                        hidden.add(key)
        for key in hidden:
            _folder_of(found, key).files.pop(key.rpartition("/")[2], None)
        return found

    def _take(self, key: str, files: dict[str, _File], version: _File) -> None:
        """Take the next version of a key; the newest is listed first."""
        inside, mended = key.rpartition("/")[2], self.mended.get(key)
        if mended is not None and inside in files and files[inside].version == mended:
            return  # what it mended, and what lay there before
        if inside not in files or not self._is_replaced(key):
            if inside in files:
                self.covered.add(key)
            files[inside] = version


def _folder_of(found: dict[str, _Folder], key: str) -> _Folder:
    """Return the folder that a key lies in, made with those above it up to one that is known."""
    above = key.rpartition("/")[0]
    name = f"{above}/" if above else ""
    if name not in found:
        _folder_of(found, above).folders.add(above.rpartition("/")[2])
        found[name] = _Folder()
    return found[name]


class BucketPath:
    """A file or folder in a bucket: of `pathlib.Path` what a check needs. Raises: OSError, as that does."""

    def __init__(self, bucket: Bucket, path: PurePosixPath) -> None:
        """Name it; nothing is asked yet."""
        self._bucket, self._path = bucket, path

    def __str__(self) -> str:
        return self._bucket.told(self._path)

    def __hash__(self) -> int:
        return hash((id(self._bucket), self._path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BucketPath) and (self._bucket, self._path) == (other._bucket, other._path)

    def __truediv__(self, other: str | PurePath) -> "BucketPath":
        return BucketPath(self._bucket, self._path / other)

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part."""
        return self._path.parts

    @property
    def parent(self) -> "BucketPath":
        """The folder that it is in."""
        return BucketPath(self._bucket, self._path.parent)

    def with_name(self, name: str) -> "BucketPath":
        """Return what has this name beside it."""
        return BucketPath(self._bucket, self._path.with_name(name))

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self._file() is not None

    def is_dir(self) -> bool:
        """Whether a folder is there, with a file somewhere below: some servers list folders that are empty."""
        if self._path == PurePosixPath():
            return True
        if self._path.name not in self._bucket.folder(self._path.parent).folders:
            return False
        inside = self._bucket.folder(self._path)
        return bool(inside.files) or any((self / name).is_dir() for name in inside.folders)

    def is_symlink(self) -> bool:
        """Return False: a bucket has no links."""
        return False

    def iterdir(self) -> Iterator["BucketPath"]:
        """Yield what lies in the folder. A folder that some servers list although it is empty is none."""
        found = self._bucket.folder(self._path)
        for name in (*found.files, *found.folders):
            if name in found.files or (self / name).is_dir():
                yield self / name

    def stat(self) -> SimpleNamespace:
        """Return `st_size`."""
        return SimpleNamespace(st_size=self._there().size_bytes)

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Open the file for reading."""
        del mode
        return self._bucket.open(self._path, self._there())

    def read_bytes(self) -> bytes:
        """Return the file's bytes."""
        with self.open("rb") as file:
            return file.read()

    def lock(self) -> tuple[datetime | None, bool]:
        """Return until when the file is locked (COMPLIANCE), None for not, and whether it is under legal hold."""
        return self._bucket.lock(self._path, self._there())

    def _file(self) -> _File | None:
        return self._bucket.folder(self._path.parent).files.get(self._path.name)

    def _there(self) -> _File:
        found = self._file()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "There is no such object", str(self))
        return found


class _Body(io.RawIOBase):
    def __init__(self, body: Any, told: str) -> None:
        self._body, self._told = body, told

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_errors(self._told):
            data: bytes = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


@contextmanager
def _as_os_errors(told: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as exc:
        raise OSError(errno.EIO, f"The bucket does not give it: {type(exc).__name__}", told) from exc
