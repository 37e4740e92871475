"""What could not be renewed, and why: written down, so that people see it, and gone once it could."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.instants import Instant
from retention.renewals.models import RenewalFault
from retention.renewals.terms import Aging


def note_fault(database: Database, kind: Aging, ref: str, code: str, *, at: Instant) -> None:
    """Write down that something could not be renewed now; since when is kept."""
    with database.begin() as tx:
        row = tx.get(RenewalFault, (kind.value, ref))
        if row is None:
            insert_row(tx, RenewalFault, kind=kind.value, ref=ref, code=code[:64], since=at, tried_at=at)
        else:
            row.code, row.tried_at = code[:64], at


def forget_fault(database: Database, kind: Aging, ref: str) -> None:
    """Write down that something was renewed after all."""
    with database.read() as tx:
        if tx.get(RenewalFault, (kind.value, ref)) is None:
            return
    with database.begin() as tx:
        tx.execute(delete(RenewalFault).where(RenewalFault.kind == kind.value, RenewalFault.ref == ref))


def faults(tx: Session, *, limit: int = 100) -> Sequence[RenewalFault]:
    """Return what could not be renewed, the longest first."""
    return tx.scalars(select(RenewalFault).order_by(RenewalFault.since, RenewalFault.ref).limit(limit)).all()
