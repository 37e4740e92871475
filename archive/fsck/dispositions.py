"""Lists of what may be destroyed against the log: what stood on them, who decided, what went and by what right.

Whoever owns the database can write rows. Here each is held against the entry of whoever did what it says; that enough
people had agreed, early enough, is counted from the entries alone. Objects that are gone without a tombstone are told
by the check of objects.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.disposition_rows import (
    as_json,
    Logged,
    check_certificates_of_lists,
    check_items,
    check_parts,
    check_tombstones,
    read_logged,
)
from archive.fsck.raw import Entry, as_instant, as_uuid, rows
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, indeterminate, invalid, valid
from archive.kernel.instants import format_instant, parse_instant

_LEAST: Final = {"disposal.proposed": 1, "disposal.appraised": 3, "disposal.decided": 1, "disposal.supervised": 2}
_AFTER_APPRAISAL: Final = {"disposal.decided", "disposal.supervised"}
_COLUMNS: Final = {"number": "number", "title": "title", "reason": "reason", "sha256": "sha256", "year": "year"}
_MORE: Final = {"serial": "serial", "period_days": "period_days"}
_FROM_WAITING: Final = {"waiting", "destroying", "lapsed"}
_FROM_BEGUN: Final = {"destroying", "destroyed", "lapsed"}


def check_dispositions(connection: Connection) -> Iterator[Finding]:
    """Hold lists, parts, items, tombstones and certificates against the log, in both directions."""
    logged = read_logged(connection)
    lists = {as_uuid(row["id"]): row for row in rows(connection, "SELECT * FROM disposition_list")}
    items: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows(connection, "SELECT * FROM disposition_item ORDER BY list_id, position"):
        items.setdefault(as_uuid(row["list_id"]), []).append(row)
    for where in logged.lists.keys() - lists.keys():
        yield invalid("fsck.row_missing", "The log tells of a disposition list that the catalogue lacks", where)
    for where, row in lists.items():
        entries = logged.lists.get(where, [])
        yield from _list_faults(row, items.get(where, []), entries, logged, where)
        yield from check_items(where, items.get(where, []), entries, logged)
    for where in items.keys() - lists.keys():
        yield invalid("fsck.unlogged", "Objects stand on a disposition list that is not there", where)
    yield from _authority(logged)
    yield from _seasons(logged)
    yield from check_parts(connection, logged)
    yield from check_tombstones(connection, logged)
    yield from check_certificates_of_lists(connection, logged)
    for object_id in sorted(logged.begun):
        told = "An object is being destroyed, or that broke off: the worker goes on with it"
        yield indeterminate("fsck.being_destroyed", told, object_id)
    yield valid("fsck.dispositions", f"{len(lists)} disposition lists were held against the log")


def _list_faults(
    row: Mapping[str, Any], items: Sequence[Mapping[str, Any]], entries: Sequence[Entry], logged: Logged, where: str
) -> Iterator[Finding]:
    proposed = next((entry for entry in entries if entry.type == "disposal.proposed"), None)
    if proposed is None:
        yield invalid("fsck.unlogged", "A disposition list has no log entry", where)
        return
    faults: list[str] = []
    if as_uuid(row["proposed_by"]) != proposed.told("actor"):
        faults.append("proposed_by")
    if as_instant(row["proposed_at"]) != parse_instant(str(proposed.told("t"))):
        faults.append("proposed_at")
    if not _has_digest(row, items):
        faults.append("sha256")
    if proposed.detail is not None:
        told = proposed.detail
        faults += [name for name, said in {**_COLUMNS, **_MORE}.items() if row[name] != told.get(said)]
        faults += [] if as_uuid(row["unit_id"]) == told.get("unit") else ["unit_id"]
        sizes = [int(item["size"]) for item in told.get("items", ())]
        faults += [] if (row["objects"], int(row["size_bytes"])) == (len(sizes), sum(sizes)) else ["objects"]
    faults += [] if row["state"] in _states(entries, logged, where) else ["state"]
    if _moment(row["recovers_until"]) != _recovers(entries):
        faults.append("recovers_until")
    ended = next((entry for entry in entries if entry.type in _ENDING and _ends(entry)), None)
    if ended is not None and row["state"] in {"refused", "withdrawn"}:
        by = None if row["ended_by"] is None else as_uuid(row["ended_by"])
        if (by, _moment(row["ended_at"])) != (ended.told("actor"), parse_instant(str(ended.told("t")))):
            faults.append("ended_by")
    if (certificate := logged.certificate_of(where)) is not None:
        faults += _certified_faults(row, certificate)
    for name in faults:
        yield invalid("fsck.row_changed", f"disposition_list.{name} is not what the log entry says", where)


_ENDING: Final = {"disposal.decided", "disposal.withdrawn"}


def _ends(entry: Entry) -> bool:
    return entry.type == "disposal.withdrawn" or (entry.detail is not None and entry.detail.get("approves") is False)


def _states(entries: Sequence[Entry], logged: Logged, where: str) -> set[str]:
    """Return the states that a list may be in by what the log tells of it."""
    types = {entry.type for entry in entries}
    if where in logged.certified:
        return {"certified"}
    if "disposal.withdrawn" in types:
        return {"withdrawn"}
    decided = [entry for entry in entries if entry.type == "disposal.decided"]
    if not decided:
        return {"proposed"}
    if any(_ends(entry) for entry in decided):
        return {"refused"}
    if _recovers(entries) is None:
        return {"approved"}
    return _FROM_BEGUN if where in logged.lists_begun else _FROM_WAITING


def _recovers(entries: Sequence[Entry]) -> datetime | None:
    told = [(entry.detail or {}).get("recovers_until") for entry in entries if entry.type == "disposal.supervised"]
    known = [each for each in told if each is not None]
    return parse_instant(str(known[-1])) if known else None


def _certified_faults(row: Mapping[str, Any], entry: Entry) -> Iterator[str]:
    """Yield the columns of a certified list that are not what its certificate's entry says."""
    if as_uuid(row["certificate_id"]) != entry.told("obj", "id"):
        yield "certificate_id"
    if _moment(row["ended_at"]) != parse_instant(str(entry.told("t"))):
        yield "ended_at"
    if entry.detail is not None:
        done_at = entry.detail.get("done_at")
        if _moment(row["done_at"]) != (None if done_at is None else parse_instant(str(done_at))):
            yield "done_at"
        if as_json(row["balance"]) != entry.detail.get("balance"):
            yield "balance"


