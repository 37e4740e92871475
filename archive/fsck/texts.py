"""Texts that were read out of documents, against the log: each is what the newest entry of its reading commits to.

A detail that was erased is not asked about.
"""

import hashlib
from collections.abc import Iterator

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid

_TYPE = "item.described"
_LOOK = "document"


def check_texts(connection: Connection) -> Iterator[Finding]:
    """Hold the text of each document against the entry that tells of it, in both directions."""
    newest, erased = _told(connection)
    count = 0
    for row in rows(connection, "SELECT object_id, text FROM item_text"):
        count += 1
        where = as_uuid(row["object_id"])
        found = newest.pop(where, None)
        if erased.get(where, "") > ("" if found is None else found.id):
            continue
        if found is None or found.detail is None:
            yield invalid("fsck.unlogged", "A text that was read out of a document has no log entry", where)
        elif hashlib.sha256(str(row["text"]).encode()).hexdigest() != found.detail.get("text_sha256"):
            yield invalid("fsck.row_changed", "item_text.text is not what the log entry says", where)
    for where, entry in newest.items():
        if entry.detail is not None and entry.detail.get("text_sha256") and erased.get(where, "") < entry.id:
            yield invalid("fsck.row_missing", "The log tells of a text that the catalogue lacks", where)
    yield valid("fsck.texts", f"{count} texts of documents were held against the log")


def _told(connection: Connection) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return, by object, the newest entry of its reading, and the id of the newest entry whose detail was erased."""
    newest: dict[str, Entry] = {}
    erased: dict[str, str] = {}
    for entry in entries(connection, {_TYPE}):
        object_id = str(entry.told("obj", "id"))
        if entry.detail is None:
            erased[object_id] = max(entry.id, erased.get(object_id, ""))
        elif entry.detail.get("look") == _LOOK and (object_id not in newest or newest[object_id].id < entry.id):
            newest[object_id] = entry
    return newest, erased
