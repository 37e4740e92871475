"""A text record from its template to the case, in a real browser: written, signed by the party and two officers, sealed."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.custody.events import preserved_object
from archive.documents.templates import example_of, shipped_templates
from archive.kernel.ids import CaseId, ObjectId
from archive.web.app import create_app
from tests.e2e.browser import sign_in, until
from tests.e2e.test_journey import opened
from tests.support import document_judges as judges
from tests.support import seed, seed_records
from tests.support.seed import PASSWORD, Bureau
from tests.support.seed_records import KEY_PASSPHRASE, Signers

pytestmark = pytest.mark.e2e

_SAVED = "document.querySelector('#draft-state')?.dataset.revision === '{}'"


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """A bureau with a case whose inspection was recorded."""
    made = seed.new_bureau(tmp_path_factory.mktemp("records") / "home")
    seed.name_first_agency(made.services.database, "云岭市市场监督管理局", at=made.now())
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def signers(bureau: Bureau) -> Signers:
    return seed_records.make_signers(bureau)


@pytest.fixture
def case_id(bureau: Bureau, signers: Signers) -> CaseId:
    """A case of one test's own, whose inspection was recorded with both officers."""
    del signers
    made = open_case(
        bureau.services.database,
        bureau.services.identifiers,
        number=f"云市监罚〔2026〕第{secrets.token_hex(3)}号",
        title="云岭市青石食品有限公司涉嫌经营超过保质期的食品案",
        category=Category.PENALTY,
        subject=NewSubject("云岭市青石食品有限公司", SubjectKind.ORGANISATION),
        by=bureau.people[Role.CASE_HANDLER],
        at=bureau.now(),
    )
    seed_records.record_inspection(bureau, made)
    return made


@pytest.fixture(scope="module")
def base(bureau: Bureau) -> Iterator[str]:
    with seed.listening(create_app(bureau.services)) as address:
        yield address


@contextlib.contextmanager
def _at_desk(chromium: Browser, base: str, username: str, *, language: str = "zh-CN") -> Iterator[Page]:
    """Give the desk of somebody who has signed in; the console of the browser stays silent."""
    with opened(chromium, language=language) as (page, complaints):
        sign_in(page, base, username, PASSWORD)
        yield page
        assert not complaints


def _begin(page: Page, base: str, case_id: CaseId, template: str) -> str:
    """Choose a template for the case's inspection; return the address of the form."""
    page.goto(f"{base}/cases/{case_id}")
    page.click(f"a[href='/cases/{case_id}/drafts/new']")
    page.check(f".template-option:has-text('{shipped_templates()[template].title.zh}') input >> nth=0")
    page.select_option("#-act_id", index=1)
    page.click("form.new-draft button.primary")
    page.wait_for_selector("#draft-form")
    return page.url


def _fill(page: Page, code: str) -> None:
    """Write the worked example of a template into its form, as a person does: field by field."""
    for name, value in example_of(code).items():
        match value:
            case dict():
                for part, text in value.items():
                    page.fill(f"[name='v.{name}.{part}']", text)
            case list():
                for number, line in enumerate(value):
                    if page.locator(f"[name^='v.{name}.{number}.']").count() == 0:
                        page.click(f"[data-line-more={name}]")
                    for part, text in line.items():
                        page.fill(f"[name='v.{name}.{number}.{part}']", str(text))
            case bool():
                page.select_option(f"[name='v.{name}']", "yes" if value else "no")
            case _ if page.locator(f"select[name='v.{name}']").count():
                page.select_option(f"[name='v.{name}']", value)
            case _:
                page.fill(f"[name='v.{name}']", str(value).strip())


def _sign_by_hand(page: Page, place: str) -> None:
    """Draw two strokes on the pad with the pointer."""
    page.click(f"#hand-{place} > summary")
    page.check(f"#hand-{place} input[name=has_read]")
    pad = page.locator(f"#hand-{place} canvas")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    for x, y in ((40, 40), (120, 30)):
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        for step in range(12):
            page.mouse.move(box["x"] + x + 6 * step, box["y"] + y + 5 * step)
        page.mouse.up()
    page.click(f"#hand-{place} button.primary")
    page.wait_for_load_state()


def _sign_with_key(page: Page, place: str, key: Path) -> None:
    page.click(f"[id='sign-{place}'] > summary")
    page.set_input_files(f"[id='sign-{place}-file']", key)
    page.fill(f"[id='sign-{place}-passphrase']", KEY_PASSPHRASE)
    page.click(f"[id='sign-{place}'] button.primary")
    page.wait_for_load_state()


def _filed(bureau: Bureau, object_id: ObjectId) -> bytes:
    """The record as it is preserved."""
    with bureau.services.database.read() as tx:
        path = preserved_object(tx, object_id).content_path
    with bureau.services.objects.open_file(object_id, path) as file:
        return file.read()


