"""A small log in memory, with real keys: what the tests of the ledger are made of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.ids import UploadId
from archive.ledger.checkpoint import Checkpoint, sign_checkpoint
from archive.ledger.note import RECEIPT, Signer
from archive.ledger.proof import TlogProof
from archive.ledger.receipt import issue_receipt
from archive.ledger.tree import CompactRange, Node, StoredNode, inclusion_proof, leaf_hash
from archive.ledger.trustfile import TrustFile

ORIGIN = "evidence.example.org/log/2026"
FOOTAGE = b"frames and sound"
MANIFEST = b'{"name":"VID_0001.MP4"}'
UPLOAD = UploadId(UUID("0192a5f0-0000-7000-8000-000000000001"))


class MemoryKey:
    """An Ed25519 key whose private part is in this process, made from a seed."""

    def __init__(self, seed: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)

    @property
    def public_bytes(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class NodeTable:
    """Serves stored nodes as the database does, and counts how often it is asked."""

    def __init__(self, nodes: Sequence[StoredNode] = ()) -> None:
        self.stored: dict[Node, bytes] = {}
        self.reads = 0
        self.add(nodes)

    def add(self, nodes: Sequence[StoredNode]) -> None:
        for level, position, hash_ in nodes:
            assert Node(level, position) not in self.stored
            self.stored[Node(level, position)] = hash_

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        self.reads += 1
        wanted = (Node(level, position) for position in range(start, start + count))
        return [self.stored[node] for node in wanted if node in self.stored]


LOG_KEY = MemoryKey(1)
RECEIPT_KEY = MemoryKey(2)
TRUST = TrustFile((Signer(ORIGIN, LOG_KEY).verifier,), (Signer(f"{ORIGIN}/receipt", RECEIPT_KEY, RECEIPT).verifier,))


@dataclass
class MemoryLog:
    """Entries, tree and signed head, kept in memory."""

    origin: str = ORIGIN
    key: MemoryKey = field(default_factory=lambda: LOG_KEY)
    edge: CompactRange = field(default_factory=CompactRange)
    table: NodeTable = field(default_factory=NodeTable)

    def append(self, *entries: bytes) -> None:
        growth = self.edge.append(leaf_hash(entry) for entry in entries)
        self.table.add(growth.nodes)
        self.edge = growth.range

    def head(self) -> bytes:
        checkpoint = Checkpoint(self.origin, self.edge.size, self.edge.root)
        return sign_checkpoint(checkpoint, signers=[Signer(self.origin, self.key)])

    def proof(self, index: int) -> TlogProof:
        hashes = inclusion_proof(index, self.edge.size, reader=self.table)
        return TlogProof.of(index=index, hashes=hashes, note=self.head())


def received(footage: bytes = FOOTAGE, **changes: Any) -> bytes:
    """The log entry of a reception; changes replace fields, None leaves one out."""
    digests: DigestSet = digest_of(footage)
    fields = {
        "v": 1,
        "id": "0192a5f0-0000-7000-8000-000000000002",
        "t": "2026-11-24T08:00:00.000000Z",
        "type": "ingest.received",
        "actor": "0192a5f0-0000-7000-8000-000000000003",
        "dev": "0192a5f0-0000-7000-8000-000000000003",
        "obj": {"kind": "item", "id": "0192a5f0-0000-7000-8000-000000000004", "ver": "v1"},
        "dig": digests.as_json(),
        "size": digests.size_bytes,
        "detail_c": "00" * 32,
    }
    fields.update(changes)
    return canonical_json({name: value for name, value in fields.items() if value is not None})


def log_with(entry: bytes, *, before: int = 4, after: int = 6) -> MemoryLog:
    """A log that holds `entry` at index `before`, among others."""
    log = MemoryLog()
    log.append(*(b"before %d" % number for number in range(before)), entry)
    log.append(*(b"after %d" % number for number in range(after)))
    return log


def receipt_of(entry: bytes | None = None) -> bytes:
    """A receipt as the archive gives it."""
    entry = received() if entry is None else entry
    return issue_receipt(
        upload_id=UPLOAD,
        manifest=MANIFEST,
        entry=entry,
        proof=log_with(entry).proof(4),
        origin=ORIGIN,
        key=RECEIPT_KEY,
    )


def golden(name: str) -> Any:
    """Vectors that others published."""
    folder = Path(__file__).parents[2] / "golden" / "ledger"
    return json.loads((folder / name).read_text(encoding="utf-8"))
