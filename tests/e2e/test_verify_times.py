"""verify.html on a package that the archive built itself, with tokens and anchors of its own authority."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.ledger.entries import OPERATOR
from archive.packages.building import build_package
from archive.packages.verifier import verify_html
from tests.e2e.browser import until
from tests.support.archive_home import make_home
from tests.support.package_faults import by_liuhen, outline

pytestmark = pytest.mark.e2e


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    place = tmp_path / "verify.html"
    place.write_bytes(verify_html())
    context = chromium.new_context(offline=True, locale="en-GB")
    opened = context.new_page()
    opened.goto(place.as_uri())
    yield opened
    context.close()


def test_times_are_valid_to_the_page(page: Page, tmp_path: Path) -> None:

    home = make_home(tmp_path, "")
    case_id = home.case()
    home.deliver(home.dock(), b"footage", "a.mp4", case="昆市监罚〔2026〕1号")
    home.sequence()
    home.services.anchors.anchor()
    out = build_package(
        home.services.packager, case_id, tmp_path / "p", with_renditions=False, by=OPERATOR, purpose="x"
    ).folder
    trust = (home.path / "trust.txt").read_bytes()
    home.services.close()
    page.set_input_files("#folder", out)
    page.fill("#trust", trust.decode())
    page.click("#start")
    until(page, "['done', 'failed'].includes(document.body.dataset.state)")
    report = json.loads(str(page.text_content("#report")))
    assert outline(report) == outline(by_liuhen(out, trust))
    left = {found["code"] for found in report["findings"] if found["outcome"] != "valid"}
    assert left == {"checkpoint.no_quorum_asked", "package.completeness_not_checked"}
    assert {"timestamp.valid", "anchor.valid"} <= {found["code"] for found in report["findings"]}
