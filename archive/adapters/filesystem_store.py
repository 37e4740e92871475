"""The blob store on a local POSIX file system: one file per blob, its path is its key.

The directory holds blobs and nothing else, so that an OCFL storage root kept in it stays valid; files in the making
and locks live in a scratch directory beside it.
"""

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from archive.adapters.durable import (
    copy_stream,
    fsync_directory,
    fsync_file,
    locked,
    make_directories,
    remove_empty_directories,
    replace_file,
    scratch_file,
    storage_errors,
    sweep_scratch,
    write_all,
)
from archive.adapters.immutable import holds_immutable, set_immutable
from archive.adapters.lock_times import LockTimes
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ports.blobs import (
    BadKey,
    BlobChanged,
    BlobExists,
    BlobMissing,
    StoreBroken,
    StoreUnavailable,
    check_key,
)

_BLOB_MODE: Final = 0o444
_LINK_TRIES: Final = 16
_READ_BUFFER_BYTES: Final = 256 * 1024
_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


class FilesystemStore:
    """A `LockableBlobStore` in `root`, whose locks are advisory.

    WORM here is mode 0444, the immutable flag where asked for and possible, and lock times beside the store that
    `delete` honours.

    An error before a blob has its name leaves nothing behind. An error in making that name durable leaves the whole
    blob under it: another writer may already have found it, and the next put does.
    """

    def __init__(
        self,
        root: Path,
        *,
        scratch: Path,
        immutable: bool = False,
        is_recreatable: bool = False,
        locks: LockTimes | None = None,
        is_replaced: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Open the store; make both directories when missing.

        Lock times are kept in `locks`, without which nothing is locked; `is_replaced` tells the keys that `replace_if`
        may replace, which never are.

        Where everything `is_recreatable` (renditions), adopting does not wait for the disk: whoever adopts makes the
        bytes durable later, and makes them again if a power cut comes first.

        Raises: InvalidInput when `scratch` lies in `root` or on another file system or mount.
        """
        self._root = root.absolute()
        self._scratch = scratch.absolute()
        self._immutable = immutable
        self._is_recreatable = is_recreatable
        self._locks, self._is_replaced = locks, is_replaced
        if self._scratch.is_relative_to(self._root):
            raise InvalidInput("The scratch directory must lie outside the store", scratch=str(scratch))
        with storage_errors():
            for directory in (self._root, self._scratch, self._scratch / "locks"):
                make_directories(directory, below=_existing_ancestor(directory))
                with contextlib.suppress(PermissionError):
                    fsync_directory(directory.parent)
        if not _on_one_mount(self._scratch, self._root):
            raise InvalidInput("Store and scratch directory must be on one file system", scratch=str(scratch))

    def put_once(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of `source`; see the port."""
        target = self._path(key)
        self._refuse_existing(key, target)
        with scratch_file(self._scratch) as temp:
            size_bytes = copy_stream(source, temp.fd)
            temp.seal(_BLOB_MODE)
            self._link(key, temp.path, target)
        self._protect(target)
        return size_bytes

    def adopt(self, key: str, staged: Path) -> None:
        """Store a staged file by a hard link, or by a copy where that is impossible; see the port.

        A linked file gets no immutable flag here, which would keep the caller from removing `staged`: see `protect`.
        """
        target = self._path(key)
        self._refuse_existing(key, target)
        with _open_staged(key, staged) as source:
            with storage_errors():
                os.fchmod(source.fileno(), _BLOB_MODE)
                if not self._is_recreatable:
                    fsync_file(source.fileno())
            try:
                self._link(key, staged, target)
            except _CannotLink:
                self.put_once(key, source)

    def replace_if(self, key: str, data: bytes, *, expected_sha512: str | None) -> None:
        """Replace a blob if it is the expected one; see the port. Writers of one key wait for each other."""
        target = self._path(key)
        with locked(self._lock_path(key)):
            try:
                with self._open(key, target) as present:
                    found = hashlib.sha512(present.read()).hexdigest()
            except BlobMissing:
                found = None
            if found != expected_sha512:
                raise BlobChanged(key=key)
            if found is not None:
                replace_file(target, data, scratch=self._scratch, mode=_BLOB_MODE)
                return
            with scratch_file(self._scratch) as temp:
                with storage_errors():
                    write_all(temp.fd, data)
                temp.seal(_BLOB_MODE)
                try:
                    self._link(key, temp.path, target)
                except BlobExists as exc:
                    raise BlobChanged(key=key) from exc

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open for reading; see the port. Raises: InvalidInput for a negative offset or length."""
        if offset < 0 or (length is not None and length < 0):
            raise InvalidInput("A range cannot be negative", offset=offset, length=length)
        whole = self._open(key, self._path(key))
        if offset == 0 and length is None:
            return whole
        return io.BufferedReader(_Range(whole, offset, length), buffer_size=_READ_BUFFER_BYTES)

    def size_bytes(self, key: str) -> int:
        """Return the size; see the port."""
        return self._stat(key, self._path(key)).st_size

    def exists(self, key: str) -> bool:
        """Return whether there is a blob with this key."""
        try:
            self._stat(key, self._path(key))
        except BlobMissing:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key under `prefix` in the order of its bytes; see the port.

        Whatever is no directory is yielded, also what no put has made, so that a check can see it.
        """
        start = self._path(prefix) if prefix else self._root
        return _walk(start, f"{prefix}/" if prefix else "")

    def delete(self, key: str) -> None:
        """Remove a blob, and the directories that it leaves empty; see the port."""
        target = self._path(key)
        self._stat(key, target)
        if self._locks is not None:
            self._locks.require_free(key)
        set_immutable(target, on=False)
        with storage_errors():
            try:
                target.unlink()
            except FileNotFoundError as exc:
                raise BlobMissing(key=key) from exc
            with contextlib.suppress(FileNotFoundError):
                fsync_directory(target.parent)
            remove_empty_directories(target.parent, below=self._root)
        if self._locks is not None:
            self._locks.forget(key)

    def local_path(self, key: str) -> Path:
        """Return the blob's path; see the port."""
        target = self._path(key)
        self._stat(key, target)
        return target

    @contextlib.contextmanager
    def borrow(self, key: str) -> Iterator[Path]:
        """Give the blob's own file; see the port."""
        yield self.local_path(key)

    def lock(self, keys: Iterable[str], until: Instant | None = None) -> None:
        """Keep lock times for blobs; see the port. Without a moment nothing is done: there is no own term.

        Two more durable writes would be a tenth of what an upload costs; the job of locks writes them right after.
        """
        if self._locks is not None and until is not None:
            self._locks.lock(self._lockable(keys), until)

    def hold(self, keys: Iterable[str]) -> None:
        """Keep legal holds for blobs; see the port."""
        if self._locks is not None:
            self._locks.set_hold(self._lockable(keys), is_held=True)

    def release_hold(self, keys: Iterable[str]) -> None:
        """Drop the legal holds of blobs; see the port."""
        if self._locks is not None:
            self._locks.set_hold(self._lockable(keys), is_held=False)

    def locked_until(self, key: str) -> Instant | None:
        """Return until when our own `delete` leaves a blob alone; see the port."""
        self._stat(key, self._path(key))
        return None if self._locks is None else self._locks.of(key).until

    def is_held(self, key: str) -> bool:
        """Return whether a blob is under legal hold here; see the port."""
        self._stat(key, self._path(key))
        return self._locks is not None and self._locks.of(key).is_held

    def _lockable(self, keys: Iterable[str]) -> list[str]:
        found = [key for key in keys if not self._is_replaced(key)]
        for key in found:
            self._stat(key, self._path(key))
        return found

    def protect(self, key: str) -> bool:
        """Set the immutable flag on a stored blob where asked for; return whether it is set.

        For adopted blobs, once the staged name is removed. `replace_if` cannot replace a protected blob.
        """
        target = self._path(key)
        self._stat(key, target)
        return self._protect(target)

    def can_protect(self) -> bool:
        """Try on a scratch file whether the immutable flag is honoured here, for reports; changes nothing."""
        with scratch_file(self._scratch) as temp:
            return holds_immutable(temp)

    def sweep(self, *, older_than: timedelta = timedelta(minutes=1)) -> int:
        """Remove what dead processes left in the scratch directory; return how many files. For start-up."""
        with storage_errors():
            return sweep_scratch(self._scratch, older_than=older_than)

    def prune(self) -> int:
        """Remove directories that a killed writer left empty; return how many. Walks the whole store."""
        removed = 0
        for directory, _, _ in os.walk(self._root, topdown=False):
            if Path(directory) != self._root:
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
                    removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*check_key(key))

    def _lock_path(self, key: str) -> Path:
        # 256 locks serve all keys, so that the number of files does not grow; whoever shares one waits a little.
        return self._scratch / "locks" / hashlib.sha256(key.encode()).hexdigest()[:2]

    def _stat(self, key: str, target: Path) -> os.stat_result:
        with storage_errors():
            try:
                found = target.lstat()
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise BlobMissing(key=key) from exc
        return _regular(key, found)

    def _open(self, key: str, target: Path) -> io.BufferedReader:
        with storage_errors():
            try:
                fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise BlobMissing(key=key) from exc
            except OSError as exc:
                if exc.errno in {errno.ELOOP, errno.ENXIO}:
                    raise StoreBroken("A blob is no regular file", key=key) from exc
                raise
            try:
                _regular(key, os.fstat(fd))
                return open(fd, "rb")  # noqa: PTH123 - a descriptor, not a path
            except BaseException:
                os.close(fd)
                raise

    def _refuse_existing(self, key: str, target: Path) -> None:
        if os.path.lexists(target):
            self._raise_existing(key, target)

    def _raise_existing(self, key: str, target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            raise BadKey("The key is a folder of other keys", key=key)
        # Whoever is told that the blob exists may rely on it: its writer may have died before this fsync.
        with storage_errors():
            fsync_directory(target.parent)
        raise BlobExists(key=key)

    def _link(self, key: str, source: Path, target: Path) -> None:
        """Give a durable file its final name, durably. Raises: BlobExists, BadKey, _CannotLink."""
        with storage_errors():
            for _ in range(_LINK_TRIES):
                try:
                    make_directories(target.parent, below=self._root)
                    os.link(source, target, follow_symlinks=False)
                    break
                except FileNotFoundError:
                    # A delete has just removed the directory that it left empty.
                    if not source.exists():
                        raise
                except FileExistsError:
                    self._raise_existing(key, target)
                except NotADirectoryError as exc:
                    raise BadKey("A folder of the key is a blob", key=key) from exc
                except OSError as exc:
                    remove_empty_directories(target.parent, below=self._root)
                    if exc.errno in _NO_LINK:
                        raise _CannotLink(key=key, reason=errno.errorcode[exc.errno]) from exc
                    raise
            else:
                raise OSError(errno.EAGAIN, "The directory is removed again and again")
            fsync_directory(target.parent)

    def _protect(self, target: Path) -> bool:
        return self._immutable and set_immutable(target, on=True)


class _CannotLink(StoreUnavailable):
    """This file cannot get a second name: another mount, no right to, or a file system without hard links."""


class _Range(io.RawIOBase):
    """Part of an open file, read by position."""

    def __init__(self, whole: io.BufferedReader, offset: int, length: int | None) -> None:
        super().__init__()
        self._whole = whole
        self._at = offset
        size_bytes = os.fstat(whole.fileno()).st_size
        self._end = size_bytes if length is None else min(size_bytes, offset + length)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        view = memoryview(buffer)[: max(0, self._end - self._at)]
        if not view:
            return 0
        count = os.preadv(self._whole.fileno(), [view], self._at)
        self._at += count
        return count

    def close(self) -> None:
        self._whole.close()
        super().close()


def _open_staged(key: str, staged: Path) -> io.BufferedReader:
    with storage_errors():
        try:
            fd = os.open(staged, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as exc:
            if exc.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
                raise InvalidInput("There is no staged file at this path", key=key) from exc
            raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidInput("The staged file is no regular file", key=key)
    return open(fd, "rb")  # noqa: PTH123 - a descriptor, not a path


def _regular(key: str, found: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(found.st_mode):
        raise BlobMissing(key=key)
    if not stat.S_ISREG(found.st_mode):
        raise StoreBroken("A blob is no regular file", key=key)
    return found


def _walk(directory: Path, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            # A directory sorts as its keys do, with the slash: "a.b" comes before "a/b".
            found = sorted(
                (entry.name + "/" * is_folder, is_folder)
                for entry in entries
                for is_folder in (entry.is_dir(follow_symlinks=False),)
            )
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, is_folder in found:
        if is_folder:
            yield from _walk(directory / name, prefix + name)
        else:
            yield prefix + name


def _existing_ancestor(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def _on_one_mount(scratch: Path, root: Path) -> bool:
    """Return whether hard links can go from one to the other.

    Two bind mounts of one disk have one device number, and still refuse links: renaming a name that does not exist
    tells, because the kernel compares the mounts (EXDEV) before it looks for the name (ENOENT).
    """
    if scratch.stat().st_dev != root.stat().st_dev:
        return False
    name = f"no-such-{uuid4().hex}"
    try:
        (scratch / name).rename(root / name)
    except OSError as exc:
        return exc.errno != errno.EXDEV
    return True
