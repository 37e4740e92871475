"""Who may see what, against the log: agencies, units, supervision, clearances, members of cases, restricted classes.

A detail that was erased is not asked about; that its row exists still is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_FIRST_AGENCY: Final = "00000000-0000-7000-8000-0000000000a0"
"""Made with the database, before there was a log; named when the archive was made."""
_CLASSES: Final = ("state_secret", "trade_secret", "privacy", "minors", "informant")
_TYPES: Final = {
    "admin.agency_recorded", "admin.unit_recorded", "admin.supervision_set", "admin.supervision_ended",
    "admin.clearance_granted", "admin.clearance_ended", "case.member_added", "case.member_removed", "case.classified",
    "object.classified",
}  # fmt: skip

_Row = Mapping[str, Any]


def check_rights(connection: Connection) -> Iterator[Finding]:
    """Hold every row that decides who sees what against the entries that tell of it, in both directions."""
    logged: dict[str, list[Entry]] = {kind: [] for kind in _TYPES}
    for entry in entries(connection, _TYPES):
        logged[entry.type].append(entry)
    for told in logged.values():
        told.sort(key=lambda entry: entry.id)  # ids are ordered by time
    yield from _agencies(connection, logged["admin.agency_recorded"])
    yield from _units(connection, logged["admin.unit_recorded"])
    yield from _supervision(connection, [*logged["admin.supervision_set"], *logged["admin.supervision_ended"]])
    yield from _clearances(connection, logged["admin.clearance_granted"], logged["admin.clearance_ended"])
    yield from _members(connection, [*logged["case.member_added"], *logged["case.member_removed"]])
    yield from _classes(connection, "case_file", logged["case.classified"])
    yield from _classes(connection, "preserved_object", logged["object.classified"])
    yield valid("fsck.rights", f"{sum(map(len, logged.values()))} entries about rights were held against the catalogue")


def _agencies(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told = _by_object(logged)
    roots = {as_uuid(row["id"]): row for row in rows(connection, "SELECT * FROM unit WHERE parent_id IS NULL")}
    for row in rows(connection, "SELECT * FROM agency"):
        where = as_uuid(row["id"])
        said = told.pop(where, [])
        if not said and where != _FIRST_AGENCY:
            yield invalid("fsck.unlogged", "A row of agency has no log entry", where)
        if said and where != _FIRST_AGENCY and not is_at(row["recorded_at"], said[0]):
            yield invalid("fsck.row_changed", "agency.recorded_at is not what the log entry says", where)
        yield from _differing("agency", where, {"code": row["code"], "name": row["name"]}, said)
        root = roots.pop(as_uuid(row["root_unit_id"]), None)
        if (
            root is None
            or as_uuid(root["agency_id"]) != where
            or (root["code"], root["name"]) != (row["code"], row["name"])
            or as_instant(root["recorded_at"]) != as_instant(row["recorded_at"])
        ):
            yield invalid("fsck.row_changed", "An agency and the unit that stands for it do not agree", where)
    for unit_id in roots:
        yield invalid("fsck.unlogged", "A unit stands below nothing and for no agency", unit_id)
    for agency_id in told:
        yield invalid("fsck.row_missing", "The log tells of a row that agency lacks", agency_id)


def _units(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    told = _by_object(logged)
    agency_of = {as_uuid(row["id"]): as_uuid(row["agency_id"]) for row in rows(connection, "SELECT * FROM unit")}
    for row in rows(connection, "SELECT * FROM unit WHERE parent_id IS NOT NULL"):
        where, parent = as_uuid(row["id"]), as_uuid(row["parent_id"])
        said = told.pop(where, [])
        if not said:
            yield invalid("fsck.unlogged", "A row of unit has no log entry", where)
            continue
        if not is_at(row["recorded_at"], said[0]):
            yield invalid("fsck.row_changed", "unit.recorded_at is not what the log entry says", where)
        yield from _differing("unit", where, {"code": row["code"], "name": row["name"], "parent": parent}, said)
        closed = next((entry for entry in said if (entry.detail or {}).get("closed")), None)
        is_closed = row["closed_at"] is not None
        if all(entry.detail is not None for entry in said) and (
            is_closed != (closed is not None) or (closed is not None and not is_at(row["closed_at"], closed))
        ):
            yield invalid("fsck.row_changed", "unit.closed_at is not what the log entry says", where)
        if agency_of.get(parent) != as_uuid(row["agency_id"]):
            yield invalid("fsck.row_changed", "A unit stands below a unit of another agency", where)
    for unit_id in told:
        yield invalid("fsck.row_missing", "The log tells of a row that unit lacks", unit_id)


def _supervision(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    standing: dict[tuple[str, str], Entry | None] = {}
    for entry in sorted(logged, key=lambda found: found.id):
        if entry.detail is not None:
            key = (str(entry.told("obj", "id")), str(entry.detail.get("supervised")))
            standing[key] = entry if entry.type == "admin.supervision_set" else None
    has_erased = any(entry.detail is None for entry in logged)
    for row in rows(connection, "SELECT * FROM supervision"):
        supervised = "None" if row["supervised_id"] is None else as_uuid(row["supervised_id"])
        key = (as_uuid(row["supervisor_id"]), supervised)
        said = standing.pop(key, None)
        if said is None:
            if not has_erased:
                yield invalid("fsck.unlogged", "A supervision has no log entry, or was ended", " ".join(key))
        elif (said.detail or {}).get("basis") != row["basis"] or not is_at(row["set_at"], said):
            yield invalid("fsck.row_changed", "A supervision is not what its log entry says", " ".join(key))
    for key, said in standing.items():
        if said is not None:
            yield invalid("fsck.row_missing", "The log tells of a supervision that the catalogue lacks", " ".join(key))


def _clearances(connection: Connection, granted: Sequence[Entry], ended: Sequence[Entry]) -> Iterator[Finding]:
    told = {str((entry.detail or {}).get("clearance")): entry for entry in granted if entry.detail is not None}
    ends = {str(entry.detail["clearance"]): entry.detail["until"] for entry in ended if entry.detail is not None}
    has_erased = any(entry.detail is None for entry in (*granted, *ended))
    for row in rows(connection, "SELECT * FROM clearance"):
        where = as_uuid(row["id"])
        entry = told.pop(where, None)
        if entry is None or entry.detail is None:
            if not has_erased:
                yield invalid("fsck.unlogged", "A row of clearance has no log entry", where)
            continue
        said = entry.detail
        if (
            as_uuid(row["account_id"]) != entry.told("obj", "id")
            or (row["restricted_class"], row["reason"]) != (said.get("class"), said.get("reason"))
            or not is_at(row["granted_at"], entry)
            or not _is_same_time(row["until"], ends.get(where, said.get("until")))
        ):
            yield invalid("fsck.row_changed", "A clearance is not what its log entry says", where)
    for clearance_id in told:
        yield invalid("fsck.row_missing", "The log tells of a row that clearance lacks", clearance_id)


def _members(connection: Connection, logged: Sequence[Entry]) -> Iterator[Finding]:
    standing: dict[tuple[str, str], Entry | None] = {}
    for entry in sorted(logged, key=lambda found: found.id):
        if entry.detail is not None:
            key = (str(entry.told("obj", "id")), str(entry.detail.get("account")))
            standing[key] = entry if entry.type == "case.member_added" else None
    has_erased = any(entry.detail is None for entry in logged)
    for row in rows(connection, "SELECT * FROM case_member"):
        key = (as_uuid(row["case_id"]), as_uuid(row["account_id"]))
        said = standing.pop(key, None)
        if said is None:
            if not has_erased:
                yield invalid("fsck.unlogged", "A member of a case has no log entry, or was removed", " ".join(key))
            continue
        detail = said.detail or {}
        until = detail.get("until")
        ends_as_said = row["until"] is None if until is None else _is_same_time(row["until"], until)
        if detail.get("reason") != row["reason"] or not ends_as_said or not is_at(row["added_at"], said):
            yield invalid("fsck.row_changed", "A member of a case is not what the log entry says", " ".join(key))
    for key, said in standing.items():
        if said is not None:
            yield invalid("fsck.row_missing", "The log tells of a member that the case lacks", " ".join(key))


def _classes(connection: Connection, table: str, logged: Sequence[Entry]) -> Iterator[Finding]:
    last = {str(entry.told("obj", "id")): entry for entry in logged}
    for row in rows(connection, f"SELECT id, classes FROM {table}"):  # noqa: S608 - named above
        where = as_uuid(row["id"])
        entry = last.pop(where, None)
        if entry is not None and entry.detail is None:
            continue
        said = "" if entry is None or entry.detail is None else str(entry.detail.get("classes"))
        if row["classes"] != sum(1 << _CLASSES.index(name) for name in said.split() if name in _CLASSES):
            yield invalid("fsck.row_changed", f"{table}.classes is not what the log entry says", where)
    for thing_id in last:
        yield invalid("fsck.row_missing", f"The log tells of a row that {table} lacks", thing_id)


def _by_object(logged: Sequence[Entry]) -> dict[str, list[Entry]]:
    told: dict[str, list[Entry]] = {}
    for entry in logged:
        told.setdefault(str(entry.told("obj", "id")), []).append(entry)
    return told


def _differing(table: str, where: str, is_so: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[Finding]:
    if not entries or any(entry.detail is None for entry in entries):
        return
    said: dict[str, Any] = {}
    for entry in entries:
        said |= entry.detail or {}
    for name, value in is_so.items():
        if value != said.get(name):
            yield invalid("fsck.row_changed", f"{table}.{name} is not what the log entry says", where)


def _is_same_time(value: Any, told: Any) -> bool:
    try:
        return as_instant(value) == as_instant(told)
    except ValueError:
        return False
