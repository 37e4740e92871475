"""From the last uploaded byte to a picture in a real browser, for a recording of ten minutes."""

import time
from http.client import HTTPMessage
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Page
from sqlalchemy import text

from archive.fsck.raw import as_uuid
from tests.bench import tus_client
from tests.bench.archive import BenchArchive, bench_archive, settle
from tests.bench.playable import with_fresh_end
from tests.bench.report import Row, Samples, Section
from tests.e2e.browser import open_browser, sign_in
from tests.support import footage

NAME = "picture"
RUNS = 5
_AIM_S = 4.0
_TIMEOUT_S = 120.0
_TURN_S = 0.01
_VIDEO = "document.querySelector('video')"


def measure(scratch: Path, *, runs: int = RUNS, recording_s: int = 600) -> Section:
    """Measure with a supervisor who has signed in, opens the item as soon as it is there, and presses play."""
    recording = footage.make_recording(scratch / "recording.mp4", seconds=recording_s)
    answered, offered, pictured = [], [], []
    with bench_archive(scratch / "archive") as archive, open_browser() as browser:
        page = browser.new_page(locale="en-GB")
        sign_in(page, archive.server.address, "supervisor", archive.server.accounts["supervisor"])
        for _ in range(runs):
            marks = _once(archive, page, recording)
            answered.append(marks[0])
            offered.append(marks[1])
            pictured.append(marks[2])
            archive.wait_idle()
        page.close()
    picture = Samples(tuple(pictured))
    return Section(
        name=NAME,
        title="From the dock to the eye",
        text=(
            f"A recording of {recording_s // 60} minutes, 1080p, H.264, {recording.stat().st_size / 1e6:.0f} MB, is "
            "uploaded; the clock starts when the kernel has taken its last byte. A supervisor, signed in beforehand in "
            "Debian's chromium on the same machine, opens the item's page with the dock's answer, sees it being "
            "prepared, states a purpose and presses play as soon as the page offers it; the clock stops when the "
            "browser has decoded a frame. Hands and eyes are not counted, the page's own polling is."
        ),
        rows=(
            Row("The dock has its answer: durable, hashed, logged", Samples(tuple(answered)).shown()),
            Row("The page offers to play", Samples(tuple(offered)).shown()),
            Row("A picture is decoded", picture.shown(), "", f"aim: under {_AIM_S:.0f} s", picture.median < _AIM_S),
        ),
        runs=runs,
        samples={"answered": tuple(answered), "offered": tuple(offered), "pictured": picture.values},
        programs={"Browser": f"chromium {browser.version}"},
    )


def _once(archive: BenchArchive, page: Page, recording: Path) -> tuple[float, float, float]:
    """Return the seconds from the last byte until the answer, the offer, and the picture."""
    file = with_fresh_end(recording, recording.with_name("fresh-" + recording.name))
    archive.prepare(file)
    settle()
    began, told = _sent(archive, file)
    answered = time.perf_counter() - began
    page.goto(f"{archive.server.address}/items/{_item(archive, told)}")
    _until(page, "!!document.querySelector('#play-purpose')")
    offered = time.perf_counter() - began
    page.fill("#play-purpose", "bench")
    page.fill("#play-reference", "任务 1")
    page.press("#play-purpose", "Enter")
    _until(page, f"{_VIDEO} && {_VIDEO}.getVideoPlaybackQuality().totalVideoFrames > 0 && {_VIDEO}.currentTime > 0")
    pictured = time.perf_counter() - began
    file.unlink()
    return answered, offered, pictured


def _sent(archive: BenchArchive, file: Path) -> tuple[float, str]:
    """Upload; return when the last byte was handed over, and the address of the upload."""
    size = file.stat().st_size
    with (
        file.open("rb") as content,
        tus_client._Connection(archive.uploads_url, tls=None, headers=archive.headers) as wire,
    ):
        wire.send_head(
            "POST",
            archive.uploads_url,
            {"Upload-Length": str(size), "Upload-Metadata": archive.metadata(file), "Content-Length": "0"},
        )
        created: HTTPMessage = wire.answer(201)
        url = urljoin(archive.uploads_url, str(created["Location"]))
        head = {"Content-Type": "application/offset+octet-stream", "Content-Length": str(size), "Upload-Offset": "0"}
        wire.send_head("PATCH", url, head, more=True)
        wire.send_file(content, 0, size)
        began = time.perf_counter()
        wire.answer(204)
        return began, url


def _item(archive: BenchArchive, upload_url: str) -> str:
    upload_id = upload_url.rpartition("/")[2]
    with archive.server.database.read() as tx:
        found = tx.execute(text("SELECT id, object_id FROM upload ORDER BY created_at DESC LIMIT 20")).all()
    return next(as_uuid(row.object_id) for row in found if as_uuid(row.id) == upload_id)


def _until(page: Page, expression: str) -> None:
    ends = time.monotonic() + _TIMEOUT_S
    while not page.evaluate(expression):
        if time.monotonic() > ends:
            raise TimeoutError(f"{expression}\n{page.content()[:4000]}")
        time.sleep(_TURN_S)
