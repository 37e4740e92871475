"""The Merkle tree of the log: hashes, the right edge, which nodes a proof needs, proofs and their verification.

Pure: knows neither database nor files; nodes come through `HashReader`, which a table of nodes and C2SP tiles can
both serve. Anyone may import it.

Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3.2 and 2.1.4.2 for the verifiers.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from archive.kernel.errors import InvalidInput, LiuhenError

HASH_BYTES: Final = 32
MAX_SIZE: Final = 2**63 - 1
"""Sizes and indices stay below 2^63, so that they fit every database and every other implementation."""
MAX_PROOF_HASHES: Final = 63
"""Longer proofs are refused unread. Enough for every tree of at most 2^62 leaves: an inclusion proof has as many hashes
as the tree is high, a consistency proof one more at most. Source: C2SP tlog-witness."""
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_SIZE_BYTES: Final = 8


class OutOfTree(InvalidInput):
    """There is no such leaf, or no tree of such a size."""

    code = "log.out_of_tree"


class TreeDamaged(LiuhenError):
    """Stored hashes of the tree are missing or have a wrong form."""

    code = "log.tree_damaged"
    exit_code = 65


class InclusionInvalid(LiuhenError):
    """The proof does not show that the leaf is in the tree."""

    code = "proof.inclusion_invalid"
    exit_code = 65


class ConsistencyInvalid(LiuhenError):
    """The proof does not show that the newer tree only adds to the older one."""

    code = "proof.consistency_invalid"
    exit_code = 65


class Node(NamedTuple):
    """A complete subtree: the leaves from `position * 2**level` up to, not including, `(position + 1) * 2**level`."""

    level: int
    position: int


class StoredNode(NamedTuple):
    """A complete subtree with its hash, as the sequencer stores it. Level 0 is the leaf hashes."""

    level: int
    position: int
    hash: bytes


class HashReader(Protocol):
    """Reads hashes of complete subtrees, from a table of nodes or from tiles."""

    def hashes(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return the hashes of the `count` complete subtrees of 2**level leaves from position `start` on, in order."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over all leaf hashes, straight from the definition; needs them all in memory.

    Source: RFC 6962 section 2.1, MTH.
    """
    return _root_between(leaf_hashes, 0, len(leaf_hashes)) if leaf_hashes else EMPTY_ROOT


def _root_between(leaf_hashes: Sequence[bytes], start: int, end: int) -> bytes:
    if end - start == 1:
        return leaf_hashes[start]
    split = start + _left_size(end - start)
    return node_hash(_root_between(leaf_hashes, start, split), _root_between(leaf_hashes, split, end))


def _left_size(size: int) -> int:
    """The largest power of two below `size`: how many leaves the left child of a tree of `size` > 1 has."""
    return 1 << ((size - 1).bit_length() - 1)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size, left to right."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


# --- the right edge -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CompactRange:
    """A tree known only by its size and the hashes of its right edge: enough to go on growing it.

    `edge` holds the roots of the complete subtrees that cover the leaves, left to right, largest first; there is one
    for each bit that is set in `size`.

    Raises: OutOfTree for a size that cannot be; TreeDamaged for an edge that does not fit the size.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an edge that cannot belong to a tree of this size."""
        if not 0 <= self.size <= MAX_SIZE:
            raise OutOfTree("No tree has this size", size=self.size)
        if len(self.edge) != self.size.bit_count() or not _all_hashes(self.edge):
            raise TreeDamaged("The right edge does not fit the size", size=self.size, hashes=len(self.edge))

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return _fold(self.edge) if self.edge else EMPTY_ROOT

    def append(self, leaf_hashes: Iterable[bytes]) -> "Growth":
        """Return the tree with the leaves added, and every complete subtree that came to be by it.

        Raises: TreeDamaged for a leaf that is no hash; OutOfTree when the tree would grow beyond 2^63 - 1 leaves.
        """
        size, edge, nodes = self.size, list(self.edge), list[StoredNode]()
        for leaf in leaf_hashes:
            if len(leaf) != HASH_BYTES:
                raise TreeDamaged("A leaf is no SHA-256 hash", index=size)
            level, position, hash_ = 0, size, leaf
            nodes.append(StoredNode(level, position, hash_))
            while position & 1:  # a right child completes its parent
                level, position, hash_ = level + 1, position >> 1, node_hash(edge.pop(), hash_)
                nodes.append(StoredNode(level, position, hash_))
            edge.append(hash_)
            size += 1
        return Growth(CompactRange(size, tuple(edge)), nodes)

    def to_bytes(self) -> bytes:
        """Return the stored form: size as eight bytes, big-endian, then the hashes of the edge."""
        return self.size.to_bytes(_SIZE_BYTES) + b"".join(self.edge)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Parse the stored form. Raises: OutOfTree, TreeDamaged."""
        if len(raw) < _SIZE_BYTES or (len(raw) - _SIZE_BYTES) % HASH_BYTES:
            raise TreeDamaged("Not a stored right edge", size_bytes=len(raw))
        starts = range(_SIZE_BYTES, len(raw), HASH_BYTES)
        return cls(int.from_bytes(raw[:_SIZE_BYTES]), tuple(raw[start : start + HASH_BYTES] for start in starts))

    @classmethod
    def read(cls, size: int, *, reader: HashReader) -> Self:
        """Rebuild the right edge of a tree of any size up to the stored one. Raises: OutOfTree, TreeDamaged."""
        wanted = edge_nodes(size)
        found = read_nodes(wanted, reader=reader)
        return cls(size, tuple(found[node] for node in wanted))


class Growth(NamedTuple):
    """What appending did: the new right edge, and the nodes to store, in the order in which they came to be."""

    range: CompactRange
    nodes: list[StoredNode]


def edge_nodes(size: int) -> tuple[Node, ...]:
    """Return the complete subtrees that cover a tree of this size, left to right. Raises: OutOfTree."""
    if not 0 <= size <= MAX_SIZE:
        raise OutOfTree("No tree has this size", size=size)
    return _cover(0, size)


def _all_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


# --- making proofs --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """Which complete subtrees a proof needs, known before anything is read, so that one read brings them all.

    Each part becomes one hash of the proof: the root over its nodes, which stand left to right and fall in size.
    """

    parts: tuple[tuple[Node, ...], ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that is needed, each once."""
        return tuple(itertools.chain.from_iterable(self.parts))

    def proof(self, hashes: Mapping[Node, bytes]) -> list[bytes]:
        """Return the proof, from the hashes of all `nodes`."""
        return [_fold([hashes[node] for node in part]) for part in self.parts]


