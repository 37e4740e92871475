"""The bureau's own sign-in provider, by OpenID Connect: where people are sent, and what comes back from there.

Steps of one sign-in: 1. state, nonce and the PKCE verifier are drawn and sealed into a cookie; 2. the browser goes to
the provider; 3. it comes back with a code, and with the state that the cookie holds; 4. the code is exchanged, with
the verifier, for a token; 5. the token's signature, issuer, audience, times and nonce are checked.
Requests go to the issuer's own host and nowhere else, by the rules of the outbound adapter.
Source: OpenID Connect Core 1.0 sections 3.1.2 and 3.1.3.7, Discovery 1.0 section 4, RP-Initiated Logout 1.0 section 2,
RFC 7636 (S256), RFC 9207 (`iss` in the answer).
"""

import base64
import binascii
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.ports.identifiers import IdentifierUnreadable, IdentifierVault, Sealed
from archive.ports.outbound import Outbound, Undelivered, UrlRefused

TRIP_LIFETIME: Final = timedelta(minutes=10)
_METADATA_KEPT_FOR: Final = timedelta(minutes=10)
_FAILURE_KEPT_FOR: Final = timedelta(seconds=30)
"""So long everybody is answered at once: a provider that does not answer must not keep a thread for each who comes."""
_LEEWAY_S: Final = 60
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures of the provider's own key; never none, and never a secret that we hold too."""
_BOUND_TO: Final = "oidc trip"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class OidcRefused(LiuhenError):
    """The sign-in provider's answer does not open anything here."""

    code = "access.oidc_refused"
    exit_code = 77


class OidcUnreachable(LiuhenError):
    """The sign-in provider does not answer as it should; try again, or sign in with your password."""

    code = "access.oidc_unreachable"
    exit_code = 75
    retryable = True


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and the cookie with which it comes back."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came back: the claims of a token that holds, and where the person wanted to go."""

    claims: Mapping[str, Any]
    next_address: str


