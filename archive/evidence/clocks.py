"""How the clocks of devices go, and when something last came from one: times alone, of all that came."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.db.sight import unbound
from archive.evidence.models import EvidenceItem
from archive.kernel.instants import Instant


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a device's clock was ahead when it was docked. Units: milliseconds."""

    at: Instant
    offset_ms: int


def clock_offsets(tx: Session, serial: str, *, limit: int = 200) -> Sequence[ClockOffset]:
    """Return the newest measured offsets of a device, the oldest of them first.

    Also of items that the transaction does not see: nothing is told of these but a time.
    """
    query = (
        select(EvidenceItem.received_at, EvidenceItem.clock_offset_ms)
        .where(EvidenceItem.device_serial == serial, EvidenceItem.clock_offset_ms.is_not(None))
        .order_by(EvidenceItem.received_at.desc(), EvidenceItem.object_id.desc())
        .limit(limit)
    )
    with unbound(tx):
        found = [ClockOffset(at, offset) for at, offset in tx.execute(query) if offset is not None]
    return found[::-1]


def last_received(tx: Session, serials: Collection[str]) -> Mapping[str, Instant]:
    """Return when something last came from each of these devices, whoever may see it."""
    query = (
        select(EvidenceItem.device_serial, func.max(EvidenceItem.received_at))
        .where(EvidenceItem.device_serial.in_(serials))
        .group_by(EvidenceItem.device_serial)
    )
    with unbound(tx):
        return {serial: at for serial, at in tx.execute(query) if serial is not None}
