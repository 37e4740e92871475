"""Records that were set and signed here: their PDFs, rows and custody events against the log and the store of drafts.

What is only being written is work, and held against nothing. A detail that was erased is not asked about.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.gone import Gone
from archive.fsck.raw import Entry, Place, as_instant, as_uuid, entries, file_digests, is_at, is_plain_file, rows
from archive.kernel.findings import Finding, indeterminate, invalid, valid

_SET: Final = "record.set"
_STEPS: Final = {_SET, "record.signed", "record.refused", "record.sealed", "record.stamped"}


def check_drafts(connection: Connection, store: Place, gone: Gone) -> Iterator[Finding]:
    """Hold set records and their PDFs against the entries that tell of them, in both directions.

    Of a record that was destroyed the PDFs are gone; who signed what when stays.
    """
    yield from _templates(connection)
    logged = {entry.id: entry for entry in entries(connection, _STEPS)}
    filed = {str(entry.told("obj", "id")) for entry in entries(connection, {"record.filed"})}
    yield from _set_rows(connection, {str(found.told("obj", "id")): found for found in _of(logged, _SET)})
    events = {
        as_uuid(row["entry_id"])
        for row in rows(connection, "SELECT entry_id FROM custody_event WHERE type LIKE 'record.%'")
    }
    count = 0
    for row in rows(connection, "SELECT * FROM draft_pdf"):
        count += 1
        entry = logged.pop(as_uuid(row["entry_id"]), None)
        where = f"{as_uuid(row['draft_id'])} {row['number']}"
        if entry is None:
            yield invalid("fsck.unlogged", "A PDF of a draft has no log entry", where)
            continue
        if not _is_told(row, entry):
            yield invalid("fsck.row_changed", "A PDF of a draft is not what its log entry says", where)
        if str(entry.told("obj", "id")) in filed and entry.id not in events:
            yield invalid("fsck.row_missing", "A log entry has no custody event", entry.id)
        if as_uuid(row["draft_id"]) in gone.done:
            if (store / str(row["key"])).exists():
                yield invalid("fsck.destroyed_there", "The PDF of a record that was destroyed is there", where)
        elif as_uuid(row["draft_id"]) not in gone.begun:
            yield from _bytes(row, store, where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a PDF of a draft that the catalogue lacks", where)
    yield valid("fsck.drafts", f"{count} PDFs of drafts were held against log and store")


def _templates(connection: Connection) -> Iterator[Finding]:
    """Hold the texts of templates against their digests, and against what the records that use them say."""
    known: dict[Any, tuple[Any, Any]] = {}
    for row in rows(connection, "SELECT * FROM template_text"):
        known[row["sha256"]] = (row["code"], row["version"])
        if hashlib.sha256(str(row["text"]).encode()).hexdigest() != row["sha256"]:
            yield invalid("fsck.row_changed", "The text of a template does not have its digest", str(row["sha256"]))
    for row in rows(connection, "SELECT id, template, template_version, template_sha256 FROM draft"):
        if known.get(row["template_sha256"]) != (row["template"], row["template_version"]):
            yield invalid("fsck.row_missing", "A record's template is not there, or is another", as_uuid(row["id"]))
    for row in rows(connection, "SELECT id, code, version, text_sha256 FROM record_template"):
        if known.get(row["text_sha256"]) != (row["code"], row["version"]):
            yield invalid("fsck.row_missing", "The text of a template is not there, or is another", as_uuid(row["id"]))


def _of(logged: Mapping[str, Entry], kind: str) -> Iterator[Entry]:
    return (entry for entry in logged.values() if entry.type == kind)


def _set_rows(connection: Connection, told: Mapping[str, Entry]) -> Iterator[Finding]:
    for row in rows(connection, "SELECT * FROM draft"):
        where = as_uuid(row["id"])
        entry = told.get(where)
        if entry is None:
            paper = (row["number"], row["pages"], row["values_sha256"])
            if any(each is not None for each in paper) or row["state"] in {"set", "filed"}:
                yield invalid("fsck.unlogged", "That a record is set has no log entry", where)
            continue
        if entry.detail is None:
            continue
        said = {
            "title": row["title"],
            "document_number": row["number"],
            "pages": row["pages"],
            "revision": row["revision"],
            "values_sha256": row["values_sha256"],
            "field_values_sha256": hashlib.sha256(str(row["field_values"]).encode()).hexdigest(),
        }
        changed = [name for name, value in said.items() if entry.detail.get(name) != value]
        changed += [] if _is_saved(row, entry.detail) else ["saved"]
        for name in changed:
            yield invalid("fsck.row_changed", f"draft is not what the log entry says: {name}", where)


def _is_saved(row: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    try:
        at = as_instant(row["saved_at"]) == as_instant(detail.get("saved_at"))
        return at and as_uuid(row["saved_by"]) == detail.get("saved_by")
    except ValueError:
        return False


def _is_told(row: Mapping[str, Any], entry: Entry) -> bool:
    told = (entry.told("size"), entry.told("dig", "sha256"), entry.told("dig", "sha512"))
    return bool(
        told == (row["size_bytes"], row["sha256"], row["sha512"])
        and entry.type == f"record.{row['kind']}"
        and as_uuid(row["draft_id"]) == entry.told("obj", "id")
        and as_uuid(row["by_id"]) == entry.told("actor")
        and is_at(row["at"], entry)
        and (entry.detail is None or all(entry.detail.get(name) == row[name] for name in ("number", "place")))
        and (entry.detail is None or entry.detail.get("awaits_time") == bool(row["awaits_time"]))
    )


def _bytes(row: Mapping[str, Any], store: Place, where: str) -> Iterator[Finding]:
    path = store / str(row["key"])
    try:
        if not is_plain_file(path):
            yield invalid("fsck.draft_pdf_missing", "The PDF of a draft is missing, or no plain file", where)
        elif file_digests(path) != (row["size_bytes"], row["sha256"], row["sha512"]):
            yield invalid("fsck.draft_pdf_changed", "The PDF of a draft does not have its digests", where)
    except (OSError, ValueError) as exc:
        yield indeterminate("fsck.unread", f"The PDF of a draft cannot be read: {exc}", where)
