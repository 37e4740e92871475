"""The tree for any entries and sizes, against its definition; beside other people's: test_against_pymerkle.py."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.ledger.tree import (
    CompactRange,
    ConsistencyInvalid,
    InclusionInvalid,
    consistency_plan,
    consistency_proof,
    inclusion_plan,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from tests.unit.ledger.parts import NodeTable

_MOST = 140
entries = st.lists(st.binary(max_size=8), min_size=1, max_size=_MOST)


def _grown(leaves: list[bytes]) -> NodeTable:
    return NodeTable(CompactRange().append(leaves).nodes)


@given(entries, st.lists(st.integers(0, _MOST), max_size=4))
def test_growing_in_any_steps_is_growing_at_once(entries: list[bytes], cuts: list[int]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    tree, nodes = CompactRange(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), _MOST], strict=True):
        growth = CompactRange.from_bytes(tree.to_bytes()).append(leaves[start:end])
        tree, nodes = growth.range, nodes + growth.nodes
    assert tree.root == root_of(leaves)
    assert (tree, nodes) == tuple(CompactRange().append(leaves))


@given(entries, st.data())
def test_every_entry_is_proven_in_every_later_tree(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    table = _grown(leaves)
    size = data.draw(st.integers(1, len(leaves)))
    root = root_of(leaves[:size])
    for index in range(size):
        proof = inclusion_proof(index, size, reader=table)
        verify_inclusion(leaves[index], index=index, size=size, proof=proof, root=root)


@given(entries, st.data())
def test_every_tree_is_proven_to_start_with_every_earlier_one(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    table = _grown(leaves)
    new = data.draw(st.integers(1, len(leaves)))
    for old in range(1, new + 1):
        given_ = {
            "old_size": old,
            "old_root": root_of(leaves[:old]),
            "new_size": new,
            "new_root": root_of(leaves[:new]),
        }
        proof = consistency_proof(old, new, reader=table)
        verify_consistency(**given_, proof=proof)
        verify_growth(**given_, proof=proof)


@given(entries, st.data())
def test_any_flipped_bit_is_noticed(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    table, size = _grown(leaves), len(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    inclusion = [leaves[index], root_of(leaves), *inclusion_proof(index, size, reader=table)]
    consistency = [root_of(leaves[:old]), root_of(leaves), *consistency_proof(old, size, reader=table)]
    leaf, root, *proof = _flipped(inclusion, data)
    with pytest.raises(InclusionInvalid):
        verify_inclusion(leaf, index=index, size=size, proof=proof, root=root)
    old_root, new_root, *proof = _flipped(consistency, data)
    with pytest.raises(ConsistencyInvalid):
        verify_consistency(old_size=old, old_root=old_root, new_size=size, new_root=new_root, proof=proof)


def _flipped(hashes: list[bytes], data: st.DataObject) -> list[bytes]:
    place, bit = data.draw(st.integers(0, len(hashes) - 1)), data.draw(st.integers(0, 255))
    changed = (int.from_bytes(hashes[place]) ^ 1 << bit).to_bytes(32)
    return [*hashes[:place], changed, *hashes[place + 1 :]]


@given(st.data())
def test_another_place_or_length_is_noticed(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, _MOST))
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size + 3).filter(lambda place: place != index))
    proof = inclusion_proof(index, size, reader=_grown(leaves))
    for spoiled in ({"index": other}, {"proof": proof[:-1]}, {"proof": [*proof, leaves[0]]}):
        good: dict[str, Any] = {"index": index, "size": size, "proof": proof, "root": root_of(leaves)}
        with pytest.raises(InclusionInvalid):
            verify_inclusion(leaves[index], **(good | spoiled))


@given(st.integers(1, 2**63 - 1), st.data())
def test_plans_for_any_size_cover_the_tree_without_overlap(size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    inclusion, consistency = inclusion_plan(index, size), consistency_plan(old, size)
    assert len(inclusion.parts) <= 63
    assert len(consistency.parts) <= 63 or size > 2**62
    assert sum(1 << node.level for node in inclusion.nodes) == size - 1
    assert len(set(consistency.nodes)) == len(consistency.nodes)
    assert all((node.position + 1) << node.level <= size for node in (*inclusion.nodes, *consistency.nodes))