def _close_file(page: Page, base: str, case_id: CaseId) -> None:
    """Close the case as of today, then its main volume."""
    page.goto(f"{base}/cases/{case_id}")
    page.click(f"a[href='/cases/{case_id}/file'] >> nth=0")
    page.click("#case > summary")
    page.click("#case button.primary")
    page.wait_for_load_state()
    page.click("#close-main > summary")
    page.fill("#close-main-inspector", "杨国栋")
    page.click("#close-main button.primary")
    page.wait_for_load_state()


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
def test_written_signed_by_hand_and_by_two_officers_filed_and_bound_in_a_closed_case_file(
    chromium: Browser, bureau: Bureau, signers: Signers, base: str, tmp_path: Path, language: str, case_id: CaseId
) -> None:
    with _at_desk(chromium, base, "zhang", language=language) as page:
        address = _begin(page, base, case_id, "inspection_record")
        assert page.input_value("[name='v.place']") == "云岭市文昌区石桥路118号"  # of the act
        assert page.locator(".found-invalid").count() > 1
        _fill(page, "inspection_record")
        until(page, "document.querySelector('#draft-state')?.dataset.revision > 1", timeout_s=30)
        page.wait_for_selector(".found-invalid", state="detached")
        page.reload()  # nothing that was written is lost
        assert "山禾" in page.input_value("[name='v.findings']")
        page.click("#draft-form button.primary")
        page.wait_for_selector(".step-due")
        _sign_by_hand(page, "party")
        _sign_with_key(page, "officer.1", signers.file_of("zhang", tmp_path))
    with _at_desk(chromium, base, "chen", language=language) as page:
        page.goto(address)
        _sign_with_key(page, "officer.2", signers.file_of("chen", tmp_path))
        assert page.url.split("?")[0] == address.replace("/drafts/", "/records/")
        assert page.locator("tr:has-text('张明远')").count() >= 1
    pdf = _filed(bureau, ObjectId(UUID(address.rpartition("/")[2])))
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 3
    assert judges.qpdf(pdf, tmp_path).returncode == 0
    seed.work(bureau)  # the pages of what was filed are counted
    with _at_desk(chromium, base, "head", language=language) as page:
        _close_file(page, base, case_id)
    seed.work(bureau)
    with _at_desk(chromium, base, "head", language=language) as page:
        page.goto(f"{base}/cases/{case_id}/file")
        assert page.locator(".volume-chips .chip-good").count() == 1
        with page.expect_download() as cover:
            page.click("a[href$='/cover.pdf']")
        assert judges.pdfsig(cover.value.path().read_bytes(), tmp_path).count("Signature is Valid") == 1


def test_two_at_one_draft_overwrite_nothing(chromium: Browser, base: str, case_id: CaseId) -> None:
    with _at_desk(chromium, base, "zhang") as mine, _at_desk(chromium, base, "handler") as theirs:
        address = _begin(mine, base, case_id, "questioning_record")
        theirs.goto(address)
        mine.fill("[name='v.relation']", "店长")
        until(mine, _SAVED.format(2))
        theirs.fill("[name='v.relation']", "法定代表人")
        theirs.wait_for_selector("#draft-state .alert-bad")
        assert theirs.input_value("[name='v.relation']") == "法定代表人"
        theirs.reload()
        assert theirs.input_value("[name='v.relation']") == "店长"


def test_a_sentence_of_the_guide_goes_into_the_next_question(chromium: Browser, base: str, case_id: CaseId) -> None:
    with _at_desk(chromium, base, "zhang") as page:
        _begin(page, base, case_id, "questioning_record")
        page.click("#f-dialogue .guide > summary")
        for number in range(2):
            page.click(f"#f-dialogue .guide li:nth-child({number + 1}) button")
        assert "回避" in page.input_value("[name='v.dialogue.0.question']")
        assert "基本情况" in page.input_value("[name='v.dialogue.1.question']")
        until(page, "document.querySelector('#draft-state').dataset.revision > 1")


def test_a_party_refuses_and_several_are_sealed_under_one_approval(
    chromium: Browser, bureau: Bureau, signers: Signers, base: str, tmp_path: Path, case_id: CaseId
) -> None:
    addresses = []
    for code in ("preservation_notice", "preservation_list"):
        draft_id = seed_records.begin(bureau, case_id, code, code)
        addresses.append(f"{base}/drafts/{seed_records.set_record(bureau, draft_id)}")
    with _at_desk(chromium, base, "zhang") as page:
        page.goto(addresses[1])
        page.click("#refuse-party > summary")
        page.fill("#refuse-party-reason", "认为数量不符")
        page.fill("#refuse-party-witness", "周大明")
        page.click("#refuse-party button.danger")
        page.wait_for_load_state()
        assert page.locator(".step-done .chip-warn").count() == 1
        for address in addresses:
            page.goto(address)
            _sign_with_key(page, "officer.1", signers.file_of("zhang", tmp_path))
    with _at_desk(chromium, base, "chen") as page:
        for address in addresses:
            page.goto(address)
            _sign_with_key(page, "officer.2", signers.file_of("chen", tmp_path))
    with _at_desk(chromium, base, "head") as page:
        page.goto(f"{base}/seals")
        for box in page.locator("input[name=record]").all():
            box.check()
        page.fill("#-approval", "审批单 2026-118，局长批准")
        page.click("form[action='/seals'] button.primary")
        page.wait_for_selector(".alert-note")
        for address in addresses:
            page.goto(address)
            assert "/records/" in page.url
            assert page.locator("td:has-text('加盖电子印章')").count() >= 1
