"""What the log tells of disposition, and the rows of parts, items, tombstones and certificates held against it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, rows
from archive.kernel.findings import Finding, invalid
from archive.kernel.instants import parse_instant

_PARTS: Final = {
    "disposal.proposed": "propose",
    "disposal.appraised": "appraise",
    "disposal.decided": "approve",
    "disposal.supervised": "supervise",
}
_ACCOUNTS: Final = {"admin.account_created", "admin.account_changed", "admin.account_recovered"}
_OF_OBJECTS: Final = {"disposal.begun", "disposal.done"}
_TYPES: Final = {*_PARTS, *_OF_OBJECTS, *_ACCOUNTS, "disposal.withdrawn", "disposal.certified", "record.extended"}
_FROZEN: Final = {"kind": "kind", "sha256": "sha256", "sha512": "sha512", "rule": "rule"}


@dataclass(slots=True)
class Logged:
    """Entries of disposition: of each list, and of each object by the list that its detail names."""

    lists: dict[str, list[Entry]] = field(default_factory=dict)
    left: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    begun_at: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    done: dict[str, Entry] = field(default_factory=dict)
    certificates: dict[str, Entry] = field(default_factory=dict)
    accounts: dict[str, list[Entry]] = field(default_factory=dict)
    destructions: list[tuple[str, Entry]] = field(default_factory=list)

    @property
    def lists_begun(self) -> set[str]:
        """The lists of which something was begun."""
        return {where for where, _ in self.begun_at}

    @property
    def certified(self) -> set[str]:
        """The lists that have their certificate."""
        return {str((entry.detail or {}).get("list")) for entry in self.certificates.values()}

    def certificate_of(self, list_id: str) -> Entry | None:
        """The entry of a list's first certificate, None where there is none yet."""
        of_list = (entry for entry in self.certificates.values() if (entry.detail or {}).get("list") == list_id)
        return min(of_list, key=lambda entry: entry.id, default=None)

    @property
    def begun(self) -> set[str]:
        """The objects that are being destroyed."""
        found = set()
        for (where, object_id), begun in self.begun_at.items():
            last = max(entry.id for entry in begun)
            is_left = any(entry.id > last for entry in self.left.get((where, object_id), ()))
            if object_id not in self.done and not is_left:
                found.add(object_id)
        return found

    def roles_since(self, account_id: str, *, before: str) -> datetime | None:
        """Return since when an account has had its roles, before an entry; None where the log does not tell."""
        told = [entry for entry in self.accounts.get(account_id, ()) if entry.id < before and _gives_roles(entry)]
        return parse_instant(str(told[-1].told("t"))) if told else None


def read_logged(connection: Connection) -> Logged:
    """Read what the log tells of disposition, in its order."""
    logged = Logged()
    for entry in sorted(entries(connection, _TYPES), key=lambda entry: entry.id):
        about, kind = str(entry.told("obj", "id")), entry.told("obj", "kind")
        where = str((entry.detail or {}).get("list"))
        if entry.type in _ACCOUNTS:
            logged.accounts.setdefault(about, []).append(entry)
        elif kind == "disposition":
            logged.lists.setdefault(about, []).append(entry)
        elif entry.type == "disposal.withdrawn":
            logged.left.setdefault((where, about), []).append(entry)
        elif entry.type == "disposal.begun":
            logged.begun_at.setdefault((where, about), []).append(entry)
            logged.destructions.append((about, entry))
        elif entry.type == "disposal.done":
            logged.done[about] = entry
            logged.destructions.append((about, entry))
        elif kind == "certificate":
            logged.certificates[entry.id] = entry
    return logged


def _gives_roles(entry: Entry) -> bool:
    if entry.type != "admin.account_changed":
        return True
    was = (entry.detail or {}).get("was") or {}
    return "roles" in was or was.get("disabled") is not None


