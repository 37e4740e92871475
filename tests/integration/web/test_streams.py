"""Streams under a grant: segments that are not there yet, versions for slow links, and what a page says of both."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, insert, update

from archive.access.policy import Role
from archive.evidence.models import EvidenceItem, LiveEncoding
from archive.jobs.queue import PROMPT, PROXY
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from archive.web.pages import streams
from archive.worker.loop import Worker
from ingest.live import live, live_key
from ingest.media.live_state import LiveState
from ingest.media.segments import INIT, segment_name
from tests.integration.web.conftest import HTMX, signed_in, words
from tests.support import footage, seed

_HEAD = b"\0\0\0\x08moov"
_SEGMENT = b"\0\0\0\x08moof"


class Scene:
    """A bureau of its own with one large recording, and one whose encode we stand in for."""

    def __init__(self, folder: Path) -> None:
        self.bureau = seed.new_bureau(folder / "home", proxy_720="on_demand", proxy_540="on_demand")
        dock = seed.new_dock(self.bureau, "北市区中队采集站")
        large = footage.make_clip(folder / "large.mp4", seconds=2, size=(1280, 960), audio=()).read_bytes()
        avi = footage.make_clip(
            folder / "a.avi", seconds=7, size=(160, 120), video=("-c:v", "mjpeg"), audio=("-c:a", "pcm_s16le")
        ).read_bytes()
        self.large = seed.deliver(self.bureau, dock, large, "large.mp4")
        seed.work(self.bureau)
        self.encoding = seed.deliver(self.bureau, dock, avi, "a.avi")
        hand = self.worker()
        while not self.is_looked_into():
            assert hand.run_once([PROMPT])

    def worker(self) -> Worker:
        services = self.bureau.services
        return Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)

    def is_looked_into(self) -> bool:
        with self.bureau.services.database.read() as tx:
            return tx.get_one(EvidenceItem, self.encoding).probe is not None

    def put(self, name: str, data: bytes, folder: Path) -> None:
        path = folder / name
        path.write_bytes(data)
        self.bureau.services.renditions.adopt(live_key(self.encoding, name), path)

    def tell(self, state: LiveState) -> None:
        """Write the encoder's state down, as the encoder does."""
        with self.bureau.services.database.begin() as tx:
            known = tx.get(LiveEncoding, self.encoding)
            if known is None:
                tx.execute(insert(LiveEncoding).values(object_id=self.encoding, state=state.as_json()))
            else:
                tx.execute(update(LiveEncoding).values(state=state.as_json(), finished_at=None))

    def wanted(self) -> int | None:
        with self.bureau.services.database.read() as tx:
            found = live(tx, self.encoding)
        return None if found is None else found.wanted


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("streams"))
    yield made
    made.bureau.services.close()


@pytest.fixture(scope="module")
def base(scene: Scene) -> Iterator[str]:
    with seed.listening(create_app(scene.bureau.services)) as address:
        yield address


@pytest.fixture(scope="module")
def supervisor(base: str) -> Iterator[httpx.Client]:
    client = signed_in(base, Role.SUPERVISOR)
    yield client
    client.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Scene, httpx.Client]]:
    """A scene that one test may change."""
    made = Scene(tmp_path)
    with seed.listening(create_app(made.bureau.services)) as address:
        client = signed_in(address, Role.SUPERVISOR)
        yield made, client
        client.close()
    made.bureau.services.close()


@pytest.fixture
def watched(scene: Scene, tmp_path: Path) -> Iterator[Scene]:
    """The encode has made its head, segments 0 and 2, and knows that 1 has no picture."""
    for name, data in ((INIT, _HEAD), (segment_name(0), _SEGMENT + b"0"), (segment_name(2), _SEGMENT + b"2")):
        scene.put(name, data, tmp_path)
    scene.tell(LiveState(origin=0, count=4, empty={1}))
    yield scene
    for key in list(scene.bureau.services.renditions.keys(f"{scene.encoding}/live")):
        scene.bureau.services.renditions.delete(key)
    with scene.bureau.services.database.begin() as tx:
        tx.execute(delete(LiveEncoding))


def _play(client: httpx.Client, item: ObjectId) -> str:
    answer = client.post(f"/items/{item}/play", data={"purpose": "案卷评查", "reference": "任务 1"}, headers=HTMX)
    assert answer.status_code == 200, answer.text
    match = re.search(r'data-content="(/content/[0-9a-f-]+)"', answer.text)
    assert match is not None
    return match[1]


