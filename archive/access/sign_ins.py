"""What signing in works with, put together by wiring."""

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import false, select
from sqlalchemy.orm import Session as Tx

from archive.access.attempts import EVERYWHERE
from archive.access.browsers import Origin, known_browser
from archive.access.models import Account
from archive.access.policy import Role
from archive.access.session_rows import SESSION_LIFETIME
from archive.access.terms import Terms
from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ports.identifiers import IdentifierVault


@dataclass(frozen=True, slots=True)
class SignIns:
    """The database, the secret under which names, browsers and codes are kept as hashes, and the house's rules."""

    database: Database
    secret: bytes = field(repr=False)
    vault: IdentifierVault
    idle: timedelta = SESSION_LIFETIME
    second_factor_roles: frozenset[Role] = frozenset()
    terms: Terms | None = None

    def subject_of(self, username: str) -> bytes:
        """Return what stands for a name among delays: nobody reads it back without the secret."""
        return self.keyed("name", username)

    def keyed(self, purpose: str, text: str) -> bytes:
        """Return a keyed hash of a text, another one for each purpose."""
        return hmac.digest(self.secret, f"{purpose} v1|{text}".encode(), "sha256")

    def sources_of(self, account: Account | None, origin: Origin, *, at: Instant) -> Sequence[str]:
        """Return what this origin counts as for this account: itself where it is known, else its network and all."""
        browser_id = known_browser(self.secret, account, origin.marks, at=at)
        return (f"net:{origin.network}", EVERYWHERE) if browser_id is None else (f"browser:{browser_id}",)

    def wants_second_factor(self, roles: Collection[Role]) -> bool:
        """Return whether the house requires a second factor of somebody with these roles."""
        return not self.second_factor_roles.isdisjoint(roles)


def account_named(tx: Tx, username: str) -> Account | None:
    """Return the account of this name, if there is one and it is not disabled."""
    # PostgreSQL has no text with NUL in it, so there is nothing to ask for.
    named = Account.username == username if "\0" not in username else false()
    return tx.scalar(select(Account).where(named, Account.disabled_at.is_(None)))
