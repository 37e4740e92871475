"""Agencies, units, supervision, officers with their portraits and records, reviewers and lawyers."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.organisation import models as _models
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_bytes, as_day, as_moment

_LOADED: Final = _models
_OFFICER: Final = (
    "certificate_number", "name", "agency", "unit", "unit_id", "categories", "area", "valid_from", "valid_until",
    "suspended_at", "suspension_reason",
)  # fmt: skip
_LEGAL: Final = (
    "number", "name", "kind", "agency", "unit", "unit_id", "qualification_number", "qualified_on", "licence_number",
    "since", "until", "end_reason", "account_id",
)  # fmt: skip
_DAYS: Final = {"valid_from", "valid_until", "qualified_on", "since", "until"}
_RECORD: Final = (
    "kind", "subject", "hours_tenths", "score_tenths", "result", "organiser", "certificate_number",
)  # fmt: skip


def agency_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write an agency and the unit that stands for it, or give them another code and name."""
    names = {"code": told.unique("code"), "name": told.unique("name")}
    known = rows.find("agency", id=told.about)
    if known is not None:
        if not told.is_gone:
            rows.change("agency", {"id": told.about}, **names)
            rows.change("unit", {"id": known["root_unit_id"]}, **names)
        return
    root = told.uuid("root")
    rows.add("agency", id=told.about, root_unit_id=root, recorded_at=told.at, **names)
    rows.add("unit", id=root, agency_id=told.about, recorded_at=told.at, **names)


def unit_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write a unit, change it or close it."""
    if told.get("closed"):
        rows.change("unit", {"id": told.about}, closed_at=told.at)
        return
    parent = told.uuid("parent")
    values = {"code": told.unique("code")[:32], "name": told.words("name"), "parent_id": parent}
    if rows.find("unit", id=told.about) is not None:
        if told.is_gone:
            values = {"parent_id": parent}
        rows.change("unit", {"id": told.about}, **values)
        return
    above = rows.find("unit", id=parent)
    if above is None:
        raise told.unknown("parent")
    rows.add("unit", id=told.about, agency_id=above["agency_id"], recorded_at=told.at, **values)


def supervision_set(told: Told, rows: Rows, _: Sources) -> None:
    """Write that an agency supervises another."""
    rows.add(
        "supervision",
        id=told.uuid("supervision"),
        supervisor_id=told.about,
        supervised_id=told.uuid("supervised"),
        basis=told.words("basis"),
        set_at=told.at,
    )


def supervision_ended(told: Told, rows: Rows, _: Sources) -> None:
    """Take a supervision back."""
    rows.remove("supervision", supervisor_id=told.about, supervised_id=told.uuid("supervised"))


def officer_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write an officer, change what is written, or bind what another system calls the officer."""
    if "external" in told:
        external_id(told, rows, "officer")
        return
    values = _said(told, _OFFICER)
    if rows.find("officer", id=told.about) is None:
        values.setdefault("certificate_number", told.unique("certificate_number"))
        for name in ("name", "agency", "unit"):
            values.setdefault(name, told.words(name))
        rows.add("officer", **({"categories": []} | values), id=told.about, recorded_at=told.at)
    else:
        rows.change("officer", {"id": told.about}, **values)


def photo_set(told: Told, rows: Rows, _: Sources) -> None:
    """Put a portrait in place of the one before; one that only got another key keeps its time."""
    before = rows.find("officer_photo", officer_id=told.about)
    set_at = before["set_at"] if before is not None and told.get("rekeyed") else told.at
    values = {"sha256": told["sha256"], "size_bytes": told["size"], "key_id": told["key"]}
    rows.set(
        "officer_photo", {"officer_id": told.about}, sealed=as_bytes(told["sealed"]), set_at=set_at, **values
    )  # fmt: skip


def photo_removed(told: Told, rows: Rows, _: Sources) -> None:
    """Remove a portrait."""
    rows.remove("officer_photo", officer_id=told.about)


def record_added(told: Told, rows: Rows, _: Sources) -> None:
    """Write a training or an examination."""
    rows.add(
        "officer_record",
        id=told.about,
        officer_id=told.uuid("officer"),
        held_on=told.day("held_on"),
        valid_until=told.day("valid_until"),
        replaces_id=told.uuid("replaces"),
        recorded_at=told.at,
        recorded_by=told.actor,
        **{name: told[name] for name in _RECORD},
    )


def record_withdrawn(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a record was withdrawn."""
    values = {"withdrawn_at": told.instant("withdrawn_at"), "withdrawal_reason": told["reason"]}
    rows.change("officer_record", {"id": told.about}, **values)


def legal_staff_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write a reviewer or lawyer, or change what is written."""
    values = _said(told, _LEGAL)
    if rows.find("legal_staff", id=told.about) is None:
        values = {
            "number": told.unique("number"),
            **{name: told.words(name) for name in ("name", "agency", "unit")},
        } | values
        rows.add("legal_staff", id=told.about, recorded_at=told.at, **values)
    else:
        rows.change("legal_staff", {"id": told.about}, **values)


def external_id(told: Told, rows: Rows, kind: str) -> None:
    """Bind what another system calls a thing."""
    external = told["external"]
    rows.add(
        "external_id",
        integration_id=as_uuid(external["integration"]),
        kind=kind,
        external_id=external["id"],
        internal_id=told.about,
        bound_at=told.at,
    )


def as_uuid(value: Any) -> Any:
    """Return an id that a detail holds in a list or an object."""
    return None if value is None else UUID(value)


def _said(told: Told, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns that an entry says, as their types ask."""
    found: dict[str, Any] = {}
    for name in names:
        if name in told:
            value = told[name]
            if name in _DAYS:
                value = as_day(value)
            elif name == "suspended_at":
                value = as_moment(value)
            elif name.endswith("_id"):
                value = as_uuid(value)
            found[name] = value
    return found


HANDLERS: Final[Mapping[str, Any]] = {
    "admin.agency_recorded": agency_recorded,
    "admin.unit_recorded": unit_recorded,
    "admin.supervision_set": supervision_set,
    "admin.supervision_ended": supervision_ended,
    "admin.officer_recorded": officer_recorded,
    "admin.officer_photo_set": photo_set,
    "admin.officer_photo_removed": photo_removed,
    "admin.officer_record_added": record_added,
    "admin.officer_record_withdrawn": record_withdrawn,
    "admin.legal_staff_recorded": legal_staff_recorded,
}
