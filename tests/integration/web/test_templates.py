"""Pages of templates: the list, the editor that loses nothing, putting in force, filing; hostile texts and their bounds."""

import itertools
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.documents.template_loading import TemplateInvalid, load_template
from archive.documents.template_register import put_in_force, save_template, shipped_versions
from archive.documents.templates import shipped_texts
from archive.ledger.entries import OPERATOR
from archive.organisation.listings import unit_rows
from archive.organisation.units import record_agency
from tests.integration.web.conftest import HTMX, browser, words
from tests.support.seed import PASSWORD, Bureau

_codes = (f"own_{number}" for number in itertools.count(1))
SHIPPED = next(each for each in shipped_versions() if each.template.code == "penalty_decision")


def text(version: int = 1, code: str | None = None, base: str = "service_receipt") -> str:
    """A template of a code that no other test has."""
    found = shipped_texts()[base].replace(f'code = "{base}"', f'code = "{code or next(_codes)}"', 1)
    return found.replace("version = 1", f"version = {version}", 1)


def send(client: httpx.Client, address: str, said: str, **more: str) -> httpx.Response:
    """Post a text as the editor does."""
    return client.post(address, data={"agency": "all", **more}, files={"text": (None, said.encode())})


def make(client: httpx.Client, said: str) -> str:
    answer = send(client, "/templates/new", said)
    assert answer.status_code == 303, words(answer)
    return answer.headers["location"].partition("?")[0]


def shown_text(answer: httpx.Response) -> str:
    """What stands in the editor."""
    found = re.search(r'<textarea id="text-text".*?>\n(.*?)</textarea>', answer.text, re.DOTALL)
    assert found is not None
    return (
        found[1]
        .replace("&#34;", '"')
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )


def test_everybody_who_files_reads_and_the_administrator_writes(
    handler: httpx.Client, administrator: httpx.Client
) -> None:
    page = handler.get("/templates")
    assert page.text.count("/templates/") >= 15
    assert "/templates/new" not in page.text
    told = words(page)
    assert "行政处罚决定书" in told
    assert "随软件" in told
    assert "未限定备案" in told
    one = words(handler.get(f"/templates/{SHIPPED.id}"))
    for said in ("罚款数额", "须填：", "“罚款数额”与“罚款数额（大写）”一致", "骑缝章", "第五十九条"):
        assert said in one, said
    assert "备案文号" not in one
    english = handler.get(f"/templates/{SHIPPED.id}", headers={"Accept-Language": "en"})
    assert "Decision on an administrative penalty" in english.text
    assert administrator.get("/templates/new").status_code == 200


def test_a_version_is_written_put_in_force_filed_and_withdrawn(
    administrator: httpx.Client, handler: httpx.Client, bureau: Bureau
) -> None:
    code = next(_codes)
    path = make(administrator, text(code=code))
    assert handler.get(path).status_code == 404, "a draft is its writers' own"
    page = administrator.get(path)
    seen = re.search(r'name="seen" value="([0-9a-f]{64})"', page.text)
    assert seen is not None
    better = text(code=code).replace('zh = "送达回证"', 'zh = "送达回证（改）"', 1)
    assert send(administrator, f"{path}/text", better, seen=seen[1]).status_code == 303
    late = send(administrator, f"{path}/text", better + "\n# mine", seen=seen[1])
    assert late.status_code == 422
    assert "他人已保存过这一版" in words(late)
    assert shown_text(late).endswith("# mine\n") or shown_text(late).endswith("# mine")
    today = local_day(bureau.now())
    early = administrator.post(f"{path}/force", data={"valid_from": (today - timedelta(days=1)).isoformat()})
    assert early.status_code == 422
    assert f"最早为 {today}" in words(early)
    assert (
        administrator.post(
            f"{path}/filing", data={"authority": "局", "filing_number": "1", "filed_on": str(today)}
        ).status_code
        == 422
    )
    assert administrator.post(f"{path}/force", data={"valid_from": today.isoformat()}).status_code == 303
    assert "施行中" in words(handler.get(path))
    for wrong in ({"filed_on": ""}, {"filed_on": "x"}, {"authority": ""}, {"filed_on": str(today + timedelta(days=2))}):
        filing = {"authority": "昆明市司法局", "filing_number": "备 7", "filed_on": today.isoformat(), **wrong}
        assert administrator.post(f"{path}/filing", data=filing).status_code == 422, wrong
    assert administrator.post(f"{path}/filing", data={**filing, "filed_on": today.isoformat()}).status_code == 303
    assert "昆明市司法局 · 备 7" in words(handler.get(path))
    assert send(administrator, f"{path}/text", better).status_code == 409
    second = make(administrator, shown_text(administrator.get(f"/templates/new?of={path.rpartition('/')[2]}")))
    assert "与第 1 版的差异" in words(administrator.get(second))
    assert administrator.post(f"{second}/withdrawal", data={"reason": ""}).status_code == 422
    assert administrator.post(f"{second}/withdrawal", data={"reason": "不需要"}).status_code == 303
    assert "已放弃" in words(administrator.get(second))
    assert administrator.post(f"{path}/withdrawal", data={"reason": "有误"}).status_code == 303
    assert "已停用" in words(handler.get(path))


