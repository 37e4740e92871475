"""Tiles for any sizes: nothing is missing, nothing changes, and proofs can be made from them alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.ledger.tiles import Tile, TiledHashes, tiles_between
from archive.ledger.tree import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_growth,
    verify_inclusion,
)
from tests.unit.ledger.parts import NodeTable

_LEAVES = [leaf_hash(str(number).encode()) for number in range(1500)]
_NODES = NodeTable(CompactRange().append(_LEAVES).nodes)
sizes = st.integers(0, len(_LEAVES))


def read(tile: Tile) -> bytes:
    return b"".join(_NODES.hashes(tile.tree_level, tile.start, tile.width))


@given(st.lists(st.integers(0, 1 << 40), min_size=2, max_size=6))
def test_a_log_has_the_same_full_tiles_however_it_grew(cuts: list[int]) -> None:
    steps = sorted(number % (1 << 18) for number in cuts)
    grown = {tile for old, new in zip([0, *steps], steps, strict=False) for tile in tiles_between(old, new)}
    at_once = set(tiles_between(0, steps[-1]))
    assert {tile for tile in grown if tile.is_full} == {tile for tile in at_once if tile.is_full}
    assert at_once <= grown


@settings(max_examples=200)
@given(st.data())
def test_proofs_come_from_tiles_alone(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(_LEAVES)))
    reader, root = TiledHashes(read, size), root_of(_LEAVES[:size])
    index = data.draw(st.integers(0, size - 1))
    verify_inclusion(
        _LEAVES[index], index=index, size=size, proof=inclusion_proof(index, size, reader=reader), root=root
    )
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(old, size, reader=reader)
    verify_growth(old_size=old, old_root=root_of(_LEAVES[:old]), new_size=size, new_root=root, proof=proof)
