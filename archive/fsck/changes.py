"""The catalogue against the log: every change of domain meaning has its entry, and says what the entry commits to.

A detail that was erased is not asked about; that its row exists still is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid


@dataclass(frozen=True, slots=True)
class _Told:
    """Which rows a type of entry tells of: the table, its id, and which columns stand in the detail, by which name."""

    table: str
    types: tuple[str, ...]
    id_column: str = "id"
    columns: Mapping[str, str] | None = None


_TABLES: Final = (
    _Told(
        "account",
        ("admin.account_created",),
        columns={"username": "username", "display_name": "display_name", "role": "role"},
    ),
    _Told("dock", ("admin.dock_enrolled",), columns={"name": "name", "public_key": "public_key"}),
    _Told(
        "case_file",
        ("case.opened",),
        columns={"number": "number", "title": "title", "category": "category", "subject_id": "subject"},
    ),
    _Told("act", ("case.act",), columns={"stage": "stage", "place": "place"}),
    _Told("text_record", ("record.filed",), "object_id", {"title": "title", "form": "form"}),
    _Told("preserved_object", ("object.preserved", "record.filed"), columns={"name": "name"}),
    _Told("evidence_item", ("object.preserved",), "object_id", {"device_serial": "device_serial"}),
    _Told("quarantine_item", ("ingest.quarantined",), "upload_id", {"reason": "reason", "name": "name"}),
)


def check_changes(connection: Connection) -> Iterator[Finding]:
    """Hold rows and entries against each other, in both directions."""
    told: dict[str, dict[str, Entry]] = {table.table: {} for table in _TABLES}
    made: set[str] = set()
    for entry in entries(connection):
        for table in _TABLES:
            if entry.type in table.types:
                told[table.table][str(entry.told("obj", "id"))] = entry
        if entry.type == "derivative.created":
            made.add(str(entry.told("obj", "id")))
    count = 0
    for table in _TABLES:
        logged = told[table.table]
        for row in rows(connection, f"SELECT * FROM {table.table}"):  # noqa: S608 - named above
            count += 1
            yield from _faults(table, row, logged.pop(as_uuid(row[table.id_column]), None))
        for row_id in logged:
            yield invalid("fsck.row_missing", f"The log tells of a row that {table.table} lacks", row_id)
    for row in rows(connection, "SELECT id FROM rendition"):  # an older one may have been replaced
        count += 1
        if as_uuid(row["id"]) not in made:
            yield invalid("fsck.unlogged", "A row of rendition has no log entry", as_uuid(row["id"]))
    yield valid("fsck.changes", f"{count} rows were held against the entries that tell of them")


def _faults(table: _Told, row: Mapping[str, Any], entry: Entry | None) -> Iterator[Finding]:
    where = as_uuid(row[table.id_column])
    if entry is None:
        yield invalid("fsck.unlogged", f"A row of {table.table} has no log entry", where)
        return
    for column, name in (table.columns or {}).items():
        if entry.detail is not None and _plain(row[column], column) != entry.detail.get(name):
            yield invalid("fsck.row_changed", f"{table.table}.{column} is not what the log entry says", where)


def _plain(value: Any, column: str) -> Any:
    """Return a value as details hold it, however the database keeps it."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return as_uuid(value) if column == "subject_id" else value
