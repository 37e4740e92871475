"""The store in an S3 bucket with Object Lock: the contract, and what only such a server can get wrong."""

import hashlib
import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from hypothesis import settings

from archive.adapters.s3_client import S3Place
from archive.adapters.s3_path import Bucket
from archive.adapters.s3_probe import WormProbe
from archive.adapters.s3_store import LockUntil, S3Store
from archive.fsck.raw import files_below
from archive.kernel.findings import Outcome
from archive.ports.blobs import BlobExists, BlobLocked, BlobMissing, BlobStore, StoreBroken, StoreUnavailable
from tests.contract.blob_store import BlobStoreContract, BlobStoreMachine, Raw
from tests.contract.locks import LockContract, soon
from tests.support.weed import REGION, Weed, start_weed
from tests.support.weed_path import WeedPath

_REPLACED = {"inventory", "counter"}


def is_replaced(key: str) -> bool:
    return key in _REPLACED


class RawBucket:
    """The bucket, read with a plain client: what a reader who knows nothing of versions sees."""

    def __init__(self, weed: Weed, bucket: str) -> None:
        self.client, self.bucket = weed.client(), bucket

    def read(self, key: str) -> bytes | None:
        try:
            return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except ClientError:
            return None

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {row["Key"] for page in pages for row in page.get("Contents", ())}


@pytest.fixture(scope="module")
def weed() -> Iterator[Weed]:
    folder = Path(tempfile.mkdtemp(prefix="liuhen-weed-"))
    started = start_weed(folder / "data")
    yield started
    started.stop()
    shutil.rmtree(folder)


def store_in(
    weed: Weed,
    bucket: str,
    folder: Path,
    *,
    lock_until: LockUntil = lambda: None,
    locks_at_once: bool = True,
    endpoint: str | None = None,
    **more: Any,
) -> S3Store:
    credentials = folder / "s3.key"
    credentials.write_text(f"{weed.access_key}\n{weed.secret_key}\n")
    place = S3Place(bucket, endpoint=endpoint or weed.endpoint, region=REGION, credentials_file=credentials, **more)
    return S3Store(place, lock_until=lock_until, locks_at_once=locks_at_once, is_replaced=is_replaced)


