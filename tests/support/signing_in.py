"""Accounts and sign-ins as tests of them need: made, signed in from somewhere, looked at."""

from typing import Any

from archive.access.accounts import create_account
from archive.access.browsers import NOWHERE, Origin
from archive.access.callers import Caller
from archive.access.policy import Role
from archive.access.sessions import marks_of, sign_in, signed_in_caller
from archive.kernel.ids import AccountId
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import PASSWORD, ArchiveHome

WRONG = "wrong password, surely"


def make(home: ArchiveHome, username: str = "wang", *roles: Role, **given: Any) -> AccountId:
    return create_account(
        home.database,
        username=username,
        display_name=given.pop("display_name", username.title()),
        roles=roles or (Role.SUPERVISOR,),
        password=given.pop("password", PASSWORD),
        by=OPERATOR,
        at=home.clock.now(),
        **given,
    )


def enter(home: ArchiveHome, username: str = "wang", password: str = PASSWORD, origin: Origin = NOWHERE) -> str:
    return sign_in(
        home.services.sign_ins, username=username, password=password, at=home.clock.now(), origin=origin, request="r-1"
    )


def caller_of(home: ArchiveHome, token: str) -> Caller | None:
    """Who holds a session, under the house's rules of idleness."""
    with home.database.read() as tx:
        return signed_in_caller(tx, token=token, at=home.clock.now(), idle=home.services.sign_ins.idle)


def signed_in(home: ArchiveHome, token: str) -> Caller:
    found = caller_of(home, token)
    assert found is not None
    return found


def known(home: ArchiveHome, token: str, *before: str) -> Origin:
    """The browser of a session as the account knows it from now on."""
    marks = marks_of(home.services.sign_ins, token=token, marks=before, at=home.clock.now())
    return Origin(network="198.51.100.0/24", marks=tuple(marks.split("~")))
