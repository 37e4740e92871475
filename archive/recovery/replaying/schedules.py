"""Versions of the retention schedule, as they were saved, put in force and withdrawn."""

from collections.abc import Mapping
from typing import Any, Final

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_day, as_moment
from retention.schedules import models as _schedules

_LOADED: Final = _schedules
_SCHEDULE: Final = ("title", "state", "content", "withdrawal_reason")
_DAYS: Final = ("valid_from",)
_MOMENTS: Final = ("put_in_force_at", "withdrawn_at")
_PEOPLE: Final = ("put_in_force_by", "withdrawn_by")


def schedule_saved(told: Told, rows: Rows, _: Sources) -> None:
    """Write a version, or what was saved over it."""
    rows.set("retention_schedule", {"id": told.about}, saved_by=told.actor, saved_at=told.at, **_schedule(told))


def schedule_changed(told: Told, rows: Rows, _: Sources) -> None:
    """Write what became of a version."""
    rows.change("retention_schedule", {"id": told.about}, **_schedule(told))


def _schedule(told: Told) -> dict[str, Any]:
    values = {name: told[name] for name in _SCHEDULE if name in told}
    values |= {name: as_day(told[name]) for name in _DAYS if name in told}
    values |= {name: as_moment(told[name]) for name in _MOMENTS if name in told}
    return values | {name: told.uuid(name) for name in _PEOPLE if name in told}


HANDLERS: Final[Mapping[str, Any]] = {
    "admin.schedule_saved": schedule_saved,
    "admin.schedule_put_in_force": schedule_changed,
    "admin.schedule_withdrawn": schedule_changed,
}