@dataclass(slots=True)
class Provider:
    """The provider that is configured. `issuer` is its name, and the address that everything is asked at."""

    issuer: str
    client_id: str
    client_secret: Callable[[], str] = field(repr=False)
    scopes: str
    outbound: Outbound
    vault: IdentifierVault
    _known: tuple[Instant, Mapping[str, Any]] | None = None
    _failed: tuple[Instant, OidcUnreachable] | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def depart(self, *, back: str, next_address: str, at: Instant) -> Departure:
        """Return where the browser goes to sign in; `back` is our address that it comes back to.

        Raises: OidcUnreachable.
        """
        metadata = self._metadata(at)
        trip = {
            "state": generate_token(32),
            "nonce": generate_token(32),
            "verifier": generate_token(64),
            "next": next_address,
            "until": int((at + TRIP_LIFETIME).timestamp()),
        }
        address = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self.client_id,
            "code",
            redirect_uri=back,
            scope=self.scopes,
            state=trip["state"],
            nonce=trip["nonce"],
            code_challenge=create_s256_code_challenge(trip["verifier"]),
            code_challenge_method="S256",
        )
        sealed = self.vault.seal(json.dumps(trip), bound_to=_BOUND_TO)
        return Departure(address, f"{sealed.key_id}.{base64.urlsafe_b64encode(sealed.data).decode()}")

    def arrive(self, *, cookie: str, answer: Mapping[str, str], back: str, at: Instant) -> Arrival:
        """Return who came back, by what the provider has the browser say and by what it says itself.

        Raises: OidcRefused, OidcUnreachable.
        """
        trip = self._trip(cookie, at)
        if not hmac.compare_digest(answer.get("state", "").encode(), str(trip["state"]).encode()):
            raise OidcRefused(reason="state")
        if "code" not in answer:
            raise OidcRefused(reason="provider")
        if answer.get("iss", self.issuer) != self.issuer:
            raise OidcRefused(reason="issuer")
        metadata = self._metadata(at)
        token = self._exchange(metadata, answer["code"], str(trip["verifier"]), back)
        return Arrival(self._checked(metadata, token, str(trip["nonce"]), at), str(trip["next"]))

    def logout_address(self, *, back: str, at: Instant) -> str | None:
        """Return where the browser signs out of the provider too, None where it offers no such thing.

        Raises: OidcUnreachable.
        """
        address = self._metadata(at).get("end_session_endpoint")
        if not isinstance(address, str) or not self._is_own(address):
            return None
        mark = "&" if urlsplit(address).query else "?"
        return address + mark + urlencode({"client_id": self.client_id, "post_logout_redirect_uri": back})

    def _trip(self, cookie: str, at: Instant) -> Mapping[str, Any]:
        key_id, _, data = cookie.partition(".")
        try:
            told = self.vault.unseal(Sealed(key_id, base64.urlsafe_b64decode(data)), bound_to=_BOUND_TO)
        except (IdentifierUnreadable, binascii.Error, ValueError) as exc:
            raise OidcRefused(reason="cookie") from exc
        trip: Mapping[str, Any] = json.loads(told)
        if trip["until"] < at.timestamp():
            raise OidcRefused(reason="late")
        return trip

    def _metadata(self, at: Instant) -> Mapping[str, Any]:
        """Return what the provider says of itself, asked at most every ten minutes: anybody can come to this door.

        Raises: OidcUnreachable, without asking again where it was so within the last half minute.
        """
        with self._guard:
            if self._known is not None and self._known[0] + _METADATA_KEPT_FOR > at:
                return self._known[1]
            if self._failed is not None and self._failed[0] + _FAILURE_KEPT_FOR > at:
                raise OidcUnreachable(self._failed[1].message, **self._failed[1].facts)
            try:
                found = self._asked()
            except OidcUnreachable as error:
                self._failed = (at, error)
                raise
            self._known, self._failed = (at, found), None
            return found

    def _asked(self) -> Mapping[str, Any]:
        found = self._get(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise OidcUnreachable("The sign-in provider calls itself another name", issuer=self.issuer)
        if not all(isinstance(found.get(name), str) and self._is_own(found[name]) for name in _ENDPOINTS):
            raise OidcUnreachable("The sign-in provider names addresses that are not its own", issuer=self.issuer)
        return found

    def _is_own(self, address: str) -> bool:
        own, other = urlsplit(self.issuer), urlsplit(address)
        return (own.scheme, own.netloc) == (other.scheme, other.netloc)

    def _exchange(self, metadata: Mapping[str, Any], code: str, verifier: str, back: str) -> str:
        # Both are encoded before they are joined: RFC 6749 section 2.3.1.
        quoted = (quote(self.client_id, safe=""), quote(self.client_secret(), safe=""))
        auth = ClientAuth(*quoted, "client_secret_basic")
        body = prepare_token_request("authorization_code", "", redirect_uri=back, code=code, code_verifier=verifier)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        url, headers, body = auth.prepare("POST", metadata["token_endpoint"], headers, body)
        try:
            reply = self.outbound.post(url, headers=headers, body=body.encode())
        except (Undelivered, UrlRefused) as exc:
            raise OidcUnreachable(cause=exc.code) from exc
        if reply.status != 200:
            raise OidcRefused(reason="code")
        token = _object(reply.body).get("id_token")
        if not isinstance(token, str):
            raise OidcRefused(reason="token")
        return token

    def _checked(self, metadata: Mapping[str, Any], token: str, nonce: str, at: Instant) -> Mapping[str, Any]:
        keys = self._get(metadata["jwks_uri"])
        rules = jwt.JWTClaimsRegistry(
            now=int(at.timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims  # type: ignore[arg-type]
            rules.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as exc:
            raise OidcRefused(reason="token") from exc
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.client_id:
            raise OidcRefused(reason="token")
        return claims

    def _get(self, url: str) -> Mapping[str, Any]:
        try:
            reply = self.outbound.get(url, headers={"Accept": "application/json"})
        except (Undelivered, UrlRefused) as exc:
            raise OidcUnreachable(cause=exc.code) from exc
        if reply.status != 200:
            raise OidcUnreachable(status=reply.status)
        return _object(reply.body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise OidcUnreachable from exc
    if not isinstance(told, dict):
        raise OidcUnreachable
    return told
