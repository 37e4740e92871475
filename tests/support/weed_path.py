"""What lies on the disk of the S3 server, past S3: read and changed as somebody does who has that disk.

Object Lock is of no use against them, and what they do has to be found. A `WeedPath` is of `pathlib.Path` what tests
ask of stored files. Of a file that is written once it is the version that the archive reads, the oldest; of a root
inventory, which is replaced, the newest.
"""

import base64
import errno
import hashlib
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import PurePath, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal, Self
from urllib.parse import quote

_MOST_ENTRIES = 100_000
_FOLDER = 1 << 31
_VERSIONS = ".versions"
_KEPT = "Seaweed-"


class WeedPath:
    """A file or folder below a bucket of a server whose filer listens at an address."""

    def __init__(self, filer: str, path: PurePosixPath, top: PurePosixPath | None = None) -> None:
        """Name it, from the bucket on; nothing is asked yet. What is above `top` is not told in names."""
        self._filer, self._path, self._top = filer, path, top or path

    def __repr__(self) -> str:
        return f"WeedPath({self._path})"

    def __str__(self) -> str:
        return f"s3://{self._path}"

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is no file of this machine: borrow it from its store")

    def __hash__(self) -> int:
        return hash(self._path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeedPath) and self._path == other._path

    def __lt__(self, other: "WeedPath") -> bool:
        return self._path < other._path

    def __truediv__(self, other: str | PurePath) -> Self:
        return self._at(self._path / other)

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The last part without what follows its last dot."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """What follows the last dot, with it."""
        return self._path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part."""
        return self._path.parts

    @property
    def parent(self) -> Self:
        """The folder that it is in."""
        return self._at(self._path.parent)

    @property
    def parents(self) -> tuple[Self, ...]:
        """Every folder that it is in, the nearest first."""
        return tuple(self._at(path) for path in self._path.parents)

    def with_name(self, name: str) -> Self:
        """Return what has this name beside it."""
        return self._at(self._path.with_name(name))

    def relative_to(self, other: "WeedPath") -> PurePosixPath:
        """Return the way from a folder above."""
        return self._path.relative_to(other._path)

    def is_relative_to(self, other: object) -> bool:
        """Whether it lies below that folder."""
        return isinstance(other, WeedPath) and self._path.is_relative_to(other._path)

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self._version() is not None

    def is_dir(self) -> bool:
        """Whether a folder is there, with a file somewhere below."""
        return any(True for _ in self.iterdir())

    def is_symlink(self) -> bool:
        """Return False: there are no links."""
        return False

    def iterdir(self) -> Iterator[Self]:
        """Yield what lies in the folder; folders that are empty are not told."""
        for name, entry in sorted(self._listed(self._path).items()):
            if name.endswith(_VERSIONS):
                if (found := self / name.removesuffix(_VERSIONS)).is_file():
                    yield found
            elif not entry["Mode"] & _FOLDER or (self / name).is_dir():
                yield self / name

    def rglob(self, pattern: str) -> Iterator[Self]:
        """Yield every file and folder below whose name fits."""
        for path in self.iterdir():
            if fnmatch(path.name, pattern):
                yield path
            if not path.is_file():
                yield from path.rglob(pattern)

    def glob(self, pattern: str) -> Iterator[Self]:
        """Yield what lies in the folder itself and fits."""
        return (path for path in self.iterdir() if fnmatch(path.name, pattern))

    def stat(self) -> SimpleNamespace:
        """Return `st_size`."""
        return SimpleNamespace(st_size=len(self.read_bytes()))

    def read_bytes(self) -> bytes:
        """Return the file's bytes. Raises: FileNotFoundError."""
        with self._asked(self._there()[0]) as answer:
            return bytes(answer.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the file's text. Raises: FileNotFoundError."""
        return self.read_bytes().decode(encoding)

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Open the file for reading. Raises: FileNotFoundError."""
        del mode
        return io.BytesIO(self.read_bytes())

    def write_bytes(self, data: bytes) -> int:
        """Put other bytes where the archive looks for this file; its locks and its version stay as they are.

        What was unlinked comes back as what it was.
        """
        found = self._version()
        if found is None and self._gone.name in self._listed(self._gone.parent):
            self._move(self._gone, self._versions)
            found = self._version()
        place, entry = found or (self._path, {})
        told = {name: base64.b64decode(value).decode() for name, value in (entry.get("Extended") or {}).items()}
        kept = {name: value for name, value in told.items() if name.startswith(_KEPT)}
        self._asked(place, "PUT", data, kept).close()
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """Put other text in its place, as `write_bytes`."""
        return self.write_bytes(text.encode(encoding))

    def chmod(self, mode: int) -> None:
        """Do nothing: whoever has the disk asks nobody."""

    def mkdir(self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there when something lies in it."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Take the file away, with all of its versions. Raises: FileNotFoundError."""
        found = self._version()
        if found is None:
            if not missing_ok:
                self._there()
        elif found[0] == self._path:
            self._asked(self._path, "DELETE").close()
        else:
            self._move(self._versions, self._gone)

    def rename(self, target: "WeedPath") -> "WeedPath":
        """Move a file with its versions, or a folder with all that it holds."""
        if (found := self._version()) is not None and found[0] != self._path:
            self._move(self._versions, target._versions)
        else:
            self._move(self._path, target._path)
        return target

    def remove_all(self) -> None:
        """Take a folder away with all that it holds."""
        self._asked(self._path, "DELETE").close()

    def _at(self, path: PurePosixPath) -> Self:
        return type(self)(self._filer, path, self._top)

    @property
    def _versions(self) -> PurePosixPath:
        return self._path.with_name(self.name + _VERSIONS)

    @property
    def _gone(self) -> PurePosixPath:
        """Where the versions lie of what was unlinked."""
        name = hashlib.sha256(str(self._path).encode()).hexdigest()
        return PurePosixPath(self._path.parts[0], "gone", name + _VERSIONS)

    def _move(self, source: PurePosixPath, target: PurePosixPath) -> None:
        if target.name in self._listed(target.parent):
            self._asked(target, "DELETE").close()
        self._asked(target, "POST", b"", ending=f"?mv.from=/buckets/{quote(str(source))}").close()

    def _there(self) -> tuple[PurePosixPath, Mapping[str, Any]]:
        if (found := self._version()) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return found

    def _version(self) -> tuple[PurePosixPath, Mapping[str, Any]] | None:
        """Return where the bytes lie that the archive reads: in a bucket with versions, those are files in a folder."""
        around = self._listed(self._path.parent)
        if (entry := around.get(self.name)) is not None and not entry["Mode"] & _FOLDER:
            return self._path, entry
        if self.name + _VERSIONS not in around:
            return None
        folder = self._versions
        versions = {
            name: entry
            for name, entry in self._listed(folder).items()
            if "Seaweed-X-Amz-Delete-Marker" not in (entry.get("Extended") or {})
        }
        if not versions:
            return None
        # Ids of versions count down, so that the newest is listed first.
        name = (min if self.name.startswith("inventory.json") else max)(versions)
        return folder / name, versions[name]

    def _listed(self, folder: PurePosixPath) -> dict[str, Mapping[str, Any]]:
        try:
            with self._asked(folder, ending=f"/?limit={_MOST_ENTRIES}") as answer:
                found = json.load(answer)["Entries"] or ()
        except FileNotFoundError:
            return {}
        entries = {PurePosixPath(entry["FullPath"]).name: entry for entry in found}
        return {name: entry for name, entry in entries.items() if name != ".uploads"}

    def _asked(
        self,
        path: PurePosixPath,
        method: str = "GET",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        ending: str = "",
    ) -> Any:
        address = f"{self._filer}/buckets/{quote(str(path))}" + (ending or "?recursive=true" * (method == "DELETE"))
        wanted = dict(headers or {}) | ({"Accept": "application/json"} if ending and method == "GET" else {})
        try:
            return urllib.request.urlopen(
                urllib.request.Request(address, data=data, method=method, headers=wanted), timeout=30
            )
        except urllib.error.HTTPError as exc:
            if exc.code == 404:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
            raise