def inclusion_plan(index: int, size: int) -> ProofPlan:
    """Plan the proof that leaf `index` is in the tree of `size` leaves.

    Raises: OutOfTree.
    Source: RFC 6962 section 2.1.1, PATH(m, D[n]), without the recursion.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise OutOfTree("There is no such leaf in a tree of this size", index=index, size=size)
    parts: list[tuple[Node, ...]] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _left_size(end - start)
        if index < split:
            parts.append(_cover(split, end))
            end = split
        else:
            parts.append(_cover(start, split))
            start = split
    return ProofPlan(tuple(reversed(parts)))


def consistency_plan(old_size: int, new_size: int) -> ProofPlan:
    """Plan the proof that the tree of `new_size` leaves starts with the tree of `old_size` leaves.

    Raises: OutOfTree, also for an empty old tree, from which nothing can be proven.
    Source: RFC 6962 section 2.1.2, SUBPROOF(m, D[n], b), without the recursion.
    """
    if not 1 <= old_size <= new_size <= MAX_SIZE:
        raise OutOfTree("No proof leads from one size to the other", old_size=old_size, new_size=new_size)
    parts: list[tuple[Node, ...]] = []
    start, end = 0, new_size
    while end != old_size:
        split = start + _left_size(end - start)
        if old_size <= split:
            parts.append(_cover(split, end))
            end = split
        else:
            parts.append(_cover(start, split))
            start = split
    if start:  # b is false: the verifier does not know this subtree's root yet
        parts.append(_cover(start, end))
    return ProofPlan(tuple(reversed(parts)))


def inclusion_proof(index: int, size: int, *, reader: HashReader) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root of the tree of `size` leaves, leaf's sibling first.

    Raises: OutOfTree, TreeDamaged.
    """
    plan = inclusion_plan(index, size)
    return plan.proof(read_nodes(plan.nodes, reader=reader))


def consistency_proof(old_size: int, new_size: int, *, reader: HashReader) -> list[bytes]:
    """Return the hashes that show that the tree of `new_size` leaves starts with that of `old_size` leaves.

    Raises: OutOfTree, TreeDamaged.
    """
    plan = consistency_plan(old_size, new_size)
    return plan.proof(read_nodes(plan.nodes, reader=reader))


def read_nodes(nodes: Iterable[Node], *, reader: HashReader) -> dict[Node, bytes]:
    """Read nodes, neighbours together. Raises: TreeDamaged when the reader does not return what was asked for."""
    found: dict[Node, bytes] = {}
    for level, start, count in _runs(sorted(set(nodes))):
        hashes = reader.hashes(level, start, count)
        if len(hashes) != count or not _all_hashes(hashes):
            raise TreeDamaged("Hashes of the tree are missing", level=level, start=start, count=count)
        found.update(zip((Node(level, start + step) for step in range(count)), hashes, strict=True))
    return found


def _runs(nodes: Sequence[Node]) -> Iterator[tuple[int, int, int]]:
    """Group sorted nodes into (level, start, count) of neighbours."""
    for _, group in itertools.groupby(enumerate(nodes), lambda item: (item[1].level, item[1].position - item[0])):
        run = [node for _, node in group]
        yield run[0].level, run[0].position, len(run)


def _cover(start: int, end: int) -> tuple[Node, ...]:
    """The complete subtrees that cover a range of leaves, left to right.

    `start` must be a multiple of the largest power of two that is not above `end - start`, as it is for every
    subtree of an RFC 6962 tree.
    """
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return tuple(nodes)


