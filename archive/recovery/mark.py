"""The word that a recovery goes on: a file in the home folder that keeps the archive from starting meanwhile."""

from pathlib import Path
from typing import Final

from signing.keyfiles import PRIVATE, fsync_directory, replace_durably

MARK: Final = "recovering"


def set_mark(home: Path) -> None:
    """Say that a recovery goes on, durably."""
    replace_durably(home / MARK, b"", mode=PRIVATE)


def clear_mark(home: Path) -> None:
    """Say that it has ended, durably."""
    (home / MARK).unlink(missing_ok=True)
    fsync_directory(home)
