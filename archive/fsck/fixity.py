"""Fixity rounds against the log: last checks, what entries told of them, damage and its repair, reports of months."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, as_instant, as_uuid, entries, is_at, read_object, rows
from archive.fsck.stores import object_place
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from signing.cades import check_detached

_TYPES: Final = {"fixity.ok", "fixity.fail", "fixity.quarantined", "fixity.repaired"}
_ENDING: Final = {"disposal.begun", "disposal.done"}
"""Types of entries about objects that are re-read no more, named as `obj` or in `objects` of the detail."""
_ORIGINALS: Final = "originals"
_LOST: Final = """
SELECT e.object_id FROM fixity_place p
JOIN log_leaf l ON l.leaf_index < p.scanned
JOIN custody_event e ON e.entry_id = l.entry_id
  AND e.type IN ('object.preserved', 'record.filed', 'volume.closed')
LEFT JOIN fixity_check c ON c.object_id = e.object_id AND c.place = p.place
WHERE p.place = 'originals' AND c.object_id IS NULL
"""
_PLACES: Final = "SELECT p.id, p.place FROM copy_place p"
_COPIES: Final = "SELECT object_id, copied_at FROM object_copy WHERE head > 0 AND place_id = :place_id"
_MENDED: Final = "SELECT place, key, version FROM fixity_mend"


@dataclass(slots=True)
class _Told:
    """What the log tells: of each object in each place its newest check, of each damage its entries."""

    checks: dict[tuple[str, str], tuple[Entry, str, int]] = field(default_factory=dict)
    batches: dict[str, Entry] = field(default_factory=dict)
    damage: dict[str, dict[str, Entry]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    is_any_erased: bool = False

    def take(self, entry: Entry) -> None:
        """Take the next entry, in the order of ids."""
        if entry.type in _ENDING:
            self.ended |= _named(entry)
            return
        about, detail = entry.told("obj", "id"), entry.detail
        if about is None:
            self.batches[entry.id] = entry
        if detail is None:
            self.is_any_erased = True
            return
        place, damage = detail.get("place_id"), detail.get("damage")
        if damage is not None:
            known = self.damage.setdefault(str(damage), {})
            if entry.type != "fixity.fail" or entry.type not in known:
                known[entry.type] = entry
        if place is None or entry.type == "fixity.quarantined":
            return  # of a check from before there were rounds, no row tells
        if about is None:
            for object_id, head in detail.get("objects", {}).items():
                self.checks[object_id, str(place)] = (entry, "valid", int(head))
        elif "head" in detail:
            outcome = "invalid" if entry.type == "fixity.fail" else "valid"
            self.checks[str(about), str(place)] = (entry, outcome, int(detail["head"]))


def mended_versions(connection: Connection) -> Mapping[str, Mapping[str, str]]:
    """Return which version of which file was put to mend it, by the id of the place."""
    found: dict[str, dict[str, str]] = {}
    for row in rows(connection, _MENDED):
        found.setdefault(str(row["place"]), {})[str(row["key"])] = str(row["version"])
    return found


def place_of_copies(connection: Connection, name: str) -> str | None:
    """Return the id of a place of copies by its name."""
    return next((as_uuid(row["id"]) for row in rows(connection, _PLACES) if row["place"] == name), None)


def check_fixity_rounds(connection: Connection) -> Iterator[Finding]:
    """Hold every row of the rounds against the entries that tell of it, and every entry against its row."""
    told = _Told()
    for entry in sorted(entries(connection, _TYPES | _ENDING), key=lambda each: each.id):
        told.take(entry)
    yield from _checks(connection, told)
    yield from _batches(connection, told)
    yield from _damage(connection, told)
    yield from _mends(connection, told)


def _checks(connection: Connection, told: _Told) -> Iterator[Finding]:
    preserved = {
        as_uuid(row["id"]): row["preserved_at"]
        for row in rows(connection, "SELECT id, preserved_at FROM preserved_object")
    }
    places = {_ORIGINALS, *(as_uuid(row["id"]) for row in rows(connection, _PLACES))}
    left, seen, count = dict(told.checks), set(), 0
    for row in rows(connection, "SELECT * FROM fixity_check"):
        count += 1
        where, place = as_uuid(row["object_id"]), str(row["place"])
        seen.add((where, place))
        known = left.pop((where, place), None)
        if place not in places:
            yield invalid("fsck.row_changed", "A fixity check is of a place that there is not", where)
        if row["since"] is None and where not in told.ended:
            yield invalid("fsck.row_changed", "An object is not re-read any more, and nobody has ended that", where)
        elif known is None and told.is_any_erased:
            continue  # which entry told of it is not known any more
        elif not _is_check(row, known, preserved.get(where) if place == _ORIGINALS else None):
            yield invalid("fsck.row_changed", "A fixity check is not what its log entry says", where)
    for where, _ in left:
        yield invalid("fsck.row_missing", "The log tells of a fixity check that the catalogue lacks", where)
    for row in rows(connection, _LOST):
        yield invalid("fsck.fixity_lost", "An object came in that no round re-reads", as_uuid(row["object_id"]))
    begun = {str(row["place"]) for row in rows(connection, "SELECT place FROM fixity_place")}
    for place in (as_uuid(row["id"]) for row in rows(connection, _PLACES)):
        value: Any = place if connection.dialect.name == "postgresql" else place.replace("-", "")
        for row in rows(connection, _COPIES, place_id=value) if place in begun else ():
            if (as_uuid(row["object_id"]), place) not in seen:
                yield invalid("fsck.fixity_lost", "A copy was made that no round re-reads", as_uuid(row["object_id"]))
    yield valid("fsck.fixity", f"{count} fixity checks were held against the entries that tell of them")


def _is_check(row: Mapping[str, Any], known: tuple[Entry, str, int] | None, preserved_at: Any) -> bool:
    since = None if row["since"] is None else as_instant(row["since"])
    if known is None:
        is_untouched = row["checked_at"] is None and row["outcome"] is None and row["entry_id"] is None
        is_from_then = preserved_at is None or since is None or since == as_instant(preserved_at)
        return is_untouched and is_from_then and int(row["head"]) == 0
    entry, outcome, head = known
    return (
        row["entry_id"] is not None
        and as_uuid(row["entry_id"]) == entry.id
        and row["outcome"] == outcome
        and int(row["head"]) == head
        and is_at(row["checked_at"], entry)
        and (since is None or since == as_instant(row["checked_at"]))
    )


def _batches(connection: Connection, told: _Told) -> Iterator[Finding]:
    left = dict(told.batches)
    for row in rows(connection, "SELECT * FROM fixity_batch"):
        where = as_uuid(row["entry_id"])
        entry = left.pop(where, None)
        if entry is None:
            yield invalid("fsck.unlogged", "A row of fixity_batch has no log entry", where)
            continue
        detail = entry.detail
        facts = (
            None if detail is None else (detail.get("place_id"), len(detail.get("objects", {})), detail.get("bytes"))
        )
        said = (row["place"], int(row["objects"]), int(row["size_bytes"]))
        if not is_at(row["at"], entry) or (facts is not None and facts != said):
            yield invalid("fsck.row_changed", "A batch of fixity checks is not what its log entry says", where)
    for where in left:
        yield invalid("fsck.row_missing", "The log tells of fixity checks that the catalogue lacks", where)


def _damage(connection: Connection, told: _Told) -> Iterator[Finding]:
    left = dict(told.damage)
    for row in rows(connection, "SELECT * FROM fixity_damage"):
        where = as_uuid(row["id"])
        known = left.pop(where, {})
        if not _is_damage(row, known) and not (told.is_any_erased and not known):
            yield invalid("fsck.row_changed", "Damage is not what its log entries say", where)
    for where in left:
        yield invalid("fsck.row_missing", "The log tells of damage that the catalogue lacks", where)


def _is_damage(row: Mapping[str, Any], known: Mapping[str, Entry]) -> bool:
    found, kept, mended = (known.get(f"fixity.{name}") for name in ("fail", "quarantined", "repaired"))
    if found is None or found.detail is None:
        return False
    newest = mended or kept
    good = None if newest is None or newest.detail is None else newest.detail.get("good_id")
    state = "repaired" if mended is not None else "quarantined" if kept is not None else "found"
    parts = json.dumps(found.detail.get("parts"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    facts = (found.told("obj", "id"), found.detail.get("place_id"), state, parts, good)
    said = (as_uuid(row["object_id"]), row["place"], row["state"], row["findings"], row["good_place"])
    times = (("found_at", found), ("quarantined_at", kept), ("repaired_at", mended))
    return facts == said and all(
        row[column] is None if entry is None else row[column] is not None and is_at(row[column], entry)
        for column, entry in times
    )


def _mends(connection: Connection, told: _Told) -> Iterator[Finding]:
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    repaired = (known["fixity.repaired"] for known in told.damage.values() if "fixity.repaired" in known)
    for entry in sorted(repaired, key=lambda each: each.id):
        detail = entry.detail or {}
        folder = PurePosixPath(object_place(str(entry.told("obj", "id"))))
        for file in detail.get("files", ()):
            if "version" in file:
                key = str(folder / str(file["path"]))
                wanted[str(detail.get("place_id")), key] = (str(file["version"]), entry.id)
    for row in rows(connection, "SELECT * FROM fixity_mend"):
        where = str(row["key"])
        if wanted.pop((str(row["place"]), where), None) != (row["version"], as_uuid(row["entry_id"])):
            yield invalid("fsck.row_changed", "A file is read as another version than the one that mended it", where)
    for _, where in wanted:
        yield invalid("fsck.row_missing", "The log tells of a mended file that the catalogue lacks", where)


def check_fixity_reports(connection: Connection, *, trust_roots_pem: bytes | None) -> Iterator[Finding]:
    """Hold the reports of months against their entries, and each against its signature."""
    logged = {str(entry.told("obj", "id")): entry for entry in entries(connection, {"fixity.reported"})}
    count = 0
    for row in rows(connection, "SELECT * FROM fixity_report"):
        count += 1
        where = as_uuid(row["id"])
        entry, result, signature = logged.pop(where, None), bytes(row["result"]), bytes(row["signature"])
        if entry is None:
            yield invalid("fsck.unlogged", "A row of fixity_report has no log entry", where)
            continue
        if not is_at(row["made_at"], entry) or not _is_report(row, entry, result, signature):
            yield invalid("fsck.row_changed", "A fixity report is not what its log entry says", where)
        if trust_roots_pem is None:
            told = "There is no root certificate to judge a fixity report's signature by"
            yield indeterminate("fsck.signature", told, where)
            continue
        try:
            at = as_instant(row["made_at"])
            report = check_detached(result, signature, trust_roots_pem=trust_roots_pem, at=at)
        except (LiuhenError, ValueError) as error:
            yield invalid("fsck.signature", f"The signature of a fixity report cannot be checked: {error}", where)
            continue
        for found in report.findings:
            if found.outcome is not Outcome.VALID:
                yield Finding(found.code, found.outcome, found.message, where)
    for where in logged:
        yield invalid("fsck.row_missing", "The log tells of a fixity report that the catalogue lacks", where)
    yield valid("fsck.fixity_reports", f"{count} fixity reports were held against the entries that tell of them")


def _is_report(row: Mapping[str, Any], entry: Entry, result: bytes, signature: bytes) -> bool:
    said = read_object(result) or {}
    if said.get("month") != row["month"] or said.get("id") != as_uuid(row["id"]):
        return False
    told = entry.detail
    facts = {
        "month": row["month"],
        "sha256": hashlib.sha256(result).hexdigest(),
        "signature_sha256": hashlib.sha256(signature).hexdigest(),
    }
    return told is None or all(told.get(name) == value for name, value in facts.items())


def _named(entry: Entry) -> set[str]:
    objects = (entry.detail or {}).get("objects", ())
    return {str(each) for each in objects} | (
        {str(entry.told("obj", "id"))} if entry.told("obj") is not None else set()
    )
