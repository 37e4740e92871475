"""Our tree, notes, checkpoints and proofs, judged by what others published (SOURCE.md)."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.note import (
    MalformedKey,
    MalformedNote,
    NoteSignatureInvalid,
    NoteUnsigned,
    SignedNote,
    Signer,
    VerifierKey,
    open_note,
    sign_note,
)
from archive.ledger.proof import MalformedProof, TlogProof
from archive.ledger.tree import (
    EMPTY_ROOT,
    CompactRange,
    ConsistencyInvalid,
    InclusionInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from tests.unit.ledger.parts import NodeTable, golden

TREE = golden("rfc6962_tree.json")
TESTDATA = golden("merkle_testdata.json")
NOTES = golden("notes.json")
GO = NOTES["go"]


def _hex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


def _b64(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


LEAVES = [leaf_hash(leaf) for leaf in _hex(TREE["leaves"])]
ROOTS = _hex(TREE["roots"])
SOME_HASH = bytes.fromhex(TREE["some_hash"])


def _table() -> NodeTable:
    return NodeTable(CompactRange().append(LEAVES).nodes)


def test_the_empty_root() -> None:
    assert EMPTY_ROOT.hex() == TREE["empty_root"]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots(size: int) -> None:
    assert root_of(LEAVES[:size]) == ROOTS[size - 1]
    assert CompactRange().append(LEAVES[:size]).range.root == ROOTS[size - 1]


@pytest.mark.parametrize("vector", TREE["inclusion"])
def test_inclusion_proofs_are_made_and_verify(vector: dict[str, Any]) -> None:
    index, size, proof = vector["leaf_counted_from_one"] - 1, vector["size"], _hex(vector["proof"])
    assert inclusion_proof(index, size, reader=_table()) == proof
    verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=ROOTS[size - 1])


@pytest.mark.parametrize("vector", TREE["consistency"])
def test_consistency_proofs_are_made_and_verify(vector: dict[str, Any]) -> None:
    old, new, proof = vector["old_size"], vector["new_size"], _hex(vector["proof"])
    assert consistency_proof(old, new, reader=_table()) == proof
    verify_consistency(old_size=old, old_root=ROOTS[old - 1], new_size=new, new_root=ROOTS[new - 1], proof=proof)


def _wrong_inclusions(vector: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The ways in which transparency-dev/merkle spoils a proof."""
    index, size, proof = vector["leaf_counted_from_one"] - 1, vector["size"], _hex(vector["proof"])
    good: dict[str, Any] = {"leaf": LEAVES[index], "index": index, "size": size, "proof": proof}
    good["root"] = ROOTS[size - 1]
    yield from ({**good, "index": wrong} for wrong in (index - 1, index + 1, index ^ 2))
    yield from ({**good, "size": wrong} for wrong in (size * 2, size // 2))
    yield {**good, "leaf": b"WrongLeaf"}
    yield from ({**good, "root": wrong} for wrong in (EMPTY_ROOT, SOME_HASH, b""))
    for junk in (b"", good["root"]):
        yield {**good, "proof": [*proof, junk]}
        yield {**good, "proof": [junk, *proof]}
    yield from ({**good, "proof": spoiled} for spoiled in _with_flipped_bits(proof))
    if proof:
        yield {**good, "proof": proof[:-1]}
    if len(proof) > 1:
        yield {**good, "proof": [proof[0], SOME_HASH, *proof[1:]]}


def _wrong_consistencies(vector: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The ways in which transparency-dev/merkle spoils a proof."""
    old, new, proof = vector["old_size"], vector["new_size"], _hex(vector["proof"])
    good: dict[str, Any] = {"old_size": old, "new_size": new, "proof": proof}
    good["old_root"], good["new_root"] = ROOTS[old - 1], ROOTS[new - 1]
    yield from ({**good, "old_size": wrong} for wrong in (old - 1, old + 1, old ^ 2))
    yield from ({**good, "new_size": wrong} for wrong in (new * 2, new // 2))
    yield {**good, "old_root": b"WrongRoot"}
    yield {**good, "new_root": b"WrongRoot"}
    yield {**good, "old_root": good["new_root"], "new_root": good["old_root"]}
    yield {**good, "proof": []}
    for junk in (b"", good["old_root"], good["new_root"]):
        yield {**good, "proof": [*proof, junk]}
        yield {**good, "proof": [junk, *proof]}
    yield {**good, "proof": [proof[0], *proof]}
    yield {**good, "proof": proof[:-1]}
    yield from ({**good, "proof": spoiled} for spoiled in _with_flipped_bits(proof))


def _with_flipped_bits(proof: list[bytes]) -> Iterator[list[bytes]]:
    for place, value in enumerate(proof):
        yield [*proof[:place], bytes([value[0] ^ 16]) + value[1:], *proof[place + 1 :]]


def test_spoiled_inclusion_proofs_fail() -> None:
    spoiled = [wrong for vector in TREE["inclusion"] for wrong in _wrong_inclusions(vector)]
    assert len(spoiled) > 60
    for wrong in spoiled:
        with pytest.raises(InclusionInvalid):
            verify_inclusion(**wrong)


def test_spoiled_consistency_proofs_fail() -> None:
    long = [vector for vector in TREE["consistency"] if vector["proof"]]
    spoiled = [wrong for vector in long for wrong in _wrong_consistencies(vector)]
    assert len(spoiled) > 60
    for wrong in spoiled:
        with pytest.raises(ConsistencyInvalid):
            verify_consistency(**wrong)
        if wrong["old_size"]:
            with pytest.raises(ConsistencyInvalid):
                verify_growth(**wrong)


@pytest.mark.parametrize("case", TESTDATA["consistency"], ids=lambda case: case["file"])
def test_published_consistency_files(case: dict[str, Any]) -> None:
    vector = case["vector"]
    given = {"old_size": vector["size1"], "new_size": vector["size2"], "proof": _b64(vector["proof"])}
    given |= {"old_root": _b64([vector["root1"]])[0], "new_root": _b64([vector["root2"]])[0]}
    if vector["wantErr"]:
        with pytest.raises(ConsistencyInvalid):
            verify_consistency(**given)
    else:
        verify_consistency(**given)


@pytest.mark.parametrize("case", TESTDATA["inclusion"], ids=lambda case: case["file"])
def test_published_inclusion_files(case: dict[str, Any]) -> None:
    vector = case["vector"]
    leaf, root = _b64([vector["leafHash"], vector["root"]])
    with pytest.raises(InclusionInvalid):
        verify_inclusion(leaf, index=vector["leafIdx"], size=vector["treeSize"], proof=_b64(vector["proof"]), root=root)


def test_a_real_log_of_a_billion_entries() -> None:
    log = golden("argon2020.json")
    (root, old_root, entry) = _b64([log["root"], log["old_root"], log["entry"]])
    verify_inclusion(leaf_hash(entry), index=log["index"], size=log["size"], proof=_b64(log["inclusion"]), root=root)
    verify_consistency(
        old_size=log["old_size"],
        old_root=old_root,
        new_size=log["size"],
        new_root=root,
        proof=_b64(log["consistency"]),
    )


def test_a_real_last_entry() -> None:
    log = golden("tesseract_entry.json")
    verify_inclusion(
        leaf_hash(log["entry"].encode()),
        index=log["index"],
        size=log["size"],
        proof=_b64(log["inclusion"]),
        root=_b64([log["root"]])[0],
    )


# --- notes ----------------------------------------------------------------------------------------------------

PETER, ENOCH = VerifierKey.parse(GO["peter"]), VerifierKey.parse(GO["enoch"])


class _Peter:
    """The published private key."""

    def __init__(self) -> None:
        material = base64.b64decode(GO["peter_private"].split("+", 4)[4])
        self._key = Ed25519PrivateKey.from_private_bytes(material[1:])

    @property
    def public_bytes(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


@pytest.mark.parametrize(
    "text", [GO["peter"], GO["enoch"], NOTES["foo"]["key"], NOTES["sumdb"]["key"], *NOTES["cosigned"]["keys"]]
)
def test_published_keys_read_and_render(text: str) -> None:
    assert str(VerifierKey.parse(text)) == text


def test_go_refuses_these_keys_and_so_do_we() -> None:
    text = GO["peter"]
    parts = [text[start:end] for start in range(len(text)) for end in range(start + 1, len(text) + 1)]
    changed = [text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :] for place in range(len(text))]
    for bad in [*parts[: len(text) - 1], *parts[len(text) :], *changed, *GO["bad_keys"]]:
        with pytest.raises(MalformedKey):
            VerifierKey.parse(bad)


def test_the_signed_note_of_go_is_made_to_the_byte() -> None:
    made = sign_note(GO["text"], [Signer("PeterNeumann", _Peter())])
    assert made.decode() == GO["text"] + "\n" + GO["peter_line"]


def test_go_opens_these_notes_and_so_do_we() -> None:
    raw = (GO["text"] + "\n" + GO["peter_line"] + GO["enoch_line"]).encode()
    by_peter = open_note(raw, [PETER])
    assert (by_peter.text, by_peter.is_signed_by(PETER), by_peter.is_signed_by(ENOCH)) == (GO["text"], True, False)
    assert [line.key_name for line in by_peter.unknown] == ["EnochRoot"]
    assert len(open_note(raw, [PETER, ENOCH]).verified) == 2
    with pytest.raises(NoteUnsigned):
        open_note(raw, [])


def test_go_refuses_these_notes_and_so_do_we() -> None:
    text, line = GO["text"], GO["peter_line"]
    with pytest.raises(NoteSignatureInvalid):
        open_note((text + "\n" + line[:60] + "ABCD" + line[60:]).encode(), [PETER])
    bad = [
        text,
        text + "\n",
        text + "\n" + line[:-1],
        "\x01" + text + "\n" + line,
        text + "\n" + line.replace("PeterNeumann", "Bad Name")[:-1],
        text + "\n" + line + "Unexpected line.\n",
        text + "\n" + line * 101,
    ]
    for raw in [*(whole.encode() for whole in bad), b"\xff" + (text + "\n" + line).encode()]:
        for keys in ([PETER], []):
            with pytest.raises(MalformedNote):
                open_note(raw, keys)


def test_other_published_notes() -> None:
    assert open_note(NOTES["foo"]["note"].encode(), [VerifierKey.parse(NOTES["foo"]["key"])]).text.startswith("This is")
    quasimodo = NOTES["quasimodo"]["note"].encode()
    note = SignedNote.parse(quasimodo)
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert note.to_bytes() == quasimodo


# --- checkpoints and proofs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", NOTES["sumdb"]["checkpoints"], ids=lambda vector: str(vector["size"]))
def test_checkpoints_of_sum_golang_org(vector: dict[str, Any]) -> None:
    opened = open_checkpoint(
        vector["note"].encode(), keys=[VerifierKey.parse(NOTES["sumdb"]["key"])], origin=NOTES["sumdb"]["origin"]
    )
    assert opened.checkpoint.size == vector["size"]
    assert vector["note"].startswith(str(opened.checkpoint))


def test_a_checkpoint_with_several_signatures() -> None:
    raw = (NOTES["sumdb"]["checkpoints"][0]["note"] + "".join(NOTES["cosigned"]["lines"])).encode()
    keys = [VerifierKey.parse(text) for text in [NOTES["sumdb"]["key"], *NOTES["cosigned"]["keys"]]]
    assert len(open_checkpoint(raw, keys=keys, origin="go.sum database tree").note.verified) == 4
    assert len(open_checkpoint(raw, keys=keys[:1], origin="go.sum database tree").note.unknown) == 3


def test_a_checkpoint_with_a_cosignature_is_read() -> None:
    raw = NOTES["behind_the_sofa"]["note"].encode()
    note = SignedNote.parse(raw)
    assert Checkpoint.parse(note.text).size == 20852163
    assert [len(line.signature) for line in note.signatures] == [64, 72]
    assert note.to_bytes() == raw


@pytest.mark.parametrize("name", golden("tlog_proofs.json")["refused"])
def test_these_proofs_are_refused(name: str) -> None:
    with pytest.raises(MalformedProof):
        TlogProof.parse(golden("tlog_proofs.json")["refused"][name].encode())
