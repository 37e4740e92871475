"""An archive whose people sign in by a provider, and that provider, each knowing the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.web.app import create_app
from tests.support import seed
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.oidc_peer import OidcPeer, oidc_peer

SECRET = "a secret: with/marks+and %41"
PEOPLE = {
    "u1": {"preferred_username": "wang", "name": "王芳", "groups": ["队长"], "department": "一中队"},
    "u2": {"preferred_username": "li", "name": "李晓东", "groups": ["队员", "队长"]},
    "u3": {"preferred_username": "zhao", "name": "赵强", "groups": ["食堂"]},
    "u4": {"preferred_username": "wang", "name": "另一个王芳", "groups": ["队长"]},
    "u5": {"name": "no name", "groups": ["队长"]},
    "u7": {"preferred_username": "sun", "name": "孙丽", "groups": ["队长"], "department": "财务处"},
    "u6": {"preferred_username": "both", "groups": ["队长", "管理"]},
}
ROLES = {"队长": ("unit_head",), "队员": ("case_handler",), "管理": ("administrator",)}


@dataclass(frozen=True, slots=True)
class Joined:
    """The archive, where it is served, and the provider."""

    home: ArchiveHome
    base: str
    peer: OidcPeer


@contextmanager
def joined(folder: Path, database_url: str, people: Mapping[str, Any] = PEOPLE, **settings: Any) -> Iterator[Joined]:
    """Make both and serve them until the block ends."""
    secret = folder / "client-secret"
    secret.write_text(SECRET + "\n", "utf-8")
    with oidc_peer() as peer:
        given = {
            "oidc_issuer": peer.url,
            "oidc_client_id": "liuhen",
            "oidc_client_secret_file": secret,
            "oidc_networks": ("127.0.0.0/8",),
            "oidc_roles": ROLES,
            **settings,
        }
        home = make_home(folder, database_url, SteppedClock(), **given)
        with seed.listening(create_app(home.services)) as address:
            base = address.replace("127.0.0.1", "localhost")
            client = {
                "client_id": "liuhen",
                "client_secret": SECRET,
                "redirect_uris": [f"{base}/sign-in/provider/back"],
                "post_logout_redirect_uris": [f"{base}/sign-in"],
                "token_endpoint_auth_method": "client_secret_basic",
            }
            peer.configure(client, people)
            yield Joined(home, base, peer)
        home.services.close()
