"""Tiles: the log as files of 256 hashes, and of 256 entries, that never change once they are full.

Pure. A tile of level L holds the hashes of complete subtrees of 256**L leaves; a bundle holds the entries themselves.

Source: C2SP tlog-tiles.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput
from archive.ledger.tree import HASH_BYTES, MAX_SIZE, TreeDamaged, node_hash

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
MAX_TILE_LEVEL: Final = 63
ENTRIES: Final = -1
"""The level that stands for bundles of entries."""
MAX_BUNDLED_BYTES: Final = 65_535
_LENGTH_BYTES: Final = 2
_FOLDER: Final = 1000
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
)


class MalformedTile(InvalidInput):
    """This is not a tile, not a bundle of entries, or not the path of one."""

    code = "tile.malformed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its level (`ENTRIES` for a bundle), its number from the left, and how much it holds.

    Raises: MalformedTile for what no log has.
    """

    level: int
    number: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse what no log has."""
        is_known = ENTRIES <= self.level <= MAX_TILE_LEVEL and 1 <= self.width <= TILE_WIDTH
        if not is_known or not 0 <= self.number <= MAX_SIZE // TILE_WIDTH:
            raise MalformedTile("No log has such a tile", level=self.level, number=self.number)

    @property
    def is_full(self) -> bool:
        """Whether it holds 256, and so never changes."""
        return self.width == TILE_WIDTH

    @property
    def is_bundle(self) -> bool:
        """Whether it holds entries, not hashes."""
        return self.level == ENTRIES

    @property
    def start(self) -> int:
        """The position of its first hash or entry at its level."""
        return self.number * TILE_WIDTH

    @property
    def tree_level(self) -> int:
        """The level in the tree at which its hashes stand."""
        return max(self.level, 0) * TILE_HEIGHT

    @property
    def folder(self) -> str:
        """The path of the folder of its partial forms."""
        return f"{self._whole}.p"

    @property
    def path(self) -> str:
        """The path below the log's address, as in `tile/0/x001/x234/067.p/5`."""
        return self._whole if self.is_full else f"{self.folder}/{self.width}"

    @property
    def _whole(self) -> str:
        groups, number = [], self.number
        while True:
            groups.append(f"{number % _FOLDER:03}")
            number //= _FOLDER
            if not number:
                break
        spelled = "/".join([*(f"x{group}" for group in reversed(groups[1:])), groups[0]])
        return f"tile/{'entries' if self.is_bundle else self.level}/{spelled}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Parse a path. Raises: MalformedTile for anything that `path` would not have given."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise MalformedTile("Not the path of a tile")
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        number = int(match["number"].replace("x", "").replace("/", ""))
        found = cls(level, number, int(match["width"]) if match["width"] else TILE_WIDTH)
        if found.path != path:
            raise MalformedTile("Not the path of a tile")
        return found


def tiles_between(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield what a log has at `new_size` and had not at `old_size`: bundles first, then hashes from the leaves up."""
    for level in (ENTRIES, *range(MAX_TILE_LEVEL + 1)):
        shift = TILE_HEIGHT * max(level, 0)
        before, after = old_size >> shift, new_size >> shift
        if after == before:
            if level > 0:
                return
            continue
        for number in range(before // TILE_WIDTH, after // TILE_WIDTH):
            yield Tile(level, number)
        if after % TILE_WIDTH:
            yield Tile(level, after // TILE_WIDTH, after % TILE_WIDTH)


def edge_tiles(size: int) -> Iterator[Tile]:
    """Yield the last tile of each level of a log, and its last bundle."""
    for level in (ENTRIES, *range(MAX_TILE_LEVEL + 1)):
        count = size >> (TILE_HEIGHT * max(level, 0))
        if not count:
            return
        yield Tile(level, (count - 1) // TILE_WIDTH, (count - 1) % TILE_WIDTH + 1)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of a bundle: each entry after its length. Raises: MalformedTile."""
    if any(len(entry) > MAX_BUNDLED_BYTES for entry in entries):
        raise MalformedTile("An entry is longer than a bundle can hold")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES) + entry for entry in entries)


def parse_bundle(raw: bytes, *, count: int) -> list[bytes]:
    """Parse a bundle of `count` entries. Raises: MalformedTile."""
    entries, at, end = [], 0, len(raw)
    while at + _LENGTH_BYTES <= end:  # the inner loop of whoever checks a whole log
        after = at + _LENGTH_BYTES + (raw[at] << 8 | raw[at + 1])
        entries.append(raw[at + _LENGTH_BYTES : after])
        at = after
    if at != end or len(entries) != count:
        raise MalformedTile("Not a bundle of so many entries", expected=count, found=len(entries))
    return entries


def parse_hashes(raw: bytes, *, count: int) -> list[bytes]:
    """Parse a tile of `count` hashes. Raises: MalformedTile."""
    if len(raw) != count * HASH_BYTES:
        raise MalformedTile("Not a tile of so many hashes", expected=count, size_bytes=len(raw))
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


class TiledHashes:
    """Reads the hashes of a tree of one size from its tiles. Satisfies `archive.ledger.tree.HashReader`.

    `read` returns the bytes of a tile. A hash that stands inside a tile is computed from those below it.
    """

    def __init__(self, read: Callable[[Tile], bytes], size: int) -> None:
        """Read the tiles of a log of `size` entries."""
        self._read, self._size = read, size

    def hashes(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return `count` hashes of complete subtrees of 2**level leaves, from position `start` on.

        Raises: TreeDamaged, MalformedTile, and what `read` raises.
        """
        below = level % TILE_HEIGHT
        hashes = self._row(level // TILE_HEIGHT, start << below, count << below)
        for _ in range(below):
            hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes

    def _row(self, tile_level: int, start: int, count: int) -> list[bytes]:
        there = self._size >> (TILE_HEIGHT * tile_level)
        if start + count > there:
            raise TreeDamaged("The log has no such hashes", level=tile_level, start=start, count=count)
        found: list[bytes] = []
        at = start
        while at < start + count:
            number = at // TILE_WIDTH
            tile = Tile(tile_level, number, min(TILE_WIDTH, there - number * TILE_WIDTH))
            row = parse_hashes(self._read(tile), count=tile.width)
            taken = row[at - tile.start : start + count - tile.start]
            found += taken
            at += len(taken)
        return found
