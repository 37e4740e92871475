"""A body-worn system pushes recordings with OpenStack's own client, against a running archive."""

import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import swiftclient
from sqlalchemy import select
from swiftclient.exceptions import ClientException

from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.kernel.clock import SystemClock
from archive.kernel.findings import Outcome
from archive.ledger.entries import OPERATOR
from archive.ledger.receipt import verify_receipt
from archive.ledger.trustfile import TrustFile
from archive.settings import Settings
from archive.wiring import build_services
from ingest.axis.systems import renew_system_key
from ingest.docks import revoke_dock
from ingest.manifest import parse_manifest, signed_bytes
from ingest.models import Dock
from ingest.receipts import receipt
from signing.ed25519 import verify_ed25519
from tests.integration.axis.conftest import (
    COMPLETE,
    MOST_BYTES,
    Film,
    System,
    complete,
    doors_of,
    headers,
    register,
    send,
)
from tests.support.server import Server


def refused(status: int, work: Callable[[], object]) -> ClientException:
    with pytest.raises(ClientException) as told:
        work()
    assert told.value.http_status == status, told.value
    return told.value


def items_of(system: System, film: Film) -> dict[str, tuple[EvidenceItem, PreservedObject]]:
    """Return what a recording became, by the names of its objects."""
    with system.server.database.read() as tx:
        rows = tx.execute(
            select(EvidenceItem, PreservedObject)
            .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
            .where(EvidenceItem.device_serial == film.serial)
        )
        return {original.name: (item, original) for item, original in rows}


def test_a_recording_goes_from_the_first_word_to_complete(system: System) -> None:
    client, film = system.connect(), Film()
    told, body = client.get_object("System", "Capabilities.json")
    assert told["etag"] == hashlib.md5(body, usedforsecurity=False).hexdigest()
    capabilities = json.loads(body)
    assert capabilities["Store"]["StoreBookmarks"] is True
    assert capabilities["StoreAndRead"]["StoreReadSystemID"] is True
    register(client, film)
    send(client, film)
    assert client.head_container(film.name)["x-container-meta-status"] == "Transferring"
    assert system.uploads() == []
    assert items_of(system, film) == {}

    complete(client, film.name)

    assert client.head_container(film.name)["x-container-meta-status"] == "Complete"
    items = items_of(system, film)
    assert set(items) == {*film.clips, film.trail_name}
    for name, data in [*film.clips.items(), (film.trail_name, film.trail)]:
        item, original = items[name]
        assert original.sha256 == hashlib.sha256(data).hexdigest()
        assert item.dock_id == system.dock_id
    first, second = (items[name][0].recorded_at for name in film.clips)
    assert (first, second) == (first, first and first.replace(second=42))
    manifests = {parse_manifest(upload.manifest).name: parse_manifest(upload.manifest) for upload in system.uploads()}
    clip = manifests["20260302_013112_4711.mp4"]
    assert clip.fields["device"] == {"serial": film.serial, "model": "W120", "firmware": "11.11.1"}
    assert clip.fields["sender"] == {"door": "axis", "system": system.name, "user": film.user}
    said = clip.fields["sidecar"]["axis"]
    assert said["recording"]["TriggerOnTimeISO"] == "2026-03-02T01:31:12Z"
    assert said["recording"]["TriggerOffTimeISO"] == "2026-03-02T01:33:00Z"
    assert said["object"]["StartTimeISO"] == "2026-03-02T01:31:12Z"
    assert said["user"]["Name"] == "李晓东"
    (bookmark,) = [other for other in said["objects"] if other["kind"] == "bookmark"]
    assert bookmark["text"] == "当事人拒绝停止经营"
    assert bookmark["meta"]["CategoryName"] == "占道经营"
    (trail,) = [other for other in said["objects"] if other["kind"] == "trail"]
    assert trail["sha256"] == hashlib.sha256(film.trail).hexdigest()


def test_everything_that_is_confirmed_has_its_receipt(system: System) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    complete(client, film.name)
    trust = TrustFile.parse((system.server.home / "trust.txt").read_bytes())
    with system.server.database.read() as tx:
        dock = tx.get_one(Dock, system.dock_id)
    services = build_services(Settings(home=system.server.home))
    try:
        uploads = system.uploads()
        assert len(uploads) == 3
        for upload in uploads:
            assert verify_ed25519(dock.public_key, upload.manifest_signature, signed_bytes(upload.manifest))
            signed = receipt(services.intake, upload.id, dock_id=system.dock_id)  # type: ignore[arg-type]
            assert signed is not None
            manifest = parse_manifest(upload.manifest)
            assert verify_receipt(signed, trust=trust, digests=manifest.digests).outcome is Outcome.VALID
    finally:
        services.close()
    system.server.assert_sound()


