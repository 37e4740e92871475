"""The catalogue against stores and log: every row has its bytes and its entry, every entry its row."""

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, Place, as_uuid, entries, file_digests, files_below, is_plain_file, read_object, rows
from archive.fsck.stores import StoredObject
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.kernel.instants import Instant, parse_instant
from signing.renewals import Renewed, Signed, judge_signed, record_path, token_path

_PRESERVING: Final = {"object.preserved", "record.filed", "volume.closed"}
_STATE_OF: Final = {"ingest.received": "accepted", "ingest.quarantined": "quarantined"}
_SIGNED_WITHIN: Final = timedelta(minutes=10)
"""The manifest is signed shortly after the time of reception that it names; its signature counts whole seconds."""


def check_objects(
    connection: Connection,
    stored: Mapping[str, StoredObject],
    *,
    trust_roots_pem: bytes | None,
    is_begun: Callable[[str], bool],
    now: Instant | None = None,
) -> Iterator[Finding]:
    """Hold preserved objects against the store, their log entries, and their signed manifests.

    Signatures are judged as of `now`, by their renewals where there are any; without it as of when they were made.
    `is_begun` asks, now, whether somebody has announced an object that this snapshot of the catalogue does not know.
    """
    logged = _preserving_entries(connection)
    items = {as_uuid(row["object_id"]): row["sha512"] for row in rows(connection, "SELECT * FROM evidence_item")}
    known, unjudged = set(), 0
    for row in rows(connection, "SELECT * FROM preserved_object"):
        object_id = as_uuid(row["id"])
        known.add(object_id)
        found = stored.get(object_id)
        faults = list(_object_faults(row, found, logged.pop(object_id, [])))
        if items.get(object_id, row["sha512"]) != row["sha512"]:
            faults.append(invalid("fsck.item_differs", "The item has another sha512 than its original", object_id))
        yield from faults
        if found is not None and found.is_visible:
            unjudged += trust_roots_pem is None
            yield from _signature(found, row, trust_roots_pem, now)
        if not faults:
            yield valid("fsck.catalogue", "Catalogue, store and log agree on the original", object_id)
    if unjudged:
        told = f"There is no root certificate to judge by, so {unjudged} signatures of manifests were not checked"
        yield indeterminate("fsck.signature", told)
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


def _preserving_entries(connection: Connection) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries(connection, _PRESERVING):
        found.setdefault(str(entry.told("obj", "id")), []).append(entry)
    return found


def _object_faults(row: Mapping[str, Any], stored: StoredObject | None, logged: list[Entry]) -> Iterator[Finding]:
    where = as_uuid(row["id"])
    told = (int(row["size_bytes"]), row["sha256"], row["sha512"])
    if len(logged) != 1:
        yield invalid("fsck.entry_count", f"There are {len(logged)} log entries of its preservation, not 1", where)
    for entry in logged:
        logged_as = (entry.told("size"), entry.told("dig", "sha256"), entry.told("dig", "sha512"))
        if logged_as != told or entry.told("dig", "sm3") != row["sm3"]:
            yield invalid("fsck.entry_differs", "The log entry names other digests than the catalogue", where)
    if stored is None or not stored.is_visible:
        place = where if stored is None else str(stored.folder / "inventory.json")
        yield invalid("fsck.object_missing", "The catalogue names an object that the store does not hold", place)
        return
    yield from stored.unfinished
    content = "v1/content/" + row["content_path"]
    if content in stored.unread:
        yield indeterminate("fsck.original_unread", "The original could not be read", str(stored.folder / content))
    elif stored.digests.get(content) != told:
        yield invalid(
            "fsck.original_changed",
            "The original does not have the digests of the catalogue",
            str(stored.folder / content),
        )