class Deaf(BaseHTTPRequestHandler):
    """Passes requests on to the server, and hangs up at those about locks."""

    protocol_version = "HTTP/1.1"
    endpoint = ""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "retention" in self.path:
            self.close_connection = True
            return
        answer = httpx.request(self.command, self.endpoint + self.path, headers=dict(self.headers), content=body)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    def do_GET(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.service
def test_a_server_that_hangs_up_when_asked_for_a_lock_is_away(weed: Weed, bucket: str, tmp_path: Path) -> None:
    deaf = type("Deaf", (Deaf,), {"endpoint": weed.endpoint})
    server = ThreadingHTTPServer(("127.0.0.1", 0), deaf)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store = store_in(weed, bucket, tmp_path, endpoint=f"http://127.0.0.1:{server.server_port}", tries=1)
    try:
        store.put_once("a/b", io.BytesIO(b"there"))
        with pytest.raises(StoreUnavailable):
            store.locked_until("a/b")
    finally:
        store.close()
        server.shutdown()
        server.server_close()


@pytest.fixture
def bucket(weed: Weed) -> str:
    return weed.new_bucket()


@pytest.fixture
def store(weed: Weed, bucket: str, tmp_path: Path) -> Iterator[S3Store]:
    opened = store_in(weed, bucket, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def raw(weed: Weed, bucket: str) -> RawBucket:
    return RawBucket(weed, bucket)


class TestContract(BlobStoreContract):
    """The store in a bucket keeps the contract."""


class TestContractWithoutVersions(BlobStoreContract):
    """So it does in a bucket that has neither versions nor locks."""

    @pytest.fixture
    def bucket(self, weed: Weed) -> str:
        return weed.new_bucket(locked=False)

    @pytest.fixture
    def store(self, weed: Weed, bucket: str, tmp_path: Path) -> Iterator[S3Store]:
        opened = store_in(weed, bucket, tmp_path, lists_by_folder=True)
        yield opened
        opened.close()


class TestLocks(LockContract):
    """Locks and legal holds are those of the server."""

    @pytest.fixture
    def locking(self, weed: Weed, bucket: str, tmp_path: Path) -> Iterator[S3Store]:
        opened = store_in(weed, bucket, tmp_path, lock_until=in_an_hour, locks_at_once=False)
        yield opened
        opened.close()

    def test_the_server_itself_refuses(self, locking: S3Store, key: str, weed: Weed, bucket: str) -> None:
        locking.lock([key], soon())
        client = weed.client()
        (row,) = client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
        where = {"Bucket": bucket, "Key": key, "VersionId": row["VersionId"]}
        for more in ({}, {"BypassGovernanceRetention": True}):
            with pytest.raises(ClientError):
                client.delete_object(**where, **more)
        with pytest.raises(ClientError):
            client.put_object_retention(**where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon(0)})

    def test_a_hold_is_refused_by_the_server_too(self, locking: S3Store, key: str, weed: Weed, bucket: str) -> None:
        locking.hold([key])
        client = weed.client()
        (row,) = client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
        with pytest.raises(ClientError):
            client.delete_object(Bucket=bucket, Key=key, VersionId=row["VersionId"])
        locking.release_hold([key])

    def test_without_a_moment_it_is_the_own_term(self, locking: S3Store, key: str) -> None:
        locking.lock([key])
        until = locking.locked_until(key)
        assert until is not None
        assert timedelta(minutes=59) < until - datetime.now(UTC) < timedelta(minutes=61)

    def test_every_version_goes_and_what_was_laid_over_it(
        self, locking: S3Store, key: str, weed: Weed, bucket: str
    ) -> None:
        client = weed.client()
        client.put_object(Bucket=bucket, Key=key, Body=b"another film")
        client.delete_object(Bucket=bucket, Key=key)
        locking.delete(key)
        left = client.list_object_versions(Bucket=bucket, Prefix=key)
        assert [*left.get("Versions", ()), *left.get("DeleteMarkers", ())] == []

    def test_none_of_several_versions_goes_where_one_is_locked(
        self, locking: S3Store, key: str, weed: Weed, bucket: str
    ) -> None:
        locking.lock([key], soon())
        client = weed.client()
        client.put_object(Bucket=bucket, Key=key, Body=b"another film")
        with pytest.raises(BlobLocked):
            locking.delete(key)
        assert len(client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 2

    def test_a_store_that_is_to_lock_nothing_locks_nothing(self, weed: Weed, bucket: str, tmp_path: Path) -> None:
        store = store_in(weed, bucket, tmp_path, lock_until=lambda: None)
        store.put_once("x", io.BytesIO(b"x"))
        store.lock(["x"], soon())
        store.hold(["x"])
        assert (store.locked_until("x"), store.is_held("x")) == (None, False)
        store.delete("x")
        store.close()


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_what_is_put_is_locked_and_stays_what_was_put_first(weed: Weed, bucket: str, tmp_path: Path) -> None:
    store, client = store_in(weed, bucket, tmp_path, lock_until=in_an_hour), weed.client()
    store.put_once("v1/content/a.mp4", io.BytesIO(b"film"))
    until = store.locked_until("v1/content/a.mp4")
    assert until is not None
    assert until > datetime.now(UTC) + timedelta(minutes=59)
    client.put_object(Bucket=bucket, Key="v1/content/a.mp4", Body=b"another film")
    client.delete_object(Bucket=bucket, Key="v1/content/a.mp4")
    again = store_in(weed, bucket, tmp_path, lock_until=in_an_hour)
    with again.open("v1/content/a.mp4") as source:
        assert source.read() == b"film"
    assert again.exists("v1/content/a.mp4")
    with pytest.raises(BlobExists):
        again.put_once("v1/content/a.mp4", io.BytesIO(b"third"))
    assert list(again.covered()) == ["v1/content/a.mp4"]
    with pytest.raises(BlobLocked):
        again.delete("v1/content/a.mp4")
    with again.open("v1/content/a.mp4", offset=1, length=2) as source:
        assert source.read() == b"il"


def test_a_large_blob_is_locked_as_a_small_one(weed: Weed, bucket: str, tmp_path: Path) -> None:
    store = store_in(weed, bucket, tmp_path, lock_until=in_an_hour)
    (tmp_path / "staged").write_bytes(bytes(20 << 20) + b"end")
    store.adopt("large", tmp_path / "staged")
    assert store.locked_until("large") is not None
    with store.open("large", offset=(20 << 20) - 1) as source:
        assert source.read() == b"\0end"


def test_a_bucket_that_cannot_lock_is_told_when_a_lock_is_asked_for(weed: Weed, tmp_path: Path) -> None:
    store = store_in(weed, weed.new_bucket(locked=False), tmp_path, lock_until=in_an_hour)
    with pytest.raises((StoreBroken, StoreUnavailable)):
        store.put_once("a", io.BytesIO(b"film"))


def test_what_is_replaced_is_never_an_alarm_and_reads_as_the_newest(store: S3Store) -> None:
    store.replace_if("inventory", b"one", expected_sha512=None)
    store.replace_if("inventory", b"two", expected_sha512=hashlib.sha512(b"one").hexdigest())
    with store.open("inventory") as source:
        assert source.read() == b"two"
    assert list(store.covered()) == []


def test_a_folder_of_a_bucket_is_a_store_of_its_own(weed: Weed, bucket: str, tmp_path: Path, raw: RawBucket) -> None:
    one, two = (store_in(weed, bucket, tmp_path, prefix=name) for name in ("one", "two"))
    one.put_once("a/b", io.BytesIO(b"1"))
    two.put_once("a/b", io.BytesIO(b"2"))
    assert raw.names() == {"one/a/b", "two/a/b"}
    assert list(one.keys()) == ["a/b"]
    assert list(two.keys("a")) == ["a/b"]


def test_a_folder_that_is_listed_though_empty_is_nothing_to_a_raw_reader(
    weed: Weed, bucket: str, tmp_path: Path
) -> None:
    weed.client().put_object(Bucket=bucket, Key="a/b/c.mp4", Body=b"x")
    folder = WeedPath(weed.filer, PurePosixPath(bucket)) / "a" / "b"
    (folder / "c.mp4").unlink()
    listed = weed.client().list_object_versions(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert [row["Prefix"] for row in listed.get("CommonPrefixes", ())] == ["a/b/"], "else it shows nothing"
    root = Bucket(_place(weed, bucket, tmp_path)).root
    assert list((root / "a").iterdir()) == list(files_below(root / "a")) == []


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_a_raw_reader_sees_the_same_in_one_answer_and_in_many(
    weed: Weed, bucket: str, tmp_path: Path, at_once: int
) -> None:
    client, keys = weed.client(), {"top", "a/inventory.json", "a/v1/b", "a/v1/c/d", "e/f/g/h", "e/f/i"}
    for key in sorted(keys | {"gone/inventory.json"}):
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ("a/v1/b", "a/inventory.json"):
        client.put_object(Bucket=bucket, Key=key, Body=b"newer")
    for key in ("e/f/i", "gone/inventory.json"):
        client.delete_object(Bucket=bucket, Key=key)
    opened = Bucket(_place(weed, bucket, tmp_path), is_replaced=lambda key: key.endswith("y.json"), at_once=at_once)
    found = {"/".join(path.parts): path.read_bytes() for path in files_below(opened.root)}
    assert found == {key: key.encode() for key in keys} | {"a/inventory.json": b"newer"}
    assert opened.covered == {"a/v1/b", "e/f/i"}
    assert {path.name for path in (opened.root / "a").iterdir()} == {"inventory.json", "v1"}
    assert not (opened.root / "gone").exists()


def test_an_upload_that_breaks_off_leaves_no_parts(weed: Weed, bucket: str, store: S3Store) -> None:
    class Breaking(io.RawIOBase):
        left = 30 << 20

        def read(self, size: int = -1) -> bytes:
            if self.left <= 0:
                raise ConnectionResetError("the sender is gone")
            self.left -= size
            return bytes(size)

    with pytest.raises(ConnectionResetError):
        store.put_once("large", Breaking())
    assert weed.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_store_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    place = S3Place("nothing", endpoint="http://127.0.0.1:9", credentials_file=tmp_path / "key", tries=1)
    (tmp_path / "key").write_text("a\nb\n")
    store = S3Store(place, is_replaced=is_replaced)
    with pytest.raises(StoreUnavailable):
        store.exists("a")


class S3Machine(BlobStoreMachine):
    weed: Weed

    def make(self) -> tuple[BlobStore, Raw, Path]:
        folder = Path(tempfile.mkdtemp(prefix="liuhen-s3-"))
        bucket = self.weed.new_bucket()
        place = S3Place(bucket, endpoint=self.weed.endpoint, region=REGION, credentials_file=folder / "s3.key")
        (folder / "s3.key").write_text(f"{self.weed.access_key}\n{self.weed.secret_key}\n")
        return S3Store(place, is_replaced=lambda _: True), RawBucket(self.weed, bucket), folder

    def teardown(self) -> None:
        if hasattr(self, "work"):
            self.store.close()  # type: ignore[attr-defined]
            shutil.rmtree(self.work)


S3Machine.TestCase.settings = settings(max_examples=6, stateful_step_count=15, deadline=None)


@pytest.fixture(scope="module", autouse=True)
def _server(weed: Weed) -> None:
    S3Machine.weed = weed


TestMachine = S3Machine.TestCase


def _place(weed: Weed, bucket: str, folder: Path) -> S3Place:
    (folder / "s3.key").write_text(f"{weed.access_key}\n{weed.secret_key}\n")
    return S3Place(bucket, endpoint=weed.endpoint, region=REGION, credentials_file=folder / "s3.key", tries=1)


def test_a_bucket_that_locks_is_proven_to(weed: Weed, bucket: str, tmp_path: Path) -> None:
    report = WormProbe(_place(weed, bucket, tmp_path)).run(at=datetime.now(UTC))
    assert report.outcome is Outcome.VALID, [str(each) for each in report.findings]
    assert {each.code.removeprefix("worm.") for each in report.findings} == {
        "versions", "lock", "delete", "bypass", "shorten", "weaken", "suspend", "hold",
    }  # fmt: skip


def test_a_bucket_without_versions_is_not_proven(weed: Weed, tmp_path: Path) -> None:
    report = WormProbe(_place(weed, weed.new_bucket(locked=False), tmp_path)).run(at=datetime.now(UTC))
    assert report.outcome is Outcome.INVALID


def test_a_bucket_with_versions_and_no_lock_is_not_proven(weed: Weed, tmp_path: Path) -> None:
    name = weed.new_bucket(locked=False)
    weed.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    report = WormProbe(_place(weed, name, tmp_path)).run(at=datetime.now(UTC))
    assert report.outcome is Outcome.INVALID


def test_a_bucket_that_does_not_answer_is_neither(tmp_path: Path) -> None:
    (tmp_path / "s3.key").write_text("a\nb\n")
    place = S3Place("x", endpoint="http://127.0.0.1:9", credentials_file=tmp_path / "s3.key", tries=1)
    assert WormProbe(place).run(at=datetime.now(UTC)).outcome is Outcome.INDETERMINATE


# ---- addresses that are good for a while -----------------------------------------------------------------------------


def fetched(address: str, **headers: str) -> httpx.Response:
    """Fetch as somebody who knows nothing but the address."""
    return httpx.get(address, headers=headers, trust_env=False)


def test_a_presigned_address_reads_one_version_as_what_it_was_said_to_be(weed: Weed, tmp_path: Path) -> None:
    bucket = weed.new_bucket()
    store = store_in(weed, bucket, tmp_path)
    store.put_once("a/b c.mp4", io.BytesIO(b"0123456789"))
    address = store.presigned("a/b c.mp4", lease_s=60, media_type="video/mp4", disposition="inline")
    assert address.startswith(f"{store.origin}/")
    weed.client().put_object(Bucket=bucket, Key="a/b c.mp4", Body=b"something newer")
    whole, part = fetched(address), fetched(address, Range="bytes=2-4")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, b"0123456789", "video/mp4")
    assert whole.headers["content-disposition"] == "inline"
    assert (part.status_code, part.content) == (206, b"234")
    forged = address[:-1] + ("0" if address[-1] != "0" else "1")
    for changed in (address.replace("b%20c", "b"), address.replace("video%2Fmp4", "text%2Fhtml"), forged):
        assert fetched(changed).status_code in {403, 404}
    assert httpx.put(address, content=b"x", trust_env=False).status_code == 403
    with pytest.raises(BlobMissing):
        store.presigned("a/none", lease_s=60, media_type="video/mp4", disposition="inline")
    store.close()


def test_a_presigned_address_ends(weed: Weed, tmp_path: Path) -> None:
    store = store_in(weed, weed.new_bucket(), tmp_path)
    store.put_once("a", io.BytesIO(b"x"))
    address = store.presigned("a", lease_s=1, media_type="video/mp4", disposition="inline")
    until = time.monotonic() + 30
    while fetched(address).status_code != 403:
        assert time.monotonic() < until
    store.close()


def test_who_may_read_is_asked_of_the_server(weed: Weed, tmp_path: Path) -> None:
    bucket, ours = weed.new_bucket(), "https://archive.example"
    store = store_in(weed, bucket, tmp_path)
    rule = {"AllowedOrigins": [ours], "AllowedMethods": ["GET"], "AllowedHeaders": ["range"]}
    weed.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert store.lets_read(ours)
    assert not store.lets_read("https://other.example")
    store.close()
    place = S3Place("x", endpoint="http://127.0.0.1:9", credentials_file=tmp_path / "s3.key", tries=1)
    with pytest.raises(StoreUnavailable):
        S3Store(place, is_replaced=is_replaced).lets_read(ours)
