"""Pushing over a good line: delivered, receipted, verified, wiped, and not sent twice."""

import json
import os
import stat
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.custody.models import PreservedObject
from archive.kernel.digests import hash_stream
from archive.kernel.findings import Outcome
from archive.ledger.receipt import parse_receipt, verify_receipt
from ingest.agent.delivery import Result
from ingest.agent.files import Found, PathMissing
from ingest.agent.push import QuietWatcher
from ingest.manifest import parse_manifest
from tests.integration.dock.conftest import MB, TestDock, items_of, recording, sha512, uploads_of
from tests.support.server import Server


def test_a_recording_is_delivered_with_a_receipt_that_verifies_without_the_dock(
    dock: TestDock, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "card" / "clip.mp4", 5 * MB)
    delivery = dock.push_one(path)
    assert (delivery.result, delivery.is_wiped, path.exists()) == (Result.DELIVERED, False, True)
    assert delivery.receipt == dock.state.path / "receipts" / f"{delivery.sha256}.receipt.json"
    envelope = delivery.receipt.read_bytes()
    with path.open("rb") as source:
        report = verify_receipt(envelope, trust=dock.state.trust(), digests=hash_stream(source))
    assert report.outcome is Outcome.VALID
    assert parse_receipt(envelope).receipt.proof.index == delivery.log_index
    (item,) = items_of(server, sha512(path))
    (upload,) = uploads_of(server, dock)
    assert upload.object_id == item.object_id


def test_the_state_folder_keeps_its_secrets_to_itself(dock: TestDock) -> None:
    for secret in (dock.state.path / "dock.json", *(dock.state.path / "keys").iterdir()):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(dock.state.path.stat().st_mode) == 0o700


def test_what_was_delivered_is_not_sent_again_and_can_be_wiped_later(
    dock: TestDock, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "card" / "clip.mp4")
    first = dock.push_one(path)
    again = dock.push_one(path)
    assert (again.result, again.log_index, again.sent.size_bytes) == (Result.EARLIER, first.log_index, 0)
    assert path.exists()
    wiped = dock.push_one(path, wipe=True)
    assert (wiped.result, wiped.is_wiped, path.exists()) == (Result.EARLIER, True, False)
    assert len(uploads_of(server, dock)) == 1


def test_a_receipt_that_was_tampered_with_counts_for_nothing(dock: TestDock, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "card" / "clip.mp4")
    kept = dock.push_one(path).receipt
    assert kept is not None
    kept.write_bytes(kept.read_bytes().replace(b'"v":1', b'"v":2', 1))
    again = dock.push_one(path, wipe=True)
    assert (again.result, again.is_wiped) == (Result.DELIVERED, True)
    assert len(uploads_of(server, dock)) == 2


def test_a_folder_is_pushed_with_everything_below_and_says_what_it_leaves(dock: TestDock, tmp_path: Path) -> None:
    card = tmp_path / "card"
    wanted = [recording(card / "DCIM" / "100" / f"{number}.mp4", 1000) for number in range(5)]
    wanted.append(recording(card / "note.txt", 10))
    for hidden in (".trash/old.mp4", "DCIM/.thumb"):
        recording(card / hidden, 10)
    (card / "DCIM" / "100" / "1.json").write_text('{"serial": "CAM-1"}')
    (card / "DCIM" / "100" / "2.mp4.json").write_text("no json")
    (card / "link.mp4").symlink_to(wanted[0])
    os.mkfifo(card / "pipe")
    (card / "twin.mp4").hardlink_to(wanted[4])
    report = dock.push(card, wanted[3], jobs=4)
    assert {delivery.path for delivery in report.deliveries} == set(wanted)
    assert {delivery.result for delivery in report.deliveries} == {Result.DELIVERED}
    reasons = {path.relative_to(card).as_posix(): reason for path, reason in report.skipped}
    assert reasons == {
        ".trash": "hidden",
        "DCIM/.thumb": "hidden",
        "DCIM/100/1.json": "sidecar of a recording",
        "DCIM/100/2.mp4.json": "sidecar of a recording",
        "DCIM/100/3.mp4": "named twice",
        "link.mp4": "a link",
        "pipe": "not a file",
        "twin.mp4": "named twice",
    }
    by_name = {delivery.path.name: delivery for delivery in report.deliveries}
    assert by_name["2.mp4"].remarks == ["sidecar left out: it is not JSON that has one reading"]
    assert report.exit_code == 0
    _, manifest = dock.state.stored_receipt(by_name["1.mp4"].sha256 or "") or pytest.fail("no receipt")
    assert parse_manifest(manifest).fields["tags"] == {"folder": "DCIM/100"}


