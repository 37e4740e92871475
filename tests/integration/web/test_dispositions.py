"""Pages of disposition: a dry run, seven people in their own browsers, the recovery period, certificate and tombstone."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from archive.access.policy import Role
from archive.kernel.ids import DispositionId, ObjectId
from archive.ledger.proofs import head
from archive.ledger.tree import leaf_hash
from archive.web.app import create_app
from retention.disposition.terms import ListState
from tests.integration.web.conftest import HTMX, browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, SteppedClock, copy_home
from tests.support.deployment import new_database
from tests.support.disposals import SEASON, Disposal, new_disposal
from tests.support.due import due, hold

EN = {"Accept-Language": "en"}
WORDS = "已逐件审核"


class House:
    """An archive that is served, its people, and a browser for each of them."""

    def __init__(self, disposal: Disposal, base: str, opened: ExitStack) -> None:
        self.disposal, self.home, self._base, self._opened = disposal, disposal.home, base, opened
        self._dock = self.home.dock()
        self._count = 0

    def by(self, name: str = "") -> httpx.Client:
        """A fresh browser in which somebody has just signed in."""
        client = self._opened.enter_context(browser(self._base))
        if name:
            answer = client.post("/sign-in", data={"username": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
        return client

    def recordings(self, count: int) -> list[ObjectId]:
        """Recordings whose time is over."""
        made = []
        for _ in range(count):
            self._count += 1
            made.append(self.home.deliver(self._dock, f"recording {self._count}".encode(), f"{self._count}.mp4"))
        self.home.sequence()
        due(self.home, *made)
        return made

    def act(self, name: str, path: str, **fields: str) -> httpx.Response:
        return self.by(name).post(path, data={"words": WORDS, "password": PASSWORD, **fields})

    def proposed(self) -> str:
        """Propose a list of all that is due; return its address."""
        told = {"title": "无案件的录像", "reason": "保管期限届满", "password": PASSWORD}
        answer = self.by("keeper").post("/dispositions", data=told)
        assert answer.status_code == 303, words(answer)
        return answer.headers["location"].partition("?")[0]

    def agreed(self) -> str:
        """Have everybody agree to a list; return its address."""
        path = self.proposed()
        for name in ("first", "second", "third"):
            assert self.act(name, f"{path}/opinions", opinion="destroy").status_code == 303
        assert self.act("head", f"{path}/decision", decision="approve").status_code == 303
        for name in ("watcher", "archivist"):
            assert self.act(name, f"{path}/supervision").status_code == 303
        return path

    def state(self, path: str) -> ListState:
        return self.disposal.state(list_id(path))


def list_id(path: str) -> DispositionId:
    return DispositionId(seed.UUID(path.rpartition("/")[2]))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all: each test brings its own recordings."""
    folder = tmp_path_factory.mktemp("house")
    home = copy_home(folder, new_database(folder / "test.sqlite3"), SteppedClock())
    disposal = new_disposal(home)
    home.person(Role.AUDITOR, "auditor")
    home.person(Role.OFFICER, "officer")
    with seed.listening(create_app(home.services)) as base, ExitStack() as opened:
        yield House(disposal, base, opened)
    home.services.close()


def test_a_dry_run_says_what_would_be_listed_and_what_stops_the_rest(house: House) -> None:
    free, held = house.recordings(2)
    hold_id = hold(house.home, held)
    page = house.by("keeper").get("/dispositions/new")
    told = words(page)
    assert "冻结" in told
    assert f'href="/holds/{hold_id}"' in page.text
    assert f"/items/{free}" in page.text
    english = words(house.by("keeper").get("/dispositions/new?kind=item", headers=EN))
    for said in ("Dry run", "Hold", "Nothing"):
        assert said in english, said
    assert "/dispositions/new" not in house.by("auditor").get("/dispositions").text
    assert house.by("auditor").get("/dispositions/new").status_code == 403
    assert words(house.by("keeper").get("/dispositions/new?kind=volume")).count("冻结") == 1, "only the tab"


