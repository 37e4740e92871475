"""The tree at its edges: what has no size, no place or no form is refused."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from archive.ledger.tree import (
    EMPTY_ROOT,
    MAX_SIZE,
    CompactRange,
    ConsistencyInvalid,
    InclusionInvalid,
    Node,
    OutOfTree,
    StoredNode,
    TreeDamaged,
    consistency_plan,
    consistency_proof,
    edge_nodes,
    inclusion_plan,
    inclusion_proof,
    leaf_hash,
    node_hash,
    read_nodes,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from tests.unit.ledger.parts import NodeTable

LEAVES = [leaf_hash(b"%d" % number) for number in range(11)]
TREE = CompactRange().append(LEAVES)
OTHER = hashlib.sha256(b"other").digest()


class Lying:
    """A reader that returns something else than it was asked for."""

    def __init__(self, answer: Sequence[bytes]) -> None:
        self.answer = answer

    def hashes(self, level: int, start: int, count: int) -> Sequence[bytes]:
        return self.answer


def test_the_empty_tree() -> None:
    assert root_of([]) == CompactRange().root == EMPTY_ROOT
    assert CompactRange().append([]).nodes == []
    assert edge_nodes(0) == ()


def test_growing_tells_every_node_once_and_in_order() -> None:
    a, b, c = LEAVES[:3]
    assert CompactRange().append([a, b, c]).nodes == [
        StoredNode(0, 0, a),
        StoredNode(0, 1, b),
        StoredNode(1, 0, node_hash(a, b)),
        StoredNode(0, 2, c),
    ]
    assert len(TREE.nodes) == 11 + 5 + 2 + 1


def test_an_edge_that_does_not_fit_is_refused() -> None:
    for size, edge in [(0, (OTHER,)), (1, ()), (3, (OTHER,)), (1, (b"short",))]:
        with pytest.raises(TreeDamaged):
            CompactRange(size, edge)
    for size in (-1, MAX_SIZE + 1):
        with pytest.raises(OutOfTree):
            CompactRange(size, ())
        with pytest.raises(OutOfTree):
            edge_nodes(size)


def test_a_leaf_that_is_no_hash_is_refused() -> None:
    with pytest.raises(TreeDamaged):
        CompactRange().append([b"entry itself"])


def test_the_largest_tree_cannot_grow() -> None:
    largest = CompactRange(MAX_SIZE, (OTHER,) * 63)
    with pytest.raises(OutOfTree):
        largest.append([OTHER])


def test_the_stored_edge_is_read_strictly() -> None:
    raw = TREE.range.to_bytes()
    assert CompactRange.from_bytes(raw) == TREE.range
    for bad in (b"", raw[:7], raw[:-1], raw + b"\x00"):
        with pytest.raises(TreeDamaged):
            CompactRange.from_bytes(bad)
    with pytest.raises(TreeDamaged):
        CompactRange.from_bytes(raw + OTHER)
    with pytest.raises(OutOfTree):
        CompactRange.from_bytes(b"\xff" * 8)


def test_the_edge_is_rebuilt_from_stored_nodes() -> None:
    table = NodeTable(TREE.nodes)
    for size in range(12):
        assert CompactRange.read(size, reader=table).root == root_of(LEAVES[:size])
    with pytest.raises(TreeDamaged):
        CompactRange.read(12, reader=table)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (1, 1), (2, 1), (0, MAX_SIZE + 1)])
def test_there_is_no_such_leaf(index: int, size: int) -> None:
    with pytest.raises(OutOfTree):
        inclusion_plan(index, size)
    with pytest.raises(InclusionInvalid):
        verify_inclusion(OTHER, index=index, size=size, proof=[], root=OTHER)


@pytest.mark.parametrize(("old", "new"), [(-1, 1), (0, 0), (0, 5), (2, 1), (1, MAX_SIZE + 1)])
def test_there_is_no_proof_between_such_sizes(old: int, new: int) -> None:
    with pytest.raises(OutOfTree):
        consistency_plan(old, new)
    with pytest.raises(ConsistencyInvalid):
        verify_consistency(old_size=old, old_root=OTHER, new_size=new, new_root=OTHER, proof=[])


def test_neighbours_are_read_together() -> None:
    table = NodeTable(TREE.nodes)
    inclusion_proof(0, 3, reader=table)  # needs leaves 1 and 2
    assert table.reads == 1


def test_the_largest_tree_needs_63_hashes_and_few_nodes() -> None:
    plan = inclusion_plan(0, MAX_SIZE)
    assert len(plan.parts) == 63
    assert len(set(plan.nodes)) == len(plan.nodes) <= 63 * 62
    assert len(inclusion_plan(0, 1_000_000).nodes) <= 40


def test_a_consistency_proof_may_be_one_hash_longer_than_the_tree_is_high() -> None:
    assert len(consistency_plan(3, 2**62).parts) == 63
    assert len(consistency_plan(3, 2**62 + 1).parts) == 64  # no witness takes it; no log grows that far


def test_a_proof_longer_than_any_is_refused_unread() -> None:
    with pytest.raises(InclusionInvalid, match="too long"):
        verify_inclusion(OTHER, index=0, size=MAX_SIZE, proof=[OTHER] * 64, root=OTHER)
    with pytest.raises(ConsistencyInvalid, match="too long"):
        verify_consistency(old_size=1, old_root=OTHER, new_size=MAX_SIZE, new_root=OTHER, proof=[OTHER] * 64)


@pytest.mark.parametrize("answer", [[], [OTHER, OTHER], [b"short"]])
def test_a_reader_that_lies_is_found_out(answer: list[bytes]) -> None:
    with pytest.raises(TreeDamaged):
        read_nodes([Node(0, 4)], reader=Lying(answer))


def test_a_proof_over_a_damaged_tree_is_not_made() -> None:
    table = NodeTable(TREE.nodes)
    del table.stored[Node(1, 0)]
    with pytest.raises(TreeDamaged):
        inclusion_proof(3, 11, reader=table)
    with pytest.raises(TreeDamaged):
        consistency_proof(4, 4 + 2, reader=NodeTable())


def test_equal_sizes() -> None:
    root = TREE.range.root
    verify_consistency(old_size=11, old_root=root, new_size=11, new_root=root, proof=[])
    for changes in ({"proof": [OTHER]}, {"new_root": OTHER}):
        given: dict[str, Any] = {"old_size": 11, "old_root": root, "new_size": 11, "new_root": root, "proof": []}
        with pytest.raises(ConsistencyInvalid):
            verify_consistency(**(given | changes))


def test_from_an_empty_tree_any_tree_may_grow() -> None:
    root = TREE.range.root
    verify_growth(old_size=0, old_root=EMPTY_ROOT, new_size=11, new_root=root, proof=[])
    verify_growth(old_size=0, old_root=EMPTY_ROOT, new_size=0, new_root=EMPTY_ROOT, proof=[])
    proof = consistency_proof(4, 11, reader=NodeTable(TREE.nodes))
    verify_growth(old_size=4, old_root=root_of(LEAVES[:4]), new_size=11, new_root=root, proof=proof)


@pytest.mark.parametrize(
    "changes",
    [
        {"proof": [OTHER]},
        {"old_root": OTHER},
        {"new_root": b"short"},
        {"new_size": -1},
        {"new_size": MAX_SIZE + 1},
        {"new_size": 0},
        {"new_root": EMPTY_ROOT},
    ],
)
def test_what_may_not_follow_from_an_empty_tree(changes: dict[str, Any]) -> None:
    given = {"old_size": 0, "old_root": EMPTY_ROOT, "new_size": 11, "new_root": TREE.range.root, "proof": []}
    with pytest.raises(ConsistencyInvalid):
        verify_growth(**(given | changes))
