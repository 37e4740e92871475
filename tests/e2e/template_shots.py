"""Pictures of templates: the list, the editor with its preview, a version in force."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened
from tests.support.seed import Bureau
from tests.support.template_scene import templates_of_scene


def _list_address(bureau: Bureau) -> str:
    templates_of_scene(bureau)
    return "/templates"


def _place(which: str) -> Place:
    return Place("/templates/{template_id}", lambda bureau: f"/templates/{templates_of_scene(bureau)[which]}")


_list = Place("/templates", _list_address)
_new = Place("/templates/new", lambda bureau: f"/templates/new?of={templates_of_scene(bureau)['shipped']}")


def _seen(page: Page, bureau: Bureau) -> None:
    del bureau
    page.wait_for_selector("#preview .paper-page")
    page.wait_for_timeout(400)


def _with_faults(page: Page, bureau: Bureau) -> None:
    """Break the text in three places."""
    _seen(page, bureau)
    text = page.input_value("#text-text")
    text = text.replace('layout = "record"', 'layout = "poster"').replace('kind = "place"', 'kind = "planet"', 1)
    text = text.replace("required = false", "requisite = false", 1)
    page.fill("#text-text", text)
    page.wait_for_selector("#preview .fault-list")
    page.click("#preview .line-link >> nth=0")
    page.wait_for_timeout(300)


def _filing(page: Page, bureau: Bureau) -> None:
    _seen(page, bureau)
    opened("filing")(page, bureau)


TEMPLATE_SHOTS = [
    Shot("templates", Role.ADMINISTRATOR, _list),
    Shot("templates-390", Role.ADMINISTRATOR, _list, width=390, languages=("zh",)),
    Shot("templates-handler", Role.CASE_HANDLER, _list, languages=("zh",)),
    Shot("template-editor", Role.ADMINISTRATOR, _place("draft"), _seen),
    Shot("template-faults", Role.ADMINISTRATOR, _new, _with_faults, is_whole=False, expected="422"),
    Shot("template", Role.ADMINISTRATOR, _place("filed"), _seen),
    Shot("template-filing", Role.ADMINISTRATOR, _place("shipped"), _filing, languages=("zh",), is_whole=False),
    Shot("template-dark", Role.CASE_HANDLER, _place("filed"), _seen, dark=True, languages=("zh",), is_whole=False),
]
