"""An S3 server with Object Lock for tests: SeaweedFS, every port picked free, its data in a folder that goes away."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"
SHARED, SHARED_WORK = "shared", "shared-work"
"""Buckets of a run's server: each archive in them has a folder of its own. A bucket costs a volume, a folder nothing."""
_START_S = 60
_started: dict[int, subprocess.Popen[bytes]] = {}


@cache
def _client(endpoint: str, access: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}),
    )


@dataclass
class Weed:
    """A running server: where it listens, and with which key."""

    folder: Path
    endpoint: str
    access_key: str
    secret_key: str
    pid: int
    filer: str
    """Where whoever has the server's disk gets at it, past S3."""
    others: dict[str, list[str]]
    """Further identities, each with access and secret key, that reach only buckets whose name begins with theirs."""

    def client(self, identity: str = "") -> Any:
        """Return a plain client, to look at the medium without our adapter: with the key of everything, or another."""
        return _client(self.endpoint, *(self.others[identity] if identity else (self.access_key, self.secret_key)))

    def new_bucket(self, *, locked: bool = True, of: str = "b") -> str:
        """Make a bucket with Object Lock, which has versions, or one without either; return its name."""
        name = f"{of}{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if locked else {}))
        return name

    def stop(self) -> None:
        """Stop the server and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End the server at once: it would take twenty seconds to say goodbye to itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if (process := _started.pop(self.pid, None)) is not None:
            process.wait()

    def credentials(self, file: Path, identity: str = "") -> Path:
        """Write the key of an identity, or the one of everything, into a file; return it."""
        access, secret = self.others[identity] if identity else (self.access_key, self.secret_key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{access}\n{secret}\n")
        file.chmod(0o600)
        return file

    def settings(self, folder: Path, identity: str = "", *, of_all: bool = False) -> dict[str, Any]:
        """Return settings of an archive in two new buckets, or in those that many share; its key is put into `folder`."""
        of = identity or "b"
        return {
            "store": "s3",
            "s3_endpoint": self.endpoint,
            "s3_region": REGION,
            "s3_bucket": SHARED if of_all else self.new_bucket(of=of),
            "s3_work_bucket": SHARED_WORK if of_all else self.new_bucket(of=of, locked=False),
            "s3_credentials_file": self.credentials(folder / "s3.key", identity),
            "s3_lists_by_folder": True,
        }


def shared_weed(run: Path) -> Weed:
    """Return the server of this test run, started by the first of its workers that wants it."""
    told = run / "weed.json"
    with (run / "weed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            weed = start_weed(run / "weed")
            weed.client().create_bucket(Bucket=SHARED, ObjectLockEnabledForBucket=True)
            weed.client().create_bucket(Bucket=SHARED_WORK)
            told.write_text(json.dumps({**asdict(weed), "folder": str(weed.folder)}))
        found = json.loads(told.read_text())
    return Weed(**{**found, "folder": Path(found["folder"])})


def copy_versions(weed: Weed, bucket: str, *, source: str, target: str) -> None:
    """Lay every version of what is in a folder of a bucket into another, in the order in which they came."""
    client = weed.client()
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{source}/"):
        for row in reversed(page.get("Versions", ())):
            found = client.get_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
            locks = {name: found[name] for name in ("ObjectLockMode", "ObjectLockRetainUntilDate") if name in found}
            told = {**locks, "ChecksumAlgorithm": "SHA256"} if locks else {}
            key = target + row["Key"].removeprefix(source)
            client.put_object(Bucket=bucket, Key=key, Body=found["Body"].read(), **told)


def end_weed(run: Path) -> None:
    """Stop the server of a test run, if it started one."""
    told = run / "weed.json"
    if told.exists():
        found = json.loads(told.read_text())
        Weed(**{**found, "folder": Path(found["folder"])}).stop()


def start_weed(
    folder: Path, *, volume_mb: int = 64, keys: tuple[str, str] | None = None, ports: Sequence[int] = ()
) -> Weed:
    """Start a server whose data is in `folder`; with keys and ports again, on the data that it had.

    Raises: RuntimeError when it does not answer in a minute.
    """
    program = shutil.which("weed") or str(Path(__import__("sys").executable).parent / "weed")
    folder.mkdir(parents=True, exist_ok=keys is not None)
    access, secret = keys or (secrets.token_hex(10), secrets.token_hex(20))
    credentials = [{"accessKey": access, "secretKey": secret}]
    identity = {"name": "liuhen", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    told = folder / "others.json"
    if not told.exists():
        names = ("first", "second")
        told.write_text(json.dumps({name: [secrets.token_hex(10), secrets.token_hex(20)] for name in names}))
    bound: dict[str, list[str]] = json.loads(told.read_text())
    identities = [identity, *(_bound_to(name, *each) for name, each in bound.items())]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    # A bucket is a collection with volumes of its own: one for each is enough here, seven would be made.
    (folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
    s3, *others = ports or free_ports(9)
    names = (
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port.grpc",
    )
    listening = [f"-{name}={port}" for name, port in zip(names, others, strict=False)]
    command = [
        program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-s3", f"-s3.port={s3}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-master.volumeSizeLimitMB={volume_mb}",
        "-volume.max=1000", "-master.electionTimeout=1s", *listening,
    ]  # fmt: skip
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    _started[process.pid] = process
    filer = f"http://127.0.0.1:{others[names.index('filer.port')]}"
    weed = Weed(folder, f"http://127.0.0.1:{s3}", access, secret, process.pid, filer, bound)
    ends = time.monotonic() + _START_S
    while not _answers(weed):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError((folder / "weed.log").read_text()[-2000:])
        time.sleep(0.1)
    return weed


def _bound_to(name: str, access: str, secret: str) -> dict[str, Any]:
    """Return an identity that may do everything in buckets whose name begins with its own, and nothing elsewhere."""
    actions = [f"{action}:{name}*" for action in ("Admin", "Read", "Write", "List", "Tagging")]
    return {"name": name, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}


def _answers(weed: Weed) -> bool:
    try:
        urllib.request.urlopen(f"{weed.endpoint}/healthz", timeout=1)
        weed.client().list_buckets()
    except (OSError, urllib.error.URLError):
        return False
    except Exception:  # noqa: BLE001 - whatever it says while it starts
        return False
    return True


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
