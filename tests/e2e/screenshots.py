"""Take a picture of every page in both languages into docs/screenshots: `python -m tests.e2e.screenshots [NAME...]`."""

import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from archive.access.policy import Role
from archive.evidence.recordings import recording_of
from archive.ledger.cosigning import cosigned, import_cosigned, request_for
from archive.ledger.policy import Group, Witness, WitnessPolicy
from archive.ledger.witness import create_witness, open_witness
from archive.web.app import create_app
from tests.e2e.account_shots import ACCOUNT_SHOTS
from tests.e2e.browser import open_browser, sign_in, until
from tests.e2e.case_file_shots import CASE_FILE_SHOTS
from tests.e2e.certificate_shots import CERTIFICATE_SHOTS
from tests.e2e.disposition_shots import DISPOSITION_SHOTS
from tests.e2e.fixity_shots import FIXITY_SHOTS
from tests.e2e.holding_shots import HOLDING_SHOTS
from tests.e2e.office_shots import OFFICE_SHOTS
from tests.e2e.operations_shots import OPERATIONS_SHOTS
from tests.e2e.record_shots import RECORD_SHOTS
from tests.e2e.retention_shots import RETENTION_SHOTS
from tests.e2e.retrieval_shots import RETRIEVAL_SHOTS
from tests.e2e.schedule_shots import SCHEDULE_SHOTS
from tests.e2e.shot import Place, Shot, opened, said
from tests.e2e.staff_shots import STAFF_SHOTS
from tests.e2e.template_shots import TEMPLATE_SHOTS
from tests.e2e.validation_shots import VALIDATION_SHOTS
from tests.support import seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau
from tests.support.signing_scene import trust_folder

_FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
_LANGUAGES = {"zh": "zh-CN", "en": "en-GB"}
_MOST_BYTES = 200_000
_COLOURS = 160


def _item(name: str) -> Place:
    return Place("/items/{object_id}", lambda bureau: f"/items/{bureau.items[name]}")


_case = Place("/cases/{case_id}", lambda bureau: f"/cases/{bureau.cases['main']}")


def _play(page: Page, bureau: Bureau) -> None:
    page.fill("#play-purpose", said(page, "案件办理", "Case handling"))
    page.fill("#play-reference", said(page, "任务 1", "Task 1"))
    page.click("button.play")
    page.wait_for_selector("[data-player] video, [data-player] audio, img.photo")
    if page.locator("[data-player]").count():
        until(page, "document.querySelector('video, audio').currentTime > 0.2")
        page.evaluate("const m = document.querySelector('video, audio'); m.pause(); m.currentTime = 3.2")
        page.wait_for_timeout(500)
    page.wait_for_timeout(1200)


def _read(page: Page, bureau: Bureau) -> None:
    """Open what is no footage."""
    del bureau
    page.fill("#play-purpose", said(page, "案件办理", "Case handling"))
    page.fill("#play-reference", said(page, "任务 1", "Task 1"))
    page.press("#play-purpose", "Enter")
    page.wait_for_selector(".reader, .entries")
    page.wait_for_timeout(800)


def _play_joint(page: Page, bureau: Bureau) -> None:
    """Play a recording of several clips, into the second."""
    del bureau
    page.fill("#play-purpose", said(page, "案件办理", "Case handling"))
    page.fill("#play-reference", said(page, "任务 1", "Task 1"))
    page.click("button.play")
    until(page, "[...document.querySelectorAll('[data-joint] video')].some((video) => video.currentTime > 0.2)")
    page.click("[data-do=toggle]")
    page.wait_for_timeout(800)


def _recording_address(bureau: Bureau) -> str:
    with bureau.services.database.read() as tx:
        view = recording_of(tx, bureau.items["clip1"])
    assert view is not None
    return f"/recordings/{view.recording.id}"


def _verify(page: Page, bureau: Bureau) -> None:
    page.click("#verify-now")
    page.wait_for_selector(".verdict")
    page.wait_for_timeout(1500)


def _play_and_verify(page: Page, bureau: Bureau) -> None:
    _play(page, bureau)
    _verify(page, bureau)


