"""Lists of devices, and one of them with its ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from archive.db import sight
from archive.db.sight import Reach, microseconds, moment
from archive.devices.models import Device, DeviceHandover
from archive.devices.reaching import DEVICE
from archive.devices.register import DeviceNotFound
from archive.devices.terms import DeviceState
from archive.evidence.clocks import ClockOffset, clock_offsets, last_received
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DeviceId, parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.organisation.models import Officer, Unit

FAR_OFF_MS = 30_000
"""From here on a clock is so far off that people are warned."""
_LISTING = "devices"


class WhichDevices(StrEnum):
    """What a list shows."""

    ALL = "all"
    HELD = "held"
    STORED = "stored"
    REPAIR = "repair"
    LOST = "lost"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device in a list: its unit, who has it, and when something last came from it."""

    device: Device
    unit: str
    holder: Officer | None
    last_seen_at: Instant | None


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Devices and the cursor of the next ones, None at the end."""

    rows: Sequence[DeviceRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device with its ledger, newest first, the officers in it, and how its clock went, oldest first."""

    row: DeviceRow
    handovers: Sequence[DeviceHandover]
    officers: Mapping[UUID, Officer]
    offsets: Sequence[ClockOffset]

    @property
    def last_offset(self) -> ClockOffset | None:
        """The newest offset that was measured."""
        return self.offsets[-1] if self.offsets else None

    @property
    def is_far_off(self) -> bool:
        """Whether the clock was more than 30 s off when it was last measured."""
        last = self.last_offset
        return last is not None and abs(last.offset_ms) > FAR_OFF_MS


def devices(
    tx: Session, *, which: WhichDevices = WhichDevices.ALL, cursor: str | None = None, limit: int = 50
) -> DevicePage:
    """Return what a bound transaction sees of devices, newest first.

    Raises: InvalidInput for the cursor of another list.
    """
    place = None
    listing = f"{_LISTING}-{which.value}"
    if cursor is not None:
        parts = cursor.split("~")
        if len(parts) != 3 or parts[0] != listing:
            raise InvalidInput("The cursor does not belong to this list")
        place = microseconds(parse_instant(parts[1])), parse_uuid(parts[2])
    found = sight.newest_seen(
        tx,
        DEVICE,
        before=place,
        limit=limit + 1,
        narrowed=lambda query: query.join(Device, Device.id == Reach.ref_id).where(_condition(which)),
    )
    kept = found[:limit]
    more = f"{listing}~{format_instant(moment(kept[-1][0]))}~{kept[-1][1]}" if len(found) > limit else None
    return DevicePage(_rows(tx, [device_id for _, device_id in kept]), more)


def device_view(tx: Session, device_id: DeviceId, *, limit: int = 100) -> DeviceView:
    """Return one device with the newest lines of its ledger. Raises: DeviceNotFound."""
    rows = _rows(tx, [device_id])
    if not rows:
        raise DeviceNotFound(device_id=device_id)
    handovers = tx.scalars(
        select(DeviceHandover)
        .where(DeviceHandover.device_id == device_id)
        .order_by(DeviceHandover.at.desc(), DeviceHandover.id.desc())
        .limit(limit)
    ).all()
    ids = {found for line in handovers for found in (line.from_id, line.to_id) if found is not None}
    officers = {officer.id: officer for officer in tx.scalars(select(Officer).where(Officer.id.in_(ids)))}
    return DeviceView(rows[0], handovers, officers, clock_offsets(tx, rows[0].device.serial))


def _rows(tx: Session, ids: Sequence[UUID]) -> Sequence[DeviceRow]:
    query = (
        select(Device, Unit.name, Officer)
        .join(Unit, Unit.id == Device.unit_id)
        .outerjoin(Officer, Officer.id == Device.holder_id)
        .where(Device.id.in_(ids))
    )
    found = {row[0].id: row for row in tx.execute(query)}
    seen = last_received(tx, {row[0].serial for row in found.values()})
    return [DeviceRow(*found[one], seen.get(found[one][0].serial)) for one in ids if one in found]


def _condition(which: WhichDevices) -> ColumnElement[bool]:
    match which:
        case WhichDevices.ALL:
            return Device.state != DeviceState.RETIRED.value
        case WhichDevices.HELD:
            return Device.holder_id.is_not(None)
        case WhichDevices.STORED:
            return Device.holder_id.is_(None) & (Device.state == DeviceState.IN_SERVICE.value)
        case _:
            return Device.state == which.value
