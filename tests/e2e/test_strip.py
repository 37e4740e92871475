"""The strip under the player: stills, waveform and marks stand where the recording has them, and lead there."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from archive.access.policy import Role
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import footage, seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

pytestmark = pytest.mark.e2e

_MEDIA = "document.querySelector('video')"
# Pictures for 4 s, black for 4 s, pictures for 4 s; a tone for 2 s, silence for 6 s, a tone for 4 s.
_PICTURE = (
    "testsrc2=size=320x240:rate=25:duration=4[a];color=black:size=320x240:rate=25:duration=4[b];"
    "testsrc2=size=320x240:rate=25:duration=4[c];[a][b][c]concat=n=3:v=1[v]"
)
_SOUND = "sine=frequency=440:sample_rate=48000:duration=12,volume=enable='between(t,2,8)':volume=0[s]"


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    folder = tmp_path_factory.mktemp("strip")
    path = folder / "marked.mp4"
    footage.ffmpeg(
        *("-filter_complex", f"{_PICTURE};{_SOUND}", "-map", "[v]", "-map", "[s]"),
        *(*footage.H264, *footage.AAC, "-threads", "2", path),
    )
    made = seed.new_bureau(folder / "home")
    dock = seed.new_dock(made, "采集站")
    made.items["marked"] = seed.deliver(made, dock, path.read_bytes(), "marked.mp4")
    seed.work(made)
    seed.sequence(made)
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def page(chromium: Browser, bureau: Bureau) -> Iterator[tuple[Page, list[str]]]:
    with seed.listening(create_app(bureau.services)) as base:
        context = chromium.new_context(locale="zh-CN", base_url=base, viewport={"width": 1280, "height": 900})
        opened, complaints = context.new_page(), []
        opened.on("console", lambda told: complaints.append(told.text) if _is_complaint(told) else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        sign_in(opened, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
        opened.goto(f"/items/{bureau.items['marked']}")
        opened.fill("#play-purpose", "x")
        opened.fill("#play-reference", "任务 1")
        opened.click("button.play")
        opened.wait_for_selector("[data-strip]")
        until(opened, f"{_MEDIA}.currentTime > 0.1")
        opened.evaluate(f"{_MEDIA}.pause()")
        yield opened, complaints
        context.close()


def _is_complaint(told: ConsoleMessage) -> bool:
    """Whether the page complains; that these tests read the canvas back is no fault of it."""
    return told.type in {"error", "warning"} and not told.text.startswith("Canvas2D")


def _share(page: Page, selector: str) -> tuple[float, float]:
    """Return where something begins and ends on the track, as a share of its width."""
    track, box = (page.locator(one).bounding_box() for one in ("[data-strip-track]", selector))
    assert track is not None
    assert box is not None
    return (box["x"] - track["x"]) / track["width"], (box["x"] + box["width"] - track["x"]) / track["width"]


def test_marks_stand_where_the_recording_has_them(page: tuple[Page, list[str]]) -> None:
    opened, complaints = page
    begins, ends = _share(opened, ".strip-mark.strip-black")
    assert (begins, ends) == (pytest.approx(4 / 12, abs=0.06), pytest.approx(8 / 12, abs=0.06))
    begins, ends = _share(opened, ".strip-mark.strip-silence")
    assert (begins, ends) == (pytest.approx(2 / 12, abs=0.04), pytest.approx(8 / 12, abs=0.04))
    assert complaints == []


def test_the_waveform_is_loud_where_the_sound_is(page: tuple[Page, list[str]]) -> None:
    opened, _ = page
    drawn = """([from, to]) => {
      const canvas = document.querySelector('[data-strip-wave]'), pen = canvas.getContext('2d');
      const x = Math.round(from * canvas.width), width = Math.round((to - from) * canvas.width);
      const { data } = pen.getImageData(x, 0, width, canvas.height);
      let count = 0;
      for (let at = 3; at < data.length; at += 4) if (data[at]) count += 1;
      return count / (width * canvas.height);
    }"""
    until(opened, "document.querySelector('[data-strip-wave]').width > 300")
    loud, quiet = (opened.evaluate(drawn, part) for part in ([0.02, 0.15], [0.25, 0.6]))
    assert loud > 3 * quiet


def test_a_still_is_shown_where_the_pointer_is_and_a_press_leads_there(page: tuple[Page, list[str]]) -> None:
    opened, complaints = page
    box = opened.locator("[data-strip-track]").bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert opened.inner_text("[data-strip-at]") == "0:09"
    assert "/sprite" in opened.evaluate("document.querySelector('[data-strip-still]').style.backgroundImage")
    opened.mouse.down()
    opened.mouse.up()
    until(opened, f"Math.abs({_MEDIA}.currentTime - 9) < 0.1")
    opened.click(".places summary")
    opened.click(".places li:has-text('黑屏') button")
    until(opened, f"Math.abs({_MEDIA}.currentTime - 4) < 0.6")
    assert complaints == []
