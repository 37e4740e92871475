"""Recordings that go straight to the bucket: whole processes, a real bucket, the real dock.

The archive believes nothing: neither the dock's digests of parts, nor that the bucket has what was signed.
"""

import base64
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from archive.evidence.models import EvidenceItem
from archive.kernel.digests import digest_of
from ingest.agent.delivery import Delivery, Result
from ingest.agent.enrolment import enrol
from ingest.agent.push import push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from ingest.manifest import build_manifest, sign_manifest
from ingest.models import Upload
from tests.support import postgres
from tests.support.deployment import s3_environment
from tests.support.server import ROOT, Server, serving

MIB = 1 << 20
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, postgres_template: str) -> Iterator[Server]:
    """An archive on PostgreSQL and S3 that offers direct intake."""
    url = postgres.create_database(postgres_server, template=postgres_template)
    folder = tmp_path_factory.mktemp("direct")
    environment = {**s3_environment(folder), "LIUHEN_DIRECT_INTAKE": "true"}
    with serving(folder, database_url=url, environment=environment) as running:
        yield running
        running.assert_sound()
    postgres.drop_database(postgres_server, url)


@pytest.fixture
def state(tmp_path: Path, server: Server) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    enrol(made, server=server.address, code=server.invite())
    return made


def recording(path: Path, size_bytes: int) -> Path:
    path.write_bytes(random.randbytes(size_bytes))
    return path


def push_one(state: StateFolder, path: Path, **wished: Any) -> Delivery:
    (delivery,) = push(state, [path], Wishes(wait_s=_PATIENCE_S, direct=True, **wished)).deliveries
    return delivery


def items(server: Server, path: Path) -> list[EvidenceItem]:
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    with server.database.read() as tx:
        return list(tx.scalars(select(EvidenceItem).where(EvidenceItem.sha512 == sha512)))


def uploads(server: Server, state: StateFolder) -> list[Upload]:
    with server.database.read() as tx:
        return list(tx.scalars(select(Upload).where(Upload.dock_id == state.identity().dock_id).order_by(Upload.id)))


def test_a_recording_goes_straight_to_the_bucket_and_its_receipt_verifies(
    server: Server, state: StateFolder, tmp_path: Path
) -> None:
    path = recording(tmp_path / "现场 1.bin", 21 * MIB + 5)
    delivery = push_one(state, path, wipe=True)
    assert (delivery.result, delivery.is_wiped, delivery.sent.size_bytes) == (Result.DELIVERED, True, 21 * MIB + 5)
    assert not path.exists()
    (upload,) = uploads(server, state)
    assert (upload.state, upload.offset_bytes) == ("accepted", 0)
    assert list((server.home / "staging").iterdir()) == []
    server.assert_sound()


def test_the_same_bytes_again_are_one_item_and_leave_nothing_behind(
    server: Server, state: StateFolder, tmp_path: Path
) -> None:
    path = recording(tmp_path / "a.bin", 9 * MIB)
    assert push_one(state, path).result is Result.DELIVERED
    other = StateFolder(tmp_path / "other")
    enrol(other, server=server.address, code=server.invite("Other"))
    assert push_one(other, path).result is Result.DELIVERED
    assert len(items(server, path)) == 1
    server.assert_sound()


def test_an_interrupted_push_goes_on_with_the_parts_that_are_missing(
    server: Server, state: StateFolder, tmp_path: Path
) -> None:
    path = recording(tmp_path / "a.bin", 60 * MIB)
    command = [sys.executable, "-m", "archive.cli", "dock", "push", str(path), "--direct", "--json"]
    pushing = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "LIUHEN_DOCK_STATE": str(state.path)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + _PATIENCE_S
    while not any(stored_parts(server, state)) and pushing.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    pushing.send_signal(signal.SIGKILL)
    pushing.wait()
    delivery = push_one(state, path)
    assert delivery.result is Result.DELIVERED
    assert delivery.sent.size_bytes < 60 * MIB
    assert len(items(server, path)) == len(uploads(server, state)) == 1


def stored_parts(server: Server, state: StateFolder) -> list[int]:
    found = uploads(server, state)
    return asked(server, state, "GET", f"/{found[0].id}")[1]["stored"] if found else []


