"""Replay through nginx: many readers of ranges at once, whose bytes nginx sends, beside nginx with a plain file.

Both sides are the same nginx, the same file, the same TLS and the same client (curl). On ours every request goes to a
web process first, which asks for session and grant.
"""

import random
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from sqlalchemy import select

from archive.evidence.models import Rendition
from tests.bench.archive import BenchArchive, bench_archive, settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support import footage
from tests.support.nginx import Proxy, free_ports, proxied

NAME = "replay"
RUNS = 5
_READERS = 200
_RANGE_BYTES = 16 << 20
_PROCESSES = 2


def measure(scratch: Path, *, runs: int = RUNS, recording_s: int = 600, requests: int = 400) -> Section:
    """Measure how fast 200 readers at once get ranges of a recording, and of a plain file."""
    recording = footage.make_recording(scratch / "recording.mp4", seconds=recording_s)
    with tempfile.TemporaryDirectory(prefix="lh-") as sockets:
        environment = {
            "LIUHEN_WEB_PROCESSES": str(_PROCESSES), "LIUHEN_WEB_SOCKETS": sockets, "LIUHEN_SEND_BYTES": "nginx"
        }  # fmt: skip
        with bench_archive(scratch / "archive", environment=environment) as archive:
            path = _rendition(archive, recording)
            home = archive.server.home
            tls, (port,) = home / "ca" / "tls.pem", free_ports(1)
            plain = (
                f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {tls}; ssl_certificate_key {tls}; "
                f"access_log off; location = /plain {{ alias {path}; }} }}"
            )
            upstreams = [f"unix:{sockets}/web-{number}.sock" for number in range(_PROCESSES)]
            with proxied(
                scratch / "nginx", upstreams=upstreams, renditions=home / "renditions", tls=tls, more=plain
            ) as proxy:
                cookie, address = _grant(archive, proxy)
                sides = {"ours": address, "plain": f"https://127.0.0.1:{port}/plain"}
                samples: dict[str, list[float]] = {name: [] for name in sides}
                for run in range(runs):
                    for name, url in sides.items():
                        settle()
                        wanted = _config(scratch / "wanted", url, cookie, path.stat().st_size, requests, seed=run)
                        samples[name].append(_rate(wanted, requests))
    ours, bare = Samples(tuple(samples["ours"])), Samples(tuple(samples["plain"]))
    ratio = ours.median / bare.median
    return Section(
        name=NAME,
        title="Replay through nginx",
        text=(
            f"{_READERS} readers at once ask for {requests} ranges of {_RANGE_BYTES >> 20} MiB, at random places of a "
            f"recording of {recording.stat().st_size / 1e6:.0f} MB, over TLS and HTTP/1.1, on the machine that serves "
            f"them. {_PROCESSES} web processes check session and grant of each request (SQLite) and lead nginx to the "
            "file (`X-Accel-Redirect`). Beside it the same nginx serves the same file to the same client (curl) "
            "without asking anybody. MB are 10^6 bytes a second of all readers together."
        ),
        rows=(
            Row("nginx, a plain file", bare.shown("MB/s", digits=0)),
            target_row("nginx, led by the archive", ours.shown("MB/s", digits=0), ratio=ratio, least=0.9),
        ),
        runs=runs,
        samples={"ours_mb_per_s": ours.values, "plain_mb_per_s": bare.values},
        programs={"nginx": _nginx_version()},
    )


def _rendition(archive: BenchArchive, recording: Path) -> Path:
    """Bring the recording, wait until it plays, and return the file that is played."""
    archive.prepare(recording)
    archive.upload([recording])
    archive.wait_idle()
    with archive.server.database.read() as tx:
        key = tx.scalars(select(Rendition.key).where(Rendition.kind == "playable")).one()
    return archive.server.home / "renditions" / key


def _grant(archive: BenchArchive, proxy: Proxy) -> tuple[str, str]:
    """Sign in and press play; return cookie and address."""
    with archive.server.database.read() as tx:
        item = tx.scalars(select(Rendition.object_id).where(Rendition.kind == "playable")).one()
    told = {"username": "supervisor", "password": archive.server.accounts["supervisor"]}
    with httpx.Client(base_url=proxy.address, verify=False, timeout=120, trust_env=False) as client:
        assert client.post("/sign-in", data=told).status_code == 303
        page = client.post(f"/items/{item}/play", data={"purpose": "measured", "reference": "1"})
        found = re.search(r"(/content/[0-9a-f-]+)/p", page.text)
        assert found is not None
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    return cookies, f"{proxy.address}{found[1]}/playable"


def _config(path: Path, url: str, cookie: str, size_bytes: int, requests: int, *, seed: int) -> Path:
    """Write what curl is to fetch: both sides get the same ranges."""
    chance = random.Random(seed)
    parts = []
    for _ in range(requests):
        start = chance.randrange(size_bytes - _RANGE_BYTES)
        parts.append(
            f'url = "{url}"\nrange = {start}-{start + _RANGE_BYTES - 1}\noutput = /dev/null\n'
            f'header = "Cookie: {cookie}"\ninsecure\nhttp1.1\nsilent\nwrite-out = "%{{http_code}} %{{size_download}}\\n"\n'
        )
    path.write_text("next\n".join(parts), "utf-8")
    return path


def _rate(wanted: Path, requests: int) -> float:
    """Fetch all, and return how many MB came in a second. Every byte must have come."""
    program = shutil.which("curl") or "curl"
    command = [program, "--parallel", "--parallel-max", str(_READERS), "--parallel-immediate", "-K", str(wanted)]
    began = time.monotonic()
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    took_s = time.monotonic() - began
    got = Counter(found.stdout.splitlines())
    assert got == {f"206 {_RANGE_BYTES}": requests}, f"a reader did not get all of its range: {got}"
    return requests * _RANGE_BYTES / 1e6 / took_s


def _nginx_version() -> str:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return (
        subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition(": ")[2]
    )
