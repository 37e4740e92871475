"""What Axis systems are transferring, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.kernel.instants import Instant
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.naming import REGISTERS
from ingest.models import Dock


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A recording that is not complete. Units: bytes."""

    system: str
    name: str
    state: str
    changed_at: Instant
    object_count: int
    size_bytes: int


def waiting_recordings(tx: Session) -> Sequence[WaitingRow]:
    """Return the recordings whose end was not said or not reached, longest silent first."""
    rows = tx.execute(
        select(
            Dock.name,
            AxisContainer.name,
            AxisContainer.state,
            AxisContainer.changed_at,
            func.count(AxisObject.id),
            func.coalesce(func.sum(AxisObject.size_bytes), 0),
        )
        .join(Dock, Dock.id == AxisContainer.dock_id)
        .outerjoin(AxisObject, AxisObject.container_id == AxisContainer.id)
        .where(AxisContainer.state != "complete", AxisContainer.name.not_in(REGISTERS))
        .group_by(AxisContainer.id, Dock.name, AxisContainer.name, AxisContainer.state, AxisContainer.changed_at)
        .order_by(AxisContainer.changed_at, AxisContainer.id)
    )
    return [WaitingRow(*row) for row in rows]
