"""Letting somebody in again, from the administrators' pages to the new password."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from archive.access.policy import Role
from archive.kernel.ids import AccountId
from archive.web.app import create_app
from tests.integration.web.conftest import browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import make

NEW = "a sentence to remember"


@pytest.fixture
def wang(home: ArchiveHome) -> AccountId:  # noqa: F811
    for name, shown in (("zhou", "周敏"), ("wu", "吴刚")):
        make(home, name, Role.ADMINISTRATOR, display_name=shown)
    return make(home, "wang", display_name="王芳")


@pytest.fixture
def base(home: ArchiveHome, wang: AccountId) -> Iterator[str]:  # noqa: F811
    with seed.listening(create_app(home.services)) as address:
        yield address


@contextmanager
def enter(base: str, username: str) -> Iterator[httpx.Client]:
    with browser(base) as client:
        assert client.post("/sign-in", data={"username": username, "password": PASSWORD}).status_code == 303
        yield client


def test_from_two_administrators_to_a_new_password(base: str, wang: AccountId) -> None:
    where = f"/admin/accounts/{wang}"
    with enter(base, "zhou") as first, enter(base, "wu") as second, enter(base, "wang") as old:
        assert first.post(f"{where}/recoveries", data={"reason": ""}).status_code == 422
        answer = first.post(f"{where}/recoveries", data={"reason": "手机遗失 <b>"})
        assert answer.headers["location"] == f"{where}?done=recovery_begun"
        shown = first.get(where)
        assert "须由另一名管理员确认" in words(shown)
        assert "/confirmation" not in shown.text
        again = second.post(f"{where}/recoveries", data={"reason": "x"})
        assert again.status_code == 422
        assert "已有人发起恢复" in words(again)
        page = second.get(where)
        assert "手机遗失 <b>" in words(page)
        assert "周敏" in words(page)
        confirmation = re.search(r'action="([^"]+/confirmation)"', page.text)
        assert confirmation is not None
        refused = first.post(confirmation[1])
        assert refused.status_code == 409
        assert "须由两名管理员办理" in words(refused)
        given = second.post(confirmation[1])
        code = re.search(r'id="recovery-code" class="break">([a-z0-9-]{23})<', given.text)
        assert code is not None
        assert code[1] not in second.get(where).text
        assert second.post(confirmation[1]).status_code == 409
        with browser(base) as person:
            assert 'href="/recovery"' in person.get("/sign-in").text
            data = {"username": "wang", "code": code[1], "new": NEW, "again": NEW}
            assert person.post("/recovery", data={**data, "again": "x"}).status_code == 422
            unfit = person.post("/recovery", data={**data, "new": "short", "again": "short"})
            assert "密码至少 12 个字符" in words(unfit)
            wrong = person.post("/recovery", data={**data, "code": "nothing"})
            assert wrong.status_code == 401
            assert NEW not in wrong.text
            done = person.post("/recovery", data=data)
            assert "新密码已设置" in words(person.get(done.headers["location"]))
            assert person.post("/recovery", data=data).status_code == 401
            assert person.post("/sign-in", data={"username": "wang", "password": NEW}).status_code == 303
        assert old.get("/account").status_code == 303


def test_a_recovery_is_withdrawn(base: str, wang: AccountId) -> None:
    where = f"/admin/accounts/{wang}"
    with enter(base, "zhou") as first:
        first.post(f"{where}/recoveries", data={"reason": "x"})
        withdrawal = re.search(r'action="([^"]+/withdrawal)"', first.get(where).text)
        assert withdrawal is not None
        assert "恢复已撤回" in words(first.get(first.post(withdrawal[1]).headers["location"]))
        assert first.post(withdrawal[1]).status_code == 404


def test_nobody_lets_oneself_in(base: str, home: ArchiveHome) -> None:  # noqa: F811
    with enter(base, "zhou") as first:
        found = re.search(r'/admin/accounts/([0-9a-f-]{36})">周敏', html.unescape(first.get("/admin/accounts").text))
        assert found is not None
        answer = first.post(f"/admin/accounts/{found[1]}/recoveries", data={"reason": "x"})
        assert answer.status_code == 422
        assert "都不能是本人" in words(answer)
    assert "admin.recovery_begun" not in home.types()


def test_whoever_is_no_administrator_has_no_part_in_it(base: str, wang: AccountId) -> None:
    with enter(base, "wang") as person:
        for path in ("recoveries", f"recoveries/{uuid4()}/confirmation", f"recoveries/{uuid4()}/withdrawal"):
            assert person.post(f"/admin/accounts/{wang}/{path}", data={"reason": "x"}).status_code == 403


def test_wrong_codes_say_how_long_to_wait_whoever_is_named(base: str) -> None:
    told = []
    for name in ("wang", "nobody"):
        with browser(base) as stranger:
            data = {"username": name, "code": "x", "new": NEW, "again": NEW}
            answers = [stranger.post("/recovery", data=data) for _ in range(7)]
            assert answers[-1].status_code == 429
            assert int(answers[-1].headers["retry-after"]) <= 3
            told.append([(answer.status_code, words(answer)) for answer in answers[:6]])
    assert told[0] == told[1]


@pytest.mark.parametrize("field", ["username", "code", "new"])
def test_empty_fields_are_named(base: str, field: str) -> None:
    data = {"username": "wang", "code": "x", "new": NEW, "again": NEW, field: ""}
    with browser(base) as stranger:
        answer = stranger.post("/recovery", data=data)
        assert answer.status_code == 422
        assert "请填写此项" in words(answer)
