"""Breaks of every kind: the push goes on where the archive stands, nothing is lost, nothing is double."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from archive.kernel.digests import digest_of
from archive.ledger.models import LogPending
from ingest.agent.delivery import Result
from ingest.agent.errors import PushRunning
from ingest.agent.push import PushReport
from ingest.manifest import build_manifest, sign_manifest
from ingest.models import Upload
from tests.integration.dock.conftest import MB, TestDock, items_of, recording, sha512, uploads_of
from tests.integration.dock.proxy import Line
from tests.support.server import ROOT, Server

_PATIENCE_S = 30


class _Background:
    """A push in a thread; `report` waits for its end."""

    def __init__(self, dock: TestDock, path: Path) -> None:
        self._reports: list[PushReport] = []
        self._thread = threading.Thread(target=lambda: self._reports.append(dock.push(path, wait_s=_PATIENCE_S)))
        self._thread.start()

    def report(self) -> PushReport:
        self._thread.join(90)
        (report,) = self._reports
        return report


def _wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_line_that_breaks_every_three_megabytes(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 20 * MB)
    line.cut_every = 3 * MB
    delivery = far_dock.push_one(path, wipe=True)
    assert (delivery.result, delivery.is_wiped) == (Result.DELIVERED, True)
    assert line.cuts >= 6
    assert len(uploads_of(server, far_dock)) == 1
    server.assert_sound()


def test_a_dock_that_dies_in_the_middle_goes_on_with_the_same_upload(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 40 * MB)
    line.hold_at = 12 * MB
    pushing = subprocess.Popen(
        [sys.executable, "-m", "archive.cli", "dock", "push", str(path), "--state", str(far_dock.state.path)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert line.held.wait(_PATIENCE_S)
    with pytest.raises(PushRunning):
        far_dock.push(path)
    pushing.send_signal(signal.SIGKILL)
    pushing.wait()
    line.release()
    (upload,) = uploads_of(server, far_dock)
    _wait_for(lambda: uploads_of(server, far_dock)[0].offset_bytes > 10 * MB)
    delivery = far_dock.push_one(path)
    assert delivery.result is Result.DELIVERED
    assert delivery.sent.size_bytes <= 30 * MB
    (after,) = uploads_of(server, far_dock)
    assert (after.id, after.state) == (upload.id, "accepted")


def test_a_web_server_that_is_killed_in_the_middle(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 20 * MB)
    line.hold_at = 8 * MB
    pushing = _Background(far_dock, path)
    assert line.held.wait(_PATIENCE_S)
    server.kill("web")
    line.release()
    (delivery,) = pushing.report().deliveries
    assert delivery.result is Result.DELIVERED
    assert len(uploads_of(server, far_dock)) == 1
    assert len(items_of(server, sha512(path))) == 1
    server.wait_ready()


def test_a_server_that_is_killed_altogether_and_comes_back(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 20 * MB)
    line.hold_at = 8 * MB
    pushing = _Background(far_dock, path)
    assert line.held.wait(_PATIENCE_S)
    server.crash()
    line.release()
    server.start()
    (delivery,) = pushing.report().deliveries
    assert delivery.result is Result.DELIVERED
    assert len(items_of(server, sha512(path))) == 1
    server.assert_sound()


def _stop_sequencer(server: Server) -> int:
    """Stop the sequencer while it is idle: in the middle of its work it would hold the database's lock."""

    def is_idle() -> bool:
        with server.database.read() as tx:
            return tx.scalar(select(LogPending.entry_id).limit(1)) is None

    _wait_for(is_idle)
    pid = server.pids()["sequencer"]
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_the_sequencer_may_die_while_the_dock_waits_for_its_receipt(
    dock: TestDock, server: Server, tmp_path: Path
) -> None:
    _stop_sequencer(server)
    path = recording(tmp_path / "clip.mp4", MB)
    pushing = _Background(dock, path)
    _wait_for(lambda: [upload.state for upload in uploads_of(server, dock)] == ["accepted"])
    server.kill("sequencer")
    assert [delivery.result for delivery in pushing.report().deliveries] == [Result.DELIVERED]


