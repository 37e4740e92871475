"""Files become recordings: from real footage through the jobs, in any order, from several workers at once."""

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from archive.evidence.grouping import RecordingRules, RulesInvalid
from archive.evidence.models import EvidenceItem
from archive.evidence.recordings import (
    RecordingNotFound,
    RecordingView,
    recording_of,
    recording_view,
    recordings,
)
from archive.evidence.regrouping import group_item
from archive.evidence.terms import SourceKind
from archive.jobs.queue import PROMPT
from archive.kernel.digests import digest_of
from archive.kernel.ids import ObjectId, RecordingId, new_uuid7
from archive.kernel.instants import format_instant
from archive.worker.loop import Worker
from ingest.errors import ManifestMalformed
from ingest.manifest import parse_manifest
from tests.support import footage, hostile
from tests.support.archive_home import ArchiveHome, EnrolledDock

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
RULES = RecordingRules.load()
FILE = b"a file that nobody looks into"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of footage, made once; a byte more at its end makes it another file."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return footage.make_clip(path, seconds=2, size=(160, 120)).read_bytes()


class Camera:
    """Brings files of one device."""

    def __init__(self, home: ArchiveHome, dock: EnrolledDock) -> None:
        self.home, self.dock = home, dock
        self.numbers = iter(range(1, 1000))

    def bring(self, data: bytes, after_s: float | None, name: str = "", **said: Any) -> ObjectId:
        number = next(self.numbers)
        times: dict[str, Any] = {"signed": format_instant(START), "modified": format_instant(START)}
        if after_s is not None:
            times["recorded"] = format_instant(START + timedelta(seconds=after_s))
        times |= said.pop("times", {})
        device = {"serial": "DSJ-0042", "source": "body_worn"} | said
        return self.home.deliver(
            self.dock, data + bytes(number), name or f"{number}.mp4", times=times,
            device={key: value for key, value in device.items() if value is not None},
        )  # fmt: skip


@pytest.fixture
def camera(home: ArchiveHome, dock: EnrolledDock) -> Camera:
    return Camera(home, dock)


def work(home: ArchiveHome) -> None:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    while worker.run_once([PROMPT]):
        pass


def settle(home: ArchiveHome) -> None:
    """As if every file had been looked into and were two seconds of footage, and then grouped, in any order."""
    home.execute("UPDATE evidence_item SET kind = 'footage', duration_ms = 2000")
    with home.database.read() as tx:
        items = list(tx.scalars(select(EvidenceItem.object_id)))
    for object_id in random.sample(items, len(items)):
        with home.database.begin() as tx:
            group_item(tx, ObjectId(object_id), rules=RULES, at=home.clock.now())


def seen(home: ArchiveHome, object_id: ObjectId) -> RecordingView:
    with home.database.read() as tx:
        view = recording_of(tx, object_id)
    assert view is not None
    return view


def ids(view: RecordingView) -> list[ObjectId]:
    return [ObjectId(clip.item.object_id) for clip in view.clips]


def test_files_that_follow_each_other_are_one_recording_whatever_comes_first(
    home: ArchiveHome, camera: Camera, clip: bytes
) -> None:
    third = camera.bring(clip, 4.1)
    first = camera.bring(clip, 0)
    other = camera.bring(clip, 60)
    work(home)
    assert ids(seen(home, first)) == [first]
    second = camera.bring(clip, 1.9)
    work(home)
    view = seen(home, third)
    assert ids(view) == [first, second, third]
    assert [found.clip.position for found in view.clips] == [1, 2, 3]
    assert view.clips[0].clip.gap_before_ms is None
    gaps = [found.clip.gap_before_ms for found in view.clips[1:]]
    assert gaps == pytest.approx([-100, 200], abs=70), "the sound of a file may last a little longer than its picture"
    assert (view.recording.started_at, view.recording.clip_count) == (START, 3)
    assert view.recording.device_serial == "DSJ-0042"
    assert view.recording.source_kind == SourceKind.BODY_WORN
    assert ids(seen(home, other)) == [other]
    with home.database.read() as tx:
        listed = recordings(tx, device_serial="DSJ-0042")
        assert [found.clip_count for found in listed] == [1, 3]
        assert [found.id for found in recordings(tx, starts_before=START + timedelta(seconds=30))] == [listed[1].id]
        assert [found.id for found in recordings(tx, ends_after=START + timedelta(seconds=30))] == [listed[0].id]
        with pytest.raises(RecordingNotFound):
            recording_view(tx, RecordingId(new_uuid7()))
    # Each took a place once, and the last of the recording that the second one ended was moved.
    assert home.types().count("recording.grouped") == 5
    home.sequence()
    home.assert_sound()


