"""Shelves that are folders of the archive's home."""

import hashlib
import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import ocfl

from archive.fsck.raw import files_below
from archive.kernel.ids import ObjectId, parse_uuid
from archive.ocfl.layout import object_root


class FolderShelves:
    """The home of an archive without S3. Satisfies `Shelves`."""

    def __init__(self, home: Path) -> None:
        """Take the home."""
        self._home = home

    def original(self, object_id: str, content_path: str) -> str | None:
        """Return the sha512 of an original."""
        folder = self._home / "store" / object_root(ObjectId(parse_uuid(object_id)))
        inventory = json.loads((folder / "inventory.json").read_bytes())
        for digest, names in inventory["versions"][inventory["head"]]["state"].items():
            if content_path in names:
                return hashlib.sha512((folder / inventory["manifest"][digest][0]).read_bytes()).hexdigest()
        return None

    def doubled(self, object_id: str) -> Sequence[str]:
        """Say which further versions an object has: nothing here makes any."""
        folder = self._home / "store" / object_root(ObjectId(parse_uuid(object_id)))
        versions = sorted(path.name for path in folder.glob("v*"))
        return [] if versions == ["v1"] else [f"object {object_id} has the versions {versions}"]

    def rendition(self, key: str) -> str | None:
        """Return the sha256 of a rendition."""
        path = self._home / "renditions" / key
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None

    def quarantined(self, upload_id: str) -> bytes | None:
        """Return what was put aside."""
        kept = self._home / "quarantine" / upload_id / "bytes"
        return kept.read_bytes() if kept.is_file() else None

    def leftovers(self, alive: Collection[str]) -> Iterator[str]:
        """Yield files that belong to no work under way."""
        home = self._home
        yield from (f"staging/{path.name}" for path in files_below(home / "staging") if path.name not in alive)
        yield from (f"work/{path.name}" for path in (home / "work").iterdir())
        # Scratch files of the last minute are not swept: their maker might have died just now.
        fresh = time.time() - 60
        scratch = (path for path in (home / "scratch").glob("*.tmp") if path.stat().st_mtime < fresh)
        yield from (f"scratch/{path.name}" for path in scratch)

    def judged(self) -> tuple[int, Sequence[str]]:
        """Have `ocfl-py` validate every object."""
        return judged(self._home / "store")


def judged(root: Path) -> tuple[int, Sequence[str]]:
    """Have `ocfl-py` validate every object below a storage root."""
    judge = ocfl.StorageRoot(root=str(root))
    logging.disable(logging.INFO)  # it says on the root logger which layout it found
    try:
        is_valid = judge.validate(log_errors=False)
    finally:
        logging.disable(logging.NOTSET)
    if is_valid and judge.good_objects == judge.num_objects:
        return judge.good_objects, []
    told = f"ocfl-py: {judge.good_objects} of {judge.num_objects} objects are valid; {judge.errors[:3]}"
    return judge.good_objects, [told]
