"""The names that other systems have for things, their keys and webhooks, against the log.

A detail that was erased is not asked about; that its row exists still is.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows, said_by
from archive.kernel.findings import Finding, invalid, valid

_OFFICER: Final = "admin.officer_recorded"
_ACT: Final = "case.act_updated"
_NAMING: Final = {"subject.updated": "subject", "case.updated": "case", _ACT: "act", _OFFICER: "officer"}
_ISSUED: Final = "admin.key_issued"
_REVOKED: Final = "admin.key_revoked"
_MOVED: Final = "admin.integration_changed"
_SET: Final = "admin.webhook_set"
_REMOVED: Final = "admin.webhook_removed"
_TOLD: Final = {*_NAMING, _MOVED, _ISSUED, _REVOKED, _SET, _REMOVED}
_FIRST_UNIT: Final = "00000000-0000-7000-8000-0000000000a1"
"""Where a system is that was written down before there were units."""
_Row = Mapping[str, Any]


def check_systems(connection: Connection) -> Iterator[Finding]:
    """Hold what other systems brought, and what they were given, against the entries that tell of it."""
    logged = sorted(entries(connection, _TOLD), key=lambda entry: entry.id)
    yield from _names(connection, logged)
    yield from _officers_of_acts(connection, logged)
    # The renewed key of an Axis system is a dock's; those are held against nothing.
    of_systems = [entry for entry in logged if entry.told("obj", "kind") != "dock"]
    yield from _systems(connection, of_systems)
    yield from _keys(connection, of_systems)
    yield from _webhooks(connection, logged)
    yield valid("fsck.systems", f"{len(logged)} entries about other systems were held against the catalogue")


def _names(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    """Hold each external id against the entry that bound it: it is bound once, and for good."""
    told: dict[tuple[str, str, str], Entry] = {}
    unknowable: set[tuple[str, str]] = set()
    for entry in logged:
        if entry.type not in _NAMING:
            continue
        kind = _NAMING[entry.type]
        if entry.detail is None:
            unknowable.add((kind, _about(entry)))
        external = (entry.detail or {}).get("external")
        if isinstance(external, dict):
            told[str(external.get("integration")), kind, str(external.get("id"))] = entry
    for row in rows(connection, "SELECT * FROM external_id"):
        internal = as_uuid(row["internal_id"])
        found = told.pop((as_uuid(row["integration_id"]), row["kind"], row["external_id"]), None)
        if found is None:
            if (row["kind"], internal) not in unknowable:
                yield invalid("fsck.unlogged", "An external id has no log entry", internal)
        elif _about(found) != internal or not _is_at(row["bound_at"], found):
            yield invalid("fsck.row_changed", "An external id is not what the log entry says", internal)
    for entry in told.values():
        yield invalid("fsck.row_missing", "The log tells of an external id that the catalogue lacks", _about(entry))


def _officers_of_acts(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    said: dict[str, Any] = {}
    unknowable = set()
    for entry in logged:
        if entry.type == _ACT and entry.detail is None:
            unknowable.add(_about(entry))
        elif entry.type == _ACT and entry.detail is not None and "officers" in entry.detail:
            said[_about(entry)] = sorted(map(str, entry.detail["officers"]))
    found: dict[str, list[str]] = {}
    for row in rows(connection, "SELECT * FROM act_officer"):
        found.setdefault(as_uuid(row["act_id"]), []).append(as_uuid(row["officer_id"]))
    for act_id in (said.keys() | found.keys()) - unknowable:
        if sorted(found.get(act_id, [])) != said.get(act_id, []):
            yield invalid("fsck.row_changed", "The officers of an act are not those that the log entry names", act_id)


def _systems(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    told, moved = _by_thing(logged, _ISSUED), _by_thing(logged, _MOVED)
    for row in rows(connection, "SELECT * FROM integration"):
        where = as_uuid(row["id"])
        found = told.pop(where, None)
        if found is None:
            yield invalid("fsck.unlogged", "Another system has no log entry", where)
            continue
        said = said_by(sorted((*found, *moved.get(where, [])), key=lambda entry: entry.id))
        is_so = said is None or (row["name"], row["title"], as_uuid(row["unit_id"])) == (
            said.get("system"),
            said.get("title"),
            said.get("unit", _FIRST_UNIT),
        )
        if not is_so or not _is_at(row["created_at"], found[0]):
            yield invalid("fsck.row_changed", "Another system is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells of a system that the catalogue lacks", where)


def _keys(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    issued: dict[str, tuple[str, Any]] = {}
    erased = set()
    for entry in logged:
        if entry.type == _ISSUED and entry.detail is not None:
            issued[str(entry.detail.get("key"))] = (_about(entry), entry.detail.get("scopes"))
        elif entry.type in {_ISSUED, _REVOKED} and entry.detail is None:
            erased.add(_about(entry))
    revoked = {str((entry.detail or {}).get("key")) for entry in logged if entry.type == _REVOKED}
    for row in rows(connection, "SELECT k.* FROM api_key k JOIN integration i ON i.id = k.holder_id"):
        where, holder = str(row["prefix"]), as_uuid(row["holder_id"])
        said = issued.pop(where, None)
        if holder in erased:
            continue
        if said is None:
            yield invalid("fsck.unlogged", "A key of another system has no log entry", where)
        elif said != (holder, sorted(str(row["scope"]).split())):
            yield invalid("fsck.row_changed", "A key of another system is not what its log entry says", where)
        if (row["revoked_at"] is not None) != (where in revoked):
            yield invalid("fsck.row_changed", "Log and catalogue do not agree on a key's revocation", where)
    for where in issued:
        yield invalid("fsck.row_missing", "The log tells of a key that the catalogue lacks", where)


def _webhooks(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    made = _by_thing(logged, _SET)
    removed = {_about(entry): entry for entry in logged if entry.type == _REMOVED}
    for row in rows(connection, "SELECT * FROM webhook"):
        where = as_uuid(row["id"])
        found = made.pop(where, None)
        if found is None:
            yield invalid("fsck.unlogged", "A webhook has no log entry", where)
            continue
        said = said_by(found)
        is_so = {
            "integration": as_uuid(row["integration_id"]),
            "url_sha256": hashlib.sha256(str(row["url"]).encode()).hexdigest(),
            "types": _plain(row["types"], "types"),
            "secret_version": row["secret_version"],
        }
        changed = said is not None and any(said.get(name) != value for name, value in is_so.items())
        times = [(row["created_at"], found[0]), (row["rotated_at"], found[-1] if len(found) > 1 else None)]
        if changed or not all(_is_at(value, entry) for value, entry in times):
            yield invalid("fsck.row_changed", "A webhook is not what its log entry says", where)
        if not _is_at(row["removed_at"], removed.get(where)):
            yield invalid("fsck.row_changed", "Log and catalogue do not agree on a webhook's removal", where)
    for where in made:
        yield invalid("fsck.row_missing", "The log tells of a webhook that the catalogue lacks", where)


def _by_thing(logged: list[Entry], kind: str) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in logged:
        if entry.type == kind:
            found.setdefault(_about(entry), []).append(entry)
    return found


def _is_at(value: Any, entry: Entry | None) -> bool:
    """Whether a time is that of an entry; no time, where there is no entry."""
    if value is None or entry is None:
        return value is None and entry is None
    return is_at(value, entry)


def _plain(value: Any, column: str) -> Any:
    """Return a value as details hold it, however the database keeps it."""
    if column == "types":
        return json.loads(value) if isinstance(value, str) else value
    return None if value is None else str(value)


def _about(entry: Entry) -> str:
    return str(entry.told("obj", "id"))
