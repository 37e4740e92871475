"""Uploading in a real browser: dropped, chosen, broken off, gone on with; the receipt is for what was hashed there."""

import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Request
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.ledger.receipt import verify_receipt
from archive.web.app import create_app
from archive.web.limits import Cost, Meter
from ingest.manifest import parse_manifest
from ingest.models import Upload
from tests.e2e.browser import sign_in, until
from tests.e2e.test_journey import opened
from tests.integration.dock.proxy import Line, bad_line
from tests.support import seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

pytestmark = pytest.mark.e2e

NUMBER = "官综执罚〔2026〕第077号"
_ACCEPTED = "document.querySelectorAll('[data-state=accepted]').length"


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    made = seed.new_bureau(tmp_path_factory.mktemp("upload") / "home")
    open_case(
        made.services.database,
        made.services.identifiers,
        number=NUMBER,
        title="占道经营案",
        category=Category.PENALTY,
        subject=NewSubject("某某餐饮店", SubjectKind.ORGANISATION),
        by=made.people[Role.CASE_HANDLER],
        at=made.now(),
    )
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def base(bureau: Bureau) -> Iterator[str]:
    sequencing = seed.Sequencing(bureau)
    sequencing.start()
    try:
        with seed.listening(create_app(bureau.services)) as address:
            yield address
    finally:
        sequencing.stop()


@pytest.fixture
def line(base: str) -> Iterator[Line]:
    """A bad line to the archive."""
    with bad_line(base) as made:
        yield made


def film(path: Path, size_bytes: int = 6_000_000) -> Path:
    path.write_bytes(random.randbytes(size_bytes))
    return path


def page_of(page: Page, base: str, role: Role = Role.CASE_HANDLER) -> CDPSession:
    """Open the upload page as somebody, and return the wire to the browser's own controls."""
    sign_in(page, base, PEOPLE[role][0], PASSWORD)
    page.click("nav >> text=/^(上传|Upload)$/")
    page.wait_for_selector("#upload-drop")
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    return wire


def network(wire: CDPSession, *, bytes_per_s: int = -1) -> None:
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s}
    wire.send("Network.emulateNetworkConditions", {"offline": False, **conditions})


def drop(page: Page, wire: CDPSession, *paths: Path) -> None:
    """Drop files as the mouse does."""
    box = page.locator("#upload-drop").bounding_box()
    assert box is not None
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        wire.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})


def wait_until_some_is_stored(bureau: Bureau, line: Line) -> None:
    """Wait until the line holds, and the archive has written a block of what came before."""
    assert line.held.wait(30)
    ends = time.monotonic() + 30
    staging = bureau.services.intake.staging
    while max((path.stat().st_size for path in staging.iterdir()), default=0) < 2_000_000:
        assert time.monotonic() < ends
        time.sleep(0.02)


