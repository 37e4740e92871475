"""From a dropped file to the subject's page, in a real browser: upload, inbox, two Chinese characters, subject."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from archive.access.policy import Role
from archive.cases.filing import open_case, record_act
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, Stage, SubjectKind
from archive.web.app import create_app
from tests.e2e.browser import until
from tests.e2e.test_journey import opened
from tests.e2e.test_upload import drop, page_of
from tests.support import footage, seed
from tests.support.seed import Bureau

pytestmark = pytest.mark.e2e

START = seed.datetime(2026, 3, 2, 1, 30, tzinfo=seed.UTC)
NUMBER, TITLE, SUBJECT = "官综执罚〔2026〕第031号", "占道经营烧烤摊点案", "官渡区阿明烧烤店"
NAMES = {"zh-CN": "VID_20260302_093512.mp4", "en-GB": "VID_20260302_094233.mp4"}


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """A case with one inspection of 25 minutes, and nothing filed."""
    made = seed.new_bureau(tmp_path_factory.mktemp("filing") / "home")
    handler, services = made.people[Role.CASE_HANDLER], made.services
    case_id = open_case(
        services.database,
        services.identifiers,
        number=NUMBER,
        title=TITLE,
        category=Category.PENALTY,
        subject=NewSubject(SUBJECT, SubjectKind.ORGANISATION),
        by=handler,
        at=made.now(),
    )
    record_act(
        services.database,
        case_id,
        stage=Stage.INSPECTION,
        place="昌宏路",
        started_at=START,
        ended_at=START + timedelta(minutes=25),
        by=handler,
        at=made.now(),
    )
    yield made
    services.close()


@pytest.fixture(scope="module")
def base(bureau: Bureau) -> Iterator[str]:
    sequencing = seed.Sequencing(bureau)
    sequencing.start()
    try:
        with seed.listening(create_app(bureau.services)) as address:
            yield address
    finally:
        sequencing.stop()


@pytest.mark.parametrize("language", NAMES)
def test_dropped_filed_found_and_at_its_subject(
    chromium: Browser, bureau: Bureau, base: str, tmp_path: Path, language: str
) -> None:
    name = NAMES[language]
    clip = footage.make_clip(tmp_path / name, seconds=2 + list(NAMES).index(language))
    with opened(chromium, language=language) as (page, complaints):
        drop(page, page_of(page, base), clip)
        until(page, "document.querySelectorAll('[data-state=accepted]').length === 1")
        seed.work(bureau)  # what the worker of `liuhen serve` does

        page.goto(f"{base}/unlinked")
        row = page.locator(f"tr:has-text('{name}')")
        assert NUMBER in row.inner_text()
        row.locator("[data-suggest]").click()
        until(page, "document.querySelector('#inbox-act_id').value !== ''")
        page.click(".inbox button.primary")
        page.wait_for_selector(".notice")

        page.fill("#find", "烧烤")
        page.press("#find", "Enter")
        page.wait_for_url("**/search?q=**")
        assert page.locator("mark >> nth=0").inner_text() == "烧烤"
        page.click(f".list-found .row-link:has-text('{TITLE}')")
        page.click(f".facts-line a:has-text('{SUBJECT}')")

        page.wait_for_url("**/subjects/*")
        assert page.inner_text("h1") == SUBJECT
        assert NUMBER in page.inner_text("main")
        page.click(f"main a:has-text('{name}')")
        page.wait_for_url("**/items/*")
        assert page.inner_text("h1") == name
        assert complaints == []
