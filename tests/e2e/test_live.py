"""Playing what is still being encoded, and the version for slow links, in a real browser.

Every picture has its number burned in as black and white squares, and the page's own pixels tell which one is seen.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.adapters.local_bell import LocalBell
from archive.evidence.models import EvidenceItem
from archive.jobs.queue import LONG, PROMPT, PROXY
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from archive.worker.loop import Worker
from ingest.live import live
from tests.e2e.browser import sign_in, until
from tests.support import footage, seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau
from tests.support.slow_ffmpeg import slow_ffmpeg

pytestmark = pytest.mark.e2e

RATE = 25
SECONDS = 50
BITS = 11
_SIDE = 32
_SIZE = (BITS * _SIDE, 128)
_MEDIA = "document.querySelector('video')"
# Which picture is on the screen: the squares of its number, drawn from the element itself.
_NUMBER = f"""(() => {{
  const video = {_MEDIA}, canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [{_SIZE[0]}, {_SIZE[1]}];
  const pen = canvas.getContext("2d", {{ willReadFrequently: true }});
  pen.drawImage(video, 0, 0, {_SIZE[0]}, {_SIZE[1]});
  let number = 0;
  for (let bit = 0; bit < {BITS}; bit += 1) {{
    if (pen.getImageData(bit * {_SIDE} + {_SIDE // 2}, 16, 1, 1).data[1] > 128) number += 2 ** bit;
  }}
  return number;
}})()"""


def numbered(
    path: Path, *, seconds: int, size: tuple[int, int] = _SIZE, video: tuple[str, ...], hole: str = ""
) -> Path:
    """Make footage in which each picture shows its own number; none is there where `hole` holds."""
    squares = ",".join(
        f"drawbox=x={bit * _SIDE}:y=0:w={_SIDE}:h=32:color=white:t=fill:enable='mod(floor(n/{2**bit}),2)'"
        for bit in range(BITS)
    )
    black = f"color=black:size={_SIZE[0]}x32:rate={RATE}:duration={seconds}"
    moving = f"testsrc2=size={_SIZE[0]}x{_SIZE[1] - 32}:rate={RATE}:duration={seconds}"
    left_out = f",select='not({hole})'" if hole else ""
    whole = f"[0:v]{squares}[a];[a][1:v]vstack,scale={size[0]}:{size[1]}:flags=neighbor,setsar=1{left_out}[v]"
    sound = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}")
    inputs = ("-f", "lavfi", "-i", black, "-f", "lavfi", "-i", moving, *sound)
    footage.ffmpeg(
        *inputs, "-filter_complex", whole, "-map", "[v]", "-map", "2:a", "-fps_mode", "vfr", *video, "-c:a", "aac", path
    )
    return path


class Desk:
    """A bureau that is served, with a worker that can be told to begin and to end."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.bureau: Bureau = seed.new_bureau(folder / "home", **settings)
        services = self.bureau.services
        self._dock = seed.new_dock(self.bureau, "北市区中队采集站")
        self._worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
        queues = {PROMPT: 1, LONG: 1, PROXY: 1}
        self._thread = threading.Thread(target=self._worker.run, args=(queues, LocalBell()), kwargs={"grace_s": 60.0})

    def deliver(self, path: Path) -> ObjectId:
        return seed.deliver(self.bureau, self._dock, path.read_bytes(), path.name)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._worker.stop()
            self._thread.join()

    def play_state(self, object_id: ObjectId) -> str:
        with self.bureau.services.database.read() as tx:
            return tx.get_one(EvidenceItem, object_id).play_state

    def made(self, object_id: ObjectId) -> set[str]:
        return {key.rpartition("/")[2] for key in self.bureau.services.renditions.keys(f"{object_id}/live")}

    def wish(self, object_id: ObjectId) -> int | None:
        with self.bureau.services.database.read() as tx:
            found = live(tx, object_id)
        return None if found is None else found.wanted


@contextlib.contextmanager
def opened(chromium: Browser, base: str) -> Iterator[tuple[Page, list[str]]]:
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
    yield page, complaints
    context.close()


def play(page: Page, base: str, object_id: ObjectId) -> None:
    page.goto(f"{base}/items/{object_id}")
    page.wait_for_selector("#play-purpose", timeout=60_000)  # the page offers it as soon as there is something to see
    page.fill("#play-purpose", "案件办理")
    page.fill("#play-reference", "任务 1")
    page.click("button.play")
    page.wait_for_selector("video")


def shown(page: Page, *, at_s: float) -> int:
    """Go to a moment that lies in the middle of a picture, and return the number of the picture that is seen."""
    page.evaluate(f"{_MEDIA}.pause()")
    page.evaluate(f"{_MEDIA}.currentTime = {at_s}")
    until(page, f"!{_MEDIA}.seeking && {_MEDIA}.readyState >= 2", timeout_s=60)
    page.wait_for_timeout(200)
    number: int = page.evaluate(_NUMBER)
    return number


def test_what_is_being_encoded_plays_and_can_be_sought_in(chromium: Browser, tmp_path: Path) -> None:
    hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    path = numbered(tmp_path / "a.mp4", seconds=SECONDS, video=(*hevc, "-x265-params", "log-level=error:pools=1"))
    desk = Desk(tmp_path, ffmpeg=slow_ffmpeg(tmp_path / "slow", times_real_time=2))
    object_id = desk.deliver(path)
    with seed.listening(create_app(desk.bureau.services)) as base, opened(chromium, base) as (page, complaints):
        with desk.working():
            play(page, base, object_id)
            until(page, f"{_MEDIA}.currentTime > 0.3", timeout_s=60)
            assert page.evaluate(f"{_MEDIA}.error") is None
            assert abs(page.evaluate(f"{_MEDIA}.duration") - SECONDS) < 0.1
            assert shown(page, at_s=1.02) == RATE
            assert "22.m4s" not in desk.made(object_id)
            assert shown(page, at_s=44.5) == int(44.5 * RATE)
            assert desk.play_state(object_id) == "pending", "it is still being encoded"
            there = desk.made(object_id)
            assert "22.m4s" in there
            assert "15.m4s" not in there, "what lies between was not encoded first"
            assert page.is_visible("#live-progress")
            page.evaluate(f"{_MEDIA}.play()")
            until(page, f"{_MEDIA}.currentTime > 46.5", timeout_s=60)
            # Back to where nothing is yet, in the middle of what was left out.
            assert shown(page, at_s=31.3) == int(31.3 * RATE)
            assert page.locator("[data-trouble]").is_hidden()
        # The encode has come to its end, and this page goes on with its segments.
        assert desk.play_state(object_id) == "playable"
        assert shown(page, at_s=20.1) == int(20.1 * RATE)
        play(page, base, object_id)
        until(page, f"{_MEDIA}.currentTime > 0.2")
        assert page.evaluate(f"{_MEDIA}.currentSrc").endswith("/playable")
        for at_s in (0.02, 1.98, 2.02, 31.3, 44.5, 49.5):
            assert shown(page, at_s=at_s) == int(at_s * RATE)
        assert complaints == []
    desk.bureau.services.close()


def test_a_hole_in_the_recording_is_passed_over(chromium: Browser, tmp_path: Path) -> None:
    """The list of segments was made before anybody knew of it."""
    mpeg4 = ("-c:v", "mpeg4", "-q:v", "3", "-bf", "0")
    path = numbered(tmp_path / "a.mp4", seconds=24, video=mpeg4, hole="between(t,4.3,15.1)")
    desk = Desk(tmp_path, ffmpeg=slow_ffmpeg(tmp_path / "slow", times_real_time=2))
    object_id = desk.deliver(path)
    with (
        seed.listening(create_app(desk.bureau.services)) as base,
        opened(chromium, base) as (page, _),
        desk.working(),
    ):
        play(page, base, object_id)
        until(page, f"{_MEDIA}.currentTime > 0.2", timeout_s=60)
        page.evaluate(f"{_MEDIA}.currentTime = 3.5")
        until(page, f"{_MEDIA}.currentTime > 16.5", timeout_s=60)
        assert shown(page, at_s=17.5) == int(17.5 * RATE)
        assert shown(page, at_s=3.5) == int(3.5 * RATE)
        assert page.locator("[data-trouble]").is_hidden()
    desk.bureau.services.close()


def test_segments_that_are_gone_lead_to_the_whole_file(chromium: Browser, tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mov", seconds=30, video=("-c:v", "mjpeg", "-q:v", "3"))
    desk = Desk(tmp_path, ffmpeg=slow_ffmpeg(tmp_path / "slow", times_real_time=6))
    object_id = desk.deliver(path)
    with seed.listening(create_app(desk.bureau.services)) as base, opened(chromium, base) as (page, _):
        with desk.working():
            play(page, base, object_id)
            until(page, f"{_MEDIA}.currentTime > 0.2", timeout_s=60)
            page.evaluate(f"{_MEDIA}.pause()")
            until(page, "document.querySelector('#live-progress progress') === null", timeout_s=60)
        database = desk.bureau.services.database
        with database.begin() as tx:
            tx.connection().exec_driver_sql("DELETE FROM live_encoding")
        for key in list(desk.bureau.services.renditions.keys(f"{object_id}/live")):
            desk.bureau.services.renditions.delete(key)
        assert shown(page, at_s=27.5) == int(27.5 * RATE)
        assert page.evaluate(f"{_MEDIA}.currentSrc").endswith("/playable")
        assert page.locator("[data-trouble]").is_hidden()
    desk.bureau.services.close()


@pytest.mark.long("encodes for minutes")
def test_the_version_for_slow_links_is_made_chosen_and_remembered(chromium: Browser, tmp_path: Path) -> None:
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    path = numbered(tmp_path / "a.mp4", seconds=12, size=(1440, 1080), video=h264)
    desk = Desk(tmp_path, proxy_720="on_demand", proxy_540="on_demand")
    object_id = desk.deliver(path)
    with (
        seed.listening(create_app(desk.bureau.services)) as base,
        opened(chromium, base) as (page, complaints),
        desk.working(),
    ):
        play(page, base, object_id)
        until(page, f"{_MEDIA}.currentTime > 0.1")
        page.click("#versions button")
        until(page, "document.querySelector('[data-quality]') !== null", timeout_s=240)
        until(page, "document.querySelector('[data-quality]').value === 'whole'")  # what plays goes on
        page.evaluate(f"{_MEDIA}.pause()")
        page.evaluate(f"{_MEDIA}.currentTime = 4.5")
        until(page, f"!{_MEDIA}.seeking")
        page.select_option("[data-quality]", "proxy-720")
        until(page, f"{_MEDIA}.currentSrc.startsWith('blob:') && {_MEDIA}.readyState >= 2", timeout_s=30)
        until(page, f"!{_MEDIA}.seeking && {_MEDIA}.videoHeight === 720")
        page.wait_for_timeout(200)
        assert page.evaluate(f"{_MEDIA}.paused")
        assert page.evaluate(_NUMBER) == int(4.5 * RATE), "the same picture, in the other version"
        assert shown(page, at_s=9.1) == int(9.1 * RATE)

        play(page, base, object_id)
        until(page, f"{_MEDIA}.videoHeight === 720 && {_MEDIA}.currentTime > 0.1", timeout_s=30)
        assert page.input_value("[data-quality]") == "proxy-720", "the choice is remembered"
        page.focus("[data-quality]")
        page.keyboard.press("ArrowDown")  # with the keyboard too
        until(page, f"{_MEDIA}.videoHeight === 540", timeout_s=30)
        page.select_option("[data-quality]", "auto")
        until(page, f"{_MEDIA}.currentSrc.endsWith('/playable') && {_MEDIA}.videoHeight > 720", timeout_s=30)
        assert "完整画质" in page.inner_text("[data-quality]")

        # A link that brings less than the whole file needs.
        session = page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 40, "downloadThroughput": 60_000, "uploadThroughput": 60_000}
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", slow)
        page.select_option("[data-quality]", "proxy-540")
        until(page, f"{_MEDIA}.currentSrc.startsWith('blob:')", timeout_s=30)
        page.evaluate("document.querySelector('[data-bits]').dataset.bits = '2000000'")
        page.select_option("[data-quality]", "auto")
        until(page, "document.querySelector('[data-quality]').options[0].textContent.includes('线')", timeout_s=30)
        assert complaints == []
    desk.bureau.services.close()
