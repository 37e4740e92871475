"""Complaints, their steps, what they are about; and the ledger of devices."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.access.classes import RestrictedClass
from archive.complaints import models as _models
from archive.complaints.steps import words_of
from archive.complaints.terms import WAITS_FOR_ANSWER, ComplaintKind
from archive.devices import models as _devices
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_bytes

_LOADED: Final = (_models, _devices)
_ABOUT: Final = ("case", "officer", "object")
_CHECKED: Final = ("battery_percent", "free_mib", "clock_offset_s")
_DEVICE: Final = ("serial", "kind", "model", "firmware", "state", "note")


def registered(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a complaint with its first step, and count its number."""
    kind, received_at = told["kind"], told.instant("received_at")
    rows.add(
        "complaint",
        id=told.about,
        number=told.unique("number"),
        kind=kind,
        channel=told["channel"],
        received_at=received_at,
        says=_words(told, sources, "says_sealed", told.about),
        unit_id=told.uuid("unit"),
        classes=RestrictedClass.INFORMANT.bit if kind == ComplaintKind.REPORT else 0,
        state=told["state"],
        accept_by=told.instant("accept_by"),
        answer_by=told.instant("answer_by"),
        due_at=told.instant("accept_by"),
        rules_from=told.day("rules_from"),
        registered_at=told.at,
        registered_by=told.actor,
        **_sealed(told),
    )
    _step(told, rows, "registered", "")
    rules, year = sources.complaint_rules, sources.complaint_rules.year_of(received_at) if received_at else 0
    series = rules.series(ComplaintKind(kind), year=year)
    before = rows.find("complaint_count", series=series)
    last = 0 if before is None else int(before["last"])
    serial = next(
        (
            n
            for n in range(last + 1, last + 1000)
            if told.is_gone or rules.number(ComplaintKind(kind), year=year, serial=n) == told["number"]
        ),
        last,
    )
    rows.set("complaint_count", {"series": series}, last=serial)


def stepped(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a step, and bring the complaint into the state that it tells of."""
    _step(told, rows, told.get("state", "note"), _text(told, sources))
    values: dict[str, Any] = {}
    row = rows.find("complaint", id=told.about)
    if "state" in told and row is not None:
        values = {"state": told["state"], "due_at": row["answer_by"] if told["state"] in WAITS_FOR_ANSWER else None}
    if "unit" in told:
        values |= {"unit_id": told.uuid("unit"), "responsible_id": None}
    rows.change("complaint", {"id": told.about}, **values)


def assigned(told: Told, rows: Rows, sources: Sources) -> None:
    """Make somebody responsible."""
    rows.change("complaint", {"id": told.about}, responsible_id=told.uuid("responsible"))
    _step(told, rows, "assigned", _text(told, sources))


def _text(told: Told, sources: Sources) -> str:
    return _words(told, sources, "text_sealed", UUID(told["step"]))


def _words(told: Told, sources: Sources, name: str, row_id: UUID) -> str:
    return "" if told.is_gone and name not in told else sources.unsealed(told[name], words_of(row_id))


def _step(told: Told, rows: Rows, kind: str, text: str) -> None:
    rows.add(
        "complaint_step",
        id=told.uuid("step"),
        complaint_id=told.about,
        kind=kind,
        text=text,
        at=told.at,
        by_id=told.actor,
        entry_id=told.id,
    )


def updated(told: Told, rows: Rows, _: Sources) -> None:
    """Put who complained under another key."""
    rows.change("complaint", {"id": told.about}, **_sealed(told))


def _sealed(told: Told) -> dict[str, Any]:
    if told.is_gone and "complainant" not in told:
        return {}
    complainant = told["complainant"]
    if complainant is None:
        return {"key_id": None, "name_sealed": None, "contact_sealed": None}
    sealed = told["sealed"]
    return {
        "key_id": complainant["key"],
        "name_sealed": as_bytes(sealed["name"]),
        "contact_sealed": as_bytes(sealed["contact"]),
    }


def about(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a complaint is about."""
    for name in _ABOUT:
        if name in told:
            rows.add(f"complaint_{name}", complaint_id=told.about, **{f"{name}_id": UUID(told[name])})
    if "responsible" in told:
        rows.change("complaint", {"id": told.about}, responsible_id=told.uuid("responsible"))


def not_about(told: Told, rows: Rows, _: Sources) -> None:
    """Take back what a complaint is about."""
    for name in _ABOUT:
        if name in told:
            rows.remove(f"complaint_{name}", complaint_id=told.about, **{f"{name}_id": UUID(told[name])})


def device_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write a device."""
    words = {name: told.words(name) for name in ("model", "firmware", "note")}
    rows.add("device", **words | {"serial": told.unique("serial")} | _device(told), id=told.about, recorded_at=told.at)


def device_updated(told: Told, rows: Rows, _: Sources) -> None:
    """Change a device."""
    rows.change("device", {"id": told.about}, **_device(told))


def device_handed_over(told: Told, rows: Rows, _: Sources) -> None:
    """Write a line of the ledger, and who has the device now."""
    holder = told.uuid("holder")
    before = (told.get("was") or {}).get("holder")
    rows.change("device", {"id": told.about}, holder_id=holder)
    rows.add(
        "device_handover",
        id=told.uuid("handover"),
        device_id=told.about,
        at=told.at,
        from_id=None if before is None else UUID(before),
        to_id=holder,
        remarks=told.words("remarks"),
        **{name: told.get(name) if told.is_gone else told[name] for name in _CHECKED},
        by_id=told.actor,
        entry_id=told.id,
    )


def _device(told: Told) -> dict[str, Any]:
    values = {name: told[name] for name in _DEVICE if name in told}
    return values | {f"{name}_id": told.uuid(name) for name in ("unit", "holder") if name in told}


HANDLERS: Final[Mapping[str, Any]] = {
    "complaint.registered": registered,
    "complaint.step": stepped,
    "complaint.assigned": assigned,
    "complaint.updated": updated,
    "complaint.linked": about,
    "complaint.unlinked": not_about,
    "device.recorded": device_recorded,
    "device.updated": device_updated,
    "device.handed_over": device_handed_over,
}
