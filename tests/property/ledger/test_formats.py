"""Notes, checkpoints, proofs, trust files and receipts: read back as written, and any changed byte is refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.kernel.digests import digest_of
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Outcome
from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.note import NoteSignature, SignedNote, Signer, VerifierKey, open_note, sign_note
from archive.ledger.proof import TlogProof
from archive.ledger.receipt import parse_receipt, verify_receipt
from archive.ledger.trustfile import TrustFile
from tests.unit.ledger.parts import FOOTAGE, LOG_KEY, MANIFEST, ORIGIN, TRUST, log_with, receipt_of, received

_lines = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(code) for code in range(32)]), max_size=20
)
_names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1, max_size=12
)
_signatures = st.builds(NoteSignature, _names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))

LOG = Signer(ORIGIN, LOG_KEY)
ENTRY = received()
PROOF = str(log_with(ENTRY).proof(4)).encode()
HEAD = log_with(ENTRY).head()
RECEIPT = receipt_of()
DIGESTS = digest_of(FOOTAGE)


@given(st.lists(_lines, min_size=1, max_size=5), st.lists(_signatures, min_size=1, max_size=5))
def test_notes_read_back(lines: list[str], signatures: list[NoteSignature]) -> None:
    note = SignedNote("".join(f"{line}\n" for line in lines), tuple(signatures))
    assert SignedNote.parse(note.to_bytes()) == note


@given(st.lists(_lines, min_size=1, max_size=5))
def test_signed_notes_open(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    assert open_note(sign_note(text, [LOG]), [LOG.verifier]).text == text


@given(_names, st.binary(min_size=32, max_size=32))
def test_keys_read_back(name: str, public_bytes: bytes) -> None:
    key = VerifierKey(name, public_bytes)
    assert VerifierKey.parse(str(key)) == key


@given(
    _lines.filter(bool),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(_lines.filter(bool), max_size=3),
)
def test_checkpoints_read_back(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(str(checkpoint)) == checkpoint


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(min_size=1, max_size=40),
)
def test_proofs_read_back(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    proof = TlogProof.of(index=index, hashes=hashes, note=HEAD, extra=extra)
    assert TlogProof.parse(str(proof).encode()) == proof


@given(st.binary(max_size=200))
def test_no_bytes_surprise_a_reader(raw: bytes) -> None:
    for read in (SignedNote.parse, TlogProof.parse, TrustFile.parse, parse_receipt):
        with pytest.raises(LiuhenError):
            read(raw)
    assert verify_receipt(raw, trust=TRUST, digests=DIGESTS).outcome is Outcome.INVALID


def _spoil(raw: bytes, place: int, change: int) -> bytes:
    place %= len(raw)
    return raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]


_places, _changes = st.integers(0, 2**16), st.integers(1, 255)


@settings(max_examples=200)
@given(_places, _changes)
def test_any_changed_byte_of_a_checkpoint_is_refused(place: int, change: int) -> None:
    with pytest.raises(LiuhenError):
        open_checkpoint(_spoil(HEAD, place, change), keys=[LOG.verifier], origin=ORIGIN)


@settings(max_examples=200)
@given(_places, _changes)
def test_any_changed_byte_of_a_proof_is_refused(place: int, change: int) -> None:
    try:
        proof = TlogProof.parse(_spoil(PROOF, place, change))
    except LiuhenError:
        return
    assert proof.verify(ENTRY, trust=TRUST).outcome is Outcome.INVALID


@settings(max_examples=300)
@given(_places, _changes)
@example(0, 1)
@example(len(RECEIPT) - 1, 1)
def test_any_changed_byte_of_a_receipt_is_refused(place: int, change: int) -> None:
    report = verify_receipt(_spoil(RECEIPT, place, change), trust=TRUST, digests=DIGESTS, manifest=MANIFEST)
    assert report.outcome is Outcome.INVALID


def test_every_byte_of_a_receipt_counts() -> None:
    for place in range(len(RECEIPT)):
        spoiled = _spoil(RECEIPT, place, 1)
        assert verify_receipt(spoiled, trust=TRUST, digests=DIGESTS).outcome is Outcome.INVALID, place


@given(st.integers(0, len(RECEIPT) - 1))
def test_a_cut_receipt_is_refused(length: int) -> None:
    assert verify_receipt(RECEIPT[:length], trust=TRUST, digests=DIGESTS).outcome is Outcome.INVALID


@given(st.binary(max_size=64))
def test_another_file_is_refused(footage: bytes) -> None:
    report = verify_receipt(RECEIPT, trust=TRUST, digests=digest_of(footage))
    assert report.outcome is (Outcome.VALID if footage == FOOTAGE else Outcome.INVALID)


@settings(max_examples=200)
@given(_places, _changes)
def test_any_changed_byte_of_a_trust_file_changes_no_key_unnoticed(place: int, change: int) -> None:
    try:
        read = TrustFile.parse(_spoil(str(TRUST).encode(), place, change))
    except LiuhenError:
        return
    assert read == TRUST  # a comment was changed