# --- checking proofs ------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return only if `proof` shows that the leaf hash `leaf` stands at `index` in the tree with this size and root.

    1. Compare index and size; an index that is not below the size fails.
    2. Set fn to the index and sn to size - 1.
    3. Set r to the leaf hash.
    4. For each value p of the proof:
       1. If sn is 0, fail.
       2. If the lowest bit of fn is set, or fn equals sn: set r to HASH(0x01 || p || r); then, if the lowest bit of
          fn is not set, shift fn and sn right until it is, or fn is 0. Otherwise: set r to HASH(0x01 || r || p).
       3. Shift fn and sn right once more.
    5. It is proven if sn is 0 and r equals the root.

    Raises: InclusionInvalid, also for hashes that are not 32 bytes and for proofs that are longer than any can be.
    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size <= MAX_SIZE:  # step 1
        raise InclusionInvalid("The index is not in a tree of this size", index=index, size=size)
    if len(proof) > MAX_PROOF_HASHES or not _all_hashes((leaf, root, *proof)):
        raise InclusionInvalid("The proof is too long, or holds something other than SHA-256 hashes")
    fn, sn = index, size - 1  # step 2
    r = leaf  # step 3
    for p in proof:  # step 4
        if sn == 0:  # step 4.1
            raise InclusionInvalid("The proof has too many hashes", index=index, size=size)
        if fn & 1 or fn == sn:  # step 4.2
            r = node_hash(p, r)
            fn, sn = _shift_to_right_child(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1  # step 4.3
    if sn != 0 or r != root:  # step 5
        raise InclusionInvalid("The proof does not lead to the root", index=index, size=size)


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return only if `proof` shows that the newer tree starts with the older one, which must not be empty.

    Equal sizes need an empty proof and equal roots. Otherwise:

    1. An empty proof fails.
    2. If the old size is a power of two, put the old root in front of the proof.
    3. Set fn to old size - 1 and sn to new size - 1.
    4. While the lowest bit of fn is set, shift fn and sn right.
    5. Set fr and sr to the first value of the proof.
    6. For each further value c:
       1. If sn is 0, fail.
       2. If the lowest bit of fn is set, or fn equals sn: set fr to HASH(0x01 || c || fr) and sr to
          HASH(0x01 || c || sr); then, if the lowest bit of fn is not set, shift fn and sn right until it is, or fn is
          0. Otherwise: set sr to HASH(0x01 || sr || c).
       3. Shift fn and sn right once more.
    7. It is proven if fr equals the old root, sr the new root, and sn is 0.

    An empty old tree fails: a proof from nothing proves nothing. The witness protocol accepts it, through
    `verify_growth`.

    Raises: ConsistencyInvalid.
    Source: RFC 9162 section 2.1.4.2.
    """
    sizes = {"old_size": old_size, "new_size": new_size}
    if not 1 <= old_size <= new_size <= MAX_SIZE:
        raise ConsistencyInvalid("No proof leads from one size to the other", **sizes)
    if len(proof) > MAX_PROOF_HASHES or not _all_hashes((old_root, new_root, *proof)):
        raise ConsistencyInvalid("The proof is too long, or holds something other than SHA-256 hashes", **sizes)
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ConsistencyInvalid("Two trees of one size differ", **sizes)
        return
    if not proof:  # step 1
        raise ConsistencyInvalid("The proof is empty", **sizes)
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)  # step 2
    fn, sn = _shift_to_left_child(old_size - 1, new_size - 1)  # steps 3 and 4
    fr = sr = path[0]  # step 5
    for c in path[1:]:  # step 6
        if sn == 0:  # step 6.1
            raise ConsistencyInvalid("The proof has too many hashes", **sizes)
        if fn & 1 or fn == sn:  # step 6.2
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            fn, sn = _shift_to_right_child(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1  # step 6.3
    if sn != 0 or fr != old_root or sr != new_root:  # step 7
        raise ConsistencyInvalid("The proof does not lead to both roots", **sizes)


def verify_growth(*, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return only if the newer tree may follow the older one by the rules of the witness protocol.

    From an empty tree any tree may follow, and the proof must be empty; from any other, as `verify_consistency`.

    Raises: ConsistencyInvalid.
    Source: C2SP tlog-witness, add-checkpoint.
    """
    if old_size != 0:
        verify_consistency(old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof)
        return
    if proof or old_root != EMPTY_ROOT or len(new_root) != HASH_BYTES or not 0 <= new_size <= MAX_SIZE:
        raise ConsistencyInvalid("This does not follow from an empty tree", new_size=new_size)
    if (new_size == 0) != (new_root == EMPTY_ROOT):
        raise ConsistencyInvalid("An empty tree has the empty root, and no other has", new_size=new_size)


def _shift_to_left_child(fn: int, sn: int) -> tuple[int, int]:
    """Shift both right until the lowest bit of `fn` is not set."""
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _shift_to_right_child(fn: int, sn: int) -> tuple[int, int]:
    """Shift both right until the lowest bit of `fn` is set, or `fn` is 0."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn
