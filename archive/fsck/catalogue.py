"""The catalogue against stores and log: every row has its bytes and its entry, every entry its row."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import as_uuid, file_digests, files_below, rows
from archive.fsck.stores import StoredObject
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.kernel.instants import parse_instant
from signing.cades import check_detached

_PRESERVING: Final = {"object.preserved", "record.filed"}
_SIGNED_WITHIN: Final = timedelta(minutes=10)
"""The manifest is signed shortly after the time of reception that it names; its signature counts whole seconds."""


def check_objects(
    connection: Connection,
    stored: Mapping[str, StoredObject],
    *,
    trust_roots_pem: bytes | None,
    is_begun: Callable[[str], bool],
) -> Iterator[Finding]:
    """Hold preserved objects against the store, their log entries, and their signed manifests.

    `is_begun` asks, now, whether somebody has announced an object that this snapshot of the catalogue does not know.
    """
    logged = _preserving_entries(connection)
    known = set()
    for row in rows(connection, "SELECT * FROM preserved_object"):
        object_id = as_uuid(row["id"])
        known.add(object_id)
        faults = list(_object_faults(row, stored.get(object_id), logged.pop(object_id, [])))
        yield from faults
        if not faults:
            yield valid("fsck.catalogue", "Catalogue, store and log agree on the original", object_id)
            yield from _signature(stored[object_id], row, trust_roots_pem)
    for object_id in logged:
        yield invalid(
            "fsck.row_missing", "The log says that this was preserved, the catalogue does not know it", object_id
        )
    for object_id in stored.keys() - known:
        if is_begun(object_id):
            yield valid(
                "fsck.begun", "An object was begun and never acknowledged; it is completed or left alone", object_id
            )
        else:
            yield invalid("fsck.unclaimed_object", "The store holds an object that nobody wrote down", object_id)


def _preserving_entries(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(connection, "SELECT body FROM log_entry"):
        entry = json.loads(bytes(row["body"]))
        if entry["type"] in _PRESERVING:
            found.setdefault(entry["obj"]["id"], []).append(entry)
    return found


def _object_faults(
    row: Mapping[str, Any], stored: StoredObject | None, entries: list[dict[str, Any]]
) -> Iterator[Finding]:
    where = as_uuid(row["id"])
    if stored is None or not stored.is_visible:
        yield invalid("fsck.object_missing", "The catalogue names an object that the store does not hold", where)
        return
    read = stored.digests.get("v1/content/" + row["content_path"])
    told = (int(row["size_bytes"]), row["sha256"], row["sha512"])
    if read != told:
        path = str(stored.folder / "v1" / "content" / row["content_path"])
        yield invalid("fsck.original_changed", "The original does not have the digests of the catalogue", path)
    if len(entries) != 1:
        yield invalid("fsck.entry_count", f"There are {len(entries)} log entries of its preservation, not 1", where)
    for entry in entries:
        if (entry.get("size"), entry["dig"]["sha256"], entry["dig"]["sha512"]) != told:
            yield invalid("fsck.entry_differs", "The log entry names other digests than the catalogue", where)


def _signature(stored: StoredObject, row: Mapping[str, Any], roots: bytes | None) -> Iterator[Finding]:
    manifest, container = (stored.paths.get(f"metadata/manifest.json{end}") for end in ("", ".p7s"))
    if manifest is None or container is None:
        yield invalid("fsck.manifest_missing", "The object has no signed manifest", stored.object_id)
        return
    told = json.loads(manifest.read_bytes())
    if (told["id"], told["sha256"], told["sha512"]) != (stored.object_id, row["sha256"], row["sha512"]):
        yield invalid("fsck.manifest_differs", "The signed manifest names other digests", str(manifest))
    if roots is None:
        yield indeterminate(
            "fsck.signature", "There is no root certificate, so the signature was not checked", str(container)
        )
        return
    try:
        at = parse_instant(told["times"]["received"]) + _SIGNED_WITHIN
        report = check_detached(manifest.read_bytes(), container.read_bytes(), trust_roots_pem=roots, at=at)
    except LiuhenError as error:
        yield invalid("fsck.signature", error.message, str(container))
        return
    yield from (
        Finding(found.code, found.outcome, found.message, str(container))
        for found in report.findings
        if found.outcome is not Outcome.VALID
    )


def check_uploads(connection: Connection, staging: Path) -> Iterator[Finding]:
    """Hold uploads against their staged bytes and their log entries: nothing acknowledged may be missing."""
    open_ones = set()
    for row in rows(connection, "SELECT id, state, offset_bytes, size_bytes, entry_id, object_id FROM upload"):
        where, state = as_uuid(row["id"]), row["state"]
        staged = staging / where
        if state in {"receiving", "complete"}:
            open_ones.add(where)
            if not staged.is_file() or staged.stat().st_size < int(row["offset_bytes"]):
                yield invalid("fsck.staged_bytes_lost", "Bytes that were acknowledged are not on disk", str(staged))
        if state in {"accepted", "quarantined"} and row["entry_id"] is None:
            yield invalid("fsck.upload_unlogged", "A finished upload has no log entry", where)
    for row in rows(
        connection,
        "SELECT u.id FROM upload u LEFT JOIN log_entry e ON e.id = u.entry_id "
        "LEFT JOIN preserved_object o ON o.id = u.object_id "
        "WHERE u.state = 'accepted' AND (e.id IS NULL OR o.id IS NULL)",
    ):
        yield invalid("fsck.upload_lost", "An accepted upload has no entry or no object", as_uuid(row["id"]))
    leftovers = [path for path in files_below(staging) if path.name not in open_ones]
    yield valid("fsck.uploads", f"Every acknowledged byte is on disk; {len(leftovers)} staged files are left over")


def check_custody(connection: Connection) -> Iterator[Finding]:
    """Hold links, grants and custody events against the log: no state change and no grant without its entry."""
    for table in ("custody_event", "retrieval_grant"):
        lost = rows(
            connection,
            f"SELECT t.entry_id FROM {table} t LEFT JOIN log_entry e ON e.id = t.entry_id "  # noqa: S608 - named above
            "WHERE e.id IS NULL",
        )
        for row in lost:
            yield invalid("fsck.unlogged", f"A row of {table} has no log entry", as_uuid(row["entry_id"]))
    balance: dict[tuple[str, str], int] = {}
    granted = 0
    for row in rows(connection, "SELECT body FROM log_entry"):
        entry = json.loads(bytes(row["body"]))
        if entry["type"] in {"case.link", "case.unlink"}:
            key = (entry["case"], entry["obj"]["id"])
            balance[key] = balance.get(key, 0) + (1 if entry["type"] == "case.link" else -1)
        granted += entry["type"] in {"access.view", "access.export"}
    links = {
        (as_uuid(row["case_id"]), as_uuid(row["object_id"])) for row in rows(connection, "SELECT * FROM case_link")
    }
    told = {key for key, count in balance.items() if count == 1}
    for case_id, object_id in links ^ told:
        yield invalid("fsck.link", "Case links and log do not agree", f"{case_id} {object_id}")
    grants = next(iter(rows(connection, "SELECT count(*) AS n FROM retrieval_grant")))["n"]
    if grants != granted:
        yield invalid("fsck.grants", f"There are {grants} grants and {granted} entries of grants")
    yield valid("fsck.custody", f"{len(links)} links and {grants} grants were held against the log")


def check_derived(connection: Connection, renditions: Path, quarantine: Path) -> Iterator[Finding]:
    """Hold renditions and quarantined bytes against their rows."""
    for table, folder, columns in (
        ("rendition", renditions, "key, size_bytes, sha256"),
        ("quarantine_item", quarantine, "key, size_bytes, sha256"),
    ):
        known = 0
        for row in rows(connection, f"SELECT {columns} FROM {table}"):  # noqa: S608 - both names stand above
            known += 1
            path = folder / row["key"]
            if not path.is_file():
                yield invalid(f"fsck.{table}_missing", "A stored copy is missing", str(path))
            elif file_digests(path)[:2] != (int(row["size_bytes"]), row["sha256"]):
                yield invalid(f"fsck.{table}_changed", "A stored copy does not have its digest", str(path))
        yield valid(f"fsck.{table}", f"{known} rows of {table} were held against their bytes")


def check_jobs(connection: Connection) -> Iterator[Finding]:
    """Make sure that every item is looked at: it has an outcome, or a job that will bring one."""
    for row in rows(
        connection,
        "SELECT object_id FROM evidence_item WHERE play_state = 'pending'",
    ):
        where = as_uuid(row["object_id"])
        alive = list(
            rows(
                connection,
                "SELECT state FROM job WHERE key IN (:probe, :encode) AND state IN ('ready', 'running', 'dead')",
                probe=f"probe:{where}",
                encode=f"encode:{where}",
            )
        )
        if not alive:
            yield invalid("fsck.job_lost", "An item waits for its rendition and has no job", where)
    yield valid("fsck.jobs", "Every item has its outcome or a job that brings one")