def test_a_version_of_one_agency_is_nobody_elses(administrator: httpx.Client, base: str, bureau: Bureau) -> None:
    database, at = bureau.services.database, bureau.now()
    agency_id = record_agency(database, code="T7", name="邻区综合行政执法局", by=OPERATOR, at=at)
    with database.read() as tx:
        unit_id = next(row.unit.id for row in unit_rows(tx) if row.agency.id == agency_id)
    template_id = save_template(database, text(), agency_id=agency_id, by=OPERATOR, at=at)
    put_in_force(database, template_id, valid_from=local_day(at), by=OPERATOR, at=at)
    create_account(
        database, username="neighbour.t7", display_name="邻", roles=[Role.CASE_HANDLER], password=PASSWORD, unit_id=unit_id,
        by=OPERATOR, at=at,
    )  # fmt: skip
    with browser(base) as neighbour:
        neighbour.post("/sign-in", data={"username": "neighbour.t7", "password": PASSWORD})
        assert neighbour.get(f"/templates/{template_id}").status_code == 200
        assert str(template_id) in neighbour.get("/templates").text
    assert "邻区综合行政执法局" in words(administrator.get(f"/templates/{template_id}"))


def test_an_agencys_own_version_is_hidden_from_others(handler: httpx.Client, bureau: Bureau) -> None:
    database, at = bureau.services.database, bureau.now()
    agency_id = record_agency(database, code="T8", name="远区综合行政执法局", by=OPERATOR, at=at)
    template_id = save_template(database, text(), agency_id=agency_id, by=OPERATOR, at=at)
    put_in_force(database, template_id, valid_from=local_day(at), by=OPERATOR, at=at)
    assert str(template_id) not in handler.get("/templates").text
    for part in ("", "/pages", "/template.toml", "/example.pdf"):
        assert handler.get(f"/templates/{template_id}{part}").status_code == 404


# ---- what is wrong comes back, with its line -------------------------------------------------------------------------


def _broken(said: str, before: str, after: str) -> tuple[str, int]:
    """The text with something replaced, and the line where that stands."""
    assert before in said
    broken = said.replace(before, after, 1)
    return broken, said[: said.index(before)].count("\n") + 1


