"""Until when objects are kept. How far planning is, is found out again; what was planned comes back."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment
from retention.planning import models as _models

_LOADED: Final = (_models,)


def planned(told: Told, rows: Rows, _: Sources) -> None:
    """Write the plans that an entry tells of; the locks are held against them anew."""
    if told.is_gone:
        return
    for said in told["plans"]:
        moments = said["counted_from"]
        values = {
            "retain_until": as_moment(said["until"]),
            "is_permanent": said["permanent"],
            "is_waiting": said["waiting"],
            "waits_for": said["waits_for"],
            "rule": said["rule"],
            "basis": said["basis"],
            "schedule_id": None if said["schedule"] is None else UUID(said["schedule"]),
            "planned_at": told.at,
            "stale_since": None,
            "entry_id": told.id,
            "lock_due": True,
        }
        for number, object_id in enumerate(said["objects"]):
            counted_from = as_moment(moments[number] if isinstance(moments, list) else moments)
            rows.set("retention_plan", {"object_id": UUID(object_id)}, **values, basis_at=counted_from)


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {"retention.planned": planned}
