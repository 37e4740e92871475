"""Subjects, their numbers and their merges against the log. No number is opened here, and no key is needed.

A subject from before subjects had entries of their own is told by the first case that was opened under it. A detail
that was erased is not asked about.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_FIRST_UNIT: Final = "00000000-0000-7000-8000-0000000000a1"
"""Whose everything was before there were units."""
_RECORDED: Final = "subject.recorded"
_UPDATED: Final = "subject.updated"
_MERGED: Final = "subject.merged"
_SEPARATED: Final = "subject.separated"
_OPENED: Final = "case.opened"
_TOLD: Final = {_RECORDED, _UPDATED, _MERGED, _SEPARATED, _OPENED}

_Row = Mapping[str, Any]


def check_subjects(connection: Connection) -> Iterator[Finding]:
    """Hold subjects, numbers and merges against the entries that tell of them, in both directions."""
    logged: dict[str, list[Entry]] = {kind: [] for kind in _TOLD}
    for entry in entries(connection, _TOLD):
        logged[entry.type].append(entry)
    for told in logged.values():
        told.sort(key=lambda entry: entry.id)  # ids are ordered by time
    subjects = _Subjects(connection, logged)
    yield from subjects.faults(connection)
    yield from _merges(connection, logged)
    yield valid("fsck.subjects", f"{subjects.count} subjects were held against the log")


class _Subjects:
    """What the log says that subjects and their numbers are."""

    def __init__(self, connection: Connection, logged: Mapping[str, list[Entry]]) -> None:
        self.count = 0
        self._recorded = {_about(entry): entry for entry in logged[_RECORDED]}
        self._updates: dict[str, list[Entry]] = {}
        for entry in logged[_UPDATED]:
            self._updates.setdefault(_about(entry), []).append(entry)
        self._by_case: dict[str, Entry] = {}
        erased = set()
        for entry in logged[_OPENED]:
            if entry.detail is None:
                erased.add(_about(entry))
            elif "subject_name" in entry.detail:
                self._by_case.setdefault(str(entry.detail.get("subject")), entry)
        self._unknowable = {
            as_uuid(row["subject_id"])
            for row in rows(connection, "SELECT id, subject_id FROM case_file")
            if as_uuid(row["id"]) in erased
        }

    def faults(self, connection: Connection) -> Iterator[Finding]:
        numbers: dict[str, list[_Row]] = {}
        for row in rows(connection, "SELECT * FROM subject_identifier"):
            numbers.setdefault(as_uuid(row["subject_id"]), []).append(row)
        for row in rows(connection, "SELECT * FROM subject"):
            self.count += 1
            yield from self._faults(row, numbers.pop(as_uuid(row["id"]), []))
        for subject_id in self._recorded:
            yield invalid("fsck.row_missing", "The log tells of a row that subject lacks", subject_id)
        for row in rows(
            connection,
            "SELECT c.id FROM case_file c LEFT JOIN subject s ON s.id = c.subject_id WHERE s.id IS NULL",
        ):
            yield invalid("fsck.row_missing", "The subject of a case is not there", as_uuid(row["id"]))
        for subject_id in numbers:
            yield invalid("fsck.unlogged", "A number belongs to a subject that is not there", subject_id)

    def _faults(self, row: _Row, numbers: list[_Row]) -> Iterator[Finding]:
        where = as_uuid(row["id"])
        by_case = self._by_case.get(where)
        entry = self._recorded.pop(where, by_case)
        if entry is None:
            if where not in self._unknowable:
                yield invalid("fsck.unlogged", "A row of subject has no log entry", where)
            return
        if not is_at(row["created_at"], entry):
            yield invalid("fsck.row_changed", "subject.created_at is not what the log entry says", where)
        changes = [entry, *self._updates.get(where, [])]
        if any(change.detail is None for change in changes):
            return
        said: dict[str, Any] = {}
        for change in changes:
            said |= change.detail or {}
        if entry is by_case:
            said = {"name": said.get("subject_name"), "kind": said.get("subject_kind")} | said
        if as_uuid(row["unit_id"]) != said.get("unit", _FIRST_UNIT):
            yield invalid("fsck.row_changed", "subject.unit_id is not what the log entry says", where)
        for column in ("name", "kind"):
            if row[column] != said.get(column):
                yield invalid("fsck.row_changed", f"subject.{column} is not what the log entry says", where)
        yield from _numbers(where, numbers, said.get("identifiers"), changes)


def _numbers(where: str, found: list[_Row], said: Any, changes: list[Entry]) -> Iterator[Finding]:
    """Hold the numbers of a subject against the last entry that lists them."""
    told = {str(one.get("id")): one for one in said or [] if isinstance(one, dict)}
    for row in found:
        number_id = as_uuid(row["id"])
        one = told.pop(number_id, None)
        if one is None:
            yield invalid("fsck.unlogged", "A number of a subject is not one that the log tells of", number_id)
            continue
        is_so = {
            "kind": row["kind"],
            "key": row["key_id"],
            "sealed": hashlib.sha256(bytes(row["sealed"])).hexdigest(),
            "whole": bytes(row["whole_index"]).hex(),
            "last": bytes(row["last_index"]).hex(),
        }
        for name, value in is_so.items():
            if one.get(name) != value:
                yield invalid("fsck.row_changed", f"The {name} of a number is not what the log entry says", number_id)
        first = next((change for change in changes if _lists(change, number_id)), None)
        if first is None or not is_at(row["recorded_at"], first):
            yield invalid("fsck.row_changed", "A number was not recorded when the log entry says", number_id)
    for number_id in told:
        yield invalid("fsck.row_missing", "The log tells of a number that the subject lacks", number_id or where)


def _lists(entry: Entry, number_id: str) -> bool:
    listed = (entry.detail or {}).get("identifiers") or []
    return any(isinstance(one, dict) and one.get("id") == number_id for one in listed)


def _merges(connection: Connection, logged: Mapping[str, list[Entry]]) -> Iterator[Finding]:
    """Hold merges against the log: those must be there that were made once more often than they were undone."""
    made: dict[str, list[Entry]] = {}
    balance: dict[str, int] = {}
    for entry in (*logged[_MERGED], *logged[_SEPARATED]):
        is_made = entry.type == _MERGED
        balance[_about(entry)] = balance.get(_about(entry), 0) + (1 if is_made else -1)
        if is_made:
            made.setdefault(_about(entry), []).append(entry)
    wanted = {gone for gone, count in balance.items() if count == 1}
    found = {as_uuid(row["gone_id"]): row for row in rows(connection, "SELECT * FROM subject_merge")}
    for gone, row in found.items():
        if gone not in wanted:
            yield invalid("fsck.unlogged", "A merge of subjects has no log entry, or was undone", gone)
        elif not any(_is_made_by(entry, row) for entry in made[gone]):
            yield invalid("fsck.row_changed", "A merge of subjects is not what its log entry says", gone)
        elif as_uuid(row["root_id"]) != _root(gone, found):
            yield invalid("fsck.row_changed", "A merged subject does not stand where its merges lead", gone)
    for gone in wanted - set(found):
        yield invalid("fsck.row_missing", "The log tells of a merge that the catalogue lacks", gone)


def _is_made_by(entry: Entry, row: _Row) -> bool:
    return (
        as_uuid(row["entry_id"]) == entry.id
        and as_uuid(row["merged_by"]) == entry.told("actor")
        and is_at(row["merged_at"], entry)
        and (entry.detail is None or entry.detail.get("into") == as_uuid(row["keep_id"]))
    )


def _root(gone: str, found: Mapping[str, _Row]) -> str | None:
    """Return where merges lead from a subject; None where they lead round."""
    seen = set()
    while gone in found:
        if gone in seen:
            return None
        seen.add(gone)
        gone = as_uuid(found[gone]["keep_id"])
    return gone


def _about(entry: Entry) -> str:
    return str(entry.told("obj", "id"))
