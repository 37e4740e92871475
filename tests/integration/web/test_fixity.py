"""The page of fixity rounds, its API, and what the page of an item says of its last check."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.layout import object_root
from retention.rounds.models import ORIGINALS
from retention.rounds.outcomes import open_damage
from retention.rounds.reports import Month, ReportMade
from signing.cades import check_detached
from tests.integration.web.conftest import HTMX, words
from tests.support import seed
from tests.support.archive_home import flip
from tests.support.deployment import RawStores
from tests.support.seed import Bureau

NAME = "烂掉的录像.mp4"


@pytest.fixture(scope="module")
def damaged(bureau: Bureau) -> Iterator[ObjectId]:
    """An item one bit of which is another; there is no second copy to repair it from."""
    object_id = seed.deliver(bureau, seed.new_dock(bureau, "损坏测试站"), b"not a film" * 99, NAME)
    seed.sequence(bureau)
    path = original_of(bureau, object_id)
    flip(path)
    look_at(bureau, object_id)
    yield object_id
    flip(path)
    with bureau.services.database.read() as tx:
        found = open_damage(tx, object_id, ORIGINALS)
    assert found is not None
    assert bureau.services.rounds.repairs.repair(found.id, is_asked=True)


def original_of(bureau: Bureau, object_id: ObjectId) -> Path:
    return RawStores.of(bureau.services.settings) / "store" / object_root(object_id) / f"v1/content/original/{NAME}"


def look_at(bureau: Bureau, object_id: ObjectId) -> None:
    rounds = bureau.services.rounds
    rounds.ask([object_id], place=ORIGINALS)
    while rounds.go_on(is_whole=True).has_more:
        pass


def test_the_page_shows_figures_and_damage(
    supervisor: httpx.Client, administrator: httpx.Client, damaged: ObjectId
) -> None:
    page = supervisor.get("/fixity")
    assert page.status_code == 200
    for part in (
        "固定性检查",
        "原件",
        "周期内新入库",
        "没有第二副本",
        NAME,
        "无法修复",
        "没有可供修复的第二副本",
        "固定性",
    ):
        assert part in words(page), part
    assert f'href="/items/{damaged}"' in page.text
    page = administrator.get("/fixity")
    assert str(damaged) in page.text
    assert NAME not in page.text, "who keeps machines going sees no names"
    assert "/retention/due" not in page.text, "nor tabs that are not theirs"
    assert str(damaged) in supervisor.get("/fixity?which=all").text
    assert supervisor.get("/fixity?which=all&cursor=x").status_code == 400
    part = supervisor.get("/fixity?which=all&cursor=" + far_cursor(), headers=HTMX)
    assert part.status_code == 200
    assert str(damaged) in part.text
    assert "<h1" not in part.text
    english = supervisor.get("/fixity", headers={"Accept-Language": "en"})
    assert "Cannot be repaired" in words(english)


def far_cursor() -> str:
    return "damage~2999-01-01T00:00:00.000000Z~00000000-0000-7000-8000-000000000000"


def test_the_page_of_an_item_says_when_it_was_re_read(
    bureau: Bureau, supervisor: httpx.Client, damaged: ObjectId
) -> None:
    page = supervisor.get(f"/items/{damaged}")
    assert "最近重读" in words(page)
    assert "alert-bad" in page.text
    whole = bureau.items["audio"]
    look_at(bureau, whole)
    seed.sequence(bureau)
    page = words(supervisor.get(f"/items/{whole}"))
    assert "最近重读" in page
    assert "日志第" in page


def test_reports_can_be_read_and_taken_away(bureau: Bureau, auditor: httpx.Client, damaged: ObjectId) -> None:
    month = Month.of("2026-01")
    with contextlib.suppress(ReportMade):
        bureau.services.fixity_reports.make(month, by=OPERATOR)
    assert "2026-01" in words(auditor.get("/fixity"))
    page = auditor.get("/fixity/reports/2026-01")
    assert page.status_code == 200
    assert "2026-01 固定性报告" in words(page)
    report = auditor.get("/fixity/reports/2026-01/fixity-2026-01.json")
    signature = auditor.get("/fixity/reports/2026-01/fixity-2026-01.json.p7s")
    assert 'filename="fixity-2026-01.json"' in report.headers["content-disposition"]
    roots, at = bureau.services.authority.root_pem, bureau.now()
    told = check_detached(report.content, signature.content, trust_roots_pem=roots, at=at)
    assert told.outcome.value == "valid"
    assert auditor.get("/fixity/reports/2026-01/x").status_code == 404
    assert auditor.get("/fixity/reports/1999-01").status_code == 404
    answer = auditor.get("/api/v1/fixity/reports")
    assert [each["month"] for each in answer.json()["reports"]] == ["2026-01"]
    assert auditor.get("/api/v1/fixity/reports/2026-01").content == report.content
    assert auditor.get("/api/v1/fixity/reports/2026-01/signature").content == signature.content
    assert json.loads(report.content)["places"][0]["place"] == "originals"


def test_programs_get_the_same(auditor: httpx.Client, damaged: ObjectId) -> None:
    told = auditor.get("/api/v1/fixity").json()
    assert told["period_days"] == 90
    assert told["open_damage"] >= 1
    assert told["places"][0]["id"] == "originals"
    assert told["places"][0]["damaged"] >= 1
    rows = auditor.get("/api/v1/fixity/damage?open=true").json()["damage"]
    mine = next(row for row in rows if row["object_id"] == str(damaged))
    assert (mine["state"], mine["trouble"]) == ("found", "fixity.no_second_copy")
    assert {"code": "ocfl.content", "outcome": "invalid", "part": "v1/content/original"} in mine["findings"]
    assert NAME not in json.dumps(rows, ensure_ascii=False)
    first = auditor.get("/api/v1/fixity/damage?limit=1").json()
    assert len(first["damage"]) == 1
    assert auditor.get("/api/v1/fixity/damage?cursor=x").status_code == 400
