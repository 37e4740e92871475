"""The catalogue against the log: every change of domain meaning has its entry, and says what the entry commits to.

A detail that was erased is not asked about; that its row exists, when it came and by whom, still is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid, valid
from archive.kernel.instants import parse_instant


@dataclass(frozen=True, slots=True)
class _Told:
    """Which rows a type of entry tells of: their table and id, and what stands in which column.

    `when`, `who` and `device` are the columns of the entry's time, actor and device, `details` maps columns to names in
    the detail. What an entry of a type in `later` says of the same row stands in place of what was said before.
    """

    table: str
    types: tuple[str, ...]
    later: tuple[str, ...] = ()
    row_id: str = "id"
    when: str | None = None
    who: str | None = None
    device: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


_TABLES: Final = (
    _Told(
        "account",
        ("admin.account_created",),
        later=("admin.account_changed",),
        when="created_at",
        details={
            "username": "username",
            "display_name": "display_name",
            "roles": "roles",
            "unit_id": "unit",
            "officer_id": "officer",
            "disabled_at": "disabled",
        },
    ),
    _Told(
        "dock",
        ("admin.dock_enrolled",),
        later=("admin.dock_limited",),
        when="enrolled_at",
        details={
            "name": "name",
            "public_key": "public_key",
            "kind": "kind",
            "unit_id": "unit",
            "most_bytes_per_day": "most_bytes_per_day",
            "most_bytes_per_s": "most_bytes_per_s",
            "most_uploads": "most_uploads",
        },
    ),
    _Told(
        "case_file",
        ("case.opened",),
        later=("case.updated", "case.closed"),
        when="opened_at",
        who="opened_by",
        details={
            **{name: name for name in ("number", "title", "category", "closed_at")},
            "subject_id": "subject",
            "unit_id": "unit",
        },
    ),
    _Told(
        "act",
        ("case.act",),
        later=("case.act_updated",),
        details={"stage": "stage", "place": "place", "started_at": "started_at", "ended_at": "ended_at"},
    ),
    _Told(
        "text_record",
        ("record.filed",),
        row_id="object_id",
        when="filed_at",
        who="filed_by",
        details={"title": "title", "form": "form"},
    ),
    _Told(
        "draft",
        ("record.drafted",),
        later=("record.dropped", "record.set", "record.filed"),
        when="begun_at",
        who="begun_by",
        details={
            **{name: name for name in ("template", "template_version", "template_sha256", "amend_reason", "state")},
            "case_id": "case",
            "act_id": "act",
            "amends_id": "amends",
        },
    ),
    _Told(
        "preserved_object",
        ("object.preserved", "record.filed", "volume.closed"),
        when="preserved_at",
        details={"name": "name", "unit_id": "unit"},
    ),
    _Told(
        "evidence_item",
        ("object.preserved",),
        later=("item.described",),
        row_id="object_id",
        when="received_at",
        device="dock_id",
        details={
            name: name for name in ("device_serial", "source_kind", "officer_number", "channel", "series", "sequence")
        },
    ),
    _Told(
        "volume_place",
        ("volume.arranged",),
        when="at",
        who="by_id",
        details={
            **{name: name for name in ("kind", "place", "reason")},
            "case_id": "case_file",
            "object_id": "object",
        },
    ),
    _Told(
        "complaint",
        ("complaint.registered",),
        later=("complaint.step", "complaint.assigned", "complaint.linked"),
        when="registered_at",
        who="registered_by",
        details={
            **{name: name for name in ("number", "kind", "channel", "state")},
            "unit_id": "unit",
            "responsible_id": "responsible",
        },
    ),
    _Told(
        "device",
        ("device.recorded",),
        later=("device.updated", "device.handed_over"),
        when="recorded_at",
        details={
            **{name: name for name in ("serial", "kind", "model", "firmware", "state", "note")},
            "unit_id": "unit",
            "holder_id": "holder",
        },
    ),
    _Told(
        "key_certificate",
        ("admin.certificate_registered",),
        later=("admin.certificate_replaced", "admin.certificate_revoked"),
        when="registered_at",
        who="registered_by",
        details={
            **{name: name for name in ("purpose", "place", "handle", "sha256", "serial", "not_before", "not_after")},
            **{name: name for name in ("replaced_by", "revoked_at", "revocation_reason")},
            "holder_id": "holder",
        },
    ),
    _Told(
        "record_template",
        ("admin.template_saved",),
        later=(
            *(f"admin.template_{step}" for step in ("put_in_force", "replaced", "filed", "withdrawn")),
            "admin.template_saved",
        ),
        when="saved_at",
        who="saved_by",
        details={
            **{name: name for name in ("code", "version", "form", "title", "text_sha256", "state", "is_shipped")},
            **{name: name for name in ("valid_from", "valid_until", "filed_with", "filing_number", "filed_on")},
            "reason": "reason",
            "agency_id": "agency",
        },
    ),
    _Told(
        "key_request",
        ("admin.certificate_requested",),
        later=("admin.certificate_decided",),
        when="asked_at",
        who="asked_by",
        details={
            **{
                name: name
                for name in ("act", "purpose", "certificate_id", "certificate", "holder_id", "place", "handle")
            },
            **{name: name for name in ("reason", "revocation_reason", "revoked_at")},
            **{name: name for name in ("state", "decided_by", "decided_at", "answer")},
        },
    ),
    _Told(
        "retrieval_request",
        ("access.requested",),
        later=("access.request_decided",),
        when="asked_at",
        who="account_id",
        details={
            **{name: name for name in ("kind", "purpose", "reference", "days", "state", "reason")},
            **{name: name for name in ("decide_by", "decided_by", "decided_at", "until")},
            "object_id": "object",
        },
    ),
    _Told(
        "officer_record",
        ("admin.officer_record_added",),
        later=("admin.officer_record_withdrawn",),
        when="recorded_at",
        who="recorded_by",
        details={
            **{name: name for name in ("kind", "subject", "held_on", "hours_tenths", "score_tenths", "result")},
            **{name: name for name in ("organiser", "certificate_number", "valid_until", "withdrawn_at")},
            "officer_id": "officer",
            "replaces_id": "replaces",
            "withdrawal_reason": "reason",
        },
    ),
    _Told(
        "worm_probe",
        ("store.probed",),
        when="probed_at",
        details={name: name for name in ("place", "outcome", "findings")},
    ),
    _Told(
        "quarantine_item",
        ("ingest.quarantined",),
        row_id="upload_id",
        when="quarantined_at",
        details={"reason": "reason", "name": "name"},
    ),
)


_ASKED: Final = {kind for table in _TABLES for kind in (*table.types, *table.later)} | {
    "derivative.created",
    "admin.dock_revoked",
}
_LATER: Final = {kind for table in _TABLES for kind in table.later}


def check_changes(connection: Connection) -> Iterator[Finding]:
    """Hold rows and entries against each other, in both directions."""
    told: dict[str, dict[str, Entry]] = {}
    later: dict[str, list[Entry]] = {}
    for entry in entries(connection, _ASKED):
        row_id = str(entry.told("obj", "id"))
        told.setdefault(entry.type, {})[row_id] = entry
        if entry.type in _LATER:
            later.setdefault(row_id, []).append(entry)
    count = 0
    for table in _TABLES:
        logged = {row_id: entry for kind in table.types for row_id, entry in told.get(kind, {}).items()}
        for row in rows(connection, f"SELECT * FROM {table.table}"):  # noqa: S608 - named above
            count += 1
            where = as_uuid(row[table.row_id])
            changes = [entry for entry in later.get(where, []) if entry.type in table.later]
            changes.sort(key=lambda entry: entry.id)  # ids are ordered by time
            yield from _faults(table, row, logged.pop(where, None), changes)
        for row_id in logged:
            yield invalid("fsck.row_missing", f"The log tells of a row that {table.table} lacks", row_id)
    yield from _cases_of_acts(connection, told.get("case.act", {}))
    for row in rows(connection, "SELECT id FROM rendition"):  # an older one may have been replaced
        if as_uuid(row["id"]) not in told.get("derivative.created", {}):
            yield invalid("fsck.unlogged", "A row of rendition has no log entry", as_uuid(row["id"]))
    for row in rows(connection, "SELECT id, revoked_at FROM dock"):
        where = as_uuid(row["id"])
        if (where in told.get("admin.dock_revoked", {})) != (row["revoked_at"] is not None):
            yield invalid("fsck.row_changed", "Log and catalogue do not agree on a dock's revocation", where)
    yield valid("fsck.changes", f"{count} rows were held against the entries that tell of them")


def _cases_of_acts(connection: Connection, logged: Mapping[str, Entry]) -> Iterator[Finding]:
    for row in rows(connection, "SELECT id, case_id FROM act"):
        where = as_uuid(row["id"])
        if where in logged and as_uuid(row["case_id"]) != logged[where].told("case"):
            yield invalid("fsck.row_changed", "An act is not of the case that its log entry names", where)


def check_custody(connection: Connection) -> Iterator[Finding]:
    """Hold links, grants and custody events against the log: no state change and no grant without its entry."""
    links = _Links()
    granted: dict[str, Entry] = {}
    renewed: dict[str, Any] = {}
    touched: dict[str, Entry] = {}
    for entry in entries(connection, {*_TOUCHING, *_GRANTING, "access.renewed"}):
        # What is exported as a case has an entry for the case itself, which touches no object, and needs no grants.
        is_package = entry.type == "access.export" and entry.told("case") is not None
        if entry.type in _TOUCHING and entry.told("obj", "kind") != "case":
            touched[entry.id] = entry
        if entry.type in _GRANTING and not is_package:
            granted[entry.id] = entry
        if entry.type == "access.renewed" and entry.detail is not None:
            known = renewed.get(str(entry.detail.get("grant")), "")
            renewed[str(entry.detail.get("grant"))] = max(known, str(entry.detail.get("until")))
        links.take(entry)
    count = len(touched)
    yield from _events(connection, touched)
    yield from _grants(connection, granted, renewed)
    yield from links.faults(connection)
    yield valid("fsck.custody", f"{count} custody events were held against the log")


_TOUCHING: Final = {
    "object.preserved", "ingest.received", "record.filed", "record.extended", "case.link", "case.unlink", "access.view",
    "access.export",
    "fixity.ok", "fixity.fail", "validation.checked",
    "derivative.created", "derivative.failed", "derivative.verified", "derivative.dropped",
    "item.described", "recording.grouped", "object.classified", "access.print", "access.renewed", "access.break_glass",
    "volume.closed", "volume.checked", "object.renewed",
}  # fmt: skip
"""Types of entries about something preserved: each has its custody event."""
_STEPS: Final = {"record.set", "record.signed", "record.refused", "record.sealed", "record.stamped"}
_GRANTING: Final = {
    "access.view": "view", "access.export": "export", "access.print": "print", "access.break_glass": "view",
}  # fmt: skip


def _events(connection: Connection, logged: dict[str, Entry]) -> Iterator[Finding]:
    steps = {entry.id: entry for entry in entries(connection, _STEPS)}  # have an event once their record is filed
    for row in rows(connection, "SELECT * FROM custody_event"):
        where = as_uuid(row["entry_id"])
        entry = logged.pop(where, None) or steps.get(where)
        if entry is None:
            yield invalid("fsck.unlogged", "A custody event has no log entry", where)
            continue
        case_id = None if row["case_id"] is None else as_uuid(row["case_id"])
        if (
            row["type"] != entry.type
            or as_uuid(row["actor_id"]) != entry.told("actor")
            or case_id != entry.told("case")
            or not is_at(row["at"], entry)
            or as_uuid(row["object_id"]) not in _subjects(entry, row)
        ):
            yield invalid("fsck.row_changed", "A custody event is not what its log entry says", where)
    for entry_id in logged:
        yield invalid("fsck.row_missing", "A log entry has no custody event", entry_id)


def _subjects(entry: Entry, row: Mapping[str, Any]) -> set[Any]:
    """Return what the event may be about: an entry about a rendition names the original in its detail."""
    if entry.told("obj", "kind") != "rendition":
        return {entry.told("obj", "id")}
    return {as_uuid(row["object_id"]) if entry.detail is None else entry.detail.get("of")}


def _grants(connection: Connection, logged: dict[str, Entry], renewed: Mapping[str, Any]) -> Iterator[Finding]:
    for row in rows(connection, "SELECT * FROM retrieval_grant"):
        where, entry = as_uuid(row["id"]), logged.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "A grant has no log entry", where)
            continue
        told = entry.detail or {}
        said = {"grant": where, "purpose": row["purpose"], "reference": row["reference"] or told.get("reference")}
        said["request"] = None if row["request_id"] is None else as_uuid(row["request_id"])
        until = renewed.get(where, told.get("until"))
        if (
            bool(row["is_emergency"]) != (entry.type == "access.break_glass")
            or (until is not None and as_instant(row["expires_at"]) != parse_instant(str(until)))
            or row["kind"] != _GRANTING[entry.type]
            or as_uuid(row["account_id"]) != entry.told("actor")
            or as_uuid(row["object_id"]) != entry.told("obj", "id")
            or not is_at(row["granted_at"], entry)
            or (entry.detail is not None and any(entry.detail.get(name) != value for name, value in said.items()))
        ):
            yield invalid("fsck.row_changed", "A grant is not what its log entry says", where)
    for entry_id in logged:
        yield invalid("fsck.row_missing", "The log tells of a grant that the catalogue lacks", entry_id)


class _Links:
    """Which case links there must be: those that were made once more often than they were taken back."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], list[Entry]] = {}
        self._balance: dict[tuple[str, str], int] = {}

    def take(self, entry: Entry) -> None:
        if entry.type not in {"case.link", "case.unlink"}:
            return
        key = (str(entry.told("case")), str(entry.told("obj", "id")))
        is_made = entry.type == "case.link"
        self._balance[key] = self._balance.get(key, 0) + (1 if is_made else -1)
        if is_made:
            self._made.setdefault(key, []).append(entry)

    def faults(self, connection: Connection) -> Iterator[Finding]:
        wanted = {key for key, count in self._balance.items() if count == 1}
        for row in rows(connection, "SELECT * FROM case_link"):
            key = (as_uuid(row["case_id"]), as_uuid(row["object_id"]))
            if key not in wanted:
                yield invalid("fsck.link", "A case link has no log entry, or was taken back", " ".join(key))
            elif not any(_made_by(entry, row) for entry in self._made[key]):
                yield invalid("fsck.row_changed", "A case link is not what its log entry says", " ".join(key))
            wanted.discard(key)
        for key in wanted:
            yield invalid("fsck.link", "The log tells of a case link that the catalogue lacks", " ".join(key))


