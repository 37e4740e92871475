"""Pictures of case files and of the ledger."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened
from tests.support.seed import Bureau
from tests.support.seed_case_files import CLOSED, OPEN, keep_case_files

_FILE = "/cases/{case_id}/file"


def _ledger_address(bureau: Bureau) -> str:
    keep_case_files(bureau)
    return "/ledger"


def _closing(page: Page, bureau: Bureau) -> None:
    opened("move-sub")(page, bureau)
    opened("close-sub")(page, bureau)
    page.fill("#close-sub-inspector", " ")
    page.evaluate("document.querySelector('#close-sub-inspector').removeAttribute('required')")
    page.click("#close-sub button.primary")
    page.wait_for_selector(".fault")


_closed = Place(_FILE, lambda bureau: f"/cases/{keep_case_files(bureau)[CLOSED]}/file")
_open = Place(_FILE, lambda bureau: f"/cases/{keep_case_files(bureau)[OPEN]}/file")
_ledger = Place("/ledger", _ledger_address)

CASE_FILE_SHOTS = (
    Shot("case-file", Role.UNIT_HEAD, _closed),
    Shot("case-file-390", Role.UNIT_HEAD, _closed, width=390, languages=("zh",)),
    Shot("case-file-closing", Role.UNIT_HEAD, _closed, _closing, languages=("zh",), expected="422"),
    Shot("case-file-open", Role.CASE_HANDLER, _open, opened("move-main")),
    Shot("case-file-dark", Role.AUDITOR, _closed, dark=True, languages=("en",)),
    Shot("ledger", Role.SUPERVISOR, _ledger),
    Shot("ledger-390", Role.SUPERVISOR, _ledger, width=390, languages=("zh",)),
)
