"""Ids of what is somebody's own, used in the session of somebody else: answered like ids that nobody has.

What belongs to a unit, and what is restricted: tests/integration/web/test_who_may.py.
"""

import re
from collections.abc import Iterator, Mapping
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from archive.access.models import Session
from archive.access.policy import Role
from archive.notify.models import Notice
from archive.notify.notices import PARAMS, NoticeKind, notify
from archive.packages.models import CasePackage
from archive.packages.requests import grant_download
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.requests import Asked, ask
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.web.app import create_app
from tests.integration.web.attacks.conftest import filled, parameters_of, routes_of
from tests.integration.web.conftest import everybody, small_scene
from tests.support import seed
from tests.support.seed import Bureau

_OWN = {"session_id", "notice_id", "grant_id", "download_id"}
RULES = RetrievalRules.load()
WHY = Purpose("own words", "own task")


Clients = Mapping[Role | None, httpx.Client]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bureau, Clients]]:
    """A bureau of this module's own, since packages are built in it, and a browser for each role."""
    folder = tmp_path_factory.mktemp("personal")
    bureau = seed.new_bureau(folder / "home", cn_profile=True)
    small_scene(bureau, folder / "media")
    with seed.listening(create_app(bureau.services)) as base, everybody(base) as clients:
        yield bureau, clients
    bureau.services.close()


@pytest.fixture(scope="module")
def clients(house: tuple[Bureau, Clients]) -> Clients:
    return house[1]


@pytest.fixture(scope="module")
def owned(house: tuple[Bureau, Clients]) -> dict[str, UUID]:
    """What the head of the unit has: a session, a notice, a grant to see, a grant to copy, a download of a package."""
    bureau, browsers = house
    services, head, at = bureau.services, seed.caller(bureau, Role.UNIT_HEAD), bureau.now()
    database = services.database.seen_by(head.sight)
    kind = next(iter(NoticeKind))
    with services.database.begin() as tx:
        notify(tx, [head.account_id], kind, params=dict.fromkeys(PARAMS[kind], "own words"), link="/items", at=at)
    answer = browsers[Role.UNIT_HEAD].post(f"/cases/{bureau.cases['main']}/packages", data={"purpose": "移送"})
    assert answer.status_code == 303, answer.text
    seed.sequence(bureau)
    seed.work(bureau)
    with services.database.read() as tx:
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
        "grant_id": grant_access(database, item, kind=GrantKind.VIEW, purpose=WHY, by=head, rules=RULES, at=at),
        "export": grant_access(database, item, kind=GrantKind.EXPORT, purpose=WHY, by=head, rules=RULES, at=at),
        "package_id": package_id,
        "download_id": grant_download(database, package_id, by=head, rules=RULES, at=at),
    }


def _plain(answer: httpx.Response) -> tuple[int, str]:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d\d:\d\d:\d\d(\.\d+)?", "", answer.text)
    return answer.status_code, text


def test_the_owner_has_it_and_everybody_else_is_told_that_it_does_not_exist(
    house: tuple[Bureau, Clients], clients: Clients, owned: Mapping[str, UUID]
) -> None:
    asked = [
        (method, path)
        for method, path, _ in routes_of(create_app(house[0].services))
        if _OWN & set(parameters_of(path))
    ]
    asked.append(("POST", "/packages/{package_id}/downloads/{download_id}"))
    assert len(asked) > 25
    for role, client in clients.items():
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
    head = clients[Role.UNIT_HEAD]
    assert head.get(f"/content/{owned['export']}/original").status_code == 200
    assert head.get(f"/content/{owned['grant_id']}/playable").status_code == 200
    assert head.get(f"/packages/{owned['package_id']}/downloads/{owned['download_id']}").status_code == 200
    assert head.get(f"/notices/{owned['notice_id']}").status_code == 303
    assert head.get("/account").status_code == 200, "nobody has ended the session"


def test_a_grant_to_see_does_not_give_a_copy(clients: Clients, owned: Mapping[str, UUID]) -> None:
    head = clients[Role.UNIT_HEAD]
    assert head.get(f"/content/{owned['grant_id']}/original").status_code == 404
    assert head.get(f"/content/{owned['export']}/playable").status_code == 404


def test_lists_of_ones_own_hold_nothing_of_others(clients: Clients, owned: Mapping[str, UUID]) -> None:
    for role, client in clients.items():
        if role in {None, Role.UNIT_HEAD}:
            continue
        for path in ("/account", "/notices", "/account/notices", "/upload/sent"):
            text = client.get(path).text
            assert not [name for name in ("session_id", "notice_id") if str(owned[name]) in text], (role, path)


def test_a_request_is_withdrawn_by_its_asker_and_decided_by_others_only(
    house: tuple[Bureau, Clients], clients: Clients
) -> None:
    bureau, _ = house
    by, record = seed.caller(bureau, Role.CASE_HANDLER), bureau.records["inspection"]
    request_id = ask(
        bureau.services.database, record, Asked(GrantKind.EXPORT, WHY, 3), by=by, rules=RULES, at=bureau.now()
    )  # fmt: skip
    for role, client in clients.items():
        if role not in {None, Role.CASE_HANDLER}:
            assert client.post(f"/retrievals/{request_id}/withdrawal").status_code in {403, 404}, role
    handler = clients[Role.CASE_HANDLER]
    assert handler.post(f"/retrievals/{request_id}/decision", data={"decision": "approve"}).status_code == 403
    assert handler.post(f"/retrievals/{request_id}/withdrawal").status_code == 303
