"""What a provider says is believed only where its signature, names, times and addresses hold."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from archive.access.oidc import OidcRefused, OidcUnreachable, Provider
from archive.ports.outbound import Reply, TooSlow
from signing.identifier_vault import FileIdentifierVault

ISSUER, BACK = "https://id.example", "https://archive.example/sign-in/provider/back"
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
KEY, OTHER = ECKey.generate_key("P-256", {"kid": "k1"}), ECKey.generate_key("P-256", {"kid": "k1"})
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


class Said:
    """A provider that says what a test wants, since no real one forges tokens. Keeps what it was asked."""

    def __init__(self, **metadata: Any) -> None:
        self.metadata: Any = {**METADATA, **metadata}
        self.token: Any = ""
        self.status = 200
        self.asked: list[str] = []
        self.posted: dict[str, list[str]] = {}
        self.headers: Mapping[str, str] = {}
        self.keys: Any = KeySet([KEY]).as_dict(private=False)

    def check(self, url: str) -> None:
        raise AssertionError(url)

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        self.asked.append(url)
        if self.status == 0:
            raise TooSlow
        told = self.keys if url == f"{ISSUER}/keys" else self.metadata
        return Reply(self.status, body=told if isinstance(told, bytes) else json.dumps(told).encode())

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        self.asked.append(url)
        self.posted, self.headers = parse_qs(body.decode()), headers
        return Reply(self.status, body=json.dumps({"id_token": self.token}).encode())


@pytest.fixture
def vault(tmp_path: Path) -> FileIdentifierVault:
    return FileIdentifierVault.create(tmp_path / "keys")


def provider(vault: FileIdentifierVault, said: Said) -> Provider:
    return Provider(ISSUER, "liu hen", lambda: "s:e/c", "openid profile", said, vault)


def trip(made: Provider) -> tuple[str, dict[str, str]]:
    leaving = made.depart(back=BACK, next_address="/items", at=AT)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(leaving.address).query).items()}
    return leaving.cookie, asked


def claims(nonce: str, /, **changed: Any) -> dict[str, Any]:
    now = int(AT.timestamp())
    usual = {"iss": ISSUER, "sub": "u1", "aud": "liu hen", "exp": now + 300, "iat": now, "nonce": nonce}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def signed(told: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": "k1", **header}, told, key, algorithms=["ES256", "HS256", "RS256"])


def arrive(vault: FileIdentifierVault, make: Callable[[str], str], said: Said | None = None) -> Any:
    said = said or Said()
    made = provider(vault, said)
    cookie, asked = trip(made)
    said.token = make(asked["nonce"])
    return made.arrive(cookie=cookie, answer={"code": "c", "state": asked["state"]}, back=BACK, at=AT)


def test_a_token_that_holds_is_believed(vault: FileIdentifierVault) -> None:
    said = Said()
    found = arrive(vault, lambda nonce: signed(claims(nonce, aud=["liu hen"])), said)
    assert (found.claims["sub"], found.next_address) == ("u1", "/items")
    assert said.posted["code"] == ["c"]
    assert said.posted["redirect_uri"] == [BACK]
    assert 43 <= len(said.posted["code_verifier"][0]) <= 128
    assert base64.b64decode(said.headers["Authorization"].split()[1]) == b"liu%20hen:s%3Ae%2Fc"
    assert all(url.startswith(ISSUER + "/") for url in said.asked)


def test_neither_nonce_nor_verifier_stand_in_the_open(vault: FileIdentifierVault) -> None:
    made = provider(vault, Said())
    cookie, asked = trip(made)
    again, other = trip(made)
    assert asked["nonce"] not in cookie
    assert len({asked["state"], other["state"], asked["nonce"], other["nonce"], cookie, again}) == 6
    assert {asked["response_type"], asked["code_challenge_method"], asked["scope"]} == {
        "code", "S256", "openid profile",
    }  # fmt: skip


_HS = OctKey.import_key(json.dumps(KEY.as_dict(private=False), sort_keys=True))
_RSA = RSAKey.generate_key(2048, {"kid": "k1"})


_FORGED: list[Callable[[str], Any]] = [
    lambda nonce: signed(claims(nonce), OTHER),
    lambda nonce: signed(claims(nonce), _HS, alg="HS256"),
    lambda nonce: signed(claims(nonce), _RSA, alg="RS256"),
    lambda nonce: signed(claims(nonce, iss="https://evil.example")),
    lambda nonce: signed(claims(nonce, aud="somebody else")),
    lambda nonce: signed(claims(nonce, aud=["liu hen", "somebody else"])),
    lambda nonce: signed(claims(nonce, aud=["liu hen", "somebody else"], azp="somebody else")),
    lambda nonce: signed(claims(nonce + "x")),
    lambda nonce: signed(claims(nonce, nonce=None)),
    lambda nonce: signed(claims(nonce, exp=int(AT.timestamp()) - 61)),
    lambda nonce: signed(claims(nonce, exp=None)),
    lambda nonce: signed(claims(nonce, iat=None)),
    lambda nonce: signed(claims(nonce, iat=int(AT.timestamp()) + 3600)),
    lambda nonce: signed(claims(nonce, sub=None)),
    lambda nonce: signed(claims(nonce, nbf=int(AT.timestamp()) + 3600)),
    lambda nonce: signed(claims(nonce)).rsplit(".", 1)[0] + ".",
    lambda nonce: _unsigned(claims(nonce)),
    lambda _: "",
    lambda _: "a.b.c",
    lambda _: None,
    lambda _: 5,
]


@pytest.mark.parametrize("forged", _FORGED, ids=[str(number) for number in range(len(_FORGED))])
def test_a_token_that_does_not_hold_opens_nothing(vault: FileIdentifierVault, forged: Callable[[str], str]) -> None:
    with pytest.raises(OidcRefused):
        arrive(vault, forged)


def _unsigned(told: dict[str, Any]) -> str:
    parts = [json.dumps({"alg": "none"}).encode(), json.dumps(told).encode()]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"jwks_uri": "http://id.example/keys"},
        {"jwks_uri": "https://id.example.evil.example/keys"},
        {"authorization_endpoint": None},
        {"token_endpoint": 5},
    ],
)
def test_a_provider_that_sends_us_elsewhere_is_not_followed(
    vault: FileIdentifierVault, changed: dict[str, Any]
) -> None:
    said = Said(**changed)
    with pytest.raises(OidcUnreachable):
        provider(vault, said).depart(back=BACK, next_address="/", at=AT)
    assert said.asked == [f"{ISSUER}/.well-known/openid-configuration"]


@pytest.mark.parametrize("told", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_not_read(vault: FileIdentifierVault, told: bytes) -> None:
    said = Said()
    said.metadata = told
    with pytest.raises(OidcUnreachable):
        provider(vault, said).depart(back=BACK, next_address="/", at=AT)
    said = Said()
    said.keys = told
    with pytest.raises(OidcUnreachable):
        arrive(vault, lambda nonce: signed(claims(nonce)), said)


def test_what_the_provider_says_of_itself_is_asked_every_ten_minutes(vault: FileIdentifierVault) -> None:
    said = Said()
    made = provider(vault, said)
    for minutes in (0, 5, 9, 11):
        made.depart(back=BACK, next_address="/", at=AT + timedelta(minutes=minutes))
    assert len(said.asked) == 2


def test_a_provider_that_does_not_answer_is_named_so(vault: FileIdentifierVault) -> None:
    for status in (0, 500, 302):
        said = Said()
        said.status = status
        with pytest.raises(OidcUnreachable):
            provider(vault, said).depart(back=BACK, next_address="/", at=AT)


def test_a_provider_that_does_not_answer_is_asked_once_in_half_a_minute(vault: FileIdentifierVault) -> None:
    said = Said()
    said.status = 0
    made = provider(vault, said)
    for seconds in (0, 1, 29):
        with pytest.raises(OidcUnreachable) as told:
            made.depart(back=BACK, next_address="/", at=AT + timedelta(seconds=seconds))
        assert told.value.facts == {"cause": TooSlow.code}
    assert len(said.asked) == 1
    said.status = 200
    made.depart(back=BACK, next_address="/", at=AT + timedelta(seconds=31))
    assert len(said.asked) == 2


def test_signing_out_goes_to_the_provider_and_nowhere_else(vault: FileIdentifierVault) -> None:
    for address, leads in (
        (f"{ISSUER}/end", True),
        (f"{ISSUER}/end?a=b", True),
        ("https://evil.example/end", False),
        (None, False),
        (5, False),
    ):
        found = provider(vault, Said(end_session_endpoint=address)).logout_address(back="https://a.example/x", at=AT)
        assert (found is not None) is leads
        if found is not None:
            assert parse_qs(urlsplit(found).query)["post_logout_redirect_uri"] == ["https://a.example/x"]
