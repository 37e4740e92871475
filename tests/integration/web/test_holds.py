"""Pages of holds and marks: placing with a count, reviewing, releasing by a second person, boxes on things."""

import itertools
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import new_uuid7
from tests.integration.web.conftest import HTMX, VIDEO, words
from tests.support.seed import Bureau

PAPER = "官渡区人民法院（2026）云0111行初12号应诉通知书"
NUMBER = "官综执罚〔2026〕第031号"
_requests = itertools.count(1)


@pytest.fixture
def keeper(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.RECORDS_MANAGER]


@pytest.fixture
def lawyer(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.LEGAL_REVIEWER]


def filled(bureau: Bureau, **changes: str) -> dict[str, str]:
    day = local_day(bureau.now()) + timedelta(days=90)
    usual = {
        "authority": PAPER,
        "reason": "行政诉讼",
        "review_on": day.isoformat(),
        "request": f"web-{next(_requests)}",
    }
    return {"scope": "case", "case": NUMBER, **usual, **changes}


def place(client: httpx.Client, bureau: Bureau, **changes: str) -> str:
    answer = client.post("/holds", data=filled(bureau, **changes))
    assert answer.status_code == 303, words(answer)
    assert answer.headers["location"].endswith("?done=hold_placed")
    return answer.headers["location"].partition("?")[0]


def release(client: httpx.Client, path: str) -> httpx.Response:
    return client.post(f"{path}/release", data={"reason": "判决生效"})


def count(bureau: Bureau, table: str) -> Any:
    with bureau.services.database.read() as tx:
        return tx.scalar(text(f"SELECT count(*) FROM {table}"))


def test_a_hold_is_placed_shown_reviewed_and_released_by_another(
    keeper: httpx.Client, lawyer: httpx.Client, bureau: Bureau
) -> None:
    path = place(keeper, bureau)
    page = words(keeper.get(path))
    for shown in ("冻〔", PAPER, "行政诉讼", "占道经营烧烤摊点案", VIDEO, "须由另一人解除"):
        assert shown in page
    assert path.split("/")[-1] in keeper.get("/holds").text
    own = keeper.post(f"{path}/release", data={"reason": "x"})
    assert (own.status_code, "须由另一人解除" in words(own)) == (422, True)
    day = (local_day(bureau.now()) + timedelta(days=200)).isoformat()
    assert keeper.post(f"{path}/reviews", data={"reason": "二审中", "review_on": day}).status_code == 303
    assert "二审中" in words(keeper.get(path))
    assert release(lawyer, path).status_code == 303
    page = words(lawyer.get(path))
    assert ("已解除" in page, "判决生效" in page) == (True, True)
    assert release(lawyer, path).status_code == 422
    assert keeper.post(f"{path}/reviews", data={"reason": "x", "review_on": day}).status_code == 422
    assert path.split("/")[-1] not in keeper.get("/holds").text
    assert path.split("/")[-1] in keeper.get("/holds?which=released").text


def test_the_same_form_sent_twice_places_one_hold(keeper: httpx.Client, lawyer: httpx.Client, bureau: Bureau) -> None:
    before = count(bureau, "hold")
    path = place(keeper, bureau, request="twice")
    assert place(keeper, bureau, request="twice") == path
    assert count(bureau, "hold") == before + 1
    answer = keeper.post("/holds", data=filled(bureau, request="twice", reason="另一事由"))
    assert (answer.status_code, "刷新" in words(answer)) == (422, True)
    release(lawyer, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "all"}, {"scope": ""}, {"case": ""}, {"case": "没有"}, {"scope": "object"}, {"scope": "object", "object": "x"},
        {"scope": "object", "object": f"/items/{new_uuid7()}"}, {"scope": "subject", "subject": str(new_uuid7())},
        {"scope": "query"}, {"scope": "query", "unit": str(new_uuid7())}, {"scope": "query", "unit": str(FIRST_UNIT), "kind": "x"},
        {"scope": "query", "unit": str(FIRST_UNIT), "recorded_from": "2026-03-02T00:00", "recorded_until": "2026-03-01T00:00"},
        {"scope": "query", "unit": str(FIRST_UNIT), "device": "a\0b"}, {"authority": " "}, {"reason": "x" * 1001},
        {"review_on": ""}, {"review_on": "2020-01-01"}, {"review_on": "2999-01-01"}, {"review_on": "x"}, {"request": ""},
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_held(
    keeper: httpx.Client, bureau: Bureau, changes: dict[str, str]
) -> None:
    before = count(bureau, "hold")
    answer = keeper.post("/holds", data=filled(bureau, **changes))
    assert answer.status_code == 422
    assert 'class="fault"' in answer.text or changes == {"request": ""}
    assert count(bureau, "hold") == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "项"), ({"case": "没有"}, "填写范围后"), ({"scope": "query", "unit": str(FIRST_UNIT)}, "项"),
        ({"scope": "query", "unit": str(FIRST_UNIT), "device": "NONE"}, "目前没有符合的内容"), ({"scope": "x"}, "填写范围后"),
    ],
)  # fmt: skip
def test_what_a_hold_would_cover_is_counted_while_it_is_filled_in(
    keeper: httpx.Client, bureau: Bureau, changes: dict[str, str], told: str
) -> None:
    before = count(bureau, "hold")
    answer = keeper.post("/holds/preview", data=filled(bureau, authority="", **changes), headers=HTMX)
    assert answer.status_code == 200
    assert told in words(answer)
    assert "<html" not in answer.text
    assert count(bureau, "hold") == before


