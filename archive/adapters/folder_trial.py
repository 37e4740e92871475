"""The WORM trial of folders, which have no locks: it says so by trying."""

from pathlib import Path

from archive.adapters.durable import scratch_file
from archive.adapters.immutable import holds_immutable
from archive.kernel.errors import Unavailable
from archive.kernel.findings import Finding, Report, indeterminate, invalid
from archive.kernel.instants import Instant

_READ_ONLY = 0o444


class FolderTrial:
    """Tries to delete a read-only file of the archive's own, as whoever holds its account can."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        """Take the folder of originals, and one beside it to try in."""
        self.place, self._scratch = str(folder), scratch

    def run(self, *, at: Instant) -> Report:
        """Return what was tried; never valid. Raises: nothing of the disk: what cannot be tried is indeterminate."""
        del at
        try:
            return Report((self._tried(),))
        except Unavailable as exc:
            return Report((indeterminate("worm.not_asked", f"The folder could not be tried: {exc.message}"),))

    def _tried(self) -> Finding:
        with scratch_file(self._scratch) as temp:
            could_protect = holds_immutable(temp)
            temp.seal(_READ_ONLY)
            temp.path.unlink()
        more = "; the file system could set immutable flags, none are set" if could_protect else ""
        return invalid("worm.files", f"A read-only file was deleted: file permissions are a seat belt only{more}")
