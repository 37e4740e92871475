"""Every page, light and dark: names for what can be pressed, labels for fields, contrast, nothing too wide."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page

from archive.access.policy import Role
from archive.documents.template_register import shipped_versions
from archive.evidence.recordings import recording_of
from archive.web.app import create_app
from tests.e2e.browser import sign_in
from tests.e2e.record_shots import records_of
from tests.support import seed
from tests.support.certificate_scene import certificates_of_scene
from tests.support.seed import PASSWORD, PEOPLE, Bureau
from tests.support.seed_office import keep_devices, take_complaints
from tests.support.seed_schedules import keep_schedules

pytestmark = pytest.mark.e2e
_LONG = pytest.mark.long("every page once more")

# Source: WCAG 2.2, success criteria 1.1.1, 1.4.3, 2.4.2, 3.1.1, 3.3.2, 4.1.2; parsing of ids.
_AUDIT = r"""
() => {
  const found = [];
  const told = (element) => element.outerHTML.slice(0, 120);
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const ids = new Map();
  for (const element of document.querySelectorAll("[id]")) ids.set(element.id, (ids.get(element.id) ?? 0) + 1);
  for (const [id, count] of ids) if (count > 1) found.push(`id ${id} stands ${count} times`);
  for (const label of document.querySelectorAll("label[for]"))
    if (!document.getElementById(label.htmlFor)) found.push(`label without field: ${told(label)}`);
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!field.labels?.length && !field.getAttribute("aria-label")) found.push(`field without label: ${told(field)}`);
  for (const element of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
    for (const name of ["aria-describedby", "aria-labelledby"])
      for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) found.push(`${name} leads to nothing: ${told(element)}`);
  for (const element of document.querySelectorAll("a[href], button, summary"))
    if (!(element.textContent.trim() || element.getAttribute("aria-label"))) found.push(`no name: ${told(element)}`);
  for (const image of document.querySelectorAll("img")) if (!image.alt) found.push(`no alt: ${told(image)}`);
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  if (!document.documentElement.lang) found.push("no lang");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");

  const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { r: parts[0], g: parts[1], b: parts[2], a: parts.length > 3 ? parts[3] : 1 };
  };
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a), a: 1,
  });
  const ground = (element) => {
    if (!element) return { r: 255, g: 255, b: 255, a: 1 };
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.a === 1 ? own : over(own, ground(element.parentElement));
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !visible(element) || element.closest(".sr, option, [disabled], script")) continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    const [one, two] = [light(over(parse(style.color), under)), light(under)].sort((x, y) => y - x);
    const ratio = (one + 0.05) / (two + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) found.push(`contrast ${ratio.toFixed(2)}: ${told(element)}`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push("wider than the screen");
  return found;
}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Bureau]]:
    folder = tmp_path_factory.mktemp("scene")
    bureau = seed.new_bureau(folder / "home", cn_profile=True)
    seed.make_scene(bureau, folder / "media")
    seed.connect_systems(bureau)
    take_complaints(bureau)
    keep_devices(bureau)
    with seed.listening(create_app(bureau.services)) as base:
        yield base, bureau
    bureau.services.close()


def _draft(draft_id: UUID) -> str:
    return f"/drafts/{draft_id}"


def _addresses(bureau: Bureau) -> dict[Role, list[str]]:
    items = [f"/items/{item}" for item in bureau.items.values()]
    shared = [
        "/",
        "/unlinked",
        "/items",
        "/search",
        "/search?q=检查&place=官渡",
        f"/cases/{bureau.cases['main']}",
        *items,
    ]
    case, records = f"/cases/{bureau.cases['main']}", records_of(bureau)
    record = f"/records/{bureau.records['seizure']}"
    subject = f"/subjects/{bureau.subjects['官渡区阿明烧烤店']}"
    merge = f"{subject}/merge?other={bureau.subjects['阿明烧烤']}"
    with bureau.services.database.read() as tx:
        recording = recording_of(tx, bureau.items["clip1"])
    assert recording is not None
    office = [
        *("/complaints", f"/complaints?case={bureau.cases['main']}", f"/complaints/{bureau.complaints['said']}"),
        *(f"/cases/{bureau.cases['main']}/file", "/ledger"),
        *("/devices", f"/devices/{keep_devices(bureau)['BWC-0117']}"),
        f"/recordings/{recording.recording.id}",
    ]
    schedules = keep_schedules(bureau)
    written = f"/schedules/{schedules['written']}"
    proofs = [f"/objects/{bureau.items['video']}/entries", f"/cases/{bureau.cases['main']}/proofs"]
    return {
        Role.SUPERVISOR: [
            *(*shared, record, "/subjects", subject, merge, "/upload", "/nowhere"),
            *(*office, "/notices", "/account", "/account/notices"),
        ],
        Role.AUDITOR: [items[0], record, subject, "/log", "/log/health", *proofs, "/validation", "/validation/code"],
        Role.CASE_HANDLER: [
            f"{case}/drafts/new",
            f"{case}/drafts/new?amends={records['filed']}",
            *map(_draft, records.values()),
        ],
        Role.UNIT_HEAD: [
            case,
            "/retrievals?which=deciding",
            "/trace?which=unusual",
            "/seals",
            _draft(records["sealed"]),
        ],
        Role.RECORDS_MANAGER: [
            *("/schedules", "/schedules/shipped/default", "/schedules/new", f"/schedules/{schedules['held']}"),
            *(written, f"{written}/draft", f"{written}/comparison", f"{written}/trials/{schedules['trial']}"),
        ],
        Role.ADMINISTRATOR: [
            *("/admin", "/admin/systems", "/admin/organisation", "/admin/officers", "/admin/accounts", "/log/health"),
            *("/admin/legal-staff", "/admin/officers/sheets", "/trace", "/admin/trust"),
            *("/templates", "/templates/new", f"/templates/{shipped_versions()[0].id}"),
            *("/certificates", f"/certificates/{certificates_of_scene(bureau)}"),
        ],
    }