def patches(page: Page) -> list[int]:
    """Return the offsets that the browser sends from, as it sends them."""
    offsets: list[int] = []

    def look(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", look)
    return offsets


def states_of(bureau: Bureau, paths: list[Path]) -> dict[str, str | None]:
    with bureau.services.database.read() as tx:
        uploads = {parse_manifest(upload.manifest).name: upload.state for upload in tx.scalars(select(Upload))}
    return {path.name: uploads.get(path.name) for path in paths}


def test_dropped_broken_off_and_gone_on_with(chromium: Browser, bureau: Bureau, line: Line, tmp_path: Path) -> None:
    with opened(chromium) as (page, complaints):
        wire, offsets = page_of(page, line.address), patches(page)
        path = film(tmp_path / "现场执法.mp4")
        page.fill("#upload-case", "〔2026〕第077")
        until(page, "document.querySelectorAll('#upload-cases option').length === 1")
        assert page.get_attribute("#upload-cases option", "value") == NUMBER
        with page.expect_response("**/upload/cases?*"):  # or the line below would hold it
            page.fill("#upload-case", NUMBER)
        page.select_option("#upload-source", "phone")
        page.fill("#upload-note", "群众提供")
        line.hold_at = line.passed + 5_000_000
        drop(page, wire, path)
        wait_until_some_is_stored(bureau, line)
        assert page.evaluate("document.querySelector('[data-step=hash] progress').value") == 1
        page.context.set_offline(True)
        line.cut()
        line.release()
        until(page, "document.querySelector('.upload-row').dataset.state === 'interrupted'")
        assert "连接已中断" in page.inner_text(".upload-told")
        page.context.set_offline(False)
        until(page, f"{_ACCEPTED} === 1", timeout_s=40)
        assert len(offsets) >= 2
        assert offsets[-1] > 0, "it goes on, and does not begin again"

        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert page.inner_text("[data-sha256]") == sha256
        assert "一致" in page.inner_text(".upload-done")
        until(page, "document.querySelector('.list-sent').innerText.includes('现场执法.mp4')")
        with page.expect_download() as waiting:
            page.click(".upload-done [data-receipt]")
        receipt = Path(waiting.value.path()).read_bytes()
        report = verify_receipt(receipt, trust=bureau.services.trust, digests=digest_of(path.read_bytes()))
        assert report.outcome is Outcome.VALID
        page.click(".upload-done [data-item]")
        assert page.inner_text("h1") == "现场执法.mp4"
        facts = page.inner_text("#item-facts")
        assert f"浏览器上传，{PEOPLE[Role.CASE_HANDLER][1]}" in facts
        assert "群众提供" in facts
        assert NUMBER in page.inner_text("main")
        # The browser repeats what was cut off, by itself and from the wrong offset; the archive does not take that.
        assert [told for told in complaints if "net::ERR_" not in told and "409" not in told] == []


def test_what_is_sent_too_fast_is_sent_a_little_later(
    chromium: Browser, bureau: Bureau, base: str, tmp_path: Path
) -> None:
    app = create_app(bureau.services)
    app.state.limits.meters[Cost.UPLOADS] = Meter(60, holds_s=1)
    with seed.listening(app) as hurried, opened(chromium) as (page, complaints):
        wire = page_of(page, hurried)
        drop(page, wire, *(film(tmp_path / f"{number}.mp4", 10_000) for number in range(2)))
        until(page, f"{_ACCEPTED} === 2", timeout_s=60)
        assert any("429" in told for told in complaints)


def test_after_a_reload_the_same_file_goes_on(chromium: Browser, bureau: Bureau, line: Line, tmp_path: Path) -> None:
    with opened(chromium, language="en-GB") as (page, complaints):
        page_of(page, line.address)
        offsets = patches(page)
        path = film(tmp_path / "drone.mp4")
        line.hold_at = line.passed + 5_000_000
        page.set_input_files("#upload-files", path)
        wait_until_some_is_stored(bureau, line)
        page.click("[data-act=pause]")
        assert page.inner_text(".upload-told") == "Paused"
        line.cut()
        line.release()
        page.reload()
        assert "sent" in page.inner_text(".list-sent")
        page.set_input_files("#upload-files", path)
        until(page, f"{_ACCEPTED} === 1", timeout_s=40)
        assert offsets[-1] > 0
        assert "match those computed here" in page.inner_text(".upload-done")
        assert complaints == []


def test_several_at_once_and_one_is_cancelled(chromium: Browser, bureau: Bureau, base: str, tmp_path: Path) -> None:
    with opened(chromium) as (page, complaints):
        wire = page_of(page, base, Role.SUPERVISOR)
        network(wire, bytes_per_s=2_000_000)
        paths = [film(tmp_path / f"{number}.mp4", 1_200_000 + number) for number in range(5)]
        drop(page, wire, *paths)
        until(page, "document.querySelectorAll('[data-state=sending]').length === 3")
        assert page.evaluate("document.querySelectorAll('[data-state=waiting], [data-state=queued]').length") <= 2
        page.click(".upload-row >> nth=0 >> [data-act=cancel]")
        network(wire)
        until(page, f"{_ACCEPTED} === 4", timeout_s=40)
        assert page.get_attribute(".upload-row >> nth=0", "data-state") == "cancelled"
        until(page, "document.querySelectorAll('.list-sent .chip-good').length === 4")
        wanted = {"0.mp4": "terminated", **{f"{number}.mp4": "accepted" for number in range(1, 5)}}
        ends = time.monotonic() + 30
        while (states := states_of(bureau, paths)) != wanted and time.monotonic() < ends:
            time.sleep(0.05)  # the browser says so on its own time
        assert states == wanted
        assert complaints == []


def test_with_the_keyboard_alone(chromium: Browser, base: str, tmp_path: Path) -> None:
    path = film(tmp_path / "keys.mp4", 50_000)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with opened(chromium) as (page, complaints):
        # Choosers are caught from now on: told to only at the press, a slow browser opens a dialog of its own.
        page.on("filechooser", lambda chooser: chooser.set_files([path, empty]))
        page_of(page, base)
        page.focus("#upload-note")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "upload-files"
        page.keyboard.press("Space")
        until(page, f"{_ACCEPTED} === 1")
        until(page, "document.querySelectorAll('[data-state=failed]').length === 1")
        assert "不能作为证据入库" in page.inner_text("[data-state=failed] .upload-fault")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.act") == "remove"
        page.keyboard.press("Enter")
        assert page.locator(".upload-row").count() == 1
        assert page.evaluate("document.activeElement.dataset.act") == "remove"
        assert page.inner_text("#upload-said")
        assert complaints == []


def test_what_goes_wrong_is_said_in_words(chromium: Browser, base: str, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 20_000)
    with opened(chromium) as (page, complaints):
        wire = page_of(page, base)
        page.fill("#upload-case", "没有的案件")
        page.set_input_files("#upload-files", path)
        until(page, "document.querySelectorAll('[data-state=failed]').length === 1")
        assert page.inner_text(".upload-fault") == "没有这个编号的案件"
        page.fill("#upload-case", "")
        folder = tmp_path / "folder"
        folder.mkdir()
        film(folder / "b.mp4", 10)
        drop(page, wire, folder)
        until(page, "document.querySelectorAll('[data-state=failed]').length === 2")
        assert "文件夹" in page.inner_text(".upload-row >> nth=1 >> .upload-fault")
        assert len([told for told in complaints if "404" not in told]) == 0


def test_a_session_that_ends_is_told_and_the_upload_goes_on_after_it(
    chromium: Browser, bureau: Bureau, line: Line, tmp_path: Path
) -> None:
    path = film(tmp_path / "late.mp4")
    with opened(chromium) as (page, _):
        page_of(page, line.address)
        offsets = patches(page)
        line.hold_at = line.passed + 5_000_000
        page.set_input_files("#upload-files", path)
        wait_until_some_is_stored(bureau, line)
        page.click("[data-act=pause]")
        line.cut()
        line.release()
        kept = page.context.cookies()
        page.context.clear_cookies()
        page.click("[data-act=resume]")
        until(page, "document.querySelectorAll('[data-state=failed]').length === 1")
        assert "登录已失效" in page.inner_text(".upload-fault")
        page.context.add_cookies(kept)  # type: ignore[arg-type]
        page.set_input_files("#upload-files", path)
        until(page, f"{_ACCEPTED} === 1", timeout_s=40)
        assert offsets[-1] > 0
