"""Retention marks and holds against the log, in both directions: whether somebody has freed what was kept.

An entry names its mark or hold in `req`, so that it is known whose it is when its detail was erased. A detail that was
erased is not asked about; that its row exists, when it came and by whom, still is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_MARKED: Final = "retention.marked"
_UNMARKED: Final = "retention.unmarked"
_PLACED: Final = "hold.placed"
_EXTENDED: Final = "hold.extended"
_REVIEWED: Final = "hold.reviewed"
_RELEASED: Final = "hold.released"
_TYPES: Final = {_MARKED, _UNMARKED, _PLACED, _EXTENDED, _REVIEWED, _RELEASED}
_END_OF_MARK: Final = ("removed_by", "removed_at", "removed_reason")
_END_OF_HOLD: Final = ("released_by", "released_at", "release_reason")


def check_holds(connection: Connection) -> Iterator[Finding]:
    """Hold marks, holds, their reviews and what they cover against the entries that tell of them."""
    logged: dict[str, list[Entry]] = {kind: [] for kind in _TYPES}
    for entry in sorted(entries(connection, _TYPES), key=lambda found: found.id):  # ids are ordered by time
        logged[entry.type].append(entry)
    yield from _marks(connection, logged[_MARKED], logged[_UNMARKED])
    yield from _holds(connection, logged)
    yield from _reviews(connection, logged[_REVIEWED])
    yield from _held(connection, [*logged[_PLACED], *logged[_EXTENDED]])
    yield valid("fsck.holds", f"{sum(map(len, logged.values()))} entries about marks and holds were held against rows")


def _marks(connection: Connection, marked: Sequence[Entry], unmarked: Sequence[Entry]) -> Iterator[Finding]:
    told, ended = _by_name(marked), _by_name(unmarked)
    for row in rows(connection, "SELECT * FROM retention_mark"):
        where = as_uuid(row["id"])
        entry, end = told.pop(where, None), ended.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A retention mark has no log entry", where)
            continue
        kind = "case" if entry.told("obj", "kind") == "case" else "object"
        is_so = (
            (row["ref_kind"], as_uuid(row["ref_id"])) == (kind, entry.told("obj", "id"))
            and as_uuid(row["set_by"]) == entry.told("actor")
            and is_at(row["set_at"], entry)
            and _says(entry, kind=row["mark"], reason=row["reason"])
        )
        if not is_so or not _ends(row, _END_OF_MARK, end):
            yield invalid("fsck.row_changed", "A retention mark is not what its log entries say", where)
    for where in (*told, *ended):
        yield invalid("fsck.row_missing", "The log tells of a retention mark that the catalogue lacks", where)


def _holds(connection: Connection, logged: Mapping[str, Sequence[Entry]]) -> Iterator[Finding]:
    told, ended, reviewed = _by_name(logged[_PLACED]), _by_name(logged[_RELEASED]), _by_name(logged[_REVIEWED])
    for row in rows(connection, "SELECT * FROM hold"):
        where = as_uuid(row["id"])
        entry, end = told.pop(where, None), ended.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A hold has no log entry", where)
            continue
        ref = None if row["ref_id"] is None else as_uuid(row["ref_id"])
        is_so = (
            as_uuid(row["placed_by"]) == entry.told("actor")
            and is_at(row["placed_at"], entry)
            and _says(entry, kind=row["scope"], ref=ref, unit=as_uuid(row["unit_id"]))
            and _says(entry, **{name: row[name] for name in ("number", "query", "authority", "reason")})
            and _says(reviewed.get(where, entry), review_by=str(row["review_on"]))
        )
        if not is_so or not _ends(row, _END_OF_HOLD, end):
            yield invalid("fsck.row_changed", "A hold is not what its log entries say", where)
    for where in (*told, *ended):
        yield invalid("fsck.row_missing", "The log tells of a hold that the catalogue lacks", where)


def _reviews(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told = {entry.id: entry for entry in logged}
    for row in rows(connection, "SELECT * FROM hold_review"):
        where = as_uuid(row["entry_id"])
        entry = told.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A review of a hold has no log entry", where)
        elif (
            (as_uuid(row["hold_id"]), as_uuid(row["by_id"])) != (entry.told("req"), entry.told("actor"))
            or not is_at(row["at"], entry)
            or not _says(entry, reason=row["reason"], review_by=str(row["review_on"]))
            or not _says(entry, was={"review_by": str(row["was_on"])})
        ):
            yield invalid("fsck.row_changed", "A review of a hold is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells of a review that the hold lacks", where)


def _held(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told: dict[tuple[str, str], Entry] = {}
    erased: set[str] = set()
    for entry in logged:
        if entry.detail is None:
            erased.add(str(entry.told("req")))
        else:
            told |= {(str(entry.told("req")), str(found)): entry for found in entry.detail.get("objects") or ()}
    for row in rows(connection, "SELECT * FROM held_object"):
        key = as_uuid(row["hold_id"]), as_uuid(row["object_id"])
        known = told.pop(key, None)
        if known is None:
            if key[0] not in erased:
                yield invalid("fsck.unlogged", "That a hold covers this has no log entry", " ".join(key))
        elif not is_at(row["since"], known):
            yield invalid("fsck.row_changed", "held_object.since is not what the log entry says", " ".join(key))
    for key in told:
        yield invalid("fsck.row_missing", "The log tells of something held that the catalogue lacks", " ".join(key))


def _by_name(logged: Sequence[Entry]) -> dict[str, Entry]:
    """Return the newest entry of each mark or hold."""
    return {str(entry.told("req")): entry for entry in logged}


def _ends(row: Mapping[str, Any], columns: tuple[str, str, str], end: Entry | None) -> bool:
    """Return whether a row ends as its entry says, or not at all."""
    by, at, reason = (row[name] for name in columns)
    if end is None:
        return by is None and at is None and reason is None
    if by is None or at is None:
        return False
    return as_uuid(by) == end.told("actor") and is_at(at, end) and _says(end, reason=reason)


def _says(entry: Entry, **said: Any) -> bool:
    return entry.detail is None or all(entry.detail.get(name) == value for name, value in said.items())