def _has_digest(row: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> bool:
    try:
        return bool(_digest(row, items) == row["sha256"])
    except InvalidInput:  # values that no program of ours writes
        return False


def _digest(row: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> str:
    content = {
        "v": 1,
        "id": as_uuid(row["id"]),
        "number": row["number"],
        "title": row["title"],
        "reason": row["reason"],
        "unit": as_uuid(row["unit_id"]),
        "proposed_by": as_uuid(row["proposed_by"]),
        "proposed_at": format_instant(as_instant(row["proposed_at"])),
        "period_days": row["period_days"],
        "items": [
            {
                "object": as_uuid(item["object_id"]),
                "kind": item["kind"],
                "size": int(item["size_bytes"]),
                "sha256": item["sha256"],
                "sha512": item["sha512"],
                "retain_until": format_instant(as_instant(item["retain_until"])),
                "rule": item["rule"],
            }
            for item in items
        ],
    }
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _authority(logged: Logged) -> Iterator[Finding]:
    """Count, from the entries before each destruction alone, who had agreed to it, and since when."""
    judged: dict[str, str] = {}
    for object_id, entry in logged.destructions:
        where = str((entry.detail or {}).get("list"))
        if where not in judged:
            judged[where] = _lacks(logged.lists.get(where, []), entry)
        if judged[where]:
            told = f"An object was destroyed without the right to it: {judged[where]}"
            yield invalid("fsck.disposal_unauthorised", told, object_id)


def _lacks(entries: Sequence[Entry], first: Entry) -> str:
    """Return what a list lacked when its first object was destroyed; nothing where all was as it must be."""
    before = [entry for entry in entries if entry.id < first.id]
    parts = [entry for entry in before if entry.type in _LEAST]
    if any(entry.detail is None for entry in parts):
        return ""  # erased, which nobody can do; told by the check of the journal
    lacking = [*_people_lack(parts), *_words_lack(parts), *_time_lacks(parts, first)]
    if any(entry.type == "disposal.withdrawn" for entry in before):
        lacking.append("it was withdrawn")
    return "; ".join(lacking)


def _people_lack(parts: Sequence[Entry]) -> Iterator[str]:
    people = [str(entry.told("actor")) for entry in parts]
    if len(set(people)) != len(people):
        yield "one person has two parts"
    for kind, least in _LEAST.items():
        count = sum(entry.type == kind for entry in parts)
        if count < least or (kind != "disposal.appraised" and count > least):
            yield f"{count} entries of {kind}"
    roles = [(entry.type, str((entry.detail or {}).get("roles", "")).split()) for entry in parts]
    if any({"administrator", "operator"} & set(each) for _, each in roles):
        yield "an administrator took part"
    if not any(kind == "disposal.supervised" and "records_manager" in each for kind, each in roles):
        yield "no supervisor is of records management"


def _words_lack(parts: Sequence[Entry]) -> Iterator[str]:
    told = [dict(entry.detail or {}) for entry in parts]
    if any(detail.get("opinion") == "keep" or detail.get("approves") is False for detail in told):
        yield "somebody was against it"
    if len({detail.get("sha256") for detail in told}) != 1:
        yield "they decided about different lists"
    last = [detail for entry, detail in zip(parts, told, strict=True) if entry.type in _AFTER_APPRAISAL]
    if len({detail.get("standing") for detail in last}) > 1:
        yield "they decided about different objects"


def _time_lacks(parts: Sequence[Entry], first: Entry) -> Iterator[str]:
    days = [int((entry.detail or {}).get("period_days", 0)) for entry in parts if entry.type == "disposal.proposed"]
    agreed = max((parse_instant(str(entry.told("t"))) for entry in parts), default=None)
    if agreed is None or not days or parse_instant(str(first.told("t"))) < agreed + timedelta(days=max(days)):
        yield "the recovery period was not over"


def _seasons(logged: Logged) -> Iterator[Finding]:
    """Hold since when people had their roles, by the log, against when they took a part."""
    for where, entries in logged.lists.items():
        proposed = next((entry for entry in entries if entry.type == "disposal.proposed"), None)
        if proposed is None or proposed.detail is None:
            continue
        period = timedelta(days=int(proposed.detail.get("period_days", 0)))
        for entry in entries:
            if entry.type not in _LEAST:
                continue
            at = parse_instant(str(entry.told("t")))
            since = logged.roles_since(str(entry.told("actor")), before=entry.id)
            if since is None or at - since < period:
                word = "that were new" if since is not None else "that the log does not know of"
                yield invalid("fsck.disposal_unseasoned", f"Somebody took a part with roles {word}", where)


def _moment(value: Any) -> datetime | None:
    return None if value is None else as_instant(value)
