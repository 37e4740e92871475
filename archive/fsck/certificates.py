"""Certificates, their uses and their histories against the log: the digest that was logged, a use for each signature.

A detail that was erased is not asked about; that a signature has its use, when and of what, still is.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid

_ABOUT: Final = {f"admin.certificate_{name}" for name in ("registered", "replaced", "revoked", "requested", "decided")}
_SIGNING: Final = {"record.signed", "record.refused", "record.sealed", "volume.closed"}


def check_certificates(connection: Connection) -> Iterator[Finding]:
    """Hold the bytes of certificates against their digests, and uses of keys against entries, in both directions."""
    digests: dict[str, Any] = {}
    for row in rows(connection, "SELECT id, certificate, sha256 FROM key_certificate"):
        where = as_uuid(row["id"])
        digests[where] = row["sha256"]
        if _sha256(row["certificate"]) != row["sha256"]:
            yield invalid("fsck.row_changed", "key_certificate.certificate does not have its digest", where)
    logged = {entry.id: entry for entry in entries(connection, _SIGNING)}
    for row in rows(connection, "SELECT * FROM key_use"):
        where = as_uuid(row["entry_id"])
        entry = logged.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A use of a key has no log entry", where)
        elif not _is_use(row, entry, digests.get(as_uuid(row["certificate_id"]))):
            yield invalid("fsck.row_changed", "A use of a key is not what its log entry says", where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a signature whose use of a key the catalogue lacks", where)
    yield from _histories(connection)
    yield valid("fsck.certificates", f"{len(digests)} certificates and what they signed were held against the log")


def _histories(connection: Connection) -> Iterator[Finding]:
    told = {entry.id: entry for entry in entries(connection, _ABOUT)}
    for row in rows(connection, "SELECT * FROM key_event"):
        where = as_uuid(row["entry_id"])
        entry = told.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A line of a certificate's history has no log entry", where)
        elif (row["type"], as_uuid(row["actor_id"]), as_uuid(row["ref_id"])) != (
            entry.type, entry.told("actor"), entry.told("obj", "id")
        ) or not is_at(row["at"], entry):  # fmt: skip
            yield invalid("fsck.row_changed", "A line of a certificate's history is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "A log entry is missing in the history of a certificate", where)


def _is_use(row: Any, entry: Entry, sha256: Any) -> bool:
    about = (row["ref_kind"], as_uuid(row["ref_id"]))
    return bool(
        about == (entry.told("obj", "kind"), entry.told("obj", "id"))
        and is_at(row["at"], entry)
        and (entry.detail is None or entry.detail.get("certificate") == sha256)
    )


def _sha256(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else str(value).encode()).hexdigest()
