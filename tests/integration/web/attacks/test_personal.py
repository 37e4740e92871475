"""Ids of what is somebody's own, used in the session of somebody else: answered like ids that nobody has.

What belongs to a unit, and what is restricted: tests/integration/web/test_who_may.py.
"""

import re
from collections.abc import Mapping
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from archive.access.models import Session
from archive.access.policy import Role
from archive.notify.models import Notice
from archive.notify.notices import PARAMS, NoticeKind, notify
from archive.packages.requests import grant_download
from archive.retrieval.grants import GrantKind, grant_access
from tests.integration.web.attacks.conftest import filled, parameters_of, routes_of
from tests.support import seed
from tests.support.seed import Bureau

_OWN = {"session_id", "notice_id", "grant_id", "download_id"}


@pytest.fixture(scope="module")
def owned(bureau: Bureau, browsers: dict[Role | None, httpx.Client]) -> dict[str, UUID]:
    """What the head of the unit has: a session, a notice, a grant to see, a grant to copy, a download of a package."""
    services, head, at = bureau.services, seed.caller(bureau, Role.UNIT_HEAD), bureau.now()
    database = services.database.seen_by(head.sight)
    kind = next(iter(NoticeKind))
    with services.database.begin() as tx:
        notify(tx, [head.account_id], kind, params=dict.fromkeys(PARAMS[kind], "own words"), link="/items", at=at)
    answer = browsers[Role.UNIT_HEAD].post(f"/cases/{bureau.cases['main']}/packages", data={"purpose": "移送"})
    assert answer.status_code == 303, answer.text
    seed.work(bureau)
    with services.database.read() as tx:
        from archive.packages.models import CasePackage

        package_id = tx.scalars(select(CasePackage.id).order_by(CasePackage.asked_at.desc())).first()
        session_id = tx.scalars(select(Session.id).where(Session.account_id == head.account_id)).first()
        notice_id = tx.scalars(select(Notice.id).where(Notice.account_id == head.account_id)).first()
    item = bureau.items["video"]
    assert package_id is not None
    assert session_id is not None
    assert notice_id is not None
    return {
        "session_id": session_id,
        "notice_id": notice_id,
        "grant_id": grant_access(database, item, kind=GrantKind.VIEW, purpose="own words", by=head, at=at),
        "export": grant_access(database, item, kind=GrantKind.EXPORT, purpose="own words", by=head, at=at),
        "package_id": package_id,
        "download_id": grant_download(database, package_id, by=head, at=at),
    }


def _plain(answer: httpx.Response) -> tuple[int, str]:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d\d:\d\d:\d\d(\.\d+)?", "", answer.text)
    return answer.status_code, text


def test_the_owner_has_it_and_everybody_else_is_told_that_it_does_not_exist(
    app: FastAPI, browsers: dict[Role | None, httpx.Client], owned: Mapping[str, UUID]
) -> None:
    asked = [(method, path) for method, path, _ in routes_of(app) if _OWN & set(parameters_of(path))]
    asked.append(("POST", "/packages/{package_id}/downloads/{download_id}"))
    assert len(asked) > 25
    for role, client in browsers.items():
        if role in {None, Role.UNIT_HEAD}:
            continue
        for method, path in asked:
            more = {"name": "seg-0.mp4", "lines": "720", "number": "1"}
            for grant in ("grant_id", "export"):
                given = {**owned, **more, "grant_id": owned[grant]}
                missing = {**given, **{name: uuid4() for name in _OWN}}
                there = client.request(method, filled(path, given))
                assert there.status_code in {403, 404, 405}, (role, method, path)
                assert _plain(there) == _plain(client.request(method, filled(path, missing))), (role, method, path)
                assert "own words" not in there.text
    head = browsers[Role.UNIT_HEAD]
    assert head.get(f"/content/{owned['export']}/original").status_code == 200
    assert head.get(f"/content/{owned['grant_id']}/playable").status_code == 200
    assert head.get(f"/packages/{owned['package_id']}/downloads/{owned['download_id']}").status_code == 200
    assert head.get(f"/notices/{owned['notice_id']}").status_code == 303
    assert head.get("/account").status_code == 200, "nobody has ended the session"


def test_a_grant_to_see_does_not_give_a_copy(
    browsers: dict[Role | None, httpx.Client], owned: Mapping[str, UUID]
) -> None:
    head = browsers[Role.UNIT_HEAD]
    assert head.get(f"/content/{owned['grant_id']}/original").status_code == 404
    assert head.get(f"/content/{owned['export']}/playable").status_code == 404


def test_lists_of_ones_own_hold_nothing_of_others(
    browsers: dict[Role | None, httpx.Client], owned: Mapping[str, UUID]
) -> None:
    for role, client in browsers.items():
        if role in {None, Role.UNIT_HEAD}:
            continue
        for path in ("/account", "/notices", "/account/notices", "/upload/sent"):
            text = client.get(path).text
            assert not [name for name in ("session_id", "notice_id") if str(owned[name]) in text], (role, path)
