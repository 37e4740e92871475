"""Cosignatures by both kinds of keys.

Vectors: C2SP tlog-cosignature (messages), transparency-dev/formats (a time in a signature), FiloSottile/torchwood (a
log with an ML-DSA-44 key). The bytes that ML-DSA-44 signs are put together here a second time, from the text of the
specification.
"""

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from archive.ledger.checkpoint import Checkpoint, sign_checkpoint
from archive.ledger.keykinds import ED25519_COSIGNATURE, MLDSA44, cosigned_text, cosigned_tree
from archive.ledger.note import (
    MalformedNote,
    NoteSignature,
    NoteSignatureInvalid,
    SignedNote,
    Signer,
    VerifierKey,
    decode_base64,
    open_note,
    sign_note,
    signature_of,
)
from archive.ledger.witnessing import AddCheckpoint, NotByLog, Seen, judge, require_signed
from signing.mldsa import MlDsa44KeyHandle
from tests.unit.ledger.parts import MemoryKey, golden

SOFA = golden("notes.json")["behind_the_sofa"]["note"]
TEXT = SignedNote.parse(SOFA.encode()).text
TIME = 1_679_315_147
TORCHWOOD = golden("mldsa_log.json")
ED = Signer("witness.example/w1", MemoryKey(5), ED25519_COSIGNATURE)
ML = Signer("witness.example/w1", MlDsa44KeyHandle(MLDSA44PrivateKey.from_seed_bytes(b"\x07" * 32)), MLDSA44)


def test_the_message_of_the_specification() -> None:
    assert cosigned_text("any", TEXT, TIME) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_the_cosignature_of_the_specification_states_its_time() -> None:
    line = SignedNote.parse(SOFA.encode()).signatures[1]
    assert ED.verifier.time_of(line.signature) == TIME


def test_the_time_in_a_published_signature() -> None:
    published = (
        "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA=="
    )
    assert ED.verifier.time_of(decode_base64(published)[4:]) == 1_727_964_367


def test_a_published_key_of_a_witness() -> None:
    key = VerifierKey.parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
    assert (key.kind, key.is_of_witness, key.is_of_log) == (ED25519_COSIGNATURE, True, False)


def test_torchwoods_log_with_an_mldsa_key() -> None:
    key = VerifierKey.parse(TORCHWOOD["vkey"])
    request = AddCheckpoint.parse(TORCHWOOD["request"].encode())
    checkpoint = require_signed(request, [key])
    assert (checkpoint.origin, checkpoint.size) == (TORCHWOOD["origin"], 1)
    judge(request, checkpoint, Seen())
    assert request.to_bytes() == TORCHWOOD["request"].encode()
    assert key.is_of_log
    assert key.is_of_witness
    line = request.note.signatures[0]
    assert key.time_of(line.signature) == 0
    for at in (0, 7, 8, 1000, len(line.signature) - 1):
        flipped = bytes(byte ^ (index == at) for index, byte in enumerate(line.signature))
        bad = SignedNote(request.note.text, (NoteSignature(line.key_name, line.key_id, flipped),))
        with pytest.raises(NotByLog):
            require_signed(AddCheckpoint(0, (), bad), [key])


def by_the_text_of_the_specification(name: bytes, time_s: int, origin: bytes, end: int, root: bytes) -> bytes:
    """Struct cosigned_message in TLS presentation language, RFC 8446 section 3."""
    vector = struct.Struct
    return b"".join(
        [
            bytes([0x73, 0x75, 0x62, 0x74, 0x72, 0x65, 0x65, 0x2F, 0x76, 0x31, 0x0A, 0x00]),
            vector(f">B{len(name)}s").pack(len(name), name),
            vector(">Q").pack(time_s),
            vector(f">B{len(origin)}s").pack(len(origin), origin),
            vector(">QQ32s").pack(0, end, root),
        ]
    )


