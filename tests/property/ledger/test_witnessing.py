"""The witness protocol under any order of honest growth, old requests, forks and damage."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from archive.kernel.clock import SystemClock
from archive.ledger.checkpoint import Checkpoint, sign_checkpoint
from archive.ledger.keykinds import ED25519_COSIGNATURE
from archive.ledger.note import SignedNote, Signer, open_note
from archive.ledger.tree import CompactRange, consistency_proof, leaf_hash
from archive.ledger.witness import Witness, WitnessStore
from archive.ledger.witnessing import (
    AddCheckpoint,
    LogUnknown,
    MalformedRequest,
    NotByLog,
    NotConsistent,
    NotFromThere,
    OldAboveNew,
    Refusal,
)
from tests.unit.ledger.parts import MemoryKey, MemoryLog

LOG = Signer("log.example", MemoryKey(1))
COSIGNER = Signer("witness.example", MemoryKey(2), ED25519_COSIGNATURE)


class _Tree:
    """A log that remembers every size it had."""

    def __init__(self, salt: bytes = b"") -> None:
        self.log = MemoryLog(origin=LOG.name)
        self.roots = [CompactRange().root]
        self._salt = salt

    def grow(self, count: int, salt: bytes | None = None) -> None:
        for _ in range(count):
            self.log.append(b"%d" % self.log.edge.size + (self._salt if salt is None else salt))
            self.roots.append(self.log.edge.root)

    def request(self, old: int, size: int, *, signer: Signer = LOG, origin: str = LOG.name) -> AddCheckpoint:
        proof: Any = () if not 0 < old <= size else consistency_proof(old, size, reader=self.log.table)
        note = sign_checkpoint(Checkpoint(origin, size, self.roots[size]), signers=[signer])
        return AddCheckpoint(old, tuple(proof), SignedNote.parse(note))


class WitnessMachine(RuleBasedStateMachine):
    """An honest log and its fork, against one witness."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        store = WitnessStore(Path(self._folder.name) / "w.sqlite3")
        store.add_log(LOG.verifier)
        self.witness = Witness(store, [COSIGNER], SystemClock())
        self.honest, self.fork = _Tree(), _Tree()
        self.cosigned: dict[int, bytes] = {}
        self.last = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    def _cosigned(self, request: AddCheckpoint) -> None:
        lines = self.witness.cosign(request)
        note = open_note(request.note.to_bytes() + f"{lines[0]}\n".encode(), [COSIGNER.verifier])
        assert note.time_by(COSIGNER.verifier)
        head = request.checkpoint
        assert self.cosigned.setdefault(head.size, head.root) == head.root
        assert head.size >= self.last
        self.last = head.size

    @rule(count=st.integers(1, 9))
    def grow(self, count: int) -> None:
        # The fork is the same log but for its first entry after what it had.
        self.honest.grow(count)
        self.fork.grow(count, b"forged")

    @rule(data=st.data())
    def honest_request(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(self.last, len(self.honest.roots) - 1))
        self._cosigned(self.honest.request(self.last, size))

    @rule(data=st.data())
    def request_from_elsewhere(self, data: st.DataObject) -> None:
        sizes = st.integers(0, len(self.honest.roots) - 1)
        old, size = data.draw(sizes), data.draw(sizes)
        if old == self.last and size >= old:
            return
        with pytest.raises(OldAboveNew if old > size else NotFromThere) as told:
            self.witness.cosign(self.honest.request(old, size))
        if old <= size:
            assert told.value.body == b"%d\n" % self.last  # type: ignore[attr-defined]

    @rule(data=st.data())
    def forged_request(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(self.last, len(self.fork.roots) - 1))
        if self.last == 0 or size == 0:
            return  # from nothing everything follows
        with pytest.raises((NotFromThere, NotConsistent)) as told:
            self.witness.cosign(self.fork.request(self.last, size))
        assert told.type is (NotFromThere if size == self.last else NotConsistent)

    @invariant()
    def memory_is_what_was_cosigned(self) -> None:
        (followed,) = self.witness.store.followed()
        assert followed.seen.size == self.last
        assert followed.seen.root == self.cosigned.get(self.last, followed.seen.root)


TestWitness = WitnessMachine.TestCase
TestWitness.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@given(old=st.integers(0, 40), grown=st.integers(0, 40))
def test_requests_read_what_they_render(old: int, grown: int) -> None:
    tree = _Tree()
    tree.grow(old + grown)
    request = tree.request(old, old + grown)
    assert AddCheckpoint.parse(request.to_bytes()) == request


@given(raw=st.binary(max_size=200))
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRequest):
        AddCheckpoint.parse(raw)


def _good() -> bytes:
    tree = _Tree()
    tree.grow(7)
    return tree.request(3, 7).to_bytes()


GOOD = _good()


@pytest.mark.parametrize(
    "raw",
    [
        GOOD.replace(b"old 3", b"old 03"),
        GOOD.replace(b"old 3", b"old  3"),
        GOOD.replace(b"old 3", b"Old 3"),
        GOOD.replace(b"old 3", b"old -3"),
        GOOD.replace(b"old 3", b"old 9223372036854775808"),
        GOOD.replace(b"old 3\n", b"old 3\nAAAA\n"),
        GOOD.replace(b"old 3\n", b"old 3\n" + b"A" * 43 + b"=\n" * 64),
        GOOD.replace(b"old 3\n", b"old 3\n" + (b"A" * 43 + b"=\n") * 64),
        GOOD.replace(b"\n\n", b"\n", 1),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD[:-1],
        b"\n" + GOOD,
    ],
)  # fmt: skip
def test_other_forms_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRequest):
        AddCheckpoint.parse(raw)


def test_who_may_ask(tmp_path: Path) -> None:
    store = WitnessStore(tmp_path / "w.sqlite3")
    witness = Witness(store, [COSIGNER], SystemClock())
    tree = _Tree()
    tree.grow(5)
    with pytest.raises(LogUnknown) as unknown:
        witness.cosign(tree.request(0, 5))
    store.add_log(LOG.verifier)
    with pytest.raises(NotByLog) as not_signed:
        witness.cosign(tree.request(0, 5, signer=Signer(LOG.name, MemoryKey(9))))
    with pytest.raises(Refusal):  # an old size of nothing needs an empty proof
        witness.cosign(AddCheckpoint(0, (leaf_hash(b""),), tree.request(0, 5).note))
    assert (unknown.value.status, not_signed.value.status) == (404, 403)
    witness.cosign(tree.request(0, 0))  # an empty log is a log
    witness.cosign(tree.request(0, 5))
    assert witness.cosign(tree.request(5, 5))  # fresh again
