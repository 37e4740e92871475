"""Check 1, on disk: plain files in plain folders, with names that cannot be mistaken. Links are never followed."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from archive.kernel.errors import InvalidInput, NotFound
from archive.packages.verification.findings import Findings
from archive.packages.verification.layout import MOST_DEPTH, MOST_FILES, folded, is_bad_path

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NoPackage(NotFound):
    """There is no folder that can be read."""

    code = "package.not_there"


class TooMuch(InvalidInput):
    """The folder holds more files or deeper folders than any package."""

    code = "package.too_much"
    exit_code = 65


class Unreadable(InvalidInput):
    """A file of the package is not there, too large, or cannot be read."""

    code = "package.unreadable"
    exit_code = 65


class Folder:
    """The files of a package, path to state; `refused` are those that are no plain files."""

    def __init__(self, place: Path, findings: Findings) -> None:
        """Walk the folder; what is wrong with it goes to `findings`. Raises: NoPackage, TooMuch."""
        self.place = place.resolve()
        self.states: dict[str, os.stat_result] = {}
        self.refused: set[str] = set()
        self._findings = findings
        folders = self._walk()
        for path in sorted(self.states):
            if path.lower() == "fetch.txt":
                findings.fails("package.fetch_refused", path)
        self._find_clashes([*self.states, *folders])

    def __contains__(self, path: str) -> bool:
        """Return whether there is such a plain file."""
        return path in self.states

    def open(self, path: str) -> BinaryIO:
        """Open a file of the package, unbuffered, never through a link. Raises: OSError."""
        return os.fdopen(os.open(self.place / path, _FLAGS), "rb", buffering=0)

    def read(self, path: str, most_bytes: int) -> bytes:
        """Return a small file whole. Raises: Unreadable."""
        if path not in self.states:
            raise Unreadable("it is not there")
        if self.states[path].st_size > most_bytes:
            raise Unreadable("it is too large")
        try:
            with self.open(path) as file:
                raw = b"".join(iter(lambda: file.read(most_bytes + 1), b""))
        except OSError as exc:
            raise Unreadable("it cannot be read") from exc
        if len(raw) > most_bytes:
            raise Unreadable("it is too large")
        return raw

    def _walk(self) -> list[str]:
        folders, left = [], [""]
        while left:
            here = left.pop()
            try:
                with os.scandir(self.place / here) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as exc:
                if not here:
                    raise NoPackage(path=str(self.place)) from exc
                self._refuse("package.path_refused", here, "it cannot be read")
                continue
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if self._take(path, entry.stat(follow_symlinks=False)):
                    folders.append(path)
                    left.append(path)
            if len(self.states) > MOST_FILES or here.count("/") > MOST_DEPTH:
                raise TooMuch(path=str(self.place))
        return folders

    def _take(self, path: str, state: os.stat_result) -> bool:
        """Take in one name; return whether it is a folder to go into."""
        if stat.S_ISLNK(state.st_mode):
            self._refuse("package.link_refused", path)
        elif stat.S_ISDIR(state.st_mode):
            if not is_bad_path(path):
                return True
            self._refuse("package.path_refused", path)
        elif stat.S_ISREG(state.st_mode) and state.st_nlink > 1:
            self._refuse("package.link_refused", path, "the file has a second name")
        elif not stat.S_ISREG(state.st_mode) or is_bad_path(path):
            self._refuse("package.path_refused", path)
        else:
            self.states[path] = state
        return False

    def _refuse(self, code: str, path: str, detail: str = "") -> None:
        self.refused.add(path)
        self._findings.fails(code, path, detail)

    def _find_clashes(self, paths: Iterable[str]) -> None:
        seen: dict[str, str] = {}
        for path in sorted(paths, key=os.fsencode):
            other = seen.setdefault(folded(path), path)
            if other != path:
                self._findings.fails("package.name_clash", path, other)
