"""Which files below some folders are finished and due: looked at again and again, without help from the file system.

A file is finished when its size and its times have not changed for the settling time, its name is not that of a file
under way, it is not empty, and nobody on this machine has it open for writing, as far as that can be seen. A recording
and its sidecar are due together; each waits a while for the other where this folder's recordings come with sidecars.
What vanishes is forgotten, what changes settles anew.
"""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.agent.files import SIDECAR_SUFFIX, FileIdentity, Found, PathMissing, Selection, select_files

UNDER_WAY: Final = re.compile(
    r".*\.(?:part|partial|filepart|tmp|temp|crdownload|download|downloading|upload|uploading|inprogress|incomplete)"
    r"|.*\.(?:xltd|td|swp|lock|lck|lftp-pget-status)|.*\.(?:tmp|temp|part)(?:[-._]?\d{1,16}|[-.]\w{6,16})|.*~|~.*",
    re.IGNORECASE | re.DOTALL,
)
"""Names that programs give to a file while they write it. Hidden ones, such as rsync's, are left alone anyway."""
NAME_UNDER_WAY: Final = "the name of a file under way"
_LONGEST_PAUSE_S: Final = 900.0
_MOST_DOUBLINGS: Final = 12

FileId = tuple[int, int]
"""Device and inode."""
Mark = tuple[int, int, int]
"""Size, time of the last change to the content, and to the file; inodes of some network mounts change by themselves."""


@dataclass(slots=True)
class _Seen:
    """A file as it was last seen. Times are of the lookout's own clock, in seconds."""

    mark: Mark
    sidecar: Mark | None
    since_s: float
    is_done: bool = False
    kept_sidecar: Mark | None = None
    tries: int = 0
    not_before_s: float = 0.0


@dataclass(slots=True)
class Look:
    """What one look found. `due` is finished; `waiting` is not, each with the reason; `left` is left alone.

    `away` and `back` are folders that have just gone or come.
    """

    due: list[Found] = field(default_factory=list)
    waiting: dict[Path, str] = field(default_factory=dict)
    left: dict[Path, str] = field(default_factory=dict)
    away: list[Path] = field(default_factory=list)
    back: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)


