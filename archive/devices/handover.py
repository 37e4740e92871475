"""Handing devices over (交接): who takes one from whom, after the check before duty; the ledger of it is kept."""

from dataclasses import dataclass
from datetime import date, timedelta, timezone
from typing import Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.db.base import insert_row
from archive.db.database import Database
from archive.devices.models import Device, DeviceHandover
from archive.devices.reaching import reach_devices
from archive.devices.register import MAX_NOTE_CHARACTERS, device_to_change
from archive.devices.terms import DeviceState
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import DeviceId, OfficerId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.models import Officer
from archive.organisation.officers import OfficerNotFound

MOST_FREE_MIB: Final = 1 << 30
MOST_OFFSET_S: Final = 10 * 366 * 86_400
# All of China has kept one offset since 1991.
_ZONE: Final = timezone(timedelta(hours=8))


class CertificateNotValid(Conflict):
    """The officer's certificate is suspended or not valid today, so that the officer cannot take a device."""

    code = "devices.certificate_not_valid"


class DeviceNotReady(Conflict):
    """A device that is not in service is not handed to anybody."""

    code = "devices.not_ready"


class HolderChanged(Conflict):
    """Somebody has handed the device over meanwhile, or it is there already."""

    code = "devices.holder_changed"


class CheckMissing(InvalidInput):
    """Before duty, battery, free memory and clock are checked."""

    code = "devices.check_missing"


@dataclass(frozen=True, slots=True)
class Check:
    """The check before duty. Units: percent; MiB; seconds that the device's clock is ahead."""

    battery_percent: int | None = None
    free_mib: int | None = None
    clock_offset_s: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything was looked at."""
        return None not in {self.battery_percent, self.free_mib, self.clock_offset_s}


def hand_over(
    database: Database,
    device_id: DeviceId,
    *,
    seen_holder: OfficerId | None,
    to: OfficerId | None,
    check: Check,
    remarks: str = "",
    by: Caller,
    at: Instant,
) -> None:
    """Hand a device from whoever has it to an officer, or to the store (None).

    `seen_holder` is who has it as far as the caller knows; somebody may have been quicker.
    Raises: Forbidden, DeviceNotFound, HolderChanged, OfficerNotFound, CertificateNotValid, DeviceNotReady,
        CheckMissing for an officer without a whole check, InvalidInput.
    """
    _require_sane(check)
    remarks = clean_text(remarks, "remarks", MAX_NOTE_CHARACTERS) if remarks.strip() else ""
    with database.begin() as tx:
        row = device_to_change(tx, device_id, by=by)
        if row.holder_id != seen_holder or row.holder_id == to:
            raise HolderChanged
        if to is not None:
            _require_fit(tx, row, to, check, at=at)
        was = row.holder_id
        tx.execute(update(Device).where(Device.id == device_id).values(holder_id=to))
        detail = {
            "holder": None if to is None else str(to),
            "was": {"holder": None if was is None else str(was)},
            "battery_percent": check.battery_percent,
            "free_mib": check.free_mib,
            "clock_offset_s": check.clock_offset_s,
            "remarks": remarks,
            "handover": str(handover_id := new_uuid7()),
        }
        entry = NewEntry(EntryType.DEVICE_HANDED_OVER, by.actor, Target("device", device_id), detail=detail)
        insert_row(
            tx,
            DeviceHandover,
            id=handover_id,
            device_id=device_id,
            at=at,
            from_id=was,
            to_id=to,
            battery_percent=check.battery_percent,
            free_mib=check.free_mib,
            clock_offset_s=check.clock_offset_s,
            remarks=remarks,
            by_id=by.account_id,
            entry_id=append_entry(tx, entry, at=at),
        )
        reach_devices(tx, [device_id])


def may_take(officer: Officer, *, today: date) -> bool:
    """Return whether an officer's certificate lets its holder take a device on this day. Pure."""
    begun = officer.valid_from is None or officer.valid_from <= today
    lasts = officer.valid_until is None or today <= officer.valid_until
    return officer.suspended_at is None and begun and lasts


def day_of(at: Instant) -> date:
    """Return the day where the bureau is."""
    return at.astimezone(_ZONE).date()


def _require_fit(tx: Session, row: Device, to: OfficerId, check: Check, *, at: Instant) -> None:
    officer = tx.get(Officer, to)
    if officer is None:
        raise OfficerNotFound(officer_id=to)
    if row.state != DeviceState.IN_SERVICE:
        raise DeviceNotReady
    if not may_take(officer, today=day_of(at)):
        raise CertificateNotValid(officer_id=to)
    if not check.is_whole:
        raise CheckMissing


def _require_sane(check: Check) -> None:
    for value, least, most in (
        (check.battery_percent, 0, 100),
        (check.free_mib, 0, MOST_FREE_MIB),
        (check.clock_offset_s, -MOST_OFFSET_S, MOST_OFFSET_S),
    ):
        if value is not None and not least <= value <= most:
            raise InvalidInput(f"A value of the check lies between {least} and {most}")
