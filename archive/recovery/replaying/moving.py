"""Moves to another store, what was moved, and what was given up."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from retention.moving import models as _models

_LOADED: Final = (_models,)
_FACTS: Final = ("from_place", "to_place", "from_settings", "to_settings", "keep_days")
_STATES: Final[Mapping[tuple[str, str], str]] = {
    ("store.move_switched", "switched"): "switched",
    ("store.move_switched", "renamed"): "renamed",
    ("store.move_released", "begun"): "releasing",
    ("store.move_released", "done"): "released",
    ("store.move_abandoned", "begun"): "abandoning",
    ("store.move_abandoned", "done"): "abandoned",
}
_TIMES: Final = {
    ("store.move_switched", "switched"): "switched_at",
    ("store.move_switched", "renamed"): "switched_at",
    ("store.move_switched", "settled"): "settled_at",
    ("store.move_released", "done"): "released_at",
    ("store.move_abandoned", "done"): "abandoned_at",
}


def begun(told: Told, rows: Rows, _: Sources) -> None:
    """Write a move; it looks through catalogue, log and journal anew."""
    facts = {name: told[name] for name in _FACTS}
    rows.add(
        "store_move",
        id=told.about,
        state="copying",
        begun_by=told.actor,
        begun_at=told.at,
        scanned=0,
        journal_size=0,
        **facts,
    )


def moved(told: Told, rows: Rows, _: Sources) -> None:
    """Write what was verified in the new place."""
    for object_id, head in told["objects"].items():
        this = {"move_id": told.about, "object_id": UUID(object_id)}
        rows.set("moved_object", this, state="verified", head=head, verified_at=told.at, is_held=False)


def went_on(told: Told, rows: Rows, _: Sources) -> None:
    """Write which step a move has come to, with the report that it needed; or what was taken away."""
    if told["step"] == "cleared":
        for object_id in told["objects"]:
            rows.change("moved_object", {"move_id": told.about, "object_id": UUID(object_id)}, cleared_at=told.at)
        return
    step = (told.type, str(told["step"]))
    values: dict[str, Any] = {}
    if step in _STATES:
        values["state"] = _STATES[step]
    if step in _TIMES:
        values[_TIMES[step]] = told.at
    if "keep_until" in told:
        values["keep_until"] = told.instant("keep_until")
    if "report" in told:
        values["report"] = str(told["report"]).encode()
        values["report_signature"] = bytes.fromhex(told["signature"])
    rows.change("store_move", {"id": told.about}, **values)


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {
    "store.move_begun": begun,
    "store.moved": moved,
    "store.move_switched": went_on,
    "store.move_released": went_on,
    "store.move_abandoned": went_on,
}
