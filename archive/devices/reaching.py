"""Who sees a device, kept in step: the unit that has it, all above it, and the officer who holds it."""

from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_rows
from archive.db.sight import EVERYBODYS, Reach, microseconds, party_of, unbound
from archive.devices.models import Device
from archive.organisation.units import lines_of

DEVICE: Final = "device"
"""The kind of devices in `reach`."""


def reach_devices(tx: Session, device_ids: Collection[UUID]) -> None:
    """Bring in step who sees these devices, at the end of the transaction that changed unit or holder, or made them."""
    with unbound(tx):
        # The rows are the lock: of two that settle one device, the later one sees what the earlier one wrote.
        tx.execute(select(Device.id).where(Device.id.in_(device_ids)).order_by(Device.id).with_for_update()).all()
        tx.execute(delete(Reach).where(Reach.kind == DEVICE, Reach.ref_id.in_(device_ids)))
        insert_rows(tx, Reach, list(_rows(tx, device_ids)))


def devices_of_units(tx: Session, unit_ids: Collection[UUID]) -> Collection[UUID]:
    """Return the devices that these units have, for whoever moves a unit."""
    with unbound(tx):
        return tx.scalars(select(Device.id).where(Device.unit_id.in_(unit_ids))).all()


def _rows(tx: Session, device_ids: Collection[UUID]) -> Iterator[dict[str, Any]]:
    columns = (Device.id, Device.recorded_at, Device.unit_id, Device.holder_id)
    found = tx.execute(select(*columns).where(Device.id.in_(device_ids))).all()
    lines = lines_of(tx, {row.unit_id for row in found})
    for row in found:
        parties = {*map(party_of, lines[row.unit_id]), EVERYBODYS}
        if row.holder_id is not None:
            parties.add(party_of(row.holder_id))
        for party in parties:
            yield {
                "party": party,
                "kind": DEVICE,
                "at": microseconds(row.recorded_at),
                "ref_id": row.id,
                "classes": 0,
                "until": None,
            }
