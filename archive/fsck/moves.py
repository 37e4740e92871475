"""Moves to another store against the entries that tell of them: where each stands, and what became of each object."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_BEGUN, _MOVED, _SWITCHED, _RELEASED, _ABANDONED = (
    f"store.{name}" for name in ("move_begun", "moved", "move_switched", "move_released", "move_abandoned")
)
_FACTS: Final = ("from_place", "to_place", "from_settings", "to_settings", "keep_days")


def check_moves(connection: Connection) -> Iterator[Finding]:
    """Hold moves and what they moved against their entries, in both directions."""
    told: dict[str, list[Entry]] = {}
    for entry in entries(connection, {_BEGUN, _MOVED, _SWITCHED, _RELEASED, _ABANDONED}):
        told.setdefault(str(entry.told("obj", "id")), []).append(entry)
    for of_it in told.values():
        of_it.sort(key=lambda entry: entry.id)  # by the time that stands in it
    verified = {move: _told_of(of_it, _MOVED) for move, of_it in told.items()}
    cleared = {move: {**_told_of(of_it, _RELEASED), **_told_of(of_it, _ABANDONED)} for move, of_it in told.items()}
    unknown = {move for move, of_it in told.items() if any(entry.detail is None for entry in of_it)}
    known, count = set(), 0
    for row in rows(connection, "SELECT * FROM store_move"):
        where = as_uuid(row["id"])
        known.add(where)
        of_it = told.get(where, [])
        if not any(entry.type == _BEGUN for entry in of_it):
            yield invalid("fsck.unlogged", "A move to another store has no log entry", where)
        elif where not in unknown and not _is_told(row, of_it):
            yield invalid("fsck.row_changed", "A move to another store is not what its log entries say", where)
    for where in told.keys() - known:
        yield invalid("fsck.row_missing", "The log tells of a move to another store that the catalogue lacks", where)
    for row in rows(connection, "SELECT * FROM moved_object"):
        count += 1
        move, where = as_uuid(row["move_id"]), as_uuid(row["object_id"])
        of_object = verified.get(move, {}).pop(where, [])
        gone = cleared.get(move, {}).pop(where, [])
        if move not in unknown and not (_is_verified(row, where, of_object) and _is_cleared(row, gone)):
            yield invalid("fsck.row_changed", "What became of an object in a move is not what its entry says", where)
    for move, objects in verified.items():
        for where in objects.keys() if move in known else ():
            yield invalid("fsck.row_missing", "The log tells of a moved object that the catalogue lacks", where)
    yield valid("fsck.moves", f"{len(known)} moves and {count} moved objects were held against the log")


def _told_of(of_it: Sequence[Entry], kind: str) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in of_it:
        if entry.type == kind and entry.detail is not None:
            for object_id in entry.detail.get("objects", ()):
                found.setdefault(str(object_id), []).append(entry)
    return found


def _is_verified(row: Mapping[str, Any], where: str, of_object: Sequence[Entry]) -> bool:
    if row["state"] != "verified":
        return True
    newest = of_object[-1] if of_object else None
    if newest is None or newest.detail is None:
        return False
    return int(row["head"]) == int(newest.detail["objects"][where]) and is_at(row["verified_at"], newest)


def _is_cleared(row: Mapping[str, Any], of_object: Sequence[Entry]) -> bool:
    if row["cleared_at"] is None:
        return not of_object
    return any(is_at(row["cleared_at"], entry) for entry in of_object)


def _is_told(row: Mapping[str, Any], of_it: Sequence[Entry]) -> bool:
    begun = next(entry for entry in of_it if entry.type == _BEGUN)
    said: dict[str, Any] = {
        **{name: (begun.detail or {}).get(name) for name in _FACTS},
        "begun_by": begun.told("actor"),
        "begun_at": begun.told("t"),
        "state": "copying",
        **dict.fromkeys(("switched_at", "keep_until", "settled_at", "released_at", "abandoned_at")),
        **dict.fromkeys(("report", "report_signature")),
    }
    for entry in of_it:
        said |= _said_by(entry)
    found = {**row, "begun_by": as_uuid(row["begun_by"])}
    return all(_value(name, found[name]) == _value(name, value) for name, value in said.items())


def _said_by(entry: Entry) -> dict[str, Any]:
    """Return what an entry changes in its move's row."""
    detail, at = entry.detail or {}, entry.told("t")
    step, said = detail.get("step"), {}
    if "report" in detail:
        said = {"report": detail["report"].encode(), "report_signature": bytes.fromhex(detail["signature"])}
    match entry.type, step:
        case "store.move_switched", "switched":
            return {**said, "state": "switched", "switched_at": at, "keep_until": detail.get("keep_until")}
        case "store.move_switched", "settled":
            return {**said, "settled_at": at}
        case "store.move_released", "begun":
            return {**said, "state": "releasing"}
        case "store.move_abandoned", "begun":
            return {**said, "state": "abandoning"}
        case "store.move_released", "done":
            return {"state": "released", "released_at": at}
        case "store.move_abandoned", "done":
            return {"state": "abandoned", "abandoned_at": at}
    return {}


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith(("_at", "_until")):
        return as_instant(value)
    return bytes(value) if isinstance(value, memoryview) else value