def test_the_clocks_offset_is_taken_off(home: ArchiveHome, camera: Camera) -> None:
    slow = camera.bring(FILE, -90, times={"clock_offset_ms": -90_000})
    right = camera.bring(FILE, 2, times={"clock_offset_ms": 0})
    settle(home)
    view = seen(home, slow)
    assert ids(view) == [slow, right]
    assert view.recording.started_at == START


def test_chapters_stay_together_over_a_gap_and_say_which_is_missing(home: ArchiveHome, camera: Camera) -> None:
    """All with the time of the first, as many cameras write it; and one that carries its own."""
    first = camera.bring(FILE, 0, series="GH0123", sequence=1)
    second = camera.bring(FILE, 0, series="GH0123", sequence=2)
    fifth = camera.bring(FILE, 600, series="GH0123", sequence=5)
    strange = camera.bring(FILE, 602, series="GH0124", sequence=1, channel="R")
    settle(home)
    view = seen(home, fifth)
    assert ids(view) == [first, second, fifth]
    assert [found.missing_before for found in view.clips] == [0, 0, 2]
    assert view.clips[1].clip.starts_at == view.clips[0].ends_at
    assert view.clips[1].clip.gap_before_ms is None
    assert view.clips[2].clip.gap_before_ms == 596_000
    assert ids(seen(home, strange)) == [strange], "another lens of the device is another recording"
    home.sequence()
    home.assert_sound()


def test_a_file_that_was_never_finished_is_a_clip_too(
    home: ArchiveHome, camera: Camera, clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "whole.mp4").write_bytes(clip)
    broken = hostile.without_index(tmp_path / "whole.mp4", tmp_path / "broken.mp4").read_bytes()
    first, last = camera.bring(clip, 0), camera.bring(broken, 2)
    work(home)
    view = seen(home, last)
    assert ids(view) == [first, last]
    assert (view.clips[1].item.play_state, view.clips[1].clip.duration_ms) == ("unplayable", None)


def test_what_nobody_dates_or_places_is_in_no_recording(home: ArchiveHome, camera: Camera, clip: bytes) -> None:
    lost = [
        camera.bring(clip, None),  # only the file's own time, which is when it was written last
        camera.bring(clip, 0, times={"recorded_from": "name_minute"}),
        camera.bring(clip, 0, serial=None, source=None),
        camera.bring(b"just a text", 0, name="a.txt"),
    ]
    work(home)
    with home.database.read() as tx:
        assert [recording_of(tx, object_id) for object_id in lost] == [None] * 4
    assert home.count("recording") == 0


def test_without_a_serial_the_names_must_say_it(home: ArchiveHome, camera: Camera) -> None:
    front = [camera.bring(FILE, at, serial=None, source="vehicle", channel="F") for at in (0, 2)]
    rear = [camera.bring(FILE, at, serial=None, source="vehicle", channel="R") for at in (0, 2)]
    numbered = [camera.bring(FILE, 2 * n, serial=None, source="drone", sequence=n) for n in (1, 2, 4)]
    phones = [camera.bring(FILE, at, serial=None, source="phone") for at in (0, 2)]
    settle(home)
    assert ids(seen(home, front[0])) == front
    assert ids(seen(home, rear[0])) == rear
    assert ids(seen(home, numbered[0])) == numbered[:2]
    assert ids(seen(home, numbered[2])) == [numbered[2]]
    assert [ids(seen(home, phone)) for phone in phones] == [[phone] for phone in phones]
    # A second car at the same dock, at the same time: nobody can tell whose the next file is.
    camera.bring(FILE, 2.2, serial=None, source="vehicle", channel="F")
    settle(home)
    assert ids(seen(home, front[0])) == [front[0]]
    home.sequence()
    home.assert_sound()


def test_a_recorder_that_never_stops_begins_a_new_recording_each_day(home: ArchiveHome, camera: Camera) -> None:
    midnight_s = (datetime(2026, 3, 2, 16, tzinfo=UTC) - START).total_seconds()
    room = [camera.bring(FILE, midnight_s + at, source="room", channel="ch01") for at in (-4, -2, 0)]
    settle(home)
    assert ids(seen(home, room[0])) == room[:2]
    assert ids(seen(home, room[2])) == [room[2]]


