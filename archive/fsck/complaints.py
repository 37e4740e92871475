"""Complaints against the log: what they say, by its digest; the steps of their handling; what they are about.

A detail that was erased is not asked about; that its row exists, when it came and by whom, still is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid

_REGISTERED: Final = "complaint.registered"
_STEP: Final = "complaint.step"
_ASSIGNED: Final = "complaint.assigned"
_LINKED: Final = "complaint.linked"
_UNLINKED: Final = "complaint.unlinked"
_UPDATED: Final = "complaint.updated"
_TYPES: Final = {_REGISTERED, _STEP, _ASSIGNED, _LINKED, _UNLINKED, _UPDATED}
_STEPS: Final = {_REGISTERED, _STEP, _ASSIGNED}
_ABOUT: Final = ("case", "officer", "object")
_WAITS_FOR_ANSWER: Final = {"accepted", "investigated"}
_INFORMANT: Final = 16
"""The class of a report, and of no complaint."""


def check_complaints(connection: Connection) -> Iterator[Finding]:
    """Hold complaints, their steps and links against the entries that tell of them, in both directions."""
    logged = sorted(entries(connection, _TYPES), key=lambda entry: entry.id)
    yield from _words(connection, logged)
    yield from _steps(connection, {entry.id: entry for entry in logged if entry.type in _STEPS})
    for name in _ABOUT:
        yield from _links(connection, name, logged)
    yield valid("fsck.complaints", f"{len(logged)} entries about complaints were held against the catalogue")


def _words(connection: Connection, logged: list[Entry]) -> Iterator[Finding]:
    """Hold what a complaint says, who complained and by when it is handled against its entry."""
    told = {_about(entry): entry for entry in logged if entry.type == _REGISTERED}
    sealed = {_about(entry): entry for entry in logged if entry.type in {_REGISTERED, _UPDATED}}
    for row in rows(connection, "SELECT * FROM complaint"):
        where = as_uuid(row["id"])
        entry = told.get(where)  # that it is there is asked by the check of changes
        if entry is None:
            continue
        changed = ["classes"] if row["classes"] != (_INFORMANT if row["kind"] == "report" else 0) else []
        if entry.detail is not None:
            changed += [] if _sha256(row["says"]) == entry.detail.get("says_sha256") else ["says"]
            times = ("received_at", "accept_by", "answer_by")
            changed += [name for name in times if not _is_same_time(row[name], entry.detail.get(name))]
        if row["due_at"] is not None or _due(row) is not None:
            changed += [] if _is_same_time(row["due_at"], _due(row)) else ["due_at"]
        last = sealed[where].detail
        if last is not None and _sealed(row) != last.get("complainant"):
            changed.append("complainant")
        for column in changed:
            yield invalid("fsck.row_changed", f"complaint.{column} is not what the log entry says", where)


def _due(row: Mapping[str, Any]) -> Any:
    """Return by when something is due in the state that a complaint is in."""
    if row["state"] == "registered":
        return row["accept_by"]
    return row["answer_by"] if row["state"] in _WAITS_FOR_ANSWER else None


def _steps(connection: Connection, told: dict[str, Entry]) -> Iterator[Finding]:
    for row in rows(connection, "SELECT * FROM complaint_step"):
        where = as_uuid(row["entry_id"])
        entry = told.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A step of a complaint has no log entry", where)
        elif not _is_step(row, entry):
            yield invalid("fsck.row_changed", "A step of a complaint is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells of a step that the complaint lacks", where)


def _is_step(row: Mapping[str, Any], entry: Entry) -> bool:
    is_so = (
        as_uuid(row["complaint_id"]) == _about(entry)
        and as_uuid(row["by_id"]) == entry.told("actor")
        and _is_same_time(row["at"], entry.told("t"))
    )
    if not is_so or entry.type == _REGISTERED:
        return is_so and (row["kind"], row["text"]) == ("registered", "")
    if entry.detail is None:
        return True
    kind = "assigned" if entry.type == _ASSIGNED else entry.detail.get("state", "note")
    # Entries of assignments that are older than the digest say nothing of the name.
    digest = entry.detail.get("text_sha256", _sha256(row["text"]) if entry.type == _ASSIGNED else None)
    return bool(row["kind"] == kind and _sha256(row["text"]) == digest)


def _links(connection: Connection, name: str, logged: list[Entry]) -> Iterator[Finding]:
    """Hold what complaints are about against what was linked and not taken back."""
    standing: dict[tuple[str, str], bool] = {}
    has_erased = False
    for entry in logged:
        if entry.type in {_LINKED, _UNLINKED}:
            has_erased = has_erased or entry.detail is None
            other = (entry.detail or {}).get(name)
            if other is not None:
                standing[_about(entry), str(other)] = entry.type == _LINKED
    wanted = {key for key, is_linked in standing.items() if is_linked}
    for row in rows(connection, f"SELECT * FROM complaint_{name}"):  # noqa: S608 - named above
        key = (as_uuid(row["complaint_id"]), as_uuid(row[f"{name}_id"]))
        if key not in wanted and not has_erased:
            yield invalid("fsck.unlogged", f"That a complaint is about this {name} has no log entry", " ".join(key))
        wanted.discard(key)
    for key in wanted:
        if not has_erased:
            yield invalid("fsck.row_missing", f"The log tells that a complaint is about a {name}", " ".join(key))


def _sealed(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the log says of a complainant: the digests of what is sealed, and the key."""
    if row["key_id"] is None:
        return None
    sealed = {name: row[f"{name}_sealed"] for name in ("name", "contact")}
    return {"key": row["key_id"], **{name: _digest(value) for name, value in sealed.items()}}


def _digest(value: Any) -> str | None:
    return None if value is None else hashlib.sha256(bytes(value)).hexdigest()


def _about(entry: Entry) -> str:
    return str(entry.told("obj", "id"))


def _sha256(text: Any) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def _is_same_time(value: Any, told: Any) -> bool:
    try:
        return as_instant(value) == as_instant(told)
    except ValueError:
        return False
