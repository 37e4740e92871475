"""An archive on PostgreSQL whose stores are two buckets of a server with Object Lock: the promises, and who breaks them.

What is in a bucket is read and changed past the archive, with a plain client and the archive's own key.
"""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archive.cli.main import run
from archive.evidence.items import evidence_item
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.layout import object_root
from archive.ports.blobs import BlobLocked, StoreUnavailable
from archive.wiring.stores import term_of
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from retention.fixity import check_fixity
from tests.support import footage
from tests.support.archive_home import ArchiveHome, EnrolledDock, clock, dock, make_home
from tests.support.deployment import environment, s3_settings
from tests.support.weed import Weed, shared_weed

__all__ = ["clock", "dock"]

LARGE = os.urandom(20 << 20)


@pytest.fixture(scope="module")
def weed() -> Weed:
    return shared_weed(Path(os.environ["LIUHEN_TEST_RUN_FOLDER"]))


@pytest.fixture
def home(postgres_url: str, tmp_path: Path, clock: Any) -> Iterator[ArchiveHome]:
    made = make_home(tmp_path, postgres_url, clock, **s3_settings(tmp_path))
    yield made
    made.services.close()


@pytest.fixture
def medium(home: ArchiveHome, weed: Weed) -> Any:
    return weed.client()


def versions(medium: Any, home: ArchiveHome, prefix: str) -> list[dict[str, Any]]:
    found = medium.list_object_versions(Bucket=home.settings.s3_bucket, Prefix=prefix)
    return list(found.get("Versions", ()))


def place_of(object_id: ObjectId) -> str:
    return f"store/{object_root(object_id)}/"


