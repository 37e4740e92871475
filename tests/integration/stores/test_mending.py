"""Damage of originals and copies that both lie in buckets with Object Lock: nothing is deleted, and readers get the good one."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archive.fsck import Target, fsck
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.layout import object_root
from archive.wiring.copy_parts import second_copy
from retention.rounds.models import ORIGINALS
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, clock, flip, make_home
from tests.support.lost_databases import command, lose_database
from tests.support.rounds import after_a_period, copy_all, damage_rows, go_on
from tests.support.weed import REGION, Weed, shared_weed
from tests.support.weed_path import WeedPath

__all__ = ["clock"]
ORIGINAL = "v1/content/original/a.mp4"


@pytest.fixture(scope="module")
def weed() -> Weed:
    return shared_weed(Path(os.environ["LIUHEN_TEST_RUN_FOLDER"]))


@pytest.fixture
def home(postgres_url: str, tmp_path: Path, clock: Any, weed: Weed) -> Iterator[ArchiveHome]:
    copy = {
        "copy_s3_endpoint": weed.endpoint,
        "copy_s3_region": REGION,
        "copy_s3_bucket": weed.new_bucket(of="second"),
        "copy_s3_prefix": "bureau",
        "copy_s3_credentials_file": weed.credentials(tmp_path / "second.key", "second"),
    }
    given = {**weed.settings(tmp_path, "first"), **copy, "lock_days": 3650, "fixity_bytes_per_s": 0}
    made = make_home(tmp_path, postgres_url, clock, **given)
    yield made
    made.services.close()


def folder(home: ArchiveHome, weed: Weed, object_id: ObjectId, which: str) -> Any:
    bucket, prefix = (
        (home.settings.s3_bucket, "store") if which == ORIGINALS else (home.settings.copy_s3_bucket, "bureau/store")
    )
    return WeedPath(weed.filer, PurePosixPath(bucket) / prefix) / object_root(object_id)


def faults(home: ArchiveHome) -> set[tuple[str, str]]:
    copy, root = second_copy(home.settings, home.clock), home.path / "ca" / "root.cert.pem"
    report = fsck(Target(home.path, home.database, root, None, (), home.places, copy))
    found = {(each.code, each.where) for each in report.findings if each.outcome is not Outcome.VALID}
    return {each for each in found if each[0] != "fsck.log_time"}


def read(home: ArchiveHome, object_id: ObjectId) -> bytes:
    with home.services.objects.open_file(object_id, "original/a.mp4") as source:
        return source.read()


@pytest.mark.parametrize("which", [ORIGINALS, "copy"])
def test_the_damaged_version_stays_and_the_good_one_is_read(home: ArchiveHome, weed: Weed, which: str) -> None:
    data = os.urandom(9 << 20)
    object_id = home.deliver(home.dock(), data, "a.mp4")
    copy_all(home)
    path = folder(home, weed, object_id, which) / ORIGINAL
    flip(path, at=7)
    (folder(home, weed, object_id, which) / "v1/content/metadata/manifest.json").unlink()
    home.reopen()
    after_a_period(home)
    assert go_on(home.services).damaged == 1
    (damage,) = damage_rows(home)
    assert (damage.state, damage.trouble) == ("repaired", None)
    bucket = home.settings.s3_bucket if which == ORIGINALS else home.settings.copy_s3_bucket
    client = weed.client("first" if which == ORIGINALS else "second")
    key = "/".join(path.parts[1:])
    rows = client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(rows) == 2, "the damaged one and the good one"
    for row in rows:
        with pytest.raises(ClientError):
            client.delete_object(Bucket=bucket, Key=key, VersionId=row["VersionId"], BypassGovernanceRetention=True)
    ((named, version),) = home.rows("SELECT key, version FROM fixity_mend")
    assert (named, version) == (f"{object_root(object_id)}/{ORIGINAL}", rows[0]["VersionId"])
    home.sequence()
    assert faults(home) == set()
    home.reopen()
    assert read(home, object_id) == data, "a process that starts later reads the good one"
    assert home.services.copies.opened().validate(object_id).outcome is Outcome.VALID
    client.put_object(Bucket=bucket, Key=key, Body=b"forged")
    home.reopen()
    assert read(home, object_id) == data, "who may write to the bucket cannot change what is read"
    assert faults(home) == {("fsck.covered", f"{object_root(object_id)}/{ORIGINAL}")}
    home.execute("UPDATE fixity_mend SET version = :version", version=rows[1]["VersionId"])
    assert {"fsck.row_changed", "fsck.content_changed"} <= {code for code, _ in faults(home)}


def test_killed_at_any_step_it_ends_with_one_good_version(home: ArchiveHome, weed: Weed) -> None:
    data = b"film" * 1000
    object_id = home.deliver(home.dock(), data, "a.mp4")
    copy_all(home)
    path = folder(home, weed, object_id, ORIGINALS) / ORIGINAL
    flip(path, at=7)
    for at_step in range(1, 200):
        if not run_killed(home.settings, repair_now, object_id, at_step=at_step):
            break
    else:
        raise AssertionError("it never came to its end")
    assert at_step > 5
    home.reopen()
    go_on(home.services)
    assert [each.state for each in damage_rows(home)] == ["repaired"]
    key = "/".join(path.parts[1:])
    assert len(weed.client("first").list_object_versions(Bucket=home.settings.s3_bucket, Prefix=key)["Versions"]) == 2
    assert read(home, object_id) == data
    home.sequence()
    assert faults(home) == set()


def repair_now(services: Any, object_id: ObjectId) -> None:
    from tests.faults.test_repairing import check_and_repair

    check_and_repair(services, object_id)


def test_a_lost_database_comes_back_with_what_mends(
    home: ArchiveHome, weed: Weed, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = home.deliver(home.dock(), b"film" * 1000, "a.mp4")
    copy_all(home)
    flip(folder(home, weed, object_id, ORIGINALS) / ORIGINAL, at=7)
    home.reopen()
    after_a_period(home)
    go_on(home.services)
    home.sequence()
    before = {table: home.rows(f"SELECT * FROM {table}") for table in ("fixity_mend", "fixity_batch")}
    assert len(before["fixity_mend"]) == 1
    lose_database(home)
    command(home, monkeypatch, "recover")
    home.reopen()
    assert {table: home.rows(f"SELECT * FROM {table}") for table in before} == before
    assert read(home, object_id) == b"film" * 1000
