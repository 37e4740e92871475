"""The blob store in an S3 bucket: one object per blob, its key that of the blob.

Object Lock protects versions, not keys: whoever may write can put a newer version or a delete marker over a locked one.
So a blob that is put once is its *oldest* version, which nobody can delete while it is locked, and it is read by that
version's id; what lies over it is found by `covered`. Only root inventories are replaced, and the newest is theirs. A
blob that was mended (`s3_mender`) is the version that the catalogue names.
"""

import contextlib
import hashlib
import heapq
import io
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.adapters.fetched import FetchedBlobs
from archive.adapters.s3_client import ConflictingWrite, S3Place, refusals, s3_client
from archive.adapters.s3_locks import S3Locks
from archive.adapters.s3_parts import Parts, checksum, part_size, read_part
from archive.adapters.s3_presigning import S3Addresses
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ports.blobs import BlobChanged, BlobExists, BlobMissing, StoreBroken, StoreUnavailable, check_key

_AT_ONCE: Final = 4
_THREADS: Final = 8
_KNOWN_VERSIONS: Final = 16_384
_READ_BUFFER_BYTES: Final = 256 * 1024
_TRIES: Final = 8

LockUntil = Callable[[], datetime | None]
"""Returns until when what is locked now stays locked; None for not at all."""
Mended = Callable[[str], str | None]
"""Returns the version that a key stands for since it was mended; None for one that never was."""


def _never() -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Version:
    id: str
    size_bytes: int
    etag: str


