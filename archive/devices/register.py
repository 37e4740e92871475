"""The register: writing devices down, each by its serial number, and changing what is written of one."""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.devices.models import Device
from archive.devices.reaching import reach_devices
from archive.devices.terms import DeviceState
from archive.evidence.terms import SourceKind
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import DeviceId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.units import open_unit

MAX_SERIAL_CHARACTERS: Final = 128
MAX_MODEL_CHARACTERS: Final = 100
MAX_NOTE_CHARACTERS: Final = 500


class DeviceNotFound(NotFound):
    """There is no such device, or it is not yours to see."""

    code = "devices.not_found"


class SerialTaken(Conflict):
    """Another device has this serial number."""

    code = "devices.serial_taken"


class DeviceHeld(Conflict):
    """An officer has the device; take it back before it leaves service or its unit."""

    code = "devices.held"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is written down of a device."""

    serial: str
    kind: SourceKind
    unit_id: UUID
    model: str = ""
    firmware: str = ""
    state: DeviceState = DeviceState.IN_SERVICE
    note: str = ""


def record_device(database: Database, facts: DeviceFacts, *, by: Caller, at: Instant) -> DeviceId:
    """Write a device down. Raises: Forbidden, SerialTaken, UnitNotFound, InvalidInput."""
    require(by.roles, Capability.FILE_CASES)
    with unique_or(SerialTaken), database.begin() as tx:
        return write_device(tx, facts, by=by, at=at)


def write_device(tx: Session, facts: DeviceFacts, *, by: Caller, at: Instant) -> DeviceId:
    """Do what `record_device` does in the caller's transaction, which goes inside `unique_or(SerialTaken)`."""
    values = _values(facts)
    open_unit(tx, facts.unit_id)
    with unbound(tx):  # also one that the caller does not see
        if tx.scalar(select(Device.id).where(Device.serial == values["serial"])) is not None:
            raise SerialTaken
    device_id = DeviceId(new_uuid7())
    insert_row(tx, Device, id=device_id, holder_id=None, recorded_at=at, **values)
    _tell(tx, EntryType.DEVICE_RECORDED, device_id, {**told(values), "holder": None}, by=by, at=at)
    reach_devices(tx, [device_id])
    return device_id


def change_device(database: Database, device_id: DeviceId, facts: DeviceFacts, *, by: Caller, at: Instant) -> bool:
    """Change what is written of a device, but not its serial number; return whether anything is different now.

    Raises: Forbidden, DeviceNotFound, DeviceHeld, UnitNotFound, InvalidInput for another serial number.
    """
    values = _values(facts)
    with database.begin() as tx:
        row = device_to_change(tx, device_id, by=by)
        if values["serial"] != row.serial:
            raise InvalidInput("A serial number is not changed: it is another device")
        changed = {name: value for name, value in values.items() if getattr(row, name) != value}
        if not changed:
            return False
        if row.holder_id is not None and not {"unit_id", "state"}.isdisjoint(changed):
            raise DeviceHeld
        open_unit(tx, facts.unit_id)
        was = told({name: getattr(row, name) for name in changed})
        tx.execute(update(Device).where(Device.id == device_id).values(**changed))
        _tell(tx, EntryType.DEVICE_UPDATED, device_id, {**told(changed), "was": was}, by=by, at=at)
        reach_devices(tx, [device_id])
    return True


def device_to_change(tx: Session, device_id: DeviceId, *, by: Caller) -> Device:
    """Return a device that the caller is about to change, locked. Raises: Forbidden, DeviceNotFound."""
    require(by.roles, Capability.FILE_CASES)
    row = tx.scalar(select(Device).where(Device.id == device_id).with_for_update())
    if row is None:
        raise DeviceNotFound(device_id=device_id)
    return row


def clean_serial(text: str) -> str:
    """Return a serial number in its one form. Raises: InvalidInput."""
    return clean_text(unicodedata.normalize("NFKC", text), "serial number", MAX_SERIAL_CHARACTERS)


def told(values: dict[str, Any]) -> dict[str, Any]:
    """Return columns of a device as the log tells them."""
    return {
        name.removesuffix("_id"): str(value) if isinstance(value, UUID) else value for name, value in values.items()
    }


def _values(facts: DeviceFacts) -> dict[str, Any]:
    return {
        "serial": clean_serial(facts.serial),
        "kind": facts.kind.value,
        "model": _optional(facts.model, "model", MAX_MODEL_CHARACTERS),
        "firmware": _optional(facts.firmware, "firmware", MAX_MODEL_CHARACTERS),
        "unit_id": facts.unit_id,
        "state": facts.state.value,
        "note": _optional(facts.note, "note", MAX_NOTE_CHARACTERS),
    }


def _optional(text: str, what: str, most: int) -> str:
    return clean_text(text, what, most) if text.strip() else ""


def _tell(
    tx: Session, kind: EntryType, device_id: DeviceId, detail: dict[str, Any], *, by: Caller, at: Instant
) -> None:
    append_entry(tx, NewEntry(kind, by.actor, Target("device", device_id), detail=detail), at=at)