def _flip_and_verify(page: Page, bureau: Bureau) -> None:
    path = next((bureau.services.settings.home / "store").rglob("BWC0131_20260303_140200.mp4"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    try:
        _verify(page, bureau)
    finally:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        path.chmod(0o444)


def _wrong_password(page: Page, bureau: Bureau) -> None:
    page.fill("input[name=username]", "supervisor")
    page.fill("input[name=password]", "not the password")
    page.click("form[action='/sign-in'] button")
    page.wait_for_selector(".alert")


def _bad_case(page: Page, bureau: Bureau) -> None:
    page.click("#new-case > summary")
    page.fill("#case-number", seed._SUBJECTS[0][0])
    page.select_option("#case-category", "penalty")
    page.fill("#case-title", "占道经营案")
    page.fill("#case-subject_name", "官渡区阿明烧烤店")
    page.click("#new-case button.primary")
    page.wait_for_selector(".fault")


def _subject_address(bureau: Bureau) -> str:
    return f"/subjects/{bureau.subjects['官渡区阿明烧烤店']}"


def _merge_address(bureau: Bureau) -> str:
    return f"{_subject_address(bureau)}/merge?other={bureau.subjects['阿明烧烤']}"


def _name_on_record(page: Page, bureau: Bureau) -> None:
    page.click("#new-case > summary")
    page.fill("#case-subject_name", "王某某")
    page.wait_for_selector("#new-case .option")


def _show_number(page: Page, bureau: Bureau) -> None:
    page.click("#numbers summary >> nth=0")
    page.fill("#numbers input[name=purpose]", "核对身份")
    page.click("#numbers form button.primary >> nth=0")
    page.wait_for_selector("#numbers [role=status]")


def _invite(page: Page, bureau: Bureau) -> None:
    page.click("#invite > summary")
    page.fill("#invite-name", "关上中队采集站")
    if page.locator("#invite-unit option").count() > 1:  # else the only one is chosen
        page.select_option("#invite-unit", index=1)
    page.click("#invite button.primary")
    page.wait_for_selector("#invitation")


def _print(page: Page, bureau: Bureau) -> None:
    page.emulate_media(media="print")


def _upload(page: Page, bureau: Bureau) -> None:
    """Bring one file to its receipt, let one be refused, and stop one half way."""
    del bureau
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "VID_20260302_093112.mp4").write_bytes(bytes(range(256)) * 4000)
        (folder / "空文件.mp4").touch()
        (folder / "DJI_0042.mp4").write_bytes(bytes(reversed(range(256))) * 40_000)
        page.fill("#upload-case", "官综执罚〔2026〕第031号")
        page.select_option("#upload-source", "phone")
        page.set_input_files("#upload-files", [folder / "VID_20260302_093112.mp4", folder / "空文件.mp4"])
        until(page, "document.querySelectorAll('[data-state=accepted]').length === 1")
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000}
        wire.send("Network.emulateNetworkConditions", slow)
        page.set_input_files("#upload-files", folder / "DJI_0042.mp4")
        until(page, "[...document.querySelectorAll('[data-step=send] progress')].at(-1).value > 0.3")
        page.click(".upload-row >> nth=2 >> [data-act=pause]")
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def _organisation_address(bureau: Bureau) -> str:
    seed.organise(bureau)
    return "/admin/organisation"


def _officers_address(bureau: Bureau) -> str:
    seed.organise(bureau)
    return "/admin/officers"


def _restrict(page: Page, bureau: Bureau) -> None:
    page.click("#classes > summary")
    page.click("#member > summary")


def _systems_address(bureau: Bureau) -> str:
    seed.connect_systems(bureau)
    return "/admin/systems"


def _new_key(page: Page, bureau: Bureau) -> None:
    page.click("#key > summary")
    page.fill("#key-name", "cms-2")
    page.fill("#key-title", "行政执法办案系统（备用）")
    page.check("input[name='scope-cases.write']")
    page.check("input[name='scope-items.read']")
    page.click("#key button.primary")
    page.wait_for_selector("#shown-secret")


