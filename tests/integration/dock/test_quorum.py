"""A dock wipes a camera only against a receipt that the witness has seen: real server, real witness, real push."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.kernel.digests import hash_stream
from archive.kernel.findings import Outcome
from archive.ledger.receipt import verify_receipt
from archive.ledger.trustfile import TrustFile
from ingest.agent.enrolment import enrol
from ingest.agent.state import StateFolder
from tests.integration.dock.conftest import TestDock
from tests.support.server import Server
from tests.support.witness import WitnessProcess, witnessing


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    with witnessing(tmp_path / "witness") as running:
        yield running


@pytest.fixture
def watched(tmp_path: Path, witness: WitnessProcess) -> Iterator[Server]:
    """A server whose receipts need the witness."""
    policy = tmp_path / "policy.txt"
    policy.write_text(witness.policy())
    environment = {"LIUHEN_WITNESS_POLICY": str(policy), "LIUHEN_WITNESS_NETWORKS": '["127.0.0.0/8"]'}
    server = Server(tmp_path / "server", environment=environment)
    witness.follow(TrustFile.parse((server.home / "trust.txt").read_bytes()))
    server.start()
    try:
        yield server
    finally:
        server.crash()


def test_push_against_the_pinned_policy(tmp_path: Path, watched: Server, witness: WitnessProcess) -> None:
    state = StateFolder(tmp_path / "state")
    enrol(state, server=watched.address, code=watched.invite("Dock"))
    dock = TestDock(state, watched)
    pinned = state.trust()
    assert (pinned.policy.quorum, len(pinned.logs), len(pinned.roots)) == ("w1", 2, 1)
    assert pinned.policy.witnesses[0].url is None
    card = tmp_path / "card"
    card.mkdir()
    first, second = card / "VID_0001.MP4", card / "VID_0002.MP4"
    first.write_bytes(b"first" * 1000)
    second.write_bytes(b"second" * 1000)
    with first.open("rb") as source:
        digests = hash_stream(source, algorithms=("sha256", "sha512"))
    delivery = dock.push_one(first, wipe=True)
    assert delivery.is_wiped
    assert delivery.receipt is not None
    envelope = delivery.receipt.read_bytes()
    report = verify_receipt(envelope, trust=pinned, digests=digests)
    assert report.outcome is Outcome.VALID
    assert "checkpoint.quorum_valid" in {finding.code for finding in report.findings}
    # Without the witness the bytes are taken, nothing is wiped, and no receipt is given.
    witness.kill()
    waiting = dock.push_one(second, wipe=True, wait_s=2)
    assert (waiting.code, second.exists()) == ("dock.receipt_pending", True)
    witness.start()
    assert dock.push_one(second, wipe=True).is_wiped
    # What is published in the end is cosigned too, and the trust file in the home says whom to ask for.
    trust = TrustFile.parse((watched.home / "trust.txt").read_bytes())
    assert trust.policy == pinned.policy
    assert watched.stop() == 0
    watched.assert_sound()
