"""Moving a case to another unit of its agency: that unit and those above it see it from then on, with its footage."""

from uuid import UUID

from sqlalchemy import select, update

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.filing import CaseNotFound
from archive.cases.indexing import index_sight
from archive.cases.models import Case
from archive.cases.restrictions import MAX_REASON_CHARACTERS
from archive.db.database import Database
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.models import Unit
from archive.organisation.units import open_unit


class AnotherAgency(InvalidInput):
    """The unit is of another agency: what goes there is handed over as a package, and opened there anew."""

    code = "cases.another_agency"


def move_case(database: Database, case_id: CaseId, unit_id: UUID, *, reason: str, by: Caller, at: Instant) -> bool:
    """Give a case to another unit of its agency; return whether anything is different now.

    Officers of its acts and members see it as before; whoever saw it by the old unit alone sees it no more.
    Raises: Forbidden, CaseNotFound, UnitNotFound, AnotherAgency, InvalidInput without a reason.
    """
    require(by.roles, Capability.MOVE)
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with database.begin() as tx:
        case = tx.scalar(select(Case).where(Case.id == case_id).with_for_update())
        if case is None:
            raise CaseNotFound(case_id=case_id)
        was = case.unit_id
        unit = open_unit(tx, unit_id)
        if was == unit_id:
            return False
        if unit.agency_id != tx.get_one(Unit, was).agency_id:
            raise AnotherAgency
        tx.execute(update(Case).where(Case.id == case_id).values(unit_id=unit_id))
        detail = {"unit": str(unit_id), "reason": reason, "was": {"unit": str(was)}}
        entry = NewEntry(EntryType.CASE_UPDATED, by.actor, Target("case", case_id), case=case_id, detail=detail)
        append_entry(tx, entry, at=at)
        index_sight(tx, [case_id])
    return True
