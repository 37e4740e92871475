"""Roots, inclusion and consistency proofs beside those of pymerkle 7, which others wrote: ten thousand random cases."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import ConsistencyProof, InclusionProof, InmemoryTree, InvalidProof

from archive.ledger.tree import (
    CompactRange,
    ConsistencyInvalid,
    InclusionInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.ledger.parts import NodeTable

_TREES, _CASES_OF_EACH, _MOST = 40, 250, 3000


class Pair:
    """The same entries in both trees. `roots` are ours of every size."""

    def __init__(self, entries: list[bytes]) -> None:
        self.size = len(entries)
        self.judge = InmemoryTree(algorithm="sha256")
        self.judge.append_entries(entries)
        self.leaves = [leaf_hash(entry) for entry in entries]
        tree, nodes, self.roots = CompactRange(), [], [CompactRange().root]
        for leaf in self.leaves:
            growth = tree.append([leaf])
            tree, nodes = growth.range, nodes + list(growth.nodes)
            self.roots.append(tree.root)
        self.table = NodeTable(nodes)


def _compare_inclusion(pair: Pair, index: int, size: int, chance: random.Random) -> None:
    """Demand the same proof; each side verifies the other's, and both refuse it with one bit flipped."""
    leaf, root = pair.leaves[index], pair.roots[size]
    judged = pair.judge.prove_inclusion(index + 1, size)
    ours = inclusion_proof(index, size, reader=pair.table)
    assert [leaf, *ours] == judged.path  # theirs starts with the leaf itself
    verify_inclusion(leaf, index=index, size=size, proof=judged.path[1:], root=root)
    InclusionProof("sha256", True, size, index + 1, judged.rule, [leaf, *ours]).verify(leaf, root)
    if ours:
        spoiled = _flipped(ours, chance)
        with pytest.raises(InclusionInvalid):
            verify_inclusion(leaf, index=index, size=size, proof=spoiled, root=root)
        with pytest.raises(InvalidProof):
            InclusionProof("sha256", True, size, index + 1, judged.rule, [leaf, *spoiled]).verify(leaf, root)


def _compare_consistency(pair: Pair, old: int, size: int, chance: random.Random) -> bool:
    """Demand the same proof, in the form of RFC 6962; return whether pymerkle could judge ours in its own form."""
    old_root, new_root = pair.roots[old], pair.roots[size]
    roots = {"old_size": old, "old_root": old_root, "new_size": size, "new_root": new_root}
    judged = pair.judge.prove_consistency(old, size)
    judged.verify(old_root, new_root)
    ours = consistency_proof(old, size, reader=pair.table)
    verify_consistency(**roots, proof=ours)
    if old == size:
        assert (ours, judged.path) == ([], [new_root])
        return False
    assert ours == _as_rfc6962(judged, old)
    spoiled = _flipped(ours, chance)
    with pytest.raises(ConsistencyInvalid):
        verify_consistency(**roots, proof=spoiled)
    if not judged.subset[1]:
        return False  # theirs splits what ours holds as one hash
    for proof, holds in ((ours, True), (spoiled, False)):
        theirs = ConsistencyProof(
            "sha256", True, size, old, judged.rule, judged.subset, _as_theirs(proof, old, old_root)
        )
        if holds:
            theirs.verify(old_root, new_root)
        else:
            with pytest.raises(InvalidProof):
                theirs.verify(old_root, new_root)
    return True


def _as_rfc6962(judged: ConsistencyProof, old: int) -> list[bytes]:
    """Return a proof of theirs as section 2.1.2 of the RFC has it.

    Theirs is the first new leaf and its path in the new tree. The RFC has one hash for all that lies right of the last
    full subtree of the old tree and under the same parent; that subtree comes first, and is left out where it is all.
    """
    first_old = judged.subset.index(1)
    right = judged.path[0]
    for sibling in judged.path[1:first_old]:
        right = node_hash(right, sibling)
    left = [] if _is_one_subtree(old) else [judged.path[first_old]]
    return [*left, right, *judged.path[first_old + 1 :]]


def _as_theirs(ours: list[bytes], old: int, old_root: bytes) -> list[bytes]:
    """Return a proof of ours as theirs, where both have the first new leaf as a hash of its own."""
    left, right, *rest = [old_root, *ours] if _is_one_subtree(old) else ours
    return [right, left, *rest]


def _is_one_subtree(size: int) -> bool:
    return size & (size - 1) == 0


def _flipped(hashes: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(hashes))
    changed = (int.from_bytes(hashes[place]) ^ 1 << chance.randrange(256)).to_bytes(32)
    return [*hashes[:place], changed, *hashes[place + 1 :]]


@settings(max_examples=120)
@given(st.lists(st.binary(max_size=6), min_size=1, max_size=70), st.data())
def test_pymerkle_says_the_same_of_any_small_tree(entries: list[bytes], data: st.DataObject) -> None:
    pair, chance = Pair(entries), random.Random(0)
    new = data.draw(st.integers(1, pair.size))
    old, index = data.draw(st.integers(1, new)), data.draw(st.integers(0, new - 1))
    assert [pair.judge.get_root(size) for size in (old, new)] == [pair.roots[size] for size in (old, new)]
    _compare_inclusion(pair, index, new, chance)
    _compare_consistency(pair, old, new, chance)


def test_pymerkle_says_the_same_of_ten_thousand_random_cases() -> None:
    chance, done = random.Random(6962), Counter[str]()
    for _ in range(_TREES):
        # As many small trees as large ones: most special cases are small.
        size = max(1, int(_MOST ** chance.random()))
        pair = Pair([chance.randbytes(chance.randrange(40)) for _ in range(size)])
        for _ in range(_CASES_OF_EACH):
            new = chance.randrange(1, pair.size + 1)
            assert pair.judge.get_root(new) == pair.roots[new]
            _compare_inclusion(pair, chance.randrange(new), new, chance)
            done["judged by them"] += _compare_consistency(pair, chance.randrange(1, new + 1), new, chance)
            done["cases"] += 1
    assert done["cases"] == 10_000
    assert done["judged by them"] > 3_000