def test_from_the_dry_run_to_certificate_and_tombstone(house: House) -> None:
    first, second = house.recordings(2)
    path = house.proposed()
    page = words(house.by("auditor").get(path))
    assert "销毁〔" in page
    assert "无案件的录像" in page
    wrong = house.act("first", f"{path}/opinions", opinion="destroy", password="not mine")
    assert (wrong.status_code, "密码" in words(wrong)) == (422, True)
    number = next(item.position for item in house.disposal.items(list_id(path)) if item.object_id == second)
    struck = {"opinion": "destroy", "strike": str(number), "strike_reason": "仍有查考价值"}
    assert house.act("first", f"{path}/opinions", **struck, words="删去一件").status_code == 303
    again = house.act("first", f"{path}/opinions", opinion="destroy")
    assert again.status_code == 422, "one opinion each"
    early = house.act("head", f"{path}/decision", decision="approve")
    assert early.status_code == 422
    for name in ("second", "third"):
        assert house.act(name, f"{path}/opinions", opinion="destroy").status_code == 303
    assert house.act("head", f"{path}/decision", decision="approve").status_code == 303
    assert house.act("head", f"{path}/supervision").status_code == 422, "who approved does not supervise"
    assert house.act("keeper", f"{path}/supervision").status_code == 422, "nor who proposed"
    assert house.act("watcher", f"{path}/supervision").status_code == 303
    assert house.act("archivist", f"{path}/supervision").status_code == 303
    assert "恢复期" in words(house.by("first").get(path))
    house.home.clock.step(SEASON)
    house.home.sequence()
    house.disposal.work()
    assert house.state(path) is ListState.CERTIFIED
    keeper = house.by("keeper")
    page = words(keeper.get(path))
    for said in ("仍有查考价值", "删去一件", "已销毁"):
        assert said in page, said
    pdf = keeper.get(f"{path}/certificate.pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert keeper.get(f"/items/{second}").status_code == 200
    gone = keeper.get(f"/items/{first}")
    assert (gone.status_code, gone.headers["location"]) == (303, f"/tombstones/{first}")
    assert keeper.get(f"/items/{first}/content").status_code in {404, 410}
    nobody = house.by()
    for client, language in ((nobody, "zh-CN"), (nobody, "en"), (house.by("officer"), "zh-CN")):
        tombstone = client.get(f"/tombstones/{first}", headers={"Accept-Language": language})
        assert tombstone.status_code == 200
        assert "mp4" not in tombstone.text, "no name is left"
        item = house.disposal.tombstone(first)
        assert item is not None
        assert item.sha256 in tombstone.text
    assert nobody.get(f"/tombstones/{second}").status_code == 404
    proof = json.loads(nobody.get(f"/tombstones/{first}/proof").content)
    assert json.loads(proof["entry"])["type"] == "disposal.done"
    with house.home.database.read() as tx:
        newest = head(tx)
    assert newest is not None
    assert proof["index"] < newest.size
    assert len(leaf_hash(proof["entry"].encode())) == 32
    house.home.sequence()
    house.home.assert_sound()


def test_a_list_is_refused_with_a_reason(house: House) -> None:
    house.recordings(1)
    path = house.proposed()
    answer = house.act("head", f"{path}/decision", decision="refuse", words="尚有未了投诉")
    assert answer.status_code == 303
    assert house.state(path) is ListState.REFUSED
    assert "尚有未了投诉" in words(house.by("keeper").get(path))
    late = house.act("first", f"{path}/opinions", opinion="destroy")
    assert late.status_code == 422
    assert path in house.by("keeper").get("/dispositions?which=ended").text
    assert path not in house.by("keeper").get("/dispositions").text


def test_anybody_of_them_takes_it_back_while_nothing_is_gone(house: House) -> None:
    (object_id,) = house.recordings(1)
    path = house.agreed()
    auditor = house.by("auditor")
    assert "withdrawal" not in auditor.get(path).text
    assert auditor.post(f"{path}/withdrawal", data={"reason": "x", "password": PASSWORD}).status_code == 403
    assert house.act("third", f"{path}/withdrawal", reason="", password=PASSWORD).status_code == 422
    answer = house.act("third", f"{path}/withdrawal", reason="当事人提起诉讼")
    assert answer.status_code == 303
    assert house.state(path) is ListState.WITHDRAWN
    assert "当事人提起诉讼" in words(house.by("keeper").get(path))
    house.home.clock.step(SEASON)
    house.home.sequence()
    house.disposal.work()
    assert house.home.services.objects.exists(object_id)


def test_people_are_told_and_parts_of_the_page_come_alone(house: House) -> None:
    house.recordings(1)
    path = house.agreed()
    inbox = words(house.by("first").get("/inbox"))
    assert "销毁〔" in inbox
    keeper = house.by("keeper")
    progress = keeper.get(f"{path}/progress", headers=HTMX)
    assert progress.status_code == 200
    assert "<html" not in progress.text
    assert re.search(r"<tr\b", keeper.get(f"{path}/objects", headers=HTMX).text)
    assert keeper.get(f"{path}/certificate.pdf").status_code == 404
    assert house.by("officer").get(path).status_code == 404
    house.act("keeper", f"{path}/withdrawal", reason="试一下")


@pytest.mark.parametrize(("strike", "fault"), [("three", "填写序号"), ("99", "没有其中")])
def test_what_is_struck_is_named_by_its_number(house: House, strike: str, fault: str) -> None:
    house.recordings(1)
    path = house.proposed()
    answer = house.act("first", f"{path}/opinions", opinion="destroy", strike=strike, strike_reason="留存")
    assert answer.status_code == 422
    assert fault in words(answer)
    house.act("keeper", f"{path}/withdrawal", reason="试一下")