def test_no_receipt_no_wiping_and_the_next_push_fetches_it(dock: TestDock, server: Server, tmp_path: Path) -> None:
    stopped = _stop_sequencer(server)
    path = recording(tmp_path / "clip.mp4", MB)
    report = dock.push(path, wipe=True, wait_s=0)
    os.kill(stopped, signal.SIGCONT)
    assert (report.exit_code, report.deliveries[0].code, path.exists()) == (75, "dock.receipt_pending", True)
    delivery = dock.push_one(path, wipe=True)
    assert (delivery.result, delivery.sent.size_bytes, path.exists()) == (Result.DELIVERED, 0, False)
    assert len(uploads_of(server, dock)) == 1


def test_a_dead_line_is_given_up_after_the_wait_and_taken_up_by_the_next_push(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 10 * MB)
    line.cut_every = 4 * MB
    report = far_dock.push(path, wait_s=0, wipe=True)
    assert (report.exit_code, report.deliveries[0].code) == (75, "dock.connection_broken")
    line.cut_every = None
    _wait_for(lambda: uploads_of(server, far_dock)[0].offset_bytes > 3 * MB)
    delivery = far_dock.push_one(path)
    assert delivery.result is Result.DELIVERED
    assert delivery.sent.size_bytes < 7 * MB


def test_an_upload_that_expired_is_started_again(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 10 * MB)
    line.cut_every = 4 * MB
    far_dock.push(path, wait_s=0)
    line.cut_every = None
    # The server counts the lifetime from the last byte: it must have noticed the break.
    _wait_for(lambda: uploads_of(server, far_dock)[0].offset_bytes > 3 * MB)
    (upload,) = uploads_of(server, far_dock)
    with server.database.begin() as tx:
        tx.execute(
            update(Upload).where(Upload.id == upload.id).values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        )
    _wait_for(lambda: uploads_of(server, far_dock)[0].state == "expired")
    assert far_dock.push_one(path).result is Result.DELIVERED
    assert [upload.state for upload in uploads_of(server, far_dock)] == ["expired", "accepted"]


def test_staged_bytes_that_the_disk_lost_are_sent_again(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 10 * MB)
    line.cut_every = 4 * MB
    far_dock.push(path, wait_s=0)
    line.cut_every = None
    _wait_for(lambda: uploads_of(server, far_dock)[0].offset_bytes > 3 * MB)
    (upload,) = uploads_of(server, far_dock)
    server.kill("web")  # the process still has the file open
    (server.home / "staging" / str(upload.id)).unlink()
    assert far_dock.push_one(path).result is Result.DELIVERED
    assert [upload.state for upload in uploads_of(server, far_dock)][1:] == ["accepted"]
    with server.database.begin() as tx:  # fsck would name it, and rightly so
        tx.execute(update(Upload).where(Upload.id == upload.id).values(state="terminated"))
    server.wait_ready()


