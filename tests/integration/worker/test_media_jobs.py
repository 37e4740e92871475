"""The jobs that follow an intake, with real footage, a real sandbox, and workers that are killed."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from archive.evidence.items import ItemView, evidence_item
from archive.fsck.raw import file_digests
from archive.jobs.listings import dead_jobs
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.ids import ObjectId
from archive.worker.loop import Worker
from tests.support import footage
from tests.support.archive_crash import run_killed, work_once
from tests.support.archive_home import ArchiveHome, EnrolledDock

SMALL = {"seconds": 1.0, "size": (160, 120)}
JOBS = {"probe_item", "make_poster", "read_track", "inspect_item", "prove_essence", "find_damage"}
RENDITIONS = {"playable", "poster", "sprite", "peaks"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """A clip that can be copied, one that must be encoded, one that is cut off; made once."""
    folder = tmp_path_factory.mktemp("clips")

    def made(name: str) -> bytes:
        path = folder / name
        if not path.exists():
            match name:
                case "copied.mp4":
                    footage.make_clip(path, **SMALL)
                case "encoded.avi":
                    footage.make_clip(path, video=("-c:v", "mjpeg"), audio=("-c:a", "pcm_s16le"), **SMALL)
        return path.read_bytes()

    return made


def work_all(home: ArchiveHome) -> int:
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    count = 0
    while worker.run_once([PROMPT, LONG]):
        count += 1
    return count


def view(home: ArchiveHome, object_id: ObjectId) -> ItemView:
    with home.database.read() as tx:
        return evidence_item(tx, object_id)


def assert_renditions_are_as_written_down(home: ArchiveHome, object_id: ObjectId) -> None:
    found = view(home, object_id)
    kept = set()
    for rendition in found.renditions:
        path = home.raw / "renditions" / rendition.key
        assert file_digests(path)[:2] == (rendition.size_bytes, rendition.sha256)
        kept.add(path)
    assert home.stored_renditions() == kept, "nothing is left over in the store of renditions"


@pytest.mark.parametrize(("name", "jobs"), [("copied.mp4", JOBS), ("encoded.avi", JOBS | {"encode_item"})])
def test_a_recording_becomes_playable_and_its_original_stays(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes], name: str, jobs: set[str]
) -> None:
    data = clip(name)
    object_id = home.deliver(dock, data, name)
    original = home.file_of(object_id, f"original/{name}")
    work_all(home)
    assert jobs <= {row.kind for row in home.rows("SELECT kind FROM job WHERE state = 'done'")}
    assert home.count("job", "state <> 'done'") == 0
    found = view(home, object_id)
    assert (found.item.kind, found.item.play_state) == ("footage", "playable")
    assert {rendition.kind for rendition in found.renditions} == RENDITIONS
    assert original.read_bytes() == data
    assert_renditions_are_as_written_down(home, object_id)
    recipe = json.dumps(found.rendition("playable").recipe)  # type: ignore[union-attr]
    assert "ffmpeg" in recipe
    assert list((home.path / "work").iterdir()) == []
    types = home.types()
    assert types.count("derivative.created") == len(RENDITIONS)
    assert types.count("derivative.verified") == 1
    home.sequence()
    home.assert_sound()


def test_what_is_no_recording_is_kept_and_said_to_be_unplayable(home: ArchiveHome, dock: EnrolledDock) -> None:
    for number, data in enumerate(
        (b"\x7fELF is no text", b"\x00" * 5000, b"%PDF-1.7 and then nothing", b"\xff\xd8\xff\xe0")
    ):
        object_id = home.deliver(dock, data, f"{number}.mp4")
        work_all(home)
        item = view(home, object_id).item
        assert item.play_state == "unplayable"
        assert item.play_reason
        assert home.file_of(object_id, f"original/{number}.mp4").read_bytes() == data
    home.sequence()
    home.assert_sound()


def test_a_worker_may_be_killed_at_any_step(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    """Killed before or after a commit or a write to the store; the next worker finds the lease ended."""
    object_id = home.deliver(dock, clip("copied.mp4"), "copied.mp4")
    kills = 0
    for at_step in (1, 2, 3, 4, 5):
        kills += run_killed(home.settings, work_once, at_step=at_step)
        home.execute("UPDATE job SET lease_until = :then WHERE state = 'running'", then=_text(home, -60))
        home.execute("UPDATE job SET max_attempts = 20")
        home.sequence()
        home.assert_sound()
    assert kills >= 3
    home.clock.step(timedelta(minutes=1))
    work_all(home)
    found = view(home, object_id)
    assert found.item.play_state == "playable"
    assert {rendition.kind for rendition in found.renditions} == RENDITIONS
    assert home.types().count("derivative.created") == len(RENDITIONS)
    assert home.count("job", "state <> 'done'") == 0
    home.services.workshop.sweep()
    assert list((home.path / "work").iterdir()) == []
    assert_renditions_are_as_written_down(home, object_id)
    home.sequence()
    home.assert_sound()


def _text(home: ArchiveHome, seconds: int) -> str:
    """An instant as raw SQL takes it on both databases."""
    return (home.clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


def test_an_original_that_is_gone_leaves_a_dead_letter(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], bytes]
) -> None:
    object_id = home.deliver(dock, clip("copied.mp4"), "copied.mp4")
    original = home.file_of(object_id, "original/copied.mp4")
    original.unlink()
    work_all(home)
    with home.database.read() as tx:
        assert [job.last_error for job in dead_jobs(tx)] == ["store.blob_missing: There is no blob with this key."]
    home.sequence()
    assert str(original) in {fault.where for fault in home.faults()}
