"""`liuhen dock watch` against a real archive: drop folders with everything that happens in them."""

import ftplib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from archive.cli.main import run
from archive.custody.models import PreservedObject
from archive.kernel.errors import InvalidInput
from ingest.agent.errors import NotEnrolled
from ingest.agent.files import PathMissing
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from ingest.agent.watch import Round, Watch
from ingest.docks import revoke_dock
from tests.integration.dock.conftest import MB, MOST_BYTES, TestDock, items_of, recording, sha512, uploads_of
from tests.integration.dock.proxy import Line
from tests.support.archive_home import OPERATOR
from tests.support.server import ROOT, Server

QUICK = Round(every_s=0.1, settle_s=0.5, grace_s=1.0, jobs=2)
_TIMEOUT_S = 60.0


class Watched:
    """A watch in a thread, and what it said."""

    def __init__(self, dock: TestDock, folder: Path, pace: Round = QUICK, **wished: Any) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        wishes = Wishes(wait_s=wished.pop("wait_s", 1.0), **wished)
        self.watch = Watch(dock.state, [folder], wishes, pace, lambda event, facts: self.events.append((event, facts)))
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.code = self.watch.run()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watch.stop.set()
        self._thread.join()

    def said(self, event: str, name: str = "") -> list[Mapping[str, Any]]:
        return [facts for told, facts in list(self.events) if told == event and facts.get("path", "").endswith(name)]

    def wait_for(self, event: str, name: str = "", *, count: int = 1) -> Mapping[str, Any]:
        until(lambda: len(self.said(event, name)) >= count, lambda: str(self.events))
        return self.said(event, name)[count - 1]


def until(holds: Callable[[], object], told: Callable[[], str] = lambda: "") -> None:
    ends = time.monotonic() + _TIMEOUT_S
    while not holds():
        assert time.monotonic() < ends, told()
        time.sleep(0.02)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


class _Growth:
    """A clock that lets a file grow each time somebody looks, so that no load on the machine matters."""

    def __init__(self, path: Path, data: bytes, *, times: int) -> None:
        self.path, self.times, self.piece = path, times, len(data) // times
        self.pieces = [data[start : start + self.piece] for start in range(0, len(data), self.piece)]

    def __call__(self) -> float:
        if self.pieces:
            with self.path.open("ab") as file:
                file.write(self.pieces.pop(0))
        return time.monotonic()


def test_a_drop_folder_with_files_that_still_grow(dock: TestDock, server: Server, drop: Path) -> None:
    """One grows from look to look, one is held open by its writer, one comes under another name; one is there."""
    data = random.randbytes(300_000)
    recording(drop / "there.mp4", MB)
    watched = Watched(dock, drop, Round(every_s=0.05, settle_s=0.5, grace_s=0, jobs=2))
    watched.watch.clock = growth = _Growth(drop / "growing.mp4", data, times=60)
    with (drop / "held.mp4").open("wb", buffering=0) as held, (drop / "renamed.mp4.part").open("wb") as part:
        held.write(data[:1000])
        with watched:
            watched.wait_for("delivered", "there.mp4")
            assert growth.pieces
            watched.wait_for("delivered", "growing.mp4")
            watched.wait_for("waiting", "held.mp4")
            held.write(data[:1001])
            part.write(data[:1002])
            part.close()
            held.close()
            (drop / "renamed.mp4.part").rename(drop / "renamed.mp4")
            for name in ("held.mp4", "renamed.mp4"):
                watched.wait_for("delivered", name)
    assert watched.code == 0
    assert (drop / "growing.mp4").read_bytes() == data
    for path in drop.iterdir():
        (item,) = items_of(server, sha512(path))
        with server.database.read() as tx:
            assert tx.get_one(PreservedObject, item.object_id).name == path.name
    assert len(uploads_of(server, dock)) == 4, "each was sent once, whole"
    assert {event for event, _ in watched.events} == {"watching", "waiting", "delivered", "stopped"}


