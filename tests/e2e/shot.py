"""What one picture of a page is: who looks where, and what is done before."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.support.seed import Bureau

Act = Callable[[Page, Bureau], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A page whose address depends on what the bureau holds: its route, and how to find the address."""

    route: str
    address: Callable[[Bureau], str]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture; `place` is an address that is the same everywhere, or a Place.

    `expected` is a part of what the browser's console says where the page is one that was refused.
    """

    name: str
    role: Role | None
    place: str | Place
    act: Act | None = None
    width: int = 1280
    dark: bool = False
    languages: tuple[str, ...] = ("zh", "en")
    is_whole: bool = True
    expected: str = "-"

    @property
    def route(self) -> str:
        """The route that the picture shows, as the application names it."""
        return self.place.split("?")[0] if isinstance(self.place, str) else self.place.route

    def address(self, bureau: Bureau) -> str:
        """Return where the page stands in this bureau; what it needs to be there is made."""
        return self.place if isinstance(self.place, str) else self.place.address(bureau)


def is_chinese(page: Page) -> bool:
    """Return whether the page speaks Chinese."""
    return page.locator("html").get_attribute("lang") == "zh-Hans"


def said(page: Page, chinese: str, english: str) -> str:
    """Return what a person who reads this page would type."""
    return chinese if is_chinese(page) else english


def opened(panel: str) -> Act:
    """Return what opens a panel."""

    def act(page: Page, _: Bureau) -> None:
        page.click(f"#{panel} > summary")
        page.wait_for_timeout(200)

    return act
