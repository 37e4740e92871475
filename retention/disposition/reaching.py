"""Who sees a list, kept in step: the unit that proposed it and all above it."""

from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_rows
from archive.db.sight import EVERYBODYS, Reach, microseconds, party_of, unbound
from archive.organisation.units import lines_of
from retention.disposition.models import DispositionList

DISPOSAL: Final = "disposal"
"""The kind of lists in `reach`."""


def reach_lists(tx: Session, list_ids: Collection[UUID]) -> None:
    """Bring in step who sees these lists, at the end of the transaction that made them or moved their unit."""
    with unbound(tx):
        # The rows are the lock, as for complaints.
        rows = select(DispositionList.id).where(DispositionList.id.in_(list_ids)).order_by(DispositionList.id)
        tx.execute(rows.with_for_update()).all()
        tx.execute(delete(Reach).where(Reach.kind == DISPOSAL, Reach.ref_id.in_(list_ids)))
        insert_rows(tx, Reach, list(_rows(tx, list_ids)))


def lists_of_units(tx: Session, unit_ids: Collection[UUID]) -> Collection[UUID]:
    """Return the lists that these units have, for whoever moves a unit."""
    with unbound(tx):
        return tx.scalars(select(DispositionList.id).where(DispositionList.unit_id.in_(unit_ids))).all()


def _rows(tx: Session, list_ids: Collection[UUID]) -> Iterator[dict[str, Any]]:
    columns = (DispositionList.id, DispositionList.proposed_at, DispositionList.unit_id)
    found = tx.execute(select(*columns).where(DispositionList.id.in_(list_ids))).all()
    lines = lines_of(tx, {row.unit_id for row in found})
    for row in found:
        for party in {*map(party_of, lines[row.unit_id]), EVERYBODYS}:
            yield {
                "party": party,
                "kind": DISPOSAL,
                "at": microseconds(row.proposed_at),
                "ref_id": row.id,
                "classes": 0,
                "until": None,
            }