FAULTS = {
    "unknown name": ('layout = "receipt"', 'layouts = "receipt"', "没有这个名称"),
    "wrong kind": ('kind = "officers"', 'kind = "sheriffs"', "没有“sheriffs”这种类型"),
    "no such field": ("{agency}", "{agencies}", "没有名为 agencies 的栏目"),
    "twice": ('name = "cause"', 'name = "agency"', "agency 重复"),
    "no such form": ('form = "service_receipt"', 'form = "poem"', "文书类型只能是"),
    "no TOML": ("[filing]", "[filing", "TOML 语法有误"),
    "no number": ("version = 1", 'version = "1"', "值的类型不对"),
    "fill": ('fill = "case.title"', 'fill = "case.filed_on"', "的类型不能由 case.filed_on 带入"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_with_its_line_and_the_text_comes_back(administrator: httpx.Client, fault: str) -> None:
    before, after, told = FAULTS[fault]
    said, line = _broken(text(), before, after)
    answer = send(administrator, "/templates/new", said)
    assert answer.status_code == 422
    assert told in words(answer)
    lines = {int(found) for found in re.findall(r'data-line="(\d+)"', answer.text)}
    # A name that is there twice, or a field of a kind of its own, is told where its table begins.
    assert any(line - 2 <= each <= line + 1 for each in lines), (line, lines)
    assert shown_text(answer).strip() == said.strip()
    preview = send(administrator, "/templates/preview", said)
    assert preview.status_code == 422
    assert told in words(preview)
    assert "<img" not in preview.text


BOMBS = {
    "deep arrays": "a = " + "[" * 60_000,
    "deep tables": "a = " + "{a = " * 9000 + "1" + "}" * 9000,
    "a name of many parts": "a." * 60_000 + "a = 1",
    "a table of many parts": "[" + "a." * 60_000 + "a]",
    "names of many parts": "\n".join(f"{'a.' * 99}k{number} = 1" for number in range(900)),
    "many names": "\n".join(f"k{number} = 1" for number in range(14_000)),
    "many tables": "[[field]]\n" * 19_000,
    "many blocks": '[[body]]\nkind = "signing"\nroles = ["a"]\n' * 4000,
    "a long number": "version = " + "9" * 100_000,
    "a long text": 'a = "' + "字" * 190_000 + '"',
    "too long": "# " + "字" * 330_000,
    "a float that is none": "version = nan",
    "nothing but brackets": "[" * 190_000,
    "control characters": 'a = "\x00\x07"',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_text_keeps_the_reader_of_templates_busy_for_long(bomb: str) -> None:
    with pytest.raises(TemplateInvalid) as refused:
        load_template(BOMBS[bomb])
    assert refused.value.faults


def test_a_text_of_a_megabyte_comes_back_and_a_larger_one_is_refused(administrator: httpx.Client) -> None:
    said = "# " + "x" * (1024 * 1024)
    answer = send(administrator, "/templates/new", said)
    assert answer.status_code == 422
    assert "格式文本最多 200000 字" in words(answer)
    assert shown_text(answer).strip() == said
    assert send(administrator, "/templates/new", "# " + "x" * (5 * 1024 * 1024)).status_code in {400, 413, 422}


def test_a_file_is_taken_in_and_one_that_is_no_text_is_told(administrator: httpx.Client) -> None:
    taken = administrator.post("/templates/new", files={"file": ("格式.toml", text().encode(), "application/toml")})
    assert taken.status_code == 303, words(taken)
    wrong = administrator.post("/templates/new", files={"file": ("格式.toml", b"a = '\xff\xfe'", "text/plain")})
    assert wrong.status_code == 422
    assert "不是 UTF-8" in words(wrong)
    assert "a = " in shown_text(wrong)
    assert administrator.post("/templates/new", files={"file": ("格式.toml", b"")}).status_code == 422


# ---- how it looks ----------------------------------------------------------------------------------------------------


def test_the_preview_shows_every_page_as_a_picture(administrator: httpx.Client) -> None:
    answer = send(administrator, "/templates/preview", shipped_texts()["penalty_decision"])
    assert answer.status_code == 200
    assert answer.text.count('src="data:image/png;base64,') == 3
    assert administrator.get(f"/templates/{SHIPPED.id}/pages", headers=HTMX).text.count("<img") == 3


def test_what_a_template_says_is_set_as_text_and_reads_no_file(administrator: httpx.Client, tmp_path: Path) -> None:
    attack = '#read("/etc/passwd") #include "looks.typ" $x$ \\#eval("1+1") #image("paper.typ")'
    said = text().replace('title.zh = "送达回证"', f"title.zh = '{attack}'", 1)
    path = make(administrator, said)
    answer = administrator.get(f"{path}/example.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    (tmp_path / "example.pdf").write_bytes(answer.content)
    shown = subprocess.run(
        ["pdftotext", tmp_path / "example.pdf", "-"], capture_output=True, check=True, text=True
    ).stdout
    plain = re.sub(r"\s", "", shown)
    assert re.sub(r"\s", "", attack) in plain
    assert "root:" not in plain


def test_a_paper_that_would_take_long_is_not_set(administrator: httpx.Client) -> None:
    block = '\n[[body]]\nkind = "row"\ncells = [["一", "二"]]\nlines = 30\n'
    said = text() + block * 300
    answer = send(administrator, "/templates/preview", said)
    assert answer.status_code == 200
    assert "成文过长" in words(answer)
    path = make(administrator, said)
    assert administrator.get(f"{path}/example.pdf").status_code == 400
    assert "成文过长" in words(administrator.get(f"{path}/pages"))


def test_the_text_is_given_out_as_it_was_written(administrator: httpx.Client, handler: httpx.Client) -> None:
    said = text().replace("\n", "\r\n", 3)
    path = make(administrator, said)
    answer = administrator.get(f"{path}/template.toml")
    assert answer.text == said.replace("\r\n", "\n")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert handler.get(f"/templates/{SHIPPED.id}/template.toml").text == SHIPPED.text
