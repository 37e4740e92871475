"""Somebody of the house whose certificate does not hold any more: looks as before, and does nothing in cases."""

from collections.abc import Iterator
from datetime import date

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.filing import link_object
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer, suspend_officer
from archive.web.app import create_app
from tests.integration.web.conftest import browser
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401

_ENDED = OfficerFacts(
    "530111", "马俊", "官渡区综合行政执法局", valid_from=date(2020, 1, 1), valid_until=date(2021, 1, 1)
)
_HOLDS = OfficerFacts(
    "530112", "李晓东", "官渡区综合行政执法局", valid_from=date(2020, 1, 1), valid_until=date(2999, 1, 1)
)


@pytest.fixture(params=["suspended", "ended"])
def barred(request: pytest.FixtureRequest, home: ArchiveHome) -> Iterator[tuple[httpx.Client, dict[str, str]]]:  # noqa: F811
    """The browser of somebody whose certificate was suspended after signing in, or has ended; and ids of a case and an item."""
    facts = _HOLDS if request.param == "suspended" else _ENDED
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
    home.person(Role.UNIT_HEAD, "ma", officer_id=officer_id)
    case_id, object_id = home.case(), home.deliver(home.dock(), b"clip")
    link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        assert client.post("/sign-in", data={"username": "ma", "password": PASSWORD}).status_code == 303
        if request.param == "suspended":
            assert client.post("/cases", data={"nothing": ""}).status_code == 422, "before"
            suspend_officer(home.database, officer_id, reason="未完成培训", by=OPERATOR, at=home.clock.now())
        yield client, {"case": str(case_id), "item": str(object_id)}


def test_an_account_whose_certificate_does_not_hold_looks_and_does_nothing(
    home: ArchiveHome,  # noqa: F811
    barred: tuple[httpx.Client, dict[str, str]],
) -> None:
    client, ids = barred
    before = home.types()
    case, item = f"/cases/{ids['case']}", f"/items/{ids['item']}"
    for path in (
        "/cases", f"{case}/acts", f"{case}/links", f"{case}/removals", f"{case}/records", f"{case}/classes", f"{case}/changes",
        f"{case}/members", f"{item}/links", f"/objects/{ids['item']}/classes", "/unlinked/links", "/api/v1/door/manifests",
    ):  # fmt: skip
        answer = client.post(path, data={"reason": "x", "purpose": "x"}, headers={"Accept": "application/json"})
        assert (path, answer.status_code, answer.json()["code"]) == (path, 403, "access.certificate_bars")
    assert home.types() == before
    for path in ("/", case, item, "/items", "/search?q=a"):
        assert client.get(path).status_code == 200
