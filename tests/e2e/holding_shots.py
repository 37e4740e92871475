"""Pictures of holds and of things that are kept."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened
from tests.support.seed import Bureau
from tests.support.seed_holds import place_holds


def _holds_address(bureau: Bureau) -> str:
    place_holds(bureau)
    return "/holds"


def _of(route: str, things: str, name: str) -> Place:
    def address(bureau: Bureau) -> str:
        place_holds(bureau)
        return route.partition("{")[0] + str(getattr(bureau, things)[name])

    return Place(route, address)


_holds = Place("/holds", _holds_address)
_hold = Place("/holds/{hold_id}", lambda bureau: f"/holds/{place_holds(bureau)['lawsuit']}")
_item = _of("/items/{object_id}", "items", "video")
_case = _of("/cases/{case_id}", "cases", "main")


def _query(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#new-hold > summary")
    page.check("input[name=scope][value=query]")
    page.select_option("#hold-kind", "footage")
    with page.expect_response(lambda answer: answer.url.endswith("/holds/preview")):
        page.select_option("#hold-category", "penalty")
    page.wait_for_selector(".hold-count strong")
    page.wait_for_timeout(300)


def _fault(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#new-hold > summary")
    page.fill("#hold-case", "官综执罚〔2026〕第310号")
    page.fill("#hold-authority", "官渡区人民法院应诉通知书")
    page.fill("#hold-reason", "行政诉讼")
    page.fill("#hold-review_on", "2030-01-01")
    page.click("#new-hold button.primary")
    page.wait_for_selector(".fault")


def _kept(page: Page, bureau: Bureau) -> None:
    del bureau
    page.locator("#keeping").scroll_into_view_if_needed()
    page.click("#keeping details.panel >> nth=0 >> summary")
    page.wait_for_timeout(200)


HOLDING_SHOTS = (
    Shot("holds", Role.RECORDS_MANAGER, _holds),
    Shot("holds-query", Role.RECORDS_MANAGER, _holds, _query),
    Shot("holds-fault", Role.RECORDS_MANAGER, _holds, _fault, expected="422"),
    Shot("holds-390", Role.RECORDS_MANAGER, _holds, width=390),
    Shot("hold", Role.RECORDS_MANAGER, _hold),
    Shot("hold-release", Role.LEGAL_REVIEWER, _hold, opened("release")),
    Shot("hold-390", Role.UNIT_HEAD, _hold, opened("review"), width=390, languages=("zh",)),
    Shot("hold-dark", Role.RECORDS_MANAGER, _hold, dark=True, languages=("zh",)),
    Shot("item-held", Role.UNIT_HEAD, _item, _kept),
    Shot("case-held", Role.UNIT_HEAD, _case, _kept),
)
