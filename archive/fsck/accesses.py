"""Who looked at what, against the log: each access has its row, each that was unusual what was found of it.

A detail that was erased is not asked about; that its row exists still is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_ACCESSES: Final = {
    "access.view", "access.export", "access.print", "access.renewed", "access.break_glass", "access.identifier",
    "access.list_exported", "access.draft", "access.draft_copied",
}  # fmt: skip


def check_accesses(connection: Connection) -> Iterator[Finding]:
    """Hold the rows of the trace against the entries that tell of them, in both directions."""
    logged: dict[str, Entry] = {}
    found: dict[str, Entry] = {}
    checked: dict[str, Entry] = {}
    for entry in entries(connection, {*_ACCESSES, "access.unusual", "access.checked"}):
        if entry.type in _ACCESSES:
            logged[entry.id] = entry
        elif entry.type == "access.unusual":
            found[str(entry.told("obj", "id"))] = entry
        elif entry.type == "access.checked":
            checked[str(entry.told("obj", "id"))] = entry
    count = len(logged)
    yield from _records(connection, logged)
    yield from _unusual(connection, found, checked)
    yield valid("fsck.accesses", f"{count} accesses were held against the log")


def _records(connection: Connection, logged: dict[str, Entry]) -> Iterator[Finding]:
    for row in rows(connection, "SELECT * FROM access_record"):
        where = as_uuid(row["entry_id"])
        entry = logged.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A row of access_record has no log entry", where)
            continue
        ref_id = None if row["ref_id"] is None else as_uuid(row["ref_id"])
        if (
            row["type"] != entry.type
            or as_uuid(row["actor_id"]) != entry.told("actor")
            or row["ref_kind"] != entry.told("obj", "kind")
            or ref_id != entry.told("obj", "id")
            or not is_at(row["at"], entry)
        ):
            yield invalid("fsck.row_changed", "A row of access_record is not what its log entry says", where)
    for entry_id in logged:
        yield invalid("fsck.row_missing", "The log tells of an access that the catalogue lacks", entry_id)


def _unusual(connection: Connection, found: dict[str, Entry], checked: dict[str, Entry]) -> Iterator[Finding]:
    wanted = {
        (where, str(rule))
        for where, entry in found.items()
        if entry.detail is not None
        for rule in entry.detail.get("rules", [])
    }
    seen: set[str] = set()
    for row in rows(connection, "SELECT * FROM unusual_access"):
        where = as_uuid(row["entry_id"])
        seen.add(where)
        entry = found.get(where)
        if entry is None:
            yield invalid("fsck.unlogged", "A row of unusual_access has no log entry", where)
            continue
        is_told = entry.detail is None or (where, row["rule"]) in wanted
        wanted.discard((where, row["rule"]))
        if not is_told or not is_at(row["found_at"], entry) or not _is_checked(row, checked.get(where)):
            yield invalid("fsck.row_changed", "A row of unusual_access is not what the log says", where)
    for where, _ in wanted:
        yield invalid("fsck.row_missing", "The log tells of an unusual access that the catalogue lacks", where)
    for where in checked.keys() - seen:
        yield invalid("fsck.row_missing", "The log tells of a check that the catalogue lacks", where)


def _is_checked(row: Mapping[str, Any], check: Entry | None) -> bool:
    """Return whether a row says of its check what the log says, also that there was none."""
    if check is None or row["checked_by"] is None:
        return check is None and row["checked_by"] is None and row["checked_at"] is None and row["words"] is None
    told = row["words"] if check.detail is None else check.detail.get("words")
    return (
        as_uuid(row["checked_by"]) == check.told("actor") and is_at(row["checked_at"], check) and row["words"] == told
    )
