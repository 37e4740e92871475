"""Telling people of damage: when it is found, and once more when it cannot be repaired. A dying disk is one notice."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from archive.access.listings import accounts_with
from archive.access.policy import Role
from archive.kernel.instants import Instant
from archive.notify.notices import NoticeKind, notify
from retention.rounds.models import FixityDamage, counts

TOLD: Final = (Role.RECORDS_MANAGER, Role.OPERATOR, Role.ADMINISTRATOR, Role.AUDITOR)
_LINK: Final = "/fixity"
_SELDOM: Final = timedelta(minutes=15)


def tell_people(tx: Session, *, at: Instant) -> int:
    """Tell who keeps records or machines, and auditors, of damage that nobody was told of; return of how many.

    Each damage is told once when it is found, and once when it turns out that it cannot be repaired; at most one notice
    of each kind goes out in a quarter of an hour.
    """
    newest = tx.scalar(select(func.max(FixityDamage.told_at)))
    if newest is not None and at - newest < _SELDOM:
        return 0
    found = list(tx.scalars(select(FixityDamage.id).where(FixityDamage.told_at.is_(None))))
    stuck = (
        counts(),
        FixityDamage.trouble.is_not(None),
        or_(FixityDamage.told_trouble.is_(None), FixityDamage.told_trouble != FixityDamage.trouble),
    )
    open_ones = list(tx.scalars(select(FixityDamage.id).where(*stuck)))
    readers = {account.id for role in TOLD for account in accounts_with(tx, role)}
    for kind, ids in ((NoticeKind.FIXITY_DAMAGED, found), (NoticeKind.FIXITY_UNREPAIRED, open_ones)):
        if ids:
            notify(tx, readers, kind, params={"count": str(len(ids))}, link=_LINK, at=at)
    _mark(tx, found, told_at=at)
    _mark(tx, open_ones, told_at=at, told_trouble=FixityDamage.trouble)
    return len({*found, *open_ones})


def _mark(tx: Session, ids: list[UUID], **values: object) -> None:
    for start in range(0, len(ids), 500):
        tx.execute(update(FixityDamage).where(FixityDamage.id.in_(ids[start : start + 500])).values(**values))
