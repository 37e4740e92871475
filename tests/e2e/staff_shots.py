"""Pictures of people as a bureau keeps them: officers, reviewers and lawyers, sheets, clearances."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened
from tests.support import seed, staff_scene
from tests.support.seed import Bureau


def _sheets_address(bureau: Bureau) -> str:
    seed.organise(bureau)
    return "/admin/officers/sheets"


def _legal_address(bureau: Bureau) -> str:
    staff_scene.officer_of_scene(bureau)
    return "/admin/legal-staff"


_sheets = Place("/admin/officers/sheets", _sheets_address)
_officer = Place(
    "/admin/officers/{officer_id}", lambda bureau: f"/admin/officers/{staff_scene.officer_of_scene(bureau)}"
)
_legal_staff = Place("/admin/legal-staff", _legal_address)
_legal_person = Place("/admin/legal-staff/{staff_id}", staff_scene.legal_person_of_scene)
_cleared = Place("/admin/accounts/{account_id}", staff_scene.cleared_account_of_scene)
_case = Place("/cases/{case_id}", lambda bureau: f"/cases/{bureau.cases['main']}")


def _try_sheet(page: Page, bureau: Bureau) -> None:
    del bureau
    rows = ["执法证号,姓名,执法机关,机构,有效期止", "01160117,李晓东,1,关上中队,2028-06-30", "01160160,赵磊,1,太和中队,2029年6月30日",
            "01160161,钱芳,1,城南中队,", "01160162,孙丽,1,太和中队,2029-13-01", "01160160,赵磊,1,太和中队,"]  # fmt: skip
    page.set_input_files(
        "#sheet-file", {"name": "名册.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}
    )
    page.click(".sheet-form button.primary")
    page.wait_for_selector("#results-of-sheet")


STAFF_SHOTS = [
    Shot("admin-officers-sheets", Role.ADMINISTRATOR, _sheets),
    Shot("admin-officers-sheet", Role.ADMINISTRATOR, _sheets, _try_sheet),
    Shot("admin-officer", Role.ADMINISTRATOR, _officer),
    Shot("admin-officer-change", Role.ADMINISTRATOR, _officer, opened("officer"), languages=("zh",)),
    Shot("admin-officer-record", Role.ADMINISTRATOR, _officer, opened("record"), languages=("zh",)),
    Shot("admin-officer-390", Role.ADMINISTRATOR, _officer, width=390, languages=("zh",)),
    Shot("admin-legal-staff", Role.ADMINISTRATOR, _legal_staff),
    Shot("admin-legal-person", Role.ADMINISTRATOR, _legal_person),
    Shot("admin-account-cleared", Role.ADMINISTRATOR, _cleared, opened("clearance")),
    Shot("case-move", Role.UNIT_HEAD, _case, opened("move"), languages=("zh",)),
]