def test_every_request_may_come_twice(system: System) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    send(client, film)
    before = system.objects(film.name)
    assert len(before) == 4
    name, data = next(iter(film.clips.items()))
    assert client.put_object(film.name, name, contents=data) == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert system.objects(film.name)[name].id == before[name].id, "the same bytes take no second place"
    complete(client, film.name)
    complete(client, film.name)
    client.put_container(film.name, headers={**film.meta, **COMPLETE})
    assert client.put_object(film.name, name, contents=data, headers={"X-Object-Meta-StartTimeISO": "x"})
    assert len(system.uploads()) == 3
    assert len(items_of(system, film)) == 3
    refused(400, lambda: client.put_object(film.name, name, contents=b"other bytes"))
    refused(400, lambda: client.put_object(film.name, "20260302_020000_4711.mp4", contents=b"one more"))
    refused(400, lambda: client.post_container(film.name, headers("Container", BWCModel="another")))
    system.server.assert_sound()


def test_other_bytes_under_the_same_name_count_until_the_end(system: System) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    name = next(iter(film.clips))
    staged = system.server.home / "staging" / str(system.objects(film.name)[name].id)
    assert staged.exists()
    client.put_object(film.name, name, contents=b"sent again, whole this time")
    assert not staged.exists()
    complete(client, film.name)
    _, original = items_of(system, film)[name]
    assert original.sha256 == hashlib.sha256(b"sent again, whole this time").hexdigest()


def test_a_wrong_etag_is_refused_and_nothing_is_kept(system: System) -> None:
    client, film = system.connect(), Film()
    client.put_container(film.name, headers=film.meta)
    told = refused(
        422, lambda: client.put_object(film.name, "20260302_013112_4711.mp4", contents=b"abc", etag="0" * 32)
    )
    assert json.loads(told.http_response_content)["code"] == "axis.etag_mismatch"
    assert system.objects(film.name) == {}
    right = hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    assert client.put_object(film.name, "20260302_013112_4711.mp4", contents=b"abc", etag=right) == right