def _made_by(entry: Entry, row: Mapping[str, Any]) -> bool:
    act_id = None if row["act_id"] is None else as_uuid(row["act_id"])
    return (
        as_uuid(row["linked_by"]) == entry.told("actor")
        and is_at(row["linked_at"], entry)
        and (entry.detail is None or entry.detail.get("act") == act_id)
    )


def _faults(table: _Told, row: Mapping[str, Any], entry: Entry | None, changes: Sequence[Entry]) -> Iterator[Finding]:
    where = as_uuid(row[table.row_id])
    if entry is None:
        yield invalid("fsck.unlogged", f"A row of {table.table} has no log entry", where)
        return
    said = None if entry.detail is None or any(change.detail is None for change in changes) else dict(entry.detail)
    for change in changes:
        if said is not None and change.detail is not None:
            said |= change.detail
    changed = [
        column
        for column, name in table.details.items()
        if said is not None and _plain(row[column], column) != _plain(_said(said, name), column)
    ]
    if table.when is not None and not is_at(row[table.when], entry):
        changed.append(table.when)
    if table.who is not None and as_uuid(row[table.who]) != entry.told("actor"):
        changed.append(table.who)
    if table.device is not None and as_uuid(row[table.device]) != entry.told("dev"):
        changed.append(table.device)
    for column in changed:
        yield invalid("fsck.row_changed", f"{table.table}.{column} is not what the log entry says", where)


_TIMES: Final = {
    "started_at", "ended_at", "disabled_at", "decide_by", "decided_at", "until", "withdrawn_at",
    "not_before", "not_after", "revoked_at", "closed_at",
}  # fmt: skip
_IDS: Final = {
    "subject_id", "unit_id", "officer_id", "responsible_id", "holder_id", "object_id", "decided_by", "replaces_id",
    "case_id", "act_id", "amends_id", "replaced_by", "certificate_id", "agency_id",
}  # fmt: skip
_BEFORE: Final = {"kind": "station", "unit": "00000000-0000-7000-8000-0000000000a1"}
"""What an entry means that is older than the word: all docks were stations, and all was the first unit's."""
_FORMERLY: Final = {"roles": "role"}
"""What a word in a detail was before."""


def _said(detail: Mapping[str, Any], name: str) -> Any:
    return detail.get(name, detail.get(_FORMERLY.get(name, ""), _BEFORE.get(name)))


def _plain(value: Any, column: str) -> Any:
    """Return a value in one form, whether the database keeps it or a detail holds it."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        if value is not None and column in _TIMES:
            return as_instant(value)
        return as_uuid(value) if value is not None and column in _IDS else value
    except ValueError:
        return value
