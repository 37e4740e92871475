"""Proof files at their edges, and what they show."""

from typing import Any

import pytest

from archive.kernel.findings import Outcome, Report
from archive.ledger.note import MalformedNote, NoteSignature, SignedNote, Signer, sign_note
from archive.ledger.proof import MAX_PROOF_BYTES, MalformedProof, TlogProof
from archive.ledger.trustfile import TrustFile
from tests.unit.ledger.parts import ORIGIN, TRUST, MemoryKey, MemoryLog, log_with

ENTRY = b'{"v":1}'
LOG = log_with(ENTRY)
PROOF = LOG.proof(4)
TEXT = str(PROOF)


def codes(report: Report) -> list[tuple[str, str]]:
    return [(finding.code, finding.outcome.value) for finding in report.findings]


def test_it_reads_what_it_renders() -> None:
    assert TlogProof.parse(TEXT.encode()) == PROOF
    assert TEXT.startswith("c2sp.org/tlog-proof@v1\nindex 4\n")
    assert TEXT.endswith(LOG.head().decode())


def test_extra_data_is_kept_and_shows_nothing() -> None:
    proof = TlogProof.of(index=4, hashes=PROOF.hashes, note=LOG.head(), extra=b"what else")
    assert TlogProof.parse(str(proof).encode()) == proof
    assert "\nextra d2hhdCBlbHNl\nindex 4\n" in str(proof)
    assert proof.verify(ENTRY, trust=TRUST).outcome is Outcome.VALID


def test_the_only_entry_needs_no_hashes() -> None:
    log = MemoryLog()
    log.append(ENTRY)
    proof = log.proof(0)
    assert str(proof).startswith("c2sp.org/tlog-proof@v1\nindex 0\n\n")
    assert TlogProof.parse(str(proof).encode()) == proof
    assert proof.verify(ENTRY, trust=TRUST).outcome is Outcome.VALID


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("index 4", "index 04"),
        TEXT.replace("index 4", "index +4"),
        TEXT.replace("index 4", "index  4"),
        TEXT.replace("index 4\n", ""),
        TEXT.replace("index 4\n", "index 4\n\n"),
        TEXT.replace("index 4", f"index {2**63}"),
        TEXT.replace("index", "extra \nindex"),
        TEXT.replace("index", "extra YR==\nindex"),
        TEXT.replace("index", "extra\nindex"),
        TEXT.replace("index", "extra YQ==\nextra YQ==\nindex"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("index 4\n", "index 4\nAAAA\n"),
        TEXT.replace("index 4\n", "index 4\n" + "A" * 43 + "=\n" + ("A" * 43 + "=\n") * 63),
        TEXT.replace(ORIGIN + "\n", "\n", 1),
        TEXT.replace("\n11\n", "\n011\n"),
        TEXT.replace("\n\n", "\n"),
        "c2sp.org/tlog-proof@v1\n\n" + LOG.head().decode(),
    ],
)
def test_what_is_no_proof(text: str) -> None:
    with pytest.raises(MalformedProof):
        TlogProof.parse(text.encode())


def test_bytes_that_are_no_proof() -> None:
    for raw in (b"\xff" + TEXT.encode(), b"a" * (MAX_PROOF_BYTES + 1)):
        with pytest.raises(MalformedProof):
            TlogProof.parse(raw)


@pytest.mark.parametrize(
    "changes", [{"index": -1}, {"hashes": [b"short"]}, {"hashes": [bytes(32)] * 64}, {"extra": b""}]
)
def test_parts_that_have_no_place_in_a_proof(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedProof):
        TlogProof.of(**({"index": 4, "hashes": PROOF.hashes, "note": LOG.head()} | changes))


def test_a_note_that_is_none_or_no_checkpoint() -> None:
    with pytest.raises(MalformedNote):
        TlogProof.of(index=0, hashes=[], note=b"")
    with pytest.raises(MalformedProof):
        TlogProof.of(index=0, hashes=[], note=sign_note("hello\n", [Signer(ORIGIN, MemoryKey(1))]))


def test_what_a_good_proof_shows() -> None:
    assert codes(PROOF.verify(ENTRY, trust=TRUST)) == [
        ("proof.inclusion_valid", "valid"),
        ("checkpoint.signature_valid", "valid"),
    ]


def test_without_pinned_keys_the_signer_is_not_established() -> None:
    report = PROOF.verify(ENTRY, trust=None)
    assert report.outcome is Outcome.INDETERMINATE
    assert codes(report)[1] == ("checkpoint.signer_not_established", "indeterminate")


def test_another_entry_is_not_included() -> None:
    assert codes(PROOF.verify(b'{"v":2}', trust=TRUST))[0] == ("proof.inclusion_invalid", "invalid")


def test_a_complete_forgery_is_invalid() -> None:
    forger = MemoryLog(key=MemoryKey(66))
    forger.append(ENTRY)
    report = forger.proof(0).verify(ENTRY, trust=TRUST)
    assert codes(report) == [("proof.inclusion_valid", "valid"), ("checkpoint.signer_unknown", "invalid")]


def test_a_forgery_under_the_pinned_key_id_is_invalid() -> None:
    forged = SignedNote(PROOF.note.text, (NoteSignature(ORIGIN, TRUST.logs[0].key_id, bytes(64)),))
    report = TlogProof(4, PROOF.hashes, forged).verify(ENTRY, trust=TRUST)
    assert codes(report)[1] == ("checkpoint.signature_invalid", "invalid")


def test_a_log_cannot_sign_for_another_origin() -> None:
    """A pinned log that turns bad must not be able to vouch in the name of a second pinned log."""
    other = Signer("other.example/log", MemoryKey(7)).verifier
    trust = TrustFile((*TRUST.logs, other), TRUST.receipts)
    text = PROOF.note.text.replace(ORIGIN, other.name)
    proof = TlogProof.of(index=4, hashes=PROOF.hashes, note=sign_note(text, [Signer(ORIGIN, MemoryKey(1))]))
    assert codes(proof.verify(ENTRY, trust=trust))[1] == ("checkpoint.signer_unknown", "invalid")
