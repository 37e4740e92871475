"""Trust files: read strictly, by people's eyes too."""

import pytest

from archive.ledger.note import ED25519, RECEIPT, Signer, VerifierKey
from archive.ledger.trustfile import MAX_TRUST_BYTES, MalformedTrustFile, TrustFile, receipt_key_name
from tests.unit.ledger.parts import ORIGIN, TRUST, MemoryKey

LOG, RECEIVER = TRUST.logs[0], TRUST.receipts[0]
LINES = f"log {LOG}\nreceipt {RECEIVER}\n"


def test_it_reads_what_it_renders() -> None:
    assert TrustFile.parse(str(TRUST).encode()) == TRUST
    assert str(TRUST).startswith("# ")


def test_roots_for_times_are_apart_from_others() -> None:
    text = LINES + f"timestamp-root sha256:{'1' * 64}\nroot sha256:{'2' * 64}\n"
    trust = TrustFile.parse(text.encode())
    assert (trust.roots, trust.timestamp_roots) == ((b"\x22" * 32,), (b"\x11" * 32,))
    assert TrustFile.parse(str(trust).encode()) == trust


def test_comments_blanks_and_order_do_not_count() -> None:
    text = f"\n# 局里的公钥\n\t receipt \t {RECEIVER}\t\n   # more\n\nlog\t{LOG}  \n"
    assert TrustFile.parse(text.encode()) == TRUST


def test_after_a_change_of_keys_both_stand() -> None:
    newer = Signer(ORIGIN, MemoryKey(9)).verifier
    other = TrustFile(
        (LOG, newer, VerifierKey("other.example", bytes(32))),
        (RECEIVER, VerifierKey(receipt_key_name("other.example"), b"\x01" * 32, RECEIPT)),
    )
    assert TrustFile.parse(str(other).encode()) == other
    assert other.log_keys(ORIGIN) == (LOG, newer)
    assert other.receipt_keys(ORIGIN) == (RECEIVER,)
    assert other.log_keys("nobody.example") == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINES[:-1],
        f"receipt {RECEIVER}\n",
        LINES + "witness w1 x+00000000+AAAA\n",
        LINES + f"log {LOG}\n",
        LINES + f"LOG {LOG}\n",
        LINES + "quorum nobody\n",
        LINES + f"logs {Signer('b.example', MemoryKey(7)).verifier}\n",
        LINES + "log \n",
        LINES + "receipt\n",
        LINES.replace("\n", "\r\n"),
        LINES + "# a\x0cb\n",
        f"log {RECEIVER}\nreceipt {LOG}\n",
        f"\ufeff{LINES}",
        f"log {LOG} https://evidence.example.org/log more\nreceipt {RECEIVER}\n",
        f"log {LOG}\nreceipt {RECEIVER} https://evidence.example.org/\n",
        LINES + "root sha256:" + "0" * 63 + "\n",
        LINES + "root sha256:" + "A" * 64 + "\n",
        LINES + "root sha1:" + "0" * 40 + "\n",
        LINES + "root\n",
        LINES + "timestamp-root sha256:" + "0" * 63 + "\n",
        LINES + "timestamp-root\n",
        LINES + "timestamproot sha256:" + "0" * 64 + "\n",
        LINES.replace("log ", "log x"),
        "# " + "a" * MAX_TRUST_BYTES + "\n" + LINES,
    ],
)
def test_what_is_no_trust_file(text: str) -> None:
    with pytest.raises(MalformedTrustFile):
        TrustFile.parse(text.encode())


def test_what_is_not_text_is_no_trust_file() -> None:
    with pytest.raises(MalformedTrustFile):
        TrustFile.parse(LINES.encode() + b"# \xff\n")


def test_keys_that_do_not_belong_together() -> None:
    stranger = VerifierKey("other.example/receipt", bytes(32), RECEIPT)
    same = VerifierKey(receipt_key_name(ORIGIN), LOG.public_bytes, RECEIPT)
    not_for_receipts = VerifierKey(receipt_key_name(ORIGIN), bytes(32), ED25519)
    for receipts in ((stranger,), (same,), (not_for_receipts,), (RECEIVER, RECEIVER)):
        with pytest.raises(MalformedTrustFile):
            TrustFile((LOG,), receipts)
    for logs in ((), (RECEIVER,), (LOG, LOG)):
        with pytest.raises(MalformedTrustFile):
            TrustFile(logs, (RECEIVER,))
