"""Tries of the store's locks, the second copy and its drills. Until when locks last, the stores say."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from retention import models as _models

_LOADED: Final = (_models,)


def probed(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a try of the locks has shown."""
    facts = {name: told[name] for name in ("place", "outcome", "findings")}
    rows.add("worm_probe", id=told.about, probed_at=told.at, **facts)


def copied(told: Told, rows: Rows, _: Sources) -> None:
    """Write what was copied; the copier looks through the log anew from its beginning."""
    if told.is_gone:
        return
    place_id = UUID(told["place_id"])
    if rows.find("copy_place", id=place_id) is None:
        rows.add("copy_place", id=place_id, place=told["place"], scanned=0)
    for object_id, head in told["objects"].items():
        this = {"place_id": place_id, "object_id": UUID(object_id)}
        known = rows.find("object_copy", **this)
        if known is None:
            rows.add("object_copy", **this, head=head, copied_at=told.at)
        elif head >= known["head"]:
            rows.change("object_copy", this, head=head, copied_at=told.at)


def drilled(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a drill has shown, with its signature."""
    if told.is_gone:
        return
    rows.add(
        "restore_drill",
        id=told.about,
        place=told["place"],
        outcome=told["outcome"],
        drilled_at=told.at,
        result=str(told["result"]).encode(),
        signature=bytes.fromhex(told["signature"]),
    )


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {
    "store.probed": probed,
    "store.copied": copied,
    "store.drilled": drilled,
}
