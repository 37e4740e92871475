"""Officers with their portraits, reviewers and lawyers, and the histories of all of them, against the log.

A detail that was erased is not asked about; that its row exists still is.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows, said_by
from archive.kernel.findings import Finding, invalid, valid

_OFFICER: Final = "admin.officer_recorded"
_LEGAL: Final = "admin.legal_staff_recorded"
_PHOTO_SET: Final = "admin.officer_photo_set"
_PHOTO_REMOVED: Final = "admin.officer_photo_removed"
_RECORDS: Final = ("admin.officer_record_added", "admin.officer_record_withdrawn")
_ABOUT: Final = {_OFFICER, _LEGAL, _PHOTO_SET, _PHOTO_REMOVED}
_PEOPLE: Final = {
    "officer": (_OFFICER, (
        "certificate_number", "name", "agency", "unit", "categories", "valid_from", "valid_until", "unit_id", "area",
        "suspended_at", "suspension_reason",
    )),
    "legal_staff": (_LEGAL, (
        "number", "name", "kind", "agency", "unit", "unit_id", "qualification_number", "qualified_on",
        "licence_number", "since", "until", "end_reason", "account_id",
    )),
}  # fmt: skip
_LISTS: Final = {"categories"}
_IDS: Final = {"unit_id", "account_id"}
_DAYS: Final = {"valid_from", "valid_until", "qualified_on", "since", "until"}


def check_staff(connection: Connection) -> Iterator[Finding]:
    """Hold what is written of people against the entries that tell of it, in both directions."""
    logged = sorted(entries(connection, _ABOUT.union(_RECORDS)), key=lambda entry: entry.id)
    for table, (kind, columns) in _PEOPLE.items():
        yield from _people(connection, table, columns, [entry for entry in logged if entry.type == kind])
    yield from _photos(connection, [entry for entry in logged if entry.type in {_PHOTO_SET, _PHOTO_REMOVED}])
    yield from _histories(connection, logged)
    yield valid("fsck.staff", f"{len(logged)} entries about people were held against the catalogue")


def _people(connection: Connection, table: str, columns: Sequence[str], logged: Sequence[Entry]) -> Iterator[Finding]:
    told = _by_thing(logged)
    for row in rows(connection, f"SELECT * FROM {table}"):  # noqa: S608 - named above
        where = as_uuid(row["id"])
        found = told.pop(where, None)
        if found is None:
            yield invalid("fsck.unlogged", f"A row of {table} has no log entry", where)
            continue
        said = said_by(found)
        changed = [name for name in columns if said is not None and _plain(row[name], name) != said.get(name)]
        if not is_at(row["recorded_at"], found[0]):
            changed.append("recorded_at")
        for column in changed:
            yield invalid("fsck.row_changed", f"{table}.{column} is not what the log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", f"The log tells of a row that {table} lacks", where)


def _photos(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told = _by_thing(logged)
    for row in rows(connection, "SELECT * FROM officer_photo"):
        where = as_uuid(row["officer_id"])
        found = told.pop(where, [])
        if not found or found[-1].type != _PHOTO_SET:
            yield invalid("fsck.unlogged", "A portrait has no log entry, or was removed", where)
            continue
        said = found[-1].detail
        is_so = {
            "sha256": row["sha256"],
            "size": row["size_bytes"],
            "key": row["key_id"],
            "sealed_sha256": hashlib.sha256(bytes(row["sealed"])).hexdigest(),
        }
        if said is not None and any(said.get(name) != value for name, value in is_so.items()):
            yield invalid("fsck.row_changed", "A portrait is not what its log entry says", where)
        if not is_at(row["set_at"], _when_set(found)):
            yield invalid("fsck.row_changed", "officer_photo.set_at is not what the log entry says", where)
    for where, found in told.items():
        if found[-1].type == _PHOTO_SET:
            yield invalid("fsck.row_missing", "The log tells of a portrait that the catalogue lacks", where)


def _when_set(found: Sequence[Entry]) -> Entry:
    """Return the entry by which the portrait came: later ones may have put it under another key."""
    came = found[-1]
    for entry in reversed(found):
        if entry.type != _PHOTO_SET:
            break
        came = entry
        if entry.detail is None or not entry.detail.get("rekeyed"):
            break
    return came


def _histories(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told = {entry.id: entry for entry in logged}
    for row in rows(connection, "SELECT * FROM staff_event"):
        where = as_uuid(row["entry_id"])
        entry = told.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A line of somebody's history has no log entry", where)
            continue
        person = _person(entry)
        if (
            row["type"] != entry.type
            or as_uuid(row["actor_id"]) != entry.told("actor")
            or not is_at(row["at"], entry)
            or (person is not None and as_uuid(row["person_id"]) != person)
        ):
            yield invalid("fsck.row_changed", "A line of somebody's history is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "A log entry is missing in somebody's history", where)


def _person(entry: Entry) -> str | None:
    """Return whom an entry is about, None where that was erased."""
    if entry.type not in _RECORDS:
        return str(entry.told("obj", "id"))
    return None if entry.detail is None else str(entry.detail.get("officer"))


def _by_thing(logged: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in logged:
        found.setdefault(str(entry.told("obj", "id")), []).append(entry)
    return found


def _plain(value: Any, column: str) -> Any:
    """Return a value as details hold it, however the database keeps it."""
    if value is None:
        return None
    if column in _LISTS:
        return json.loads(value) if isinstance(value, str) else value
    if column in _IDS:
        return as_uuid(value)
    if column == "suspended_at":
        return as_instant(value).isoformat()
    is_day = column in _DAYS and isinstance(value, date) and not isinstance(value, datetime)
    return value.isoformat() if is_day else str(value)