class S3Store:
    """A `LockableBlobStore` in a bucket. Locks are of mode COMPLIANCE and last until `lock_until`."""

    def __init__(
        self,
        place: S3Place,
        *,
        lock_until: LockUntil = _never,
        locks_at_once: bool = False,
        is_replaced: Callable[[str], bool] = lambda _: False,
        mended: Mended = lambda _: None,
        fetched: FetchedBlobs | None = None,
    ) -> None:
        """Open the store; `is_replaced` tells the keys that `replace_if` may replace, which are never locked.

        A store whose `lock_until` says nothing locks nothing, whatever it is asked for: its bucket may not be able to.
        With `locks_at_once` blobs are locked as they are put, otherwise when `lock` is called. Borrowed blobs lie in
        `fetched`.
        """
        self._place, self._lock_until, self._is_replaced = place, lock_until, is_replaced
        self._locks_at_once, self._mended, self._fetched = locks_at_once, mended, fetched
        self._prefix = f"{place.prefix}/" if place.prefix else ""
        self._client = s3_client(place)
        self._locks, self._may_lock = S3Locks(self._client, place.bucket), lock_until is not _never
        self._addresses = S3Addresses(place)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._known: OrderedDict[str, _Version] = OrderedDict()
        self._guard = threading.Lock()

    def put_once(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of `source`; see the port."""
        return self._put(key, source, size_bytes=None)

    def adopt(self, key: str, staged: Path) -> None:
        """Store a staged file by sending it; see the port."""
        name = self._name(key)
        try:
            found = staged.lstat()
        except OSError as exc:
            raise InvalidInput("A staged file must be there", key=name) from exc
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput("A staged file must be a regular file", key=name)
        with staged.open("rb") as source:
            self._put(key, source, size_bytes=found.st_size)

    def replace_if(self, key: str, data: bytes, *, expected_sha512: str | None) -> None:
        """Replace a blob if it is the expected one; see the port. The server compares too, so one of several wins."""
        name = self._name(key)
        present = self._newest(name)
        found = None if present is None else hashlib.sha512(self._read(name, present)).hexdigest()
        if found != expected_sha512:
            raise BlobChanged(key=key)
        condition = {"IfNoneMatch": "*"} if present is None else {"IfMatch": present.etag}
        try:
            with refusals(key):
                self._client.put_object(
                    Bucket=self._place.bucket, Key=name, Body=data, ChecksumSHA256=checksum(data), **condition
                )
        except (BlobExists, BlobMissing, ConflictingWrite) as exc:
            raise BlobChanged(key=key) from exc

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open for reading; see the port. Raises: InvalidInput for a negative offset or length."""
        if offset < 0 or (length is not None and length < 0):
            raise InvalidInput("A range cannot be negative", offset=offset, length=length)
        try:
            return self._opened(key, self._version(key), offset=offset, length=length)
        except BlobMissing:
            self._forget(self._name(key))  # what was known of it is gone; another may have been put since
            return self._opened(key, self._version(key), offset=offset, length=length)

    def size_bytes(self, key: str) -> int:
        """Return the size; see the port."""
        return self._version(key).size_bytes

    def exists(self, key: str) -> bool:
        """Return whether there is a blob with this key."""
        try:
            self._version(key)
        except BlobMissing:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key under `prefix` in the order of its bytes; see the port."""
        if prefix:
            check_key(prefix)
        start = self._prefix + (f"{prefix}/" if prefix else "")
        names = self._names_by_folder(start) if self._place.lists_by_folder else _in_order(self._names(start))
        for name in names:
            yield name[len(self._prefix) :]

    def delete(self, key: str) -> None:
        """Remove every version of a blob by its id, what was laid over it, and a copy that was fetched; see the port.

        Locks are asked for first: not every server refuses what it should, and of several versions none may go alone.
        """
        name = self._name(key)
        self._forget(name)  # whatever is there: another process may have deleted it
        versions, markers = self._listed(name)
        if not versions and not markers:
            raise BlobMissing(key=key)
        if self._may_lock:
            for version in versions:
                self._locks.require_free(key, name, version.id, at=datetime.now(UTC))
        # What somebody laid over it goes first: of a delete that breaks off, what was put first is left.
        for version_id in (*markers, *(version.id for version in versions)):
            with refusals(key):
                self._client.delete_object(Bucket=self._place.bucket, Key=name, VersionId=version_id)
            if self._fetched is not None:
                self._fetched.forget(self._fetched_name(name, version_id))
        if not versions:
            raise BlobMissing(key=key)

    def local_path(self, key: str) -> Path | None:
        """Return None: what is in a bucket is no local file. Raises: BlobMissing."""
        self._version(key)
        return None

    @contextlib.contextmanager
    def borrow(self, key: str) -> Iterator[Path]:
        """Fetch the blob into the local folder; see the port."""
        if self._fetched is None:
            raise StoreUnavailable("This store has no local folder to fetch to", key=key)
        version = self._version(key)
        name = self._fetched_name(self._name(key), version.id)
        with self._fetched.file(name, version.size_bytes, _opening(self, key)) as path:
            yield path

    def lock(self, keys: Iterable[str], until: Instant | None = None) -> None:
        """Lock blobs, several at once, and read the locks back; see the port."""
        own = self._lock_until()
        if own is not None:
            ends = own if until is None else until
            self._of_each(keys, lambda key, name, version: self._locks.lock(key, name, version, ends))

    def hold(self, keys: Iterable[str]) -> None:
        """Put blobs under legal hold, several at once; see the port."""
        if self._lock_until() is not None:
            self._of_each(keys, partial(self._locks.set_hold, is_held=True))

    def release_hold(self, keys: Iterable[str]) -> None:
        """Take the legal hold off blobs, several at once; see the port."""
        if self._lock_until() is not None:
            self._of_each(keys, partial(self._locks.set_hold, is_held=False))

    def locked_until(self, key: str) -> Instant | None:
        """Return until when a blob is locked (COMPLIANCE), as the server says; see the port."""
        return self._locks.until(self._name(key), self._version(key).id)

    def is_held(self, key: str) -> bool:
        """Return whether a blob is under legal hold, as the server says; see the port."""
        return self._locks.is_held(self._name(key), self._version(key).id)

    def _of_each(self, keys: Iterable[str], act: Callable[[str, str, str], None]) -> None:
        """Do something with the version that each key stands for, but for what is replaced."""

        def one(key: str) -> None:
            act(key, self._name(key), self._version(key).id)

        for done in [self._pool.submit(one, key) for key in keys if not self._is_replaced(key)]:
            done.result()

    def sweep(self, *, older_than: timedelta) -> int:
        """Give up uploads in parts that were begun longer ago than this; see the port."""
        ends, given_up = datetime.now(UTC) - older_than, 0
        asked = {"Bucket": self._place.bucket, "Prefix": self._prefix}
        with refusals(self._prefix):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(**asked):
                for row in page.get("Uploads", ()):
                    if row["Initiated"] < ends:
                        self._client.abort_multipart_upload(
                            Bucket=self._place.bucket, Key=row["Key"], UploadId=row["UploadId"]
                        )
                        given_up += 1
        return given_up

    @property
    def origin(self) -> str:
        """Return where presigned addresses lead; see the port."""
        return self._addresses.origin

    def presigned(self, key: str, *, lease_s: int, media_type: str, disposition: str) -> str:
        """Return an address of the version that the key stands for; see the port."""
        asked = {
            "Key": self._name(key),
            "VersionId": self._version(key).id,
            "ResponseContentType": media_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, no-store",
        }
        return self._addresses.signed(asked, lease_s=lease_s)

    def lets_read(self, origin: str) -> bool:
        """Ask the server whether pages of an origin may read ranges; see the port."""
        return self._addresses.lets_read(origin)

    def covered(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of blobs that are put once and have something over them: a newer version, or a delete marker.

        What was put first is there all the same and is what is read; that something lies over it is an alarm.
        """
        asked = {"Bucket": self._place.bucket, "Prefix": self._prefix + (f"{prefix}/" if prefix else "")}
        found: set[str] = set()
        with refusals(prefix):
            for page in self._client.get_paginator("list_object_versions").paginate(**asked):
                over = [row["Key"] for row in page.get("Versions", ()) if row["IsLatest"] is False]
                over += [row["Key"] for row in page.get("DeleteMarkers", ())]
                fresh = {name[len(self._prefix) :] for name in over} - found
                found |= fresh
                yield from sorted(key for key in fresh if not self._is_replaced(key))

    def close(self) -> None:
        """Give back threads and connections."""
        self._pool.shutdown(wait=True)
        self._client.close()
        self._addresses.close()

    def _opened(self, key: str, version: _Version, *, offset: int, length: int | None) -> BinaryIO:
        ends = version.size_bytes if length is None else min(version.size_bytes, offset + length)
        if offset >= ends:
            return io.BytesIO()
        with refusals(key):
            answer = self._client.get_object(
                Bucket=self._place.bucket,
                Key=self._name(key),
                VersionId=version.id,
                Range=f"bytes={offset}-{ends - 1}",
            )
        return io.BufferedReader(_Body(answer["Body"], ends - offset, key), buffer_size=_READ_BUFFER_BYTES)

    # ---- putting ---------------------------------------------------------------------------------------------------

    def _put(self, key: str, source: BinaryIO, *, size_bytes: int | None) -> int:
        name = self._name(key)
        if self.exists(key):
            raise BlobExists(key=key)
        until = self._lock_until() if self._locks_at_once and not self._is_replaced(key) else None
        lock = {} if until is None else {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        size = part_size(size_bytes)
        first = read_part(source, size)
        sent = len(first)
        if len(first) < size:
            answer = self._put_whole(key, name, first, lock)
        else:

            def parts() -> Iterator[bytes]:
                nonlocal sent
                yield first
                while part := read_part(source, size):
                    sent += len(part)
                    yield part

            upload = Parts(self._client, self._place.bucket, name, at_once=_AT_ONCE, pool=self._pool, more=lock)
            answer = dict(upload.send(parts()))
        version = self._know(name, _Version(answer.get("VersionId", "null"), sent, answer["ETag"]))
        if until is not None:
            self._locks.require(key, name, version.id, until)
        return sent

    def _put_whole(self, key: str, name: str, data: bytes, lock: dict[str, Any]) -> dict[str, Any]:
        for left in reversed(range(_TRIES)):
            try:
                with refusals(key):
                    return dict(
                        self._client.put_object(
                            Bucket=self._place.bucket,
                            Key=name,
                            Body=data,
                            IfNoneMatch="*",
                            ChecksumSHA256=checksum(data),
                            **lock,
                        )
                    )
            except ConflictingWrite:
                if not left:
                    raise
        raise AssertionError

    # ---- versions --------------------------------------------------------------------------------------------------

    def _version(self, key: str) -> _Version:
        """Return the version that a key stands for. Raises: BlobMissing."""
        name = self._name(key)
        if self._is_replaced(key):
            newest = self._newest(name)
            if newest is None:
                raise BlobMissing(key=key)
            return newest
        wanted = self._mended(key)
        with self._guard:
            known = self._known.get(name)
        if known is not None and wanted in {None, known.id}:
            return known
        versions = self._versions(name)
        if not versions:
            raise BlobMissing(key=key)
        # Where what mended it is not there, the store is another than it was: what it holds was put there as good.
        return self._know(name, next((version for version in versions if version.id == wanted), versions[-1]))

    def _versions(self, name: str) -> list[_Version]:
        """Return the versions of a key, the newest first."""
        return self._listed(name)[0]

    def _listed(self, name: str) -> tuple[list[_Version], list[str]]:
        """Return the versions of a key, the newest first, and the ids of its delete markers."""
        found: list[_Version] = []
        markers: list[str] = []
        with refusals(name):
            for page in self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._place.bucket, Prefix=name, PaginationConfig={"PageSize": 100}
            ):
                rows, gone = page.get("Versions", ()), page.get("DeleteMarkers", ())
                found += [_Version(row["VersionId"], row["Size"], row["ETag"]) for row in rows if row["Key"] == name]
                markers += [row["VersionId"] for row in gone if row["Key"] == name]
                if any(row["Key"] != name for row in (*rows, *gone)):
                    break  # what begins with the key comes behind it
        return found, markers

    def _fetched_name(self, name: str, version_id: str) -> str:
        return f"{self._place.bucket}/{name}?{version_id}"

    def _newest(self, name: str) -> _Version | None:
        try:
            with refusals(name):
                told = self._client.head_object(Bucket=self._place.bucket, Key=name)
        except BlobMissing:
            return None
        return _Version(told.get("VersionId", "null"), told["ContentLength"], told["ETag"])

    def _read(self, name: str, version: _Version) -> bytes:
        with refusals(name):
            answer = self._client.get_object(Bucket=self._place.bucket, Key=name, VersionId=version.id)
            return bytes(answer["Body"].read())

    def _know(self, name: str, version: _Version) -> _Version:
        with self._guard:
            self._known[name] = version
            while len(self._known) > _KNOWN_VERSIONS:
                self._known.popitem(last=False)
        return version

    def _forget(self, name: str) -> None:
        with self._guard:
            self._known.pop(name, None)

    def _names(self, start: str) -> Iterator[str]:
        with refusals(start):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._place.bucket, Prefix=start):
                yield from (row["Key"] for row in page.get("Contents", ()))

    def _names_by_folder(self, start: str) -> Iterator[str]:
        """Yield the names below a folder, one list for each folder, each in the order of its bytes."""
        found: list[str] = []
        asked = {"Bucket": self._place.bucket, "Prefix": start, "Delimiter": "/"}
        with refusals(start):
            for page in self._client.get_paginator("list_objects_v2").paginate(**asked):
                found += [row["Key"] for row in page.get("Contents", ())]
                found += [row["Prefix"] for row in page.get("CommonPrefixes", ())]
        for name in sorted(found, key=str.encode):
            if name.endswith("/"):
                yield from self._names_by_folder(name)
            else:
                yield name

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key


class _Body(io.RawIOBase):
    """The bytes of an answer. One that ends too early is an error, never a short read."""

    def __init__(self, body: Any, size_bytes: int, key: str) -> None:
        self._body, self._left, self._key = body, size_bytes, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            return 0
        with refusals(self._key):
            data: bytes = self._body.read(min(len(buffer), self._left))
        if not data:
            raise StoreBroken("The store sent fewer bytes than there are", key=self._key)
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


@contextlib.contextmanager
def _opening(store: S3Store, key: str) -> Iterator[BinaryIO]:
    with store.open(key) as stream:
        yield stream


def _in_order(names: Iterator[str]) -> Iterator[str]:
    """Yield names in the order of their bytes. Some servers list those with characters beyond ASCII too early."""
    early: list[bytes] = []
    for name in names:
        if not name.isascii():
            heapq.heappush(early, name.encode())
            continue
        while early and early[0] < name.encode():
            yield heapq.heappop(early).decode()
        yield name
    while early:
        yield heapq.heappop(early).decode()
