"""Checkpoints at their edges."""

import base64
from typing import Any

import pytest

from archive.kernel.errors import InvalidInput
from archive.ledger.checkpoint import (
    Checkpoint,
    MalformedCheckpoint,
    WrongOrigin,
    open_checkpoint,
    parse_decimal,
    sign_checkpoint,
)
from archive.ledger.note import NoteUnsigned, Signer, sign_note
from archive.ledger.tree import EMPTY_ROOT, MAX_SIZE
from tests.unit.ledger.parts import LOG_KEY, ORIGIN, RECEIPT_KEY

ROOT = bytes(range(32))
ROOT_TEXT = base64.b64encode(ROOT).decode()
LOG = Signer(ORIGIN, LOG_KEY)


def test_the_text_has_three_lines() -> None:
    assert str(Checkpoint(ORIGIN, 42, ROOT)) == f"{ORIGIN}\n42\n{ROOT_TEXT}\n"


def test_extension_lines_are_read_past() -> None:
    text = f"{ORIGIN}\n42\n{ROOT_TEXT}\nanything at all\n局\n"
    checkpoint = Checkpoint.parse(text)
    assert checkpoint.extensions == ("anything at all", "局")
    assert str(checkpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n42\n{ROOT_TEXT}",
        f"{ORIGIN}\n42\n",
        f"\n42\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n042\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n+42\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n-42\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n0x42\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n\u0664\u0662\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n42\n{ROOT_TEXT[:-4]}\n",
        f"{ORIGIN}\n42\n{ROOT_TEXT} \n",
        f"{ORIGIN}\n42\n{ROOT_TEXT[:-2]}9=\n",
        f"{ORIGIN}\n42\n{ROOT_TEXT}\n\n",
        f"{ORIGIN}\r\n42\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n0\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": ""},
        {"origin": "a\nb"},
        {"size": -1},
        {"size": MAX_SIZE + 1},
        {"root": b"short"},
        {"extensions": ("",)},
    ],
)
def test_values_that_no_checkpoint_has(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(**({"origin": ORIGIN, "size": 42, "root": ROOT} | changes))


def test_an_empty_log_has_a_checkpoint() -> None:
    raw = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), signers=[LOG])
    assert open_checkpoint(raw, keys=[LOG.verifier], origin=ORIGIN).checkpoint.size == 0


def test_a_log_signs_under_its_own_name_only() -> None:
    with pytest.raises(WrongOrigin):
        sign_checkpoint(Checkpoint("other.example/log", 42, ROOT), signers=[LOG])


def test_no_extension_lines_are_signed() -> None:
    with pytest.raises(MalformedCheckpoint):
        sign_checkpoint(Checkpoint(ORIGIN, 42, ROOT, ("more",)), signers=[LOG])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    raw = sign_note(str(Checkpoint("other.example/log", 42, ROOT)), [LOG])
    with pytest.raises(WrongOrigin):
        open_checkpoint(raw, keys=[LOG.verifier], origin=ORIGIN)


def test_a_checkpoint_by_another_key_is_refused() -> None:
    raw = sign_checkpoint(Checkpoint(ORIGIN, 42, ROOT), signers=[LOG])
    with pytest.raises(NoteUnsigned):
        open_checkpoint(raw, keys=[Signer(ORIGIN, RECEIPT_KEY).verifier], origin=ORIGIN)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(MalformedCheckpoint):
        open_checkpoint(sign_note("hello\n", [LOG]), keys=[LOG.verifier], origin=ORIGIN)


def test_decimals() -> None:
    assert parse_decimal("0") == 0
    assert parse_decimal(str(MAX_SIZE)) == MAX_SIZE
    for text in ("", "00", "01", "1 ", "1\n", str(MAX_SIZE + 1), "9" * 5000):
        with pytest.raises(InvalidInput):
            parse_decimal(text)
