"""Pictures of retention schedules: the versions, the editor, comparing, what would change."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.browser import until
from tests.e2e.shot import Place, Shot, opened
from tests.support.seed import Bureau
from tests.support.seed_schedules import keep_schedules


def _schedules_address(bureau: Bureau) -> str:
    keep_schedules(bureau)
    return "/schedules"


def _of(name: str, part: str = "") -> Place:
    return Place(f"/schedules/{{schedule_id}}{part}", lambda bureau: f"/schedules/{keep_schedules(bureau)[name]}{part}")


def _trial_address(bureau: Bureau) -> str:
    made = keep_schedules(bureau)
    return f"/schedules/{made['written']}/trials/{made['trial']}"


def _add_rule(page: Page, bureau: Bureau) -> None:
    """Add a row, and wait for what the checks say of it."""
    del bureau
    page.click("button[value=add]")
    until(page, "document.querySelectorAll('.rule-row').length === 8 && document.querySelector('#checks .alert-bad')")
    page.wait_for_timeout(300)


def _bad_rule(page: Page, bureau: Bureau) -> None:
    del bureau
    page.fill("#rules-title", "保管期限表")
    page.fill("#rules-r0-code", "Evidence")
    page.fill("#rules-r3-months", "三十")
    page.click(".save-line button.primary")
    page.wait_for_selector(".fault")
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")


_schedules = Place("/schedules", _schedules_address)
_trial = Place("/schedules/{schedule_id}/trials/{trial_id}", _trial_address)
_shipped = Place("/schedules/shipped/{name}", lambda _: "/schedules/shipped/default")

SCHEDULE_SHOTS = (
    Shot("schedules", Role.RECORDS_MANAGER, _schedules),
    Shot("schedules-390", Role.AUDITOR, _schedules, width=390, languages=("zh",)),
    Shot("schedule-shipped", Role.AUDITOR, _shipped),
    Shot("schedule", Role.AUDITOR, _of("held")),
    Shot("schedule-force", Role.RECORDS_MANAGER, _of("written"), opened("force")),
    Shot("schedule-force-390", Role.RECORDS_MANAGER, _of("written"), width=390, languages=("en",)),
    Shot("schedule-editor", Role.RECORDS_MANAGER, _of("written", "/draft"), is_whole=False),
    Shot(
        "schedule-editor-390",
        Role.RECORDS_MANAGER,
        _of("written", "/draft"),
        width=390,
        languages=("zh",),
        is_whole=False,
    ),
    Shot("schedule-new", Role.RECORDS_MANAGER, "/schedules/new", _add_rule, is_whole=False),
    Shot("schedule-new-fault", Role.RECORDS_MANAGER, "/schedules/new", _bad_rule, expected="422", is_whole=False),
    Shot("schedule-comparison", Role.AUDITOR, _of("written", "/comparison")),
    Shot("schedule-trial", Role.RECORDS_MANAGER, _trial),
    Shot("schedule-trial-dark", Role.RECORDS_MANAGER, _trial, dark=True, languages=("zh",)),
    Shot("schedule-trial-390", Role.RECORDS_MANAGER, _trial, width=390, languages=("zh",)),
)
