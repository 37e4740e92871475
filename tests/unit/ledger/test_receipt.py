"""Receipts: what makes one valid, invalid or indeterminate, and that nothing else gets through."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from archive.kernel.canonical import canonical_json
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome, Report
from archive.ledger.checkpoint import WrongOrigin
from archive.ledger.note import RECEIPT, Signer
from archive.ledger.receipt import (
    MAX_RECEIPT_BYTES,
    MalformedEntry,
    MalformedReceipt,
    Receipt,
    ReceiptSignature,
    SignedReceipt,
    issue_receipt,
    parse_receipt,
    received_digests,
    verify_receipt,
)
from archive.ledger.tree import InclusionInvalid
from tests.unit.ledger.parts import (
    FOOTAGE,
    MANIFEST,
    ORIGIN,
    RECEIPT_KEY,
    TRUST,
    UPLOAD,
    MemoryKey,
    MemoryLog,
    log_with,
    receipt_of,
    received,
)

GOOD = receipt_of()
DIGESTS = digest_of(FOOTAGE)


def check(envelope: bytes = GOOD, **changes: Any) -> Report:
    return verify_receipt(envelope, **({"trust": TRUST, "digests": DIGESTS, "manifest": MANIFEST} | changes))


def codes(report: Report) -> dict[str, str]:
    return {finding.code: finding.outcome.value for finding in report.findings}


def wrong(report: Report) -> list[str]:
    return [finding.code for finding in report.findings if finding.outcome is not Outcome.VALID]


def resigned(receipt: Receipt, *, seed: int = 2, name: str = f"{ORIGIN}/receipt") -> bytes:
    """The receipt signed as the archive would, whatever it states."""
    signer = Signer(name, MemoryKey(seed), RECEIPT)
    line = ReceiptSignature(name, signer.verifier.key_id, signer.sign(receipt.signed_bytes))
    return SignedReceipt(receipt, (line,)).to_bytes()


def test_a_good_receipt() -> None:
    report = check()
    assert report.outcome is Outcome.VALID
    assert list(codes(report)) == [
        "receipt.well_formed",
        "receipt.signature_valid",
        "receipt.digests_match",
        "receipt.manifest_matches",
        "proof.inclusion_valid",
        "checkpoint.signature_valid",
    ]


def test_the_form_of_the_file() -> None:
    value = json.loads(GOOD)
    assert canonical_json(value) == GOOD
    assert set(value["receipt"]) == {"v", "upload", "manifest", "entry", "proof"}
    assert value["receipt"]["v"] == 1
    assert value["receipt"]["entry"].encode() == received()
    assert value["receipt"]["proof"].startswith("c2sp.org/tlog-proof@v1\n")
    (signature,) = value["signatures"]
    assert signature["alg"] == "Ed25519"
    assert signature["key"] == f"{ORIGIN}/receipt+{TRUST.receipts[0].key_id.hex()}"


def test_it_reads_what_it_writes() -> None:
    signed = parse_receipt(GOOD)
    assert signed.to_bytes() == GOOD
    assert signed.receipt.upload_id == UPLOAD
    assert signed.receipt.signed_bytes.startswith(b'liuhen-receipt/v1\n{"entry":')


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    value = json.loads(GOOD)
    files = {name: tmp_path / name for name in ("key", "signature", "message")}
    files["key"].write_bytes(
        Ed25519PublicKey.from_public_bytes(RECEIPT_KEY.public_bytes).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
    )
    files["signature"].write_bytes(base64.b64decode(value["signatures"][0]["sig"]))
    files["message"].write_bytes(b"liuhen-receipt/v1\n" + rfc8785.dumps(value["receipt"]))
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", files["key"]]
    argv += ["-sigfile", files["signature"], "-in", files["message"]]
    assert subprocess.run(argv, check=True, capture_output=True).stdout.startswith(b"Signature Verified")


def test_without_pinned_keys_it_is_consistent_but_nobody_knows_by_whom() -> None:
    report = check(trust=None)
    assert report.outcome is Outcome.INDETERMINATE
    assert wrong(report) == ["receipt.signer_not_established", "checkpoint.signer_not_established"]


def test_without_pinned_keys_a_wrong_file_is_still_wrong() -> None:
    assert check(trust=None, digests=digest_of(b"other")).outcome is Outcome.INVALID


def test_a_file_that_was_not_compared_leaves_it_open() -> None:
    report = check(digests=None)
    assert report.outcome is Outcome.INDETERMINATE
    assert wrong(report) == ["receipt.file_not_compared"]


def test_a_manifest_that_was_not_given_is_not_asked_about() -> None:
    assert check(manifest=None).outcome is Outcome.VALID


def test_another_file() -> None:
    assert wrong(check(digests=digest_of(FOOTAGE + b"."))) == ["receipt.digest_mismatch"]


def test_another_manifest() -> None:
    assert wrong(check(manifest=b"{}")) == ["receipt.manifest_mismatch"]


def test_an_entry_that_is_not_in_the_log() -> None:
    receipt = parse_receipt(GOOD).receipt
    other = Receipt(receipt.upload_id, receipt.manifest, received(b"swapped"), receipt.proof)
    report = check(resigned(other), digests=digest_of(b"swapped"))
    assert wrong(report) == ["proof.inclusion_invalid"]


def test_a_signature_that_fails() -> None:
    signed = parse_receipt(GOOD)
    line = signed.signatures[0]
    forged = SignedReceipt(signed.receipt, (ReceiptSignature(line.key_name, line.key_id, bytes(64)),))
    assert wrong(check(forged.to_bytes())) == ["receipt.signature_invalid"]


@pytest.mark.parametrize(("seed", "name"), [(3, f"{ORIGIN}/receipt"), (2, ORIGIN), (2, "other.example/receipt")])
def test_a_signature_by_nobody_who_is_pinned(seed: int, name: str) -> None:
    assert wrong(check(resigned(parse_receipt(GOOD).receipt, seed=seed, name=name))) == ["receipt.signer_unknown"]


def test_another_profile_may_sign_beside() -> None:
    signed = parse_receipt(GOOD)
    beside = ReceiptSignature("other.example", bytes(4), b"whatever")
    assert check(SignedReceipt(signed.receipt, (beside, *signed.signatures)).to_bytes()).outcome is Outcome.VALID


def test_a_complete_forgery_is_invalid_and_without_keys_never_valid() -> None:
    entry = received(b"forged")
    log = MemoryLog(key=MemoryKey(66))
    log.append(entry)
    envelope = issue_receipt(
        upload_id=UPLOAD, manifest=MANIFEST, entry=entry, proof=log.proof(0), origin=ORIGIN, key=MemoryKey(67)
    )
    pinned, unpinned = (check(envelope, digests=digest_of(b"forged"), trust=trust) for trust in (TRUST, None))
    assert wrong(pinned) == ["receipt.signer_unknown", "checkpoint.signer_unknown"]
    assert pinned.outcome is Outcome.INVALID
    assert unpinned.outcome is Outcome.INDETERMINATE


def test_a_real_receipt_with_a_forged_log() -> None:
    """The receipt key alone is not enough: the log must have signed too."""
    entry = received()
    log = MemoryLog(key=MemoryKey(66))
    log.append(entry)
    envelope = issue_receipt(
        upload_id=UPLOAD, manifest=MANIFEST, entry=entry, proof=log.proof(0), origin=ORIGIN, key=RECEIPT_KEY
    )
    assert wrong(check(envelope)) == ["checkpoint.signer_unknown"]


ENTRIES = {
    "another type": received(type="access.view"),
    "no type": received(type=None),
    "no digests": received(dig=None),
    "digests of a wrong form": received(dig={"sha256": "00"}),
    "digests that are no strings": received(dig={"sha256": 1, "sha512": []}),
    "no size": received(size=None),
    "a size below nothing": received(size=-1),
    "a size that is no number": received(size="16"),
    "a size that is true": received(size=True),
    "another version": received(v=2),
    "a version that is true": received(v=True),
    "not canonical": received().replace(b":1", b": 1"),
    "not an object": b"[]",
    "deep": b"[" * 900 + b"]" * 900,
    "not JSON": b"hello",
    "not UTF-8": b'"\xff"',
    "too long": received(req="a" * 65_535),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_that_are_of_nothing_received(name: str) -> None:
    entry = ENTRIES[name]
    with pytest.raises(MalformedEntry):
        received_digests(entry)
    with pytest.raises(MalformedEntry):
        issue_receipt(
            upload_id=UPLOAD,
            manifest=MANIFEST,
            entry=entry,
            proof=log_with(entry).proof(4),
            origin=ORIGIN,
            key=RECEIPT_KEY,
        )


def test_an_entry_of_another_type_makes_a_receipt_invalid() -> None:
    entry = received(type="access.view")
    receipt = Receipt(UPLOAD, parse_receipt(GOOD).receipt.manifest, entry, log_with(entry).proof(4))
    for digests in (DIGESTS, None):
        assert wrong(check(resigned(receipt), digests=digests)) == ["receipt.entry_malformed"]


def test_a_receipt_that_would_not_hold_is_not_issued() -> None:
    given: dict[str, Any] = {"upload_id": UPLOAD, "manifest": MANIFEST, "key": RECEIPT_KEY, "origin": ORIGIN}
    proof = log_with(received()).proof(4)
    with pytest.raises(InclusionInvalid):
        issue_receipt(**given, entry=received(b"other"), proof=proof)
    with pytest.raises(WrongOrigin):
        issue_receipt(**(given | {"origin": "other.example"}), entry=received(), proof=proof)


def altered(*path: str | int, to: Any) -> bytes:
    """The good receipt with one value replaced, in canonical form again; `...` removes it."""
    value = json.loads(GOOD)
    place = value
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return canonical_json(value)


LINE = json.loads(GOOD)["signatures"][0]
MALFORMED = {
    "empty": b"",
    "no JSON": b"hello",
    "no object": b"[]",
    "deep": b"[" * 900 + b"]" * 900,
    "a newline after it": GOOD + b"\n",
    "a blank in it": GOOD.replace(b":1", b": 1"),
    "a key twice": GOOD.replace(b'"v":1', b'"v":1,"v":1'),
    "another field": altered("comment", to="hello"),
    "no receipt": altered("receipt", to=...),
    "a receipt that is none": altered("receipt", to=None),
    "another field in the receipt": altered("receipt", "comment", to=""),
    "no upload": altered("receipt", "upload", to=...),
    "an upload that is no id": altered("receipt", "upload", to="1"),
    "an upload that is no string": altered("receipt", "upload", to=1),
    "an upload in capitals": altered("receipt", "upload", to=str(UPLOAD).upper()),
    "another version": altered("receipt", "v", to=2),
    "a version that is true": altered("receipt", "v", to=True),
    "a manifest that is none": altered("receipt", "manifest", to="00"),
    "a manifest digest that is none": altered("receipt", "manifest", "sha256", to=None),
    "a manifest digest in capitals": altered("receipt", "manifest", "sha256", to="AB" * 32),
    "an entry that is no string": altered("receipt", "entry", to={}),
    "a proof that is none": altered("receipt", "proof", to="hello"),
    "a proof that is no string": altered("receipt", "proof", to=None),
    "no signatures": altered("signatures", to=[]),
    "signatures that are no list": altered("signatures", to=LINE),
    "too many signatures": altered("signatures", to=[LINE] * 17),
    "a key that signs twice": altered("signatures", to=[LINE, LINE]),
    "a signature that is none": altered("signatures", 0, to="hello"),
    "a signature without a key": altered("signatures", 0, "key", to=...),
    "a key without an id": altered("signatures", 0, "key", to=f"{ORIGIN}/receipt"),
    "a key whose name is none": altered("signatures", 0, "key", to="a b+00000000"),
    "another algorithm": altered("signatures", 0, "alg", to="none"),
    "a signature that is not base64": altered("signatures", 0, "sig", to="*"),
    "too long": b" " * (MAX_RECEIPT_BYTES + 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_receipt(name: str) -> None:
    with pytest.raises(MalformedReceipt):
        parse_receipt(MALFORMED[name])
    assert codes(check(MALFORMED[name])) == {"receipt.malformed": "invalid"}
