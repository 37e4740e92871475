"""Encodes that play while they run and go on after a worker's death, and versions for slow links."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from archive.evidence.items import ItemView, evidence_item
from archive.jobs.queue import LONG, PROMPT, PROXY
from archive.kernel.ids import ObjectId
from archive.worker.loop import Worker
from ingest.live import KEPT_AFTER_VIEW, Live, live, live_key, note_view, want_segment
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.segments import INIT, segment_name
from ingest.proxies import ask_for_proxies, rungs_of
from tests.support import footage, hostile
from tests.support.archive_crash import run_killed, run_until, work_once
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, make_home

SECONDS = 11
SEGMENTS = 6


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("live-clips")

    def made(name: str) -> Path:
        path = folder / name
        if not path.exists():
            match name:
                case "encoded.avi":
                    mjpeg, pcm = ("-c:v", "mjpeg"), ("-c:a", "pcm_s16le")
                    footage.make_clip(path, seconds=SECONDS, size=(160, 120), video=mjpeg, audio=pcm)
                case "empty.mp4":
                    made("encoded.avi")
                    whole = folder / "whole.mp4"
                    footage.make_clip(whole, seconds=1, size=(160, 120), video=("-c:v", "mpeg4"), audio=())
                    boxes = hostile.boxes(whole.read_bytes())
                    blank = (body[:8] + bytes(len(body) - 8) if name == b"mdat" else body for name, body in boxes)
                    path.write_bytes(b"".join(blank))
                case "large.mp4":
                    footage.make_clip(path, seconds=3, size=(1920, 1080), noise=20)
        return path

    return made


def worker(home: ArchiveHome) -> Worker:
    return Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)


def work_all(home: ArchiveHome, *queues: str) -> None:
    hand = worker(home)
    while hand.run_once(queues or [PROMPT, LONG]):
        pass


def view(home: ArchiveHome, object_id: ObjectId) -> ItemView:
    with home.database.read() as tx:
        return evidence_item(tx, object_id)


def encoding(home: ArchiveHome, object_id: ObjectId) -> Live | None:
    with home.database.read() as tx:
        return live(tx, object_id)


def is_watchable(home: ArchiveHome, object_id: ObjectId) -> bool:
    found = encoding(home, object_id)
    return found is not None and found.is_watchable


def segments(home: ArchiveHome, object_id: ObjectId) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in home.services.renditions.keys(f"{object_id}/live"))


def let_leases_end(home: ArchiveHome) -> None:
    then = (home.clock.now() - timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    home.execute("UPDATE job SET lease_until = :then WHERE state = 'running'", then=then)
    home.execute("UPDATE job SET max_attempts = 50")


def hold_back(home: ArchiveHome) -> None:
    """Let the encode be the only job that is due."""
    home.execute("UPDATE job SET not_before = :late WHERE kind <> 'encode_item'", late="2999-01-01 00:00:00.000000")


def let_go(home: ArchiveHome) -> None:
    home.execute("UPDATE job SET not_before = created_at WHERE not_before > :late", late="2998-01-01 00:00:00.000000")


def video_packets(path: Path) -> str:
    asked = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "csv=p=0"]
    return subprocess.run([*asked, str(path)], capture_output=True, check=True, text=True).stdout


def played(home: ArchiveHome, object_id: ObjectId) -> Path:
    playable = view(home, object_id).rendition("playable")
    assert playable is not None
    return home.stored_file(home.services.renditions, playable.key)


def test_a_worker_may_be_killed_at_any_step_of_an_encode(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    object_id = home.deliver(dock, clip("encoded.avi").read_bytes(), "encoded.avi")
    assert worker(home).run_once([PROMPT, LONG])  # the look into it
    hold_back(home)
    there: list[int] = []
    for at_step in (3, 7, 11, 14, 7, 16):
        run_killed(home.settings, work_once, at_step=at_step)
        let_leases_end(home)
        there.append(len([name for name in segments(home, object_id) if name != INIT]))
        home.sequence()
        home.assert_sound()
    assert there == sorted(there), "what was made stays, and is not made again"
    assert there[-1] > 0
    home.clock.step(timedelta(minutes=1))
    let_go(home)
    work_all(home)
    item = view(home, object_id)
    assert item.item.play_state == "playable"
    assert item.rendition("playable").recipe["live"]["segments"] == SEGMENTS  # type: ignore[union-attr]
    toolbox = home.services.workshop.toolbox()
    found = probe(clip("encoded.avi"), toolbox=toolbox)
    expected = make_playable(clip("encoded.avi"), toolbox=toolbox, out=tmp_path, probe=found)
    assert video_packets(played(home, object_id)) == video_packets(expected.path)
    assert (encoding(home, object_id), segments(home, object_id)) == (None, [])
    assert home.types().count("derivative.created") == len(item.renditions)
    home.services.workshop.sweep()
    assert list((home.path / "work").iterdir()) == []
    home.sequence()
    home.assert_sound()


def test_who_still_watches_keeps_the_segments(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], Path]
) -> None:
    object_id = home.deliver(dock, clip("encoded.avi").read_bytes(), "encoded.avi")
    assert worker(home).run_once([PROMPT, LONG])
    hold_back(home)
    # Somebody has opened the page just before a worker died.
    run_until(home.settings, work_once, reached=lambda: is_watchable(home, object_id))
    let_leases_end(home)
    begun = encoding(home, object_id)
    assert begun is not None
    assert begun.is_watchable
    want_segment(home.database, object_id, 4)
    note_view(home.database, object_id, begun, at=home.clock.now())
    let_go(home)
    work_all(home)
    assert view(home, object_id).item.play_state == "playable"
    ended = encoding(home, object_id)
    assert ended is not None
    assert ended.is_finished
    names = {segment_name(number) for number in range(SEGMENTS)} | {INIT}
    assert set(segments(home, object_id)) == names
    home.clock.step(KEPT_AFTER_VIEW - timedelta(minutes=2))
    note_view(home.database, object_id, ended, at=home.clock.now())
    home.clock.step(timedelta(minutes=3))
    work_all(home)
    assert set(segments(home, object_id)) == names, "it was watched three minutes ago"
    home.clock.step(KEPT_AFTER_VIEW)
    work_all(home)
    assert (encoding(home, object_id), segments(home, object_id)) == (None, [])
    assert home.count("job", "state <> 'done'") == 0
    assert view(home, object_id).item.play_state == "playable"


def test_what_cannot_be_encoded_leaves_nothing_to_watch(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], Path]
) -> None:
    object_id = home.deliver(dock, clip("empty.mp4").read_bytes(), "empty.mp4")
    work_all(home)
    item = view(home, object_id).item
    assert (item.play_state, item.play_reason) == ("unplayable", "media.unreadable")
    assert (encoding(home, object_id), segments(home, object_id)) == (None, [])


def test_a_dropped_rendition_is_encoded_anew(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], Path]
) -> None:
    """What is left of the encode before, kept for somebody who watched, must not be taken for a beginning."""
    object_id = home.deliver(dock, clip("encoded.avi").read_bytes(), "encoded.avi")
    assert worker(home).run_once([PROMPT, LONG])
    hold_back(home)
    run_until(home.settings, work_once, reached=lambda: is_watchable(home, object_id))
    let_leases_end(home)
    begun = encoding(home, object_id)
    assert begun is not None
    note_view(home.database, object_id, begun, at=home.clock.now())
    let_go(home)
    work_all(home)
    home.execute("UPDATE job SET state = 'ready', attempt = 0 WHERE kind = 'encode_item'")
    work_all(home)
    item = view(home, object_id)
    assert item.rendition("playable").recipe["live"]["runs"] == 1  # type: ignore[union-attr]


@pytest.fixture
def generous(database_url: str, tmp_path: Path, clock: SteppedClock) -> ArchiveHome:
    return make_home(tmp_path, database_url, clock, proxy_720="always", proxy_540="on_demand")


def test_versions_for_slow_links_by_policy(generous: ArchiveHome, clip: Callable[[str], Path]) -> None:
    home, dock = generous, generous.dock()
    large = home.deliver(dock, clip("large.mp4").read_bytes(), "large.mp4")
    small = home.deliver(dock, clip("encoded.avi").read_bytes(), "small.avi")
    work_all(home)
    keys = {row.key for row in home.rows("SELECT key FROM job WHERE kind = 'make_proxy'")}
    assert keys == {f"proxy:{large}"}, "what is small already needs none"
    work_all(home, PROXY)
    found = view(home, large)
    for lines, size in ((720, (1280, 720)), (540, (960, 540))):
        version = found.rendition(f"proxy-{lines}")
        assert version is not None
        told = version.recipe["hls"]
        assert (told["width"], told["height"]) == size
        assert told["codecs"].startswith("avc1.")
        path = home.stored_file(home.services.renditions, version.key)
        offset, length = told["playlist"]
        text = path.read_bytes()[offset : offset + length].decode()
        assert text.startswith("#EXTM3U\n")
        assert text.count(f"proxy-{lines}.mp4") == text.count("#EXT-X-BYTERANGE:") + 1
        assert offset + length == version.size_bytes
        # The file plays by itself, with every picture of the recording at its time.
        assert video_packets(path).count("\n") == 75
    assert not rungs_of(view(home, small), home.services.workshop.proxies)
    created = [entry for entry in home.entries() if entry["type"] == "derivative.created"]
    assert len(created) == len(view(home, large).renditions) + len(view(home, small).renditions)
    home.sequence()
    home.assert_sound()
    home.services.close()


def test_a_version_is_made_once_however_often_it_is_asked_for(
    home: ArchiveHome, dock: EnrolledDock, clip: Callable[[str], Path]
) -> None:
    object_id = home.deliver(dock, clip("large.mp4").read_bytes(), "large.mp4")
    work_all(home)
    assert home.count("job", "kind = 'make_proxy'") == 0
    for _ in range(3):
        with home.database.begin() as tx:
            ask_for_proxies(tx, object_id, at=home.clock.now())
    work_all(home, PROXY)
    assert home.count("job", "kind = 'make_proxy'") == 1
    kinds = {rendition.kind for rendition in view(home, object_id).renditions}
    assert "proxy-720" in kinds
    assert "proxy-540" not in kinds
    assert live_key(object_id, INIT) not in set(home.services.renditions.keys())
