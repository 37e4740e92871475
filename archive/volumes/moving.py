"""Putting a paper elsewhere than the rules would, with a reason; and opening the next volume for what came later."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.cases.filing import CaseNotFound
from archive.cases.models import Case
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, NotFound
from archive.kernel.ids import CaseId, ObjectId, VolumeId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.volumes.arranging import Paper
from archive.volumes.models import Volume, VolumeClosing, VolumePlace
from archive.volumes.rules import VolumeKind, VolumeRules
from archive.volumes.standing import CaseFile, case_file
from archive.volumes.terms import Move, VolumeState

MAX_REASON_CHARACTERS: Final = 500


class PaperNotThere(NotFound):
    """This paper stands in no open volume of the case: it was taken out, or is bound in a closed one."""

    code = "volumes.paper_not_there"


class NoPlaceThere(Conflict):
    """The paper stands at the end of its volume already."""

    code = "volumes.no_place_there"


class VolumeBeingClosed(Conflict):
    """The volume is just being closed: wait a moment, then look at it again."""

    code = "volumes.being_closed"


class NothingToOpen(Conflict):
    """There is no need for another volume of this kind: none is closed, one is open, or no paper came later."""

    code = "volumes.nothing_to_open"


def move_paper(
    database: Database,
    rules: VolumeRules,
    case_id: CaseId,
    object_id: ObjectId,
    move: Move,
    *,
    reason: str,
    by: Actor,
    at: Instant,
) -> None:
    """Put a paper a place up or down, into the other volume, or back to where the rules have it.

    Raises: CaseNotFound, PaperNotThere, NoPlaceThere, VolumeBeingClosed, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        _lock(tx, case_id)
        file = case_file(tx, rules, case_id, at=at)
        if object_id in file.hidden:
            raise PaperNotThere(object_id=object_id)
        for paper in _moved(file, object_id, move):
            _write(tx, case_id, paper, reason=reason, by=by, at=at)
        _give_up_closings(tx, case_id, at=at)


def open_volume(
    database: Database, rules: VolumeRules, case_id: CaseId, kind: VolumeKind, *, reason: str, by: Actor, at: Instant
) -> VolumeId:
    """Open the next volume of a kind for papers that came after the last one was closed, which stays as it is.

    Raises: CaseNotFound, NothingToOpen, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with unique_or(NothingToOpen), database.begin() as tx:
        _lock(tx, case_id)
        standing = case_file(tx, rules, case_id, at=at).volumes[kind]
        if not standing.is_new:
            raise NothingToOpen(kind=kind.value)
        volume_id = VolumeId(new_uuid7())
        insert_row(
            tx,
            Volume,
            id=volume_id,
            case_id=case_id,
            kind=kind.value,
            sequence=standing.sequence,
            state=VolumeState.OPEN.value,
            opened_at=at,
            opened_by=by.id,
            reason=reason,
        )
        entry = NewEntry(
            EntryType.VOLUME_OPENED,
            by,
            Target("volume", volume_id),
            case=case_id,
            detail={
                "case_file": str(case_id),
                "kind": kind.value,
                "sequence": standing.sequence,
                "state": VolumeState.OPEN.value,
                "reason": reason,
            },
        )
        append_entry(tx, entry, at=at)
    return volume_id


def _lock(tx: Session, case_id: CaseId) -> None:
    if tx.scalar(select(Case.id).where(Case.id == case_id).with_for_update(key_share=True)) is None:
        raise CaseNotFound(case_id=case_id)


def _moved(file: CaseFile, object_id: ObjectId, move: Move) -> Iterable[Paper]:
    """Yield the papers that get another place: this one, and one that was put where it goes, in exchange."""
    for kind, standing in file.volumes.items():
        lines = standing.arranged.lines
        at = next((line.number for line in lines if line.paper.object_id == object_id), None)
        if at is None:
            continue
        paper = lines[at - 1].paper
        if move is Move.RULES:
            return [_placed(paper, None, None)]
        if move is Move.OTHER:
            other = VolumeKind.SUB if kind is VolumeKind.MAIN else VolumeKind.MAIN
            return [_placed(paper, other, None)]
        to = at + (-1 if move is Move.UP else 1)
        if not 1 <= to <= len(lines):
            raise NoPlaceThere(object_id=object_id)
        there = lines[to - 1].paper
        swapped = [] if there.place is None else [_placed(there, there.volume, at)]
        return [_placed(paper, paper.volume, to), *swapped]
    raise PaperNotThere(object_id=object_id)


def _placed(paper: Paper, kind: VolumeKind | None, place: int | None) -> Paper:
    return Paper(paper.object_id, paper.title, paper.dated_at, volume=kind, place=place)


def _write(tx: Session, case_id: CaseId, paper: Paper, *, reason: str, by: Actor, at: Instant) -> None:
    place_id: UUID = new_uuid7()
    kind = None if paper.volume is None else paper.volume.value
    insert_row(
        tx,
        VolumePlace,
        id=place_id,
        case_id=case_id,
        object_id=paper.object_id,
        kind=kind,
        place=paper.place,
        reason=reason,
        by_id=by.id,
        at=at,
    )
    detail = {
        "case_file": str(case_id),
        "object": str(paper.object_id),
        "kind": kind,
        "place": paper.place,
        "reason": reason,
    }
    entry = NewEntry(EntryType.VOLUME_ARRANGED, by, Target("place", place_id), case=case_id, detail=detail)
    append_entry(tx, entry, at=at)


def _give_up_closings(tx: Session, case_id: CaseId, *, at: Instant) -> None:
    """Refuse while a volume is being closed; an attempt that broke off would close what was there before."""
    for row in tx.scalars(select(VolumeClosing).where(VolumeClosing.case_id == case_id)):
        if row.until is not None and row.until > at:
            raise VolumeBeingClosed(kind=row.kind)
        tx.execute(delete(VolumeClosing).where(VolumeClosing.volume_id == row.volume_id))
