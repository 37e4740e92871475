"""Writing a BagIt bag that appears whole or not at all, each file hashed while it is written.

The bag grows in a folder beside its place, whose name starts with a dot and ends in `.part`; whoever builds holds a
lock on it, and what a killed builder left there is removed by the next one. Source: RFC 8493 (BagIt 1.0).
"""

import errno
import fcntl
import os
import shutil
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from archive.kernel.digests import STANDARD, DigestSet, Hasher
from archive.kernel.errors import Conflict, InvalidInput
from signing.keyfiles import fsync_directory

ReportProgress = Callable[[int], None]
"""Takes progress in permille."""

_BLOCK_BYTES: Final = 1 << 20
_CANNOT_SYNC_FOLDERS: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What some file systems, as of memory sticks, say to syncing a folder. Any other refusal is a fault."""
_DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class PackageExists(Conflict):
    """There is something at the place where the package should go; it was not touched."""

    code = "package.exists"


class PackageBusy(Conflict):
    """Another process builds a package at this place."""

    code = "package.busy"
    retryable = True


class BadPackagePath(InvalidInput):
    """A path cannot stand in a package."""

    code = "package.path_refused"


@dataclass
class Bag:
    """A bag that is being written. Paths are relative, with `/`; each is written once.

    `crc32` of each file is for those who hand the bag on as a ZIP; it vouches for nothing.
    """

    folder: Path
    written: dict[str, DigestSet] = field(default_factory=dict)
    crc32: dict[str, int] = field(default_factory=dict)
    _folded: set[str] = field(default_factory=set)

    def add(self, path: str, data: bytes) -> DigestSet:
        """Write a small file durably; return its digests. Raises: BadPackagePath."""
        return self.add_stream(path, BytesIO(data))

    def add_stream(
        self, path: str, source: BinaryIO, *, algorithms: Sequence[str] = STANDARD, on_bytes: "OnBytes | None" = None
    ) -> DigestSet:
        """Write all of `source` durably, block by block; return its digests. Raises: BadPackagePath."""
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        hasher, crc32 = Hasher(algorithms), 0
        with target.open("xb") as out:
            while block := source.read(_BLOCK_BYTES):
                hasher.update(block)
                crc32 = zlib.crc32(block, crc32)
                out.write(block)
                if on_bytes is not None:
                    on_bytes(len(block))
            out.flush()
            os.fsync(out.fileno())
        self.written[path], self.crc32[path] = hasher.digests(), crc32
        return self.written[path]

    def finish(self, info: Mapping[str, str]) -> Mapping[str, bytes]:
        """Write declaration, `bag-info.txt` and all manifests; return the tag manifests by name.

        Payload-Oxum is added to `info`.
        """
        payload = {path: digests for path, digests in self.written.items() if path.startswith("data/")}
        oxum = f"{sum(digests.size_bytes for digests in payload.values())}.{len(payload)}"
        told = {**info, "Payload-Oxum": oxum}
        self.add("bagit.txt", _DECLARATION)
        self.add("bag-info.txt", "".join(f"{name}: {value}\n" for name, value in told.items()).encode())
        for algorithm in STANDARD:
            self.add(f"manifest-{algorithm}.txt", _manifest(payload, algorithm))
        tags = {path: digests for path, digests in self.written.items() if not path.startswith("data/")}
        made = {f"tagmanifest-{algorithm}.txt": _manifest(tags, algorithm) for algorithm in STANDARD}
        for name, data in made.items():
            self.add(name, data)
        return made

    def _place(self, path: str) -> Path:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in self._folded or any(is_bad_segment(segment) for segment in path.split("/")):
            raise BadPackagePath(path=path[:64])
        self._folded.add(folded)
        return self.folder / path


class OnBytes:
    """Tells how much of a whole is done, in permille, whenever that number grows."""

    def __init__(self, total_bytes: int, report: ReportProgress) -> None:
        """Start at nothing."""
        self._total, self._report, self._done, self._told = max(total_bytes, 1), report, 0, 0

    def __call__(self, count: int) -> None:
        """Count bytes that were written."""
        self._done += count
        permille = min(999, self._done * 1000 // self._total)
        if permille > self._told:
            self._told = permille
            self._report(permille)


def is_bad_segment(segment: str) -> bool:
    """Return whether a part of a path may not stand in a package.

    No `%` and no backslash either: BagIt 1.0 wants `%` escaped, which bagit.py and sha256sum do not read.
    """
    return (
        segment in {"", ".", ".."}
        or len(segment.encode()) > 255
        or any(char in "%\\" or unicodedata.category(char) == "Cc" for char in segment)
    )


def package_paths(prefix: str, paths: Sequence[str]) -> Mapping[str, str]:
    """Return where each logical path of an object goes: under `prefix`, the same name wherever that can be.

    `%` becomes `_`. A path that would differ from one before it only in case or normalisation gets `2-`, `3-`, ...
    before its last part.
    """
    taken: set[str] = set()
    result = {}
    for path in sorted(paths):
        folder, slash, name = path.replace("%", "_").rpartition("/")
        candidate, count = f"{folder}{slash}{name}", 1
        while unicodedata.normalize("NFC", candidate).casefold() in taken:
            count += 1
            candidate = f"{folder}{slash}{count}-{name}"
        taken.add(unicodedata.normalize("NFC", candidate).casefold())
        result[path] = f"{prefix}/{candidate}"
    return result


@contextmanager
def new_bag(out: Path) -> Iterator[Bag]:
    """Give a bag to write; at the end of the block it stands at `out`, whole and durable, after an error nowhere.

    Raises: PackageExists, PackageBusy.
    """
    if out.exists() or out.is_symlink():
        raise PackageExists(path=str(out))
    part = out.with_name(f".{out.name}.part")
    part.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise PackageBusy(path=str(out)) from exc
        if not part.exists() or not os.path.samestat(os.fstat(handle), part.stat()):
            raise PackageBusy(path=str(out))  # the other builder has just put it in place
        _empty(part)  # left by a builder that was killed
        try:
            yield Bag(part)
            _sync_folders(part)
            _put_in_place(part, out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _sync(out.parent)
    finally:
        os.close(handle)


def _put_in_place(part: Path, out: Path) -> None:
    if out.exists():
        raise PackageExists(path=str(out))
    part.rename(out)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _sync_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        _sync(Path(folder))


def _sync(folder: Path) -> None:
    try:
        fsync_directory(folder)
    except OSError as exc:
        if exc.errno not in _CANNOT_SYNC_FOLDERS:
            raise


def _manifest(files: Mapping[str, DigestSet], algorithm: str) -> bytes:
    return "".join(f"{getattr(files[path], algorithm).hex}  {path}\n" for path in sorted(files)).encode()