def check_parts(connection: Connection, logged: Logged) -> Iterator[Finding]:
    """Hold who had which part against the entries, in both directions."""
    told = {entry.id: entry for of_list in logged.lists.values() for entry in of_list if entry.type in _PARTS}
    for row in rows(connection, "SELECT * FROM disposition_part"):
        where = f"{as_uuid(row['list_id'])} {as_uuid(row['account_id'])}"
        entry = told.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "A part in a disposition list has no log entry", where)
            continue
        is_so = (
            _PARTS[entry.type] == row["part"]
            and as_uuid(row["account_id"]) == entry.told("actor")
            and as_uuid(row["list_id"]) == entry.told("obj", "id")
            and is_at(row["at"], entry)
        )
        if entry.detail is not None:
            words = entry.detail.get("reason" if row["part"] == "propose" else "words")
            said = (entry.detail.get("roles"), entry.detail.get("opinion"), words)
            is_so = is_so and (row["roles"], row["opinion"], row["words"]) == said
        if not is_so:
            yield invalid("fsck.row_changed", "A part in a disposition list is not what its log entry says", where)
    for entry_id in told:
        yield invalid("fsck.row_missing", "The log tells of a part in a disposition list that it lacks", entry_id)


def check_items(
    list_id: str, items: Sequence[Mapping[str, Any]], of_list: Sequence[Entry], logged: Logged
) -> Iterator[Finding]:
    """Hold what stands on a list, and what became of each object, against the entries."""
    proposed = next((entry for entry in of_list if entry.type == "disposal.proposed"), None)
    if proposed is None or proposed.detail is None:
        return
    frozen = {str(each["object"]): each for each in proposed.detail.get("items", ())}
    struck = {
        str(each["object"]): str(each["reason"])
        for entry in of_list
        for each in (entry.detail or {}).get("struck", ())
        if entry.type == "disposal.appraised"
    }
    for item in items:
        object_id = as_uuid(item["object_id"])
        where, told = f"{list_id} {object_id}", frozen.pop(object_id, None)
        if told is None:
            yield invalid("fsck.unlogged", "An object stands on a disposition list that was proposed without it", where)
            continue
        changed = [name for name, said in _FROZEN.items() if item[name] != told.get(said)]
        if int(item["size_bytes"]) != told.get("size") or not _is_same_time(item["retain_until"], told["retain_until"]):
            changed.append("size_bytes")
        if (item["reason"] or None) != struck.get(object_id):
            changed.append("reason")
        if item["state"] != _state(list_id, object_id, struck, logged):
            changed.append("state")
        changed += _course_faults(item, (list_id, object_id), logged)
        for name in changed:
            yield invalid("fsck.row_changed", f"disposition_item.{name} is not what the log entry says", where)
    for object_id in frozen:
        yield invalid("fsck.row_missing", "A disposition list lacks an object that it was proposed with", object_id)


def _course_faults(item: Mapping[str, Any], key: tuple[str, str], logged: Logged) -> Iterator[str]:
    """Yield what of an object's way through a list is not what the entries say: since when it is there, what was counted."""
    begun = max(logged.begun_at.get(key, ()), key=lambda entry: entry.id, default=None)
    ends = {
        "begun": begun,
        "destroyed": logged.done.get(key[1]),
        "left": max(logged.left.get(key, ()), key=lambda entry: entry.id, default=None),
    }
    entry = ends.get(str(item["state"]))
    if entry is not None and not is_at(item["state_at"], entry):
        yield "state_at"
    if begun is not None and begun.detail is not None:
        yield from (name for name in ("before", "found") if as_json(item[name]) != begun.detail.get(name))


def _state(list_id: str, object_id: str, struck: Mapping[str, str], logged: Logged) -> str:
    if object_id in struck:
        return "struck"
    done = logged.done.get(object_id)
    if done is not None and str((done.detail or {}).get("list")) == list_id:
        return "destroyed"
    key = (list_id, object_id)
    newest = {
        "left": max((entry.id for entry in logged.left.get(key, ())), default=""),
        "begun": max((entry.id for entry in logged.begun_at.get(key, ())), default=""),
    }
    if not any(newest.values()):
        return "listed"
    return max(newest, key=lambda name: newest[name])


