"""Officers, their portraits and records, reviewers and lawyers, and their sheets: the administrator's pages."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from archive.access.policy import Role
from archive.kernel.ids import OfficerId, UnitId
from archive.kernel.instants import BUREAU_ZONE
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import record_unit
from archive.web.app import create_app
from tests.integration.web.conftest import browser, words
from tests.support import footage, hostile, seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import make

EN = {"Accept-Language": "en"}


@pytest.fixture
def officer_id(home: ArchiveHome) -> OfficerId:  # noqa: F811
    facts = OfficerFacts("01160001", "马俊", "1", categories=["市容"])
    return record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())


@pytest.fixture
def admin(home: ArchiveHome) -> Iterator[httpx.Client]:  # noqa: F811
    make(home, "admin", Role.ADMINISTRATOR, display_name="周敏")
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        assert client.post("/sign-in", data={"username": "admin", "password": PASSWORD}).status_code == 303
        yield client


def details(home: ArchiveHome, kind: str) -> list[Any]:  # noqa: F811
    rows = home.rows("SELECT e.body, d.detail FROM log_entry e JOIN log_detail d ON d.entry_id = e.id ORDER BY e.id")
    return [json.loads(bytes(detail)) for body, detail in rows if json.loads(bytes(body))["type"] == kind]


def sheet(client: httpx.Client, what: str, data: bytes, mode: str) -> httpx.Response:
    files = {"file": ("sheet.csv", data)}
    return client.post("/admin/officers/sheets", data={"what": what, "mode": mode}, files=files)


def test_an_officer_is_recorded_changed_suspended_and_reinstated(admin: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    faults = admin.post("/admin/officers", data={"name": "马俊", "valid_from": "gestern"})
    assert faults.status_code == 422
    assert "日期请写成 2026-03-01" in words(faults)
    data = {"certificate_number": "0116", "name": "马俊 <b>", "agency": "1", "valid_until": "2040-01-01"}
    made = admin.post("/admin/officers", data=data).headers["location"]
    here = made.partition("?")[0]
    page = words(admin.get(made))
    assert "执法人员已登记" in page
    assert "马俊 <b>" in page
    assert here in admin.get("/admin/officers").text
    changed = admin.post(f"{here}/changes", data={**data, "name": "马骏", "area": "官渡区"})
    assert changed.headers["location"] == f"{here}?done=officer_recorded"
    assert admin.post(f"{here}/suspension", data={"reason": ""}).status_code == 422
    assert admin.post(f"{here}/suspension", data={"reason": "立案调查"}).status_code == 303
    assert admin.post(f"{here}/suspension", data={"reason": "again"}).status_code == 422
    page = words(admin.get(here))
    assert "执法证暂扣于" in page
    assert "立案调查" in page
    assert admin.post(f"{here}/reinstatement").status_code == 303
    assert admin.post(f"{here}/reinstatement").status_code == 409
    page = words(admin.get(here))
    assert page.count("周敏") >= 4, "each change with who made it"
    assert "执法区域、姓名" in page
    other = {**data, "certificate_number": "0117", "name": "李"}
    admin.post("/admin/officers", data=other)
    assert admin.post(f"{here}/changes", data=other).status_code == 422
    home.assert_sound()


def test_a_portrait_is_kept_sealed_replaced_and_removed(
    admin: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    officer_id: OfficerId,
    tmp_path: Path,
) -> None:
    here = f"/admin/officers/{officer_id}"
    assert admin.get(f"{here}/photo").status_code == 404
    assert "无照片" in admin.get(here).text
    plain = footage.still(tmp_path / "a.jpg", size=(320, 240)).read_bytes()
    sent = plain[:2] + hostile.exif_segment(orientation=1) + plain[2:]
    for bad in (b"", b"<svg onload='alert(1)'/>", sent[:300], b"x" * (5 * 1024 * 1024 + 1)):
        answer = admin.post(f"{here}/photo", files={"file": ("a.jpg", bad, "image/jpeg")})
        assert answer.status_code == 422
        assert "照片须为可读取的 JPEG 或 PNG 文件" in words(answer)
    assert home.count("officer_photo") == 0
    answer = admin.post(f"{here}/photo", files={"file": ("a.exe", sent, "text/html")})
    assert answer.headers["location"] == f"{here}?done=photo_set"
    shown = admin.get(f"{here}/photo")
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert b"Exif" not in shown.content
    told = details(home, "admin.officer_photo_set")[-1]
    assert told["sha256"] == hashlib.sha256(shown.content).hexdigest()
    sealed = bytes(home.rows("SELECT sealed FROM officer_photo")[0][0])
    assert shown.content[200:260] not in sealed
    assert re.search(rf"{here}/photo\?{told['sha256'][:12]}", admin.get(here).text)
    png = footage.still(tmp_path / "b.png", size=(300, 400)).read_bytes()
    assert admin.post(f"{here}/photo", files={"file": ("b.png", png)}).status_code == 303
    assert details(home, "admin.officer_photo_set")[-1]["was"] == {"photo": told["sha256"]}
    assert admin.get(f"{here}/photo").content != shown.content
    home.assert_sound()
    assert admin.post(f"{here}/photo/removal").headers["location"] == f"{here}?done=photo_removed"
    assert admin.post(f"{here}/photo/removal").status_code == 404
    assert admin.get(f"{here}/photo").status_code == 404
    page = words(admin.get(here))
    assert "删除照片" in page
    assert "保存照片" in page
    home.assert_sound()


def test_training_is_added_corrected_by_another_row_and_withdrawn(
    admin: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    officer_id: OfficerId,
) -> None:
    here = f"/admin/officers/{officer_id}"
    today = home.clock.now().astimezone(BUREAU_ZONE).date()
    good = {"kind": "training", "subject": "行政处罚法 <i>", "held_on": str(today), "hours": "40.5"}
    for change, told in (
        ({"hours": ""}, "请填写此项"),
        ({"hours": "1.25"}, "小数最多一位"),
        ({"held_on": "2099-01-01"}, "尚未举办"),
        ({"held_on": ""}, "请填写此项"),
        ({"kind": "examination"}, "请填写此项"),
        ({"kind": "dance"}, "请选择一项"),
        ({"valid_until": str(today - timedelta(days=1))}, "有效期早于举办日期"),
    ):
        answer = admin.post(f"{here}/records", data={**good, **change})
        assert answer.status_code == 422, change
        assert told in words(answer), change
    assert admin.post(f"{here}/records", data=good).status_code == 303
    assert "已有相同的记录" in words(admin.post(f"{here}/records", data=good))
    page = admin.get(here)
    assert "40.5 学时，要求 60 学时" in words(page)
    assert "尚未达标" in words(page)
    old = re.search(r'name="replaces" value="([^"]+)"', page.text)
    assert old is not None
    correction = {**good, "hours": "62", "replaces": old[1]}
    assert admin.post(f"{here}/records", data=correction).status_code == 422, "a correction has its reason"
    assert admin.post(f"{here}/records", data={**correction, "reason": "学时有误"}).status_code == 303
    assert admin.post(f"{here}/records", data={**correction, "hours": "1", "reason": "x"}).status_code == 422
    page = admin.get(here)
    assert "62 学时，要求 60 学时" in words(page)
    assert "已达标" in words(page)
    assert "已更正" in words(page)
    withdrawal = re.search(r'action="([^"]+/withdrawal)"', page.text)
    assert withdrawal is not None
    assert admin.post(withdrawal[1], data={"reason": ""}).status_code == 422
    assert admin.post(withdrawal[1], data={"reason": "登记错人"}).status_code == 303
    assert admin.post(withdrawal[1], data={"reason": "x"}).status_code == 422
    assert admin.post(f"{here}/records/{officer_id}/withdrawal", data={"reason": "x"}).status_code == 404
    assert "0 学时，要求 60 学时" in words(admin.get(here))
    assert home.rows("SELECT count(*), count(withdrawn_at) FROM officer_record") == [(2, 2)]
    home.assert_sound()


def test_sheets_of_training_and_of_legal_staff_go_out_and_come_in_again(
    admin: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    officer_id: OfficerId,
) -> None:
    make(home, "lv", Role.LEGAL_REVIEWER, display_name="吕")
    records = (
        "执法证号,姓名,类别,内容,日期,学时,成绩,结果\n"
        "01160001,马俊,培训,处罚法,2026-01-02,8,,\n"
        "01160001,马俊,考试,执法资格,2026-01-03,,88.5,合格\n"
    ).encode()
    legal = (
        "人员编号,姓名,类别,执法机关,机构,法律职业资格证号,资格取得日期,任职日期,账号\n"
        "F1,吕,法制审核人员,1,,A20101,2010-03-01,2020-01-01,lv\n"
        "F2,方,公职律师,1,,,,2021-01-01,\n"
    ).encode()
    for what, data in (("records", records), ("legal_staff", legal)):
        before = home.types()
        assert "新增 2，变更 0，无变化 0，有问题 0" in words(sheet(admin, what, data, "check"))
        assert home.types() == before
        assert "表格已导入" in words(sheet(admin, what, data, "import"))
        for ending in ("csv", "xlsx"):
            out = admin.get(f"/admin/officers/sheets/{what}.{ending}")
            assert out.headers["cache-control"] == "no-store"
            again = sheet(admin, what, out.content, "import")
            assert again.status_code == 200
            assert "新增 0，变更 0，无变化 2，有问题 0" in words(again)
    assert home.count("officer_record") == 2
    assert home.rows("SELECT number, qualification_number FROM legal_staff ORDER BY number") == [
        ("F1", "A20101"),
        ("F2", None),
    ]
    bad = (
        "执法证号,姓名,类别,内容,日期,学时,结果\n"
        "404,谁,培训,x,2026-01-02,8,\n"
        "01160001,别人,培训,x,2026-01-02,8,\n"
        "01160001,马俊,舞会,x,2026-01-02,8,\n"
        "01160001,马俊,培训,x,2026-02-30,8,\n"
        "01160001,马俊,培训,x,2026-01-02,八,\n"
        "01160001,马俊,考试,x,2026-01-02,,\n"
        "01160001,马俊,培训,x,2026-01-02,8,\n"
        "01160001,马俊,培训,x,2026-01-02,8,\n"
    ).encode()
    answer = sheet(admin, "records", bad, "import")
    assert answer.status_code == 422
    found = words(answer)
    for told in ("属于另一姓名", "不在可选范围内", "小数最多一位", "培训须填写学时", "重复"):
        assert told in found
    assert home.count("officer_record") == 2
    twice = sheet(admin, "records", b"kind,kind,certificate number,subject,date\n", "check")
    assert twice.status_code == 422
    assert "重复的列名" in words(twice)
    assert sheet(admin, "nothing", b"x", "check").status_code == 422
    home.assert_sound()


@pytest.mark.usefixtures("officer_id")
def test_reviewers_are_recorded_linked_ended_and_counted(
    admin: httpx.Client,
    home: ArchiveHome,  # noqa: F811
) -> None:
    make(home, "lv", Role.LEGAL_REVIEWER, display_name="吕")
    page = words(admin.get("/admin/legal-staff"))
    assert "没有对应的在任且有资格的人员： 吕 lv" in page
    assert "1 0 1 不足" in page
    good = {"number": "F1", "name": "吕", "kind": "reviewer", "agency": "1", "since": "2020-01-01", "account": "lv"}
    for change, told in (
        ({"account": "nobody"}, "没有此用户名的账号"),
        ({"qualification_number": "A1"}, "须同时填写"),
        ({"until": "2019-01-01"}, "截止日期早于任职日期"),
        ({"since": "x"}, "日期请写成"),
    ):
        answer = admin.post("/admin/legal-staff", data={**good, **change})
        assert answer.status_code == 422
        assert told in words(answer), change
    made = admin.post("/admin/legal-staff", data=good).headers["location"].partition("?")[0]
    assert "无资格" in words(admin.get(made))
    assert "吕 lv" in words(admin.get("/admin/legal-staff"))
    qualified = {**good, "qualification_number": "A1", "qualified_on": "2010-01-01"}
    assert admin.post(f"{made}/changes", data=qualified).status_code == 303
    page = words(admin.get("/admin/legal-staff"))
    assert "没有对应的在任且有资格的人员" not in page
    assert "1 1 1 已达标" in page
    other = {**good, "number": "F2", "name": "方"}
    assert "此账号已对应另一人员" in words(admin.post("/admin/legal-staff", data=other))
    today = home.clock.now().astimezone(BUREAU_ZONE).date()
    assert admin.post(f"{made}/end", data={"until": "2019-01-01", "reason": "x"}).status_code == 422
    ended = admin.post(f"{made}/end", data={"until": str(today - timedelta(days=1)), "reason": "调离"})
    assert ended.headers["location"] == f"{made}?done=legal_staff_ended"
    page = words(admin.get(made))
    assert "已终止" in page
    assert "调离" in page
    assert "没有对应的在任且有资格的人员" in words(admin.get("/admin/legal-staff"))
    assert "1 0 1 Too few" in words(admin.get("/admin/legal-staff", headers=EN))
    home.assert_sound()


def test_a_head_moves_a_case_and_is_led_to_what_is_still_seen(home: ArchiveHome) -> None:  # noqa: F811
    at = home.clock.now
    team = record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code="10", name="一中队", by=OPERATOR, at=at())
    sister = record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code="11", name="二中队", by=OPERATOR, at=at())
    make(home, "team", Role.UNIT_HEAD, unit_id=team)
    make(home, "all", Role.SUPERVISOR)
    case_id = home.case(by=home.signed_in("team").actor)
    here = f"/cases/{case_id}"
    with seed.listening(create_app(home.services)) as base, browser(base) as head, browser(base) as above:
        for client, name in ((head, "team"), (above, "all")):
            assert client.post("/sign-in", data={"username": name, "password": PASSWORD}).status_code == 303
        page = head.get(here).text
        assert f'action="{here}/unit"' in page
        assert head.post(f"{here}/unit", data={"unit": str(sister), "reason": ""}).status_code == 422
        moved = head.post(f"{here}/unit", data={"unit": str(sister), "reason": "管辖移送"})
        assert moved.headers["location"] == "/?done=case_moved"
        assert "案件已移交" in words(head.get(moved.headers["location"]))
        assert head.get(here).status_code == 404
        back = above.post(f"{here}/unit", data={"unit": str(team), "reason": "退回"})
        assert back.headers["location"] == f"{here}?done=case_moved"
        assert head.get(here).status_code == 200
    home.assert_sound()
