"""Pictures of validating signatures: any file, a record of the archive, trust lists, the code on a paper."""

from urllib.parse import quote

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, said
from tests.support.seed import Bureau
from tests.support.signing_scene import code_of_scene, decision_of_scene, pdf_of_scene


def _record_address(bureau: Bureau) -> str:
    return f"/records/{decision_of_scene(bureau)}"


def _judge_record(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#validate-own")
    page.wait_for_selector(".verdict")


def _judge(page: Page, name: str, content: bytes) -> None:
    page.set_input_files("#validation-file", {"name": name, "mimeType": "application/pdf", "buffer": content})
    page.click("#validate")
    page.wait_for_selector(".verdict")


def _judge_changed(page: Page, bureau: Bureau) -> None:
    name = said(page, "行政处罚决定书（改动过的副本）.pdf", "decision (a changed copy).pdf")
    pdf = pdf_of_scene(bureau)
    at = pdf.index(b"/MediaBox")
    place = pdf.index(b"595", at)
    _judge(page, name, pdf[:place] + b"596" + pdf[place + 3 :])


def _choose_none(page: Page, bureau: Bureau) -> None:
    del bureau
    page.evaluate("document.getElementById('validation').noValidate = true")
    page.click("#validate")
    page.wait_for_selector(".fault:not([hidden])")


def _code_address(bureau: Bureau) -> str:
    return f"/validation/code?code={quote(code_of_scene(bureau))}"


def _other_code_address(bureau: Bureau) -> str:
    code = code_of_scene(bureau)
    return f"/validation/code?code={quote(code[:-8] + '00000000')}"


_judgement = Place("/validation/{judgement_id}", lambda _: "/validation")
_own = Place("/validation/{judgement_id}", _record_address)
_code = Place("/validation/code", _code_address)
_other_code = Place("/validation/code", _other_code_address)

VALIDATION_SHOTS = [
    Shot("validation", Role.AUDITOR, "/validation"),
    Shot("validation-fault", Role.CASE_HANDLER, "/validation", _choose_none, expected="422"),
    Shot("validation-390", Role.AUDITOR, "/validation", width=390, languages=("zh",)),
    Shot("validation-valid", Role.SUPERVISOR, _own, _judge_record),
    Shot("validation-valid-390", Role.SUPERVISOR, _own, _judge_record, width=390, languages=("zh",)),
    Shot("validation-valid-dark", Role.SUPERVISOR, _own, _judge_record, dark=True, languages=("zh",)),
    Shot("validation-invalid", Role.SUPERVISOR, _judgement, _judge_changed),
    Shot("validation-code", Role.SUPERVISOR, _code),
    Shot("validation-code-other", Role.SUPERVISOR, _other_code),
    Shot("admin-trust", Role.ADMINISTRATOR, "/admin/trust"),
    Shot("admin-trust-390", Role.ADMINISTRATOR, "/admin/trust", width=390, languages=("zh",)),
]
