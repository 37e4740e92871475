"""Looks into items, renditions that are dropped and made again, jobs that are tried again: with real footage."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from archive.cli.main import run
from archive.custody.events import ObjectNotFound, custody_trail
from archive.evidence.items import ItemView, evidence_item, looks
from archive.evidence.timeline import MarkKind, marks, sprite_vtt, stills
from archive.fsck.raw import file_digests
from archive.jobs.listings import dead_jobs
from archive.jobs.queue import LONG, PROMPT, JobNotDead
from archive.kernel.ids import JobId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.worker.loop import Worker
from ingest.inspection import InspectionJobs
from ingest.media.tools import open_toolbox
from ingest.remaking import KindUnknown, drop_renditions, makeable, missing, remake
from ingest.retrying import retry_all, retry_job
from tests.support import footage, hostile, places
from tests.support.archive_home import ArchiveHome, EnrolledDock

KINDS = {"playable", "poster", "sprite", "peaks"}
SMALL = {"seconds": 3.0, "size": (160, 120)}

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """A whole clip, one with flipped bits, one with places and a silent stretch; made once."""
    folder = tmp_path_factory.mktemp("clips")

    def made(name: str) -> bytes:
        path = folder / name
        if not path.exists():
            match name:
                case "whole.mp4":
                    footage.make_clip(path, **SMALL)
                case "encoded.avi":
                    footage.make_clip(path, video=("-c:v", "mjpeg"), audio=("-c:a", "pcm_s16le"), **SMALL)
                case "flipped.mp4":
                    made("whole.mp4")
                    hostile.flipped(folder / "whole.mp4", path, bits=60)
                case "photo.jpg":
                    places.photo(path)
                case "camera.mp4":
                    places.body_camera(path)
        return path.read_bytes()

    return made


def work_all(home: ArchiveHome) -> None:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    while worker.run_once([PROMPT, LONG]):
        pass


def view(home: ArchiveHome, object_id: ObjectId) -> ItemView:
    with home.database.read() as tx:
        return evidence_item(tx, object_id)


def kinds(home: ArchiveHome, object_id: ObjectId) -> set[str]:
    """The renditions, each of which lies in the store as it is written down."""
    found = view(home, object_id).renditions
    for row in found:
        assert file_digests(home.raw / "renditions" / row.key)[:2] == (row.size_bytes, row.sha256)
    below = {path for path in (home.raw / "renditions").rglob("*") if path.is_file()}
    assert {home.raw / "renditions" / row.key for row in found} <= below
    return {row.kind for row in found}


def found_by(home: ArchiveHome, object_id: ObjectId) -> dict[str, dict[str, object]]:
    with home.database.read() as tx:
        return {name: row.found for name, row in looks(tx, object_id).items()}


def is_sound(home: ArchiveHome) -> None:
    home.sequence()
    home.assert_sound()


@needs_exiftool
def test_an_item_is_looked_into(home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]) -> None:
    sidecar = {"bookmarks": [{"seconds": 2, "label": "证件"}], "firmware": "1.0"}
    object_id = home.deliver(dock, clip("camera.mp4"), "camera.mp4", sidecar=sidecar)
    work_all(home)
    assert kinds(home, object_id) == {"playable", "poster", "sprite"}
    found = found_by(home, object_id)
    assert set(found) == {"keyframes", "damage", "track"}
    assert found["damage"] == {"depth": "whole", "complaints": 0, "places_ms": [], "findings": []}
    assert len(found["track"]["points"]) == 3  # type: ignore[arg-type]
    assert found["track"]["device"] == {"serial": {"value": "CAM-0042", "tag": "manifest.device.serial"}}
    with home.database.read() as tx:
        (mark,) = marks(tx, object_id)
        described = [row.detail for row in custody_trail(tx, object_id) if row.type == "item.described"]
    assert (mark.kind, mark.from_ms, mark.note, mark.source) == (
        MarkKind.BOOKMARK,
        2000,
        "证件",
        "sidecar.bookmarks[0]",
    )
    assert [detail["look"] for detail in described if detail] == ["probe", "track", "keyframes", "damage"]
    assert len(stills(found["keyframes"])) == 3
    assert sprite_vtt(found["keyframes"], address="/s").count("#xywh=") == 3
    assert view(home, object_id).item.play_state == "playable"
    is_sound(home)


@needs_exiftool
def test_a_photo_names_the_device_that_nobody_named(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    unnamed = home.deliver(dock, clip("photo.jpg"), "photo.jpg", device={})
    named = home.deliver(dock, clip("photo.jpg") + b"\0", "named.jpg", device={"serial": "CAM-0042"})
    work_all(home)
    assert view(home, unnamed).item.device_serial == "SN-0815"
    assert view(home, named).item.device_serial == "CAM-0042"
    assert set(found_by(home, unnamed)) == {"track"}
    is_sound(home)
    home.execute("UPDATE evidence_item SET device_serial = 'SN-0816' WHERE device_serial = 'SN-0815'")
    assert [(fault.code, fault.where) for fault in home.faults()] == [("fsck.row_changed", str(unnamed))]


def test_damage_is_told_with_its_places(home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]) -> None:
    object_id = home.deliver(dock, clip("flipped.mp4"), "flipped.mp4")
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    while view(home, object_id).item.play_state == "pending":
        assert worker.run_once([PROMPT])
    assert view(home, object_id).item.play_state == "playable", "a copy does not see broken pictures"
    work_all(home)
    item = view(home, object_id).item
    assert (item.play_state, item.play_reason) == ("damaged", "media.damaged")
    assert " s" in (item.play_note or "")
    damage = found_by(home, object_id)["damage"]
    assert damage["complaints"]
    assert damage["places_ms"]
    with home.database.read() as tx:
        assert {mark.kind for mark in marks(tx, object_id)} == {MarkKind.DAMAGE}
    is_sound(home)
    drop_renditions(home.services.workshop, object_id, by=OPERATOR, kinds=["playable"])
    work_all(home)
    again = view(home, object_id).item
    assert (again.play_state, again.play_note) == ("damaged", item.play_note)
    is_sound(home)


@pytest.mark.parametrize(("search", "depth"), [("never", None), ("keyframes", "keyframes")])
def test_how_far_damage_is_searched_for_is_a_setting(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes], search: str, depth: str | None
) -> None:
    home.settings = home.settings.model_copy(update={"find_damage": search})
    home.reopen()
    object_id = home.deliver(dock, clip("whole.mp4"), "whole.mp4")
    work_all(home)
    assert found_by(home, object_id).get("damage", {}).get("depth") == depth
    assert list(missing(home.services.workshop, has_damage=search != "never")) == []


def test_without_exiftool_the_place_is_not_known_and_is_looked_for_later(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    shop = home.services.workshop
    lacking = replace(shop, toolbox=lambda: replace(open_toolbox(), exiftool=None))
    handlers = {**home.services.handlers, **InspectionJobs(lacking).handlers}
    object_id = home.deliver(dock, clip("whole.mp4"), "whole.mp4")
    worker = Worker(home.database, handlers=handlers, clock=home.clock, lease_s=15)
    while worker.run_once([PROMPT, LONG]):
        pass
    found = found_by(home, object_id)["track"]
    assert (found["outcome"], found["reason"]) == ("indeterminate", "media.tool_missing")
    (lack,) = missing(shop)
    assert lack.kinds == ("track",)
    if shutil.which("exiftool"):
        remake(shop, object_id, lack.kinds)
        work_all(home)
        assert found_by(home, object_id)["track"]["outcome"] == "valid"
        assert list(missing(shop)) == []
    is_sound(home)


@pytest.mark.parametrize("name", ["whole.mp4", "encoded.avi"])
def test_renditions_are_dropped_and_made_again(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes], name: str
) -> None:
    shop = home.services.workshop
    object_id = home.deliver(dock, clip(name), name)
    work_all(home)
    before = {row.kind: row.sha256 for row in view(home, object_id).renditions}
    assert set(before) == KINDS
    assert sorted(drop_renditions(shop, object_id, by=OPERATOR)) == sorted(KINDS)
    assert view(home, object_id).renditions == []
    assert view(home, object_id).item.play_state == "pending"
    assert home.stored_renditions() == set()
    assert home.types().count("derivative.dropped") == len(KINDS)
    is_sound(home)
    work_all(home)
    assert kinds(home, object_id) == {"playable"}, "what plays is made again at once"
    assert view(home, object_id).item.play_state == "playable"
    (lack,) = missing(shop)
    assert (lack.object_id, set(lack.kinds)) == (object_id, KINDS - {"playable"})
    assert remake(shop, object_id, lack.kinds) == ["inspect_item", "make_poster"]
    work_all(home)
    assert kinds(home, object_id) == KINDS
    after = {row.kind: row.sha256 for row in view(home, object_id).renditions}
    if name == "whole.mp4":
        assert after == before
    assert list(missing(shop)) == []
    assert drop_renditions(shop, object_id, by=OPERATOR, kinds=["sprite"]) == ["sprite"]
    assert view(home, object_id).item.play_state == "playable"
    is_sound(home)


def test_bytes_that_a_power_cut_took_are_missing_too(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    shop = home.services.workshop
    object_id = home.deliver(dock, clip("whole.mp4"), "whole.mp4")
    work_all(home)
    for row in view(home, object_id).renditions:
        if row.kind in {"playable", "sprite"}:
            (home.raw / "renditions" / row.key).unlink()
    (lack,) = missing(shop)
    assert set(lack.kinds) == {"playable", "sprite"}
    remake(shop, object_id, lack.kinds)
    work_all(home)
    assert kinds(home, object_id) == KINDS
    is_sound(home)


def test_what_nobody_can_make_is_refused(home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]) -> None:
    shop = home.services.workshop
    object_id = home.deliver(dock, b"\0" * 5000, "a.mp4")
    work_all(home)
    with pytest.raises(KindUnknown):
        remake(shop, object_id, ["masterpiece"])
    for act in (makeable, lambda shop, object_id: drop_renditions(shop, object_id, by=OPERATOR)):
        with pytest.raises(ObjectNotFound):
            act(shop, ObjectId(new_uuid7()))
    assert makeable(shop, object_id) == ()
    assert drop_renditions(shop, object_id, by=OPERATOR) == []
    assert list(missing(shop)) == []


def test_an_item_whose_probe_died_does_not_wait_for_ever(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    object_id = home.deliver(dock, clip("whole.mp4"), "whole.mp4")
    original = home.file_of(object_id, "original/whole.mp4")
    aside = original.rename(original.with_name("aside"))
    work_all(home)
    with home.database.read() as tx:
        (job,) = dead_jobs(tx)
    aside.rename(original)
    retry_job(home.database, JobId(job.id), by=OPERATOR, at=home.clock.now())
    with pytest.raises(JobNotDead):
        retry_job(home.database, JobId(job.id), by=OPERATOR, at=home.clock.now())
    assert home.types().count("admin.job_retried") == 1
    work_all(home)
    assert view(home, object_id).item.play_state == "playable"
    assert retry_all(home.database, by=OPERATOR, at=home.clock.now()) == []
    is_sound(home)


def test_the_command_line(
    home: ArchiveHome,
    dock: EnrolledDock,
    clip: Callable[[str], bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", home.settings.effective_database_url)
    object_id = home.deliver(dock, clip("whole.mp4"), "whole.mp4")
    original = home.file_of(object_id, "original/whole.mp4")
    aside = original.rename(original.with_name("aside"))
    work_all(home)
    aside.rename(original)

    def told(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()  # what the worker logged
        assert run([*arguments, "--home", str(home.path)]) == code
        return capsys.readouterr().out.strip()

    (line,) = told("jobs", "--dead", "--json").splitlines()
    job = json.loads(line)
    assert (job["kind"], job["state"], job["about"]) == ("probe_item", "dead", str(object_id))
    assert "store.blob_missing" in told("jobs")
    told("jobs", "retry", code=64)
    assert told("jobs", "retry", job["id"]) == job["id"]
    assert "ready" in told("jobs")
    assert told("jobs", "retry", "--all") == ""
    work_all(home)
    assert told("jobs") == ""
    told("renditions", "drop", code=64)
    assert told("renditions", "drop", str(object_id), "--kind", "sprite") == f"{object_id}  dropped: sprite"
    assert told("renditions", "make", "--missing") == f"{object_id}  queued: sprite"
    work_all(home)
    assert told("renditions", "make", "--missing") == ""
    assert set(json.loads(told("renditions", "drop", "--all", "--json"))["dropped"]) == KINDS
    work_all(home)
    told("renditions", "make", str(object_id))
    told("renditions", "make", str(object_id), "--kind", "masterpiece", code=64)
    work_all(home)
    assert kinds(home, object_id) == KINDS
    is_sound(home)
