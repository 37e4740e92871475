"""Files on a card: which are pushed, how one is opened, and how we know that it is still the same."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, Self

from archive.kernel.digests import DigestSet, hash_stream
from archive.kernel.errors import NotFound
from ingest.agent.errors import FileChanged, FileUnreadable

SIDECAR_SUFFIX: Final = ".json"


class PathMissing(NotFound):
    """There is nothing at this path."""

    code = "dock.path_missing"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells that a file is still the one that was read. Units: bytes, nanoseconds of the file system's clock."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """Take it from a stat."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)

    @property
    def text(self) -> str:
        """One line for the journal. The device's number is left out: a card gets another with every plugging in."""
        return f"{self.size_bytes}:{self.modified_ns}:{self.changed_ns}:{self.inode}"


@dataclass(frozen=True, slots=True)
class Found:
    """A file to push; `folder` is where it lay below what was named. `sidecar` is the JSON that came beside it.

    `identity` is as it was when the file was found.
    """

    path: Path
    folder: str
    size_bytes: int
    sidecar: Path | None
    identity: FileIdentity | None = None


@dataclass(slots=True)
class Selection:
    """What a push is about, and what it leaves alone, with the reason."""

    files: list[Found] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def key_of(found: Found) -> str:
    """Return what this dock calls a file towards the archive: the same as long as the file is; it shows no path."""
    identity = found.identity
    parts = (str(found.path), *(() if identity is None else (identity.size_bytes, identity.modified_ns)))
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()


def select_files(paths: Iterable[Path], *, leave: Path) -> Selection:
    """Return the files at these paths, folders with everything below; `leave` is a folder that is never entered.

    Left alone and told: hidden files and folders, links, what is no file, sidecars (they travel with their recording).
    Raises: PathMissing, before anything is sent.
    """
    selection = Selection()
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            found = path.lstat()
            if path.is_dir():
                _walk(path.resolve(), Path(), leave.resolve(), selection, seen)
            else:
                _take(Found(path.absolute(), "", found.st_size, _sidecar_beside(path)), found, selection, seen)
        except OSError as exc:
            if exc.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
                raise PathMissing(path=str(path)) from exc
            selection.skipped.append((path, f"cannot be read: {exc.strerror}"))
    return selection


def _walk(top: Path, below: Path, leave: Path, selection: Selection, seen: set[tuple[int, int]]) -> None:
    folder = top / below
    if folder == leave:
        selection.skipped.append((folder, "the dock's own folder"))
        return
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as exc:
        selection.skipped.append((folder, f"cannot be read: {exc.strerror}"))
        return
    sidecars = _sidecars([entry.name for entry in entries if entry.is_file(follow_symlinks=False)])
    belongs = set(sidecars.values())
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            selection.skipped.append((path, "hidden"))
        elif entry.is_dir(follow_symlinks=False):
            _walk(top, below / entry.name, leave, selection, seen)
        elif entry.name in belongs:
            selection.skipped.append((path, "sidecar of a recording"))
        else:
            sidecar = sidecars.get(entry.name)
            try:
                found = path.lstat()
            except OSError as exc:
                selection.skipped.append((path, f"cannot be read: {exc.strerror}"))
                continue
            where = "" if below == Path() else below.as_posix()
            beside = None if sidecar is None else folder / sidecar
            _take(Found(path, where, found.st_size, beside), found, selection, seen)


def _take(found: Found, stated: os.stat_result, selection: Selection, seen: set[tuple[int, int]]) -> None:
    if stat.S_ISLNK(stated.st_mode):
        selection.skipped.append((found.path, "a link"))
    elif not stat.S_ISREG(stated.st_mode):
        selection.skipped.append((found.path, "not a file"))
    elif (stated.st_dev, stated.st_ino) in seen:
        selection.skipped.append((found.path, "named twice"))
    else:
        seen.add((stated.st_dev, stated.st_ino))
        selection.files.append(replace(found, identity=FileIdentity.of(stated)))


def _sidecars(names: list[str]) -> dict[str, str]:
    """Return which file has which sidecar: `clip.json` or `clip.mp4.json` beside `clip.mp4`."""
    json_files = {name for name in names if name.lower().endswith(SIDECAR_SUFFIX)}
    by_stem = {name[: -len(SIDECAR_SUFFIX)]: name for name in sorted(json_files)}
    found = {}
    for name in names:
        if name not in json_files and not name.startswith("."):
            sidecar = by_stem.get(name) or by_stem.get(os.path.splitext(name)[0])  # noqa: PTH122 - names, not paths
            if sidecar is not None:
                found[name] = sidecar
    return found


def _sidecar_beside(path: Path) -> Path | None:
    if path.suffix.lower() == SIDECAR_SUFFIX:
        return None
    for candidate in (path.with_name(path.name + SIDECAR_SUFFIX), path.with_suffix(SIDECAR_SUFFIX)):
        # Not Path.is_file, which raises for a name that has become too long.
        if os.path.isfile(candidate) and not os.path.islink(candidate):  # noqa: PTH113, PTH114
            return candidate.absolute()
    return None


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, FileIdentity]]:
    """Open a regular file for reading, never a link, a pipe or a device. Raises: FileUnreadable, FileChanged."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as exc:
        raise FileChanged("The file is not there any more") from exc
    except OSError as exc:
        raise FileUnreadable(reason=exc.strerror) from exc
    with os.fdopen(fd, "rb", buffering=0) as source:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable("This is not a file any more")
        yield source, FileIdentity.of(found)


def hash_file(
    source: BinaryIO, identity: FileIdentity, *, algorithms: Iterable[str], told: Callable[[int], None]
) -> DigestSet:
    """Hash an open file from its start. `told` hears how many bytes were read.

    Raises: FileChanged when it is not the same afterwards, FileUnreadable.
    """
    try:
        source.seek(0)
        digests = hash_stream(_Counted(source, told), algorithms=algorithms)  # type: ignore[arg-type]
    except OSError as exc:
        raise FileUnreadable(reason=exc.strerror) from exc
    require_same(source, identity)
    if digests.size_bytes != identity.size_bytes:
        raise FileChanged
    return digests


def require_same(source: BinaryIO, identity: FileIdentity) -> None:
    """Raise FileChanged when the open file is not what it was."""
    if FileIdentity.of(os.fstat(source.fileno())) != identity:
        raise FileChanged


class _Counted:
    """A file that tells how much was read from it, and whose reading can be stopped by what `told` raises."""

    def __init__(self, source: BinaryIO, told: Callable[[int], None]) -> None:
        self._source = source
        self._told = told

    def readinto(self, buffer: bytearray) -> int:
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]
        self._told(count)
        return count