def test_a_serial_that_is_found_out_later_moves_the_clip(home: ArchiveHome, camera: Camera) -> None:
    known = camera.bring(FILE, 0)
    unknown = camera.bring(FILE, 2, serial=None)
    follower = camera.bring(FILE, 4, serial=None, sequence=1)
    settle(home)
    assert ids(seen(home, unknown)) == [unknown]
    with home.database.begin() as tx:
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == unknown).values(device_serial="DSJ-0042"))
        assert group_item(tx, unknown, rules=RULES, at=home.clock.now())
    assert ids(seen(home, known)) == [known, unknown]
    assert ids(seen(home, follower)) == [follower]
    with home.database.begin() as tx:
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == unknown).values(recorded_at=None))
        assert group_item(tx, unknown, rules=RULES, at=home.clock.now())
        assert recording_of(tx, unknown) is None
        assert ids(recording_of(tx, known)) == [known]  # type: ignore[arg-type]
        assert not group_item(tx, unknown, rules=RULES, at=home.clock.now())


def test_a_container_that_knows_better_stands_above_the_files_own_time(
    home: ArchiveHome, camera: Camera, tmp_path: Path
) -> None:
    path = footage.make_clip(
        tmp_path / "a.mkv", seconds=1, size=(160, 120), extra=("-metadata", "creation_time=2026-03-02T05:00:00Z")
    )
    object_id = camera.bring(path.read_bytes(), None, name="a.mkv")
    work(home)
    with home.database.read() as tx:
        item = tx.get_one(EvidenceItem, object_id)
    assert (item.recorded_at, item.recorded_from) == (datetime(2026, 3, 2, 5, tzinfo=UTC), "probe")
    assert seen(home, object_id).recording.started_at == item.recorded_at


def test_several_workers_at_once_come_to_the_same(home: ArchiveHome, camera: Camera) -> None:
    brought = [camera.bring(FILE, 2 * number) for number in range(12)]
    home.execute("UPDATE evidence_item SET kind = 'footage', duration_ms = 2000")
    shuffled = random.sample(brought, len(brought))
    failures: list[BaseException] = []

    def group(part: Sequence[ObjectId]) -> None:
        try:
            for object_id in part:
                with home.database.begin() as tx:
                    group_item(tx, object_id, rules=RULES, at=home.clock.now())
        except Exception as exc:  # noqa: BLE001 - told below
            failures.append(exc)

    threads = [threading.Thread(target=group, args=(shuffled[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ids(seen(home, brought[5])) == brought
    assert home.count("recording") == 1
    home.sequence()
    home.assert_sound()


@pytest.mark.parametrize(
    "device",
    [
        {"source": "bodycam"},
        {"sequence": "1"},
        {"sequence": -1},
        {"sequence": True},
        {"officer": "x" * 33},
        {"series": 1},
    ],
)
def test_a_source_is_told_in_the_words_of_the_format(dock: EnrolledDock, device: dict[str, Any]) -> None:
    assert parse_manifest(dock.manifest(digest_of(b"x"), "a.mp4", device={"source": "drone"})).source_kind == "drone"
    with pytest.raises(ManifestMalformed):
        parse_manifest(dock.manifest(digest_of(b"x"), "a.mp4", device=device))


def test_a_bureau_may_replace_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "recording-rules.toml"
    assert RecordingRules.load(path) == RecordingRules.load()
    shipped = Path("archive/evidence/recording_rules.toml").read_text("utf-8")
    path.write_text(shipped.replace("2000", "5000").replace('"room", ', ""), "utf-8")
    rules = RecordingRules.load(path)
    assert (rules.tolerance_ms, rules.daily) == (5000, {SourceKind.VEHICLE})
    spoilt: list[Callable[[str], str]] = [
        lambda text: text.replace("tolerance_ms", "tolerance"),
        lambda text: text.replace("2000", '"2000"'),
        lambda text: text.replace("2000", "-1"),
        lambda text: text.replace('"room"', '"cellar"'),
        lambda text: text + "more = 1\n",
        lambda _: "no toml",
    ]
    for spoil in spoilt:
        path.write_text(spoil(shipped), "utf-8")
        with pytest.raises(RulesInvalid):
            RecordingRules.load(path)