def _package(page: Page, bureau: Bureau) -> None:
    """Have the package of a case built, then open the form for another."""
    page.click("#package > summary")
    page.fill("#package-purpose", said(page, "移送检察机关审查", "For the prosecutor"))
    page.click("#package button.primary")
    page.wait_for_selector("#packages .chip-busy")
    seed.work(bureau)
    until(page, "!document.querySelector('#packages .chip-busy')")
    page.click("#package > summary")
    page.evaluate("document.getElementById('packages').scrollIntoView(); document.activeElement.blur()")
    page.wait_for_timeout(300)


def _list_proofs(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#proofs-list a >> nth=0")
    page.wait_for_selector(".list-proofs")
    page.evaluate("document.getElementById('proofs').scrollIntoView()")


def _watched_address(bureau: Bureau) -> str:
    """Have the log cosigned by one witness of two, of which the quorum asks for one."""
    services = bureau.services
    if not services.policy.witnesses:
        folder = services.settings.home / "witnesses"
        made = {
            name: create_witness(folder / name, name=f"{name}.example", clock=services.clock) for name in _WITNESSES
        }
        named = [Witness(name, each.keys[0], f"https://{name}.example/liuhen") for name, each in made.items()]
        policy = WitnessPolicy(tuple(named), (Group("any-one", 1, tuple(made)),), "any-one")
        object.__setattr__(services, "policy", policy)
        told = {"procuratorate": {"outcome": "ledger.witness_unreachable", "since": "2026-03-02T09:31:12Z"}}
        (services.run_folder / "witnesses.json").write_text(json.dumps(told))
    time.sleep(1.5)  # until what signing in has logged has its place
    witness = open_witness(services.settings.home / "witnesses" / _WITNESSES[0], clock=services.clock)
    for key in services.trust.logs:
        with contextlib.suppress(Exception):
            witness.store.add_log(key)
    with services.database.begin() as tx:
        request = request_for(tx, services.policy, name=_WITNESSES[0])
        signed = cosigned(request.note.to_bytes(), witness.cosign(request))
        import_cosigned(tx, signed, logs=services.trust.logs, policy=services.policy, at=services.clock.now())
    return "/log/health"


_WITNESSES = ("court-archive", "procuratorate")

_recording = Place("/recordings/{recording_id}", _recording_address)
_record = Place("/records/{object_id}", lambda bureau: f"/records/{bureau.records['inspection']}")
_subject = Place("/subjects/{subject_id}", _subject_address)
_merge = Place("/subjects/{subject_id}/merge", _merge_address)
_object_proofs = Place("/objects/{object_id}/entries", lambda bureau: f"/objects/{bureau.items['video']}/entries")
_watched_log = Place("/log/health", _watched_address)
_organisation = Place("/admin/organisation", _organisation_address)
_officers = Place("/admin/officers", _officers_address)
_systems = Place("/admin/systems", _systems_address)

SHOTS = [
    Shot("sign-in", None, "/sign-in"),
    Shot("sign-in-refused", None, "/sign-in", _wrong_password, expected="401"),
    Shot("cases", Role.SUPERVISOR, "/"),
    Shot("cases-390", Role.SUPERVISOR, "/", width=390, languages=("zh",)),
    Shot("cases-dark", Role.SUPERVISOR, "/", dark=True, languages=("zh",)),
    Shot("new-case-fault", Role.CASE_HANDLER, "/", _bad_case, expected="422"),
    Shot("new-case-choices", Role.CASE_HANDLER, "/", _name_on_record),
    Shot("subjects", Role.SUPERVISOR, "/subjects"),
    Shot("subject", Role.SUPERVISOR, _subject, _show_number),
    Shot("subject-390", Role.SUPERVISOR, _subject, width=390, languages=("zh",)),
    Shot("subject-merge", Role.CASE_HANDLER, _merge),
    Shot("unlinked", Role.SUPERVISOR, "/unlinked"),
    Shot("items", Role.SUPERVISOR, "/items"),
    Shot("case", Role.SUPERVISOR, _case),
    Shot("case-390", Role.SUPERVISOR, _case, width=390, languages=("zh",)),
    Shot("case-link", Role.CASE_HANDLER, _case, opened("link")),
    Shot("case-record", Role.CASE_HANDLER, _case, opened("record")),
    Shot("item", Role.SUPERVISOR, _item("video")),
    Shot("item-playing", Role.SUPERVISOR, _item("video"), _play_and_verify),
    Shot("item-playing-390", Role.SUPERVISOR, _item("video"), _play, width=390, languages=("en",)),
    Shot("item-dark", Role.SUPERVISOR, _item("video"), _play_and_verify, dark=True, languages=("zh",)),
    Shot("item-audio", Role.SUPERVISOR, _item("audio"), _play, languages=("zh",)),
    Shot("item-photo", Role.CASE_HANDLER, _item("photo"), _play, languages=("zh",)),
    Shot("item-document", Role.CASE_HANDLER, _item("letter"), _read),
    Shot("item-archive", Role.CASE_HANDLER, _item("archive"), _read),
    Shot("recording", Role.SUPERVISOR, _recording, _play_joint),
    Shot("recording-390", Role.SUPERVISOR, _recording, width=390, languages=("zh",)),
    Shot("item-damaged", Role.SUPERVISOR, _item("damaged"), languages=("zh", "en")),
    Shot("item-unplayable", Role.SUPERVISOR, _item("unplayable")),
    Shot("item-preparing", Role.SUPERVISOR, _item("encoding")),
    Shot("item-given-up", Role.SUPERVISOR, _item("given_up"), languages=("zh",)),
    Shot("item-long-name", Role.SUPERVISOR, _item("long"), languages=("zh",)),
    Shot("item-auditor", Role.AUDITOR, _item("video")),
    Shot("item-invalid", Role.AUDITOR, _item("unlinked"), _flip_and_verify),
    Shot("item-printed", Role.SUPERVISOR, _item("video"), _print, languages=("zh",)),
    Shot("record", Role.SUPERVISOR, _record),
    Shot("upload", Role.CASE_HANDLER, "/upload", _upload),
    Shot("upload-390", Role.CASE_HANDLER, "/upload", _upload, width=390, languages=("zh",)),
    Shot("upload-dark", Role.CASE_HANDLER, "/upload", _upload, dark=True, languages=("zh",)),
    Shot("search", Role.SUPERVISOR, "/search?q=检查"),
    Shot(
        "search-narrowed",
        Role.CASE_HANDLER,
        "/search?q=BWC0117&kind=item&since=2026-03-01",
        languages=("en",),
    ),
    Shot("search-390", Role.SUPERVISOR, "/search?q=检查", width=390, languages=("zh",)),
    Shot("search-dark", Role.SUPERVISOR, "/search?q=烧烤", dark=True, languages=("zh",)),
    Shot("log", Role.AUDITOR, "/log", is_whole=False),
    Shot("log-health-alone", Role.ADMINISTRATOR, "/log/health"),
    Shot("log-health", Role.AUDITOR, _watched_log),
    Shot("log-health-390", Role.SUPERVISOR, _watched_log, width=390, languages=("zh",)),
    Shot("log-health-dark", Role.AUDITOR, _watched_log, dark=True, languages=("en",)),
    Shot("case-package", Role.SUPERVISOR, _case, _package, is_whole=False),
    Shot("case-package-390", Role.SUPERVISOR, _case, _package, width=390, languages=("zh",), is_whole=False),
    Shot("case-proofs", Role.AUDITOR, _case, _list_proofs, is_whole=False),
    Shot("proofs", Role.AUDITOR, _object_proofs),
    Shot("proofs-390", Role.AUDITOR, _object_proofs, width=390, languages=("en",)),
    Shot("proofs-dark", Role.AUDITOR, _object_proofs, dark=True, languages=("zh",)),
    Shot("admin", Role.ADMINISTRATOR, "/admin"),
    Shot("admin-invited", Role.ADMINISTRATOR, "/admin", _invite),
    Shot("admin-systems", Role.ADMINISTRATOR, _systems),
    Shot("admin-systems-new", Role.ADMINISTRATOR, _systems, _new_key),
    Shot("admin-systems-390", Role.ADMINISTRATOR, _systems, width=390, languages=("zh",)),
    Shot("admin-organisation", Role.ADMINISTRATOR, _organisation),
    Shot("admin-organisation-unit", Role.ADMINISTRATOR, _organisation, opened("unit"), languages=("zh",)),
    Shot("admin-organisation-390", Role.ADMINISTRATOR, _organisation, width=390, languages=("zh",)),
    Shot("admin-officers", Role.ADMINISTRATOR, _officers),
    Shot("admin-officers-390", Role.ADMINISTRATOR, _officers, width=390, languages=("zh",)),
    Shot("case-restrict", Role.UNIT_HEAD, _case, _restrict),
    Shot("not-found", Role.SUPERVISOR, "/nothing-here", expected="404"),
    Shot("not-allowed", Role.SUPERVISOR, "/admin", expected="403"),
    Shot("not-possible", Role.SUPERVISOR, "/cases", expected="405"),
    *CASE_FILE_SHOTS,
    *OFFICE_SHOTS,
    *HOLDING_SHOTS,
    *OPERATIONS_SHOTS,
    *RETRIEVAL_SHOTS,
    *RETENTION_SHOTS,
    *STAFF_SHOTS,
    *TEMPLATE_SHOTS,
    *SCHEDULE_SHOTS,
    *ACCOUNT_SHOTS,
    *RECORD_SHOTS,
    *CERTIFICATE_SHOTS,
    *VALIDATION_SHOTS,
    *DISPOSITION_SHOTS,
    *FIXITY_SHOTS,
]


@contextlib.contextmanager
def served(bureau: Bureau) -> Iterator[str]:
    """Serve the bureau from a thread, and sequence its log."""
    sequencing = seed.Sequencing(bureau)
    sequencing.start()
    try:
        with seed.listening(create_app(bureau.services)) as base:
            yield base
    finally:
        sequencing.stop()


def _context(browser: Browser, shot: Shot, language: str) -> BrowserContext:
    return browser.new_context(
        viewport={"width": shot.width, "height": 800 if shot.width > 600 else 844},
        locale=_LANGUAGES[language],
        timezone_id="Asia/Shanghai",
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
    )


def _take(browser: Browser, base: str, bureau: Bureau, shot: Shot, language: str) -> list[str]:
    troubles: list[str] = []
    with contextlib.closing(_context(browser, shot, language)) as context:
        page = context.new_page()
        page.on("console", lambda told: troubles.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        if shot.role is not None:
            sign_in(page, base, PEOPLE[shot.role][0], PASSWORD)
        page.goto(base + shot.address(bureau))
        page.wait_for_load_state("networkidle") if "preparing" not in shot.name else page.wait_for_timeout(800)
        if shot.act is not None:
            shot.act(page, bureau)
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        if wide:
            troubles.append("the page is wider than the screen")
        raw = page.screenshot(full_page=shot.is_whole)
    _save(raw, _FOLDER / f"{shot.name}.{language}.png")
    return [told for told in troubles if shot.expected not in told]


def _save(raw: bytes, path: Path) -> None:
    picture = Image.open(io.BytesIO(raw)).convert("RGB")
    for colours in (_COLOURS, 96, 48):
        small = picture.quantize(colours, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        if path.stat().st_size <= _MOST_BYTES:
            return
    raise RuntimeError(f"{path.name} has {path.stat().st_size} bytes")


def main(names: list[str]) -> int:
    """Take the pictures; return how many pages had trouble."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="liuhen-pictures-"))
    faulty = 0
    try:
        mail = {
            "smtp_host": "mail.invalid",
            "smtp_sender": "liuhen@gd-zhzf.example",
            "smtp_link": "https://liuhen.example",
        }
        trust = trust_folder(folder / "trust")
        (folder / "second").mkdir()
        copy = {"copy_folder": folder / "second"}
        bureau = seed.new_bureau(folder / "home", cn_profile=True, trust_lists=trust, **mail, **copy)
        seed.make_scene(bureau, folder / "media")
        while bureau.services.copies.copy_some():
            pass
        bureau.services.drills.run()
        with served(bureau) as base, open_browser() as browser:
            for shot in SHOTS:
                for language in shot.languages:
                    if names and shot.name not in names:
                        continue
                    troubles = _take(browser, base, bureau, shot, language)
                    faulty += bool(troubles)
                    print(f"{shot.name}.{language}", *troubles, sep="\n  ", flush=True)
        bureau.services.close()
    finally:
        shutil.rmtree(folder)
    return faulty


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
