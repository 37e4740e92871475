"""Finishing an upload: item, receipt and entry, or quarantine; duplicates; hostile names; by several at once."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from archive.cases.models import CaseLink
from archive.custody.events import custody_trail, digests_of, preserved_object
from archive.evidence.models import EvidenceItem
from archive.kernel.digests import digest_of
from archive.kernel.errors import LiuhenError, StorageFull
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId, UploadId, new_uuid7
from archive.ledger.receipt import parse_receipt, verify_receipt
from ingest.accept import finish_upload
from ingest.errors import (
    DigestMismatch,
    EmptyFile,
    IntakeBusy,
    ManifestMalformed,
    ManifestUntrusted,
    StagedBytesLost,
    TooLarge,
    UploadFinished,
    UploadGone,
    UploadNotFound,
)
from ingest.listings import dock_rows, quarantine, receptions
from ingest.staging import staged_path
from ingest.uploads import (
    complete_uploads,
    create_upload,
    expire_uploads,
    record_offset,
    sweep_staging,
    terminate_upload,
    upload_state,
)
from tests.support.archive_home import ArchiveHome, EnrolledDock

DATA = b"\x00\x01footage\xff" * 1000


def finish(home: ArchiveHome, upload_id: UploadId) -> None:
    """Finish as the receiver does: whoever is busy is waited for."""
    for _ in range(200):
        try:
            finish_upload(home.intake, upload_id)
        except IntakeBusy:
            threading.Event().wait(0.02)
        else:
            return
    raise AssertionError("busy for ever")


def at_once(works: list[Callable[[], Any]]) -> list[BaseException]:
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def staged(home: ArchiveHome) -> list[Path]:
    return list((home.path / "staging").iterdir())


def test_bytes_that_match_a_trusted_manifest_become_an_item(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.bring(dock, DATA, "现场 1.mp4")
    before = home.upload(upload_id)
    finish_upload(home.intake, upload_id)
    upload = home.upload(upload_id)
    object_id = ObjectId(upload.object_id)
    assert (upload.state, upload.object_id) == ("accepted", before.object_id)
    with home.database.read() as tx:
        row = preserved_object(tx, object_id)
        item = tx.get_one(EvidenceItem, object_id)
        trail = custody_trail(tx, object_id)
    assert (row.name, row.kind, digests_of(row)) == ("现场 1.mp4", "item", digest_of(DATA))
    assert (item.dock_id, item.device_serial, item.clock_offset_ms, item.play_state) == (
        dock.id, "CAM-0042", -1500, "pending",
    )  # fmt: skip
    assert [event.type for event in trail] == ["object.preserved", "ingest.received"]
    assert home.file_of(object_id, "original/现场 1.mp4").read_bytes() == DATA
    assert home.file_of(object_id, "metadata/dock-manifest.json").read_bytes() == upload.manifest
    assert home.file_of(object_id, "metadata/dock-manifest.json.sig").read_bytes() == upload.manifest_signature
    told = json.loads(home.file_of(object_id, "metadata/manifest.json").read_bytes())
    assert (told["id"], told["name"], told["size"], told["dock"]) == (
        str(object_id), "现场 1.mp4", len(DATA), str(dock.id),
    )  # fmt: skip
    assert staged(home) == []
    assert home.rows("SELECT kind FROM job") == [("probe_item",)]
    home.sequence()
    home.assert_sound()


def test_the_entry_names_digests_and_ids_and_no_words(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.bring(dock, DATA, "张三的视频.mp4", case="昆市监罚〔2026〕1号")
    finish_upload(home.intake, upload_id)
    for entry in home.entries()[-2:]:
        assert entry["dig"] == digest_of(DATA).as_json()
        assert (entry["size"], entry["req"], entry["dev"]) == (len(DATA), str(upload_id), str(dock.id))
        assert (entry["actor"], entry["auth"]) == (str(dock.id), dock.credential)
        assert not {"张三", "昆市监", "CAM-0042"} & set(json.dumps(entry, ensure_ascii=False).split('"'))


def test_a_receipt_comes_when_a_checkpoint_covers_the_reception(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.begin(dock, DATA).id
    assert home.receipt(dock, upload_id) is None
    home.stage(upload_id, DATA)
    assert home.receipt(dock, upload_id) is None
    finish_upload(home.intake, upload_id)
    assert home.receipt(dock, upload_id) is None, "durable, but no checkpoint yet"
    home.sequence()
    envelope = home.receipt(dock, upload_id)
    assert envelope is not None
    manifest = home.upload(upload_id).manifest

    def outcome(data: bytes = DATA, *, trusted: bool = True, said: bytes = manifest) -> Outcome:
        trust = home.services.trust if trusted else None
        return verify_receipt(envelope, trust=trust, digests=digest_of(data), manifest=said).outcome

    assert outcome() is Outcome.VALID
    assert outcome(trusted=False) is Outcome.INDETERMINATE
    assert outcome(DATA[:-1] + b"x") is Outcome.INVALID
    assert outcome(said=manifest + b" ") is Outcome.INVALID
    assert parse_receipt(envelope).receipt.upload_id == upload_id
    with pytest.raises(UploadNotFound):
        home.receipt(home.dock("Dock 2"), upload_id)
    with pytest.raises(UploadNotFound):
        home.receipt(dock, UploadId(new_uuid7()))


def test_a_receipt_stays_good_while_the_log_grows(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.bring(dock, DATA)
    finish_upload(home.intake, upload_id)
    home.sequence()
    first = home.receipt(dock, upload_id)
    for number in range(9):
        home.deliver(dock, str(number).encode())
        home.sequence()
    for envelope in (first, home.receipt(dock, upload_id)):
        assert envelope is not None
        report = verify_receipt(envelope, trust=home.services.trust, digests=digest_of(DATA))
        assert report.outcome is Outcome.VALID


def test_one_recording_from_two_docks_is_one_item_with_two_receipts(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    home.case("1")
    home.case("2")
    first, second = home.bring(dock, DATA, "a.mp4", case="1"), home.bring(other, DATA, "b.mp4", case="2")
    again = home.bring(dock, DATA, "a.mp4", case="1")
    for upload_id in (first, second, again):
        finish_upload(home.intake, upload_id)
    home.sequence()
    assert home.count("evidence_item") == home.count("preserved_object") == 1
    assert len({home.upload(upload_id).object_id for upload_id in (first, second, again)}) == 1
    receipts = [home.receipt(owner, one) for owner, one in ((dock, first), (other, second), (dock, again))]
    entries = {parse_receipt(envelope or b"").receipt.entry for envelope in receipts}
    assert len(entries) == 3
    for envelope in receipts:
        report = verify_receipt(envelope or b"", trust=home.services.trust, digests=digest_of(DATA))
        assert report.outcome is Outcome.VALID
    with home.database.read() as tx:
        found = receptions(tx, ObjectId(home.upload(first).object_id))
        assert [(row.upload.id, row.dock_name) for row in found] == [
            (first, "Dock 1"), (second, "Dock 2"), (again, "Dock 1"),
        ]  # fmt: skip
        assert len(tx.scalars(select(CaseLink)).all()) == 2
        assert {row.dock.name: row.accepted_count for row in dock_rows(tx)} == {"Dock 1": 2, "Dock 2": 1}
    assert home.types().count("object.preserved") == 1
    assert home.types().count("case.link") == 2
    assert staged(home) == []
    home.assert_sound()


def test_one_recording_from_many_at_once_is_one_item(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.case("1")
    uploads = [home.bring(dock, DATA, f"{number}.mp4", case="1") for number in range(6)]
    assert at_once([lambda one=one: finish(home, one) for one in uploads]) == []
    assert home.count("evidence_item") == 1
    assert home.types().count("ingest.received") == 6
    assert home.types().count("case.link") == 1
    home.sequence()
    assert all(home.receipt(dock, one) is not None for one in uploads)
    assert staged(home) == []
    home.assert_sound()


def test_one_upload_finished_by_several_at_once_is_finished_once(home: ArchiveHome, dock: EnrolledDock) -> None:
    good, bad = home.bring(dock, DATA), home.bring(dock, b"two", said=b"TWO")
    assert at_once([lambda: finish(home, good)] * 4) == []
    errors = at_once([lambda: finish(home, bad)] * 4)
    assert [type(error) for error in errors] == [DigestMismatch] * 4
    types = home.types()
    assert [types.count(kind) for kind in ("object.preserved", "ingest.received", "ingest.quarantined")] == [1, 1, 1]
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize(
    ("cause", "given"),
    [
        (DigestMismatch, lambda home, dock, other: home.bring(dock, b"what came", said=b"what said")),
        (ManifestUntrusted, lambda home, dock, other: home.bring(dock, b"what came", key=other.key)),
        (ManifestUntrusted, lambda home, dock, other: home.bring(dock, b"what came", dock_id=other.id)),
    ],
    ids=["other bytes", "another's key", "another's name"],
)
def test_what_does_not_match_is_kept_aside_with_an_entry_and_without_a_receipt(
    home: ArchiveHome, dock: EnrolledDock, cause: type[LiuhenError], given: Callable[..., UploadId]
) -> None:
    upload_id = given(home, dock, home.dock("Dock 2"))
    for _ in range(2):
        with pytest.raises(cause):
            finish_upload(home.intake, upload_id)
    home.sequence()
    with pytest.raises(cause):
        home.receipt(dock, upload_id)
    upload = home.upload(upload_id)
    assert (upload.state, upload.refusal) == ("quarantined", cause.code)
    folder = home.raw / "quarantine" / str(upload_id)
    assert (folder / "bytes").read_bytes() == b"what came"
    assert (folder / "manifest.json").read_bytes() == upload.manifest
    assert (folder / "manifest.json.sig").read_bytes() == upload.manifest_signature
    with home.database.read() as tx:
        (row,) = quarantine(tx)
    assert (row.item.reason, row.dock_name, row.item.sha256) == (
        cause.code, "Dock 1", digest_of(b"what came").sha256.hex,
    )  # fmt: skip
    assert home.count("evidence_item") == home.count("job") == 0
    assert home.types()[-1] == "ingest.quarantined"
    assert staged(home) == []
    home.assert_sound()


def test_bytes_in_quarantine_can_come_again_the_right_way(home: ArchiveHome, dock: EnrolledDock) -> None:
    with pytest.raises(ManifestUntrusted):
        home.deliver(dock, DATA, key=home.dock("Dock 2").key)
    home.deliver(dock, DATA)
    home.sequence()
    home.assert_sound()


HOSTILE = [
    "../../../etc/cron.d/x.mp4", "/etc/passwd", "C:\\Windows\\x.mp4", "a\nb\r\tc.mp4", "\x1b[31mred.mp4",
    "\N{RIGHT-TO-LEFT OVERRIDE}4pm.exe", "现" * 300, "执" * 1024, ".", "..", ".hidden", "x.", " ", "CON", "a" * 1024,
    "x.mp4.", "e\N{COMBINING ACUTE ACCENT}.mp4", "<script>alert(1)</script>.mp4", "%00.mp4", "'; DROP TABLE upload; --",
    "🎥.mp4", "\N{ZERO WIDTH SPACE}", "inventory.json", "0=ocfl_object_1.1", "a" * 300 + ".mp4",
]  # fmt: skip


def test_a_hostile_name_is_kept_and_does_no_harm(home: ArchiveHome, dock: EnrolledDock) -> None:
    for number, name in enumerate(HOSTILE):
        object_id = home.deliver(dock, str(number).encode(), name)
        with home.database.read() as tx:
            row = preserved_object(tx, object_id)
        assert row.name == name
        path = home.file_of(object_id, row.content_path)
        assert path.is_relative_to(home.raw / "store")
        assert path.read_bytes() == str(number).encode()
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize("name", ["", "x" * 1025, "a\x00b"])
def test_a_name_that_cannot_be_kept_is_refused(home: ArchiveHome, dock: EnrolledDock, name: str) -> None:
    with pytest.raises(ManifestMalformed):
        home.begin(dock, DATA, name)


def test_what_is_refused_before_a_byte_leaves_nothing(home: ArchiveHome, dock: EnrolledDock) -> None:
    manifest = dock.manifest(digest_of(DATA), "a.mp4")

    def create(size: int, raw: bytes) -> None:
        create_upload(
            home.intake, dock_id=dock.id, credential=dock.credential, size_bytes=size, metadata_header="",
            manifest=raw, manifest_signature=bytes(64),
        )  # fmt: skip

    with pytest.raises(EmptyFile):
        create(0, manifest)
    with pytest.raises(TooLarge):
        create((1 << 40) + 1, manifest)
    for raw in (
        b"",
        b"{}",
        b"[]",
        b"null",
        manifest + b"\n",
        manifest[:-1],
        b"\xff",
        manifest.replace(b'"v":1', b'"v":2'),
    ):
        with pytest.raises(ManifestMalformed):
            create(len(DATA), raw)
    with pytest.raises(ManifestMalformed):
        create(len(DATA) + 1, manifest)
    assert home.count("upload") == 0
    assert staged(home) == []


def test_an_upload_is_its_docks_own(home: ArchiveHome, dock: EnrolledDock) -> None:
    other, upload_id = home.dock("Dock 2"), home.begin(dock, DATA).id
    assert upload_state(home.intake, upload_id, dock_id=dock.id).is_open
    with pytest.raises(UploadNotFound):
        upload_state(home.intake, upload_id, dock_id=other.id)
    with pytest.raises(UploadNotFound):
        terminate_upload(home.intake, upload_id, dock_id=other.id)
    assert upload_state(home.intake, upload_id, dock_id=dock.id).is_open


def test_offsets_go_forward_only_and_end_with_the_file(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.begin(dock, DATA).id
    home.stage(upload_id, DATA[:500])
    for offset in (499, 0, -1, len(DATA) + 1):
        with pytest.raises(LiuhenError):
            record_offset(home.intake, upload_id, offset_bytes=offset)
    record_offset(home.intake, upload_id, offset_bytes=500)
    assert complete_uploads(home.intake) == []
    home.stage(upload_id, DATA[500:], at_byte=500)
    assert complete_uploads(home.intake) == [upload_id]
    with pytest.raises(LiuhenError):
        record_offset(home.intake, upload_id, offset_bytes=len(DATA))


def test_an_unfinished_upload_can_be_dropped_and_a_finished_one_cannot(home: ArchiveHome, dock: EnrolledDock) -> None:
    gone = home.begin(dock, DATA).id
    home.stage(gone, DATA[:100])
    terminate_upload(home.intake, gone, dock_id=dock.id)
    assert staged(home) == []
    for act in (
        lambda: upload_state(home.intake, gone, dock_id=dock.id),
        lambda: terminate_upload(home.intake, gone, dock_id=dock.id),
    ):
        with pytest.raises(UploadGone):
            act()
    for upload_id in (home.bring(dock, DATA), home.bring(dock, b"other")):
        with pytest.raises(UploadFinished):
            terminate_upload(home.intake, upload_id, dock_id=dock.id)
        finish_upload(home.intake, upload_id)
        with pytest.raises(UploadFinished):
            terminate_upload(home.intake, upload_id, dock_id=dock.id)
    assert home.count("evidence_item") == 2


def test_an_upload_expires_unless_it_goes_on(home: ArchiveHome, dock: EnrolledDock) -> None:
    idle, going, complete = home.begin(dock, DATA).id, home.begin(dock, DATA).id, home.bring(dock, DATA)
    home.clock.step(timedelta(days=6))
    home.stage(going, DATA[:10])
    home.clock.step(timedelta(days=2))
    assert expire_uploads(home.intake) == [idle]
    assert expire_uploads(home.intake) == []
    with pytest.raises(UploadGone):
        upload_state(home.intake, idle, dock_id=dock.id)
    assert {path.name for path in staged(home)} == {str(going), str(complete)}, "what is complete never expires"
    finish_upload(home.intake, complete)
    home.sequence()
    home.assert_sound()


def test_staged_files_that_nobody_needs_any_more_are_swept(home: ArchiveHome, dock: EnrolledDock) -> None:
    receiving, complete = home.begin(dock, DATA).id, home.bring(dock, DATA)
    done = home.bring(dock, b"done")
    finish_upload(home.intake, done)
    staged_path(home.intake.staging, done).write_bytes(b"a crash came before it was removed")
    fresh = staged_path(home.intake.staging, UploadId(new_uuid7()))
    fresh.write_bytes(b"")
    (home.intake.staging / "something else").write_bytes(b"")
    assert sweep_staging(home.intake) == 1
    assert {path.name for path in staged(home)} == {str(receiving), str(complete), fresh.name, "something else"}


def test_staged_bytes_that_the_disk_lost_are_named(home: ArchiveHome, dock: EnrolledDock) -> None:
    upload_id = home.bring(dock, DATA)
    staged_path(home.intake.staging, upload_id).unlink()
    with pytest.raises(StagedBytesLost):
        finish_upload(home.intake, upload_id)
    home.sequence()
    assert [fault.code for fault in home.faults()] == ["fsck.staged_bytes_lost"]


def test_staged_bytes_that_changed_before_they_were_read_again_are_not_taken_for_the_recording(
    home: ArchiveHome, dock: EnrolledDock
) -> None:
    upload_id = home.bring(dock, DATA)
    with staged_path(home.intake.staging, upload_id).open("r+b") as file:
        file.write(b"X")
    with pytest.raises(DigestMismatch):
        finish_upload(home.intake, upload_id)


@pytest.mark.parametrize("room", ["free", "reserve"])
def test_without_room_for_the_whole_file_no_upload_begins(home: ArchiveHome, dock: EnrolledDock, room: str) -> None:
    intake = replace(home.intake, reserve_bytes=1 << 60 if room == "reserve" else 0, max_size_bytes=1 << 60)
    size = len(DATA) if room == "reserve" else 1 << 52
    digests = replace(digest_of(DATA), size_bytes=size)
    with pytest.raises(StorageFull) as full:
        create_upload(
            intake, dock_id=dock.id, credential=dock.credential, size_bytes=size, metadata_header="",
            manifest=dock.manifest(digests, "a.mp4"), manifest_signature=bytes(64),
        )  # fmt: skip
    assert full.value.retryable
    assert home.count("upload") == 0
