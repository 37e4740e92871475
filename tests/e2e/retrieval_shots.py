"""Pictures of retrieval: asked for, decided, opened in an emergency, and the trace."""

from pathlib import Path

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.browser import until
from tests.e2e.shot import Place, Shot, opened, said
from tests.support.retrievals import make_retrievals
from tests.support.seed import Bureau

_MADE: set[Path] = set()


def _place(route: str, address: str = "") -> Place:
    def made(bureau: Bureau) -> str:
        if bureau.services.settings.home not in _MADE:
            make_retrievals(bureau)
            _MADE.add(bureau.services.settings.home)
        known = {"secret": bureau.items["long"], "record": bureau.records["inspection"]}
        return (address or route).format(**known, video=bureau.items["video"])

    return Place(route, made)


def _ending(page: Page, bureau: Bureau) -> None:
    """Show the line that a grant ends soon."""
    del bureau
    page.fill("#play-purpose", said(page, "案件办理", "Case handling"))
    page.fill("#play-reference", said(page, "任务 1", "Task 1"))
    page.click("button.play")
    page.wait_for_selector("[data-player] video")
    until(page, "document.querySelector('video').readyState > 1")
    page.evaluate("document.querySelector('video').pause()")
    page.evaluate("document.querySelector('[data-grant]').dataset.leftS = '420'")
    page.wait_for_selector("[data-ending]:not([hidden])")
    page.evaluate("document.querySelector('[data-grant]').scrollIntoView({block: 'center'})")


_REQUESTS = _place("/retrievals")
_DECIDING = _place("/retrievals", "/retrievals?which=deciding")
_TRACE = _place("/trace")
_ACCESSES, _COPIES, _UNUSUAL = (
    _place("/trace", f"/trace?which={which}") for which in ("accesses", "copies", "unusual")
)
_SECRET = _place("/items/{object_id}", "/items/{secret}")
_VIDEO = _place("/items/{object_id}", "/items/{video}")
_RECORD = _place("/records/{object_id}", "/records/{record}")

RETRIEVAL_SHOTS = [
    Shot("retrievals", Role.CASE_HANDLER, _REQUESTS),
    Shot("retrievals-390", Role.CASE_HANDLER, _REQUESTS, width=390, languages=("zh",)),
    Shot("retrievals-deciding", Role.UNIT_HEAD, _DECIDING),
    Shot("retrievals-deciding-390", Role.UNIT_HEAD, _DECIDING, width=390, languages=("zh",)),
    Shot("trace", Role.CASE_HANDLER, _TRACE),
    Shot("trace-accesses", Role.AUDITOR, _ACCESSES, is_whole=False),
    Shot("trace-copies", Role.AUDITOR, _COPIES, is_whole=False),
    Shot("trace-unusual", Role.AUDITOR, _UNUSUAL, is_whole=False),
    Shot("trace-390", Role.AUDITOR, _ACCESSES, is_whole=False, width=390, languages=("zh",)),
    Shot("item-approval", Role.SUPERVISOR, _SECRET),
    Shot("item-approval-390", Role.SUPERVISOR, _SECRET, width=390, languages=("zh",)),
    Shot("item-waiting", Role.CASE_HANDLER, _SECRET),
    Shot("item-ending", Role.SUPERVISOR, _VIDEO, _ending, is_whole=False),
    Shot("record-copies", Role.CASE_HANDLER, _RECORD, opened("export")),
]
