"""What the archive does not take: refused or in quarantine, told clearly, never tried in vain, never wiped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.kernel.clock import SystemClock
from archive.ledger.entries import OPERATOR
from archive.ledger.note import RECEIPT, VerifierKey
from archive.ledger.trustfile import TrustFile
from ingest.agent.delivery import Result
from ingest.agent.errors import ServerUnreachable, ServerUntrusted
from ingest.docks import revoke_dock
from signing.ed25519 import Ed25519KeyHandle
from tests.integration.dock.conftest import (
    MB,
    MOST_BYTES,
    TestDock,
    items_of,
    quarantined_of,
    recording,
    sha512,
    uploads_of,
)
from tests.integration.dock.proxy import Line
from tests.support.server import Server


def test_an_empty_file_is_refused_and_never_wiped(dock: TestDock, tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    path = recording(tmp_path / "card" / "empty.mp4", 0)
    good = recording(tmp_path / "card" / "good.mp4")
    report = dock.push(tmp_path / "card", wipe=True)
    by_name = {delivery.path.name: delivery for delivery in report.deliveries}
    assert (by_name["empty.mp4"].result, by_name["empty.mp4"].code) == (Result.REFUSED, "ingest.empty_file")
    assert by_name["good.mp4"].is_wiped
    assert (report.exit_code, path.exists(), good.exists()) == (65, True, False)


def test_a_file_that_is_too_large_is_refused_before_a_byte_is_sent(dock: TestDock, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    report = dock.push(path, wipe=True)
    (delivery,) = report.deliveries
    assert (delivery.result, delivery.code, delivery.sent.size_bytes) == (Result.REFUSED, "ingest.too_large", 0)
    assert (report.exit_code, path.exists()) == (65, True)


def test_bytes_that_change_on_the_wire_go_to_quarantine_and_stay_on_the_card(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 5 * MB)
    line.flip_at = 3 * MB
    report = far_dock.push(path, wipe=True)
    (delivery,) = report.deliveries
    assert (delivery.result, delivery.code) == (Result.QUARANTINED, "ingest.digest_mismatch")
    assert (report.exit_code, delivery.is_wiped, path.exists(), delivery.receipt) == (65, False, True, None)
    (upload,) = uploads_of(server, far_dock)
    kept = quarantined_of(server, upload)
    assert kept is not None
    assert (kept.reason, kept.size_bytes) == ("ingest.digest_mismatch", 5 * MB)
    assert items_of(server, sha512(path)) == items_of(server, kept.sha512) == []

    # Not again by itself: a push every minute would fill the quarantine.
    again = far_dock.push_one(path, wipe=True)
    assert (again.result, again.sent.size_bytes, path.exists()) == (Result.QUARANTINED, 0, True)
    assert len(uploads_of(server, far_dock)) == 1
    asked = far_dock.push_one(path, again=True, wipe=True)
    assert (asked.result, path.exists()) == (Result.DELIVERED, False)
    server.assert_sound()


def test_a_manifest_signed_by_another_key_goes_to_quarantine(dock: TestDock, server: Server, tmp_path: Path) -> None:
    (key,) = (dock.state.path / "keys").iterdir()
    key.unlink()
    Ed25519KeyHandle.generate(key)
    path = recording(tmp_path / "clip.mp4")
    report = dock.push(path, wipe=True)
    (delivery,) = report.deliveries
    assert (delivery.result, delivery.code) == (Result.QUARANTINED, "ingest.manifest_untrusted")
    assert (report.exit_code, path.exists()) == (65, True)
    (upload,) = uploads_of(server, dock)
    kept = quarantined_of(server, upload)
    assert kept is not None
    assert (kept.reason, kept.sha512) == ("ingest.manifest_untrusted", sha512(path))


def _revoke(dock: TestDock, server: Server) -> None:
    revoke_dock(server.database, dock.state.identity().dock_id, by=OPERATOR, at=SystemClock().now())


def test_a_revoked_dock_is_told_and_stops(dock: TestDock, server: Server, tmp_path: Path) -> None:
    for number in range(4):
        recording(tmp_path / "card" / f"{number}.mp4", 1000)
    _revoke(dock, server)
    report = dock.push(tmp_path / "card", wipe=True, jobs=1)
    assert (report.exit_code, len(list((tmp_path / "card").iterdir()))) == (77, 4)
    assert [delivery.code for delivery in report.deliveries] == ["ingest.dock_revoked", *["dock.stopped"] * 3]
    assert uploads_of(server, dock) == []


def test_a_dock_that_is_revoked_in_the_middle_hears_why(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 5 * MB)
    line.cut_every = 2 * MB
    far_dock.push(path, wait_s=0)
    line.cut_every = None
    _revoke(far_dock, server)
    report = far_dock.push(path)
    assert (report.exit_code, report.deliveries[0].code) == (77, "ingest.dock_revoked")


@pytest.mark.parametrize("key", ["lh_000000000000_" + "A" * 43, "lh_" + "x" * 40])
def test_an_unknown_key_is_refused(dock: TestDock, server: Server, tmp_path: Path, key: str) -> None:
    file = dock.state.path / "dock.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "api_key": key}))
    report = dock.push(recording(tmp_path / "clip.mp4"))
    assert (report.exit_code, report.deliveries[0].code) == (77, "access.key_refused")


def test_an_upload_of_another_dock_cannot_be_taken_over(
    enrolled: Callable[..., TestDock], far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 5 * MB)
    line.cut_every = 2 * MB
    far_dock.push(path, wait_s=0)
    other = enrolled()
    with far_dock.state.pushing() as journal:
        (upload,) = uploads_of(server, far_dock)
        sha256 = next(iter(journal._connection.execute("SELECT sha256 FROM upload")))[0]
        known = journal.upload_of(sha256, dock=str(far_dock.state.identity().dock_id))
    assert known is not None
    with other.state.pushing() as journal:
        journal.record_upload(sha256, known, dock=str(other.state.identity().dock_id))
    # The archive does not tell it from one that never was: the other dock starts its own.
    assert other.push_one(path).result is Result.DELIVERED
    assert [found.id for found in uploads_of(server, other)] != [upload.id]


def test_a_receipt_by_a_key_that_is_not_pinned_is_none(dock: TestDock, tmp_path: Path) -> None:
    known = dock.state.trust()
    stranger = Ed25519KeyHandle.generate(tmp_path / "stranger.pem")
    forged = TrustFile(known.logs, (VerifierKey(known.receipts[0].name, stranger.public_bytes, RECEIPT),))
    (dock.state.path / "trust.txt").write_text(str(forged))
    path = recording(tmp_path / "clip.mp4")
    report = dock.push(path, wipe=True)
    (delivery,) = report.deliveries
    assert (delivery.result, delivery.code) == (Result.REFUSED, "dock.receipt_refused")
    assert (report.exit_code, path.exists(), delivery.receipt) == (65, True, None)
    assert dock.state.stored_receipt(delivery.sha256 or "") is None
    assert (dock.state.path / "rejected" / f"{delivery.sha256}.receipt.json").exists()


def test_nobody_there(far_dock: TestDock, line: Line, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4")
    line.is_dead = True
    with pytest.raises(ServerUnreachable) as failure:
        far_dock.push(path, wait_s=0.1)
    assert failure.value.exit_code == 69


def test_a_server_of_another_kind_is_not_taken_for_an_archive(
    far_dock: TestDock, server: Server, tmp_path: Path
) -> None:
    file = far_dock.state.path / "dock.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "server": server.address + "/elsewhere"}))
    with pytest.raises(Exception, match="nothing at this address") as failure:
        far_dock.push(recording(tmp_path / "clip.mp4"), wait_s=0)
    assert not isinstance(failure.value, ServerUntrusted)
