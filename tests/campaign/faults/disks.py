"""Small disks that can be filled: file systems in memory, mounted for the campaign. Without root there are none."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_BLOCK: Final = bytes(1 << 20)
_NAME: Final = "filled-by-the-campaign"


class SmallDisk:
    """A disk of its own for a folder."""

    def __init__(self, folder: Path, *, size_mib: int) -> None:
        """Mount it, or leave the folder as it is where that is not allowed: then it `can_fill` not."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "liuhen-campaign", str(folder)],
            capture_output=True,
            check=False,
        )
        self.can_fill = done.returncode == 0

    def fill(self) -> None:
        """Leave no byte free."""
        with contextlib.suppress(OSError), (self.folder / _NAME).open("ab", buffering=0) as file:
            while True:
                file.write(_BLOCK)
        with contextlib.suppress(OSError), (self.folder / _NAME).open("ab", buffering=0) as file:
            while True:
                file.write(_BLOCK[:4096])

    def free(self) -> None:
        """Give the room back."""
        (self.folder / _NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.can_fill:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


@contextlib.contextmanager
def small_disk(folder: Path, *, size_mib: int) -> Iterator[SmallDisk]:
    """Have a small disk for a block."""
    disk = SmallDisk(folder, size_mib=size_mib)
    try:
        yield disk
    finally:
        disk.close()


def free_mib(folder: Path) -> int:
    """Return how much is free where a folder lies."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >> 20
