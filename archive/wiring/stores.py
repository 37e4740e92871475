"""Opening a store of the home folder."""

from pathlib import Path

from archive.adapters.filesystem_store import FilesystemStore


def open_store(home: Path, name: str, *, is_recreatable: bool = False) -> FilesystemStore:
    """Return the store in this folder of the home."""
    return FilesystemStore(home / name, scratch=home / "scratch", is_recreatable=is_recreatable)
