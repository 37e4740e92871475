"""The second copy against the log, and where that is asked for, its bytes against the first; drills against theirs."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import Entry, Place, as_instant, as_uuid, entries, is_at, read_object, rows
from archive.fsck.stores import StoredObject, stored_objects
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from signing.cades import check_detached

_ADDING: Final = (
    "('object.preserved', 'record.filed', 'volume.closed', 'record.extended', 'volume.checked', 'object.renewed')"
)
_LOST: Final = f"""
SELECT p.place, e.object_id FROM copy_place p
JOIN log_leaf l ON l.leaf_index < p.scanned
JOIN custody_event e ON e.entry_id = l.entry_id AND e.type IN {_ADDING}
LEFT JOIN object_copy c ON c.place_id = p.id AND c.object_id = e.object_id
WHERE c.object_id IS NULL
"""  # noqa: S608 - named above

_COPIED: Final = """
SELECT c.object_id, c.head FROM object_copy c JOIN copy_place p ON p.id = c.place_id WHERE p.place = :name
"""


@dataclass(frozen=True, slots=True)
class SecondCopy:
    """Where the copy lies, by the name that its entries have for it; `is_locked` and `covered` as of `Places`."""

    name: str
    store: Place
    is_locked: Callable[[Place], bool] = lambda _: True
    covered: Callable[[], Collection[str]] = tuple


def check_copies(connection: Connection) -> Iterator[Finding]:
    """Hold what is said to be copied against the entries that tell of it, and what is due against the log."""
    logged, is_any_erased = _entries_of_copies(connection)
    places = {as_uuid(row["id"]): row for row in rows(connection, "SELECT * FROM copy_place")}
    count = 0
    for row in rows(connection, "SELECT * FROM object_copy"):
        count += 1
        where, place = as_uuid(row["object_id"]), places.get(as_uuid(row["place_id"]))
        of_it = [] if place is None else logged.pop((str(place["place"]), where), [])
        if is_any_erased and place is not None and not _is_told(row, of_it, where):
            continue  # which entry told of it is not known any more
        if place is None or not _is_told(row, of_it, where):
            yield invalid("fsck.row_changed", "A copy is not what its log entry says", where)
    for name, object_id in logged:
        yield invalid("fsck.row_missing", f"The log tells of a copy that the catalogue lacks, in {name}", object_id)
    for row in rows(connection, _LOST):
        told = "An object is neither copied nor waits for it: the copier looked past its entry"
        yield invalid("fsck.copy_lost", told, as_uuid(row["object_id"]))
    size = next(iter(rows(connection, "SELECT count(*) AS size FROM log_leaf")))["size"]
    for place in places.values():
        if int(place["scanned"]) > int(size):
            yield invalid("fsck.row_changed", "The copier looked at more entries than there are", str(place["place"]))
    yield valid("fsck.copies", f"{count} copies were held against the entries that tell of them")


def _entries_of_copies(connection: Connection) -> tuple[dict[tuple[str, str], list[Entry]], bool]:
    """Return the entries that tell of each copy, by place and object; and whether the detail of any was erased."""
    told: dict[tuple[str, str], list[Entry]] = {}
    is_any_erased = False
    for entry in entries(connection, {"store.copied"}):
        if entry.detail is None:
            is_any_erased = True
            continue
        for object_id in entry.detail.get("objects", {}):
            told.setdefault((str(entry.detail.get("place")), str(object_id)), []).append(entry)
    return told, is_any_erased


def _is_told(row: Mapping[str, Any], of_it: Sequence[Entry], where: str) -> bool:
    """Whether a copy has the newest version that an entry tells of, and the time of that entry; without any, none."""
    heads = [(int(entry.detail["objects"][where]), entry) for entry in of_it if entry.detail is not None]
    if not heads:
        return int(row["head"]) == 0 and row["copied_at"] is None
    newest = max(head for head, _ in heads)
    at = row["copied_at"]
    return int(row["head"]) == newest and any(head == newest and is_at(at, entry) for head, entry in heads if at)


Standing = tuple[int, bool]
"""What the catalogue says of a copy: its newest version, 0 for none, and whether an entry of the log waits for it."""


def check_copy(
    connection: Connection,
    copy: SecondCopy,
    stored: Mapping[str, StoredObject],
    *,
    now: Callable[[str], Standing | None],
) -> Iterator[Finding]:
    """Read the whole copy, and hold it against the catalogue and the first.

    `now` asks what the catalogue says of a copy at this moment: an object may be copied while this runs.
    """
    heads = {as_uuid(row["object_id"]): int(row["head"]) for row in rows(connection, _COPIED, name=copy.name)}
    faults: list[Finding] = []
    seen: set[str] = set()
    try:
        for found in stored_objects(copy.store, faults, is_locked=copy.is_locked):
            seen.add(found.object_id)
            known, ask = heads.get(found.object_id), partial(now, found.object_id)
            yield from _as_of_copy(faults, moves=partial(_moves, ask, known))
            yield from _object_faults(found, stored.get(found.object_id), known, ask)
    except OSError as exc:
        yield indeterminate("fsck.copy_unread", f"The second copy cannot be read: {exc.strerror}", copy.name)
        return
    yield from _as_of_copy(faults)
    for object_id, head in heads.items():
        if head and object_id not in seen:
            yield invalid("fsck.copy_missing", "An object that was copied is not in the second copy", object_id)
    for key in sorted(copy.covered()):
        yield invalid("fsck.covered", "Something was laid over a file of the second copy", key)
    waiting = sum(1 for object_id in stored if not heads.get(object_id))
    told = f"{len(seen)} objects of the second copy were read and held against the first; {waiting} are not copied yet"
    yield valid("fsck.copy", told, copy.name)


def _as_of_copy(faults: list[Finding], moves: Callable[[], bool] = lambda: False) -> Iterator[Finding]:
    """Yield what was found in the copy, and forget it; what an object that is being copied cannot have yet is open."""
    for found in faults:
        is_open = found.code == "fsck.stray_file" and moves()
        outcome = Outcome.INDETERMINATE if is_open else found.outcome
        yield Finding(found.code, outcome, f"Second copy: {found.message}", found.where)
    faults.clear()


def _moves(now: Callable[[], Standing | None], head: int | None) -> bool:
    """Whether an object is copied at this moment, or was since the snapshot that knew this head."""
    found = now()
    return found is not None and (found[1] or found[0] != (head or 0))


def _object_faults(
    found: StoredObject, first: StoredObject | None, head: int | None, now: Callable[[], Standing | None]
) -> Iterator[Finding]:
    where = found.object_id
    if head is None and now() is None:
        yield invalid("fsck.copy_unclaimed", "The second copy holds an object that nobody wrote down", where)
        return
    if not found.is_visible:
        if head:
            yield invalid("fsck.copy_missing", "An object that was copied is not shown in the second copy", where)
        return
    if first is None or not first.is_visible:
        if not _moves(now, head):
            yield invalid("fsck.copy_unclaimed", "The second copy holds an object that the first does not", where)
        return
    yield from found.unfinished if head else ()
    if len({path.partition("/")[0] for path in found.digests}) < (head or 0):
        yield invalid("fsck.copy_behind", "The second copy lacks a version that was copied", where)
    for path, told in found.digests.items():
        other = first.digests.get(path)
        if other is None and path in first.unread:
            yield indeterminate("fsck.copy_unread", "A file of the first could not be read to compare", path)
        elif other != told and not (other is None and _moves(now, head)):
            yield invalid("fsck.copy_differs", "The second copy and the first differ", str(found.folder / path))


def check_drills(connection: Connection, *, trust_roots_pem: bytes | None) -> Iterator[Finding]:
    """Hold the results of drills against their entries, and each against its signature."""
    logged = {str(entry.told("obj", "id")): entry for entry in entries(connection, {"store.drilled"})}
    count = 0
    for row in rows(connection, "SELECT * FROM restore_drill"):
        count += 1
        where = as_uuid(row["id"])
        entry, result, signature = logged.pop(where, None), bytes(row["result"]), bytes(row["signature"])
        if entry is None:
            yield invalid("fsck.unlogged", "A row of restore_drill has no log entry", where)
            continue
        said = read_object(result) or {}
        if not is_at(row["drilled_at"], entry) or not _agrees(row, entry, said, result, signature):
            yield invalid("fsck.row_changed", "A drill is not what its log entry says", where)
        if trust_roots_pem is None:
            yield indeterminate("fsck.signature", "There is no root certificate to judge a drill's signature by", where)
            continue
        try:
            at = as_instant(row["drilled_at"])
            report = check_detached(result, signature, trust_roots_pem=trust_roots_pem, at=at)
        except (LiuhenError, ValueError) as error:
            yield invalid("fsck.signature", f"The signature of a drill cannot be checked: {error}", where)
            continue
        for found in report.findings:
            if found.outcome is not Outcome.VALID:
                yield Finding(found.code, found.outcome, found.message, where)
    for row_id in logged:
        yield invalid("fsck.row_missing", "The log tells of a drill that the catalogue lacks", row_id)
    yield valid("fsck.drills", f"{count} drills were held against the entries that tell of them")


def _agrees(row: Mapping[str, Any], entry: Entry, said: Mapping[str, Any], result: bytes, signature: bytes) -> bool:
    facts = {"place": row["place"], "outcome": row["outcome"]}
    if any(str(said.get(name))[:300] != value for name, value in facts.items()) or said.get("id") != as_uuid(row["id"]):
        return False
    digests = {
        "sha256": hashlib.sha256(result).hexdigest(),
        "signature_sha256": hashlib.sha256(signature).hexdigest(),
    }
    told = entry.detail
    return told is None or all(told.get(name) == value for name, value in {**facts, **digests}.items())
