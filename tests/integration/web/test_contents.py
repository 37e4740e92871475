"""Documents and archives on their page: behind a purpose, as pictures, text and lists, and never as what they are."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from archive.access.policy import Role
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from tests.integration.web.conftest import everybody, words
from tests.support import papers, seed
from tests.support.seed import PEOPLE, Bureau

HTMX = {"hx-request": "true"}


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """A bureau of these tests' own: all its jobs are done."""
    made = seed.new_bureau(tmp_path_factory.mktemp("contents") / "home")
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def browsers(bureau: Bureau) -> Iterator[dict[Role | None, httpx.Client]]:
    with seed.listening(create_app(bureau.services)) as base, everybody(base) as made:
        yield made


@pytest.fixture(scope="module")
def filed(bureau: Bureau, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ObjectId]]:
    """A PDF of three pages, a text with markup in it, and an archive of 450 entries."""
    folder = tmp_path_factory.mktemp("contents")
    many = {f"现场/照片 {number:03d}.jpg": b"x" * number for number in range(450)} | {"<b>bold</b>.txt": b""}
    made = {
        "pdf": papers.pdf(folder / "a.pdf", [["One <script>alert(1)</script>"], ["Two"], ["Three"]]),
        "svg": _written(folder / "a.svg", "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>图</svg>"),
        "zip": papers.zip_file(folder / "a.zip", many),
        "ofd": papers.zip_file(folder / "a.ofd", {"OFD.xml": b"<x/>"}),
    }
    dock = seed.new_dock(bureau, "文件采集站")
    ids = {name: seed.deliver(bureau, dock, path.read_bytes(), path.name, device=None) for name, path in made.items()}
    seed.work(bureau)
    seed.sequence(bureau)
    yield ids


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def opened(client: httpx.Client, object_id: ObjectId) -> tuple[str, str]:
    """Open an item for a purpose; return the answer and the grant."""
    answer = client.post(f"/items/{object_id}/play", data={"purpose": "案卷评查", "reference": "任务 1"}, headers=HTMX)
    assert answer.status_code == 200
    found = re.search(r"/content/([0-9a-f-]{36})/", answer.text)
    return answer.text, found[1] if found else ""


def test_nothing_is_shown_before_a_purpose_is_stated(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    for name, told in (("pdf", "Three"), ("svg", "onload"), ("zip", "照片 001")):
        page = supervisor.get(f"/items/{filed[name]}")
        assert page.status_code == 200
        assert told not in page.text
        assert "可查看" in words(page)
    assert "3 页" in words(supervisor.get(f"/items/{filed['pdf']}"))
    assert "451 项" in words(supervisor.get(f"/items/{filed['zip']}"))


def test_pages_are_pictures_under_the_grant(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    text, grant = opened(supervisor, filed["pdf"])
    assert text.count("<img") == 3
    assert "1 / 3" in text
    assert "One &lt;script&gt;alert(1)&lt;/script&gt;" in text
    for number in (1, 2, 3):
        picture = supervisor.get(f"/content/{grant}/pages/{number}")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert picture.content.startswith(b"\xff\xd8\xff")
        assert picture.content.endswith(b"\xff\xd9")
        assert picture.headers["cache-control"] == "private, no-store"
    part = supervisor.get(f"/content/{grant}/pages/2", headers={"range": "bytes=2-9"})
    whole = supervisor.get(f"/content/{grant}/pages/2").content
    assert (part.status_code, part.content) == (206, whole[2:10])
    tail = supervisor.get(f"/content/{grant}/pages/2", headers={"range": "bytes=-2"})
    assert tail.content == b"\xff\xd9"
    for number in ("0", "4", "-1", "99999999999999999999"):
        assert supervisor.get(f"/content/{grant}/pages/{number}").status_code == 404
    assert supervisor.get(f"/content/{grant}/entries").status_code == 404
    assert supervisor.get(f"/content/{grant}/document").status_code == 404


def test_markup_is_shown_as_the_text_that_it_is(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    text, _ = opened(supervisor, filed["svg"])
    assert "&lt;svg xmlns=" in text
    assert "<svg xmlns=" not in text
    assert "<img" not in text


def test_an_archive_is_a_list_that_goes_on(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    text, grant = opened(supervisor, filed["zip"])
    assert text.count('class="entry-name"') == 200
    assert "照片 000.jpg" in text
    assert "只列出、不解压" in text
    names, after = 200, "200"
    while after:
        more = supervisor.get(f"/content/{grant}/entries?after={after}", headers=HTMX)
        names += more.text.count('class="entry-name"')
        found = re.search(r"entries\?after=(\d+)", more.text)
        after = found[1] if found else ""
    assert names == 451
    assert "&lt;b&gt;bold&lt;/b&gt;.txt" in more.text
    assert supervisor.get(f"/content/{grant}/entries?after=999999").text.count("entry-name") == 0
    assert supervisor.get(f"/content/{grant}/pages/1").status_code == 404


def test_a_grant_of_somebody_else_opens_nothing(
    supervisor: httpx.Client, handler: httpx.Client, auditor: httpx.Client, filed: dict[str, ObjectId]
) -> None:
    _, grant = opened(supervisor, filed["pdf"])
    assert handler.get(f"/content/{grant}/pages/1").status_code == 404
    assert auditor.get(f"/content/{grant}/pages/1").status_code in {403, 404}
    _, listed = opened(supervisor, filed["zip"])
    assert handler.get(f"/content/{listed}/entries").status_code == 404


def test_every_view_is_in_the_log_with_its_purpose(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    opened(supervisor, filed["zip"])
    trail = words(supervisor.get(f"/objects/{filed['zip']}/trail", headers=HTMX))
    assert "案卷评查" in trail
    assert PEOPLE[Role.SUPERVISOR][1] in trail


def test_what_cannot_be_shown_says_why(supervisor: httpx.Client, filed: dict[str, ObjectId]) -> None:
    page = words(supervisor.get(f"/items/{filed['ofd']}"))
    for part in ("无法在页面中查看", "这里没有能显示此类文档的程序", "无法查看", "导出原件"):
        assert part in page
    assert supervisor.post(f"/items/{filed['ofd']}/play", data={"purpose": "x", "reference": "任务 1"}).status_code in {
        404,
        409,
    }
