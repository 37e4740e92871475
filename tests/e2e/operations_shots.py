"""Pictures of what keeps the archive going: capacity, a dock's limits, what waits at docks."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot
from tests.support.seed import Bureau
from tests.support.seed_operations import announce_work


def _capacity_address(bureau: Bureau) -> str:
    announce_work(bureau)
    return "/admin/capacity"


def _waiting_address(bureau: Bureau) -> str:
    announce_work(bureau)
    return "/waiting"


def _bad_limit(page: Page, bureau: Bureau) -> None:
    del bureau
    page.fill("#limits-bytes_per_day", "viel")
    page.click("button.primary")
    page.wait_for_selector(".fault")


_capacity = Place("/admin/capacity", _capacity_address)
_waiting = Place("/waiting", _waiting_address)
_dock = Place("/admin/docks/{dock_id}", lambda bureau: f"/admin/docks/{announce_work(bureau)}")

OPERATIONS_SHOTS = (
    Shot("capacity", Role.ADMINISTRATOR, _capacity),
    Shot("capacity-390", Role.OPERATOR, _capacity, width=390, languages=("zh",)),
    Shot("dock", Role.ADMINISTRATOR, _dock),
    Shot("dock-fault", Role.ADMINISTRATOR, _dock, _bad_limit, languages=("zh",), expected="422"),
    Shot("waiting", Role.SUPERVISOR, _waiting),
    Shot("waiting-390", Role.UNIT_HEAD, _waiting, width=390, languages=("zh",)),
)
