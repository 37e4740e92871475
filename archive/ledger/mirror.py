"""A copy of the log in one folder: checkpoint, tiles, entries and anchors, as an auditor takes them away."""

import shutil
from pathlib import Path

from archive.kernel.errors import InvalidInput, NotFound
from archive.ledger.anchors import CHAIN, ISSUERS, PUBLIC_NAME
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.note import MAX_NOTE_BYTES, SignedNote
from archive.ledger.publishing import Published
from archive.ledger.tiles import MAX_BUNDLED_BYTES, TILE_WIDTH, Tile, tiles_between
from archive.ledger.tree import HASH_BYTES

_MOST_BUNDLE_BYTES = TILE_WIDTH * (MAX_BUNDLED_BYTES + 2)


class NoMirror(NotFound):
    """There is no copy of a log in this folder: it has a file `checkpoint`."""

    code = "log.no_mirror"
    exit_code = 66


def mirror(published: Published, folder: Path) -> Checkpoint:
    """Copy the log into a folder, or bring a copy there up to date; return its head.

    What is there already is not read again; `archive.ledger.monitor` judges it. Raises: NoMirror before the log began.
    """
    note = published.checkpoint()
    if note is None:
        raise NoMirror(folder=str(published.public))
    head = Checkpoint.parse(SignedNote.parse(note).text)
    for tile in tiles_between(0, head.size):
        target = folder / tile.path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{target.name}.new")
            shutil.copyfile(published.path_of(tile), fresh)
            fresh.replace(target)
        if tile.is_full:
            shutil.rmtree(folder / tile.folder, ignore_errors=True)
    _copy_anchors(published.public / "anchors", folder / "anchors")
    fresh = folder / "checkpoint.new"
    fresh.write_bytes(note)
    fresh.replace(folder / "checkpoint")
    return head


def _copy_anchors(source: Path, target: Path) -> None:
    """Copy what is there of the anchors; the chain was read first, so that each file that it names is copied too."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    chain = (source / CHAIN).read_bytes() if (source / CHAIN).exists() else b""
    names = [path.name for path in source.iterdir() if PUBLIC_NAME.fullmatch(path.name) and path.name != CHAIN]
    for name, content in (*((name, None) for name in sorted(names)), (CHAIN, chain)):
        if content is None and name != ISSUERS and (target / name).exists():
            continue  # written once
        fresh = target / f"{name}.new"
        fresh.write_bytes((source / name).read_bytes() if content is None else content)
        fresh.replace(target / name)


def read_note(folder: Path) -> bytes:
    """Return the checkpoint of a copy. Raises: NoMirror."""
    try:
        with (folder / "checkpoint").open("rb") as file:
            return file.read(MAX_NOTE_BYTES)
    except OSError as exc:
        raise NoMirror(folder=str(folder)) from exc


def read_tile(folder: Path, tile: Tile) -> bytes:
    """Return the bytes of a tile of a copy; never more than a tile can have. Raises: OSError, InvalidInput."""
    most = _MOST_BUNDLE_BYTES if tile.is_bundle else tile.width * HASH_BYTES
    path = folder / tile.path
    if path.is_symlink():
        raise InvalidInput("A tile is a plain file", path=tile.path)
    with path.open("rb") as file:
        return file.read(most + 1)
