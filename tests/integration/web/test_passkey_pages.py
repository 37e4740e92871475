"""Passkeys over plain requests: what is refused before any device is asked. tests/e2e tries real ones."""

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from archive.access.passkeys import PasskeyRefused, RelyingParty, add_passkey, offer_passkey, offer_sign_in
from archive.kernel.ids import AccountId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from tests.integration.web.conftest import browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import make

PARTY = RelyingParty("localhost", "http://localhost", "x")
BAD = [
    "",
    "x",
    "null",
    "[]",
    "{}",
    '{"id": 5}',
    '{"id": "!!"}',
    "[" * 20_000,
    '{"id":"YQ","rawId":"YQ","type":"public-key"}',
]


@pytest.fixture
def base(home: ArchiveHome) -> Iterator[str]:  # noqa: F811
    make(home)
    with seed.listening(create_app(home.services)) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture
def client(base: str) -> Iterator[httpx.Client]:
    with browser(base) as opened:
        assert opened.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 303
        yield opened


def offered(answer: httpx.Response) -> dict[str, str]:
    found = re.search(r'data-passkey="([^"]+)"', answer.text)
    assert found is not None
    challenge = re.search(r'name="challenge" value="([^"]+)"', answer.text)
    assert challenge is not None
    return {**json.loads(html.unescape(found[1])), "challenge_back": challenge[1]}


def test_whoever_may_sign_in_is_not_told_by_the_question(base: str) -> None:
    with browser(base) as client:
        asked = offered(client.get("/sign-in"))
        assert asked["userVerification"] == "required"
        assert asked["rpId"] == "localhost"
        assert asked.get("allowCredentials", []) == []
        assert offered(client.get("/sign-in"))["challenge"] != asked["challenge"]


def test_at_an_address_that_is_no_name_there_are_no_passkeys(base: str) -> None:
    with browser(base.replace("localhost", "127.0.0.1")) as client:
        page = client.get("/sign-in").text
        assert "data-passkey" not in page
        answer = client.post("/sign-in/passkey", data={"credential": "{}", "challenge": "x"})
        assert answer.status_code == 422


def test_a_setting_says_the_name_where_a_proxy_hides_it(home: ArchiveHome) -> None:  # noqa: F811
    home.settings = home.settings.model_copy(update={"public_origin": "https://evidence.example.org"})
    home.reopen()
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        assert offered(client.get("/sign-in"))["rpId"] == "evidence.example.org"


@pytest.mark.parametrize("credential", BAD)
def test_what_no_browser_sends_is_refused_and_opens_nothing(
    base: str,
    home: ArchiveHome,  # noqa: F811
    credential: str,
) -> None:
    with browser(base) as client:
        challenge = offered(client.get("/sign-in"))["challenge_back"]
        answer = client.post("/sign-in/passkey", data={"credential": credential, "challenge": challenge})
        assert answer.status_code == 401
        assert "这个通行密钥不能登录" in words(answer)
        assert "set-cookie" not in answer.headers
    assert home.count("session") == 0
    assert "admin.sign_in_refused" not in home.types()
    assert home.rows("SELECT count FROM refused_names") == [(1,)]


@pytest.mark.parametrize("challenge", ["", "x", "0" * 64 + ".9999999999." + "0" * 64])
def test_a_challenge_that_is_not_ours_is_refused(base: str, challenge: str) -> None:
    with browser(base) as client:
        answer = client.post("/sign-in/passkey", data={"credential": "{}", "challenge": challenge})
        assert answer.status_code == 401


def test_making_a_passkey_needs_the_password(client: httpx.Client) -> None:
    refused = client.post("/account/passkeys/offers", data={"name": "x", "password": "wrong"})
    assert refused.status_code == 422
    assert 'data-act="create"' not in refused.text
    assert client.post("/account/passkeys/offers", data={"name": " ", "password": PASSWORD}).status_code == 422
    given = offered(client.post("/account/passkeys/offers", data={"name": "<b>&", "password": PASSWORD}))
    assert given["authenticatorSelection"]["userVerification"] == "required"  # type: ignore[index]
    assert given["authenticatorSelection"]["residentKey"] == "required"  # type: ignore[index]


@pytest.mark.parametrize("credential", BAD)
def test_a_passkey_that_no_browser_made_is_not_written_down(
    client: httpx.Client,
    home: ArchiveHome,  # noqa: F811
    credential: str,
) -> None:
    given = offered(client.post("/account/passkeys/offers", data={"name": "x", "password": PASSWORD}))
    answer = client.post(
        "/account/passkeys", data={"name": "x", "credential": credential, "challenge": given["challenge_back"]}
    )
    assert answer.status_code == 422
    assert home.count("passkey") == 0


def test_a_challenge_is_for_one_purpose_one_person_and_ten_minutes(home: ArchiveHome) -> None:  # noqa: F811
    sign_ins, at = home.services.sign_ins, home.clock.now()
    mine, theirs = make(home), make(home, "li")
    told = offer_passkey(sign_ins, PARTY, theirs, username="li", display_name="Li", known=[], at=at).challenge
    own = offer_passkey(sign_ins, PARTY, mine, username="wang", display_name="Wang", known=[], at=at).challenge
    for challenge, when in (
        (told, at),
        (offer_sign_in(sign_ins, PARTY, at=at).challenge, at),
        (own, at + timedelta(minutes=11)),
    ):
        with pytest.raises(PasskeyRefused):
            add_passkey(sign_ins, PARTY, mine, name="x", credential="{}", challenge=challenge, by=OPERATOR, at=when)
    assert home.count("used_challenge") == 0


def test_a_passkey_of_somebody_else_cannot_be_removed(client: httpx.Client, home: ArchiveHome) -> None:  # noqa: F811
    other = make(home, "li")
    passkey_id = new_uuid7()
    home.execute(
        "INSERT INTO passkey (id, account_id, credential_id, public_key, sign_count, name, made_at) "
        "VALUES (:id, :account, :data, :data, 0, 'x', :at)",
        id=home.id_value(passkey_id), account=home.id_value(AccountId(other)), data=b"x", at=str(home.clock.now())[:26],
    )  # fmt: skip
    answer = client.post(f"/account/passkeys/{passkey_id}/removal", data={"password": PASSWORD})
    assert answer.status_code == 404
    assert home.count("passkey") == 1
