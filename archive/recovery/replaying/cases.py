"""Cases, their acts and members, what is filed under them, and what is restricted."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.access.classes import RestrictedClass, bits
from archive.cases import models as _models
from archive.db.sight import FIRST_UNIT
from archive.recovery.replaying.organisation import external_id
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment

_LOADED: Final = _models
_CASE: Final = {
    "number": "number", "title": "title", "category": "category", "subject": "subject_id", "unit": "unit_id",
    "closed_at": "closed_at",
}  # fmt: skip
_ACT: Final = ("stage", "place", "started_at", "ended_at")


def case_opened(told: Told, rows: Rows, _: Sources) -> None:
    """Write a case. One whose subject had no entry of its own yet brings it along."""
    subject_id = told.uuid("subject")
    if "subject_name" in told and rows.find("subject", id=subject_id) is None:
        rows.add(
            "subject",
            id=subject_id,
            kind=told["subject_kind"],
            name=told["subject_name"],
            created_at=told.at,
            unit_id=FIRST_UNIT,
        )
    values = {"unit_id": FIRST_UNIT} | _columns(told)
    values |= {"number": told.unique("number"), "title": told.words("title")}
    rows.add("case_file", id=told.about, opened_at=told.at, opened_by=told.actor, classes=0, **values)


def case_updated(told: Told, rows: Rows, _: Sources) -> None:
    """Change a case, or bind what another system calls it."""
    if "external" in told:
        external_id(told, rows, "case")
    rows.change("case_file", {"id": told.about}, **_columns(told))


def _columns(told: Told) -> dict[str, Any]:
    values = {column: told[name] for name, column in _CASE.items() if name in told}
    for column in ("subject_id", "unit_id"):
        if column in values:
            values[column] = UUID(values[column])
    if "closed_at" in values:
        values["closed_at"] = as_moment(values["closed_at"])
    return values


def act_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write an act of a case."""
    rows.add("act", id=told.about, case_id=told.case, **{"place": told.words("place")} | _act(told))


def act_updated(told: Told, rows: Rows, _: Sources) -> None:
    """Change an act, who takes part in it, or what another system calls it."""
    if "external" in told:
        external_id(told, rows, "act")
    rows.change("act", {"id": told.about}, **_act(told))
    if "officers" in told:
        rows.remove("act_officer", act_id=told.about)
        for officer_id in told["officers"]:
            rows.add("act_officer", act_id=told.about, officer_id=UUID(officer_id))


def _act(told: Told) -> dict[str, Any]:
    values = {name: told[name] for name in _ACT if name in told}
    return {name: as_moment(value) if name.endswith("_at") else value for name, value in values.items()}


def case_classified(told: Told, rows: Rows, _: Sources) -> None:
    """Set the restricted classes of a case."""
    rows.change("case_file", {"id": told.about}, classes=_bits(told))


def object_classified(told: Told, rows: Rows, _: Sources) -> None:
    """Set the restricted classes of an object."""
    rows.change("preserved_object", {"id": told.about}, classes=_bits(told))


def _bits(told: Told) -> int:
    return bits([RestrictedClass(name) for name in str(told["classes"]).split()])


def member_added(told: Told, rows: Rows, _: Sources) -> None:
    """Make somebody a member of a case, in place of a membership that has ended."""
    account_id = told.uuid("account")
    rows.remove("case_member", case_id=told.about, account_id=account_id)
    rows.add(
        "case_member",
        case_id=told.about,
        account_id=account_id,
        reason=told.words("reason"),
        added_at=told.at,
        until=told.instant("until"),
    )


def member_removed(told: Told, rows: Rows, _: Sources) -> None:
    """Take somebody out of a case."""
    rows.remove("case_member", case_id=told.about, account_id=told.uuid("account"))


def linked(told: Told, rows: Rows, _: Sources) -> None:
    """File an object under a case. Of a link whose detail does not open only the act is not known."""
    act_id = told.uuid("act") if "act" in told else None
    rows.add(
        "case_link",
        case_id=told.case,
        object_id=told.about,
        act_id=act_id,
        linked_by=told.actor,
        linked_at=told.at,
    )


def unlinked(told: Told, rows: Rows, _: Sources) -> None:
    """Take an object out of a case."""
    rows.remove("case_link", case_id=told.case, object_id=told.about)


HANDLERS: Final[Mapping[str, Any]] = {
    "case.opened": case_opened,
    "case.updated": case_updated,
    "case.closed": case_updated,
    "case.act": act_recorded,
    "case.act_updated": act_updated,
    "case.classified": case_classified,
    "object.classified": object_classified,
    "case.member_added": member_added,
    "case.member_removed": member_removed,
    "case.link": linked,
    "case.unlink": unlinked,
}