class Lookout:
    """Remembers between looks. For one thread.

    Units: seconds. `writers` returns which of some files somebody has open for writing.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        leave: Path,
        settle_s: float,
        grace_s: float,
        retry_s: float,
        writers: "Callable[[Mapping[FileId, str]], Collection[FileId]] | None" = None,
    ) -> None:
        """Take the folders; `leave` is one that is never entered. Nothing is looked at yet."""
        self._folders = [folder.absolute() for folder in folders]
        self._leave = leave
        self._settle_s = settle_s
        self._grace_s = grace_s
        self._retry_s = retry_s
        self._writers = open_for_writing if writers is None else writers
        self._seen: dict[Path, _Seen] = {}
        self._away: set[Path] = set()
        self._with_sidecars: set[Path] = set()

    def look(self, now_s: float, *, is_last: bool = False) -> Look:
        """Look once. In the last look nothing waits for a sidecar or for a recording that may still come."""
        found, look = self._found()
        found.update(self._late_sidecars(found))
        ready: list[Found] = []
        for path, (folder, file) in found.items():
            seen = self._note(path, file, now_s)
            if seen is None or seen.is_done:
                continue
            reason = self._reason(folder, file, seen, now_s, is_last=is_last)
            if reason is None:
                ready.append(file)
            elif reason:
                look.waiting[path] = reason
        self._hold_back_open_ones(ready, look)
        for path in [path for path in self._seen if path not in found]:
            if self._seen.pop(path).tries:
                look.gone.append(path)
        return look

    def knows(self, path: Path) -> bool:
        """Return whether a file was there at the last look."""
        return path in self._seen

    def done(self, path: Path, *, with_sidecar: bool) -> None:
        """Take a file for done, until it changes: the archive has it, or will never take it as it is.

        A sidecar that did not go with it is due as a file of its own.
        """
        seen = self._seen.get(path)
        if seen is not None:
            seen.is_done = True
            seen.kept_sidecar = seen.sidecar if with_sidecar else None

    def failed(self, path: Path, now_s: float) -> None:
        """Have a file wait before it is due again, longer with each time."""
        seen = self._seen.get(path)
        if seen is not None:
            pause_s = self._retry_s * 2 ** min(seen.tries, _MOST_DOUBLINGS)
            seen.not_before_s = now_s + min(pause_s, _LONGEST_PAUSE_S)
            seen.tries += 1

    def _found(self) -> tuple[dict[Path, tuple[Path, Found]], Look]:
        look = Look()
        found: dict[Path, tuple[Path, Found]] = {}
        for folder in self._folders:
            selection = self._selection(folder)
            if selection is None:
                look.away += [folder] if folder not in self._away else []
                self._away.add(folder)
                continue
            look.back += [folder] if folder in self._away else []
            self._away.discard(folder)
            for file in selection.files:
                if UNDER_WAY.fullmatch(file.path.name):
                    look.left[file.path] = NAME_UNDER_WAY
                else:
                    found.setdefault(file.path, (folder, file))
                if file.sidecar is not None:
                    self._with_sidecars.add(folder)
            look.left.update((path, why) for path, why in selection.skipped if not why.startswith("sidecar"))
        return found, look

    def _selection(self, folder: Path) -> Selection | None:
        """Return what lies below a folder, None where it is not there: a mount that has gone."""
        try:
            if not folder.is_dir():
                return None
            selection = select_files([folder], leave=self._leave)
            top = folder.resolve()
        except (PathMissing, OSError):
            return None
        return None if any(path == top for path, _ in selection.skipped) else selection

    def _late_sidecars(self, found: Mapping[Path, tuple[Path, Found]]) -> dict[Path, tuple[Path, Found]]:
        """Return the sidecars of recordings that went without them: they are files of their own now."""
        late = {}
        for path, (folder, file) in found.items():
            seen = self._seen.get(path)
            if seen is None or not seen.is_done or file.sidecar is None:
                continue
            try:
                identity = FileIdentity.of(file.sidecar.lstat())
            except OSError:
                continue
            if _mark(identity) != seen.kept_sidecar:
                alone = Found(file.sidecar, file.folder, identity.size_bytes, None, identity)
                late[file.sidecar] = (folder, alone)
        return late

    def _note(self, path: Path, file: Found, now_s: float) -> _Seen | None:
        """Remember how a file looks now; None where that cannot be seen any more."""
        if file.identity is None:
            return None
        mark = _mark(file.identity)
        sidecar = None if file.sidecar is None else _mark_of(file.sidecar)
        seen = self._seen.get(path)
        if seen is not None and seen.is_done and seen.mark == mark:
            return seen
        if seen is None or (seen.mark, seen.sidecar) != (mark, sidecar):
            seen = self._seen[path] = _Seen(mark, sidecar, now_s)
        return seen

    def _reason(self, folder: Path, file: Found, seen: _Seen, now_s: float, *, is_last: bool) -> str | None:
        """Return why a file is not due yet; empty for one that waits for its next try, None for one that is due."""
        settled_s = now_s - seen.since_s
        if settled_s < self._settle_s:
            return "not settled"
        if seen.mark[0] == 0:
            return "empty"
        if now_s < seen.not_before_s:
            return ""
        if not is_last and settled_s < self._settle_s + self._grace_s:
            if file.path.suffix.lower() == SIDECAR_SUFFIX:
                return "waits for its recording"
            if file.sidecar is None and folder in self._with_sidecars:
                return "waits for its sidecar"
        return None

    def _hold_back_open_ones(self, ready: list[Found], look: Look) -> None:
        ids = {
            (file.identity.device, file.identity.inode): file.path.name for file in ready if file.identity is not None
        }
        held = set(self._writers(ids)) if ids else set()
        for file in ready:
            if file.identity is not None and (file.identity.device, file.identity.inode) in held:
                look.waiting[file.path] = "open for writing"
            else:
                look.due.append(file)


def _mark(identity: FileIdentity) -> Mark:
    return identity.size_bytes, identity.modified_ns, identity.changed_ns


def _mark_of(path: Path) -> Mark | None:
    try:
        return _mark(FileIdentity.of(path.lstat()))
    except OSError:
        return None


def open_for_writing(wanted: Mapping[FileId, str]) -> set[FileId]:
    """Return which of these files a process has open for writing, by what /proc shows of those that we may look at.

    `wanted` maps device and inode to the file's name. Source: proc(5), /proc/pid/fd and /proc/pid/fdinfo.
    """
    names = set(wanted.values())
    held: set[FileId] = set()
    for process in _below("/proc"):
        if process.isdigit():
            for number in _below(f"/proc/{process}/fd"):
                # A process ends, a file is closed, and much is not ours to see.
                with suppress(OSError, ValueError):
                    link = f"/proc/{process}/fd/{number}"
                    if os.path.basename(os.readlink(link)) in names:  # noqa: PTH115, PTH119 - no path is meant
                        found = os.stat(link)  # noqa: PTH116 - through the link, to the open file itself
                        file_id = (found.st_dev, found.st_ino)
                        if file_id in wanted and stat.S_ISREG(found.st_mode) and _is_writing(process, number):
                            held.add(file_id)
    return held


def _below(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - thousands of names, and names are all that is wanted
    except OSError:
        return []


def _is_writing(process: str, number: str) -> bool:
    for line in Path(f"/proc/{process}/fdinfo/{number}").read_text("ascii").splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE in {os.O_WRONLY, os.O_RDWR}
    return False
