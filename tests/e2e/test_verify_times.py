"""verify.html on a package that the archive built itself, with tokens and anchors of its own authority."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.ledger.entries import OPERATOR
from archive.packages.building import build_package
from archive.packages.verifier import verify_html
from archive.wiring.log_parts import renew_trust_file
from tests.e2e.browser import until
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.outside_tsa import outside_authority
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


def packaged(home: ArchiveHome, to: Path) -> tuple[Path, bytes]:
    """Return the package of a case with one item, and the trust file."""
    case_id = home.case()
    home.deliver(home.dock(), b"footage", "a.mp4", case="昆市监罚〔2026〕1号")
    home.sequence()
    home.services.anchors.anchor()
    made = build_package(home.services.packager, case_id, to, with_renditions=False, by=OPERATOR, purpose="x")
    renew_trust_file(home.path, home.services.trust)
    home.services.close()
    return made.folder, (home.path / "trust.txt").read_bytes()


def checked(page: Page, out: Path, trust: bytes) -> dict:
    page.reload()
    page.set_input_files("#folder", out)
    page.fill("#trust", trust.decode())
    page.click("#start")
    until(page, "['done', 'failed'].includes(document.body.dataset.state)")
    return json.loads(str(page.text_content("#report")))


@pytest.mark.parametrize("is_outside", [False, True], ids=["own", "outside"])
def test_times_are_valid_to_the_page(page: Page, tmp_path: Path, is_outside: bool) -> None:
    (tmp_path / "outside").mkdir()
    with outside_authority(tmp_path / "outside") as tsa:
        given = {"tsa_url": tsa.url, "tsa_ca": tsa.root_path, "tsa_networks": ["127.0.0.0/8"]} if is_outside else {}
        out, trust = packaged(make_home(tmp_path, "", **given), tmp_path / "p")
    assert (b"timestamp-root" in trust) is is_outside
    report = checked(page, out, trust)
    assert outline(report) == outline(by_liuhen(out, trust))
    left = {found["code"] for found in report["findings"] if found["outcome"] != "valid"}
    assert left == {"checkpoint.no_quorum_asked", "package.completeness_not_checked"}
    assert {"timestamp.valid", "anchor.valid"} <= {found["code"] for found in report["findings"]}
    if is_outside:
        swapped = trust.replace(b"\nroot ", b"\ntimestamp-root ")
        assert outline(checked(page, out, swapped)) == outline(by_liuhen(out, swapped))
