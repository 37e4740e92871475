"""Pictures of text records that are written, signed and sealed here."""

from playwright.sync_api import Page

from archive.access.policy import Role
from archive.kernel.ids import DraftId
from tests.e2e.shot import Place, Shot
from tests.support import seed_records
from tests.support.seed import Bureau

_made: dict[int, dict[str, DraftId]] = {}


def records_of(bureau: Bureau) -> dict[str, DraftId]:
    """Make a record in each state, once for a bureau."""
    if id(bureau) not in _made:
        case_id = bureau.cases["main"]
        signers = seed_records.make_signers(bureau)

        def set_one(code: str, title: str) -> DraftId:
            return seed_records.set_record(bureau, seed_records.begin(bureau, case_id, code, title))

        written = seed_records.begin(
            bureau, case_id, "questioning_record", "询问王小荷笔录", ended_at="2026-03-05T08:00", relation=None
        )
        filed = seed_records.sign_all(bureau, signers, set_one("seizure_list", "查封（扣押）物品清单"))
        _made[id(bureau)] = {
            "written": written,
            "signed": set_one("inspection_record", "现场检查笔录"),
            "sealed": seed_records.sign_all(bureau, signers, set_one("preservation_notice", "先行登记保存证据通知书")),
            "notice": set_one("advance_notice", "行政处罚事先告知书"),
            "filed": seed_records.seal(bureau, filed),
        }
    return _made[id(bureau)]


def _draft(name: str) -> Place:
    return Place("/drafts/{draft_id}", lambda bureau: f"/drafts/{records_of(bureau)[name]}")


def _seals(bureau: Bureau) -> str:
    records_of(bureau)
    return "/seals"


def _case_address(bureau: Bureau) -> str:
    records_of(bureau)
    return f"/cases/{bureau.cases['main']}"


_new = Place("/cases/{case_id}/drafts/new", lambda bureau: f"/cases/{bureau.cases['main']}/drafts/new")
_amend = Place(
    "/cases/{case_id}/drafts/new",
    lambda bureau: f"/cases/{bureau.cases['main']}/drafts/new?amends={records_of(bureau)['filed']}",
)
_filed = Place("/records/{object_id}", lambda bureau: f"/records/{records_of(bureau)['filed']}")


def _hand(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#hand-party > summary")
    box = page.locator("#hand-party canvas").bounding_box()
    assert box is not None
    for x, y, dx, dy in ((60, 60, 5, 0), (85, 35, 0, 6), (130, 50, 5, 4), (160, 45, -3, 6)):
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        for step in range(10):
            page.mouse.move(box["x"] + x + dx * step, box["y"] + y + dy * step)
        page.mouse.up()
    page.wait_for_timeout(300)


def _guide(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#f-dialogue .guide > summary")
    page.locator("#f-dialogue").scroll_into_view_if_needed()
    page.wait_for_timeout(600)


def _in_work(page: Page, bureau: Bureau) -> None:
    del bureau
    page.locator("#records-title").evaluate("(title) => title.scrollIntoView()")
    page.wait_for_timeout(300)


RECORD_SHOTS = [
    Shot("record-new", Role.CASE_HANDLER, _new),
    Shot("record-new-390", Role.CASE_HANDLER, _new, width=390, languages=("zh",)),
    Shot("record-amend", Role.CASE_HANDLER, _amend),
    Shot("record-writing", Role.CASE_HANDLER, _draft("written"), is_whole=False),
    Shot("record-writing-dark", Role.CASE_HANDLER, _draft("written"), dark=True, is_whole=False, languages=("zh",)),
    Shot("record-writing-390", Role.CASE_HANDLER, _draft("written"), width=390, is_whole=False, languages=("zh",)),
    Shot("record-guide", Role.CASE_HANDLER, _draft("written"), _guide, is_whole=False),
    Shot("record-signing", Role.CASE_HANDLER, _draft("signed"), _hand, is_whole=False),
    Shot(
        "record-signing-390", Role.CASE_HANDLER, _draft("signed"), _hand, width=390, is_whole=False, languages=("zh",)
    ),
    Shot("record-sealing", Role.UNIT_HEAD, _draft("sealed"), is_whole=False),
    Shot("record-filed", Role.UNIT_HEAD, _filed),
    Shot("seals", Role.UNIT_HEAD, Place("/seals", _seals)),
    Shot("case-writing", Role.CASE_HANDLER, Place("/cases/{case_id}", _case_address), _in_work, is_whole=False),
]
