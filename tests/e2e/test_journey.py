"""What a supervisor does, in a real browser: sign in, find the case, play, seek, verify."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from archive.access.policy import Role
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import footage, seed
from tests.support.seed import PASSWORD

pytestmark = pytest.mark.e2e

_ROOT = Path(__file__).parents[2]
_MEDIA = "document.querySelector('video')"
_TRAIL_IS_SETTLED = "document.querySelector('#trail')?.hasAttribute('hx-trigger') === false"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with footage, in a process of its own; its address."""
    folder = tmp_path_factory.mktemp("journey")
    said = folder / "server.log"  # a pipe that nobody empties stops the server
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.seed", str(folder)], cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while not (address := re.search(r"^http://\S+$", said.read_text(), re.MULTILINE)):
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield address[0]
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def opened(chromium: Browser, *, language: str = "zh-CN") -> Iterator[tuple[Page, list[str]]]:
    """Give a fresh page, and what its console complains of."""
    context = chromium.new_context(locale=language, viewport={"width": 1280, "height": 800})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


@pytest.mark.parametrize(
    ("language", "case", "purpose", "verdict"),
    [("zh-CN", "烧烤", "案件办理", "有效"), ("en-GB", "阿明", "Case handling", "Valid")],
)
def test_a_supervisor_finds_plays_seeks_and_verifies(
    chromium: Browser, served: str, language: str, case: str, purpose: str, verdict: str
) -> None:
    with opened(chromium, language=language) as (page, complaints):
        sign_in(page, served, "supervisor", PASSWORD)
        page.fill("#search", case)  # results come while typing
        until(page, "document.querySelectorAll('.list-cases tbody tr').length === 1")
        assert "?q=" in page.url
        page.click(".row-link")
        page.click("#footage .row-link >> text=BWC0117_20260302_093112.mp4")
        page.fill("#play-purpose", purpose)
        page.fill("#play-reference", "任务 1")
        page.press("#play-purpose", "Enter")

        page.wait_for_selector("video")
        until(page, f"{_MEDIA}.currentTime > 0.5")
        assert page.evaluate(f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames") > 0
        assert page.evaluate(f"{_MEDIA}.error") is None

        page.evaluate(f"{_MEDIA}.currentTime = 7")
        until(page, f"!{_MEDIA}.seeking && {_MEDIA}.readyState >= 2")
        assert page.evaluate(f"{_MEDIA}.currentTime") >= 7
        frames = page.evaluate(f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames")
        until(page, f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames > {frames}")

        page.click("#verify-now")
        page.wait_for_selector(".verdict")
        assert page.get_attribute(".verdict", "data-outcome") == "valid"
        assert page.inner_text(".verdict-word") == verdict
        assert "BWC0117_20260302_093112.mp4" in page.inner_text(".findings")
        # What was done stands in the trail without reloading, and gets its place in the log.
        until(page, "document.querySelectorAll('.event-access-view').length > 0")
        until(page, "document.querySelectorAll('.event-fixity-ok').length > 0")
        until(page, _TRAIL_IS_SETTLED)
        assert complaints == []


def test_an_answer_from_before_a_check_does_not_hide_it(chromium: Browser, served: str) -> None:
    with opened(chromium, language="en-GB") as (page, complaints):
        held: list[Route] = []
        sign_in(page, served, "supervisor", PASSWORD)
        page.goto(f"{served}/items?q=BWC0117")
        page.click(".row-link")
        until(page, _TRAIL_IS_SETTLED)
        checks = page.locator(".event-fixity-ok").count()
        page.route("**/trail", lambda route: route.continue_() if held else held.append(route))
        page.fill("#play-purpose", "Case handling")
        page.fill("#play-reference", "1")
        page.click("button.play")
        page.wait_for_selector("video")
        while not held:
            page.wait_for_timeout(50)
        while "every 1s" in (before := held[0].fetch()).text():
            page.wait_for_timeout(50)
        page.click("#verify-now")
        page.wait_for_selector(".verdict")
        held[0].fulfill(response=before)
        until(page, f"document.querySelectorAll('.event-fixity-ok').length > {checks}")
        until(page, _TRAIL_IS_SETTLED)
        assert complaints == []


def test_the_keys_move_the_player(chromium: Browser, served: str) -> None:
    with opened(chromium) as (page, complaints):
        sign_in(page, served, "supervisor", PASSWORD)
        page.goto(f"{served}/items?q=BWC0117")
        page.click(".row-link")
        page.fill("#play-purpose", "x")
        page.fill("#play-reference", "任务 1")
        page.click("button.play")
        page.wait_for_selector("video")
        until(page, f"{_MEDIA}.currentTime > 0.1")

        page.keyboard.press("k")
        assert page.evaluate(f"{_MEDIA}.paused")
        page.keyboard.press("Space")
        until(page, f"!{_MEDIA}.paused")
        page.keyboard.press("Space")
        assert page.evaluate(f"{_MEDIA}.paused")

        page.evaluate(f"{_MEDIA}.currentTime = 2")
        until(page, f"!{_MEDIA}.seeking")
        page.keyboard.press(".")
        until(page, f"!{_MEDIA}.seeking")
        step = page.evaluate(f"{_MEDIA}.currentTime") - 2
        assert 0.02 < step < 0.06
        page.keyboard.press(",")
        until(page, f"!{_MEDIA}.seeking")
        assert abs(page.evaluate(f"{_MEDIA}.currentTime") - 2) < 0.01
        page.keyboard.press("ArrowRight")
        until(page, f"Math.abs({_MEDIA}.currentTime - 7) < 0.1")
        page.keyboard.press("j")
        until(page, f"{_MEDIA}.currentTime === 0")
        page.keyboard.press(">")
        assert page.evaluate(f"{_MEDIA}.playbackRate") == 1.5
        page.keyboard.press("<")
        assert page.evaluate(f"{_MEDIA}.playbackRate") == 1

        # The device's clock was 1.3 s fast: both times are shown.
        until(page, "document.querySelector('[data-device-time]').textContent === '2026-03-02 09:31:12.000'")
        assert page.inner_text("[data-device-time]") == "2026-03-02 09:31:12.000"
        assert page.inner_text("[data-true-time]") == "2026-03-02 09:31:10.700"

        # Whoever writes is not steering the player.
        page.click("#export > summary")
        page.fill("#export-purpose", "")
        page.type("#export-purpose", "jk l.")
        assert page.input_value("#export-purpose") == "jk l."
        assert page.evaluate(f"{_MEDIA}.currentTime") == 0
        assert complaints == []


def test_an_export_is_a_download_with_its_name(chromium: Browser, served: str, tmp_path: Path) -> None:
    with opened(chromium) as (page, _):
        sign_in(page, served, "supervisor", PASSWORD)
        page.goto(f"{served}/items?q=notes.mp4")
        page.click(".row-link")
        page.click("#export > summary")
        page.fill("#export-purpose", "诉讼举证")
        page.fill("#export-reference", "任务 1")
        with page.expect_download() as waiting:
            page.click("#export button")
        assert waiting.value.suggested_filename == "notes.mp4"
        until(page, "document.querySelectorAll('.event-access-export').length === 1")  # the trail follows by itself


def test_a_record_opens_in_the_browsers_own_viewer(chromium: Browser, served: str) -> None:
    with opened(chromium) as (page, _):
        sign_in(page, served, "handler", PASSWORD)
        page.click(".row-link >> nth=0")
        page.click(".row-link:has-text('扣押烧烤炉具决定书')")
        page.fill("#open-purpose", "法制审核")
        page.fill("#open-reference", "任务 1")
        with page.context.expect_page() as waiting:
            page.click("button.play")
        waiting.value.wait_for_load_state()
        assert waiting.value.evaluate("document.contentType") == "application/pdf"
        until(page, "document.querySelectorAll('.event-access-view').length === 1")


def test_a_record_is_filed_with_the_form(chromium: Browser, served: str, tmp_path: Path) -> None:
    with opened(chromium) as (page, complaints):
        sign_in(page, served, "handler", PASSWORD)
        page.click(".row-link >> nth=1")
        page.click("#record > summary")
        page.fill("#record-title", "听证笔录")
        page.select_option("#record-form", "hearing_record")
        page.set_input_files("#record-file", footage.make_pdf(tmp_path / "听证.pdf", ["Hearing"]))
        assert page.inner_text("[data-file-name]") == "听证.pdf"
        page.click("#record button.primary")
        page.wait_for_selector(".notice")
        assert page.inner_text(".list-records .row-link") == "听证笔录"
        assert complaints == []


def test_the_language_is_switched_where_one_is(chromium: Browser, served: str) -> None:
    with opened(chromium) as (page, _):
        sign_in(page, served, "auditor", PASSWORD)
        page.goto(f"{served}/items?q=BWC0122")
        page.click("text=English")
        assert page.url == f"{served}/items?q=BWC0122"
        assert page.inner_text("h1") == "All evidence"
        page.click(".row-link")
        assert page.locator("button.play").count() == 0
        page.click("text=中文")
        assert page.inner_text("#trail h2") == "保管链"


def test_an_item_becomes_playable_before_ones_eyes(chromium: Browser, tmp_path: Path) -> None:
    bureau = seed.new_bureau(tmp_path / "home")
    clip = footage.make_clip(tmp_path / "a.mp4", seconds=2).read_bytes()
    item = seed.deliver(bureau, seed.new_dock(bureau, "采集站"), clip, "a.mp4")
    with seed.listening(create_app(bureau.services)) as base, opened(chromium) as (page, complaints):
        sign_in(page, base, seed.PEOPLE[Role.SUPERVISOR][0], PASSWORD)
        page.goto(f"{base}/items/{item}")
        assert page.inner_text(".curtain-title") == "正在准备播放"
        assert page.locator("#trail .files").count() == 0
        seed.work(bureau)
        seed.sequence(bureau)
        page.wait_for_selector("button.play")
        assert "0:02" in page.inner_text("#item-facts")
        page.wait_for_selector("#trail .files")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(2500)
        assert asked == []
        assert complaints == []
    bureau.services.close()
