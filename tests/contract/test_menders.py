"""Menders of both stores: the contract, and what each has of its own."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archive.adapters.files_mender import FilesMender
from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.s3_client import S3Place
from archive.adapters.s3_mender import S3Mender
from archive.adapters.s3_path import Bucket
from archive.adapters.s3_store import S3Store
from archive.fsck.raw import files_below
from archive.ports.mending import Mender, WrongBytes
from tests.contract.mender import BAD, GOOD, KEY, MenderContract, of, told
from tests.support.weed import REGION, Weed, start_weed
from tests.support.weed_path import WeedPath

FAR = timedelta(days=400)


class TestFiles(MenderContract):
    """In a folder: the damaged file gets another name beside the store."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesystemStore:
        return FilesystemStore(tmp_path / "store", scratch=tmp_path / "scratch")

    @pytest.fixture
    def mender(self, tmp_path: Path, store: FilesystemStore) -> FilesMender:
        return FilesMender(tmp_path / "store", scratch=tmp_path / "scratch", aside=tmp_path / "damaged")

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Any:
        def put(key: str, data: bytes) -> None:
            path = tmp_path / "store" / key
            path.chmod(0o644)
            path.write_bytes(data)

        return put

    def read(self, store: Any, mender: Mender, key: str, version: str | None) -> bytes:
        assert version is None
        with store.open(key) as source:
            return bytes(source.read())

    def kept(self, where: str, store: Any) -> bytes:
        return Path(where).read_bytes()

    def test_what_is_mended_is_read_only_and_nothing_is_left(
        self, tmp_path: Path, store: Any, mender: Any, spoil: Any
    ) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        spoil(KEY, BAD)
        mender.mend(KEY, of(GOOD), **told(GOOD))
        assert (tmp_path / "store" / KEY).stat().st_mode & 0o777 == 0o444
        assert [path for path in (tmp_path / "scratch").iterdir() if path.is_file()] == []

    def test_links_and_folders_in_the_place_of_a_file(self, tmp_path: Path, store: Any, mender: Any) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        path = tmp_path / "store" / KEY
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
        assert mender.keep_aside(KEY, "one/c") is not None
        mender.mend(KEY, of(GOOD), **told(GOOD))
        assert (tmp_path / "damaged/one/c").readlink() == tmp_path / "elsewhere"
        path.unlink()
        path.mkdir()
        (path / "stranger").write_bytes(b"x")
        assert mender.keep_aside(KEY, "two/c") is not None
        mender.mend(KEY, of(GOOD), **told(GOOD))
        assert (tmp_path / "damaged/two/c/stranger").read_bytes() == b"x"
        with store.open(KEY) as source:
            assert source.read() == GOOD

    def test_a_stranger_is_moved_away(self, tmp_path: Path, store: Any, mender: Any) -> None:
        store.put_once("a/b/stranger", io.BytesIO(b"x"))
        where = mender.set_aside("a/b/stranger", "one/stranger")
        assert where is not None
        assert Path(where).read_bytes() == b"x"
        assert not (tmp_path / "store/a").exists(), "what it leaves empty goes too"
        assert mender.set_aside("a/b/stranger", "one/stranger") == where
        assert mender.set_aside("a/b/nobody", "one/nobody") is None


@pytest.fixture(scope="module")
def weed() -> Iterator[Weed]:
    folder = Path(tempfile.mkdtemp(prefix="liuhen-weed-"))
    started = start_weed(folder / "data")
    yield started
    started.stop()
    shutil.rmtree(folder)


@pytest.fixture
def place(weed: Weed, tmp_path: Path) -> S3Place:
    credentials = tmp_path / "s3.key"
    credentials.write_text(f"{weed.access_key}\n{weed.secret_key}\n")
    return S3Place(weed.new_bucket(), endpoint=weed.endpoint, region=REGION, credentials_file=credentials, prefix="p")


def is_replaced(key: str) -> bool:
    return key.endswith("inventory.json")


