"""Whether an account exists is told neither by words nor by work: as many hashes of passwords, as many statements."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from archive.access import passwords
from archive.access.policy import Role
from archive.web.app import create_app
from tests.integration.web.conftest import browser
from tests.support import seed
from tests.support.archive_home import ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import WRONG, make

_NAMES = ("wang", "left", "nobody", "x' OR 1=1 --", "王\u0301芳")


class Work:
    """What a request made the server do."""

    def __init__(self) -> None:
        self.hashed = 0
        self.statements: list[str] = []

    def taken(self) -> tuple[int, list[str]]:
        done = (self.hashed, self.statements)
        self.hashed, self.statements = 0, []
        return done


@pytest.fixture
def work(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:  # noqa: F811
    counted, hasher = Work(), passwords._hasher

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, *arguments: Any) -> bool:
            counted.hashed += 1
            return hasher.verify(*arguments)

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        counted.statements.append(statement)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    event.listen(home.database.engine, "before_cursor_execute", note)
    yield counted
    event.remove(home.database.engine, "before_cursor_execute", note)


@pytest.fixture
def client(home: ArchiveHome) -> Iterator[httpx.Client]:  # noqa: F811
    make(home, "wang", Role.SUPERVISOR)
    make(home, "left", Role.SUPERVISOR)
    home.execute("UPDATE account SET disabled_at = created_at WHERE username = 'left'")
    with seed.listening(create_app(home.services)) as base, browser(base) as opened:
        yield opened


def test_a_wrong_password_costs_the_same_whoever_is_named(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    work: Work,
) -> None:
    client.post("/sign-in", data={"username": "warm", "password": WRONG})  # what is prepared once
    work.taken()
    told: dict[str, tuple[int, int, int]] = {}
    for name in _NAMES:
        answer = client.post("/sign-in", data={"username": name, "password": WRONG})
        hashed, statements = work.taken()
        told[name] = (answer.status_code, hashed, len(statements))
    assert {(status, hashed) for status, hashed, *_ in told.values()} == {(401, 1)}
    counts = [count for *_, count in told.values()]
    assert max(counts) - min(counts) <= 6, f"an entry in the log, or the count of names that nobody has: {told}"


def test_a_wrong_code_of_a_recovery_costs_the_same_whoever_is_named(
    home: ArchiveHome,  # noqa: F811
    client: httpx.Client,
    work: Work,
) -> None:
    sent = {"code": "AAAA-BBBB-CCCC-DDDD", "new": "a new password 4711", "again": "a new password 4711"}
    client.post("/recovery", data={**sent, "username": "warm"})
    work.taken()
    told = set()
    for name in _NAMES:
        answer = client.post("/recovery", data={**sent, "username": name})
        told.add((answer.status_code, work.taken()[0]))
    assert len(told) == 1, told
