"""Uploads to an archive with two web processes, each on a socket of its own: requests come to either, in any order."""

import base64
import concurrent.futures
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conformance.liuhen.dock import ForeignDock
from tests.support.nginx import proxied
from tests.support.server import Server, serving

_TUS = {"Tus-Resumable": "1.0.0"}
_CHUNK = {**_TUS, "Content-Type": "application/offset+octet-stream"}
_AGAIN = {409, 423, 503}
"""Another request was quicker, or holds the upload for a moment."""
_PATIENCE_S = 60.0


class Doors:
    """The two processes, and a dock that knocks at one of them by chance."""

    def __init__(self, server: Server, dock: ForeignDock, sockets: list[Path], chance: random.Random) -> None:
        self.server, self.dock, self.chance, self.sockets = server, dock, chance, sockets

    def ask(self, method: str, path: str, **given: object) -> httpx.Response:
        """Ask one of them, and the other when that one is just being started anew."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            transport = httpx.HTTPTransport(uds=str(self.chance.choice(self.sockets)))
            with httpx.Client(transport=transport, base_url="http://archive", timeout=60, trust_env=False) as client:
                try:
                    return client.request(method, path, **given)  # type: ignore[arg-type]
                except httpx.TransportError:
                    assert time.monotonic() < until
                    time.sleep(0.05)

    def begin(self, data: bytes) -> str:
        told = ",".join(f"{k} {base64.b64encode(_raw(k, v)).decode()}" for k, v in self.dock.metadata(data).items())
        headers = {**_TUS, **self.dock.headers, "Upload-Length": str(len(data)), "Upload-Metadata": told}
        answer = self.ask("POST", "/api/v1/uploads", headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def stored(self, upload: str) -> int:
        until = time.monotonic() + _PATIENCE_S
        while True:
            answer = self.ask("HEAD", upload, headers={**_TUS, **self.dock.headers})
            if answer.status_code == 200:
                return int(answer.headers["Upload-Offset"])
            assert answer.status_code in _AGAIN, answer.status_code
            assert time.monotonic() < until
            time.sleep(0.02)

    def send(self, upload: str, data: bytes, at: int, *, break_off: bool = False) -> int:
        """Send a chunk from where the upload stands; return the status, 0 where we broke off."""
        end = min(len(data), at + self.chance.choice([1, 4000, 300_000, 900_000]))

        def body() -> Iterator[bytes]:
            for start in range(at, end, 100_000):
                if break_off and start > at:
                    raise ConnectionAbortedError
                yield data[start : min(end, start + 100_000)]

        headers = {**_CHUNK, **self.dock.headers, "Upload-Offset": str(at)}
        try:
            return self.ask("PATCH", upload, headers=headers, content=body()).status_code
        except ConnectionAbortedError:
            return 0

    def bring(self, data: bytes) -> str:
        """Bring a file, whoever answers, with some connections that break."""
        upload, until = self.begin(data), time.monotonic() + _PATIENCE_S
        while (at := self.stored(upload)) < len(data):
            status = self.send(upload, data, at, break_off=self.chance.random() < 0.3)
            assert status in {0, 204, *_AGAIN}, status
            assert time.monotonic() < until
        return upload

    def assert_arrived(self, upload: str, data: bytes) -> None:
        until = time.monotonic() + _PATIENCE_S
        while self.ask("GET", f"{upload}/receipt", headers=self.dock.headers).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert self.dock.stored(upload) == data


def _raw(name: str, value: str) -> bytes:
    return base64.b64decode(value) if name == "signature" else value.encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # A socket's name has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="lh-") as folder, ExitStack() as opened:
        environment = {"LIUHEN_WEB_PROCESSES": "2", "LIUHEN_WEB_SOCKETS": f"{folder}/run"}
        server = opened.enter_context(serving(tmp_path_factory.mktemp("two"), environment=environment))
        yield server
        server.stop()
        assert list((Path(folder) / "run").iterdir()) == []
        server.assert_sound()


@pytest.fixture(scope="module")
def dock(server: Server, tmp_path_factory: pytest.TempPathFactory) -> ForeignDock:
    return ForeignDock.enrolled(server, tmp_path_factory.mktemp("dock") / "dock")


def _sockets(server: Server) -> list[Path]:
    folder = Path(server.environment["LIUHEN_WEB_SOCKETS"])
    return [folder / f"web-{number}.sock" for number in range(2)]


def _web_processes(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.pids()["supervisor"]).children()
    return [child for child in children if "web" in child.cmdline()[:5]]


def test_requests_that_bounce_between_processes_make_the_file(server: Server, dock: ForeignDock) -> None:
    def bring(seed: int) -> None:
        chance = random.Random(seed)
        doors = Doors(server, dock, _sockets(server), chance)
        data = chance.randbytes(2_500_001)
        upload = doors.bring(data)
        doors.assert_arrived(upload, data)

    with concurrent.futures.ThreadPoolExecutor(3) as docks:
        list(docks.map(bring, range(3)))


def test_several_senders_of_one_upload_at_several_processes(server: Server, dock: ForeignDock) -> None:
    """Two at once, which end each other's requests: it comes to an end, and to the right one."""
    data = random.Random(5).randbytes(1_500_000)
    first = Doors(server, dock, _sockets(server), random.Random(6))
    upload = first.begin(data)

    def send(seed: int) -> None:
        doors = Doors(server, dock, _sockets(server), random.Random(seed))
        while (at := doors.stored(upload)) < len(data):
            assert doors.send(upload, data, at) in {204, *_AGAIN}

    with concurrent.futures.ThreadPoolExecutor(2) as senders:
        list(senders.map(send, (7, 8)))
    first.assert_arrived(upload, data)


