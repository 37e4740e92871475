"""Parts of retention that other branches bring: stand-ins where they are not there. Goes with the merge."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.support.schedule_in_force import USUAL, Given


def stand_in() -> None:
    """Put stand-ins where the real modules are missing."""
    _missing("retention.schedules.register", rules_in_force=lambda *_: Given(USUAL))
    _missing("retention.holding.stops", stops_of=_stops_of)


def _missing(name: str, **what: Any) -> None:
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module = ModuleType(name)
        module.__dict__.update(what)
        sys.modules[name] = module


def _stops_of(tx: Any, object_ids: Any, at: Any, *, leave_out: Any = None) -> Any:
    from retention.planning.models import RetentionPlan
    from retention.stops import Stop, StopKind

    del leave_out
    found = {}
    for object_id in object_ids:
        plan = tx.get(RetentionPlan, object_id)
        if plan is None:
            stops = [Stop(StopKind.NOT_PLANNED)]
        elif plan.is_permanent:
            stops = [Stop(StopKind.PERMANENT)]
        elif plan.is_waiting:
            stops = [Stop(StopKind.NO_RULE if plan.waits_for is None else StopKind.CLOCK_NOT_BEGUN)]
        else:
            stops = [Stop(StopKind.NOT_DUE, until=plan.retain_until)] if plan.retain_until > at else []
        found[object_id] = tuple(stops)
    return found
