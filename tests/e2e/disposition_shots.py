"""Pictures of disposition: lists, a dry run, deciding, the recovery period, what was destroyed."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened
from tests.support.seed import Bureau
from tests.support.seed_dispositions import dispose_of_some


def _address(path: str) -> Place:
    def address(bureau: Bureau) -> str:
        dispose_of_some(bureau)
        return path

    return Place(path.partition("?")[0], address)


def _list(name: str) -> Place:
    return Place("/dispositions/{list_id}", lambda bureau: f"/dispositions/{dispose_of_some(bureau)[name]}")


def _tombstone_address(bureau: Bureau) -> str:
    dispose_of_some(bureau)
    return f"/tombstones/{bureau.items['destroyed']}"


_tombstone = Place("/tombstones/{object_id}", _tombstone_address)


def _wrong(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#appraise > summary")
    page.select_option("#appraise-opinion", "keep")
    page.fill("#appraise-words", "仍有查考价值")
    page.fill("#appraise-strike", "1, 99")
    page.fill("#appraise-strike_reason", "仍有查考价值")
    page.fill("#appraise-password", "not the password")
    page.click("#appraise button.primary")
    page.wait_for_selector(".fault")


DISPOSITION_SHOTS = (
    Shot("dispositions", Role.RECORDS_MANAGER, _address("/dispositions")),
    Shot("dispositions-ended", Role.AUDITOR, _address("/dispositions?which=ended")),
    Shot("disposition-new", Role.RECORDS_MANAGER, _address("/dispositions/new"), opened("propose")),
    Shot("disposition-new-390", Role.RECORDS_MANAGER, _address("/dispositions/new"), width=390, languages=("zh",)),
    Shot("disposition-appraised", Role.LEGAL_REVIEWER, _list("proposed"), opened("appraise")),
    Shot("disposition-fault", Role.LEGAL_REVIEWER, _list("proposed"), _wrong, expected="422"),
    Shot("disposition-waiting", Role.UNIT_HEAD, _list("waiting"), opened("withdraw")),
    Shot("disposition-waiting-390", Role.UNIT_HEAD, _list("waiting"), width=390, languages=("zh",)),
    Shot("disposition-certified", Role.AUDITOR, _list("certified")),
    Shot("disposition-certified-390", Role.AUDITOR, _list("certified"), width=390, languages=("zh",)),
    Shot("disposition-certified-dark", Role.AUDITOR, _list("certified"), dark=True, languages=("zh",)),
    Shot("tombstone", None, _tombstone),
    Shot("tombstone-390", None, _tombstone, width=390, languages=("zh",)),
)
