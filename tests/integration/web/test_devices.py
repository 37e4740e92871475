"""Pages of devices: writing one down, handing it over, its clock, a list taken in."""

import httpx
import pytest

from archive.db.sight import FIRST_UNIT
from archive.evidence.clocks import ClockOffset
from archive.kernel.ids import new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.web.pages.device import chart_of
from tests.integration.web.conftest import HTMX, words
from tests.support.seed import UTC, Bureau, datetime

_serial = iter(range(1, 10_000))
FIRST = {
    "kind": "body_worn",
    "state": "in_service",
    "unit_id": str(FIRST_UNIT),
    "model": "X1",
    "firmware": "",
    "note": "",
}
CHECK = {"battery_percent": "95", "free_mib": "51200", "clock_offset_s": "-2", "remarks": "完好"}


def record(client: httpx.Client, serial: str | None = None) -> str:
    answer = client.post("/devices", data={**FIRST, "serial": serial or f"T-{next(_serial)}"})
    assert answer.status_code == 303, words(answer)
    return answer.headers["location"].partition("?")[0]


@pytest.fixture
def certificate(bureau: Bureau) -> str:
    number = f"5301{next(_serial):05}"
    facts = OfficerFacts(number, "<i>领用人</i>", "官渡区综合行政执法局")
    record_officer(bureau.services.database, facts, by=OPERATOR, at=bureau.now())
    return number


def test_a_device_is_written_down_and_changed(handler: httpx.Client) -> None:
    path = record(handler, "<b>DSJ</b>")
    page = handler.get(path)
    assert "<b>DSJ</b>" not in page.text
    changed = {**FIRST, "state": "repair", "note": "屏幕碎裂", "serial": "ignored"}
    assert handler.post(f"{path}/changes", data=changed).status_code == 303
    assert "屏幕碎裂" in words(handler.get(path))
    assert "DSJ" in handler.get("/devices?which=repair").text
    assert handler.post("/devices", data={**FIRST, "serial": "<b>DSJ</b>"}).status_code == 422
    for wrong in ({"kind": "x"}, {"state": "x"}, {"unit_id": str(new_uuid7())}, {"unit_id": ""}, {"model": "x" * 101}):
        assert handler.post(f"{path}/changes", data={**changed, **wrong}).status_code == 422


def test_a_device_is_handed_over(handler: httpx.Client, certificate: str) -> None:
    path = record(handler)
    fields = {"seen": "", "to": "officer", "certificate": certificate, **CHECK}
    for wrong in (
        {"certificate": "nobody"}, {"certificate": ""}, {"battery_percent": "101"}, {"battery_percent": "²"},
        {"battery_percent": ""}, {"free_mib": "-1"}, {"clock_offset_s": "1.5"}, {"seen": str(new_uuid7())}, {"seen": "x"},
    ):  # fmt: skip
        answer = handler.post(f"{path}/handovers", data={**fields, **wrong})
        assert answer.status_code == 422, wrong
        assert 'class="fault"' in answer.text, wrong
    assert handler.post(f"{path}/handovers", data=fields).status_code == 303
    page = handler.get(path)
    assert "<i>领用人</i>" not in page.text
    assert "领用人" in page.text
    assert "51,200" in page.text
    assert handler.post(f"{path}/handovers", data=fields).status_code == 422  # it is not in the store any more
    assert handler.post(f"{path}/changes", data={**FIRST, "state": "lost"}).status_code == 422
    seen = page.text.split('name="seen" value="')[1].split('"')[0]
    assert handler.post(f"{path}/handovers", data={"seen": seen, "to": "store"}).status_code == 303
    assert "库房" in words(handler.get(path))


def test_the_clock_of_what_came_is_shown(handler: httpx.Client) -> None:
    path = record(handler, "BWC-0117")  # two items of the scene are of it
    page = handler.get(path).text
    assert page.count("<circle") >= 2
    assert "超过 30 秒" not in page
    assert "快 1.3 秒" in page


def test_a_chart_keeps_every_point_inside() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert chart_of([ClockOffset(at, 5)]) is None
    for values in ([0, 0], [31_000, -31_000], [10**12, -(10**12), 1], list(range(200))):
        chart = chart_of([ClockOffset(at, value) for value in values])
        assert chart is not None
        assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y, _, _ in chart.points)
        assert [far for _, _, far, _ in chart.points] == [abs(value) > 30_000 for value in values]


def test_a_list_is_looked_through_and_taken_in(handler: httpx.Client) -> None:
    unit = handler.get("/devices").text.split('name="unit_id"')[1].split(">")[2].split("<")[0]
    good = f"序列号,类型,单位\nL-{next(_serial)},执法记录仪,{unit}\n".encode("gb18030")
    bad = b"serial,kind,unit\n<b>x</b>,drone,nowhere\n"

    def post(data: bytes, act: str) -> httpx.Response:
        return handler.post("/devices/lists", data={"act": act}, files={"file": ("a.csv", data, "text/csv")})

    answer = post(good, "check")
    assert (answer.status_code, "可以导入" in words(answer)) == (200, True)
    for act in ("check", "import"):
        answer = post(bad, act)
        assert answer.status_code == 422
        assert "nowhere" in words(answer)
    assert post(good, "import").headers["location"] == "/devices?done=devices_imported"
    assert post(good, "import").status_code == 422
    assert post(b"nonsense", "check").status_code == 422
    assert post(b"x" * (2 << 20), "check").status_code == 422
    assert handler.post("/devices/lists", data={"act": "check"}).status_code == 422


def test_the_list_goes_on(handler: httpx.Client) -> None:
    for _ in range(51):
        record(handler)
    page = handler.get("/devices").text
    more = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    rest = handler.get(more, headers=HTMX).text
    assert "<html" not in rest
    assert "row-link" in rest
    assert handler.get("/devices?cursor=x").status_code == 400
    assert handler.get("/devices?which=nonsense").status_code == 200
