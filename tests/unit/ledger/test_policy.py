"""Policies: the example and the rules of C2SP tlog-policy (commit 13027eee), and what our trust file adds."""

import itertools

import pytest

from archive.kernel.findings import Outcome
from archive.ledger.keykinds import ED25519_COSIGNATURE
from archive.ledger.note import SignedNote, Signer, VerifierKey, open_note, signature_of
from archive.ledger.policy import Group, MalformedPolicy, Witness, WitnessPolicy
from archive.ledger.receipt import verify_receipt
from archive.ledger.trustfile import MalformedTrustFile, TrustFile, parse_policy
from tests.unit.ledger.parts import FOOTAGE, ORIGIN, TRUST, MemoryKey, digest_of, log_with, receipt_of, received

WITNESSES = {
    name: Signer(f"witness.example/{name}", MemoryKey(20 + number), ED25519_COSIGNATURE)
    for number, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"))
}
EXAMPLE = "".join(
    (
        f"log {TRUST.logs[0]}\n\n",
        *(f"witness {name} {WITNESSES[name].verifier}\n" for name in ("X1", "X2", "X3")),
        "group X-witnesses 2 X1 X2 X3\n\n",
        *(f"witness {name} {WITNESSES[name].verifier}\n" for name in ("Y1", "Y2", "Y3")),
        "group Y-witnesses any Y1 Y2 Y3\n\n",
        "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
    )
)
HEAD = SignedNote.parse(log_with(received()).head())


def cosigned(*names: str, time_s: int = 1_700_000_000) -> SignedNote:
    lines = [signature_of(HEAD.text, WITNESSES[name], time_s=time_s) for name in names]
    return SignedNote(HEAD.text, (*HEAD.signatures, *lines))


def test_the_example_of_the_specification_for_every_set_of_witnesses() -> None:
    policy = TrustFile.parse(EXAMPLE.encode()).policy
    for chosen in itertools.chain.from_iterable(itertools.combinations(WITNESSES, n) for n in range(7)):
        expected = sum(name[0] == "X" for name in chosen) >= 2 and any(name[0] == "Y" for name in chosen)
        assert policy.is_met_by(WITNESSES[name].verifier for name in chosen) == expected, chosen


def test_a_plain_policy_file_is_a_trust_file_and_is_rendered_so_that_it_means_the_same() -> None:
    trust = TrustFile.parse(EXAMPLE.encode())
    assert trust.receipts == ()
    again = TrustFile.parse(str(trust).encode())
    assert again == trust
    assert [group.threshold for group in again.policy.groups] == [2, 1, 2]


def test_addresses_are_read_and_not_given_out() -> None:
    text = f"witness w {WITNESSES['X1'].verifier} https://w.example/\nquorum w\n"
    policy = parse_policy(text.encode())
    assert policy.witnesses[0].url == "https://w.example/"
    assert policy.without_urls.witnesses[0].url is None
    assert policy.lines() == text.splitlines()


KEY = str(WITNESSES["X1"].verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"witness w {KEY}\n",  # no quorum
        f"witness w {KEY}\nquorum w\nquorum w\n",
        f"quorum w\nwitness w {KEY}\n",  # used before it is defined
        f"witness none {KEY}\nquorum none\n",
        f"witness w {KEY}\nwitness w {WITNESSES['X2'].verifier}\nquorum w\n",
        f"witness w {KEY}\nwitness v {KEY}\nquorum w\n",  # one key twice
        f"witness w {KEY}\ngroup w 1 w\nquorum w\n",
        f"witness w {KEY}\ngroup g 2 w\nquorum g\n",
        f"witness w {KEY}\ngroup g 0 w\nquorum g\n",
        f"witness w {KEY}\ngroup g 01 w\nquorum g\n",
        f"witness w {KEY}\ngroup g +1 w\nquorum g\n",
        f"witness w {KEY}\ngroup g any\nquorum g\n",
        f"witness w {KEY}\ngroup g any w w\nquorum g\n",
        f"witness w {KEY}\ngroup g any w\ngroup h any w\nquorum g\n",  # a member twice
        f"witness w {KEY}\ngroup g any none\nquorum g\n",
        "group g any h\ngroup h any g\nquorum g\n",
        f"witness w {TRUST.logs[0]}\nquorum w\n",  # a log's kind of key
        f"witness {KEY}\nquorum none\n",
        f"witness w {KEY} https://a/ https://b/\nquorum w\n",
        f"witness w {KEY}\nquorum w v\n",
        "quorum none",
        "quorum\u00a0none\n",
        "quorum none\r\n",
    ],
)  # fmt: skip
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(MalformedTrustFile):
        parse_policy(text.encode())


