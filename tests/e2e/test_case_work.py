"""What a case handler does in a real browser: the time axis of a case, and filing what lies in the inbox."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.cases.filing import link_object, open_case, record_act
from archive.cases.listings import case_view
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, Stage, SubjectKind
from archive.kernel.ids import CaseId
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.support import seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

pytestmark = pytest.mark.e2e

START = seed.datetime(2026, 3, 2, 1, 30, tzinfo=seed.UTC)
NUMBER = "官综执罚〔2026〕第031号"


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """A case with two acts and two recordings, and three recordings in the inbox, two of that hour."""
    made = seed.new_bureau(tmp_path_factory.mktemp("work") / "home")
    handler, database = made.people[Role.CASE_HANDLER], made.services.database
    case_id = made.cases["main"] = open_case(
        database,
        made.services.identifiers,
        number=NUMBER,
        title="占道经营烧烤摊点案",
        category=Category.PENALTY,
        subject=NewSubject("官渡区阿明烧烤店", SubjectKind.ORGANISATION),
        by=handler,
        at=made.now(),
    )
    for stage, begins, minutes in ((Stage.INSPECTION, timedelta(0), 25), (Stage.QUESTIONING, timedelta(days=2), 50)):
        record_act(
            database,
            case_id,
            stage=stage,
            place="昌宏路",
            started_at=START + begins,
            ended_at=START + begins + timedelta(minutes=minutes),
            by=handler,
            at=made.now(),
        )
    dock = seed.new_dock(made, "北市区中队采集站")
    for name, begins in (("现场.mp4", timedelta(minutes=2)), ("询问.mp4", timedelta(days=2, minutes=5))):
        made.items[name] = seed.deliver(made, dock, name.encode(), name, recorded_at=START + begins)
        link_object(database, case_id, made.items[name], act_id=None, reason="现场", by=handler, at=made.now())
    for name, begins in (("续一.mp4", 8), ("续二.mp4", 12), ("别处.mp4", 60 * 24 * 9)):
        made.items[name] = seed.deliver(
            made, dock, name.encode(), name, device=f"BWC-{name}", recorded_at=START + timedelta(minutes=begins)
        )
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def base(bureau: Bureau) -> Iterator[str]:
    with seed.listening(create_app(bureau.services)) as address:
        yield address


@contextlib.contextmanager
def handler_page(chromium: Browser, base: str) -> Iterator[tuple[Page, list[str]]]:
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800})
    page, complaints = context.new_page(), []
    page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, base, PEOPLE[Role.CASE_HANDLER][0], PASSWORD)
    yield page, complaints
    context.close()


def seen(page: Page) -> list[str]:
    """Return what is in view on the axis."""
    return page.evaluate("[...document.querySelectorAll('.axis-span:not([hidden]) .axis-face')].map(e => e.innerText)")


def width_of(page: Page, name: str) -> float:
    box = page.locator(f".axis-face:has-text('{name}')").bounding_box()
    assert box is not None
    return box["width"]


def test_the_axis_zooms_into_an_act_and_back(chromium: Browser, base: str, bureau: Bureau) -> None:
    with handler_page(chromium, base) as (page, complaints):
        page.goto(f"{base}/cases/{bureau.cases['main']}")
        until(page, "document.querySelector('.axis-live') !== null")
        every = page.locator(".axis-span").count()
        assert len(seen(page)) == every
        narrow = width_of(page, "现场检查")
        page.click(".axis-face:has-text('现场检查')")
        assert width_of(page, "现场检查") > 10 * narrow
        assert "询问.mp4" not in " ".join(seen(page))
        assert len(seen(page)) == every - 2
        page.focus("[data-axis-frame]")
        page.keyboard.press("0")
        assert len(seen(page)) == every
        for _ in range(3):
            page.keyboard.press("+")
        assert len(seen(page)) < every
        # Footage stands where its true time is: 2 minutes and less 1.3 s into the act.
        page.keyboard.press("0")
        page.click(".axis-face:has-text('现场检查')")
        act = page.locator(".axis-face:has-text('现场检查')").bounding_box()
        clip = page.locator(".axis-face[href*='items'] >> nth=0").bounding_box()
        assert act is not None
        assert clip is not None
        per_second = act["width"] / (25 * 60)
        assert abs((clip["x"] - act["x"]) - (120 - 1.3) * per_second) < 2
        assert complaints == []


def test_the_axis_leads_to_the_item(chromium: Browser, base: str, bureau: Bureau) -> None:
    with handler_page(chromium, base) as (page, _):
        page.goto(f"{base}/cases/{bureau.cases['main']}")
        page.click(".axis-face:has-text('现场检查')")
        page.locator(".axis-face[href*='items'] >> nth=0").click()
        page.wait_for_url(f"**/items/{bureau.items['现场.mp4']}")


def test_suggestions_are_taken_and_filed_together(chromium: Browser, base: str, bureau: Bureau) -> None:
    with handler_page(chromium, base) as (page, complaints):
        page.goto(f"{base}/unlinked")
        assert page.locator("[data-suggest]").count() == 2
        page.click("tr:has-text('续一') [data-suggest]")
        until(page, "document.querySelector('#inbox-act_id').value !== ''")
        page.click("tr:has-text('续二') [data-suggest]")
        assert page.inner_text("[data-inbox-count]") == "已选 2 项"
        assert page.input_value("#inbox-number") == NUMBER
        assert page.input_value("#inbox-reason") == "执法活动期间"
        page.click(".inbox button.primary")
        page.wait_for_selector(".notice")
        assert page.locator(".list-inbox tbody tr").count() == 1
        assert page.inner_text(".list-inbox .row-link") == "别处.mp4"
        assert complaints == []
    with bureau.services.database.read() as tx:
        view = case_view(tx, CaseId(bureau.cases["main"]))
    filed = {row.original.name: row.act_id for row in view.items}
    assert filed["续一.mp4"] == filed["续二.mp4"] == view.acts[0].id
