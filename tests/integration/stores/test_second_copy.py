"""The second copy in a bucket under a key of its own: neither key reaches the other's bucket, and what is copied is locked."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archive.doctor import examine
from archive.fsck import Target, fsck
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.layout import object_root
from archive.settings import SettingsInvalid
from archive.wiring.copy_parts import second_copy, shared_hands
from tests.support.archive_home import ArchiveHome, clock, make_home
from tests.support.weed import REGION, Weed, shared_weed

__all__ = ["clock"]


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
    made = make_home(tmp_path, postgres_url, clock, **weed.settings(tmp_path, "first"), **copy)
    yield made
    made.services.close()


def faults(home: ArchiveHome) -> set[tuple[str, str]]:
    copy = second_copy(home.settings, home.clock)
    assert copy is not None
    root = home.path / "ca" / "root.cert.pem"
    report = fsck(Target(home.path, home.database, root, None, (), home.places, copy))
    assert any(found.code == "fsck.copy" for found in report.findings)
    return {(found.code, found.where) for found in report.findings if found.outcome is not Outcome.VALID}


def doctor(home: ArchiveHome) -> dict[str, Finding]:
    return {found.code: found for found in examine(home.services).findings}


def place_of(object_id: ObjectId) -> str:
    return f"bureau/store/{object_root(object_id)}/"


def test_what_is_copied_is_locked_under_a_key_of_its_own(home: ArchiveHome, weed: Weed, tmp_path: Path) -> None:
    dock, copies, bucket = home.dock(), home.services.copies, home.settings.copy_s3_bucket
    home.case("1")
    object_id = home.deliver(dock, os.urandom(9 << 20), "a.mp4", case="1")  # sent in parts
    other = home.deliver(dock, b"small", "b.mp4")
    home.sequence()
    assert copies.copy_some() == 2
    versions = weed.client("second").list_object_versions(Bucket=bucket, Prefix=place_of(object_id))["Versions"]
    least = home.clock.now() + timedelta(days=home.settings.lock_days) - timedelta(minutes=10)
    for row in versions:
        where = {"Bucket": bucket, "Key": row["Key"], "VersionId": row["VersionId"]}
        if row["Key"].removeprefix(place_of(object_id)) not in {"inventory.json", "inventory.json.sha512"}:
            locked = weed.client("second").get_object_retention(**where)["Retention"]
            assert (locked["Mode"], locked["RetainUntilDate"] >= least) == ("COMPLIANCE", True), row["Key"]
            with pytest.raises(ClientError):
                weed.client("second").delete_object(**where, BypassGovernanceRetention=True)
    assert len(versions) == 10
    for identity, foreign in (("first", bucket), ("second", home.settings.s3_bucket)):
        with pytest.raises(ClientError):
            weed.client(identity).list_objects_v2(Bucket=foreign)
        with pytest.raises(ClientError):
            weed.client(identity).put_object(Bucket=foreign, Key="store/x", Body=b"x")
    drill = home.services.drills.run()
    assert drill.outcome == "valid", drill.result
    found = doctor(home)
    assert {found[code].outcome for code in ("doctor.copy", "doctor.copied", "doctor.drill")} == {Outcome.VALID}
    home.sequence()
    content = f"{place_of(other)}v1/content/original/b.mp4"
    weed.client("second").put_object(Bucket=bucket, Key=content, Body=b"forged")
    home.reopen()
    assert home.services.copies.opened().validate(other).outcome is Outcome.VALID, "the oldest version is the file"
    assert faults(home) == {("fsck.covered", content.removeprefix("bureau/store/"))}
    home.clock.step(timedelta(days=40))
    assert (home.services.copies.renew_some(), home.services.copies.renew_some()) == (2, 0)
    assert "retention.extended" in home.types()


def test_one_key_for_both_is_told_and_one_bucket_refused(home: ArchiveHome) -> None:
    one_key = home.settings.model_copy(update={"copy_s3_credentials_file": home.settings.s3_credentials_file})
    assert shared_hands(home.settings) is None
    assert shared_hands(one_key) == "one key opens both buckets"
    with pytest.raises(SettingsInvalid):
        shared_hands(home.settings.model_copy(update={"copy_s3_bucket": home.settings.s3_bucket}))
