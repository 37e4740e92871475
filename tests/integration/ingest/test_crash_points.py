"""A process that finishes an upload is killed at each of its steps; what it left is finished by the next one.

Steps are before and after every commit and every write to a store, and before and after the staged name goes.
"""

import json
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import select

from archive.evidence.models import EvidenceItem
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.kernel.ids import UploadId
from archive.ledger.receipt import verify_receipt
from ingest.accept import finish_upload
from ingest.errors import Quarantined
from ingest.uploads import complete_uploads, sweep_staging
from tests.support.archive_crash import finish as finish_in_child
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, EnrolledDock

MOST_STEPS = 60


def kill_at_each_step(home: ArchiveHome, bring: Callable[[int], UploadId]) -> list[UploadId]:
    """Bring an upload for each step and kill whoever finishes it there, until one comes to its end."""
    uploads = []
    for at_step in range(1, MOST_STEPS):
        upload_id = bring(at_step)
        uploads.append(upload_id)
        killed = run_killed(home.settings, finish_in_child, upload_id, at_step=at_step)
        home.sequence()
        home.assert_sound()
        if not killed:
            return uploads
    raise AssertionError("it never came to its end")


def finish_all(home: ArchiveHome) -> None:
    """Do what the sweep does after a restart."""
    for upload_id in complete_uploads(home.intake):
        try:
            finish_upload(home.intake, upload_id)
        except Quarantined:
            continue
    sweep_staging(home.intake)
    home.sequence()


def test_a_new_recording(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.case("1")
    data = {}

    def bring(number: int) -> UploadId:
        upload_id = home.bring(dock, f"recording {number}".encode(), f"{number}.mp4", case="1")
        data[upload_id] = f"recording {number}".encode()
        return upload_id

    uploads = kill_at_each_step(home, bring)
    assert len(uploads) > 20, "claim, eight files, root inventory, commit, staged name"
    states = Counter(home.upload(upload_id).state for upload_id in uploads)
    assert states["complete"] > 10
    assert states["accepted"] > 2
    finish_all(home)
    assert {home.upload(upload_id).state for upload_id in uploads} == {"accepted"}
    with home.database.read() as tx:
        kept = set(tx.scalars(select(EvidenceItem.sha512)))
    assert kept == {digest_of(each).sha512.hex for each in data.values()}
    assert home.count("evidence_item") == home.count("preserved_object") == home.count("job") == len(uploads)
    types = Counter(home.types())
    assert types["object.preserved"] == types["ingest.received"] == types["case.link"] == len(uploads)
    for upload_id, each in data.items():
        report = verify_receipt(
            home.receipt(dock, upload_id) or b"", trust=home.services.trust, digests=digest_of(each)
        )
        assert report.outcome is Outcome.VALID
    assert len(list(home.services.objects.object_ids())) == len(uploads), "no second object, no stranger"
    assert list((home.path / "staging").iterdir()) == []
    home.assert_sound()


def test_the_manifest_that_was_signed_first_is_the_one_that_is_kept(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.bring(dock, b"recording")
    run_killed(home.settings, finish_in_child, upload_id, at_step=3)
    (claimed,) = home.rows("SELECT item_manifest, item_signature FROM intake_claim")
    finish_all(home)
    object_id = home.upload(upload_id).object_id
    for name, kept in zip(("manifest.json", "manifest.json.p7s"), claimed, strict=True):
        assert home.file_of(object_id, f"metadata/{name}").read_bytes() == bytes(kept)
    assert json.loads(bytes(claimed[0]))["id"] == str(object_id)


def test_a_recording_that_is_there_already(home: ArchiveHome, dock: EnrolledDock) -> None:
    object_id = home.deliver(dock, b"recording")
    uploads = kill_at_each_step(home, lambda _: home.bring(dock, b"recording"))
    finish_all(home)
    assert {home.upload(upload_id).object_id for upload_id in uploads} == {object_id}
    assert home.count("evidence_item") == 1
    assert home.types().count("ingest.received") == len(uploads) + 1
    assert all(home.receipt(dock, upload_id) for upload_id in uploads)
    assert list((home.path / "staging").iterdir()) == []
    home.assert_sound()


def test_what_goes_to_quarantine(home: ArchiveHome, dock: EnrolledDock) -> None:
    uploads = kill_at_each_step(home, lambda number: home.bring(dock, b"%4d" % number, said=b"else"))
    assert len(uploads) > 8
    finish_all(home)
    assert {home.upload(upload_id).state for upload_id in uploads} == {"quarantined"}
    assert home.count("quarantine_item") == home.types().count("ingest.quarantined") == len(uploads)
    for number, upload_id in enumerate(uploads, 1):
        assert (home.raw / "quarantine" / str(upload_id) / "bytes").read_bytes() == b"%4d" % number
        with pytest.raises(Quarantined):
            home.receipt(dock, upload_id)
    assert list((home.path / "staging").iterdir()) == []
    home.assert_sound()


def test_another_dock_takes_over_nothing_that_was_claimed(home: ArchiveHome, dock: EnrolledDock) -> None:
    """The claim of whoever died is finished under its own name; the second one then finds the item."""
    other = home.dock("Dock 2")
    first = home.bring(dock, b"recording", "first.mp4")
    run_killed(home.settings, finish_in_child, first, at_step=4)
    second = home.bring(other, b"recording", "second.mp4")
    for _ in range(3):  # busy, until the sweep has finished the first
        for upload_id in (second, first):
            try:
                finish_upload(home.intake, upload_id)
            except Exception as error:  # noqa: BLE001 - looked at below
                assert getattr(error, "code", "") == "ingest.busy"
    home.sequence()
    assert home.rows("SELECT name FROM preserved_object") == [("first.mp4",)]
    assert home.receipt(dock, first)
    assert home.receipt(other, second)
    home.assert_sound()
