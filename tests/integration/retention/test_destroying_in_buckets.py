"""Destruction in two buckets with Object Lock, each under a key of its own: every version goes, but what is locked stays.

What is in the buckets is looked at past the archive, with plain clients.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from archive.fsck import Target, fsck
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.layout import object_root
from archive.wiring.copy_parts import second_copy
from retention.disposition.terms import ItemState, ListState
from tests.support.archive_crash import destroy, run_killed
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, clock, dock, make_home
from tests.support.disposals import Disposal, new_disposal
from tests.support.due import due
from tests.support.weed import REGION, Weed, shared_weed

__all__ = ["clock", "dock"]


@pytest.fixture(scope="module")
def weed() -> Weed:
    return shared_weed(Path(os.environ["LIUHEN_TEST_RUN_FOLDER"]))


@pytest.fixture
def home(postgres_url: str, tmp_path: Path, clock: SteppedClock, weed: Weed) -> Iterator[ArchiveHome]:
    copy = {
        "copy_s3_endpoint": weed.endpoint,
        "copy_s3_region": REGION,
        "copy_s3_bucket": weed.new_bucket(of="second"),
        "copy_s3_credentials_file": weed.credentials(tmp_path / "second.key", "second"),
    }
    given = {**weed.settings(tmp_path, "first"), **copy, "lock_days": 1}
    made = make_home(tmp_path, postgres_url, clock, **given)
    yield made
    made.services.close()


@pytest.fixture
def disposal(home: ArchiveHome) -> Disposal:
    return new_disposal(home)


class Medium:
    """The buckets, as whoever has both keys sees them."""

    def __init__(self, home: ArchiveHome, weed: Weed) -> None:
        settings = home.settings
        self.places = {
            "first": (weed.client("first"), settings.s3_bucket),
            "second": (weed.client("second"), settings.copy_s3_bucket),
        }

    def versions(self, which: str, object_id: ObjectId) -> list[dict[str, str]]:
        """Every version and delete marker below an object."""
        client, bucket = self.places[which]
        told = client.list_object_versions(Bucket=bucket, Prefix=f"store/{object_root(object_id)}/")
        rows = [*told.get("Versions", ()), *told.get("DeleteMarkers", ())]
        return [{"Bucket": bucket, "Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]

    def lock(self, which: str, object_id: ObjectId, until: datetime, *, only: str = "") -> int:
        """Lock what there is of an object."""
        client, found = self.places[which][0], [row for row in self.versions(which, object_id) if only in row["Key"]]
        for row in found:
            client.put_object_retention(**row, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
        return len(found)

    def delete(self, which: str, object_id: ObjectId) -> None:
        """Delete one version of an object, by its id."""
        self.places[which][0].delete_object(**self.versions(which, object_id)[0])

    def hold(self, which: str, object_id: ObjectId, status: str) -> None:
        client = self.places[which][0]
        for row in self.versions(which, object_id):
            client.put_object_legal_hold(**row, LegalHold={"Status": status})


@pytest.fixture
def medium(home: ArchiveHome, weed: Weed) -> Medium:
    return Medium(home, weed)


def copy_all(home: ArchiveHome) -> None:
    home.sequence()
    while home.services.copies.copy_some():
        pass


def faults(home: ArchiveHome) -> list[Finding]:
    """What `liuhen fsck` finds wrong, the second copy with it."""
    copy, root = second_copy(home.settings, home.clock), home.path / "ca" / "root.cert.pem"
    assert copy is not None
    report = fsck(Target(home.path, home.database, root, None, (), home.places, copy))
    assert any(found.code == "fsck.copy" for found in report.findings)
    return [found for found in report.findings if found.outcome is not Outcome.VALID]


def test_every_version_goes_in_both_buckets_and_nothing_else(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal, medium: Medium
) -> None:
    gone, kept = home.deliver(dock, os.urandom(9 << 20), "a.mp4"), home.deliver(dock, b"small", "b.mp4")
    copy_all(home)
    client, bucket = medium.places["first"]
    content = next(row["Key"] for row in medium.versions("first", gone) if row["Key"].endswith("/a.mp4"))
    client.put_object(Bucket=bucket, Key=content, Body=b"laid over it")
    client.delete_object(Bucket=bucket, Key=content)
    due(home, gone)
    before = {which: len(medium.versions(which, kept)) for which in medium.places}
    list_id = disposal.agreed()
    disposal.work()
    row = disposal.row(list_id)
    assert (disposal.state(list_id), row.trouble) == (ListState.CERTIFIED, None)
    assert {which: medium.versions(which, gone) for which in medium.places} == {"first": [], "second": []}
    assert {which: len(medium.versions(which, kept)) for which in medium.places} == before
    assert row.balance is not None
    assert row.balance["holds"]
    told = row.balance["stores"]
    assert told["originals"]["destroyed"] == told["copy"]["destroyed"]
    assert told["originals"]["destroyed"]["bytes"] > 9 << 20
    copy_all(home)
    assert faults(home) == []


def test_what_object_lock_keeps_is_left_out_and_goes_when_it_ends(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal, medium: Medium
) -> None:
    long, brief, held, free = (home.deliver(dock, f"{n}".encode(), f"{n}.mp4") for n in range(4))
    copy_all(home)
    due(home, long, brief, held, free)
    list_id = disposal.agreed()
    assert medium.lock("first", long, home.clock.now() + timedelta(days=30), only="inventory.json.sha512") == 2
    medium.hold("second", held, "ON")
    ends = datetime.now(UTC) + timedelta(seconds=15)
    medium.lock("first", brief, ends)
    with pytest.raises(ClientError):
        medium.delete("first", brief)
    while datetime.now(UTC) <= ends:  # only the server's own clock ends a lock
        pass
    disposal.work()
    items = {item.object_id: (item.state, item.stops) for item in disposal.items(list_id)}
    kept, gone = (ItemState.LEFT.value, ["store_lock"]), (ItemState.DESTROYED.value, None)
    assert items == {long: kept, brief: gone, held: kept, free: gone}
    for object_id in (long, held):
        assert home.services.objects.validate(object_id).outcome is Outcome.VALID
    copy_all(home)
    disposal.work()
    row = disposal.row(list_id)
    assert (disposal.state(list_id), row.trouble) == (ListState.CERTIFIED, None)
    assert row.balance is not None
    assert row.balance["objects"] == {"before": 4, "destroyed": 2, "left": 2}
    assert faults(home) == []
    medium.hold("second", held, "OFF")
    again = disposal.agreed()
    disposal.work()
    assert {item.object_id: item.state for item in disposal.items(again)} == {long: "left", held: "destroyed"}
    for which in medium.places:
        assert [medium.versions(which, object_id) for object_id in (brief, held, free)] == [[], [], []]
    copy_all(home)
    assert faults(home) == []


def test_a_lock_past_the_clock_of_the_archive_is_the_servers_to_keep(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal, medium: Medium
) -> None:
    """The archive's clock is ahead, and lets it try: the server refuses, and what it kept stays."""
    object_id = home.deliver(dock, b"one", "a.mp4")
    copy_all(home)
    due(home, object_id)
    list_id = disposal.agreed()
    medium.lock("first", object_id, datetime.now(UTC) + timedelta(days=1))
    disposal.work()
    (item,) = disposal.items(list_id)
    assert (item.state, item.stops) == (ItemState.LEFT.value, ["store_lock"])
    assert home.services.objects.validate(object_id).outcome is Outcome.VALID
    copy_all(home)
    disposal.work()
    assert disposal.state(list_id) is ListState.LAPSED
    assert faults(home) == []


@pytest.mark.long("a process for each step, against a server")
def test_killed_at_steps_nothing_is_left_in_either_bucket(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal, medium: Medium
) -> None:
    steps = range(2, 90, 8)
    doomed = [home.deliver(dock, f"recording {n}".encode(), f"{n}.mp4") for n in steps]
    copy_all(home)
    due(home, *doomed)
    list_id = disposal.agreed()
    home.services.dispositions.carrier._start(disposal.row(list_id), lambda _: None)
    killed = 0
    for at_step, object_id in zip(steps, doomed, strict=True):
        killed += run_killed(home.settings, destroy, list_id, object_id, at_step=at_step, ahead=home.clock.ahead)
    home.sequence()
    assert killed > 6
    assert [fault for fault in faults(home) if fault.outcome is Outcome.INVALID] == []
    disposal.work()
    steps_left = [(item.state, item.step) for item in disposal.items(list_id) if item.state != "destroyed"]
    assert (disposal.state(list_id), disposal.row(list_id).trouble, steps_left) == (ListState.CERTIFIED, None, [])
    for which in medium.places:
        assert [row for object_id in doomed for row in medium.versions(which, object_id)] == []
    copy_all(home)
    assert faults(home) == []
