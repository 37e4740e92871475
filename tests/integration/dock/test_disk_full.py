"""The archive's disk fills up during an upload: the dock hears so and waits; when there is room it goes on."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.kernel.errors import LiuhenError
from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.files import Found
from ingest.agent.push import PushReport, QuietWatcher, push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.integration.dock.conftest import MB, items_of, recording, sha512
from tests.integration.dock.proxy import bad_line
from tests.support.server import Server, serving

_DISK_BYTES = 80 * MB


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose home lies on a disk of 80 MB, all of which uploads may use."""
    disk = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "liuhen-test", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with serving(disk, environment={"LIUHEN_RESERVE_BYTES": "0"}) as running:
            yield running
    finally:
        subprocess.run(["umount", disk], check=True)


class _HearsWhy(QuietWatcher):
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.heard = threading.Event()

    def waits(self, found: Found, failure: LiuhenError) -> None:
        del found
        self.codes.append(getattr(failure, "problem", failure.code))
        if self.codes[-1] == "store.full":
            self.heard.set()


def _fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MB))
        except OSError:
            return ballast


def test_the_dock_waits_for_room_and_no_half_object_is_seen(small_server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "card" / "clip.mp4", 30 * MB)
    state, watcher, reports = StateFolder(tmp_path / "state"), _HearsWhy(), list[PushReport]()
    with bad_line(small_server.address) as line:
        enrol(state, server=line.address, code=small_server.invite())
        line.hold_at = 6 * MB
        wishes = Wishes(wait_s=60, wipe=True)
        pushing = threading.Thread(target=lambda: reports.append(push(state, [path], wishes, watcher=watcher)))
        pushing.start()
        assert line.held.wait(30)
        ballast = _fill(small_server.home.parent)
        line.release()
        assert watcher.heard.wait(30), watcher.codes
        assert items_of(small_server, sha512(path)) == []
        assert list((small_server.raw / "store").rglob("*clip*")) == []
        assert path.exists()
        ballast.unlink()
        pushing.join(60)
    (report,) = reports
    assert [delivery.result for delivery in report.deliveries] == [Result.DELIVERED]
    assert not path.exists()
    small_server.wait_ready()
    small_server.assert_sound()


def test_a_file_for_which_there_is_no_room_waits_outside(small_server: Server, tmp_path: Path) -> None:
    path = recording(tmp_path / "other.mp4", 10 * MB)
    state, watcher = StateFolder(tmp_path / "state"), _HearsWhy()
    enrol(state, server=small_server.address, code=small_server.invite())
    ballast = small_server.home.parent / "ballast"
    free = os.statvfs(small_server.home)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 8 * MB))
    began = time.monotonic()
    report = push(state, [path], Wishes(wait_s=0.5), watcher=watcher)
    assert time.monotonic() - began < 30
    assert (report.exit_code, report.deliveries[0].code) == (75, "store.full")
    ballast.unlink()
    assert push(state, [path], Wishes(wait_s=20)).exit_code == 0