def check_tombstones(connection: Connection, logged: Logged) -> Iterator[Finding]:
    """Hold tombstones, and which objects count as gone, against the entries, in both directions."""
    told = dict(logged.done)
    for row in rows(connection, "SELECT * FROM tombstone"):
        where = as_uuid(row["object_id"])
        entry = told.pop(where, None)
        if entry is None or as_uuid(row["entry_id"]) != entry.id:
            yield invalid("fsck.unlogged", "A tombstone has no log entry", where)
        elif not _is_tombstone(row, entry):
            yield invalid("fsck.row_changed", "A tombstone is not what its log entry says", where)
    for where in told:
        yield invalid("fsck.row_missing", "The log tells that an object was destroyed; it has no tombstone", where)
    gone = {*logged.done, *logged.begun}
    for row in rows(connection, "SELECT id, destroyed_at FROM preserved_object"):
        where = as_uuid(row["id"])
        if (row["destroyed_at"] is not None) != (where in gone):
            word = "The catalogue and the log do not agree on whether an object was destroyed"
            yield invalid("fsck.row_changed", word, where)
        elif where in logged.done and not is_at(row["destroyed_at"], logged.done[where]):
            yield invalid("fsck.row_changed", "preserved_object.destroyed_at is not what the log entry says", where)


def _is_tombstone(row: Mapping[str, Any], entry: Entry) -> bool:
    digests = (int(row["size_bytes"]), row["sha256"], row["sha512"], row["sm3"])
    logged = (entry.told("size"), *(entry.told("dig", name) for name in ("sha256", "sha512", "sm3")))
    if digests != logged or not is_at(row["destroyed_at"], entry):
        return False
    if entry.detail is None:
        return True
    times = ("preserved_at", "retain_until", "begun_at")
    return (
        as_uuid(row["list_id"]) == entry.detail.get("list")
        and all(row[name] == entry.detail.get(name) for name in ("kind", "rule"))
        and all(_is_same_time(row[name], entry.detail.get(name)) for name in times)
        and as_json(row["gone"]) == entry.detail.get("gone")
    )


def check_certificates_of_lists(connection: Connection, logged: Logged) -> Iterator[Finding]:
    """Hold certificates against the entries that tell of them, in both directions."""
    told = dict(logged.certificates)
    for row in rows(connection, "SELECT * FROM disposal_certificate"):
        where = f"{as_uuid(row['list_id'])} {row['number']}"
        entry = told.pop(as_uuid(row["entry_id"]), None)
        if entry is None:
            yield invalid("fsck.unlogged", "A certificate of destruction has no log entry", where)
        elif not _is_certificate(row, entry):
            yield invalid("fsck.row_changed", "A certificate of destruction is not what its log entry says", where)
    for entry_id in told:
        yield invalid("fsck.row_missing", "The log tells of a certificate that the catalogue lacks", entry_id)


def _is_certificate(row: Mapping[str, Any], entry: Entry) -> bool:
    told = (entry.told("size"), entry.told("dig", "sha256"), entry.told("dig", "sha512"), entry.told("obj", "id"))
    said = (int(row["size_bytes"]), row["sha256"], row["sha512"], as_uuid(row["object_id"]))
    if told != said or not is_at(row["at"], entry):
        return False
    detail = entry.detail
    return detail is None or (
        (detail.get("list"), detail.get("number"), detail.get("path"))
        == (as_uuid(row["list_id"]), row["number"], row["path"])
        and all(_is_same_time(row[name], detail.get(name)) for name in ("renew_at", "ends_at"))
    )


def as_json(value: Any) -> Any:
    """Return what a column of JSON holds, whichever way the database gives it; None for what is none."""
    try:
        return json.loads(value) if isinstance(value, str | bytes) else value
    except ValueError:
        return None


def _is_same_time(value: Any, told: Any) -> bool:
    if value is None or told is None:
        return value is None and told is None
    try:
        return as_instant(value) == as_instant(told)
    except ValueError:
        return False
