"""HTTPS with an authority of the archive's own: pinned by file or by digest, never trusted because it is there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.cli.main import run
from archive.kernel.clock import SystemClock
from archive.ledger.note import RECEIPT, VerifierKey
from archive.ledger.trustfile import TrustFile
from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.errors import AlreadyEnrolled, BadServer, Refused, ServerUntrusted
from ingest.agent.push import push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from signing.authority import EmbeddedAuthority, fingerprint
from signing.ed25519 import Ed25519KeyHandle
from tests.integration.dock.conftest import MB, recording
from tests.support.server import Server, serving


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("secure"), tls=True) as running:
        yield running


def test_enrolling_and_pushing_with_the_root_certificate(
    secure: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    code = secure.invite()
    assert run(
        ["dock", "enrol", "--server", secure.address, "--code", code, "--ca", str(secure.ca), "--state", str(state)]
    ) == 0  # fmt: skip
    told = capsys.readouterr().out
    pinned = [line for line in (secure.home / "trust.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line in told for line in pinned)
    path = recording(tmp_path / "card" / "clip.mp4", 10 * MB)
    assert run(["dock", "push", str(path.parent), "--state", str(state), "--wipe", "--json"]) == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert (file["result"], file["wiped"], path.exists()) == ("delivered", True, False)


def test_a_pin_fetches_the_root_certificate_and_nothing_else_does(secure: Server, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    wrong = "ab" * 32
    with pytest.raises(ServerUntrusted, match="another SHA-256"):
        enrol(state, server=secure.address, code=secure.invite(), pin=wrong)
    assert not state.is_enrolled
    digest = fingerprint(EmbeddedAuthority.load(secure.home / "ca").root)
    shown = "SHA-256 " + ":".join(digest[at : at + 2].upper() for at in range(0, 64, 2))
    enrol(state, server=secure.address, code=secure.invite(), pin=shown.removeprefix("SHA-256 "))
    report = push(state, [recording(tmp_path / "clip.mp4")], Wishes(wait_s=20))
    assert [delivery.result for delivery in report.deliveries] == [Result.DELIVERED]


def test_without_either_the_dock_says_what_to_do_and_keeps_its_code(
    secure: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, code = tmp_path / "state", secure.invite()
    assert run(["dock", "enrol", "--server", secure.address, "--code", code, "--state", str(state)]) == 77
    told = capsys.readouterr().err
    assert "ca/root.cert.pem" in told
    assert "--pin" in told
    assert "[dock.server_untrusted]" in told
    enrol(StateFolder(state), server=secure.address, code=code, ca_pem=secure.ca.read_text())


def test_a_certificate_of_another_authority_stops_the_push(secure: Server, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    enrol(state, server=secure.address, code=secure.invite(), ca_pem=secure.ca.read_text())
    stranger = EmbeddedAuthority.create(tmp_path / "ca", organisation="Other", valid_from=SystemClock().now())
    (state.path / "ca.pem").write_bytes(stranger.root_pem)
    with pytest.raises(ServerUntrusted):
        push(state, [recording(tmp_path / "clip.mp4")], Wishes(wait_s=20))


def test_plain_http_goes_to_this_machine_only(tmp_path: Path) -> None:
    for server in ("http://archive.example:8443", "http://10.0.0.1", "ftp://localhost", "localhost:8443", "https://"):
        with pytest.raises(BadServer):
            enrol(StateFolder(tmp_path / "state"), server=server, code="X")


def test_a_code_serves_once_and_a_folder_for_one_dock(secure: Server, tmp_path: Path) -> None:
    state, code, ca = StateFolder(tmp_path / "state"), secure.invite(), secure.ca.read_text()
    first = enrol(state, server=secure.address, code=code, ca_pem=ca)
    with pytest.raises(AlreadyEnrolled):
        enrol(state, server=secure.address, code=secure.invite(), ca_pem=ca)
    with pytest.raises(Refused) as refusal:
        enrol(StateFolder(tmp_path / "other"), server=secure.address, code=code, ca_pem=ca)
    assert refusal.value.problem == "ingest.enrolment_refused"
    path = recording(tmp_path / "clip.mp4")
    push(state, [path], Wishes(wait_s=20))
    second = enrol(state, server=secure.address, code=secure.invite(), ca_pem=ca, replace=True)
    assert first.dock_id != second.dock_id
    # Same archive, same keys: the receipts stay good.
    report = push(state, [path], Wishes(wait_s=20))
    assert [delivery.result for delivery in report.deliveries] == [Result.EARLIER]


def test_receipts_of_another_archive_are_put_away_at_a_new_enrolment(secure: Server, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    enrol(state, server=secure.address, code=secure.invite(), ca_pem=secure.ca.read_text())
    trust = (state.path / "trust.txt").read_text()
    (state.path / "receipts" / "old.receipt.json").write_text("kept")
    key = Ed25519KeyHandle.generate(tmp_path / "other.pem")
    known = TrustFile.parse(trust.encode())
    state.set_aside(new_trust=TrustFile(known.logs, (VerifierKey(known.receipts[0].name, key.public_bytes, RECEIPT),)))
    (earlier,) = state.path.glob("earlier-*")
    assert (earlier / "trust.txt").read_text() == trust
    assert (earlier / "receipts" / "old.receipt.json").read_text() == "kept"
    assert list((state.path / "receipts").iterdir()) == []