def test_a_log_key_is_no_witness_key() -> None:
    same = VerifierKey("w.example", TRUST.logs[0].public_bytes, ED25519_COSIGNATURE)
    with pytest.raises(MalformedTrustFile):
        TrustFile(TRUST.logs, TRUST.receipts, policy=WitnessPolicy((Witness("w", same),), (), "w"))


def test_there_is_an_end_to_names() -> None:
    members = tuple(Witness(f"w{n}", VerifierKey("w.example", n.to_bytes(32), ED25519_COSIGNATURE)) for n in range(256))
    assert WitnessPolicy(members).quorum is None
    with pytest.raises(MalformedPolicy):
        WitnessPolicy(members, (Group("g", 1, ("w0",)),))


def check(note: SignedNote, text: str = EXAMPLE, *, is_asked: bool = False) -> list[tuple[str, str]]:
    trust = TrustFile.parse(text.encode())
    found = trust.check_checkpoint(note, origin=ORIGIN, is_quorum_asked=is_asked)
    return [(finding.code.removeprefix("checkpoint."), finding.outcome.value) for finding in found]


def test_findings() -> None:
    signed = ("signature_valid", "valid")
    assert check(cosigned("X1", "X3", "Y2")) == [signed, ("quorum_valid", "valid")]
    assert check(cosigned("X1", "X2")) == [signed, ("quorum_missing", "invalid")]
    assert check(HEAD) == [signed, ("quorum_missing", "invalid")]
    assert check(cosigned("X1", "X1", "Y2")) == [signed, ("quorum_missing", "invalid")]
    assert check(cosigned("X1", "X2", "Y1", time_s=0)) == [signed, ("quorum_missing", "invalid")]
    for text in (f"log {TRUST.logs[0]}\n", f"log {TRUST.logs[0]}\nquorum none\n"):
        assert check(cosigned("X1"), text) == [signed]
        assert check(cosigned("X1"), text, is_asked=True) == [signed, ("no_quorum_asked", "indeterminate")]
    assert check(SignedNote(HEAD.text, cosigned("X1", "X2", "Y1").signatures[1:])) == [("signer_unknown", "invalid")]


def test_one_bad_signature_of_a_pinned_witness_refuses_the_note() -> None:
    good = cosigned("X1", "X2", "Y1", "Y2")
    line = good.signatures[-1]
    for at in range(len(line.signature)):
        flipped = bytes(byte ^ (index == at) for index, byte in enumerate(line.signature))
        bad = SignedNote(good.text, (*good.signatures[:-1], type(line)(line.key_name, line.key_id, flipped)))
        assert check(bad) == [("signature_invalid", "invalid")]
        # Whoever does not know the witness is not hurt by it.
        assert check(bad, f"log {TRUST.logs[0]}\n") == [("signature_valid", "valid")]


def test_sixteen_and_more_signatures_are_read() -> None:
    strangers = [
        signature_of(HEAD.text, Signer(f"w{n}.example", MemoryKey(100 + n), ED25519_COSIGNATURE), time_s=9)
        for n in range(60)
    ]
    note = SignedNote(HEAD.text, (*cosigned("X1", "X2", "Y1").signatures, *strangers))
    assert check(note)[-1] == ("quorum_valid", "valid")
    assert len(open_note(note.to_bytes(), TRUST.logs).unknown) == 63


def test_a_receipt_needs_what_the_pinned_policy_asks_for() -> None:
    envelope = receipt_of()
    key = WITNESSES["X1"].verifier
    asking = TrustFile(TRUST.logs, TRUST.receipts, policy=WitnessPolicy((Witness("w", key),), (), "w"))
    none = TrustFile(TRUST.logs, TRUST.receipts, policy=WitnessPolicy((Witness("w", key),), (), "none"))
    digests = digest_of(FOOTAGE)
    assert verify_receipt(envelope, trust=TRUST, digests=digests).outcome is Outcome.VALID
    assert verify_receipt(envelope, trust=none, digests=digests).outcome is Outcome.VALID
    report = verify_receipt(envelope, trust=asking, digests=digests)
    assert report.outcome is Outcome.INVALID
    assert report.findings[-1].code == "checkpoint.quorum_missing"
    plain = TrustFile(TRUST.logs)
    assert verify_receipt(envelope, trust=plain, digests=digests).outcome is Outcome.INDETERMINATE
