"""Paths and contents of tiles, as other people's tools name and read them."""

import pytest

from archive.ledger.tiles import ENTRIES, MalformedTile, Tile, edge_tiles, encode_bundle, parse_bundle, tiles_between

# The first and the last are those of C2SP tlog-tiles, "Parameters" and "Merkle Tree".
PATHS = {
    "tile/0/x001/x234/067": Tile(0, 1_234_067),
    "tile/0/000": Tile(0, 0),
    "tile/1/999": Tile(1, 999),
    "tile/1/x001/000": Tile(1, 1000),
    "tile/entries/x001/x234/067": Tile(ENTRIES, 1_234_067),
    "tile/entries/000.p/3": Tile(ENTRIES, 0, 3),
    "tile/63/000.p/255": Tile(63, 0, 255),
    "tile/0/x001/x234/067.p/1": Tile(0, 1_234_067, 1),
}


@pytest.mark.parametrize(("path", "tile"), PATHS.items())
def test_paths(path: str, tile: Tile) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/x000/001", "tile/0/x1/000",
        "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p", "tile/0/../checkpoint", "tile/0/000/",
        "/tile/0/000", "tile/entries", "tile/0/x001x234/067", "tile/0/٠٠٠", "tile/0/000\n", "tile/0/" + "x999/" * 6 + "999",
    ],
)  # fmt: skip
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(MalformedTile):
        Tile.parse(path)


def test_what_comes_to_be_as_a_log_grows() -> None:
    assert [tile.path for tile in tiles_between(0, 3)] == ["tile/entries/000.p/3", "tile/0/000.p/3"]
    assert [tile.path for tile in tiles_between(3, 256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert [tile.path for tile in tiles_between(256, 257)] == ["tile/entries/001.p/1", "tile/0/001.p/1"]
    assert list(tiles_between(257, 257)) == []
    # The example of C2SP tlog-tiles: a tree of 70,000 has 273 full tiles and one of 112 at level 0, one and 17 at 1, 1 at 2.
    tree = [tile for tile in tiles_between(0, 70_000) if not tile.is_bundle]
    assert [(tile.level, tile.number, tile.width) for tile in tree if not tile.is_full] == [
        (0, 273, 112), (1, 1, 17), (2, 0, 1),
    ]  # fmt: skip
    assert [sum(tile.level == level and tile.is_full for tile in tree) for level in range(3)] == [273, 1, 0]
    assert [tile.path for tile in edge_tiles(512)] == ["tile/entries/001", "tile/0/001", "tile/1/000.p/2"]


def test_bundles() -> None:
    entries = [b"", b"one", bytes(65_535)]
    raw = encode_bundle(entries)
    assert raw.startswith(b"\0\0\0\3one\xff\xff")
    assert parse_bundle(raw, count=3) == entries
    for broken, count in ((raw[:-1], 3), (raw + b"\0", 3), (raw, 2), (raw, 4), (b"\0", 1), (b"", 1)):
        with pytest.raises(MalformedTile):
            parse_bundle(broken, count=count)
    with pytest.raises(MalformedTile):
        encode_bundle([bytes(65_536)])
