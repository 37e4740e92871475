"""Entries of a log in bulk: the bytes that `encode_entry` gives them, leaves, nodes of the tree, signed checkpoints."""

import hashlib
import heapq
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from archive.ledger.checkpoint import Checkpoint, sign_checkpoint
from archive.ledger.note import Signer
from archive.ledger.tree import CompactRange, leaf_hash
from tests.support.bulk.tables import Row

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC, as SQLite has it
_RANDOM_BITS: Final = (1 << 62) - 1
_ODD: Final = 0x2545_F491_4F6C_DD1D
_SALT_BYTES: Final = 32
_SALTS: Final = 4096


def moment_text(us: int) -> str:
    """Return microseconds since 1970 as SQLite keeps a moment."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(" ", "microseconds")


def instant(us: int) -> datetime:
    """Return microseconds since 1970 as a moment."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)


def dashed(hexadecimal: str) -> str:
    """Return an id of 32 characters in its canonical form."""
    h = hexadecimal
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class Ids:
    """Ids as UUIDv7 has them, the same in every run."""

    def __init__(self) -> None:
        """Begin."""
        self._count = 0

    def at(self, us: int) -> str:
        """Return a fresh id of a moment, as 32 hexadecimal characters."""
        self._count += 1
        ending = 0x2 << 62 | self._count * _ODD & _RANDOM_BITS
        return f"{us // 1000:012x}7{us % 1000 * 4096 // 1000:03x}{ending:016x}"


class Entries:
    """The log of an archive under construction: entries wait here for their moment, and leave in its order."""

    def __init__(self, ids: Ids, tree: CompactRange, origin: str, signers: Sequence[Signer]) -> None:
        """Go on after a tree."""
        self._ids, self._tree, self._origin, self._signers = ids, tree, origin, signers
        self._waiting: list[tuple[int, str, bytes, bytes, bytes]] = []
        self._salts = b""
        self.count = 0
        """How many entries were made."""

    def add(
        self,
        us: int,
        kind: str,
        actor: str,
        *,
        of: tuple[str, str] | None = None,
        version: str | None = None,
        case: str | None = None,
        auth: str | None = None,
        device: str | None = None,
        digests: tuple[str, str, int] | None = None,
        request: str | None = None,
        detail: bytes = b"{}",
    ) -> str:
        """Make an entry and return its id. Ids are 32 characters; `detail` is canonical JSON."""
        entry_id = self._ids.at(us)
        if len(self._salts) < _SALT_BYTES:
            self._salts = os.urandom(_SALT_BYTES * _SALTS)
        salt, self._salts = self._salts[:_SALT_BYTES], self._salts[_SALT_BYTES:]
        opens = hashlib.sha256(salt + detail).hexdigest()
        parts = [f'{{"actor":"{dashed(actor)}"']
        if auth is not None:
            parts.append(f'"auth":"{auth}"')
        if case is not None:
            parts.append(f'"case":"{dashed(case)}"')
        parts.append(f'"detail_c":"{opens}"')
        if device is not None:
            parts.append(f'"dev":"{dashed(device)}"')
        if digests is not None:
            parts.append(f'"dig":{{"sha256":"{digests[0]}","sha512":"{digests[1]}"}}')
        parts.append(f'"id":"{dashed(entry_id)}"')
        if of is not None:
            ending = "" if version is None else f',"ver":"{version}"'
            parts.append(f'"obj":{{"id":"{dashed(of[1])}","kind":"{of[0]}"{ending}}}')
        if request is not None:
            parts.append(f'"req":"{dashed(request)}"')
        if digests is not None:
            parts.append(f'"size":{digests[2]}')
        told = moment_text(us).replace(" ", "T")
        parts.append(f'"t":"{told}Z","type":"{kind}","v":1}}')
        heapq.heappush(self._waiting, (us, entry_id, ",".join(parts).encode(), salt, detail))
        self.count += 1
        return entry_id

    def until(self, us: int | None) -> dict[str, list[Row]]:
        """Take the entries up to a moment (all, where none is given) into the log, under a checkpoint of their own."""
        taken: list[tuple[int, str, bytes, bytes, bytes]] = []
        while self._waiting and (us is None or self._waiting[0][0] <= us):
            taken.append(heapq.heappop(self._waiting))
        if not taken:
            return {}
        previous = self._tree.size
        growth = self._tree.append(leaf_hash(body) for _, _, body, _, _ in taken)
        self._tree = growth.range
        return {
            "log_entry": [(entry_id, body) for _, entry_id, body, _, _ in taken],
            "log_detail": [(entry_id, salt, detail) for _, entry_id, _, salt, detail in taken],
            "log_leaf": [(previous + step, entry_id) for step, (_, entry_id, *_) in enumerate(taken)],
            "log_node": growth.nodes,
            "log_checkpoint": [self._checkpoint(previous, taken[-1][0] + 1)],
        }  # type: ignore[return-value]

    def _checkpoint(self, previous: int, us: int) -> tuple[Any, ...]:
        found = Checkpoint(self._origin, self._tree.size, self._tree.root)
        note = sign_checkpoint(found, signers=self._signers, time_s=us // 1_000_000)
        return (self._tree.size, previous, self._tree.root, note.decode(), moment_text(us))
