"""Writing down what a check has shown, each with its entry in the same transaction.

Objects that are whole are told of together, in one entry for many; each one's row names that entry. What is damaged has
an entry of its own, which is part of its custody trail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.custody.events import digests_of, record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Finding, Outcome, Report
from archive.kernel.ids import EntryId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from retention.rounds.models import FixityBatch, FixityCheck, FixityDamage

FOUND: Final = "found"
QUARANTINED: Final = "quarantined"
REPAIRED: Final = "repaired"
_MOST_FINDINGS: Final = 20
_AT_ONCE: Final = 500
_FOLDERS: Final = frozenset({"content", "original", "metadata", "extended", "checks", "log"})


@dataclass(frozen=True, slots=True)
class Where:
    """A place by its id, and by the name that entries have for it."""

    id: str
    name: str

    def as_json(self) -> dict[str, str]:
        """Return how entries tell of it."""
        return {"place": self.name[:300], "place_id": self.id}


@dataclass(frozen=True, slots=True)
class Whole:
    """An object that was read and is whole: its newest version, and how many bytes were read."""

    object_id: UUID
    head: int
    size_bytes: int


def tell_whole(tx: Session, where: Where, found: Sequence[Whole], *, by: Actor, at: Instant) -> None:
    """Write the entry of objects that are whole, with their rows; those that are not re-read any more are left out."""
    wanted = {each.object_id for each in found}
    known = select(FixityCheck.object_id).where(FixityCheck.place == where.id, FixityCheck.since.is_not(None))
    kept: set[UUID] = set()
    for some in _portions(sorted(wanted)):
        kept.update(tx.scalars(known.where(FixityCheck.object_id.in_(some)).with_for_update()))
    told = [each for each in found if each.object_id in kept]
    if not told:
        return
    size_bytes = sum(each.size_bytes for each in told)
    detail = {
        **where.as_json(),
        "objects": {str(each.object_id): each.head for each in told},
        "bytes": size_bytes,
    }
    entry_id = append_entry(tx, NewEntry(EntryType.FIXITY_OK, by, detail=detail), at=at)
    facts = {"place": where.id, "at": at, "objects": len(told), "size_bytes": size_bytes}
    insert_row(tx, FixityBatch, entry_id=entry_id, **facts)
    heads: dict[int, list[UUID]] = {}
    for each in told:
        heads.setdefault(each.head, []).append(each.object_id)
    for head, ids in heads.items():
        for some in _portions(ids):
            these = (FixityCheck.place == where.id, FixityCheck.object_id.in_(some))
            tx.execute(update(FixityCheck).where(*these).values(**_checked(Outcome.VALID, entry_id, head, at)))


def tell_checked(
    tx: Session,
    row: PreservedObject,
    where: Where,
    report: Report,
    *,
    head: int,
    is_damage: bool,
    by: Actor,
    at: Instant,
) -> None:
    """Write that one object was checked because somebody asked, as a custody event, whatever came of it.

    What was damaged and is whole again counts as repaired by others. A check that is not valid and has found no
    damage (`is_damage`) changes no row.
    """
    if is_damage and tell_damage(tx, row, where, report, head=head, by=by, at=at, is_told_again=True) is not None:
        return
    is_whole = report.outcome is Outcome.VALID
    kind = EntryType.FIXITY_OK if is_whole else EntryType.FIXITY_FAIL
    detail = {**_shown(report), **where.as_json(), **({"head": head} if is_whole else {})}
    entry = NewEntry(kind, by, Target(row.kind, row.id), digests=digests_of(row), detail=detail)
    entry_id = record_event(tx, ObjectId(row.id), entry, at=at)
    if not is_whole:
        return
    _note(tx, row.id, where, **_checked(Outcome.VALID, entry_id, head, at))
    damage = open_damage(tx, row.id, where.id)
    if damage is not None:
        tell_repaired(tx, row, where, damage, good=None, files=[], head=head, by=by, at=at)


def tell_damage(
    tx: Session,
    row: PreservedObject,
    where: Where,
    report: Report,
    *,
    head: int,
    by: Actor,
    at: Instant,
    is_told_again: bool = False,
) -> UUID | None:
    """Write that an object is damaged, and open the damage unless it is open; return its id.

    An object that is not re-read any more is no damage: None. Of damage that is open already nothing is written, unless
    somebody asked (`is_told_again`).
    """
    known = tx.scalar(
        select(FixityCheck).where(FixityCheck.object_id == row.id, FixityCheck.place == where.id).with_for_update()
    )
    if known is not None and known.since is None:
        return None
    damage = open_damage(tx, row.id, where.id)
    if damage is not None and not is_told_again:
        _again(tx, row.id, where, at)
        return damage.id
    damage_id = new_uuid7() if damage is None else damage.id
    parts, newest = _parts(report.findings), max(head, 0 if known is None else known.head)
    told = {"damage": str(damage_id), "parts": parts, "head": newest}
    detail = {**_shown(report), **where.as_json(), **told}
    entry = NewEntry(EntryType.FIXITY_FAIL, by, Target(row.kind, row.id), digests=digests_of(row), detail=detail)
    entry_id = record_event(tx, ObjectId(row.id), entry, at=at)
    if damage is None:
        facts = {"object_id": row.id, "place": where.id, "state": FOUND, "found_at": at}
        insert_row(tx, FixityDamage, id=damage_id, findings=canonical_json(parts).decode(), **facts)
    _note(tx, row.id, where, **_checked(Outcome.INVALID, entry_id, newest, at))
    return damage_id


def tell_quarantined(
    tx: Session,
    row: PreservedObject,
    where: Where,
    damage: FixityDamage,
    *,
    good: Where,
    files: Sequence[dict[str, Any]],
    by: Actor,
    at: Instant,
) -> None:
    """Write where the damaged files of an object are kept, and where good ones are about to be taken from."""
    detail = {**where.as_json(), "damage": str(damage.id), "good": good.name[:300], "good_id": good.id, "files": files}
    entry = NewEntry(EntryType.FIXITY_QUARANTINED, by, Target(row.kind, row.id), digests=digests_of(row), detail=detail)
    record_event(tx, ObjectId(row.id), entry, at=at)
    changed = {"state": QUARANTINED, "quarantined_at": at, "good_place": good.id}
    tx.execute(update(FixityDamage).where(FixityDamage.id == damage.id).values(**changed))


def tell_repaired(
    tx: Session,
    row: PreservedObject,
    where: Where,
    damage: FixityDamage,
    *,
    good: Where | None,
    files: Sequence[dict[str, Any]],
    head: int,
    by: Actor,
    at: Instant,
) -> EntryId | None:
    """Write that a damaged object is whole again, as it was just re-read; `good` is None where others repaired it.

    Returns the entry; None where another has written it meanwhile.
    """
    facts = {"state": REPAIRED, "repaired_at": at, "good_place": None if good is None else good.id, "trouble": None}
    this = (FixityDamage.id == damage.id, FixityDamage.repaired_at.is_(None))
    changed = tx.execute(update(FixityDamage).where(*this).values(**facts))
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        return None
    told = {"good": None, "good_id": None} if good is None else {"good": good.name[:300], "good_id": good.id}
    detail = {**where.as_json(), "damage": str(damage.id), **told, "files": list(files), "head": head}
    entry = NewEntry(EntryType.FIXITY_REPAIRED, by, Target(row.kind, row.id), digests=digests_of(row), detail=detail)
    entry_id = record_event(tx, ObjectId(row.id), entry, at=at)
    _note(tx, row.id, where, **_checked(Outcome.VALID, entry_id, head, at))
    return entry_id


def open_damage(tx: Session, object_id: UUID, place: str) -> FixityDamage | None:
    """Return the damage of an object in a place that is not repaired."""
    this = (FixityDamage.object_id == object_id, FixityDamage.place == place, FixityDamage.repaired_at.is_(None))
    return tx.scalar(select(FixityDamage).where(*this))


def _checked(outcome: Outcome, entry_id: EntryId, head: int, at: Instant) -> dict[str, Any]:
    """Return the columns of a check that was told of."""
    return {
        "checked_at": at,
        "outcome": outcome.value,
        "entry_id": entry_id,
        "head": head,
        "since": at,
        "asked_at": None,
        "read_at": None,
        "read_bytes": None,
        "read_head": None,
        "tries": 0,
        "tried_at": None,
        "trouble": None,
    }


def _note(tx: Session, object_id: UUID, where: Where, **columns: Any) -> None:
    this = (FixityCheck.object_id == object_id, FixityCheck.place == where.id)
    changed = tx.execute(update(FixityCheck).where(*this).values(**columns))
    if changed.rowcount == 0:  # type: ignore[attr-defined]
        insert_row(tx, FixityCheck, object_id=object_id, place=where.id, **columns)


def _again(tx: Session, object_id: UUID, where: Where, at: Instant) -> None:
    """Note that damage that is known was looked at again, so that the round goes on to others."""
    this = (FixityCheck.object_id == object_id, FixityCheck.place == where.id)
    tx.execute(update(FixityCheck).where(*this).values(asked_at=None, read_at=None, read_bytes=None, tried_at=at))


def _shown(report: Report) -> dict[str, Any]:
    faults = [finding for finding in report.findings if finding.outcome is not Outcome.VALID][:_MOST_FINDINGS]
    return {
        "outcome": report.outcome.value,
        "findings": [{"code": finding.code, "where": finding.where} for finding in faults],
    }


def _parts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return what did not hold, without names of files: rows of damage are read by who may not see the object."""
    told = {
        (each.code, each.outcome.value, part_of(each.where)) for each in findings if each.outcome is not Outcome.VALID
    }
    return [{"code": code, "outcome": outcome, "part": part} for code, outcome, part in sorted(told)[:_MOST_FINDINGS]]


def part_of(where: str) -> str:
    """Return which part of an object a path inside it is in: the folders of ours that it begins with."""
    parts: list[str] = []
    for each in where.split("/"):
        if each not in _FOLDERS and not (each[:1] == "v" and each[1:].isdigit()):
            break
        parts.append(each)
    return "/".join(parts)


def _portions(ids: Sequence[UUID]) -> Sequence[Sequence[UUID]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
