"""Tries of the store's locks. Until when locks last, the store says; the next round of renewals notes it."""

from collections.abc import Callable, Mapping
from typing import Final

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from retention import models as _models

_LOADED: Final = (_models,)


def probed(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a try of the locks has shown."""
    facts = {name: told[name] for name in ("place", "outcome", "findings")}
    rows.add("worm_probe", id=told.about, probed_at=told.at, **facts)


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {"store.probed": probed}
