"""How much somebody may ask for, where several processes answer: one bucket in the database, drawn from in portions.

A row for each request would cost more than most requests do. So a process draws a portion and gives it out by itself:
a single request at first, twice as much whenever it was used up soon. What all processes give out together never is
more than the bucket held; what one of them does not give out soon is lost to whoever asks, never to the limit.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from archive.access.models import Allowance
from archive.db.database import Database
from archive.kernel.instants import Instant

FORGOTTEN_AFTER: Final = timedelta(minutes=10)
"""Longer than any bucket takes to be full again."""
_WHO_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """What a bucket gets in a second, and the most that it holds."""

    per_s: float
    holds: float


def draw(database: Database, meter: str, who: object, *, rate: Rate, wanted: int, at: Instant) -> tuple[int, float]:
    """Take up to `wanted` out of a bucket, whole ones only; return how many, and what is left in it."""
    key = {"meter": meter, "who": hashlib.blake2b(f"{meter}:{who}".encode(), digest_size=_WHO_BYTES).digest()}
    row = (Allowance.meter == key["meter"], Allowance.who == key["who"])
    with database.begin() as tx:
        insert: Any = (sqlite if database.is_sqlite else postgresql).insert(Allowance)
        tx.execute(insert.values(**key, left=rate.holds, at=at).on_conflict_do_nothing())
        left, since = tx.execute(select(Allowance.left, Allowance.at).where(*row).with_for_update()).one()
        # Clocks of several hosts differ a little: time never goes back here.
        left = min(rate.holds, left + max(0.0, (at - since).total_seconds()) * rate.per_s)
        drawn = min(wanted, int(left))
        tx.execute(update(Allowance).where(*row).values(left=left - drawn, at=max(at, since)))
    return drawn, left - drawn


def forget_full(database: Database, *, at: Instant) -> None:
    """Forget the buckets that are full again."""
    before = at - FORGOTTEN_AFTER
    with database.read() as tx:
        if tx.scalar(select(Allowance.at).where(Allowance.at < before).limit(1)) is None:
            return
    with database.begin() as tx:
        tx.execute(delete(Allowance).where(Allowance.at < before))
