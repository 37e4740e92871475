"""Who sees a complaint, kept in step: the unit that handles it, all above it, and nobody without the clearance."""

from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.complaints.models import Complaint
from archive.db.base import insert_rows
from archive.db.sight import EVERYBODYS, Reach, microseconds, party_of, unbound
from archive.organisation.units import lines_of

PETITION: Final = "petition"
"""The kind of complaints and reports in `reach`."""


def reach_complaints(tx: Session, complaint_ids: Collection[UUID]) -> None:
    """Bring in step who sees these complaints, at the end of the transaction that made them or moved their unit."""
    with unbound(tx):
        # The rows are the lock: of two that settle one complaint, the later one sees what the earlier one wrote.
        rows = select(Complaint.id).where(Complaint.id.in_(complaint_ids)).order_by(Complaint.id)
        tx.execute(rows.with_for_update()).all()
        tx.execute(delete(Reach).where(Reach.kind == PETITION, Reach.ref_id.in_(complaint_ids)))
        insert_rows(tx, Reach, list(_rows(tx, complaint_ids)))


def complaints_of_units(tx: Session, unit_ids: Collection[UUID]) -> Collection[UUID]:
    """Return the complaints that these units have, for whoever moves a unit."""
    with unbound(tx):
        return tx.scalars(select(Complaint.id).where(Complaint.unit_id.in_(unit_ids))).all()


def _rows(tx: Session, complaint_ids: Collection[UUID]) -> Iterator[dict[str, Any]]:
    columns = (Complaint.id, Complaint.registered_at, Complaint.unit_id, Complaint.classes)
    found = tx.execute(select(*columns).where(Complaint.id.in_(complaint_ids))).all()
    lines = lines_of(tx, {row.unit_id for row in found})
    for row in found:
        for party in {*map(party_of, lines[row.unit_id]), EVERYBODYS}:
            yield {
                "party": party,
                "kind": PETITION,
                "at": microseconds(row.registered_at),
                "ref_id": row.id,
                "classes": row.classes,
                "until": None,
            }
