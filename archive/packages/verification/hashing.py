"""The digests of all files: one read each, SHA-256 and SHA-512 side by side, several files at once, resumable.

Units: memory is eight megabytes for each large file at work, whatever their size.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.kernel.digests import DigestSet, Hasher, hash_stream
from archive.kernel.errors import InvalidInput
from archive.packages.verification.structure import Folder

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all."""

_SMALL_BYTES: Final = 1024 * 1024
_VERSION: Final = 1


class StateMisplaced(InvalidInput):
    """The state file lies in the package that is checked; keep it elsewhere."""

    code = "package.state_misplaced"


class Remembered:
    """Digests of an earlier run, in a file of lines, each believed only while the file is still the one that was read.

    Nothing else is remembered: every comparison is made again. A file counts as the same while path, size, inode and
    the times of its content and of its inode are the same; whoever can write the state file can lie to its owner.
    """

    def __init__(self, path: Path | None, folder: Folder) -> None:
        """Read what there is; lines that cannot be read do not count. Raises: StateMisplaced, OSError."""
        self._folder = folder
        self._known: dict[str, DigestSet] = {}
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        if path is None:
            return
        if path.resolve().is_relative_to(folder.place):
            raise StateMisplaced(path=str(path))
        if path.exists():
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError, InvalidInput):
                    self._learn(json.loads(line))
        self._file = path.open("ab")
        self._file.write(b"\n")  # a line that a crash cut short ends here

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def get(self, path: str) -> DigestSet | None:
        """Return the digests of a file that has not changed since they were made."""
        return self._known.get(path)

    def keep(self, path: str, digests: DigestSet, read: os.stat_result) -> None:
        """Write down the digests of a file that was `read` in this state, durable on return."""
        if self._file is None:
            return
        line = {"v": _VERSION, "path": path, "state": self._state_of(read), **digests.as_json()}
        with self._lock:
            self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
            self._file.flush()
            if digests.size_bytes > _SMALL_BYTES:
                os.fsync(self._file.fileno())

    def _learn(self, line: Any) -> None:
        path = line["path"]
        state = self._folder.states.get(path)
        if line["v"] == _VERSION and state is not None and line["state"] == self._state_of(state):
            digests = {name: line[name] for name in ("sha256", "sha512")}
            self._known[path] = DigestSet.from_json(state.st_size, digests)

    def _state_of(self, state: os.stat_result) -> list[Any]:
        times = [state.st_mtime_ns, state.st_ctime_ns]
        return [str(self._folder.place), state.st_size, state.st_dev, state.st_ino, *times]


def hash_files(
    folder: Folder, paths: Iterable[str], remembered: Remembered, progress: Progress | None
) -> tuple[dict[str, DigestSet], set[str]]:
    """Return the digests of files by path, those that cannot be read left out; and which of them were remembered."""
    found: dict[str, DigestSet] = {}
    left: list[str] = []
    for path in paths:
        known = remembered.get(path)
        if known is None:
            left.append(path)
        else:
            found[path] = known
    old = set(found)
    sizes = {path: folder.states[path].st_size for path in left}
    total, done = sum(sizes.values()), 0
    for path, digests in _all_of(folder, sizes, remembered):
        if digests is not None:
            found[path] = digests
        done += sizes[path]
        if progress is not None:
            progress(done, total)
    return found, old


def _all_of(folder: Folder, sizes: dict[str, int], remembered: Remembered) -> Iterator[tuple[str, DigestSet | None]]:
    """Hash the small files with one thread each, the large ones with two: there is one for each core."""
    cores = os.cpu_count() or 1
    small = [path for path, size in sizes.items() if size <= _SMALL_BYTES]
    large = [path for path, size in sizes.items() if size > _SMALL_BYTES]
    for paths, workers, how in ((small, cores, _hash_small), (large, max(1, cores // 2), hash_stream)):
        with ThreadPoolExecutor(workers, thread_name_prefix="files") as pool:
            tasks = {pool.submit(_hash, folder, path, how, remembered): path for path in paths}
            for task in as_completed(tasks):
                yield tasks[task], task.result()


def _hash(folder: Folder, path: str, how: Callable[[BinaryIO], DigestSet], remembered: Remembered) -> DigestSet | None:
    try:
        with folder.open(path) as file:
            before = os.fstat(file.fileno())
            digests = how(file)
            after = os.fstat(file.fileno())
    except OSError:
        return None
    if (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns):
        remembered.keep(path, digests, after)
    return digests


def _hash_small(source: BinaryIO) -> DigestSet:
    hasher = Hasher()
    while block := source.read(_SMALL_BYTES):
        hasher.update(block)
    return hasher.digests()
