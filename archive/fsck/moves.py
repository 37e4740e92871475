"""Moves to another store against the entries that tell of them: where each stands, and what became of each object."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_BEGUN, _MOVED, _SWITCHED, _RELEASED, _ABANDONED = (
    f"store.{name}" for name in ("move_begun", "moved", "move_switched", "move_released", "move_abandoned")
)
_STATES: Final[Mapping[tuple[str, Any], str]] = {
    (_SWITCHED, "switched"): "switched",
    (_SWITCHED, "renamed"): "renamed",
    (_RELEASED, "begun"): "releasing",
    (_RELEASED, "done"): "released",
    (_ABANDONED, "begun"): "abandoning",
    (_ABANDONED, "done"): "abandoned",
}
_TIMES: Final[Mapping[tuple[str, Any], str]] = {
    (_SWITCHED, "switched"): "switched_at",
    (_SWITCHED, "renamed"): "switched_at",
    (_SWITCHED, "settled"): "settled_at",
    (_RELEASED, "done"): "released_at",
    (_ABANDONED, "done"): "abandoned_at",
}
_FACTS: Final = ("from_place", "to_place", "from_settings", "to_settings", "keep_days")


def check_moves(connection: Connection) -> Iterator[Finding]:
    """Hold moves and what they moved against their entries, in both directions."""
    told: dict[str, list[Entry]] = {}
    for entry in entries(connection, {_BEGUN, _MOVED, _SWITCHED, _RELEASED, _ABANDONED}):
        told.setdefault(str(entry.told("obj", "id")), []).append(entry)
    for of_it in told.values():
        of_it.sort(key=lambda entry: entry.id)  # by the time that stands in it
    known = set()
    for row in rows(connection, "SELECT * FROM store_move"):
        where = as_uuid(row["id"])
        known.add(where)
        yield from _move_faults(row, where, told.get(where, []))
    for where in told.keys() - known:
        yield invalid("fsck.row_missing", "The log tells of a move to another store that the catalogue lacks", where)
    yield from _object_faults(connection, {where: told[where] for where in told.keys() & known})
    yield valid("fsck.moves", f"{len(known)} moves to other stores were held against the log")


def _move_faults(row: Mapping[str, Any], where: str, of_it: Sequence[Entry]) -> Iterator[Finding]:
    if not any(entry.type == _BEGUN for entry in of_it):
        yield invalid("fsck.unlogged", "A move to another store has no log entry", where)
    elif not _is_any_erased(of_it) and not _is_told(row, of_it):
        yield invalid("fsck.row_changed", "A move to another store is not what its log entries say", where)


def _object_faults(connection: Connection, told: Mapping[str, Sequence[Entry]]) -> Iterator[Finding]:
    verified = {move: _told_of(of_it, {_MOVED}) for move, of_it in told.items()}
    cleared = {move: _told_of(of_it, {_RELEASED, _ABANDONED}) for move, of_it in told.items()}
    for row in rows(connection, "SELECT * FROM moved_object"):
        move, where = as_uuid(row["move_id"]), as_uuid(row["object_id"])
        of_object = verified.get(move, {}).pop(where, [])
        gone = cleared.get(move, {}).pop(where, [])
        if _is_any_erased(told.get(move, ())):
            continue  # which entry told of it is not known any more
        if not _is_verified(row, where, of_object) or not _is_cleared(row, gone):
            yield invalid("fsck.row_changed", "What became of an object in a move is not what its entry says", where)
    for objects in verified.values():
        for where in objects:
            yield invalid("fsck.row_missing", "The log tells of a moved object that the catalogue lacks", where)


def _is_any_erased(of_it: Sequence[Entry]) -> bool:
    return any(entry.detail is None for entry in of_it)


def _told_of(of_it: Sequence[Entry], kinds: AbstractSet[str]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in of_it:
        if entry.type in kinds and entry.detail is not None:
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
    detail, said = entry.detail or {}, dict[str, Any]()
    step = (entry.type, detail.get("step"))
    if "report" in detail:
        said |= {"report": detail["report"].encode(), "report_signature": bytes.fromhex(detail["signature"])}
    if step in _STATES:
        said["state"] = _STATES[step]
    if step in _TIMES:
        said[_TIMES[step]] = entry.told("t")
    if "keep_until" in detail:
        said["keep_until"] = detail["keep_until"]
    return said


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith(("_at", "_until")):
        return as_instant(value)
    return bytes(value) if isinstance(value, memoryview) else value
