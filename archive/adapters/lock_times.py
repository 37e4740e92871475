"""Lock times of files, which a file system does not have: kept in small files beside the store.

They bind our own `delete` and nobody else. There is one file for each group of keys (an OCFL object), so that a lock
costs one durable write however many blobs it is for.
"""

import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from archive.adapters.durable import fsync_directory, locked, make_directories, replace_file, storage_errors
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ports.blobs import BlobLocked, StoreBroken
from archive.ports.clock import Clock

_MODE: Final = 0o444
_GUARDS: Final = "guards"


@dataclass(frozen=True, slots=True)
class FileLock:
    """How a blob is locked: until when, None for not, and whether it is under legal hold."""

    until: Instant | None = None
    is_held: bool = False


_FREE: Final = FileLock()


def _folder_of(key: str) -> str:
    return key.rpartition("/")[0]


class LockTimes:
    """The lock times of one store, in `folder`. `group_of` tells which keys have one file."""

    def __init__(
        self, folder: Path, *, scratch: Path, clock: Clock, group_of: Callable[[str], str] = _folder_of
    ) -> None:
        """Take the folder, which is made with the first lock. `scratch` is on its file system."""
        self._folder, self._scratch, self._clock, self._group_of = folder.absolute(), scratch, clock, group_of

    def of(self, key: str) -> FileLock:
        """Return how a blob is locked. Raises: StoreBroken for a file that cannot be read."""
        return self._read(self._group_of(key)).get(key, _FREE)

    def lock(self, keys: Iterable[str], until: Instant) -> None:
        """Lock blobs until a moment, unless they are for longer, and read that back. Raises: StoreBroken."""

        def longer(found: FileLock) -> FileLock:
            return found if found.until is not None and found.until >= until else replace(found, until=until)

        self._change(keys, longer)

    def set_hold(self, keys: Iterable[str], *, is_held: bool) -> None:
        """Put blobs under legal hold, or take it off, and read that back. Raises: StoreBroken."""
        self._change(keys, lambda found: replace(found, is_held=is_held))

    def require_free(self, key: str) -> None:
        """Refuse what is locked now, or held. Raises: BlobLocked, StoreBroken."""
        found = self.of(key)
        if found.is_held or (found.until is not None and found.until > self._clock.now()):
            told = None if found.until is None else format_instant(found.until)
            raise BlobLocked(key=key, until=told, is_held=found.is_held)

    def forget(self, key: str) -> None:
        """Drop the times of a blob that is gone."""
        group = self._group_of(key)
        if not self._path(group).exists():
            return
        with self._guarded(group):
            present = self._read(group)
            if present.pop(key, None) is not None:
                self._write(group, present)

    def _change(self, keys: Iterable[str], change: Callable[[FileLock], FileLock]) -> None:
        groups: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            groups[self._group_of(key)].append(key)
        for group, found in groups.items():
            with self._guarded(group):
                present = self._read(group)
                wanted = present | {key: change(present.get(key, _FREE)) for key in found}
                if wanted != present:
                    self._write(group, wanted)
                    if self._read(group) != wanted:
                        raise StoreBroken("The lock times are not what was written", key=group)

    def _read(self, group: str) -> dict[str, FileLock]:
        path = self._path(group)
        with storage_errors():
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return {}
        try:
            return dict(_locks_in(json.loads(data), group))
        except (ValueError, TypeError, KeyError, AttributeError, InvalidInput) as exc:
            raise StoreBroken("The file of lock times cannot be read", key=group, file=str(path)) from exc

    def _write(self, group: str, locks: dict[str, FileLock]) -> None:
        path = self._path(group)
        with storage_errors():
            if not locks:
                path.unlink(missing_ok=True)
                fsync_directory(path.parent)
                return
            make_directories(path.parent, below=self._folder)
        told = {
            key: {"until": None if lock.until is None else format_instant(lock.until), "held": lock.is_held}
            for key, lock in sorted(locks.items())
        }
        data = json.dumps({"group": group, "files": told}, ensure_ascii=False, separators=(",", ":")).encode()
        replace_file(path, data, scratch=self._scratch, mode=_MODE)

    def _path(self, group: str) -> Path:
        digest = hashlib.sha256(group.encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest[2:34]}.json"

    @contextlib.contextmanager
    def _guarded(self, group: str) -> Iterator[None]:
        guards = self._folder / _GUARDS
        if not guards.is_dir():
            with storage_errors():
                make_directories(guards, below=self._folder.parent)
        # 256 guards serve all groups, so that the number of files does not grow; whoever shares one waits a little.
        with locked(self._folder / _GUARDS / hashlib.sha256(group.encode()).hexdigest()[:2]):
            yield


def _locks_in(told: dict[str, Any], group: str) -> Iterator[tuple[str, FileLock]]:
    if told["group"] != group:
        raise ValueError("the file is of another group")
    for key, lock in told["files"].items():
        until, is_held = lock["until"], lock["held"]
        if not isinstance(is_held, bool):
            raise TypeError("`held` is true or false")
        yield key, FileLock(None if until is None else parse_instant(str(until)), is_held)