def test_what_is_being_encoded_can_be_watched_and_says_so(watched: Scene, supervisor: httpx.Client) -> None:
    page = supervisor.get(f"/items/{watched.encoding}")
    assert '/play"' in page.text
    assert "现在就可以播放" in words(page)
    assert re.search(r'id="stage"[^>]*hx-trigger', page.text) is None, "who fills in a purpose is not disturbed"
    progress = supervisor.get(f"/items/{watched.encoding}/progress", headers=HTMX)
    assert "现在就可以播放" in words(progress)
    player = supervisor.post(
        f"/items/{watched.encoding}/play", data={"purpose": "x", "reference": "任务 1"}, headers=HTMX
    )
    assert "data-live" in player.text
    assert re.search(r"<video[^>]* src=", player.text) is None
    assert "versions" not in player.text


def test_every_segment_is_listed_from_the_start(watched: Scene, supervisor: httpx.Client) -> None:
    under = _play(supervisor, watched.encoding)
    answer = supervisor.get(f"{under}/live.m3u8")
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["cache-control"] == "private, no-store"
    lines = answer.text.splitlines()
    assert [line for line in lines if line.startswith("live/")] == [
        *("live/0.m4s", "live/hole", "live/2.m4s", "live/3.m4s"),
    ]
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert lines[lines.index("live/hole") - 2] == "#EXT-X-GAP"
    assert sum(float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")) == pytest.approx(7, abs=0.1)
    assert supervisor.head(f"{under}/live.m3u8").status_code == 200


def test_segments_that_are_there_are_served(watched: Scene, supervisor: httpx.Client) -> None:
    under = _play(supervisor, watched.encoding)
    for name, data in ((INIT, _HEAD), ("0.m4s", _SEGMENT + b"0"), ("2.m4s", _SEGMENT + b"2")):
        answer = supervisor.get(f"{under}/live/{name}")
        assert (answer.status_code, answer.content) == (200, data)
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["cache-control"] == "private, no-store"
    part = supervisor.get(f"{under}/live/0.m4s", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, _SEGMENT[:4])
    empty = supervisor.get(f"{under}/live/1.m4s", headers={"Accept": "*/*"})
    assert (empty.status_code, empty.json()["code"]) == (404, "retrieval.segment_empty")


def test_a_segment_that_is_not_there_is_wished_for_and_waited_for(
    watched: Scene, supervisor: httpx.Client, tmp_path: Path
) -> None:
    under = _play(supervisor, watched.encoding)
    coming = threading.Timer(0.7, lambda: watched.put("3.m4s", _SEGMENT + b"3", tmp_path))
    coming.start()
    answer = supervisor.get(f"{under}/live/3.m4s")
    coming.join()
    assert (answer.status_code, answer.content) == (200, _SEGMENT + b"3")
    assert watched.wanted() == 3


def test_nobody_waits_for_ever(watched: Scene, supervisor: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_LONGEST_WAIT_S", 0.5)
    answer = supervisor.get(f"{_play(supervisor, watched.encoding)}/live/3.m4s", headers={"Accept": "*/*"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "retrieval.segment_not_ready"


@pytest.mark.parametrize("name", ["4.m4s", "99999999.m4s", "x.m4s", "playlist", "-1.m4s", "index.m3u8"])
def test_what_is_no_segment_is_not_there(watched: Scene, supervisor: httpx.Client, name: str) -> None:
    answer = supervisor.get(f"{_play(supervisor, watched.encoding)}/live/{name}")
    assert answer.status_code == 404
    assert watched.wanted() is None


def test_a_recording_of_unknown_length_grows(watched: Scene, supervisor: httpx.Client) -> None:
    watched.tell(LiveState(origin=0))
    text = supervisor.get(f"{_play(supervisor, watched.encoding)}/live.m3u8").text
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert [line for line in text.splitlines() if line.endswith(".m4s")] == ["live/0.m4s"]
    assert "ENDLIST" not in text


def test_before_the_first_segment_there_is_nothing_to_watch(watched: Scene, supervisor: httpx.Client) -> None:
    under = _play(supervisor, watched.encoding)
    watched.tell(LiveState())
    assert supervisor.get(f"{under}/live.m3u8").status_code == 404
    assert supervisor.get(f"{under}/live/0.m4s").status_code == 404
    assert (
        supervisor.post(
            f"/items/{watched.encoding}/play", data={"purpose": "x", "reference": "任务 1"}, headers=HTMX
        ).status_code
        == 404
    )
    assert re.search(r'id="stage"[^>]*hx-trigger="every 1s"', supervisor.get(f"/items/{watched.encoding}").text)


def test_segments_are_for_who_was_granted_them(watched: Scene, supervisor: httpx.Client, base: str) -> None:
    under = _play(supervisor, watched.encoding)
    other = signed_in(base, Role.CASE_HANDLER)
    for name in ("live.m3u8", "live/0.m4s", "live/init.mp4"):
        assert supervisor.get(f"{under}/{name}").status_code == 200
        assert other.get(f"{under}/{name}").status_code == 404
    other.close()


def test_a_real_encode_is_served_while_it_runs(own: tuple[Scene, httpx.Client]) -> None:
    """A worker encodes; what the list names is fetched as soon as the page offers to play."""
    scene, client = own
    services, seen = scene.bureau.services, []
    working = threading.Thread(target=seed.work, args=(scene.bureau,))
    working.start()
    while working.is_alive() and not seen:
        if '/play"' in client.get(f"/items/{scene.encoding}").text:
            under = _play(client, scene.encoding)
            names = re.findall(r"live/[0-9a-z.]+", client.get(f"{under}/live.m3u8").text)
            seen = [client.get(f"{under}/{name}").content for name in names[:3]]
    working.join()
    with services.database.read() as tx:
        assert tx.get_one(EvidenceItem, scene.encoding).play_state == "playable"
    # On a quick machine the encode may be over before anybody can look.
    assert not seen or [b"moov" in seen[0], b"moof" in seen[1], b"moof" in seen[2]] == [True] * 3


# ---- versions for slow links ---------------------------------------------------------------------------------------


def test_a_version_is_asked_for_made_and_offered(own: tuple[Scene, httpx.Client]) -> None:
    (scene, supervisor), item = own, own[0].large
    player = supervisor.post(f"/items/{item}/play", data={"purpose": "x", "reference": "任务 1"}, headers=HTMX)
    assert "准备供慢速网络使用的版本" in words(player)
    assert "/playable" in player.text
    under = _play(supervisor, item)
    assert supervisor.get(f"{under}/master.m3u8").status_code == 404
    asked = supervisor.post(f"/items/{item}/versions", headers=HTMX)
    assert 'hx-trigger="every 3s"' in asked.text
    assert supervisor.post(f"/items/{item}/versions", headers=HTMX).status_code == 404, "it is under way"
    hand = scene.worker()
    assert hand.run_once([PROXY])
    part = supervisor.get(f"/items/{item}/versions", headers=HTMX)
    assert "hx-trigger" not in part.text
    offered = re.findall(r'option value="([^"]+)"', part.text)
    assert offered == ["auto", "whole", "proxy-720", "proxy-540"]
    again = supervisor.post(f"/items/{item}/play", data={"purpose": "x", "reference": "任务 1"}, headers=HTMX)
    assert re.search(r"<video[^>]* src=", again.text) is None, "the player chooses"
    master = supervisor.get(f"{under}/master.m3u8")
    assert master.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert re.findall(r"RESOLUTION=(\d+x\d+)", master.text) == ["960x720", "720x540"]
    assert master.text.splitlines()[-1] == "proxy-540.m3u8"
    listed = supervisor.get(f"{under}/proxy-720.m3u8").text
    head, *parts = re.findall(r'BYTERANGE[=:]"?(\d+)@(\d+)', listed)
    assert supervisor.get(f"{under}/proxy-720.mp4", headers=_range(head)).content[4:8] in {b"ftyp", b"moov"}
    for place in parts:
        answer = supervisor.get(f"{under}/proxy-720.mp4", headers=_range(place))
        assert answer.status_code == 206
        assert answer.content[4:8] in {b"styp", b"moof", b"sidx"}
    assert supervisor.get(f"{under}/proxy-480.m3u8").status_code == 404
    assert supervisor.get(f"{under}/proxy-480.mp4").status_code == 404


def _range(place: tuple[str, str]) -> dict[str, str]:
    length, offset = int(place[0]), int(place[1])
    return {"Range": f"bytes={offset}-{offset + length - 1}"}


def test_what_is_small_already_has_no_versions(supervisor: httpx.Client, scene: Scene) -> None:
    assert supervisor.post(f"/items/{scene.encoding}/versions", headers=HTMX).status_code == 404
    assert supervisor.get(f"/items/{scene.encoding}/versions", headers=HTMX).text.strip() == ""


def test_without_scripts_asking_leads_back_to_the_item(own: tuple[Scene, httpx.Client]) -> None:
    scene, client = own
    answer = client.post(f"/items/{scene.large}/versions")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/items/{scene.large}")
