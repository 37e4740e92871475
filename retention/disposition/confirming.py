"""Who acts on a list has just given the own password again: nobody decides from a desk that somebody has left."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.models import Account
from archive.access.sessions import SignInRefused, require_password
from archive.access.sign_ins import SignIns
from archive.kernel.errors import Forbidden
from archive.kernel.instants import Instant

LASTS: Final = timedelta(minutes=5)


class NotConfirmed(Forbidden):
    """Give your password once more; what was given before is too long ago."""

    code = "disposition.not_confirmed"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A signed-in person whose password was right at a moment. Only `confirm` makes it."""

    caller: Caller
    at: Instant

    def require_fresh(self, at: Instant) -> Caller:
        """Return who it is. Raises: NotConfirmed when it is too long ago."""
        if not timedelta(0) <= at - self.at <= LASTS:
            raise NotConfirmed
        return self.caller


def confirm(sign_ins: SignIns, caller: Caller, password: str, *, at: Instant, request: str | None = None) -> Confirmed:
    """Ask a signed-in person for the password. Raises: SignInRefused, also for who is no person; TooManyAttempts."""
    with sign_ins.database.read() as tx:
        account = tx.scalar(select(Account).where(Account.id == caller.account_id, Account.disabled_at.is_(None)))
    if account is None or caller.session_id is None:
        raise SignInRefused
    require_password(sign_ins, account, caller.session_id, password, at=at, request=request)
    return Confirmed(caller, at)
