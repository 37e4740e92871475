"""A case is taken away in a real browser: asked for, watched until it is built, fetched, unzipped, checked by outsiders."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.adapters.local_bell import LocalBell
from archive.cases.filing import link_object, open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.jobs.queue import PACKAGE
from archive.web.app import create_app
from archive.worker.loop import Worker
from tests.e2e.browser import sign_in, until
from tests.support import footage, seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

pytestmark = pytest.mark.e2e

NUMBER = "官综执罚〔2026〕第031号"
OPEN = {"package.completeness_not_checked", "checkpoint.no_quorum_asked"}
"""What stays open without a copy of the log and without witnesses."""


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """A case with a recording."""
    folder = tmp_path_factory.mktemp("packages")
    made = seed.new_bureau(folder / "home")
    handler, services = made.people[Role.CASE_HANDLER], made.services
    case_id = made.cases["main"] = open_case(
        services.database, services.identifiers, number=NUMBER, title="占道经营烧烤摊点案", category=Category.PENALTY,
        subject=NewSubject("官渡区阿明烧烤店", SubjectKind.ORGANISATION), by=handler, at=made.now(),
    )  # fmt: skip
    dock = seed.new_dock(made, "北市区中队采集站")
    clip = footage.make_clip(folder / "a.mp4", seconds=2).read_bytes()
    made.items["video"] = seed.deliver(made, dock, clip, "现场.mp4")
    link_object(services.database, case_id, made.items["video"], act_id=None, reason="现场", by=handler, at=made.now())
    yield made
    services.close()


@pytest.fixture(scope="module")
def served(bureau: Bureau) -> Iterator[str]:
    """The bureau with its sequencer, and a worker that builds packages."""
    services = bureau.services
    sequencing = seed.Sequencing(bureau)
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=15)
    working = threading.Thread(
        target=worker.run, args=({PACKAGE: 1}, LocalBell()), kwargs={"grace_s": 60.0}, daemon=True
    )
    sequencing.start()
    working.start()
    try:
        with seed.listening(create_app(services)) as base:
            yield base
    finally:
        worker.stop()
        working.join()
        sequencing.stop()


@contextlib.contextmanager
def opened(chromium: Browser, *, language: str) -> Iterator[tuple[Page, list[str]]]:
    context = chromium.new_context(locale=language, accept_downloads=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


def verified(folder: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    """What `liuhen verify` says in a process of its own: exit code, and outcomes by code of what is not valid."""
    done = subprocess.run(
        [sys.executable, "-m", "archive.cli", "verify", str(folder), "--json", *arguments],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return done.returncode, {
        found["code"]: found["outcome"] for found in told["findings"] if found["outcome"] != "valid"
    }


@pytest.mark.parametrize(
    ("language", "purpose", "ready"), [("zh-CN", "移送检察院", "可以下载"), ("en-GB", "For the prosecutor", "Ready")]
)
def test_a_case_is_exported_fetched_and_checked_outside(
    chromium: Browser, served: str, bureau: Bureau, tmp_path: Path, language: str, purpose: str, ready: str
) -> None:
    trust = tmp_path / "trust.txt"  # as somebody has it from elsewhere
    trust.write_text(str(bureau.services.trust))
    with opened(chromium, language=language) as (page, complaints):
        sign_in(page, served, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
        page.goto(f"{served}/cases/{bureau.cases['main']}")
        page.click("#package > summary")
        page.fill("#package-purpose", purpose)
        page.check("#package input[name=renditions]")
        page.click("#package button.primary")
        until(page, "document.querySelector('#packages tbody tr .chip-good') !== null", timeout_s=60)
        until(page, "document.querySelector('#packages .chip-busy') === null", timeout_s=60)
        row = page.locator("#packages tbody tr").first
        assert ready in row.inner_text()
        assert purpose in row.inner_text()
        with page.expect_download() as fetched:
            row.locator("button").click()
        download = fetched.value
        assert download.suggested_filename.startswith("官综执罚〔2026〕第031号-2")
        path = tmp_path / "case.zip"
        download.save_as(path)
        assert complaints == []

    done = subprocess.run(
        ["unzip", "-q", str(path), "-d", str(tmp_path / "out")], check=False, capture_output=True, text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    code, faults = verified(folder, "--key", str(trust))
    assert (code, set(faults) <= OPEN) == (2, True), faults
    video = next(folder.rglob("现场.mp4"))
    video.write_bytes(video.read_bytes()[::-1])
    code, faults = verified(folder, "--key", str(trust))
    assert (code, faults["package.file_altered"]) == (1, "invalid")


def test_the_page_of_the_logs_health_follows_the_log(chromium: Browser, served: str) -> None:
    with opened(chromium, language="zh-CN") as (page, complaints):
        sign_in(page, served, PEOPLE[Role.AUDITOR][0], PASSWORD)
        page.goto(f"{served}/log/health")
        before = page.locator(".figures dd").first.inner_text()
        assert page.locator(".verdict").get_attribute("data-outcome") == "indeterminate"  # nobody witnesses it
        with opened(chromium, language="zh-CN") as (other, _):
            sign_in(other, served, PEOPLE[Role.CASE_HANDLER][0], PASSWORD)
        until(page, f"document.querySelector('.figures dd').textContent !== '{before}'")
        assert complaints == []
