"""Sealing several records under one approval: who approved which bytes stands in the log before the first is sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from archive.cases.sealing import Seals, seal_record
from archive.db.database import Database
from archive.documents.signatures import StepNotDue, signing_of
from archive.documents.steps import SignedBy
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.ids import DraftId, EntryId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

MOST_AT_ONCE: Final = 100
MAX_APPROVAL_CHARACTERS: Final = 500


class ApprovalEmpty(InvalidInput):
    """An approval names 1 to 100 records."""

    code = "cases.approval_empty"


@dataclass(frozen=True, slots=True)
class SealOutcome:
    """What came of one record: sealed, and whether it is complete with it, or why not."""

    draft_id: DraftId
    completes: bool = False
    cause: LiuhenError | None = None


def approve_sealing(
    database: Database, chosen: Mapping[DraftId, str], *, approval: str, by: Actor, at: Instant
) -> EntryId:
    """Write down that these records are approved for the seal, each with the SHA-256 of what was looked at.

    Raises: ApprovalEmpty, InvalidInput, DraftNotFound.
    """
    if not 1 <= len(chosen) <= MOST_AT_ONCE:
        raise ApprovalEmpty(records=len(chosen))
    approval = clean_text(approval, "approval", MAX_APPROVAL_CHARACTERS)
    with database.begin() as tx:
        for draft_id in chosen:
            signing_of(tx, draft_id)
        records = [{"id": str(draft_id), "sha256": sha256} for draft_id, sha256 in chosen.items()]
        target = Target("approval", new_uuid7())
        detail = {"approval": approval, "records": records}
        return append_entry(tx, NewEntry(EntryType.RECORD_SEALING_APPROVED, by, target, detail=detail), at=at)


def seal_approved(
    seals: Seals, approval: EntryId, chosen: Mapping[DraftId, str], *, by: Actor
) -> Sequence[SealOutcome]:
    """Seal the records of an approval, each as it was looked at; one that fails keeps the others from nothing."""
    return [_sealed(seals, approval, draft_id, sha256, by=by) for draft_id, sha256 in chosen.items()]


def _sealed(seals: Seals, approval: EntryId, draft_id: DraftId, sha256: str, *, by: Actor) -> SealOutcome:
    try:
        with seals.room.desk.database.read() as tx:
            standing = signing_of(tx, draft_id)
            place = next((step.place for step in standing.due if step.by is SignedBy.SEAL), None)
        if place is None:
            raise StepNotDue(draft_id=draft_id)
        return SealOutcome(draft_id, seal_record(seals, draft_id, place, sha256=sha256, by=by, approval=approval))
    except LiuhenError as exc:
        return SealOutcome(draft_id, cause=exc)
