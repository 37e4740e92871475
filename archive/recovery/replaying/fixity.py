"""Fixity rounds: when what was re-read, damage and its repair, reports of months. What is in work begins again."""

import json
from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from archive.kernel.ids import ObjectId
from archive.ocfl.layout import object_root
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from retention.rounds import models as _models

_LOADED: Final = (_models,)


def checked(told: Told, rows: Rows, _: Sources) -> None:
    """Write what an entry tells of objects that are whole: many of them, or one that somebody asked for."""
    if told.is_gone or "place_id" not in told:
        return
    if told.kind is not None:
        _check(told, rows, {str(told.about): told["head"]}, "valid")
        return
    facts = {"place": told["place_id"], "objects": len(told["objects"]), "size_bytes": told["bytes"]}
    rows.add("fixity_batch", entry_id=told.id, at=told.at, **facts)
    _check(told, rows, told["objects"], "valid")


def failed(told: Told, rows: Rows, _: Sources) -> None:
    """Write that an object was found damaged; a check that could not be made tells of no row."""
    if told.is_gone or "damage" not in told:
        return
    _check(told, rows, {str(told.about): told["head"]}, "invalid")
    damage_id = UUID(told["damage"])
    if rows.find("fixity_damage", id=damage_id) is None:
        findings = json.dumps(told["parts"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        facts = {"object_id": told.about, "place": told["place_id"], "findings": findings}
        rows.add("fixity_damage", id=damage_id, state="found", found_at=told.at, **facts)


def quarantined(told: Told, rows: Rows, _: Sources) -> None:
    """Write that damaged files were kept aside."""
    if told.is_gone:
        return
    facts = {"state": "quarantined", "quarantined_at": told.at, "good_place": told["good_id"]}
    rows.change("fixity_damage", {"id": UUID(told["damage"])}, **facts)


def repaired(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a damaged object is whole again, and which versions its files are read as."""
    if told.is_gone:
        return
    facts = {"state": "repaired", "repaired_at": told.at, "good_place": told["good_id"]}
    rows.change("fixity_damage", {"id": UUID(told["damage"])}, **facts)
    _check(told, rows, {str(told.about): told["head"]}, "valid")
    for file in told["files"]:
        if "version" in file:
            key = f"{object_root(ObjectId(told.about))}/{file['path']}"
            where = {"place": told["place_id"], "key": key}
            rows.set("fixity_mend", where, version=file["version"], entry_id=told.id)


def reported(told: Told, rows: Rows, _: Sources) -> None:
    """Write the report of a month, with its signature."""
    if told.is_gone:
        return
    result, signature = str(told["result"]).encode(), bytes.fromhex(told["signature"])
    rows.add("fixity_report", id=told.about, month=told["month"], made_at=told.at, result=result, signature=signature)


def _check(told: Told, rows: Rows, heads: Mapping[str, int], outcome: str) -> None:
    common = {"place": told["place_id"], "checked_at": told.at, "outcome": outcome, "since": told.at}
    rows.set_all(
        "fixity_check",
        [
            {**common, "object_id": UUID(object_id), "head": head, "entry_id": told.id, "tries": 0}
            for object_id, head in heads.items()
        ],
    )


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {
    "fixity.ok": checked,
    "fixity.fail": failed,
    "fixity.quarantined": quarantined,
    "fixity.repaired": repaired,
    "fixity.reported": reported,
}