def test_a_query_is_placed_and_said_in_words(keeper: httpx.Client, lawyer: httpx.Client, bureau: Bureau) -> None:
    path = place(
        keeper, bureau, scope="query", unit=str(FIRST_UNIT), kind="footage", category="penalty", number_prefix="官综执罚",
        recorded_from="2026-03-01T00:00", recorded_until="2026-04-01T00:00",
    )  # fmt: skip
    page = words(keeper.get(path))
    for shown in ("录像", "行政处罚" if "行政处罚" in page else "处罚", "官综执罚", "2026-03-01 00:00", VIDEO):
        assert shown in page
    release(lawyer, path)


@pytest.mark.parametrize("thing", ["object", "case", "subject"])
def test_the_form_is_begun_from_the_page_of_a_thing(keeper: httpx.Client, bureau: Bureau, thing: str) -> None:
    place_of = {"object": ("items", bureau.items["video"]), "case": ("cases", bureau.cases["main"]),
                "subject": ("subjects", bureau.subjects["main"])}  # fmt: skip
    folder, thing_id = place_of[thing]
    assert f"/holds?{thing}={thing_id}" in keeper.get(f"/{folder}/{thing_id}").text
    page = keeper.get(f"/holds?{thing}={thing_id}")
    assert f'value="/{folder}/{thing_id}"' in page.text
    assert re.search(rf'value="{thing}" required checked', page.text)
    assert "项" in words(page)
    fresh = re.search(r'name="request" value="([^"]+)"', page.text)
    assert fresh is not None


def test_things_say_that_they_are_held_and_to_whom_they_may_by_what(
    keeper: httpx.Client, lawyer: httpx.Client, handler: httpx.Client, bureau: Bureau
) -> None:
    path = place(keeper, bureau)
    addresses = [
        f"/items/{bureau.items['video']}",
        f"/records/{bureau.records['inspection']}",
        f"/cases/{bureau.cases['main']}",
    ]
    for address in addresses:
        assert f'href="{path}"' in lawyer.get(address).text
        page = handler.get(address)
        assert f'href="{path}"' not in page.text
        assert "已冻结" in words(page)
    release(lawyer, path)
    assert all("没有冻结" in words(handler.get(address)) for address in addresses)


def test_lists_go_on_page_by_page(keeper: httpx.Client, lawyer: httpx.Client, bureau: Bureau) -> None:
    paths = [place(keeper, bureau, scope="query", unit=str(FIRST_UNIT), device=f"D{number}") for number in range(51)]
    page = keeper.get("/holds")
    more = re.search(r'hx-get="([^"]+)"', page.text)
    assert more is not None
    part = keeper.get(more[1].replace("&amp;", "&"), headers=HTMX)
    assert "<html" not in part.text
    assert all((path in page.text) != (path in part.text) for path in paths)
    assert keeper.get("/holds?cursor=x~y").status_code == 400
    assert keeper.get(f"{paths[0]}?cursor=x~y").status_code == 400
    for path in paths:
        assert release(lawyer, path).status_code == 303


def test_marks_are_set_shown_and_taken_back(handler: httpx.Client, keeper: httpx.Client, bureau: Bureau) -> None:
    item, case = f"/items/{bureau.items['video']}", f"/cases/{bureau.cases['main']}"
    mark_of_item = f"/objects/{bureau.items['video']}/marks"
    assert handler.post(mark_of_item, data={"mark": "evidence", "reason": ""}).headers["location"] == (
        f"{item}?done=mark_needs_a_reason#keeping"
    )
    given = {"mark": "evidence", "reason": "定案依据"}
    assert handler.post(mark_of_item, data=given).headers["location"] == f"{item}?done=marked#keeping"
    assert handler.post(mark_of_item, data=given).headers["location"] == f"{item}?done=mark_stands#keeping"
    given = {"mark": "complex", "reason": "疑难"}
    assert handler.post(f"{case}/marks", data=given).headers["location"] == f"{case}?done=marked#keeping"
    page = keeper.get(item)
    assert all(shown in words(page) for shown in ("用作证据", "定案依据", "重大、疑难、复杂", "添加保管标记"))
    assert "疑难" in words(keeper.get(case))
    for address in (item, case):
        (removal,) = re.findall(r'action="(/marks/[0-9a-f-]+/removal)"', handler.get(address).text)
        assert handler.post(removal, data={"reason": ""}).headers["location"].startswith(f"{address}?done=mark_needs")
        assert handler.post(removal, data={"reason": "误标"}).headers["location"] == f"{address}?done=unmarked#keeping"
        assert handler.post(removal, data={"reason": "误标"}).status_code == 404
    assert "没有标记" in words(handler.get(item))


def test_pages_speak_english(keeper: httpx.Client, lawyer: httpx.Client, bureau: Bureau) -> None:
    path = place(keeper, bureau)
    english = {"Accept-Language": "en"}
    assert "You placed this hold" in words(keeper.get(path, headers=english))
    assert "Place a hold" in words(keeper.get("/holds", headers=english))
    release(lawyer, path)
