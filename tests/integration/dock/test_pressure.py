"""Disk, queue and docks at their limits, and a web process that ends: docks are asked to wait, and lose nothing."""

import os
import signal
import threading
from pathlib import Path

import httpx

from archive.kernel.errors import LiuhenError
from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.files import Found
from ingest.agent.push import PushReport, QuietWatcher, push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.integration.dock.conftest import MB, RESERVE_BYTES, TestDock, recording, uploads_of
from tests.integration.dock.proxy import bad_line
from tests.integration.dock.test_operations import wait_for
from tests.support.server import Server


class HearsWhy(QuietWatcher):
    """Keeps why tries failed."""

    def __init__(self) -> None:
        self.failures: list[LiuhenError] = []

    def waits(self, found: Found, failure: LiuhenError) -> None:
        self.failures.append(failure)

    @property
    def codes(self) -> set[str]:
        return {getattr(failure, "problem", failure.code) for failure in self.failures}


def _dock(server: Server, folder: Path, address: str = "") -> TestDock:
    state = StateFolder(folder)
    enrol(state, server=address or server.address, code=server.invite())
    return TestDock(state, server)


def test_below_the_reserve_the_dock_is_asked_to_wait_in_the_midst_of_a_file(
    tight_server: Server, tmp_path: Path
) -> None:
    path = recording(tmp_path / "clip.mp4", 30 * MB)
    watcher, reports = HearsWhy(), list[PushReport]()
    ballast = tight_server.home.parent / "ballast"
    with bad_line(tight_server.address) as line:
        dock = _dock(tight_server, tmp_path / "state", line.address)
        line.hold_at = 6 * MB
        wishes = Wishes(wait_s=90)
        pushing = threading.Thread(target=lambda: reports.append(push(dock.state, [path], wishes, watcher=watcher)))
        pushing.start()
        assert line.held.wait(30)
        room = os.statvfs(tight_server.home)
        ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - RESERVE_BYTES + 2 * MB))
        line.release()
        wait_for(lambda: bool(watcher.failures))
        ready = httpx.get(f"{tight_server.address}/health/ready")
        assert (ready.status_code, ready.json()["facts"]["failing"]) == (503, "disk")
        assert httpx.get(f"{tight_server.address}/health/live").status_code == 200
        wait_for(lambda: "ingest.disk_reserved" in watcher.codes, lambda: watcher.codes)
        asked = [getattr(failure, "retry_after_s", None) for failure in watcher.failures]
        assert any(pause is not None and pause >= 1 for pause in asked), asked
        ballast.unlink()
        pushing.join(90)
    (report,) = reports
    assert [delivery.result for delivery in report.deliveries] == [Result.DELIVERED]
    (upload,) = uploads_of(tight_server, dock)
    assert (upload.state, upload.offset_bytes) == ("accepted", 30 * MB), "one upload, gone on with"
    wait_for(lambda: httpx.get(f"{tight_server.address}/health/ready").status_code == 200)
    tight_server.assert_sound()


def test_a_web_process_that_ends_says_so_first_and_keeps_what_arrived(tight_server: Server, tmp_path: Path) -> None:
    path, reports = recording(tmp_path / "clip.mp4", 8 * MB), list[PushReport]()
    with bad_line(tight_server.address) as line:
        dock = _dock(tight_server, tmp_path / "state", line.address)
        line.hold_at = 5 * MB
        pushing = threading.Thread(target=lambda: reports.append(dock.push(path, wait_s=90)))
        pushing.start()
        assert line.held.wait(30)
        web = tight_server.pids()["web"]
        os.kill(web, signal.SIGTERM)

        def says_ending() -> bool:
            try:
                answer = httpx.get(f"{tight_server.address}/health/ready", timeout=5)
            except httpx.HTTPError:
                return False
            return answer.status_code == 503 and answer.json()["facts"]["failing"] == "ending"

        wait_for(says_ending)
        line.release()
        pushing.join(90)
    (report,) = reports
    assert report.exit_code == 0
    (upload,) = uploads_of(tight_server, dock)
    assert (upload.state, upload.offset_bytes) == ("accepted", 8 * MB)
    wait_for(lambda: tight_server.pids().get("web", web) != web)
    tight_server.wait_ready()
    ended = [line for line in tight_server.log() if line["event"] == "process_ended" and line["name"] == "web-0"]
    assert [line["exit_code"] for line in ended] == [0], "in order, not killed"