def test_a_recording_comes_in_plays_and_is_sound(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:
    clip = footage.make_clip(tmp_path / "clip.mp4", seconds=2).read_bytes()
    object_id, large = home.deliver(dock, clip, "现场 1.mp4"), home.deliver(dock, LARGE, "large.bin")
    home.sequence()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    while worker.run_once([PROMPT, LONG]):
        pass
    home.sequence()
    with home.database.read() as tx:
        view = evidence_item(tx, object_id)
    assert view.item.play_state == "playable"
    playable = view.rendition("playable")
    assert playable is not None
    with home.services.renditions.open(playable.key, offset=4, length=4) as part:
        assert part.read() == b"ftyp"
    assert home.file_of(object_id, "original/现场 1.mp4").read_bytes() == clip
    assert home.file_of(large, "original/large.bin").read_bytes() == LARGE
    assert check_fixity(home.services.fixity, large, by=OPERATOR).outcome is Outcome.VALID
    home.reopen()
    home.assert_sound()
    assert not (home.path / "store").exists()
    assert list((home.path / "work").iterdir()) == list((home.path / "staging").iterdir()) == []


def test_what_is_shown_is_locked_and_what_was_refused_too(home: ArchiveHome, dock: EnrolledDock, medium: Any) -> None:
    object_id = home.deliver(dock, b"film", "a.mp4")
    least = home.clock.now() + term_of(home.settings) - timedelta(minutes=10)
    found = versions(medium, home, place_of(object_id))
    assert len(found) == 10  # original, four files about it, declaration, two inventories with their sidecars
    for row in found:
        where = {"Bucket": home.settings.s3_bucket, "Key": row["Key"], "VersionId": row["VersionId"]}
        if row["Key"].removeprefix(place_of(object_id)) in {"inventory.json", "inventory.json.sha512"}:
            continue
        assert medium.get_object_retention(**where)["Retention"]["RetainUntilDate"] >= least, row["Key"]
        for attempt in ({}, {"BypassGovernanceRetention": True}):
            with pytest.raises(ClientError):
                medium.delete_object(**where, **attempt)
    content = home.services.objects.content_key(object_id, "original/a.mp4")
    with pytest.raises(BlobLocked):
        home.services.stores.originals.delete(content)
    home.sequence()
    home.assert_sound()


def test_what_somebody_lays_over_a_file_is_found_and_never_read(
    home: ArchiveHome, dock: EnrolledDock, medium: Any
) -> None:
    one, two = (home.deliver(dock, data, f"{name}.mp4") for name, data in (("one", b"film"), ("two", b"another")))
    home.sequence()
    keys = [
        f"store/{home.services.objects.content_key(each, f'original/{name}.mp4')}"
        for each, name in ((one, "one"), (two, "two"))
    ]
    medium.put_object(Bucket=home.settings.s3_bucket, Key=keys[0], Body=b"forged")
    medium.delete_object(Bucket=home.settings.s3_bucket, Key=keys[1])
    assert home.file_of(one, "original/one.mp4").read_bytes() == b"film"
    assert home.file_of(two, "original/two.mp4").read_bytes() == b"another"
    faults = {(fault.code, fault.where) for fault in home.faults()}
    assert faults == {("fsck.covered", key.removeprefix("store/")) for key in keys}


@pytest.mark.parametrize("lock_days", [0, 90])
def test_a_file_that_can_be_deleted_is_told(
    postgres_url: str, tmp_path: Path, clock: Any, weed: Weed, lock_days: int
) -> None:
    home = make_home(tmp_path, postgres_url, clock, **{**s3_settings(tmp_path), "lock_days": lock_days})
    object_id = home.deliver(home.dock(), b"film", "a.mp4")
    home.sequence()
    clock.step(timedelta(days=91))  # nobody renewed anything
    home.reopen()
    codes = {fault.code for fault in home.faults()} - {"fsck.log_time"}
    assert codes == (set() if not lock_days else {"fsck.unlocked"})
    if lock_days:
        assert home.services.locks.note_new() == 1
        assert home.services.locks.renew_some() == 0
        home.sequence()
        assert "fsck.unlocked" not in {fault.code for fault in home.faults()}
        assert "retention.extended" in home.types()
        key = home.services.objects.content_key(object_id, "original/a.mp4")
        ends = home.services.stores.originals.locked_until(key)
        assert ends is not None
        assert ends > clock.now() + timedelta(days=89)
    home.services.close()


def test_doctor_says_what_was_proven_and_what_was_not(
    home: ArchiveHome, tmp_path: Path, weed: Weed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(**more: str) -> tuple[str, str]:
        with monkeypatch.context() as patch:
            for name, value in {**environment(home.settings), **more}.items():
                patch.setenv(name, value)
            capsys.readouterr()
            run(["doctor", "--probe", "--json"])
        found = json.loads(capsys.readouterr().out)["findings"]
        return next((each["outcome"], each["message"]) for each in found if each["code"] == "doctor.worm")

    assert told()[0] == "valid"
    assert told()[1].startswith("WORM: proven on http")
    outcome, message = told(LIUHEN_S3_BUCKET=weed.new_bucket(locked=False))
    assert (outcome, message.startswith("WORM: not proven on http"), "worm.versions" in message) == (
        "indeterminate",
        True,
        True,
    )
    outcome, message = told(LIUHEN_STORE="files")
    assert (outcome, "worm.files" in message) == ("indeterminate", True)
    assert home.types().count("store.probed") == 4
    home.sequence()
    home.assert_sound()


def test_the_server_goes_away_and_nothing_is_acknowledged(
    home: ArchiveHome, dock: EnrolledDock, tmp_path: Path
) -> None:
    away = {**environment(home.settings), "LIUHEN_S3_ENDPOINT": "http://127.0.0.1:9"}
    upload_id = home.bring(dock, b"film", "a.mp4")
    settings = home.settings.model_copy(update={"s3_endpoint": away["LIUHEN_S3_ENDPOINT"]})
    broken = ArchiveHome(settings, home.clock)
    with pytest.raises(StoreUnavailable):
        finish_upload(broken.intake, upload_id)
    broken.services.close()
    assert home.upload(upload_id).state == "complete"
    finish_upload(home.intake, upload_id)
    assert home.upload(upload_id).state == "accepted"
    home.sequence()
    home.assert_sound()