def asked(server: Server, state: StateFolder, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{server.address}/api/v1/direct-uploads{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {state.identity().api_key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def begun(server: Server, state: StateFolder, data: bytes, *, said: bytes | None = None) -> dict[str, Any]:
    """Begin an upload of `data`; `said` is what the manifest speaks of."""
    identity = state.identity()
    manifest = build_manifest(
        dock_id=identity.dock_id, name="a.bin", digests=digest_of(data if said is None else said), device={},
        times={"signed": "2026-03-01T08:00:00Z"},
    )  # fmt: skip
    told = {
        "size_bytes": len(data),
        "manifest": base64.b64encode(manifest).decode(),
        "signature": base64.b64encode(sign_manifest(manifest, identity.key)).decode(),
    }
    status, upload = asked(server, state, "POST", "", told)
    assert status == 201, upload
    return dict(upload)


def addressed(server: Server, state: StateFolder, upload: dict[str, Any], part: bytes) -> dict[str, Any]:
    wish = {"parts": [{"number": 1, "sha256": hashlib.sha256(part).hexdigest()}]}
    status, told = asked(server, state, "POST", f"/{upload['id']}/parts", wish)
    assert status == 200, told
    return dict(told["parts"][0])


def put(part: dict[str, Any], body: bytes, *, method: str = "PUT", query: str = "") -> int:
    where = urlsplit(part["url"])
    with closing(http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)) as connection:
        connection.request(method, f"{where.path}?{query or where.query}", body=body, headers=part["headers"])
        with connection.getresponse() as answer:
            answer.read()
            return answer.status


def settled(server: Server, state: StateFolder, upload: dict[str, Any]) -> str:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        found = str(asked(server, state, "GET", f"/{upload['id']}")[1]["state"])
        if found not in {"direct", "complete"}:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_an_address_takes_the_bytes_that_were_named_and_nothing_else(server: Server, state: StateFolder) -> None:
    data = random.randbytes(6 * MIB)
    upload = begun(server, state, data)
    part = addressed(server, state, upload, data)
    assert put(part, random.randbytes(6 * MIB)) == 400
    assert put({**part, "headers": {}}, data) == 403
    assert put(part, data, query=part["url"].partition("?")[2].replace("partNumber=1", "partNumber=2")) == 403
    assert put(part, b"", method="DELETE") == 403
    assert asked(server, state, "GET", f"/{upload['id']}")[1]["stored"] == []
    digests = {"sha256": [hashlib.sha256(data).hexdigest()]}
    status, problem = asked(server, state, "POST", f"/{upload['id']}/completion", digests)
    assert (status, problem["code"]) == (409, "store.parts_missing")
    assert put(part, data) == 200
    assert asked(server, state, "POST", f"/{upload['id']}/completion", digests)[0] == 202
    assert asked(server, state, "POST", f"/{upload['id']}/completion", digests)[0] == 202
    assert settled(server, state, upload) == "accepted"
    status, problem = asked(
        server, state, "POST", f"/{upload['id']}/parts", {"parts": [{"number": 1, "sha256": "0" * 64}]}
    )
    assert (status, problem["code"]) == (409, "ingest.upload_finished")


def test_bytes_that_are_not_what_was_signed_go_to_quarantine(server: Server, state: StateFolder) -> None:
    data, said = random.randbytes(6 * MIB), random.randbytes(6 * MIB)
    upload = begun(server, state, data, said=said)
    assert put(addressed(server, state, upload, data), data) == 200
    digests = {"sha256": [hashlib.sha256(data).hexdigest()]}
    assert asked(server, state, "POST", f"/{upload['id']}/completion", digests)[0] == 202
    assert settled(server, state, upload) == "quarantined"
    server.assert_sound()


def test_nobody_sees_or_feeds_the_upload_of_another_dock(server: Server, state: StateFolder, tmp_path: Path) -> None:
    upload = begun(server, state, b"film")
    other = StateFolder(tmp_path / "other")
    enrol(other, server=server.address, code=server.invite("Other"))
    wish = {"parts": [{"number": 1, "sha256": hashlib.sha256(b"film").hexdigest()}]}
    for method, path, body in (
        ("GET", "", None), ("POST", "/parts", wish), ("POST", "/completion", {"sha256": wish["parts"][0]["sha256"].split()}),
    ):  # fmt: skip
        status, problem = asked(server, other, method, f"/{upload['id']}{path}", body)
        assert (status, problem["code"]) == (404, "ingest.upload_not_found")
    bad = {"parts": [{"number": 2, "sha256": "0" * 64}]}
    assert asked(server, state, "POST", f"/{upload['id']}/parts", bad)[0] == 400
    assert asked(server, state, "POST", f"/{upload['id']}/completion", {"sha256": ["0" * 64] * 2})[0] == 400


def test_the_worker_is_killed_while_it_reads(server: Server, state: StateFolder, tmp_path: Path) -> None:
    for number in range(3):
        data = random.randbytes(6 * MIB)
        upload = begun(server, state, data)
        assert put(addressed(server, state, upload, data), data) == 200
        digests = {"sha256": [hashlib.sha256(data).hexdigest()]}
        assert asked(server, state, "POST", f"/{upload['id']}/completion", digests)[0] == 202
        time.sleep(0.03 * number)
        server.kill("worker")
        server.wait_ready()
        assert settled(server, state, upload) == "accepted"
    server.assert_sound()