_FTP_SERVER = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("recorder", "secret", sys.argv[1], perm="elradfmwMT")
server = FTPServer(("127.0.0.1", 0), FTPHandler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
"""


class _Slow(io.BytesIO):
    """A file that a recorder sends in pieces; it stands still in the middle until it may go on."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.halfway, self.go_on = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > len(self.getbuffer()) // 2:
            self.halfway.set()
            self.go_on.wait(_TIMEOUT_S)
        return super().read(min(size or 8192, 8192))


def test_a_recorder_that_sends_by_ftp(dock: TestDock, server: Server, drop: Path) -> None:
    """A real FTP server writes into the drop folder; what it is still writing is left alone however long it takes."""
    sent = _Slow(random.randbytes(200_000))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _FTP_SERVER, str(drop)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with ftplib.FTP() as session, Watched(dock, drop) as watched:
                session.connect("127.0.0.1", port, timeout=30)
                session.login("recorder", "secret")
                session.storbinary("STOR ch01_20240101120000.mp4", io.BytesIO(b"whole" * 1000))
                sending = threading.Thread(
                    target=session.storbinary, args=("STOR ch01_20240101121000.mp4", sent), kwargs={"blocksize": 8192}
                )
                sending.start()
                assert sent.halfway.wait(_TIMEOUT_S)
                watched.wait_for("waiting", "ch01_20240101121000.mp4")
                watched.wait_for("delivered", "ch01_20240101120000.mp4")
                sent.go_on.set()
                sending.join()
                watched.wait_for("delivered", "ch01_20240101121000.mp4")
        finally:
            process.kill()
    (item,) = items_of(server, hashlib.sha512(sent.getvalue()).hexdigest())
    assert (item.source_kind, item.channel, item.recorded_from) == ("room", "ch01", "name")
    assert len(uploads_of(server, dock)) == 2


def test_a_camera_is_emptied_with_its_sidecars(dock: TestDock, server: Server, drop: Path) -> None:
    first = recording(drop / "DCIM" / "a.mp4", 2 * MB)
    first.with_suffix(".json").write_text('{"serial": "DSJ-1", "officer": "012345"}')
    second = recording(drop / "DCIM" / "b.mp4", MB)
    with Watched(dock, drop, wipe=True) as watched:
        watched.wait_for("delivered", "a.mp4")
        assert not watched.said("delivered", "b.mp4"), "it waits for its sidecar"
        second.with_suffix(".json").write_text(json.dumps({"serial": "DSJ-1", "trail": "x" * 20_000}))
        watched.wait_for("delivered", "b.mp4")
        told = watched.wait_for("delivered", "b.json")
    assert (told["wiped"], watched.code) == (True, 0)
    assert list((drop / "DCIM").iterdir()) == []
    assert [facts["path"] for facts in watched.said("sidecar_wiped")] == [str(first.with_suffix(".json"))]
    assert "sidecar left out" in watched.said("delivered", "b.mp4")[0]["message"]
    server.assert_sound()


def test_names_are_read_and_go_into_the_manifest(dock: TestDock, server: Server, drop: Path, tmp_path: Path) -> None:
    path = recording(drop / "DSJ-KEDX8A1_012345_20240101120000_0001.MP4", 1000)
    own = tmp_path / "own.toml"
    own.write_text('version = 1\nzone = "UTC"\n', "utf-8")
    code = run(
        ["dock", "watch", str(drop), "--once", "--settle", "0", "--state", str(dock.state.path), "--patterns", str(own)]
    )
    assert code == 0
    (item,) = items_of(server, sha512(path))
    assert (item.source_kind, item.officer_number, item.device_serial) == ("body_worn", "012345", "DSJ-KEDX8A1")
    assert (item.series, item.sequence, item.recorded_from) == ("20240101120000", 1, "name")
    assert item.recorded_at is not None
    assert item.recorded_at.isoformat() == "2024-01-01T12:00:00+00:00"
    own.write_text("version = 2", "utf-8")
    for verb in ("watch", "push"):
        assert run(["dock", verb, str(drop), "--state", str(dock.state.path), "--patterns", str(own)]) == 64


def test_what_the_archive_refuses_is_said_once_and_holds_nothing_up(dock: TestDock, drop: Path) -> None:
    with recording(drop / "huge.mp4", 0).open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    recording(drop / "empty.mp4", 0)
    os.mkfifo(drop / "pipe")
    with Watched(dock, drop) as watched:
        refused = watched.wait_for("refused", "huge.mp4")
        watched.wait_for("waiting", "empty.mp4")
        recording(drop / "late.mp4", 1000)
        watched.wait_for("delivered", "late.mp4")
        recording(drop / "later.mp4", 1000)
        watched.wait_for("delivered", "later.mp4")
    assert refused["code"] == "ingest.too_large"
    counts = {event: len(watched.said(event)) for event in ("refused", "waiting", "left_alone")}
    assert counts == {"refused": 1, "waiting": 1, "left_alone": 1}


def test_an_archive_that_is_away_is_said_once_and_waited_for(far_dock: TestDock, line: Line, drop: Path) -> None:
    recording(drop / "a.mp4", MB)
    line.is_dead = True
    with Watched(far_dock, drop, wait_s=0) as watched:
        watched.wait_for("unreachable")
        time.sleep(0.5)
        line.is_dead = False
        watched.wait_for("delivered", "a.mp4")
    assert [event for event, _ in watched.events] == ["watching", "unreachable", "reachable", "delivered", "stopped"]


def test_a_bad_line_is_said_once_for_each_file(far_dock: TestDock, line: Line, drop: Path) -> None:
    recording(drop / "a.mp4", 4 * MB)
    line.cut_every = 300_000
    with Watched(far_dock, drop, wait_s=0) as watched:
        watched.wait_for("not_delivered", "a.mp4")
        time.sleep(1.5)
        line.cut_every = None
        watched.wait_for("delivered", "a.mp4")
    assert len(watched.said("not_delivered")) == 1


def test_a_mount_that_goes_and_comes_back_is_survived(
    dock: TestDock, server: Server, drop: Path, tmp_path: Path
) -> None:
    recording(drop / "a.mp4", 1000)
    with Watched(dock, drop) as watched:
        watched.wait_for("delivered", "a.mp4")
        drop.rename(tmp_path / "unplugged")
        until(lambda: any(event == "away" for event, _ in watched.events))
        recording(tmp_path / "unplugged" / "b.mp4", 1000)
        (tmp_path / "unplugged").rename(drop)
        watched.wait_for("delivered", "b.mp4")
        watched.wait_for("delivered_earlier", "a.mp4")
        shutil.rmtree(drop)
        until(lambda: [event for event, _ in watched.events].count("away") == 2)
    assert watched.code == 0
    assert len(uploads_of(server, dock)) == 2


def test_a_file_that_cannot_be_read_is_said_once_and_tried_again(dock: TestDock, drop: Path) -> None:
    """As a user who may not read everything: not even root without the capability to override it."""
    path = recording(drop / "a.mp4", 1000)
    path.chmod(0)
    with command(dock, drop, "--json", without_override=True) as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [event["event"] for event in told] == ["watching", "not_delivered"]
        assert (told[1]["code"], told[1]["path"]) == ("dock.file_unreadable", str(path))
        time.sleep(1.5)
        path.chmod(0o600)
        assert json.loads(process.stdout.readline())["event"] == "delivered"
        process.terminate()
        assert json.loads(process.stdout.readline())["event"] == "stopped"
        assert process.wait(_TIMEOUT_S) == 0


@contextmanager
def command(
    dock: TestDock, drop: Path, *options: str, without_override: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """Run `liuhen dock watch` in a process of its own."""
    before = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if without_override and os.geteuid() == 0 else []
    )
    process = subprocess.Popen(
        [
            *before, sys.executable, "-m", "archive.cli", "dock", "watch", str(drop), "--state", str(dock.state.path),
            "--every", "0.1", "--settle", "0.3", "--grace", "0", *options,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_the_middle_of_a_file_and_the_next_run_goes_on(
    far_dock: TestDock, line: Line, server: Server, drop: Path, number: signal.Signals
) -> None:
    path = recording(drop / "现 场.mp4", 20 * MB)
    line.hold_at = 8 * MB
    with command(far_dock, drop) as process:
        assert line.held.wait(_TIMEOUT_S)
        process.send_signal(number)
        assert process.wait(_TIMEOUT_S) == 0
        assert process.stdout is not None
        events = [told.split()[1] for told in process.stdout.read().splitlines()]
    assert events == ["watching", "stopped"]
    line.release()
    with command(far_dock, drop, "--wipe") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
    at, event, *facts = lines[1].split(" ", 2)
    assert (event, at.endswith("Z")) == ("delivered", True)
    assert f'path="{path}"' in facts[0]
    assert "wiped=yes" in facts[0]
    assert len(uploads_of(server, far_dock)) == 1, "the upload that was begun was gone on with"


def test_a_dock_that_was_revoked_stops_watching(dock: TestDock, server: Server, drop: Path) -> None:
    recording(drop / "a.mp4", 1000)
    revoke_dock(server.database, dock.state.identity().dock_id, by=OPERATOR, at=_now())
    watched = Watched(dock, drop)
    assert watched.watch.run() == 77
    assert [event for event, _ in watched.events if event != "not_delivered"] == ["watching", "no_access", "stopped"]


def _now() -> Any:
    from archive.kernel.clock import SystemClock

    return SystemClock().now()


def test_once_says_what_is_not_finished(dock: TestDock, drop: Path, tmp_path: Path) -> None:
    def once(folder: Path = drop) -> tuple[int, list[str]]:
        watched = Watched(dock, folder, Round(every_s=1, settle_s=0.3, grace_s=60))
        code = watched.watch.run_once()
        return code, [event for event, _ in watched.events]

    assert once() == (0, ["stopped"])
    recording(drop / "a.mp4", 1000)
    (drop / "b.json").write_text("{}")
    assert once() == (0, ["delivered", "delivered", "stopped"]), "nobody waits for the recording of a sidecar"
    assert once() == (0, ["delivered_earlier", "delivered_earlier", "stopped"])
    recording(drop / "empty.mp4", 0)
    assert once()[0] == 75
    with (drop / "empty.mp4").open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    assert once()[0] == 65
    with pytest.raises(PathMissing):
        once(tmp_path / "nowhere")


def test_what_cannot_be_watched_is_refused_at_once(dock: TestDock, drop: Path, tmp_path: Path) -> None:
    for folder in (recording(drop / "a.mp4", 10), dock.state.path, dock.state.path / "receipts"):
        with pytest.raises(InvalidInput):
            Watched(dock, folder)
    stranger = TestDock(StateFolder(tmp_path / "nobody"), dock.server)
    with pytest.raises(NotEnrolled):
        Watched(stranger, drop).watch.run()
