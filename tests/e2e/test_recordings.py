"""A recording of several files in a real browser: it goes over the boundary by itself, and a seek lands in its clip."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.evidence.recordings import recording_of
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import footage, seed
from tests.support.seed import PASSWORD, PEOPLE

pytestmark = pytest.mark.e2e

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
_JOINT = "document.querySelector('[data-joint]')"
_MEDIA = "document.querySelector('.joint video.is-active')"
_AXIS = "document.querySelector('[data-axis]')"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three clips of three seconds: the second follows at once, the third a minute later; its page's address."""
    folder = tmp_path_factory.mktemp("joint")
    bureau = seed.new_bureau(folder / "home")
    dock = seed.new_dock(bureau, "采集站")
    clip = footage.make_clip(folder / "clip.mp4", seconds=3, size=(320, 240)).read_bytes()
    source: dict[str, str | int] = {"source": "body_worn", "series": "20260302093000"}
    for number, after_s in ((1, 0), (2, 3), (3, 63)):
        bureau.items[str(number)] = seed.deliver(
            bureau, dock, clip + bytes(number), f"DSJ-1_{number}.mp4", device="DSJ-1", clock_offset_ms=0,
            source={**source, "sequence": number}, recorded_at=START + timedelta(seconds=after_s),
        )  # fmt: skip
    seed.work(bureau)
    seed.sequence(bureau)
    with bureau.services.database.read() as tx:
        view = recording_of(tx, ObjectId(bureau.items["1"]))
    assert view is not None
    with seed.listening(create_app(bureau.services)) as base:
        yield f"{base}/recordings/{view.recording.id}"
    bureau.services.close()


@pytest.fixture
def playing(chromium: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """The page with the player running, and what its console complains of."""
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, address.partition("/recordings")[0], PEOPLE[Role.SUPERVISOR][0], PASSWORD)
    page.goto(address)
    page.fill("#play-purpose", "案卷评查")
    page.fill("#play-reference", "任务 1")
    page.click("button.play")
    page.wait_for_selector("[data-joint]")
    until(page, f"{_MEDIA} && {_MEDIA}.currentTime > 0.2")
    yield page, complaints
    context.close()


def at(page: Page) -> tuple[str, float, float]:
    """Which clip plays, where in it, and where on the axis."""
    found = page.evaluate(f"[{_JOINT}.dataset.current, {_MEDIA}.currentTime, Number({_AXIS}.value)]")
    return str(found[0]), float(found[1]), float(found[2])


def seek(page: Page, seconds: float) -> None:
    page.evaluate(f"{_AXIS}.value = {seconds}; {_AXIS}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    until(page, f"!{_MEDIA}.seeking && {_MEDIA}.readyState >= 2")


def test_it_plays_clip_after_clip_and_over_the_gap(playing: tuple[Page, list[str]]) -> None:
    page, complaints = playing
    assert at(page)[0] == "1"
    until(page, f"{_JOINT}.dataset.current === '2' && {_MEDIA}.currentTime > 0.1")
    clip, inside, axis = at(page)
    assert (clip, abs(axis - 3 - inside) < 0.3) == ("2", True)
    frames = page.evaluate(f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames")
    until(page, f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames > {frames}")
    assert page.inner_text("[data-clip-text]") == "第 2 段"
    until(page, f"{_JOINT}.dataset.current === '3' && {_MEDIA}.currentTime > 0.1")
    assert page.inner_text("[data-time]").startswith("2026-03-02 09:31:0")
    until(page, f"{_MEDIA}.ended")
    assert at(page)[0] == "3"
    assert complaints == []


def test_a_place_on_the_axis_lies_in_its_clip(playing: tuple[Page, list[str]]) -> None:
    page, complaints = playing
    page.keyboard.press("k")
    assert page.evaluate(f"{_MEDIA}.paused")
    for place, clip, inside in ((4.5, "2", 1.5), (64.0, "3", 1.0), (1.0, "1", 1.0), (30.0, "3", 0.0), (2.5, "1", 2.5)):
        seek(page, place)
        until(page, f"{_JOINT}.dataset.current === '{clip}'")
        assert at(page)[1] == pytest.approx(inside, abs=0.1), place
        assert page.evaluate(f"{_MEDIA}.paused")
    page.keyboard.press("ArrowRight")
    until(page, f"{_JOINT}.dataset.current === '3'")
    page.keyboard.press("j")
    until(page, f"{_JOINT}.dataset.current === '3'")
    assert "第 3 段" in (page.get_attribute("[data-axis]", "aria-valuetext") or "")
    page.click("[data-clip='2']")
    until(page, f"{_JOINT}.dataset.current === '2' && {_MEDIA}.currentTime > 0.1")
    page.select_option("[data-speed]", "2")
    assert page.evaluate(f"{_MEDIA}.playbackRate") == 2
    until(page, f"{_JOINT}.dataset.current === '3' && !{_MEDIA}.paused")
    assert page.evaluate(f"{_MEDIA}.playbackRate") == 2
    assert page.evaluate("document.querySelectorAll('.joint video.is-active').length") == 1
    assert complaints == []


def test_an_item_leads_to_its_recording_and_on(chromium: Browser, address: str) -> None:
    context = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    base = address.partition("/recordings")[0]
    sign_in(page, base, PEOPLE[Role.AUDITOR][0], PASSWORD)
    page.goto(address)
    page.click(".list-clips .row-link >> nth=1")
    assert page.inner_text(".recording-place") == "Clip 2 of 3"
    page.click(".recording-links [rel=next]")
    assert page.inner_text(".recording-place") == "Clip 3 of 3"
    page.click("text=Whole recording")
    assert page.url == address
    assert page.locator("[data-joint]").count() == 0
    context.close()
