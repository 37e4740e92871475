"""Notes and keys at their edges."""

import pytest

from archive.kernel.errors import InvalidInput
from archive.ledger.note import (
    ED25519,
    MAX_NOTE_BYTES,
    RECEIPT,
    MalformedKey,
    MalformedNote,
    NoteSignature,
    NoteSignatureInvalid,
    NoteUnsigned,
    SignedNote,
    Signer,
    SignerFault,
    VerifierKey,
    decode_base64,
    encode_base64,
    is_key_name,
    open_note,
    sign_note,
)
from tests.unit.ledger.parts import MemoryKey

LOG = Signer("log.example", MemoryKey(3))
WITNESS = Signer("witness.example", MemoryKey(4))
TEXT = "log.example\n7\n"


class Faulty(MemoryKey):
    """A key whose signatures do not verify, as a failing token's."""

    def sign(self, message: bytes) -> bytes:
        return super().sign(message + b"!")


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "Q Q==", "QQ==\n", "QUI-", "Ä===", "=", "QQ==QQ=="])
def test_other_spellings_of_base64_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode_base64(text)


@pytest.mark.parametrize("name", ["log.example", "example.com/log/2026", "局.example", "—"])
def test_key_names(name: str) -> None:
    assert is_key_name(name)
    key = VerifierKey(name, bytes(32))
    assert VerifierKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\tb", "a\n", "a\u3000b", "a\u2028b", "a\x00", "a\x7f\x01", "\ud800"]
)
def test_what_cannot_name_a_key(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(MalformedKey):
        VerifierKey(name, bytes(32))


@pytest.mark.parametrize(("size", "kind"), [(31, ED25519), (33, ED25519), (32, b"\x02"), (32, b""), (31, RECEIPT)])
def test_kinds_have_their_length(size: int, kind: bytes) -> None:
    with pytest.raises(MalformedKey):
        VerifierKey("log.example", bytes(size), kind)


def test_a_receipt_key_is_another_key_than_a_log_key() -> None:
    log, receipt = VerifierKey("a", bytes(32)), VerifierKey("a", bytes(32), RECEIPT)
    assert log.key_id != receipt.key_id
    assert VerifierKey.parse(str(receipt)) == receipt
    assert not receipt.signs_notes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log.example",
        "log.example+00000000",
        "log.example+ABCDEF01+AQ==",
        "log.example+00000000+AR==",
        "log.example+00000000+" + encode_base64(ED25519 + bytes(32)),
        str(LOG.verifier).replace("+", " +", 1),
        str(LOG.verifier) + "\n",
        str(LOG.verifier).upper(),
    ],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(MalformedKey):
        VerifierKey.parse(text)


def test_several_keys_sign_one_note() -> None:
    raw = sign_note(TEXT, [LOG, WITNESS])
    opened = open_note(raw, [LOG.verifier, WITNESS.verifier, LOG.verifier])
    assert opened.text == TEXT
    assert opened.is_signed_by(LOG.verifier)
    assert opened.is_signed_by(WITNESS.verifier)
    assert opened.unknown == ()


def test_a_text_may_hold_empty_lines_and_end_in_one() -> None:
    for text in ("a\n\nb\n", "a\n\n", "\n", "\n\n\n", "— log.example AAAA\n"):
        assert open_note(sign_note(text, [LOG]), [LOG.verifier]).text == text


@pytest.mark.parametrize("text", ["", "a", "a\r\n", "a\tb\n", "\x00\n", "\ud800\n"])
def test_what_cannot_be_the_text_of_a_note(text: str) -> None:
    with pytest.raises(MalformedNote):
        sign_note(text, [LOG])
    with pytest.raises(MalformedNote):
        SignedNote(text, (NoteSignature("a", bytes(4), b"s"),))


def test_a_note_without_signatures_is_none() -> None:
    with pytest.raises(MalformedNote):
        sign_note(TEXT, [])


@pytest.mark.parametrize(
    ("name", "key_id", "signature"), [("a b", bytes(4), b"s"), ("a", bytes(3), b"s"), ("a", bytes(4), b"")]
)
def test_what_is_no_signature(name: str, key_id: bytes, signature: bytes) -> None:
    with pytest.raises(MalformedNote):
        NoteSignature(name, key_id, signature)


@pytest.mark.parametrize(
    "block",
    [
        "- log.example AAAAAAA=\n",
        "—  AAAAAAA=\n",
        "— log.example\n",
        "— log.example AAAAAAB=\n",
        "— log.example AAAAAA==\n",
        "— log.example AAAAAAA=  \n",
        "— log.example AAAAAAA=\n\n",
        "— log.example AAAAAAA=\r\n",
        "",
    ],
)
def test_what_is_no_signature_block(block: str) -> None:
    with pytest.raises(MalformedNote):
        SignedNote.parse(f"{TEXT}\n{block}".encode())


def test_up_to_a_hundred_signatures_are_read() -> None:
    lines = tuple(NoteSignature("unknown.example", number.to_bytes(4), b"s") for number in range(99))
    own = SignedNote.parse(sign_note(TEXT, [LOG])).signatures
    assert open_note(SignedNote(TEXT, lines + own).to_bytes(), [LOG.verifier]).unknown == lines
    with pytest.raises(MalformedNote):
        SignedNote(TEXT, lines + own + own)


def test_a_note_beyond_a_mebibyte_is_not_read() -> None:
    with pytest.raises(MalformedNote, match="1 MiB"):
        SignedNote.parse(b"a" * (MAX_NOTE_BYTES + 1))


def test_a_known_key_that_fails_refuses_the_whole_note() -> None:
    good = SignedNote.parse(sign_note(TEXT, [LOG, WITNESS]))
    forged = NoteSignature(WITNESS.name, WITNESS.verifier.key_id, bytes(64))
    raw = SignedNote(TEXT, (*good.signatures, forged)).to_bytes()
    with pytest.raises(NoteSignatureInvalid):
        open_note(raw, [LOG.verifier, WITNESS.verifier])
    assert open_note(raw, [LOG.verifier]).is_signed_by(LOG.verifier)


def test_a_key_of_the_same_name_but_another_id_is_unknown() -> None:
    with pytest.raises(NoteUnsigned):
        open_note(sign_note(TEXT, [LOG]), [Signer(LOG.name, WITNESS.key).verifier])


def test_keys_that_share_name_and_id_are_refused() -> None:
    one, two = (VerifierKey("log.example", number.to_bytes(32)) for number in (19719, 33356))
    assert one.key_id == two.key_id
    with pytest.raises(MalformedKey, match="share"):
        open_note(sign_note(TEXT, [LOG]), [one, two])


def test_receipt_keys_neither_sign_nor_open_notes() -> None:
    receipt = Signer("log.example", MemoryKey(5), RECEIPT)
    with pytest.raises(MalformedKey):
        sign_note(TEXT, [receipt])
    with pytest.raises(MalformedKey):
        open_note(sign_note(TEXT, [LOG]), [LOG.verifier, receipt.verifier])


def test_a_faulty_signature_does_not_leave() -> None:
    with pytest.raises(SignerFault):
        sign_note(TEXT, [Signer("log.example", Faulty(6))])