def test_a_path_that_is_not_there_stops_the_push_before_it_begins(dock: TestDock, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4")
    with pytest.raises(PathMissing):
        dock.push(path, tmp_path / "missing")
    assert not (dock.state.path / "journal.sqlite3").exists()


def test_two_files_with_the_same_bytes_are_sent_once(dock: TestDock, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "card" / "a.mp4", MB)
    recording(tmp_path / "card" / "b.mp4").write_bytes(path.read_bytes())
    report = dock.push(tmp_path / "card", jobs=2)
    assert sorted(delivery.result for delivery in report.deliveries) == [Result.DELIVERED, Result.EARLIER]
    assert len(uploads_of(server, dock)) == 1


def test_the_same_recording_from_two_docks_is_one_item_with_two_receipts(
    enrolled: Callable[..., TestDock], server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", MB)
    docks = [enrolled(), enrolled()]
    receipts = []
    for dock in docks:
        delivery = dock.push_one(path)
        assert delivery.result is Result.DELIVERED
        assert delivery.receipt is not None
        receipts.append(parse_receipt(delivery.receipt.read_bytes()).receipt)
    assert len({receipt.upload_id for receipt in receipts}) == 2
    assert len({receipt.proof.index for receipt in receipts}) == 2
    assert len(items_of(server, sha512(path))) == 1
    server.assert_sound()


def test_what_the_camera_says_goes_into_the_manifest(dock: TestDock, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "card" / "clip.mp4")
    os.utime(path, ns=(0, 1_767_225_600_123_456_789))
    now = datetime.now(UTC)
    said = {
        "serial": 4711, "model": "DSJ-V8", "firmware": "1.2", "recorded_at": "2026-01-01T08:00:00+08:00",
        "device_time": (now + timedelta(seconds=90)).isoformat(), "gps": [{"lat": 25.0406, "lon": 102.7123e0}],
        "frames": 9007199254740993, "name": "巡查/VID_0001.mp4",
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(said), "utf-8")
    delivery = dock.push_one(path, case_number="昆〔2026〕1号")
    assert delivery.remarks == []
    _, raw = dock.state.stored_receipt(delivery.sha256 or "") or pytest.fail("no receipt")
    manifest = parse_manifest(raw)
    assert manifest.name == "巡查/VID_0001.mp4"
    assert manifest.fields["device"] == {"serial": "4711", "model": "DSJ-V8", "firmware": "1.2"}
    assert manifest.fields["sidecar"]["gps"] == [{"lat": "25.0406", "lon": "102.7123"}]
    assert manifest.fields["sidecar"]["frames"] == "9007199254740993"
    assert manifest.fields["times"]["recorded"] == "2026-01-01T08:00:00+08:00"
    assert manifest.fields["times"]["modified"] == "2026-01-01T00:00:00.123456Z"
    assert manifest.case_number == "昆〔2026〕1号"
    assert manifest.clock_offset_ms is not None
    assert 60_000 < manifest.clock_offset_ms < 91_000
    assert abs(manifest.fields["times"]["dock_clock_offset_ms"]) < 30_000
    (item,) = items_of(server, sha512(path))
    assert (item.device_serial, item.clock_offset_ms) == ("4711", manifest.clock_offset_ms)


def test_the_time_that_the_camera_shows_is_held_against_the_archive(dock: TestDock, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4")
    report = dock.push(path, device_time=datetime.now(UTC) - timedelta(hours=1))
    assert report.clocks.device_offset_ms is not None
    assert -3_630_000 < report.clocks.device_offset_ms < -3_570_000
    _, raw = dock.state.stored_receipt(report.deliveries[0].sha256 or "") or pytest.fail("no receipt")
    assert parse_manifest(raw).clock_offset_ms == report.clocks.device_offset_ms


def test_wiping_takes_the_sidecar_along_when_the_archive_holds_it(dock: TestDock, tmp_path: Path) -> None:
    whole = recording(tmp_path / "card" / "whole.mp4")
    whole.with_suffix(".json").write_text('{"serial": "CAM-1"}')
    long = recording(tmp_path / "card" / "long.mp4")
    long.with_suffix(".json").write_text(json.dumps({"trail": "x" * 20_000}))
    report = dock.push(tmp_path / "card", wipe=True)
    assert report.exit_code == 0
    assert [path.name for path in (tmp_path / "card").iterdir()] == ["long.json"]
    notes = {delivery.path.name: delivery.remarks for delivery in report.deliveries}
    assert notes["whole.mp4"] == []
    assert notes["long.mp4"] == [
        "sidecar left out: it is empty or too long",
        "sidecar long.json stays: it is not in the archive whole",
    ]


class _ChangesBeforeTheReceipt(QuietWatcher):
    def stands_at(self, found: Found, offset_bytes: int) -> None:
        if offset_bytes == found.size_bytes:
            with found.path.open("r+b") as file:
                file.write(b"changed")


def test_a_file_that_changed_after_its_receipt_is_never_wiped(dock: TestDock, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4")
    report = dock.push(path, wipe=True, watcher=_ChangesBeforeTheReceipt())
    (delivery,) = report.deliveries
    assert (delivery.result, delivery.is_wiped, delivery.code) == (Result.DELIVERED, False, "dock.file_changed")
    assert report.exit_code == 75
    assert path.exists()
    assert items_of(server, sha512(path)) == []
    assert dock.push_one(path, wipe=True).result is Result.DELIVERED
    assert not path.exists()


_NAMES = [
    "a\nb\tc.mp4",
    "\x1b[31mred\x1b[0m.mp4",
    "a\\..\\..\\windows\\system32\\evil.mp4",
    "right\N{RIGHT-TO-LEFT OVERRIDE}4pm.exe",
    "   spaces   .mp4",
    "-rf.mp4",
    '"quote\'s" $(id) `id` %s {}.mp4',
    "现" * 83 + ".mp4",
    "é" + unicodedata.normalize("NFD", "é") + ".mp4",
    "con.mp4",
    "no suffix",
    "dots....",
]


def test_hostile_names_go_all_the_way(dock: TestDock, server: Server, tmp_path: Path) -> None:
    card = tmp_path / "card"
    paths = {name: recording(card / name, 1000) for name in _NAMES}
    raw_name = os.fsdecode(b"raw\xff\xfe.mp4")
    paths["raw\\xff\\xfe.mp4"] = recording(card / raw_name, 1000)
    long = "../../../" + "昆明执法记录" * 50 + "\x01\x1f.mp4"
    paths[long] = recording(card / "renamed.mp4", 1000)
    (card / "renamed.json").write_text(json.dumps({"name": long}), "utf-8")
    deep = card.joinpath(*["执法" * 20] * 8)
    paths["deep.mp4"] = recording(deep / "deep.mp4", 1000)
    report = dock.push(card)
    assert [delivery for delivery in report.deliveries if delivery.result is not Result.DELIVERED] == []
    assert len(report.deliveries) == len(paths)
    with server.database.read() as tx:
        for name, path in paths.items():
            (item,) = items_of(server, sha512(path))
            preserved = tx.get_one(PreservedObject, item.object_id)
            assert preserved.name == name
            folder, _, stored = preserved.content_path.partition("/")
            assert folder == "original"
            assert stored.isprintable()
            assert not set(stored) & set('/\\:*?"<>|')
            assert len(stored.encode()) <= 180
    server.assert_sound()
