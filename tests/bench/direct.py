"""Straight to the bucket: eight recordings by the dock at presigned addresses, beside boto3's own `upload_fileobj`."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from ingest.agent.enrolment import enrol
from ingest.agent.files import Found, hash_file, opened
from ingest.agent.push import QuietWatcher, push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.bench.archive import freshen, random_file, settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support.server import Server, serving
from tests.support.weed import REGION, Weed, start_weed

NAME = "direct"
RUNS = 3
GIB = 1 << 30
_FILES = 8
_SETTLED_S = 4.0
_PATIENCE_S = 900.0


class _LastByte(QuietWatcher):
    """Remembers when bytes were sent last."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._lock = threading.Lock()

    def sent(self, found: Found, size_bytes: int) -> None:
        """Hear of it."""
        del found, size_bytes
        with self._lock:
            self.at_s = time.perf_counter()


def measure(scratch: Path, *, runs: int = RUNS, size_bytes: int = GIB) -> Section:
    """Measure `runs` times eight files of `size_bytes`, each way in turn."""
    files = [random_file(scratch / f"file-{number}", size_bytes) for number in range(_FILES)]
    weed = start_weed(scratch / "weed", volume_mb=1024)
    last: list[float] = []
    receipt: list[float] = []
    peer: list[float] = []
    busy: list[float] = []
    try:
        environment = {
            **{f"LIUHEN_{name.upper()}": str(value) for name, value in weed.settings(scratch / "keys").items()},
            "LIUHEN_DIRECT_INTAKE": "true",
            "LIUHEN_INTAKE_WORKERS": "2",
            "LIUHEN_FETCHED_BYTES": str(2 * GIB),
        }
        with serving(scratch / "archive", environment=environment) as server:
            state = StateFolder(scratch / "state")
            enrol(state, server=server.address, code=server.invite())
            bucket = environment["LIUHEN_S3_BUCKET"]
            _peer(weed, bucket, files[:1])  # both have done it once
            _ours(server, state, files[:1])
            for number in range(runs):
                for turn in (0, 1):
                    if (number + turn) % 2:
                        peer.append(_peer(weed, bucket, files))
                    else:
                        to_last, to_receipt, share = _ours(server, state, files)
                        last.append(to_last)
                        receipt.append(to_receipt)
                        busy.append(share)
    finally:
        weed.stop()
    return _section(runs, size_bytes, last=last, receipt=receipt, peer=peer, busy=busy)


def _ours(server: Server, state: StateFolder, files: list[Path]) -> tuple[float, float, float]:
    """Return seconds to the last byte and to the last receipt, and the web process's share of a core meanwhile."""
    for file in files:
        freshen(file)
    time.sleep(_SETTLED_S)  # a dock remembers digests only of files that have settled
    with state.pushing() as journal:
        algorithms = state.identity().algorithms
        for file in files:
            with opened(file) as (source, identity):
                digests = hash_file(source, identity, algorithms=algorithms, told=lambda _: None)
                journal.record_digests(file, identity, digests, algorithms=algorithms)
    settle()
    web, watcher = psutil.Process(server.pids()["web"]), _LastByte()
    used, began = sum(web.cpu_times()[:2]), time.perf_counter()
    report = push(state, files, Wishes(wait_s=_PATIENCE_S, direct=True), jobs=len(files), watcher=watcher)
    ended = time.perf_counter()
    assert report.exit_code == 0, [delivery.message for delivery in report.deliveries]
    share = (sum(web.cpu_times()[:2]) - used) / (ended - began)
    return watcher.at_s - began, ended - began, share


def _peer(weed: Weed, bucket: str, files: list[Path]) -> float:
    """Upload the files at once with boto3's own transfer manager, as it comes; return the seconds."""
    for file in files:
        freshen(file)
    settle()
    client: Any = boto3.client(
        "s3", endpoint_url=weed.endpoint, aws_access_key_id=weed.access_key, aws_secret_access_key=weed.secret_key,
        region_name=REGION, config=Config(s3={"addressing_style": "path"}, max_pool_connections=10 * len(files)),
    )  # fmt: skip

    def upload(file: Path) -> None:
        with file.open("rb") as source:
            client.upload_fileobj(source, bucket, f"peer/{file.name}", Config=TransferConfig())

    began = time.perf_counter()
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(upload, files))
    took = time.perf_counter() - began
    for row in client.list_object_versions(Bucket=bucket, Prefix="peer/").get("Versions", ()):
        client.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
    return took


def _section(runs: int, size_bytes: int, **found: list[float]) -> Section:
    last, receipt, peer = (Samples(tuple(found[name])) for name in ("last", "receipt", "peer"))
    share = Samples(tuple(value * 100 for value in found["busy"]))
    rate = _FILES * size_bytes / 1e6
    text = (
        f"{_FILES} files of {size_bytes / GIB:.3g} GiB of random bytes at once to a bucket of SeaweedFS on the same machine. The dock has "
        "hashed its files before, as it does while a camera still holds them; it hashes each part again for its address. "
        "boto3 is as it comes, one `upload_fileobj` a file, with ten threads each. The receipt means: read from the bucket, "
        "hashed with SHA-256 and SHA-512, compared, locked, logged, under a checkpoint, verified by the dock. The ratio is "
        "speed, boto3's time by ours."
    )
    rows = (
        Row("Liuhen, to the last byte stored", f"{last.shown()}, {rate / last.median:.0f} MB/s"),
        target_row("boto3 `upload_fileobj`", peer.shown(), ratio=peer.median / last.median, least=0.9),
        Row("Liuhen, to the last receipt", f"{receipt.shown()}, {rate / receipt.median:.0f} MB/s"),
        Row("The web process meanwhile, of a core", share.shown("%", digits=1), "", "under 10 %", share.median < 10),
    )
    samples = {name: tuple(values) for name, values in found.items()}
    return Section(NAME, "Straight to the bucket", text, rows, runs, samples)