def test_a_broken_connection_leaves_nothing_behind(system: System, server: Server) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    staged_before = set((server.home / "staging").iterdir())
    address, token = client.get_auth()
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(
            f"PUT {parts.path}/{film.name}/20260302_013112_9999.mp4 HTTP/1.1\r\nHost: x\r\n"
            f"X-Auth-Token: {token}\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        line.sendall(random.randbytes(300_000))
    ends = time.monotonic() + 20
    while set((server.home / "staging").iterdir()) - staged_before and time.monotonic() < ends:
        time.sleep(0.02)
    assert "20260302_013112_9999.mp4" not in system.objects(film.name)
    client.put_object(film.name, "20260302_013112_9999.mp4", contents=b"whole")
    complete(client, film.name)
    assert len(items_of(system, film)) == 4


def test_a_kill_between_any_two_requests_loses_nothing(system: System, server: Server) -> None:
    film = Film()
    names = list(film.clips)

    def again(work: Callable[[swiftclient.Connection], object]) -> None:
        """Repeat as a system does: until it is told that it succeeded."""
        for _ in range(200):
            try:
                work(system.connect())
            except (ClientException, OSError) as error:
                if isinstance(error, ClientException) and error.http_status not in {503, None, 0, 401}:
                    raise
                time.sleep(0.1)
            else:
                return
        raise AssertionError("It never succeeded")

    again(lambda client: client.put_container(film.name, headers=film.meta))
    for name in names:
        again(lambda client, name=name: client.put_object(film.name, name, contents=film.clips[name]))
        server.kill("web")
    again(lambda client: client.post_container(film.name, COMPLETE))
    server.kill("web")
    again(lambda client: client.post_container(film.name, COMPLETE))
    items = items_of(system, film)
    assert {name: original.sha256 for name, (_, original) in items.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in film.clips.items()
    }
    assert len(system.uploads()) == 2
    server.assert_sound()


def test_an_encrypted_clip_is_kept_with_its_key(system: System) -> None:
    client, film = system.connect(), Film()
    client.put_container(film.name, headers=film.meta)
    name, key = "20260302_013112_4711.mp4", "20260302_013112_4711.key"
    client.put_object(film.name, name, contents=random.randbytes(2000))
    client.put_object(
        film.name, key, contents=b'{"EncryptedKey": "' + random.randbytes(9).hex().encode() + b'"}',
        headers=headers("Object", FileType="key"),
    )  # fmt: skip
    complete(client, film.name)
    assert set(items_of(system, film)) == {name, key}
    tags = {parse_manifest(up.manifest).name: parse_manifest(up.manifest).fields["tags"] for up in system.uploads()}
    assert tags[name]["encrypted_with"] == key
    assert tags[key] == {"axis_recording": film.name, "axis_kind": "key"}


def test_what_does_not_fit_into_manifests_gets_a_sheet(system: System) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    for number in range(30):
        text = f"标记 {number} " + "很长的说明" * 60
        client.put_object(film.name, f"bookmark_20260302T0140{number:02}Z_{number}", contents=text.encode())
    complete(client, film.name)
    items = items_of(system, film)
    assert set(items) == {*film.clips, film.trail_name, "recording-sheet.json"}
    manifest = next(
        found for up in system.uploads() if (found := parse_manifest(up.manifest)).name == next(iter(film.clips))
    )
    _, original = items["recording-sheet.json"]
    assert manifest.fields["sidecar"]["axis"]["sheet"]["sha256"] == original.sha256
    sheet = json.loads((_original(system.server, original)).decode())
    assert sum("很长的说明" in told.get("text", "") for told in sheet["objects"]) == 30
    system.server.assert_sound()


def _original(server: Server, original: PreservedObject) -> bytes:
    found = list((server.raw / "store").rglob(original.content_path.rsplit("/", 1)[-1]))
    return next(data for path in found if hashlib.sha256(data := path.read_bytes()).hexdigest() == original.sha256)


def test_the_same_clip_in_two_recordings_is_one_item(system: System) -> None:
    client, film, other = system.connect(), Film(), Film()
    other.clips = dict(film.clips)
    for one in (film, other):
        send(client, one)
        complete(client, one.name)
    assert set(items_of(system, film)) == {*film.clips, film.trail_name}
    assert set(items_of(system, other)) == {other.trail_name}
    assert sum(upload.state == "accepted" for upload in system.uploads()) == 6


def test_nothing_that_was_filmed_can_be_read_or_deleted(system: System) -> None:
    client, film = system.connect(), Film()
    register(client, film)
    send(client, film)
    name, data = next(iter(film.clips.items()))
    assert client.head_object(film.name, name)["content-length"] == str(len(data))
    refused(403, lambda: client.get_object(film.name, name))
    refused(403, lambda: client.get_object(film.name, "bookmark_20260302T013120Z_1"))
    refused(403, lambda: client.delete_object(film.name, name))
    refused(403, lambda: client.delete_container(film.name))
    refused(403, lambda: client.put_object("System", "Capabilities.json", contents=b"{}"))
    told, body = client.get_object("Users", film.user)
    assert (body, told["x-object-meta-userid"]) == (b"", "5301-0117")


def test_one_system_knows_nothing_of_another(enrolled: Callable[[], System]) -> None:
    one, other = enrolled(), enrolled()
    client, stranger, film = one.connect(), other.connect(), Film()
    send(client, film)
    refused(404, lambda: stranger.head_container(film.name))
    refused(404, lambda: stranger.post_container(film.name, COMPLETE))
    refused(404, lambda: stranger.put_object(film.name, "a.mp4", contents=b"a"))
    assert stranger.get_account()[1] == []
    address, _ = client.get_auth()
    _, token = stranger.get_auth()
    assert httpx.get(address, headers={"X-Auth-Token": token}).status_code == 401


def test_listings_tell_what_is_in_transfer(system: System) -> None:
    client, film = system.connect(), Film()
    send(client, film)
    told, containers = client.get_account(full_listing=True)
    assert [(row["name"], row["count"]) for row in containers] == [(film.name, 4)]
    assert told["x-account-object-count"] == "4"
    told, rows = client.get_container(film.name, full_listing=True, limit=2)
    assert [row["name"] for row in rows] == sorted([*film.clips, film.trail_name, "bookmark_20260302T013120Z_1"])
    hashes = {row["name"]: row["hash"] for row in rows}
    for name, data in film.clips.items():
        assert hashes[name] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert told["x-container-object-count"] == "4"
    client.put_object(film.name, "extra/a.bin", contents=b"a")
    client.put_object(film.name, "extra/b.bin", contents=b"b")
    _, rows = client.get_container(film.name, delimiter="/", prefix="extra", full_listing=True)
    assert rows == [{"subdir": "extra/"}]
    _, rows = client.get_container(film.name, prefix="extra/", full_listing=True)
    assert [row["name"] for row in rows] == ["extra/a.bin", "extra/b.bin"]


def test_names_and_sizes_that_are_never_taken(system: System) -> None:
    client, film = system.connect(), Film()
    client.put_container(film.name, headers=film.meta)
    refused(400, lambda: client.put_object(film.name, "20260302_013112_4711.mp4", contents=b""))
    refused(400, lambda: client.put_object(film.name, "a\x01.mp4", contents=b"a"))
    refused(400, lambda: client.put_object(film.name, "x" * 1025, contents=b"a"))
    refused(400, lambda: client.put_container("x" * 257))
    refused(404, lambda: client.put_object("no-such-container", "a.mp4", contents=b"a"))
    refused(400, lambda: client.post_container(film.name, headers("Container", A="x" * 4000)))
    refused(400, lambda: client.put_object(film.name, "big.mp4", contents=b"x" * (MOST_BYTES + 1)))
    assert system.objects(film.name) == {}
    assert client.put_object(film.name, "bookmark_20260302T013120Z_1", contents=b"")


def test_keys_and_tokens_end(enrolled: Callable[[], System], server: Server) -> None:
    system = enrolled()
    client, film = system.connect(), Film()
    client.put_container(film.name, headers=film.meta)
    refused(401, lambda: swiftclient.Connection(system.auth_address, system.name, "wrong", retries=0).get_auth())
    refused(401, lambda: swiftclient.Connection(system.auth_address, "other", system.key, retries=0).get_auth())
    address, token = client.get_auth()
    assert httpx.head(address, headers={"X-Auth-Token": token}).status_code == 204
    assert httpx.head(address, headers={"X-Auth-Token": token + "x"}).status_code == 401
    assert httpx.head(address).status_code == 401
    _, fresh = renew_system_key(doors_of(server), name=system.name, by=OPERATOR)
    assert httpx.head(address, headers={"X-Auth-Token": token}).status_code == 401
    refused(401, lambda: system.connect().get_auth())
    renewed = System(server, system.dock_id, system.name, fresh)
    assert renewed.connect().head_container(film.name), "what was in transfer is still there"
    revoke_dock(server.database, system.dock_id, by=OPERATOR, at=SystemClock().now())
    refused(401, lambda: renewed.connect().get_auth())
    server.assert_sound()


@pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not installed")
def test_rclone_copies_a_folder_into_a_recording(system: System, tmp_path: Path) -> None:
    film, folder = Film(), tmp_path / "recording"
    folder.mkdir()
    for name, data in film.clips.items():
        (folder / name).write_bytes(data)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "RCLONE_CONFIG_BWS_TYPE": "swift",
        "RCLONE_CONFIG_BWS_AUTH": system.auth_address,
        "RCLONE_CONFIG_BWS_AUTH_VERSION": "1",
        "RCLONE_CONFIG_BWS_USER": system.name,
        "RCLONE_CONFIG_BWS_KEY": system.key,
    }

    def rclone(*arguments: str) -> str:
        done = subprocess.run(
            ["rclone", "--low-level-retries", "1", "--retries", "1", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    rclone("copy", str(folder), f"bws:{film.name}")
    rclone("copy", str(folder), f"bws:{film.name}")
    assert set(rclone("lsf", f"bws:{film.name}").split()) == set(film.clips)
    rclone("check", str(folder), f"bws:{film.name}")
    complete(system.connect(), film.name, {**film.meta, **COMPLETE})
    assert set(items_of(system, film)) == set(film.clips)


def test_the_operator_makes_a_system_and_its_connection_file(server: Server, tmp_path: Path) -> None:
    path, address = tmp_path / "bws.json", "https://archive.example:8443"
    made = server.command("dock", "axis-user", "bws-7", "--connection-file", path, "--address", address)
    assert made.returncode == 0, made.stderr
    told = json.loads(path.read_text("utf-8"))
    assert path.stat().st_mode & 0o077 == 0
    assert told["BlobAPIKey"] not in made.stdout
    assert told["AuthenticationTokenURI"] == [address + "/axis/auth/v1.0"]
    assert b64decode(told["HTTPSCertificate"][0]) == server.ca.read_bytes()
    assert all(len(told[name]) <= 64 for name in ("BlobAPIKey", "BlobAPIUserName", "SiteName"))
    client = swiftclient.Connection(f"{server.address}/axis/auth/v1.0", "bws-7", told["BlobAPIKey"], retries=0)
    film = Film()
    client.put_container(film.name, headers=film.meta)
    client.put_object(film.name, next(iter(film.clips)), contents=b"one clip")
    waiting = server.command("dock", "axis-waiting")
    assert f"bws-7 / {film.name}" in waiting.stdout

    assert server.command("dock", "axis-user", "bws-7").returncode == 73, "there is one already"
    renewed = server.command("dock", "axis-user", "bws-7", "--renew")
    assert "BlobAPIKey       lh_" in renewed.stdout
    refused(401, client.get_auth)
    assert server.command("dock", "axis-user", "nobody", "--renew").returncode == 66
    assert server.command("dock", "axis-user", "no blanks").returncode == 64
    assert server.command("dock", "axis-user", "x", "--connection-file", tmp_path / "x.json").returncode == 64
    listed = server.command("dock", "list").stdout
    assert re.search(r" axis +-/-/- +bws-7$", listed, re.MULTILINE)
    assert server.command("dock", "reopen-browser").returncode == 0
    server.assert_sound()