@pytest.mark.parametrize("name", ["w", "局.example/witness", "w" * 255])
@pytest.mark.parametrize("size", [0, 1, 20852163, 2**63 - 1])
@pytest.mark.parametrize("time_s", [0, 1, TIME, 2**63 - 1])
def test_what_mldsa_signs(name: str, size: int, time_s: int) -> None:
    root = hashlib.sha256(b"" if size == 0 else b"root").digest()
    text = str(Checkpoint("日志.example/log", size, root))
    expected = by_the_text_of_the_specification(name.encode(), time_s, "日志.example/log".encode(), size, root)
    assert cosigned_tree(name, text, time_s) == expected


def test_each_kind_verifies_by_the_library_alone() -> None:
    for signer, key in ((ED, Ed25519PublicKey), (ML, MLDSA44PublicKey)):
        line = signature_of(TEXT, signer, time_s=TIME)
        message = (cosigned_text if signer is ED else cosigned_tree)(signer.name, TEXT, TIME)
        assert message is not None
        assert line.signature[:8] == TIME.to_bytes(8)
        key.from_public_bytes(signer.key.public_bytes).verify(line.signature[8:], message)
        name = signer.name.encode()
        assert line.key_id == hashlib.sha256(name + b"\n" + signer.kind + signer.key.public_bytes).digest()[:4]
        assert VerifierKey.parse(str(signer.verifier)) == signer.verifier


@pytest.mark.parametrize("signer", [ED, ML], ids=["ed25519", "mldsa44"])
def test_time_and_text_are_covered(signer: Signer) -> None:
    raw = sign_note(TEXT, [signer], time_s=TIME)
    opened = open_note(raw, [signer.verifier])
    assert opened.time_by(signer.verifier) == TIME
    note = SignedNote.parse(raw)
    line = note.signatures[0]
    later = NoteSignature(line.key_name, line.key_id, (TIME + 1).to_bytes(8) + line.signature[8:])
    beyond = NoteSignature(line.key_name, line.key_id, (2**63).to_bytes(8) + line.signature[8:])
    short = NoteSignature(line.key_name, line.key_id, line.signature[:7])
    for text, bad in ((TEXT, later), (TEXT, beyond), (TEXT, short), (TEXT.replace("20852163", "20852164"), line)):
        with pytest.raises(NoteSignatureInvalid):
            open_note(SignedNote(text, (bad,)).to_bytes(), [signer.verifier])


def test_extension_lines_are_covered_by_ed25519_and_not_by_mldsa() -> None:
    for signer, is_covered in ((ED, True), (ML, False)):
        line = signature_of(TEXT, signer, time_s=TIME)
        raw = SignedNote(TEXT + "more\n", (line,)).to_bytes()
        if is_covered:
            with pytest.raises(NoteSignatureInvalid):
                open_note(raw, [signer.verifier])
        else:
            assert open_note(raw, [signer.verifier]).time_by(signer.verifier) == TIME


@pytest.mark.parametrize("text", ["a\n", "a\n1\n", "a\n01\nAAAA\n", "a\n1\nnot base64\n", f"{'a' * 256}\n" + TEXT[28:]])
def test_mldsa_signs_checkpoints_only(text: str) -> None:
    with pytest.raises(MalformedNote):
        signature_of(text, ML, time_s=TIME)


def test_a_log_signs_with_both_kinds() -> None:
    checkpoint = Checkpoint.parse(TEXT)
    log = [Signer(checkpoint.origin, MemoryKey(1)), Signer(checkpoint.origin, ML.key, MLDSA44)]
    raw = sign_checkpoint(checkpoint, signers=log, time_s=TIME)
    keys = [signer.verifier for signer in log]
    assert len(open_note(raw, keys).verified) == 2
    assert len(open_note(raw, keys[:1]).unknown) == 1  # whoever knows only the old key goes on
    first, second = SignedNote.parse(raw).signatures
    broken = NoteSignature(second.key_name, second.key_id, second.signature[:-1] + bytes([second.signature[-1] ^ 1]))
    with pytest.raises(NoteSignatureInvalid):
        open_note(SignedNote(TEXT, (first, broken)).to_bytes(), keys)
