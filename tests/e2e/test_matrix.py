"""Everything that cameras and phones write: through intake and jobs, and into the browser, where it moves or sounds."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.evidence.items import ItemView, evidence_item
from archive.kernel.findings import Outcome
from archive.web.app import create_app
from ingest.media.facts import finding_from_json
from tests.e2e.browser import sign_in, until
from tests.support import counter, matrix, seed
from tests.support.matrix import CAMERA, VOICE, Combination
from tests.support.seed import PASSWORD, PEOPLE, Bureau

# Seventy recordings are made, worked on and played: more than the usual five minutes where others work beside.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

_ALL = [combination for combination in (*CAMERA, *VOICE) if combination.can_be_made]
_NAMES = [combination.name for combination in _ALL]
_BY_NAME = {combination.name: combination for combination in _ALL}
_SEEN = [name for name in _NAMES if _BY_NAME[name].video and name not in matrix.NOT_PLAYABLE]
_MEDIA = "document.querySelector('video, audio')"
# Raw streams carry no times: each frame counts.
_TIMELESS = {"raw-h264.h264", "raw-hevc.h265"}


class Made:
    """Every combination, taken in and worked on."""

    def __init__(self, bureau: Bureau, folder: Path) -> None:
        self.bureau, self.folder = bureau, folder
        dock = seed.new_dock(bureau, "矩阵采集站")
        self.ids = {
            combination.name: seed.deliver(
                bureau, dock, combination.make(folder).read_bytes(), combination.name, device=None
            )
            for combination in _ALL
        }
        seed.work(bureau)
        seed.sequence(bureau)

    def view(self, name: str) -> ItemView:
        with self.bureau.services.database.read() as tx:
            return evidence_item(tx, self.ids[name])

    def rendition(self, name: str, kind: str) -> Path | None:
        row = self.view(name).rendition(kind)
        if row is None:
            return None
        with self.bureau.services.renditions.borrow(row.key) as path:
            return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("matrix")
    bureau = seed.new_bureau(folder / "home", find_damage="never")
    yield Made(bureau, folder)
    bureau.services.close()


@pytest.fixture(scope="module")
def page(chromium: Browser, made: Made) -> Iterator[Page]:
    with seed.listening(create_app(made.bureau.services)) as base:
        context = chromium.new_context(locale="zh-CN", base_url=base)
        opened = context.new_page()
        sign_in(opened, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
        yield opened
        context.close()


def test_there_are_at_least_forty_ways_and_nearly_all_play() -> None:
    assert len(_ALL) >= 40
    assert len(_ALL) - len(matrix.NOT_PLAYABLE) >= max(36, len(_ALL) - 4)


@pytest.mark.parametrize("name", _NAMES)
def test_it_moves_or_sounds_in_the_browser(made: Made, page: Page, name: str) -> None:
    item = made.view(name).item
    if name in matrix.NOT_PLAYABLE:
        assert (item.play_state, item.play_reason) == ("unplayable", matrix.NOT_PLAYABLE[name])
        return
    assert (item.play_state, item.play_reason) == ("playable", None)
    page.goto(f"/items/{made.ids[name]}")
    page.fill("#play-purpose", "x")
    page.fill("#play-reference", "任务 1")
    page.click("button.play")
    page.wait_for_selector("video, audio")
    until(page, f"{_MEDIA}.currentTime > 0.2")
    assert page.evaluate(f"{_MEDIA}.error") is None
    combination = _BY_NAME[name]
    if combination.video:
        until(page, f"{_MEDIA}.getVideoPlaybackQuality().totalVideoFrames > 2")
        assert page.evaluate(f"{_MEDIA}.videoWidth") > 0
    if combination.audio:
        until(page, f"{_MEDIA}.webkitAudioDecodedByteCount > 0")
    assert abs(page.evaluate(f"{_MEDIA}.duration") - combination.seconds) < 0.5


@pytest.mark.parametrize("name", _SEEN)
def test_every_rendition_shows_each_frame_at_its_time(made: Made, name: str) -> None:
    combination = _BY_NAME[name]
    frame_ms = 1000 / Fraction(combination.fps)
    original = _timeline(made.folder / name, combination)
    kinds = [row.kind for row in made.view(name).renditions if row.media_type.startswith("video/")]
    assert "playable" in kinds
    for kind in kinds:
        path = made.rendition(name, kind)
        assert path is not None
        shown = counter.numbers(path)
        off = [(at_ms, number) for at_ms, number in shown if abs(at_ms - original[number]) >= frame_ms]
        assert off == []
        # An encode of more than 60 pictures a second leaves some out, and nothing else does.
        least = len(original) if Fraction(combination.fps) <= 60 else len(original) * 60 // int(combination.fps)
        assert len(shown) >= least


@pytest.mark.parametrize("name", _SEEN)
def test_what_was_copied_has_the_essence_of_its_original(made: Made, name: str) -> None:
    view = made.view(name)
    playable = view.rendition("playable")
    assert playable is not None
    essence: dict[str, Any] = view.item.essence or {}
    assert "reason" not in essence
    findings = [finding_from_json(found) for found in essence["findings"]]
    assert all(finding.outcome is not Outcome.INVALID for finding in findings)
    plans = {stream["kind"]: stream["action"] for stream in playable.recipe["plan"]["streams"]}
    if plans["video"] == "copy":
        assert any(finding.code == "media.essence_equal" for finding in findings)


def _timeline(path: Path, combination: Combination) -> dict[int, int]:
    """Return when each frame of the original is shown, in milliseconds."""
    if combination.name in _TIMELESS:
        rate = Fraction(combination.fps)
        return {number: round(1000 * number / rate) for number in range(int(combination.seconds * rate))}
    return {number: at_ms for at_ms, number in counter.numbers(path)}
