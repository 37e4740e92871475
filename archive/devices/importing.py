"""Taking a list of devices in: every problem is told by its row first, and only a list without any is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.devices.models import Device
from archive.devices.register import (
    MAX_MODEL_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    DeviceFacts,
    SerialTaken,
    clean_serial,
    write_device,
)
from archive.evidence.terms import SourceKind
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.organisation.models import Unit
from archive.organisation.sheets import Columns, ColumnsMissing, ColumnTwice, SheetUnreadable, read_sheet

COLUMNS: Final[Columns] = {
    "serial": ("序列号", "serial"),
    "kind": ("类型", "kind"),
    "model": ("型号", "model"),
    "firmware": ("固件版本", "firmware"),
    "unit": ("单位", "unit"),
    "note": ("备注", "note"),
}
"""The columns of a list, in either language; serial, kind and unit are needed."""
KINDS: Final[Mapping[str, SourceKind]] = {
    "执法记录仪": SourceKind.BODY_WORN,
    "询问室": SourceKind.ROOM,
    "听证": SourceKind.HEARING,
    "手机": SourceKind.PHONE,
    "无人机": SourceKind.DRONE,
    "车载": SourceKind.VEHICLE,
    "其他": SourceKind.OTHER,
}
_NEEDED: Final = ("serial", "kind", "unit")
_LENGTHS: Final = {"model": MAX_MODEL_CHARACTERS, "firmware": MAX_MODEL_CHARACTERS, "note": MAX_NOTE_CHARACTERS}


class DeviceListInvalid(InvalidInput):
    """This is no list of devices: XLSX or CSV with a line of names, in UTF-8 or GB 18030, at most 5,000 rows."""

    code = "devices.list_invalid"


class DeviceListFaulty(InvalidInput):
    """Rows of the list have problems; nothing was written."""

    code = "devices.list_faulty"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row: its line in the file, the column, and the key of a text."""

    line: int
    column: str
    why: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class DeviceList:
    """A list as it was read: devices that can be written, and the problems of all other rows."""

    devices: Sequence[DeviceFacts]
    problems: Sequence[Problem]


def read_device_list(tx: Session, data: bytes, *, units: Sequence[Unit]) -> DeviceList:
    """Read a list and say everything that is wrong with it; nothing is written. Raises: DeviceListInvalid."""
    rows = _rows(data)
    named = {name: unit for unit in units for name in (unit.code, unit.name)}
    serials = [row["serial"] for _, row in rows]
    with unbound(tx):
        known = set(tx.scalars(select(Device.serial).where(Device.serial.in_(set(serials)))))
    devices, problems, first = [], list[Problem](), dict[str, int]()
    for line, row in rows:
        found = list(_problems(line, row, named))
        serial = row["serial"]
        if serial in known:
            found.append(Problem(line, "serial", "known", serial))
        elif serial and serial in first:
            found.append(Problem(line, "serial", "twice", str(first[serial])))
        first.setdefault(serial, line)
        if found:
            problems += found
            continue
        devices.append(
            DeviceFacts(
                serial, _kind(row["kind"]) or SourceKind.OTHER, named[row["unit"]].id, row["model"], row["firmware"],
                note=row["note"],
            )
        )  # fmt: skip
    return DeviceList(devices, problems)


def import_devices(database: Database, data: bytes, *, units: Sequence[Unit], by: Caller, at: Instant) -> int:
    """Write down every device of a list, or none; return how many. Each has its entry.

    Raises: Forbidden, DeviceListInvalid, DeviceListFaulty, SerialTaken where somebody was quicker.
    """
    require(by.roles, Capability.FILE_CASES)
    with unique_or(SerialTaken), database.begin() as tx:
        read = read_device_list(tx, data, units=units)
        if read.problems:
            raise DeviceListFaulty(count=len(read.problems))
        for facts in read.devices:
            write_device(tx, facts, by=by, at=at)
    return len(read.devices)


def _rows(data: bytes) -> Sequence[tuple[int, dict[str, str]]]:
    """Return the rows that hold anything, each with its line and all columns."""
    try:
        rows = read_sheet(data, COLUMNS, needed=_NEEDED)
    except (SheetUnreadable, ColumnsMissing, ColumnTwice) as exc:
        raise DeviceListInvalid from exc
    return [(row.number, {**row.cells, "serial": _one_form(row.cells["serial"])}) for row in rows]


def _one_form(serial: str) -> str:
    try:
        return clean_serial(serial)
    except InvalidInput:
        return serial


def _problems(line: int, row: Mapping[str, str], units: Mapping[str, Unit]) -> Sequence[Problem]:
    found = []
    try:
        clean_serial(row["serial"])
    except InvalidInput:
        found.append(Problem(line, "serial", "missing" if not row["serial"] else "unreadable", row["serial"][:40]))
    if _kind(row["kind"]) is None:
        found.append(Problem(line, "kind", "unknown", row["kind"][:40]))
    if row["unit"] not in units:
        found.append(Problem(line, "unit", "unknown", row["unit"][:40]))
    for name, most in _LENGTHS.items():
        try:
            if row[name]:
                clean_text(row[name], name, most)
        except InvalidInput:
            found.append(Problem(line, name, "unreadable", row[name][:40]))
    return found


def _kind(text: str) -> SourceKind | None:
    return SourceKind(text) if text in set(SourceKind) else KINDS.get(text)