def _signature(
    stored: StoredObject, row: Mapping[str, Any], roots: bytes | None, now: Instant | None
) -> Iterator[Finding]:
    manifest, container = (stored.paths.get(f"metadata/manifest.json{end}") for end in ("", ".p7s"))
    if manifest is None or container is None:
        yield invalid("fsck.manifest_missing", "The object has no signed manifest", stored.object_id)
        return
    try:
        content, signature, renewals = manifest.read_bytes(), container.read_bytes(), _renewals(stored)
    except FileNotFoundError:
        yield invalid("fsck.manifest_missing", "The signed manifest is missing", str(manifest.parent))
        return
    except OSError as exc:
        yield indeterminate("fsck.unread", f"The signed manifest cannot be read: {exc.strerror}", str(manifest))
        return
    told = read_object(content) or {}
    if (told.get("id"), told.get("sha256"), told.get("sha512")) != (stored.object_id, row["sha256"], row["sha512"]):
        yield invalid("fsck.manifest_differs", "The signed manifest names other digests", str(manifest))
    if roots is None:
        return
    try:
        made = parse_instant(told["times"]["received"]) + _SIGNED_WITHIN
        at = made if now is None else max(made, now)
        signed = Signed(stored.object_id, content, signature, renewals)
        report = judge_signed(signed, trust_roots_pem=roots, at=at)
    except (LiuhenError, KeyError, TypeError, OverflowError) as error:
        yield invalid("fsck.signature", f"The signature cannot be checked: {error}", str(container))
        return
    yield from (
        Finding(found.code, found.outcome, found.message, str(container))
        for found in report.findings
        if found.outcome is not Outcome.VALID
    )


def _renewals(stored: StoredObject) -> list[Renewed]:
    """Return what an object holds of renewals, from the first on. Raises: OSError."""
    found: list[Renewed] = []
    while (record := stored.paths.get(record_path(len(found) + 1))) is not None:
        token = stored.paths.get(token_path(len(found) + 1))
        found.append(Renewed(len(found) + 1, record.read_bytes(), b"" if token is None else token.read_bytes()))
    return found


def check_uploads(
    connection: Connection,
    staging: Path,
    *,
    place: str,
    is_open: Callable[[str], bool],
    is_staged: Callable[[str], bool],
) -> Iterator[Finding]:
    """Hold uploads against their staged bytes and their log entries: nothing acknowledged may be missing.

    `is_open` asks, now, whether an upload of this snapshot is still open: what has ended since has no staged file;
    `is_staged` asks the same of an object that an Axis system transfers. What is staged on the disk of another host
    than that of this `place` is not looked at; that is said.
    """
    ended = {
        str(entry.told("req")): (entry.id, _STATE_OF[entry.type], entry) for entry in entries(connection, _STATE_OF)
    }
    staged = {
        as_uuid(row["id"]): (int(row["size_bytes"]), str(row["place"]))
        for row in rows(connection, "SELECT id, size_bytes, place FROM axis_object WHERE state = 'staged'")
    }
    yield from _check_staged(staging, staged, place=place, is_still=is_staged, is_whole=True)
    open_ones = {}
    for row in rows(connection, "SELECT * FROM upload"):
        where, state = as_uuid(row["id"]), row["state"]
        told = ended.pop(where, None)
        if state in {"receiving", "complete"}:
            open_ones[where] = (int(row["offset_bytes"]), str(row["place"]))
        given = None if row["entry_id"] is None else (as_uuid(row["entry_id"]), state)
        if given != (None if told is None else told[:2]) or not _is_of(row, told):
            yield invalid("fsck.upload_unlogged", "An upload and its log entry do not agree", where)
    yield from _check_staged(staging, open_ones, place=place, is_still=is_open, is_whole=False)
    for upload_id in ended:
        yield invalid("fsck.row_missing", "The log tells the end of an upload that the catalogue lacks", upload_id)
    for row in rows(
        connection,
        "SELECT u.id FROM upload u LEFT JOIN preserved_object o ON o.id = u.object_id "
        "WHERE u.state = 'accepted' AND o.id IS NULL",
    ):
        yield invalid("fsck.upload_lost", "An accepted upload has no object", as_uuid(row["id"]))
    leftovers = [path for path in files_below(staging) if path.name not in open_ones and path.name not in staged]
    yield valid("fsck.uploads", f"Every acknowledged byte is on disk; {len(leftovers)} staged files are left over")


def _check_staged(
    staging: Path,
    wanted: Mapping[str, tuple[int, str]],
    *,
    place: str,
    is_still: Callable[[str], bool],
    is_whole: bool,
) -> Iterator[Finding]:
    """Hold what must be staged, with how many bytes and at which place, against the folder of this place."""
    elsewhere = 0
    for where, (size_bytes, lies_at) in wanted.items():
        if lies_at not in {"", place}:
            elsewhere += 1
            continue
        found = _size_bytes(staging / where)
        if (found < size_bytes or (is_whole and found != size_bytes)) and is_still(where):
            told = "Bytes that were acknowledged are not on disk"
            yield invalid("fsck.staged_bytes_lost", told, str(staging / where))
    if elsewhere:
        told = f"{elsewhere} files are staged on other hosts: whether their bytes are there was not looked at"
        yield indeterminate("fsck.staged_elsewhere", told, str(staging))


