"""Packages that were handed out against the log: who asked for which, who fetched it, what became of it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_TYPES: Final = {"access.export", "derivative.created", "derivative.dropped"}
_STATES: Final = {(False, False): "asked", (True, False): "ready", (True, True): "removed"}
"""What the state must be, by whether the log tells that the package was built, and that it was removed."""


def check_packages(connection: Connection) -> Iterator[Finding]:
    """Hold packages and downloads against the entries about their cases, in both directions.

    A package that was never built may be missing: it was asked for on the server, or its row tells nothing.
    """
    told = _Told(connection)
    count = 0
    for row in rows(connection, "SELECT * FROM package"):
        count += 1
        yield from _package(row, told)
    for row in rows(connection, "SELECT * FROM package_download"):
        count += 1
        yield from _download(row, told)
    for what in (*told.built, *told.downloads):
        yield invalid("fsck.row_missing", "The log tells of a package or download that the catalogue lacks", what)
    yield valid("fsck.packages", f"{count} packages and downloads were held against the log")


class _Told:
    """What the log tells of packages: grants by entry, the rest by the id that stands in the detail."""

    def __init__(self, connection: Connection) -> None:
        self.granted: dict[str, Entry] = {}
        self.built: dict[str, Entry] = {}
        self.removed: dict[str, Entry] = {}
        self.downloads: dict[str, Entry] = {}
        self.erased = False
        for entry in entries(connection, _TYPES):
            if entry.told("obj", "kind") == "case":
                self._take(entry)

    def _take(self, entry: Entry) -> None:
        detail = entry.detail
        if entry.type == "access.export":
            self.granted[entry.id] = entry
            if detail is not None and "download" in detail:
                self.downloads[str(detail["download"])] = entry
        elif entry.type in {"derivative.created", "derivative.dropped"}:
            if detail is None:
                self.erased = True  # of which package it was can no longer be told
            else:
                found = self.built if entry.type == "derivative.created" else self.removed
                found[str(detail.get("package"))] = entry


def _package(row: Mapping[str, Any], told: _Told) -> Iterator[Finding]:
    where = as_uuid(row["id"])
    entry = told.granted.get(as_uuid(row["entry_id"]))
    built, removed = told.built.pop(where, None), told.removed.get(where)
    if entry is None or (entry.detail is not None and "download" in entry.detail):
        yield invalid("fsck.unlogged", "A package has no log entry", where)
        return
    said = {"package": where, "purpose": row["purpose"], "renditions": bool(row["with_renditions"])}
    is_said = (
        _agrees(entry, said)
        and as_uuid(row["account_id"]) == entry.told("actor")
        and as_uuid(row["case_id"]) == entry.told("case")
        and is_at(row["asked_at"], entry)
        and _is_result(row, built, removed)
    )
    if not is_said and not (told.erased and built is None):
        yield invalid("fsck.row_changed", "A package is not what its log entries say", where)


def _is_result(row: Mapping[str, Any], built: Entry | None, removed: Entry | None) -> bool:
    if row["state"] != _STATES.get((built is not None, removed is not None)):
        return False
    if built is None:
        return all(row[name] is None for name in ("made_at", "object_count", "checkpoint_size", "removed_at"))
    said = {"objects": row["object_count"], "checkpoint": row["checkpoint_size"]}
    is_removed = row["removed_at"] is None if removed is None else is_at(row["removed_at"], removed)
    return _agrees(built, said) and is_at(row["made_at"], built) and is_removed


def _download(row: Mapping[str, Any], told: _Told) -> Iterator[Finding]:
    where = as_uuid(row["id"])
    told.downloads.pop(where, None)
    entry = told.granted.get(as_uuid(row["entry_id"]))
    said = {"download": where, "package": as_uuid(row["package_id"])}
    if entry is None:
        yield invalid("fsck.unlogged", "A download has no log entry", where)
    elif (
        not _agrees(entry, said)
        or as_uuid(row["account_id"]) != entry.told("actor")
        or not is_at(row["granted_at"], entry)
    ):
        yield invalid("fsck.row_changed", "A download is not what its log entry says", where)


def _agrees(entry: Entry, said: Mapping[str, Any]) -> bool:
    return entry.detail is None or all(entry.detail.get(name) == value for name, value in said.items())
