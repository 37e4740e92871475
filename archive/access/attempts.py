"""Wrong passwords slow down where they come from, and never who is meant.

Delays are kept for a name and a source. A browser that this account has signed in with before is a source of its own
and shares no delay with anybody; all others are their network, and all of them together, at a slow rate that guessing
from many networks cannot pass. So a stranger can hold up strangers and nobody else.

A name that nobody has gets the same answers as one that somebody has: its delays are counted alike, under a keyed hash.
A refusal of an account has its entry in the log; that of a name that nobody has is counted in a row in the same way,
one durable transaction of as few rows, and the count becomes one entry an hour: otherwise whoever invents names could
grow the log without end, or tell by the time of an answer which names exist.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Tx

from archive.access.models import RefusedNames, SignInDelay
from archive.db.database import Database
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry

FREE_ATTEMPTS: Final = 5
FREE_ATTEMPTS_OF_ALL: Final = 30
SLOW_RATE: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(minutes=5)
FORGOTTEN_AFTER: Final = timedelta(hours=24)
EVERYWHERE: Final = "all"
"""The source that stands for all browsers that are not known, together."""
_MOST_DOUBLINGS: Final = 16
"""More would pass the longest delay by far, and in the end what a `timedelta` can hold."""
_TOLD_EVERY: Final = timedelta(hours=1)
_MOST_UNKNOWN: Final = 50_000


class TooManyAttempts(LiuhenError):
    """Too many wrong passwords; wait a little and try again."""

    code = "access.too_many_attempts"
    exit_code = 75
    retryable = True


def require_no_delay(tx: Tx, subject: bytes, sources: Sequence[str], *, at: Instant, lock: bool = False) -> None:
    """Refuse a source that has to wait. Raises: TooManyAttempts with `retry_after_s`."""
    query = select(SignInDelay).where(SignInDelay.subject == subject, SignInDelay.source.in_(sources))
    query = query.order_by(SignInDelay.source)  # locked in one order everywhere
    rows = tx.scalars(query.with_for_update() if lock else query).all()
    until = max((row.refuse_until for row in rows if row.refuse_until is not None), default=None)
    if until is not None and until > at:
        raise TooManyAttempts(retry_after_s=int((until - at).total_seconds()) + 1)


def count_refusal(tx: Tx, subject: bytes, sources: Sequence[str], *, is_known: bool, at: Instant) -> None:
    """Count a wrong password for each of the sources, and let them wait where it was one too many."""
    for source in sorted(sources):  # locked in one order everywhere
        failed = _counted(tx, subject, source, is_known=is_known, at=at)
        delay = _delay(source, failed)
        if delay is not None:
            row = (SignInDelay.subject == subject, SignInDelay.source == source)
            tx.execute(update(SignInDelay).where(*row).values(refuse_until=at + delay))


def count_refused_name(tx: Tx, *, at: Instant) -> None:
    """Count a name that nobody has, towards the next entry about such names."""
    fresh = _upsert(tx, RefusedNames).values(id=1, count=1, since=at)
    again = fresh.on_conflict_do_update(index_elements=["id"], set_={"count": RefusedNames.count + 1})
    tx.execute(again)


def forget_refusals(tx: Tx, subject: bytes, source: str) -> None:
    """Begin anew for a source from which the right password came."""
    tx.execute(delete(SignInDelay).where(SignInDelay.subject == subject, SignInDelay.source == source))


def tidy_attempts(database: Database, *, at: Instant) -> None:
    """Write the entry about names that nobody has, once an hour, and forget old delays.

    What is kept of invented names is bounded: of more than 50,000 the oldest go.
    """
    with database.read() as tx:
        is_due = tx.scalar(select(RefusedNames.id).where(RefusedNames.since <= at - _TOLD_EVERY)) is not None
        is_old = tx.scalar(select(SignInDelay.source).where(SignInDelay.last_at < at - FORGOTTEN_AFTER).limit(1))
        unknown = tx.scalar(select(func.count()).select_from(SignInDelay).where(SignInDelay.is_known.is_(False))) or 0
    if is_due:
        _tell_refused_names(database, at=at)
    if is_old is not None or unknown > _MOST_UNKNOWN:
        _forget_old(database, too_many=unknown - _MOST_UNKNOWN, at=at)


def _tell_refused_names(database: Database, *, at: Instant) -> None:
    with database.begin() as tx:
        row = tx.execute(
            delete(RefusedNames)
            .where(RefusedNames.since <= at - _TOLD_EVERY)
            .returning(RefusedNames.count, RefusedNames.since)
        ).one_or_none()
        if row is None:  # another process has told it
            return
        detail = {"unknown_names": row.count, "since": row.since.isoformat()}
        append_entry(tx, NewEntry(EntryType.ADMIN_SIGN_IN_REFUSED, ARCHIVE, detail=detail), at=at)


def _forget_old(database: Database, *, too_many: int, at: Instant) -> None:
    before = at - FORGOTTEN_AFTER
    with database.begin() as tx:
        tx.execute(delete(SignInDelay).where(SignInDelay.last_at < before))
        if too_many > 0:
            newest = (
                select(SignInDelay.last_at)
                .where(SignInDelay.is_known.is_(False))
                .order_by(SignInDelay.last_at)
                .offset(too_many - 1)
                .limit(1)
                .scalar_subquery()
            )
            tx.execute(delete(SignInDelay).where(SignInDelay.is_known.is_(False), SignInDelay.last_at <= newest))


def _counted(tx: Tx, subject: bytes, source: str, *, is_known: bool, at: Instant) -> int:
    """Count in the row, not from what was read before: attempts at the same time must not hide each other."""
    fresh = _upsert(tx, SignInDelay).values(
        subject=subject, source=source, is_known=is_known, failed=1, last_at=at, refuse_until=None
    )
    again = {"failed": SignInDelay.failed + 1, "last_at": at, "is_known": is_known}
    counted = fresh.on_conflict_do_update(index_elements=["subject", "source"], set_=again).returning(
        SignInDelay.failed
    )
    return int(tx.execute(counted).scalar_one())


def _delay(source: str, failed: int) -> timedelta | None:
    if source == EVERYWHERE:
        return SLOW_RATE if failed > FREE_ATTEMPTS_OF_ALL else None
    if failed <= FREE_ATTEMPTS:
        return None
    return min(timedelta(seconds=2 ** min(failed - FREE_ATTEMPTS, _MOST_DOUBLINGS)), LONGEST_DELAY)


def _upsert(tx: Tx, table: type[SignInDelay] | type[RefusedNames]) -> Any:
    return (sqlite if tx.connection().dialect.name == "sqlite" else postgresql).insert(table)
