"""Publishing the log: tiles, bundles and the checkpoint as files that any web server, or a memory stick, can serve.

Hash tiles and the checkpoint are public. Bundles hold the entries and lie apart, in a folder for the archive alone.
A full tile is written once. Tiles come before the checkpoint that needs them; all are durable on return.

Source: C2SP tlog-tiles; INTEGRITY 1.2 and 1.4, after Sunlight's order of writing.
"""

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.ledger.faults import SequencerFault
from archive.ledger.kept_notes import KeptNotes
from archive.ledger.models import LogEntry, LogLeaf
from archive.ledger.note import SignedNote
from archive.ledger.proofs import NodeTable
from archive.ledger.tiles import Tile, edge_tiles, encode_bundle, tiles_between
from signing.keyfiles import fsync_directory

_FILE_MODE: Final = 0o444
_CHECKPOINT: Final = "checkpoint"
_FRESH: Final = ".new"
NOTES: Final = "notes"
"""The folder beside the bundles with every checkpoint that ever was (`archive.ledger.kept_notes`)."""


class Published:
    """What is published of one log: `public` for everybody, `private` for bundles."""

    def __init__(self, database: Database, *, public: Path, private: Path) -> None:
        """Publish from this database into these folders."""
        self._database, self.public, self.private = database, public, private
        self._notes = KeptNotes(database, private / NOTES)

    def checkpoint(self) -> bytes | None:
        """Return the published checkpoint; None before the first."""
        path = self.public / _CHECKPOINT
        return path.read_bytes() if path.exists() else None

    def path_of(self, tile: Tile) -> Path:
        """Return where a tile or bundle lies, or would lie."""
        return (self.private if tile.is_bundle else self.public) / tile.path

    def is_whole(self, size: int) -> bool:
        """Return whether the last tile of each level is there: since they are written in order, so are the others."""
        return all(self.path_of(tile).exists() for tile in edge_tiles(size))

    def look_again(self) -> None:
        """Believe nothing that was known of the files: for the sequencer's start."""
        self._notes.look_again()

    def republish(self, note: bytes) -> None:
        """Put a checkpoint with further signatures in the place of the same one. Raises: StorageFull."""
        published = self.checkpoint()
        if published is not None and published != note and _text(published) == _text(note):
            self._replace_checkpoint(note)
        self._notes.keep()

    def publish(self, note: bytes, *, old_size: int, new_size: int) -> None:
        """Write what the log has at `new_size` beyond `old_size`, then the checkpoint `note`.

        Raises: SequencerFault where another tile was published before, StorageFull, TreeDamaged.
        """
        fresh = list(tiles_between(old_size, new_size))
        with self._database.read() as tx:
            written = [tile for tile in fresh if self._write(tile, self._content(tx, tile))]
        for folder in {self.path_of(tile).parent for tile in written}:
            _sync_folders(folder, within=(self.public, self.private))
        self._replace_checkpoint(note)
        self._notes.keep()
        for tile in fresh:
            if tile.is_full:
                shutil.rmtree((self.private if tile.is_bundle else self.public) / tile.folder, ignore_errors=True)

    def _content(self, tx: Session, tile: Tile) -> bytes:
        if not tile.is_bundle:
            return b"".join(NodeTable(tx).hashes(tile.tree_level, tile.start, tile.width))
        bodies = tx.scalars(
            select(LogEntry.body)
            .join(LogLeaf, LogLeaf.entry_id == LogEntry.id)
            .where(LogLeaf.index >= tile.start, LogLeaf.index < tile.start + tile.width)
            .order_by(LogLeaf.index)
        )
        return encode_bundle(bodies.all())

    def _write(self, tile: Tile, content: bytes) -> bool:
        """Write a file once, durably but for its folder; return whether it was not there already."""
        path = self.path_of(tile)
        if path.exists():
            if path.read_bytes() != content:
                raise SequencerFault("Another tile was published here than the log has now", path=tile.path)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_FRESH}")
        _write_durably(fresh, content, mode=_FILE_MODE)
        fresh.replace(path)
        return True

    def _replace_checkpoint(self, note: bytes) -> None:
        """Replace the published checkpoint atomically and durably."""
        self.public.mkdir(parents=True, exist_ok=True)
        for left in self.public.glob(f"{_CHECKPOINT}.*{_FRESH}"):  # by a process that was killed here
            left.unlink(missing_ok=True)
        # A name of its own: a writer that lost its lock unnoticed must not mix its bytes with ours.
        fresh = self.public / f"{_CHECKPOINT}.{secrets.token_hex(8)}{_FRESH}"
        _write_durably(fresh, note, mode=0o644)
        fresh.replace(self.public / _CHECKPOINT)
        fsync_directory(self.public)


def _text(note: bytes) -> str:
    return SignedNote.parse(note).text


def _write_durably(path: Path, content: bytes, *, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folders(folder: Path, *, within: tuple[Path, Path]) -> None:
    """Make the names of a folder durable, and those of the folders above it that may be new."""
    while folder not in within:
        fsync_directory(folder)
        folder = folder.parent
    fsync_directory(folder)
