"""Pages of retention schedules: the list, the editor that loses nothing, two people, comparing, what would change."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, update

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import TrialId
from archive.ledger.entries import OPERATOR
from retention.schedules.models import RetentionSchedule, ScheduleTrial
from retention.schedules.register import put_in_force, save_schedule, seen_of
from retention.schedules.shipped import Shipped, shipped_schedule
from tests.integration.web.conftest import HTMX, browser, words
from tests.support import seed, seed_schedules
from tests.support.seed import PASSWORD, PEOPLE, Bureau

RULES = shipped_schedule(Shipped.DEFAULT).rules
EN = {"Accept-Language": "en"}
ROW = {
    "code": "own", "title": "自定条目", "title_en": "Our own", "filed": "no", "months": "9", "unit": "months",
    "basis": "received", "legal_basis": "某规定第一条", "from": "2026-01-01",
}  # fmt: skip


def fields(*rows: dict[str, Any], title: str = "二〇二六年", do: str = "save", **more: str) -> dict[str, Any]:
    """What the editor posts; lists of a row are given as lists."""
    found: dict[str, Any] = {"title": title, "do": do, **more}
    for number, row in enumerate(rows):
        found |= {f"r{number}-{name}": value for name, value in row.items()}
    return found


@pytest.fixture(scope="module")
def keeper(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.RECORDS_MANAGER]


@pytest.fixture(scope="module")
def second(base: str, bureau: Bureau) -> Iterator[httpx.Client]:
    """Another records manager."""
    create_account(
        bureau.services.database, username="records2", display_name="高岚", roles=[Role.RECORDS_MANAGER],
        password=PASSWORD, by=OPERATOR, at=bureau.now(),
    )  # fmt: skip
    with browser(base) as client:
        client.post("/sign-in", data={"username": "records2", "password": PASSWORD})
        yield client


@pytest.fixture(autouse=True)
def nothing_in_force(bureau: Bureau) -> Iterator[None]:
    """Other tests go by the shipped default."""
    yield
    with bureau.services.database.begin() as tx:
        tx.execute(delete(ScheduleTrial))
        tx.execute(update(RetentionSchedule).where(RetentionSchedule.state == "in_force").values(state="withdrawn"))


def make(client: httpx.Client, *rows: dict[str, Any], title: str = "二〇二六年") -> str:
    answer = client.post("/schedules/new", data=fields(*(rows or (ROW,)), title=title))
    assert answer.status_code == 303, words(answer)
    return answer.headers["location"].partition("?")[0]


def seen(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', client.get(path).text)
    assert found is not None
    return found[1]


def today(bureau: Bureau) -> str:
    return local_day(bureau.now()).isoformat()


def force(client: httpx.Client, bureau: Bureau, path: str, **more: str) -> httpx.Response:
    told = {"valid_from": today(bureau), "seen": more.pop("seen", "") or seen(client, path), **more}
    return client.post(f"{path}/force", data=told)


# ---- what everybody who may reads ------------------------------------------------------------------------------------


def test_what_ships_is_shown_in_both_languages(auditor: httpx.Client, keeper: httpx.Client) -> None:
    page = auditor.get("/schedules")
    assert "/schedules/new" not in page.text
    assert "/schedules/new" in keeper.get("/schedules").text
    told = words(page)
    assert "行政执法音视频与案卷保管期限表（随软件）" in told
    assert "公安机关现场执法视音频" in told
    one = words(auditor.get("/schedules/shipped/default"))
    for said in (
        "30 年",
        "10 年",
        "永久",
        "6 个月",
        "结案",
        "录制时间",
        "未归入案件",
        "作为证据使用",
        "国家档案局令第8号",
    ):
        assert said in one, said
    english = words(auditor.get("/schedules/shipped/police", headers=EN))
    for said in ("Binds the police only", "6 months", "Permanent", "Video, Audio", "Recording"):
        assert said in english, said


def test_the_tabs_lead_to_the_pages_of_retention(auditor: httpx.Client) -> None:
    page = auditor.get("/schedules").text
    for address in ("/retention", "/retention/due", "/schedules", "/holds", "/dispositions", "/fixity", "/renewals"):
        assert f'<a href="{address}"' in page
    assert '<a href="/schedules" aria-current="page">' in page


# ---- two people ------------------------------------------------------------------------------------------------------


def test_one_writes_and_another_puts_in_force(
    keeper: httpx.Client, second: httpx.Client, auditor: httpx.Client, bureau: Bureau
) -> None:
    path = make(keeper)
    mine, others = keeper.get(path), second.get(path)
    assert "须由另一人核对启用" in words(mine)
    assert f"{path}/force" not in mine.text
    assert f"{path}/force" in others.text
    assert "与现行版本“行政执法音视频与案卷保管期限表（随软件）”的差异" in words(others)
    refused = force(keeper, bureau, path, seen=seen(second, path))
    assert refused.status_code == 422
    early = force(second, bureau, path, valid_from=(local_day(bureau.now()) - timedelta(days=1)).isoformat())
    assert early.status_code == 422
    assert f"最早为 {today(bureau)}" in words(early)
    for wrong in ("", "x", "2026-13-01"):
        assert force(second, bureau, path, valid_from=wrong).status_code == 422
    assert force(second, bureau, path).status_code == 303
    told = words(auditor.get(path))
    for said in ("施行中", PEOPLE[Role.RECORDS_MANAGER][1], "高岚"):
        assert said in told
    assert "施行中" in words(auditor.get("/schedules"))
    assert keeper.get(f"{path}/draft").status_code == 409
    assert keeper.post(f"{path}/withdrawal", data={"reason": "有误"}).status_code == 409
    assert keeper.post(f"{path}/draft", data=fields(ROW, seen=seen_text(bureau, path))).status_code == 409


def seen_text(bureau: Bureau, path: str) -> str:
    with bureau.services.database.read() as tx:
        return seen_of(tx.get_one(RetentionSchedule, UUID(path.rpartition("/")[2])))


def test_what_was_changed_meanwhile_is_looked_at_again(
    keeper: httpx.Client, second: httpx.Client, bureau: Bureau
) -> None:
    path = make(keeper)
    old = seen(second, path)
    changed = keeper.post(f"{path}/draft", data=fields({**ROW, "months": "1"}, seen=old))
    assert changed.status_code == 303
    refused = force(second, bureau, path, seen=old)
    assert refused.status_code == 422
    assert "他人改过这份草稿" in words(refused)
    late = second.post(f"{path}/draft", data=fields({**ROW, "title": "迟了"}, seen=old))
    assert late.status_code == 422
    assert "他人已保存过这份草稿" in words(late)
    assert 'value="迟了"' in late.text, "nothing that was typed is lost"


def test_a_draft_is_given_up_and_what_is_to_come_is_withdrawn(
    keeper: httpx.Client, second: httpx.Client, bureau: Bureau
) -> None:
    draft, coming = make(keeper), make(keeper)
    tomorrow = (local_day(bureau.now()) + timedelta(days=1)).isoformat()
    assert force(second, bureau, coming, valid_from=tomorrow).status_code == 303
    assert "待施行" in words(keeper.get(coming))
    for path in (draft, coming):
        assert keeper.post(f"{path}/withdrawal", data={"reason": " "}).status_code == 422
        assert keeper.post(f"{path}/withdrawal", data={"reason": "暂缓"}).status_code == 303
        told = words(keeper.get(path))
        assert "已撤回" in told
        assert "暂缓" in told
    assert "暂缓" in words(keeper.get("/schedules"))


def test_earlier_versions_come_in_pages(keeper: httpx.Client, bureau: Bureau) -> None:
    database = bureau.services.database
    with database.begin() as tx:
        tx.execute(update(RetentionSchedule).values(state="withdrawn"))
    for number in range(52):
        save_schedule(database, f"旧版{number:02}", RULES, by=OPERATOR, at=bureau.now())
    with database.begin() as tx:
        tx.execute(update(RetentionSchedule).values(state="withdrawn"))
    page = keeper.get("/schedules")
    assert "旧版51" in page.text
    assert "旧版00" not in page.text
    more = re.search(r'hx-get="(/schedules\?cursor=[^"]+)"', page.text)
    assert more is not None
    rest = keeper.get(more[1], headers=HTMX)
    assert "旧版00" in rest.text
    assert "<html" not in rest.text
    assert keeper.get("/schedules?cursor=x").status_code == 400


# ---- the editor ------------------------------------------------------------------------------------------------------


def row_codes(page: httpx.Response) -> list[str]:
    return re.findall(r'name="r\d+-code" type="text" value="([^"]*)"', page.text)


def test_the_editor_begins_with_what_is_in_force_or_what_is_named(
    keeper: httpx.Client, second: httpx.Client, bureau: Bureau
) -> None:
    shipped = [rule.code for rule in RULES]
    assert row_codes(keeper.get("/schedules/new")) == shipped
    assert row_codes(keeper.get("/schedules/new?of=police")) == ["police_minimum", "police_permanent"]
    path = make(keeper)
    assert row_codes(keeper.get(f"/schedules/new?of={path.rpartition('/')[2]}")) == ["own"]
    force(second, bureau, path)
    assert row_codes(keeper.get("/schedules/new")) == ["own"]
    assert row_codes(keeper.get(f"/schedules/new?of={Shipped.DEFAULT.value}")) == shipped
    assert keeper.get("/schedules/new?of=x").status_code == 404


def test_what_the_editor_shows_is_what_it_saves(keeper: httpx.Client, bureau: Bureau) -> None:
    """The shipped rules, posted as a browser posts the page, come back as they were."""
    page = keeper.get("/schedules/new").text
    typed = re.findall(r'<input id="rules-(r\d+-[a-z_]+)" name="[^"]*" type="\w+" value="([^"]*)"', page)
    told: dict[str, Any] = {"title": "原样", "do": "save", "seen": "", **dict(typed)}
    for name, inner in re.findall(r'<select id="rules-(r\d+-[a-z_]+)".*?>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'<option value="(\w+)" selected', inner)
        assert chosen is not None
        told[name] = chosen[1]
    for name, value in re.findall(r'type="checkbox" name="([^"]*)" value="([^"]*)" checked', page):
        told.setdefault(name, []).append(value)
    answer = keeper.post("/schedules/new", data=told)
    assert answer.status_code == 303, words(answer)
    path = answer.headers["location"].partition("?")[0]
    assert "没有差异" in words(keeper.get(f"{path}/comparison?other=default"))


def test_rows_come_and_go_and_nothing_is_lost(keeper: httpx.Client) -> None:
    first, other = {**ROW, "code": "one", "kinds": ["footage", "audio"]}, {**ROW, "code": "two", "title": "第二条"}
    added = keeper.post("/schedules/rows", data=fields(first, other, do="add"), headers=HTMX)
    assert row_codes(added) == ["one", "two", ""]
    assert "<html" not in added.text
    assert added.headers["hx-trigger-after-settle"] == "rows-changed"
    assert added.text.count("autofocus") == 1
    assert re.search(r'name="r0-kinds" value="footage" checked', added.text)
    assert "错误" not in words(added)
    removed = keeper.post("/schedules/rows", data=fields(first, other, do="remove-0"), headers=HTMX)
    assert row_codes(removed) == ["two"]
    assert 'value="第二条"' in removed.text
    beyond = keeper.post("/schedules/rows", data=fields(first, do="remove-7"), headers=HTMX)
    assert row_codes(beyond) == ["one"]
    police = keeper.post("/schedules/rows", data=fields(first, do="take-police"), headers=HTMX)
    assert row_codes(police) == ["one", "police_minimum", "police_permanent"]
    again = fields({**ROW, "code": "police_minimum"}, do="take-police")
    assert row_codes(keeper.post("/schedules/rows", data=again, headers=HTMX)) == ["police_minimum", "police_permanent"]


def test_without_scripts_the_same_buttons_show_the_whole_page(keeper: httpx.Client) -> None:
    page = keeper.post("/schedules/new", data=fields(ROW, do="add", title="还没完"))
    assert page.status_code == 200
    assert row_codes(page) == ["own", ""]
    assert 'value="还没完"' in page.text
    assert "data-faulty" not in page.text, "an empty row is no fault before it is saved"
    path = make(keeper)
    page = keeper.post(f"{path}/draft", data=fields(ROW, do="remove-0", seen="x"))
    assert page.status_code == 200
    assert row_codes(page) == [""], "there is always a row to fill in"
    assert 'name="seen" value="x"' in page.text


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"code": ""}, "code", "请填写"),
        ({"code": "A"}, "code", "代码以小写字母开头"),
        ({"title": " "}, "title", "请填写"),
        ({"legal_basis": "长" * 501}, "legal_basis", "最多 500 个字符"),
        ({"months": ""}, "months", "请填写"),
        ({"months": "0"}, "months", "期限为 1 至 1200 个月的整数"),
        ({"months": "-6"}, "months", "期限为 1 至 1200 个月的整数"),
        ({"months": "六"}, "months", "期限为 1 至 1200 个月的整数"),
        ({"months": "1.5", "unit": "years"}, "months", "期限为 1 至 1200 个月的整数"),
        ({"months": "101", "unit": "years"}, "months", "期限为 1 至 1200 个月的整数"),
        ({"basis": ""}, "basis", "请填写"),
        ({"basis": "case_closed"}, "basis", "从结案起算的，须限定为已归入案件"),
        ({"categories": "penalty"}, "filed", "未归入案件的没有执法类别和环节"),
        ({"kinds": "film"}, "kinds", "不能用“film”"),
        ({"from": "2026-02-30"}, "from", "不是日期"),
    ],
)
def test_each_fault_stands_at_its_field_and_nothing_is_saved(
    keeper: httpx.Client, bureau: Bureau, change: dict[str, str], field: str, said: str
) -> None:
    row = {**ROW, **change}
    answer = keeper.post("/schedules/new", data=fields(row, {**ROW, "code": "second"}))
    assert answer.status_code == 422
    assert f'id="rules-r0-{field}-fault"' in answer.text
    assert "rules-r1-" not in "".join(re.findall(r'id="(rules-r1-\w+-fault)"', answer.text))
    assert said in words(answer)
    checks = words(keeper.post("/schedules/checks", data=fields(row, do=""), headers=HTMX))
    assert said in checks
    assert "第 1 条" in checks


def test_a_title_is_needed_and_codes_are_told_apart(keeper: httpx.Client) -> None:
    answer = keeper.post("/schedules/new", data=fields(ROW, ROW, title=""))
    assert answer.status_code == 422
    assert 'id="rules-title-fault"' in answer.text
    assert 'id="rules-r1-code-fault"' in answer.text
    assert keeper.post("/schedules/new", data=fields()).status_code == 422


def test_checks_say_what_is_to_be_looked_at(keeper: httpx.Client) -> None:
    def said(*rows: dict[str, Any], **headers: str) -> str:
        return words(keeper.post("/schedules/checks", data=fields(*rows), headers={**HTMX, **headers}))

    everything = {**ROW, "filed": "any", "unit": "permanent", "title": "全部"}
    assert "没有发现问题" in said(everything)
    assert "“自定条目”不起作用：凡适用它的，“全部”都保管得同样久或更久" in said(everything, {**ROW, "code": "b"})
    gap = said(ROW)
    assert "归入" in gap
    assert "将一直保留，不能处置" in gap
    assert "Case file volume" in said(ROW, **EN)


def test_a_form_that_is_too_large_is_refused(keeper: httpx.Client) -> None:
    many = fields(*[{**ROW, "code": f"c{number}"} for number in range(101)])
    assert keeper.post("/schedules/new", data=many).status_code == 422
    huge = {f"r{number}-code": "x" for number in range(300)}
    assert keeper.post("/schedules/new", data=huge).status_code == 400
    assert keeper.post("/schedules/rows", data={"r0-code": "x" * 2_000_000}).status_code == 413


# ---- comparing -------------------------------------------------------------------------------------------------------


def test_two_versions_are_compared_field_by_field(keeper: httpx.Client, auditor: httpx.Client) -> None:
    first = make(keeper, ROW, {**ROW, "code": "gone", "title": "会删去"}, title="甲版")
    second = make(
        keeper,
        {**ROW, "months": "2", "unit": "years", "kinds": ["photo"]},
        {**ROW, "code": "new", "title": "新添的"},
        title="乙版",
    )
    page = words(auditor.get(f"{second}/comparison?other={first.rpartition('/')[2]}"))
    for said in ("由“甲版”改为“乙版”", "9 个月", "2 年", "照片", "新添的", "会删去", "新增", "删去"):
        assert said in page, said
    assert "没有差异" in words(auditor.get(f"{first}/comparison?other={first.rpartition('/')[2]}"))
    for name in ("now", "default", "police"):
        assert auditor.get(f"{first}/comparison?other={name}").status_code == 200
    assert auditor.get(f"{first}/comparison?other=x").status_code == 404


# ---- what would change -----------------------------------------------------------------------------------------------


def work_out(bureau: Bureau, address: str) -> None:
    """Do the job of a trial, and no other of the bureau."""
    seed_schedules.work_out(bureau, TrialId(UUID(address.rpartition("/")[2])))


def test_a_trial_is_asked_for_watched_and_kept(keeper: httpx.Client, second: httpx.Client, bureau: Bureau) -> None:
    path = make(keeper, {**ROW, "filed": "any", "months": "1"}, title="一个月")
    asked = keeper.post(f"{path}/trials")
    assert asked.status_code == 303
    address = asked.headers["location"]
    waiting = keeper.get(address)
    assert f'hx-get="{address}"' in waiting.text
    assert "已算 0 / " in words(waiting)
    work_out(bureau, address)
    done = keeper.get(address, headers=HTMX)
    assert "<html" not in done.text
    assert "hx-trigger" not in done.text
    told = words(done)
    for said in ("缩短", "尚未算定期限", "自定条目", "按单位", "未结案件按今日结案推算"):
        assert said in told, said
    assert str(FIRST_UNIT) not in told, "units are told by their names"
    assert words(second.get(path)).count("已算完") == 1
    assert "已算完" not in words(keeper.get(make(keeper)))
    other = make(keeper)
    assert keeper.get(f"{other}/trials/{address.rpartition('/')[2]}").status_code == 404
    changed = keeper.post(f"{path}/draft", data=fields(ROW, title="九个月", seen=seen(second, path)))
    assert changed.status_code == 303
    assert "试算之后内容已改" in words(keeper.get(address))


def test_objects_of_a_trial_are_named_only_to_whoever_sees_them(
    base: str, keeper: httpx.Client, bureau: Bureau
) -> None:
    path = make(keeper, {**ROW, "filed": "any", "unit": "permanent"}, title="全部永久")
    address = keeper.post(f"{path}/trials").headers["location"]
    work_out(bureau, address)
    assert "later.mp4" in words(keeper.get(address)) or "询问.m4a" in words(keeper.get(address))
    usernames = seed.new_agency(bureau, "邻区综合行政执法局（试算）")
    with browser(base) as stranger:
        stranger.post("/sign-in", data={"username": usernames[Role.RECORDS_MANAGER], "password": PASSWORD})
        told = words(stranger.get(address))
    assert "您无权查看" in told
    assert "无权查看的对象" in told
    assert ".mp4" not in told
    assert ".m4a" not in told


def test_one_who_does_not_set_schedules_sees_no_trial(keeper: httpx.Client, auditor: httpx.Client) -> None:
    path = make(keeper)
    address = keeper.post(f"{path}/trials").headers["location"]
    assert auditor.get(address).status_code == 403
    assert address not in auditor.get(path).text


def test_an_administrator_neither_reads_nor_sets_schedules(administrator: httpx.Client, bureau: Bureau) -> None:
    schedule_id = save_schedule(bureau.services.database, "稿", RULES, by=OPERATOR, at=bureau.now())
    told = {"valid_from": today(bureau), "seen": "x"}
    assert administrator.get(f"/schedules/{schedule_id}").status_code == 403
    assert administrator.post(f"/schedules/{schedule_id}/force", data=told).status_code == 403
    with pytest.raises(Exception, match="second person"):
        put_in_force(
            bureau.services.database, schedule_id, valid_from=local_day(bureau.now()), seen="x", by=OPERATOR,
            at=bureau.now(),
        )  # fmt: skip
