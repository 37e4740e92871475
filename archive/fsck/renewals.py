"""Renewals of signed manifests and the archive's own certificates: against their entries and the bytes in the store."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.fsck.stores import StoredObject
from archive.kernel.findings import Finding, invalid, valid

_RENEWED: Final = "object.renewed"
_AUTHORITY: Final = "admin.authority_renewed"
_TIMES: Final = ("stamped_at", "renew_at", "ends_at")


def check_renewals(connection: Connection, stored: Mapping[str, StoredObject]) -> Iterator[Finding]:
    """Hold every renewal against its entry and its bytes, and every own certificate against its, in both directions."""
    logged = {entry.id: entry for entry in entries(connection, {_RENEWED, _AUTHORITY})}
    count = len(logged)
    for row in rows(connection, "SELECT * FROM object_renewal"):
        where = f"{as_uuid(row['object_id'])} {row['number']}"
        entry = logged.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "A renewal of a signature has no log entry", where)
        elif not _is_told(row, entry):
            yield invalid("fsck.row_changed", "A renewal of a signature is not what its log entry says", where)
        found = stored.get(as_uuid(row["object_id"]))
        if found is not None and found.is_visible and not _is_stored(row, found):
            yield invalid("fsck.renewal_changed", "A renewal does not have the digests of the catalogue", where)
    for row in rows(connection, "SELECT * FROM own_certificate"):
        entry = logged.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "A certificate of the archive has no log entry", str(row["sha256"]))
        elif not _is_own(row, entry):
            told = "A certificate of the archive is not what its log entry says"
            yield invalid("fsck.row_changed", told, str(row["sha256"]))
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a renewal that the catalogue lacks", where)
    yield valid("fsck.renewals", f"{count} renewals were held against log and store")


def _is_told(row: Mapping[str, Any], entry: Entry) -> bool:
    told = (entry.told("size"), entry.told("dig", "sha256"), entry.told("dig", "sha512"))
    if told != (row["size_bytes"], row["sha256"], row["sha512"]) or not is_at(row["at"], entry):
        return False
    if as_uuid(row["object_id"]) != entry.told("obj", "id") or entry.type != _RENEWED:
        return False
    detail = entry.detail
    if detail is None:
        return True
    names = all(detail.get(name) == row[name] for name in ("number", "token_sha256"))
    return names and all(_moment(detail.get(name)) == _moment(row[name]) for name in _TIMES)


def _is_stored(row: Mapping[str, Any], found: StoredObject) -> bool:
    name = f"renewals/{int(row['number']):03d}"
    record, token = (
        [digests for path, digests in found.digests.items() if path.partition("/content/")[2] == f"{name}.{ending}"]
        for ending in ("json", "tsr")
    )
    is_record = (row["size_bytes"], row["sha256"], row["sha512"]) in record
    return is_record and any(sha256 == row["token_sha256"] for _, sha256, _ in token)


def _is_own(row: Mapping[str, Any], entry: Entry) -> bool:
    der = bytes(row["certificate"])
    if hashlib.sha256(der).hexdigest() != row["sha256"] or entry.type != _AUTHORITY:
        return False
    detail = entry.detail
    if detail is None:
        return True
    said = {"kind": row["kind"], "sha256": row["sha256"], "certificate": base64.b64encode(der).decode()}
    times = all(_moment(detail.get(name)) == _moment(row[name]) for name in ("not_before", "not_after", "used_since"))
    return times and all(detail.get(name) == value for name, value in said.items())


def _moment(value: Any) -> Any:
    try:
        return None if value is None else as_instant(value)
    except ValueError:
        return value
