"""Where a person gets mail: set by this person only, and used once a code that was sent there has come back."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row, insert_rows
from archive.db.database import Database, unique_or
from archive.jobs.queue import DELIVERY, add_job
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import AccountId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.notify.models import MailAddress, NoticeChoice
from archive.notify.notices import NoticeKind
from archive.ports.mailer import MailAddressInvalid

SEND_CODE: Final = "send_mail_code"
CODE_LIFETIME: Final = timedelta(hours=1)
MAX_ADDRESS_CHARACTERS: Final = 254
_BETWEEN_CODES: Final = timedelta(minutes=1)
_MOST_WRONG_CODES: Final = 5
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
"""Dot-atom addresses. Source: RFC 5321 section 4.1.2, without quoted local parts and address literals."""


class MailAddressMissing(NotFound):
    """No mail address waits for a code."""

    code = "mail.address_missing"


class MailCodeWrong(InvalidInput):
    """The code is not the one that was sent last, or it is too old; after five wrong ones set the address again."""

    code = "mail.code_wrong"


class MailTooSoon(LiuhenError):
    """A code was asked for a moment ago; wait a minute."""

    code = "mail.too_soon"
    exit_code = 75
    retryable = True


class MailAddressChanged(Conflict):
    """The address was changed at the same time."""

    code = "mail.address_changed"


def set_mail_address(
    database: Database, account_id: AccountId, address: str, *, language: str, by: Actor, at: Instant
) -> None:
    """Set where a person wants mail; a code is sent there, and until it comes back nothing else is.

    Raises: MailAddressInvalid, MailTooSoon, MailAddressChanged.
    """
    address = address.strip()
    if len(address) > MAX_ADDRESS_CHARACTERS or len(address.rpartition("@")[0]) > 64 or not _ADDRESS.fullmatch(address):
        raise MailAddressInvalid
    values = {
        "address": address,
        "language": language,
        "asked_at": at,
        "verified_at": None,
        "code_hash": None,
        "code_until": None,
        "wrong_codes": 0,
    }
    with unique_or(MailAddressChanged), database.begin() as tx:
        there = tx.scalar(select(MailAddress).where(MailAddress.account_id == account_id).with_for_update())
        if there is None:
            insert_row(tx, MailAddress, account_id=account_id, **values)
        elif at - there.asked_at < _BETWEEN_CODES:
            raise MailTooSoon
        else:
            tx.execute(update(MailAddress).where(MailAddress.account_id == account_id).values(**values))
        args = {"account_id": str(account_id), "asked_at": format_instant(at)}
        add_job(tx, SEND_CODE, args, at=at, queue=DELIVERY, key=f"mail-code:{account_id}:{format_instant(at)}")
        _tell(tx, account_id, "set", by=by, at=at)


def verify_mail_address(database: Database, account_id: AccountId, code: str, *, by: Actor, at: Instant) -> None:
    """Take the code that was sent; from now on the address is used. Raises: MailAddressMissing, MailCodeWrong."""
    with database.begin() as tx:
        row = tx.scalar(select(MailAddress).where(MailAddress.account_id == account_id).with_for_update())
        if row is None or row.verified_at is not None:
            raise MailAddressMissing
        ours = MailAddress.account_id == account_id
        is_right = (
            row.code_hash is not None
            and row.code_until is not None
            and row.code_until > at
            and row.wrong_codes < _MOST_WRONG_CODES
            and hmac.compare_digest(row.code_hash, hash_of(code))
        )
        if is_right:
            tx.execute(update(MailAddress).where(ours).values(verified_at=at, code_hash=None, code_until=None))
            _tell(tx, account_id, "verified", by=by, at=at)
        else:
            tx.execute(update(MailAddress).where(ours).values(wrong_codes=MailAddress.wrong_codes + 1))
    if not is_right:  # after the commit: wrong codes are counted
        raise MailCodeWrong


def remove_mail_address(database: Database, account_id: AccountId, *, by: Actor, at: Instant) -> None:
    """Send a person no more mail. Raises: MailAddressMissing."""
    with database.begin() as tx:
        gone = tx.execute(
            delete(MailAddress).where(MailAddress.account_id == account_id).returning(MailAddress.account_id)
        ).scalar_one_or_none()
        if gone is None:
            raise MailAddressMissing
        _tell(tx, account_id, "removed", by=by, at=at)


def choose_notices(
    database: Database, account_id: AccountId, mailed: Collection[NoticeKind], *, by: Actor, at: Instant
) -> None:
    """Have notices of these kinds sent by mail too, the others in the page only. The same again writes nothing."""
    wanted = {kind.value for kind in mailed}
    with unique_or(MailAddressChanged), database.begin() as tx:
        there = set(tx.scalars(select(NoticeChoice.kind).where(NoticeChoice.account_id == account_id)))
        if there == wanted:
            return
        tx.execute(
            delete(NoticeChoice).where(NoticeChoice.account_id == account_id, NoticeChoice.kind.in_(there - wanted))
        )
        insert_rows(tx, NoticeChoice, [{"account_id": account_id, "kind": kind} for kind in sorted(wanted - there)])
        _tell(tx, account_id, "chosen", by=by, at=at, kinds=sorted(wanted))


def mail_address(tx: Session, account_id: AccountId) -> MailAddress | None:
    """Return where a person gets mail, if anywhere."""
    return tx.get(MailAddress, account_id)


def mailed_kinds(tx: Session, account_id: AccountId) -> frozenset[str]:
    """Return the kinds of notices that a person wants by mail too."""
    return frozenset(tx.scalars(select(NoticeChoice.kind).where(NoticeChoice.account_id == account_id)))


def new_code() -> str:
    """Return a fresh one-time code: 8 characters of 31 are 39 bits, of which five guesses are nothing."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(2))


def hash_of(code: str) -> bytes:
    """Return a code as it is kept."""
    return hashlib.sha256(code.strip().upper().replace(" ", "").encode("utf-8", "replace")).digest()


def _tell(tx: Session, account_id: AccountId, what: str, *, by: Actor, at: Instant, **facts: list[str]) -> None:
    # The address itself is nobody else's business: the log says that there is another one.
    entry = NewEntry(EntryType.ADMIN_MAIL_CHANGED, by, Target("account", account_id), detail={"what": what, **facts})
    append_entry(tx, entry, at=at)
