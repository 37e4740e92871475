"""Who sees a hold, kept in step: the unit of whoever placed it, and all above it."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_rows
from archive.db.sight import EVERYBODYS, Reach, microseconds, party_of, unbound
from archive.organisation.units import lines_of
from retention.holding.hold_entries import HOLD
from retention.holding.models import Hold


def reach_holds(tx: Session, hold_ids: Collection[UUID]) -> None:
    """Bring in step who sees these holds, at the end of the transaction that placed them or moved their unit."""
    with unbound(tx):
        # The rows are the lock: of two that settle one hold, the later one sees what the earlier one wrote.
        tx.execute(select(Hold.id).where(Hold.id.in_(hold_ids)).order_by(Hold.id).with_for_update()).all()
        tx.execute(delete(Reach).where(Reach.kind == HOLD, Reach.ref_id.in_(hold_ids)))
        insert_rows(tx, Reach, list(_rows(tx, hold_ids)))


def holds_of_units(tx: Session, unit_ids: Collection[UUID]) -> Collection[UUID]:
    """Return the holds that these units have, for whoever moves a unit."""
    with unbound(tx):
        return tx.scalars(select(Hold.id).where(Hold.unit_id.in_(unit_ids))).all()


def _rows(tx: Session, hold_ids: Collection[UUID]) -> Iterator[dict[str, Any]]:
    found = tx.execute(select(Hold.id, Hold.placed_at, Hold.unit_id).where(Hold.id.in_(hold_ids))).all()
    lines = lines_of(tx, {row.unit_id for row in found})
    for row in found:
        for party in {*map(party_of, lines[row.unit_id]), EVERYBODYS}:
            yield {
                "party": party,
                "kind": HOLD,
                "at": microseconds(row.placed_at),
                "ref_id": row.id,
                "classes": 0,
                "until": None,
            }
