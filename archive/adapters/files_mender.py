"""Mending blobs of the store on a local POSIX file system.

What is damaged gets a second name in a folder beside the store before the good bytes take its first one, by a rename:
at no moment is there neither, and nothing damaged is written over anything.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from archive.adapters.durable import (
    fsync_directory,
    fsync_file,
    make_directories,
    remove_empty_directories,
    scratch_file,
    storage_errors,
    write_all,
)
from archive.adapters.immutable import set_immutable
from archive.ports.blobs import check_key
from archive.ports.mending import WrongBytes

_BLOB_MODE: Final = 0o444
_BLOCK_BYTES: Final = 1024 * 1024


class FilesMender:
    """A `Mender` of the store in `root`; what was damaged is kept in `aside`. All three are on one file system."""

    def __init__(self, root: Path, *, scratch: Path, aside: Path) -> None:
        """Name the folders; `aside` is made when something goes there."""
        self._root, self._scratch, self._aside = root.absolute(), scratch.absolute(), aside.absolute()

    def keep_aside(self, key: str, name: str) -> str | None:
        """Give what lies under the key a second name; see the port. What is no file is moved away."""
        return self._aside_from(key, name, is_moved=False)

    def set_aside(self, key: str, name: str) -> str | None:
        """Give what lies under the key another name; see the port."""
        return self._aside_from(key, name, is_moved=True)

    def mend(self, key: str, good: Callable[[], BinaryIO], *, size_bytes: int, sha512: str) -> None:
        """Write the good bytes beside, and rename them into place once they are known to be right; see the port."""
        target, hasher, found = self._root.joinpath(*check_key(key)), hashlib.sha512(), 0
        with scratch_file(self._scratch) as temp:
            with good() as source:
                while block := source.read(_BLOCK_BYTES):
                    hasher.update(block)
                    found += len(block)
                    with storage_errors():
                        write_all(temp.fd, block)
            if (found, hasher.hexdigest()) != (size_bytes, sha512):
                raise WrongBytes(key=key)
            temp.seal(_BLOB_MODE)
            with storage_errors():
                make_directories(target.parent, below=self._root)
                set_immutable(target, on=False)
                temp.path.replace(target)
                fsync_directory(target.parent)

    def _aside_from(self, key: str, name: str, *, is_moved: bool) -> str | None:
        target, kept = self._root.joinpath(*check_key(key)), self._aside.joinpath(*check_key(name))
        with storage_errors():
            if os.path.lexists(kept) or not os.path.lexists(target):
                return str(kept) if os.path.lexists(kept) else None
            self._aside.mkdir(mode=0o750, exist_ok=True)
            fsync_directory(self._aside.parent)
            make_directories(kept.parent, below=self._aside)
            is_file = stat.S_ISREG(target.lstat().st_mode)
            if is_file:
                set_immutable(target, on=False)
            if is_file and not is_moved:
                self._keep_file(target, kept)
            else:
                target.rename(kept)
                fsync_directory(target.parent)
                remove_empty_directories(target.parent, below=self._root)
            fsync_directory(kept.parent)
        return str(kept)

    def _keep_file(self, target: Path, kept: Path) -> None:
        try:
            os.link(target, kept, follow_symlinks=False)
        except PermissionError:  # a file system without hard links
            with scratch_file(self._scratch) as temp:
                with target.open("rb") as source, open(temp.fd, "wb", closefd=False) as copy:
                    shutil.copyfileobj(source, copy, _BLOCK_BYTES)
                os.fchmod(temp.fd, _BLOB_MODE)
                fsync_file(temp.fd)
                temp.path.rename(kept)