@pytest.mark.service
class TestS3(MenderContract):
    """In a bucket with Object Lock: the damaged version stays, the good one lies over it, locked as long."""

    @pytest.fixture
    def until(self) -> datetime:
        return (datetime.now(UTC) + FAR).replace(microsecond=0)

    @pytest.fixture
    def store(self, place: S3Place, until: datetime) -> Iterator[S3Store]:
        made = S3Store(place, lock_until=lambda: until, locks_at_once=True, is_replaced=is_replaced)
        yield made
        made.close()

    @pytest.fixture
    def mender(self, place: S3Place) -> Iterator[S3Mender]:
        made = S3Mender(place, lock_until=lambda: datetime.now(UTC) + timedelta(days=2), is_replaced=is_replaced)
        yield made
        made.close()

    @pytest.fixture
    def spoil(self, weed: Weed, place: S3Place) -> Any:
        def put(key: str, data: bytes) -> None:
            (WeedPath(weed.filer, PurePosixPath(place.bucket) / "p") / key).write_bytes(data)

        return put

    def read(self, store: Any, mender: Any, key: str, version: str | None) -> bytes:
        reader = S3Store(mender._place, is_replaced=is_replaced, mended=lambda asked: version if asked == key else None)
        try:
            with reader.open(key) as source:
                return bytes(source.read())
        finally:
            reader.close()

    def kept(self, where: str, store: Any) -> bytes:
        version = where.rpartition("?versionId=")[2]
        answer = store._client.get_object(Bucket=store._place.bucket, Key=f"p/{KEY}", VersionId=version)
        return bytes(answer["Body"].read())

    def test_the_good_version_is_locked_and_held_as_the_damaged_one(
        self, weed: Weed, place: S3Place, store: S3Store, mender: S3Mender, spoil: Any, until: datetime
    ) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        client, where = weed.client(), {"Bucket": place.bucket, "Key": f"p/{KEY}"}
        (damaged,) = client.list_object_versions(Bucket=place.bucket, Prefix=where["Key"])["Versions"]
        client.put_object_legal_hold(**where, VersionId=damaged["VersionId"], LegalHold={"Status": "ON"})
        spoil(KEY, BAD)
        version = mender.mend(KEY, of(GOOD), **told(GOOD))
        assert version not in {None, damaged["VersionId"]}
        retention = client.get_object_retention(**where, VersionId=version)["Retention"]
        assert (retention["Mode"], retention["RetainUntilDate"]) == ("COMPLIANCE", until)
        assert client.get_object_legal_hold(**where, VersionId=version)["LegalHold"]["Status"] == "ON"
        for each in (version, damaged["VersionId"]):
            with pytest.raises(ClientError):
                client.delete_object(**where, VersionId=each, BypassGovernanceRetention=True)

    def test_large_files_go_in_parts(self, store: S3Store, mender: S3Mender, spoil: Any) -> None:
        large, bad = os.urandom(20 << 20), os.urandom(20 << 20)
        store.put_once(KEY, io.BytesIO(large))
        spoil(KEY, bad)
        with pytest.raises(WrongBytes):
            mender.mend(KEY, of(bad), **told(large))
        version = mender.mend(KEY, of(large), **told(large))
        assert self.read(store, mender, KEY, version) == large
        assert mender.mend(KEY, of(large), **told(large)) == version

    def test_a_raw_reader_knows_which_one_mends_and_what_lies_over_that(
        self, weed: Weed, place: S3Place, store: S3Store, mender: S3Mender, spoil: Any
    ) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        spoil(KEY, BAD)
        version = mender.mend(KEY, of(GOOD), **told(GOOD))
        assert version is not None

        def seen(mended: dict[str, str]) -> tuple[bytes, set[str]]:
            bucket = Bucket(place, is_replaced=is_replaced)
            bucket.mended = mended
            (path,) = files_below(bucket.root)
            return path.read_bytes(), bucket.covered

        assert seen({}) == (BAD, {KEY}), "whoever is not told sees what was put first, and that something is over it"
        assert seen({KEY: version}) == (GOOD, set())
        weed.client().put_object(Bucket=place.bucket, Key=f"p/{KEY}", Body=b"forged")
        assert seen({KEY: version}) == (GOOD, {KEY})
        assert self.read(store, mender, KEY, version) == GOOD

    def test_in_another_store_what_mended_counts_for_nothing(self, place: S3Place, store: S3Store) -> None:
        """After a move, or a restore from the copy: what lies there was put as good."""
        store.put_once(KEY, io.BytesIO(GOOD))
        reader = S3Store(place, mended=lambda _: "nobody")
        with reader.open(KEY) as source:
            assert source.read() == GOOD
        reader.close()
        bucket = Bucket(place)
        bucket.mended = {KEY: "nobody"}
        (path,) = files_below(bucket.root)
        assert (path.read_bytes(), bucket.covered) == (GOOD, set())

    def test_an_inventory_is_its_newest_version(self, store: S3Store, mender: S3Mender, spoil: Any) -> None:
        key = "a/inventory.json"
        store.replace_if(key, GOOD, expected_sha512=None)
        spoil(key, BAD)
        assert mender.keep_aside(key, "one/inventory.json") is not None
        assert mender.mend(key, of(GOOD), **told(GOOD)) is None
        with store.open(key) as source:
            assert source.read() == GOOD
        assert store.locked_until(key) is None

    def test_nothing_is_given_up(self, store: S3Store, mender: S3Mender) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        assert mender.set_aside(KEY, "one/c") is None
        assert store.exists(KEY)
