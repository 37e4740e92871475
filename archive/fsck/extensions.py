"""Records that were extended for the long term: rows against their entries and against the bytes in the store."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.gone import Gone
from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.fsck.stores import StoredObject
from archive.kernel.findings import Finding, invalid, valid

_EXTENDED: Final = "record.extended"


def check_extensions(connection: Connection, stored: Mapping[str, StoredObject], gone: Gone) -> Iterator[Finding]:
    """Hold every extension of a record against its entry and its bytes, in both directions."""
    logged = {
        entry.id: entry
        for entry in entries(connection, {_EXTENDED})
        if entry.told("obj", "kind") == "record" and entry.told("obj", "id") not in gone.done
    }
    count = len(logged)
    for row in rows(connection, "SELECT * FROM record_extension"):
        where = f"{as_uuid(row['object_id'])} {row['number']}"
        entry = logged.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "An extension of a record has no log entry", where)
        elif not _is_told(row, entry):
            yield invalid("fsck.row_changed", "An extension of a record is not what its log entry says", where)
        found = None if as_uuid(row["object_id"]) in gone.begun else stored.get(as_uuid(row["object_id"]))
        told = (row["size_bytes"], row["sha256"], row["sha512"])
        if found is not None and found.is_visible and told not in _at_path(found, str(row["path"])):
            yield invalid("fsck.extension_changed", "An extension does not have the digests of the catalogue", where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of an extension that the catalogue lacks", where)
    yield valid("fsck.extensions", f"{count} extensions of records were held against log and store")


def _at_path(found: StoredObject, path: str) -> list[tuple[int, str, str]]:
    return [digests for name, digests in found.digests.items() if name.partition("/content/")[2] == path]


def _is_told(row: Mapping[str, Any], entry: Entry) -> bool:
    told = (entry.told("size"), entry.told("dig", "sha256"), entry.told("dig", "sha512"))
    if told != (row["size_bytes"], row["sha256"], row["sha512"]) or not is_at(row["at"], entry):
        return False
    if as_uuid(row["object_id"]) != entry.told("obj", "id"):
        return False
    detail = entry.detail
    if detail is None:
        return True
    times = all(_moment(row[name]) == _moment(detail.get(name)) for name in ("renew_at", "ends_at"))
    return times and (detail.get("number"), detail.get("path")) == (row["number"], row["path"])


def _moment(value: Any) -> Any:
    try:
        return None if value is None else as_instant(value)
    except ValueError:
        return value
