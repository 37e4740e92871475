"""Validating in a browser: a file is dropped, too large a one is told before it is sent, the result can be read by all."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.web.app import create_app
from signing.pades import PadesSigner
from tests.e2e import test_accessibility
from tests.e2e.browser import sign_in, until
from tests.support import pdf_bytes, seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau

_DROP = """([name, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type: "application/pdf" }));
  const place = document.querySelector("[data-drop]");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    place.dispatchEvent(new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    made = seed.new_bureau(tmp_path_factory.mktemp("validation") / "home", validation_max_bytes=1 << 20)
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def base(bureau: Bureau) -> Iterator[str]:
    with seed.listening(create_app(bureau.services)) as address:
        yield address


@pytest.fixture
def page(chromium: Browser, base: str) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="zh-CN", reduced_motion="reduce")
    opened = context.new_page()
    sign_in(opened, base, PEOPLE[Role.AUDITOR][0], PASSWORD)
    opened.goto(f"{base}/validation")
    yield opened
    context.close()


def _dropped(page: Page, name: str, content: bytes) -> None:
    page.evaluate(_DROP, [name, base64.b64encode(content).decode()])


def test_a_dropped_file_is_judged_and_the_report_comes(page: Page, bureau: Bureau, tmp_path: Path) -> None:
    services = bureau.services
    signer = PadesSigner(
        services.authority.manifest_key(), services.authority.manifest_certificate, services.clock, services.tsa.token
    )
    _dropped(page, "决定书.pdf", signer.sign_pdf(pdf_bytes.plain(), reason="test"))
    assert page.locator("[data-file-name]").first.inner_text() == "决定书.pdf"
    page.click("#validate")
    page.wait_for_selector(".verdict-good")
    assert page.evaluate(test_accessibility._AUDIT) == []
    with page.expect_download() as given:
        page.click(".validation-report button")
    given.value.save_as(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.go_back()
    until(page, "!document.getElementById('validate').disabled")
    assert not page.is_visible("[data-running]")


def test_too_large_a_file_is_told_before_it_is_sent(page: Page) -> None:
    _dropped(page, "large.pdf", bytes((1 << 20) + 1))
    assert page.is_visible("[data-too-large]")
    assert page.is_disabled("#validate")
    _dropped(page, "small.pdf", b"%PDF-1.7")
    assert not page.is_visible("[data-too-large]")
    assert page.is_enabled("#validate")