def _is_of(row: Mapping[str, Any], told: tuple[str, str, Entry] | None) -> bool:
    """Whether the end that was logged is that of this upload: of its dock, its sender, its size, its object."""
    if told is None:
        return True
    about = as_uuid(row["object_id"]) if row["state"] == "accepted" else as_uuid(row["id"])
    entry = told[2]
    dock_id = as_uuid(row["dock_id"])
    sender_id = dock_id if row["sender_id"] is None else as_uuid(row["sender_id"])
    logged = (entry.told("dev"), entry.told("actor"), entry.told("size"), entry.told("obj", "id"), entry.told("auth"))
    return logged == (dock_id, sender_id, int(row["size_bytes"]), about, row["credential"])


def _size_bytes(path: Path) -> int:
    """Return the size of a staged file; less than any offset where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def check_derived(connection: Connection, renditions: Place, quarantine: Place) -> Iterator[Finding]:
    """Hold renditions and quarantined bytes against their rows, and quarantined manifests against their uploads."""
    for row in rows(connection, "SELECT key, size_bytes, sha256 FROM rendition"):
        yield from _copy_faults("rendition", renditions / row["key"], (int(row["size_bytes"]), row["sha256"]))
    for path in _kept_aside(renditions):
        yield from _kept_aside_faults(path)
    for row in rows(
        connection,
        "SELECT q.key, q.size_bytes, q.sha256, q.sha512, u.manifest, u.manifest_signature "
        "FROM quarantine_item q JOIN upload u ON u.id = q.upload_id",
    ):
        path = quarantine / row["key"]
        yield from _copy_faults("quarantine_item", path, (int(row["size_bytes"]), row["sha256"], row["sha512"]))
        for name, data in (("manifest.json", row["manifest"]), ("manifest.json.sig", row["manifest_signature"])):
            told = (len(data), hashlib.sha256(bytes(data)).hexdigest())
            yield from _copy_faults("quarantine_item", path.with_name(name), told)
    yield valid("fsck.derived", "Renditions and what is in quarantine were held against their rows")


def _kept_aside(renditions: Place) -> Iterator[Place]:
    """Yield what looks found: `found-…/….json` in the folder of an object."""
    for item in _inside(renditions):
        for look in _inside(item):
            if look.name.startswith("found-"):
                yield from (path for path in _inside(look) if path.name.endswith(".json"))


def _inside(folder: Place) -> list[Place]:
    return sorted(folder.iterdir(), key=str) if folder.is_dir() else []


def _copy_faults(table: str, path: Place, told: tuple[object, ...]) -> Iterator[Finding]:
    try:
        if not is_plain_file(path):
            yield invalid(f"fsck.{table}_missing", "A stored copy is missing, or no plain file", str(path))
        elif file_digests(path)[: len(told)] != told:
            yield invalid(f"fsck.{table}_changed", "A stored copy does not have its digest", str(path))
    except OSError as exc:
        yield indeterminate("fsck.unread", f"A stored copy cannot be read: {exc.strerror}", str(path))


def _kept_aside_faults(path: Place) -> Iterator[Finding]:
    """Hold what a look found, as it is kept for who recovers, against the digest that it is named by."""
    try:
        if not is_plain_file(path) or file_digests(path)[1] != path.name.partition(".")[0]:
            yield invalid("fsck.rendition_changed", "A stored copy does not have its digest", str(path))
    except OSError as exc:
        yield indeterminate("fsck.unread", f"A stored copy cannot be read: {exc.strerror}", str(path))


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
                "SELECT state FROM job WHERE key IN (:probe, :encode, :contents) "
                "AND state IN ('ready', 'running', 'dead')",
                probe=f"probe:{where}",
                encode=f"encode:{where}",
                contents=f"contents:{where}",
            )
        )
        if not alive:
            yield invalid("fsck.job_lost", "An item waits for its rendition and has no job", where)
    yield valid("fsck.jobs", "Every item has its outcome or a job that brings one")
