"""Pictures of certificates and seals: the register, one of them, issuing, revoking, what waits, and one's own."""

import itertools

from playwright.sync_api import Page

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.documents.issuing import issue_to_officer
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from tests.e2e.browser import sign_in
from tests.e2e.shot import Place, Shot, opened
from tests.support.certificate_scene import certificates_of_scene
from tests.support.seed import PASSWORD, Bureau

_numbers = itertools.count(1)


def _list_address(bureau: Bureau) -> str:
    certificates_of_scene(bureau)
    return "/certificates"


_list = Place("/certificates", _list_address)
_seal = Place("/certificates/{certificate_id}", lambda bureau: f"/certificates/{certificates_of_scene(bureau)}")


def _issue(page: Page, bureau: Bureau) -> None:
    opened("officer")(page, bureau)
    page.fill("#officer-certificate_number", "01160142")
    page.fill("#officer-passphrase", "Vq3-pL8sWc2tY7hNzR4k")


def _refused(page: Page, bureau: Bureau) -> None:
    opened("officer")(page, bureau)
    page.fill("#officer-certificate_number", "01169999")
    page.fill("#officer-passphrase", "Vq3-pL8sWc2tY7hNzR4k")
    page.click("#officer button.primary")
    page.wait_for_selector(".fault")


def _newest(page: Page, bureau: Bureau) -> None:
    """Open the newest seal, which is in use, and what revoking it asks."""
    del bureau
    page.click("ol.rotation li:last-child a")
    page.wait_for_load_state("networkidle")
    page.click("#revoke > summary")


def _own(page: Page, bureau: Bureau) -> None:
    """Look at the own certificates as an officer who has two."""
    number = f"0117{next(_numbers):04}"
    services, now = bureau.services, bureau.now
    facts = OfficerFacts(number, "王芳", "官渡区综合行政执法局", "关上中队")
    officer_id = record_officer(services.database, facts, by=OPERATOR, at=now())
    create_account(
        services.database, username=f"wf{number}", display_name="王芳", roles=[Role.OFFICER], password=PASSWORD,
        officer_id=officer_id, by=OPERATOR, at=now(),
    )  # fmt: skip
    for _ in range(2):
        issue_to_officer(services.issuer, officer_id, passphrase="a passphrase of a scene", by=OPERATOR, at=now())
    base = str(page.evaluate("location.origin"))
    sign_in(page, base, f"wf{number}", PASSWORD)
    page.goto(f"{base}/account/certificates")
    page.click("#officer > summary")
    page.wait_for_timeout(200)


CERTIFICATE_SHOTS = [
    Shot("certificates", Role.ADMINISTRATOR, _list),
    Shot("certificates-390", Role.ADMINISTRATOR, _list, width=390, languages=("zh",)),
    Shot("certificates-dark", Role.ADMINISTRATOR, _list, dark=True, languages=("zh",)),
    Shot("certificates-issue", Role.ADMINISTRATOR, _list, _issue, is_whole=False),
    Shot("certificates-fault", Role.ADMINISTRATOR, _list, _refused, languages=("zh",), expected="422", is_whole=False),
    Shot("certificate", Role.ADMINISTRATOR, _seal),
    Shot("certificate-390", Role.ADMINISTRATOR, _seal, width=390, languages=("zh",)),
    Shot("certificate-revoke", Role.ADMINISTRATOR, _seal, _newest),
    Shot("account-certificates", None, "/account/certificates", _own),
]