def test_an_upload_that_stops_short_is_no_item(dock: TestDock, server: Server, tmp_path: Path) -> None:
    data = recording(tmp_path / "clip.mp4", 3 * MB).read_bytes()
    identity = dock.state.identity()
    manifest = build_manifest(dock_id=identity.dock_id, name="clip.mp4", digests=digest_of(data), times={}, device={})
    from ingest.agent.sending import b64

    headers = {"Authorization": f"Bearer {identity.api_key}", "Tus-Resumable": "1.0.0"}
    metadata = f"manifest {b64(manifest)},signature {b64(sign_manifest(manifest, identity.key))}"
    connection = http.client.HTTPConnection(identity.place.host, identity.place.port, timeout=20)
    connection.request(
        "POST", "/api/v1/uploads", headers={**headers, "Upload-Length": str(len(data)), "Upload-Metadata": metadata}
    )
    answer = connection.getresponse()
    answer.read()
    path = answer.headers["Location"]
    connection.putrequest("PATCH", path)
    for name, value in {
        **headers,
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(len(data)),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data[:MB])
    connection.close()
    _wait_for(lambda: uploads_of(server, dock)[0].offset_bytes == MB)
    connection.request("GET", path + "/receipt", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (202, b"")
    connection.close()
    assert items_of(server, sha512(tmp_path / "clip.mp4")) == []


def test_a_file_that_changes_on_its_way_is_not_delivered_and_then_sent_as_it_is(
    far_dock: TestDock, line: Line, server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 30 * MB)
    before = sha512(path)
    line.hold_at = 2 * MB
    pushing = _Background(far_dock, path)
    assert line.held.wait(_PATIENCE_S)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    line.release()
    report = pushing.report()
    assert (report.exit_code, report.deliveries[0].code) == (75, "dock.file_changed")
    _wait_for(lambda: uploads_of(server, far_dock)[0].state == "terminated")
    assert far_dock.push_one(path).result is Result.DELIVERED
    assert items_of(server, before) == []
    assert len(items_of(server, sha512(path))) == 1


def test_a_file_that_gets_shorter_on_its_way(far_dock: TestDock, line: Line, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 30 * MB)
    line.hold_at = 2 * MB
    pushing = _Background(far_dock, path)
    assert line.held.wait(_PATIENCE_S)
    os.truncate(path, 3 * MB)
    line.release()
    assert [delivery.code for delivery in pushing.report().deliveries] == ["dock.file_changed"]
    assert path.exists()
    _wait_for(lambda: uploads_of(server, far_dock)[0].state == "terminated")


def test_a_journal_that_is_lost_costs_time_only(far_dock: TestDock, line: Line, server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 10 * MB)
    line.cut_every = 4 * MB
    far_dock.push(path, wait_s=0)
    line.cut_every = None
    for left in far_dock.state.path.glob("journal.sqlite3*"):
        left.unlink()
    assert far_dock.push_one(path).result is Result.DELIVERED
    assert [upload.state for upload in uploads_of(server, far_dock)] == ["receiving", "accepted"]


SLOW_TO_BEGIN = """
import runpy, threading, time
from concurrent.futures import ThreadPoolExecutor
submit = ThreadPoolExecutor.submit
def slowly(*given):
    begun = submit(*given)
    if threading.current_thread() is threading.main_thread():
        time.sleep(600)
    return begun
ThreadPoolExecutor.submit = slowly
runpy.run_module("archive.cli", run_name="__main__", alter_sys=True)
"""
"""The command on a machine so busy that one file is under way before the threads for others are begun."""


@pytest.mark.parametrize("how", [["-m", "archive.cli"], ["-c", SLOW_TO_BEGIN]], ids=["at_work", "while_it_begins"])
def test_a_push_that_is_interrupted_ends_at_once_and_goes_on_later(
    far_dock: TestDock, line: Line, tmp_path: Path, how: list[str]
) -> None:
    path = recording(tmp_path / "clip.mp4", 30 * MB)
    line.hold_at = 8 * MB
    pushing = subprocess.Popen(
        [sys.executable, *how, "dock", "push", str(path), "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "LIUHEN_DOCK_STATE": str(far_dock.state.path)},
    )  # fmt: skip
    assert line.held.wait(_PATIENCE_S)
    pushing.send_signal(signal.SIGINT)
    out, told = pushing.communicate(timeout=_PATIENCE_S)
    assert (pushing.returncode, out) == (130, "")
    assert "push again to go on" in told
    line.release()
    again = subprocess.run(
        [sys.executable, "-m", "archive.cli", "dock", "push", str(path), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "LIUHEN_DOCK_STATE": str(far_dock.state.path)},
    )  # fmt: skip
    (file,) = json.loads(again.stdout)["files"]
    assert (file["result"], file["size_bytes"]) == ("delivered", 30 * MB)