def _open_everything(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((panel) => { panel.open = true; })")


@pytest.mark.parametrize(
    ("scheme", "width"),
    [("light", 1280), *(pytest.param(*each, marks=_LONG) for each in (("dark", 1280), ("light", 390)))],
)
def test_every_page_can_be_read_and_used_by_everybody(
    chromium: Browser, scene: tuple[str, Bureau], scheme: Any, width: int
) -> None:
    base, bureau = scene
    found: dict[str, list[str]] = {}
    for role, paths in _addresses(bureau).items():
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 844}, locale="zh-CN", reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto(f"{base}/sign-in")
        found["/sign-in"] = page.evaluate(_AUDIT)
        sign_in(page, base, PEOPLE[role][0], PASSWORD)
        for path in paths:
            page.goto(base + path)
            _open_everything(page)
            found[f"{role.value} {path}"] = page.evaluate(_AUDIT)
        context.close()
    assert {path: faults for path, faults in found.items() if faults} == {}


_BAD = """
<a href="/x"></a> <input name="y"> <label for="nowhere">z</label> <p id="main">twice</p> <img src="data:,">
<button aria-describedby="nothing">b</button> <p class="curtain"><a class="soft" href="/">grey on black</a></p>
"""


def test_the_audit_finds_what_it_must(chromium: Browser, scene: tuple[str, Bureau]) -> None:
    page = chromium.new_page()
    page.goto(f"{scene[0]}/sign-in")
    page.evaluate("(bad) => document.querySelector('main').insertAdjacentHTML('beforeend', bad)", _BAD)
    kinds = {fault.split(":")[0].rstrip(" 0123456789.") for fault in page.evaluate(_AUDIT)}
    assert kinds == {
        "id main stands 2 times", "label without field", "field without label", "aria-describedby leads to nothing",
        "no name", "no alt", "contrast",
    }  # fmt: skip
    page.close()


def test_what_appears_later_is_as_good(chromium: Browser, scene: tuple[str, Bureau]) -> None:
    base, bureau = scene
    context = chromium.new_context(viewport={"width": 1280, "height": 844}, locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    sign_in(page, base, PEOPLE[Role.SUPERVISOR][0], PASSWORD)
    page.goto(f"{base}/items/{bureau.items['video']}")
    page.fill("#play-purpose", "x")
    page.fill("#play-reference", "任务 1")
    page.click("button.play")
    page.wait_for_selector("video")
    page.click("#verify-now")
    page.wait_for_selector(".verdict")
    _open_everything(page)
    assert page.evaluate(_AUDIT) == []
    page.goto(f"{base}/cases/{bureau.cases['main']}")
    page.click("#act > summary")
    page.evaluate("document.querySelectorAll('[required]').forEach((field) => field.removeAttribute('required'))")
    page.click("#act button.primary")
    page.wait_for_selector(".fault")
    assert page.evaluate("document.activeElement.id") == "act-stage"  # the first faulty field has the focus
    _open_everything(page)
    assert page.evaluate(_AUDIT) == []
    context.close()


def test_everything_can_be_reached_with_the_keyboard(chromium: Browser, scene: tuple[str, Bureau]) -> None:
    base, _ = scene
    context = chromium.new_context(viewport={"width": 1280, "height": 844}, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{base}/sign-in")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "username"
    page.keyboard.type("supervisor")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("烧烤")
    page.wait_for_url("**q=**")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/**")
    assert page.inner_text("h1") == "占道经营烧烤摊点案"
    context.close()
