"""Closed volumes of case files: rows against their entries; lines, links and root against the index in the store."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.gone import Gone
from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, read_object, rows, said_by
from archive.fsck.stores import StoredObject
from archive.kernel.canonical import NotCanonical, canonical_json
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, indeterminate, invalid, valid
from archive.kernel.instants import parse_instant

_INDEX: Final = "original/index.json"
_PLAIN: Final = (
    "kind", "sequence", "state", "file_number", "year", "serial", "lines", "pages", "root", "index_sha256", "retention",
    "reason",
)  # fmt: skip
_LINE: Final = ("section", "title", "first_page", "last_page")


def check_volumes(connection: Connection, stored: Mapping[str, StoredObject], gone: Gone) -> Iterator[Finding]:
    """Hold volumes, their lines and what is bound in them against log and index, in both directions.

    Of a volume that was destroyed nothing is left but its row.
    """
    logged: dict[str, list[Entry]] = {}
    for entry in sorted(entries(connection, {"volume.opened", "volume.closed"}), key=lambda entry: entry.id):
        logged.setdefault(_volume_of(entry), []).append(entry)
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows(connection, "SELECT * FROM volume_line ORDER BY volume_id, number"):
        lines.setdefault(as_uuid(row["volume_id"]), []).append(row)
    links: dict[str, set[str]] = {}
    for row in rows(connection, "SELECT * FROM case_link WHERE volume_id IS NOT NULL"):
        links.setdefault(as_uuid(row["volume_id"]), set()).add(f"{as_uuid(row['case_id'])} {as_uuid(row['object_id'])}")
    count = 0
    for row in rows(connection, "SELECT * FROM volume"):
        count += 1
        where = as_uuid(row["id"])
        changes = logged.pop(where, []) or logged.pop(_object_of(row), [])
        yield from _row_faults(row, changes, where)
        if row["state"] == "closed":
            bound = f"{as_uuid(row['case_id'])} "
            its_links, its_lines = links.pop(where, set()), lines.pop(where, [])
            if not gone.has(_object_of(row)):
                yield from _index_faults(row, stored, its_lines, its_links, bound, where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a volume that the catalogue lacks", where)
    for where in {*lines, *links}:
        yield invalid("fsck.unlogged", "Lines or papers are bound in a volume that is not closed", where)
    yield from _check_faults(connection, stored, gone)
    yield valid("fsck.volumes", f"{count} volumes were held against log and store")


def _volume_of(entry: Entry) -> str:
    """Return the volume that an entry is about; of one whose detail was erased only the object is known."""
    if entry.type == "volume.closed" and entry.detail is not None:
        return str(entry.detail.get("volume"))
    return str(entry.told("obj", "id"))


def _object_of(row: Mapping[str, Any]) -> str:
    return "" if row["object_id"] is None else as_uuid(row["object_id"])


def _row_faults(row: Mapping[str, Any], changes: Sequence[Entry], where: str) -> Iterator[Finding]:
    closed = [entry for entry in changes if entry.type == "volume.closed"]
    if not changes or bool(closed) != (row["state"] == "closed"):
        yield invalid("fsck.unlogged", "A volume is not in the state that the log tells of", where)
        return
    first, said = changes[0], said_by(changes)
    faults = [
        name
        for name, is_so in (
            ("opened_at", is_at(row["opened_at"], first)),
            ("opened_by", as_uuid(row["opened_by"]) == first.told("actor")),
            ("case_id", as_uuid(row["case_id"]) == first.told("case")),
        )
        if not is_so
    ]
    if closed and (_object_of(row), row["index_sha256"]) != (
        closed[-1].told("obj", "id"), closed[-1].told("dig", "sha256")
    ):  # fmt: skip
        faults.append("object_id")
    if said is not None:
        faults += [name for name in _PLAIN if row[name] != said.get(name)]
        if _day(row["file_by"]) != said.get("file_by"):
            faults.append("file_by")
        if _moment(row["closed_at"]) != _moment(said.get("closed_at")):
            faults.append("closed_at")
        if (None if row["closed_by"] is None else as_uuid(row["closed_by"])) != said.get("closed_by"):
            faults.append("closed_by")
    for name in faults:
        yield invalid("fsck.row_changed", f"volume.{name} is not what the log entry says", where)


def _index_faults(
    row: Mapping[str, Any],
    stored: Mapping[str, StoredObject],
    lines: Sequence[Mapping[str, Any]],
    links: set[str],
    bound: str,
    where: str,
) -> Iterator[Finding]:
    found = stored.get(_object_of(row))
    path = None if found is None else found.paths.get(_INDEX)
    if path is None:
        yield invalid("fsck.index_missing", "The object of a closed volume has no index", where)
        return
    try:
        body = path.read_bytes()
    except OSError as exc:
        yield indeterminate("fsck.unread", f"The index of a volume cannot be read: {exc.strerror}", str(path))
        return
    told = read_object(body)
    listed = told.get("lines") if told is not None else None
    if told is None or not isinstance(listed, list) or hashlib.sha256(body).hexdigest() != row["index_sha256"]:
        yield invalid("fsck.index_changed", "The index of a volume is not the one that was closed", str(path))
        return
    try:
        root = _root([hashlib.sha256(b"\0" + canonical_json(line)).digest() for line in listed]).hex()
    except NotCanonical:
        root = ""
    if root != told.get("root") or root != row["root"]:
        yield invalid("fsck.index_root", "The root of a volume's index is not the one over its lines", str(path))
    wanted = [(line.get("number"), line.get("object"), *map(line.get, _LINE)) for line in listed]
    if wanted != [(each["number"], as_uuid(each["object_id"]), *(each[name] for name in _LINE)) for each in lines]:
        yield invalid("fsck.row_changed", "The lines of a volume are not those of its index", where)
    if links != {bound + str(line.get("object")) for line in listed}:
        yield invalid("fsck.link", "The papers that are bound in a volume are not those of its index", where)


def _check_faults(connection: Connection, stored: Mapping[str, StoredObject], gone: Gone) -> Iterator[Finding]:
    logged = {
        entry.id: entry for entry in entries(connection, {"volume.checked"}) if entry.told("obj", "id") not in gone.done
    }
    objects = {as_uuid(row["id"]): _object_of(row) for row in rows(connection, "SELECT id, object_id FROM volume")}
    for row in rows(connection, "SELECT * FROM volume_check"):
        volume_id = as_uuid(row["volume_id"])
        where = f"{volume_id} {row['number']}"
        entry = logged.pop(as_uuid(row["entry_id"]), None)
        object_id = objects.get(volume_id, "")
        if entry is None:
            yield invalid("fsck.unlogged", "A check of a volume has no log entry", where)
            continue
        said = entry.detail
        findings = row["findings"] if isinstance(row["findings"], str | bytes) else canonical_json(row["findings"])
        if (
            (entry.told("obj", "id"), entry.told("dig", "sha256")) != (object_id, row["sha256"])
            or as_uuid(row["by_id"]) != entry.told("actor")
            or not is_at(row["at"], entry)
            or (said is not None and not _is_said(row, said, findings))
        ):
            yield invalid("fsck.row_changed", "A check of a volume is not what its log entry says", where)
        if object_id in gone.begun:
            continue
        found = stored.get(object_id)
        held = {} if found is None else found.digests
        if not any(
            name.endswith(f"/content/{row['path']}") and told[1] == row["sha256"] for name, told in held.items()
        ):
            yield invalid("fsck.report_changed", "The report of a check is not in the store as it was made", where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a check that the catalogue lacks", where)


def _is_said(row: Mapping[str, Any], said: Mapping[str, Any], findings: Any) -> bool:
    text = findings if isinstance(findings, bytes) else str(findings).encode()
    kept: Any = read_object(b'{"found":' + text + b"}")
    digest = None if kept is None else hashlib.sha256(canonical_json(kept["found"])).hexdigest()
    names = ("number", "outcome", "path")
    return all(row[name] == said.get(name) for name in names) and digest == said.get("findings_sha256")


def _root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree over leaf hashes. Source: RFC 6962 section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def _day(value: Any) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)[:10]


def _moment(value: Any) -> Any:
    try:
        if isinstance(value, str) and value.endswith("Z"):
            return parse_instant(value)
        return None if value is None else as_instant(value)
    except (ValueError, InvalidInput):
        return value
