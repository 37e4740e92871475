"""The tree, notes and proofs of verify.py, judged by what others published (SOURCE.md); verify.html: tests/e2e."""

import base64

import pytest

from archive.packages.verifier import verify
from tests.unit.ledger.parts import golden

TREE, NOTES, ARGON, TESSERA = (
    golden(name) for name in ("rfc6962_tree.json", "notes.json", "argon2020.json", "tesseract_entry.json")
)
LEAVES, ROOTS = ([bytes.fromhex(each) for each in TREE[name]] for name in ("leaves", "roots"))


def _inclusions() -> list[tuple[bytes, int, int, list[bytes], bytes]]:
    """Entry, index, size, hashes and root of every published inclusion."""
    small = [
        (LEAVES[(at := each["leaf_counted_from_one"] - 1)], at, each["size"], [bytes.fromhex(h) for h in each["proof"]],
         ROOTS[each["size"] - 1])
        for each in TREE["inclusion"]
    ]  # fmt: skip
    large = [
        (
            raw,
            each["index"],
            each["size"],
            [base64.b64decode(h) for h in each["inclusion"]],
            base64.b64decode(each["root"]),
        )
        for each, raw in ((ARGON, base64.b64decode(ARGON["entry"])), (TESSERA, TESSERA["entry"].encode()))
    ]
    return [*small, *large]


@pytest.mark.parametrize(("entry", "index", "size", "hashes", "root"), _inclusions())
def test_published_inclusions_hold_and_spoiled_ones_do_not(
    entry: bytes, index: int, size: int, hashes: list[bytes], root: bytes
) -> None:
    leaf = verify.leaf_hash(entry)
    assert verify.is_included(leaf, index, size, hashes, root)
    spoiled = [
        (verify.leaf_hash(entry + b"x"), index, size, hashes, root),
        (leaf, index - 1, size, hashes, root),
        (leaf, index + 1, size, hashes, root),
        (leaf, index, size * 2, hashes, root),
        (leaf, index, size // 2, hashes, root),
        (leaf, index, size, [*hashes, root], root),
        (leaf, index, size, [root, *hashes], root),
        (leaf, index, size, hashes, bytes.fromhex(TREE["empty_root"])),
        *((leaf, index, size, hashes[:-1], root) for _ in hashes[:1]),
        *((leaf, index, size, [*hashes[:at], b"\0" * 32, *hashes[at + 1 :]], root) for at in range(len(hashes))),
    ]
    assert not any(verify.is_included(*each) for each in spoiled)


def test_keys_that_go_and_the_specification_publish() -> None:
    go = NOTES["go"]
    for text in (go["peter"], go["enoch"], NOTES["foo"]["key"], NOTES["sumdb"]["key"], *NOTES["cosigned"]["keys"]):
        assert verify.parse_vkey(text).kind == verify.ED25519
    peter = go["peter"]
    changed = [peter[:at] + chr(ord(peter[at]) + 1) + peter[at + 1 :] for at in range(len(peter))]
    for bad in (*changed, *(peter[:end] for end in range(len(peter))), *go["bad_keys"]):
        with pytest.raises(verify.Malformed):
            verify.parse_vkey(bad)


def _signed_by(note: str, text: str) -> bool:
    """Return whether a key has signed a note; fails where it has tried and not succeeded."""
    key, read = verify.parse_vkey(text), verify.parse_note(note.encode())
    for name, key_id, signature in read.signatures:
        if (name, key_id) == (key.name, key.key_id):
            return verify.ed25519_verifies(key.public, signature, read.text.encode())
    return False


def test_notes_that_go_and_the_specification_publish() -> None:
    go = NOTES["go"]
    note = go["text"] + "\n" + go["peter_line"] + go["enoch_line"]
    assert _signed_by(note, go["peter"])
    assert _signed_by(note, go["enoch"])
    assert not _signed_by(note.replace("problem", "Problem", 1), go["peter"])
    assert _signed_by(NOTES["foo"]["note"], NOTES["foo"]["key"])
    for bad in (go["text"], go["text"] + "\n", note[:-1], "\x01" + note, note + "Unexpected line.\n"):
        with pytest.raises(verify.Malformed):
            verify.parse_note(bad.encode())


def test_checkpoints_of_sum_golang_org() -> None:
    for each in NOTES["sumdb"]["checkpoints"]:
        assert _signed_by(each["note"], NOTES["sumdb"]["key"])
        told = verify.parse_checkpoint(verify.parse_note(each["note"].encode()).text)
        assert (told.origin, told.size) == (NOTES["sumdb"]["origin"], each["size"])
    several = NOTES["sumdb"]["checkpoints"][0]["note"] + "".join(NOTES["cosigned"]["lines"])
    assert all(_signed_by(several, key) for key in NOTES["cosigned"]["keys"])


@pytest.mark.parametrize("name", golden("tlog_proofs.json")["refused"])
def test_these_proofs_are_refused(name: str) -> None:
    with pytest.raises(verify.Malformed):
        verify.parse_proof(golden("tlog_proofs.json")["refused"][name].encode())
