"""Who carries an act out: officers by their certificate numbers. They see the case, and sign its records."""

from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.cases.indexing import index_sight
from archive.cases.models import ActOfficer, Case
from archive.db.base import insert_row
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, OfficerId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Officer


class OfficerUnknown(InvalidInput):
    """No officer has this certificate number: write the officer down first."""

    code = "cases.officer_unknown"


def officers_numbered(tx: Session, numbers: Sequence[str]) -> Collection[OfficerId]:
    """Return the officers with these certificate numbers. Raises: OfficerUnknown."""
    rows = tx.execute(select(Officer.certificate_number, Officer.id).where(Officer.certificate_number.in_(numbers)))
    found = {number: OfficerId(officer_id) for number, officer_id in rows}
    for number in numbers:
        if number not in found:
            raise OfficerUnknown(number=number)
    return set(found.values())


def set_act_officers(
    tx: Session, case_id: CaseId, act_id: ActId, officers: Collection[OfficerId], *, by: Actor, at: Instant
) -> bool:
    """Write down who carries an act out, in the caller's transaction; return whether that is different now."""
    # Who sees it is settled one after the other; rows that refer to the case are not kept waiting.
    tx.scalar(select(Case.id).where(Case.id == case_id).with_for_update(key_share=True))
    wanted, was = set(officers), set(tx.scalars(select(ActOfficer.officer_id).where(ActOfficer.act_id == act_id)))
    if wanted == was:
        return False
    tx.execute(delete(ActOfficer).where(ActOfficer.act_id == act_id))
    for officer_id in sorted(wanted):
        insert_row(tx, ActOfficer, act_id=act_id, officer_id=officer_id)
    detail = {"officers": sorted(map(str, wanted)), "was": {"officers": sorted(map(str, was))}}
    entry = NewEntry(EntryType.CASE_ACT_UPDATED, by, Target("act", act_id), case=case_id, detail=detail)
    append_entry(tx, entry, at=at)
    index_sight(tx, [case_id])
    return True
