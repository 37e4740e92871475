"""What looks into items found, against the log: each row is what the newest entry of its look commits to.

A detail that was erased is not asked about; what came after the newest entry that can be read neither.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.canonical import NotCanonical, canonical_json
from archive.kernel.findings import Finding, invalid, valid

_TYPE: Final = "item.described"
_SCAN: Final = "scan"
_PROBE: Final = "probe"
"""The one look whose finding stands in a column of the item itself."""


def check_looks(connection: Connection) -> Iterator[Finding]:
    """Hold what was found in each item against the entries that tell of it, in both directions."""
    newest, erased = _told(connection, "item")
    count = 0
    for row in rows(connection, "SELECT * FROM item_look"):
        count += 1
        where = (as_uuid(row["object_id"]), str(row["look"]))
        entry = newest.pop(where, None)
        if _is_open(where[0], entry, erased):
            continue
        if entry is None:
            yield invalid("fsck.unlogged", "A row of item_look has no log entry", _name(where))
        elif (faults := _faults(row, entry)) != "":
            yield invalid("fsck.row_changed", f"item_look.{faults} is not what the log entry says", _name(where))
    for row in rows(connection, "SELECT object_id, probe FROM evidence_item"):
        where = (as_uuid(row["object_id"]), _PROBE)
        entry = newest.pop(where, None)
        found = _value(row["probe"])
        if _is_open(where[0], entry, erased) or (entry is None and found is None):
            continue
        if entry is None:
            yield invalid("fsck.unlogged", "The probe of an item has no log entry", where[0])
        elif _sha256(found) != _detail(entry).get("sha256"):
            yield invalid("fsck.row_changed", "evidence_item.probe is not what the log entry says", where[0])
    for where in newest:
        yield invalid("fsck.row_missing", "The log tells of a look into an item that the catalogue lacks", _name(where))
    yield valid("fsck.looks", f"{count} looks into items were held against the log")
    yield from _scan_findings(connection)


def _scan_findings(connection: Connection) -> Iterator[Finding]:
    """Hold what was seen of scanned records against the log; other looks into records have no row."""
    told, erased = _told(connection, "record")
    newest = {where: entry for where, entry in told.items() if where[1] == _SCAN}
    count = 0
    for row in rows(connection, "SELECT * FROM record_scan"):
        count += 1
        where = (as_uuid(row["object_id"]), _SCAN)
        entry = newest.pop(where, None)
        if _is_open(where[0], entry, erased):
            continue
        if entry is None:
            yield invalid("fsck.unlogged", "A row of record_scan has no log entry", where[0])
        elif (faults := _faults(row, entry)) != "":
            yield invalid("fsck.row_changed", f"record_scan.{faults} is not what the log entry says", where[0])
    for where in newest:
        yield invalid("fsck.row_missing", "The log tells of a scan that the catalogue lacks", where[0])
    yield valid("fsck.scans", f"{count} looks at scanned records were held against the log")


def _told(connection: Connection, kind: str) -> tuple[dict[tuple[str, str], Entry], dict[str, str]]:
    """Return the newest entry of each look into each item, and the newest entry of an item without detail.

    Ids are ordered by time, and so are entries.
    """
    newest: dict[tuple[str, str], Entry] = {}
    erased: dict[str, str] = {}
    for entry in entries(connection, {_TYPE}):
        if entry.told("obj", "kind") != kind:
            continue
        object_id = str(entry.told("obj", "id"))
        if entry.detail is None:
            erased[object_id] = max(entry.id, erased.get(object_id, ""))
            continue
        where = (object_id, str(entry.detail.get("look")))
        if where not in newest or newest[where].id < entry.id:
            newest[where] = entry
    return newest, erased


def _is_open(object_id: str, entry: Entry | None, erased: Mapping[str, str]) -> bool:
    """Whether an entry whose detail is gone may have told of this look, after the one that can be read."""
    return erased.get(object_id, "") > ("" if entry is None else entry.id)


def _faults(row: Mapping[str, Any], entry: Entry) -> str:
    """Return the first column that is not what the entry says, or nothing."""
    detail = _detail(entry)
    sha256 = detail.get("sha256")
    checks = (
        ("sha256", row["sha256"] == sha256),
        ("found", _sha256(_value(row["found"])) == sha256),
        ("tool", row["tool"] == detail.get("tool")),
        ("made_at", is_at(row["made_at"], entry)),
    )
    return next((column for column, holds in checks if not holds), "")


def _detail(entry: Entry) -> Mapping[str, Any]:
    return entry.detail or {}


def _value(stored: Any) -> Any:
    """Return a JSON column as a value, however the database keeps it; what is no JSON stands for itself."""
    if not isinstance(stored, str | bytes):
        return stored
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return stored


def _sha256(value: Any) -> str:
    try:
        return hashlib.sha256(canonical_json(value)).hexdigest()
    except NotCanonical:
        return ""


def _name(where: tuple[str, str]) -> str:
    return " ".join(where)