def test_a_process_that_is_killed_loses_nothing_of_what_it_said(server: Server, dock: ForeignDock) -> None:
    chance = random.Random(9)
    doors, data = Doors(server, dock, _sockets(server), chance), chance.randbytes(2_000_000)
    upload, said, kills = doors.begin(data), 0, 0
    while (at := doors.stored(upload)) < len(data):
        assert at >= said, "what was acknowledged is there"
        status = doors.send(upload, data, at)
        said = max(said, at)
        if status == 204 and kills < 3:
            said = doors.stored(upload)
            os.kill(chance.choice(_web_processes(server)).pid, signal.SIGKILL)
            kills += 1
    assert kills == 3
    doors.assert_arrived(upload, data)


def test_behind_nginx_a_sender_stays_with_one_process(server: Server, tmp_path: Path) -> None:
    """The same key leads to the same socket, many keys to both; and the log of nginx holds no key."""
    upstreams = [f"unix:{path}" for path in _sockets(server)]
    tls = server.home / "ca" / "tls.pem"
    with proxied(tmp_path / "nginx", upstreams=upstreams, renditions=server.home / "renditions", tls=tls) as proxy:
        with httpx.Client(base_url=proxy.address, verify=False, http2=False, trust_env=False) as client:
            for number in range(8):
                for _ in range(3):
                    headers = {**_TUS, "Authorization": f"Bearer lh_secret-{number}"}
                    told = client.head(
                        "/api/v1/uploads/0197a000-0000-7000-8000-000000000000?code=hidden", headers=headers
                    )
                    assert told.status_code == 401
        lines = [line for line in proxy.log().splitlines() if '"event":"proxied"' in line]
        assert len(lines) == 24
        chosen = [line.partition('"upstream":"')[2].partition('"')[0] for line in lines]
        assert all(len(set(chosen[start : start + 3])) == 1 for start in range(0, 24, 3))
        assert set(chosen) == set(upstreams)
        assert "secret" not in proxy.log()
        assert "hidden" not in proxy.log()
        assert "127.0.0.1" not in "".join(lines)
