"""Closing a case (结案): the day from which the clock of filing its papers runs."""

from datetime import date, datetime, time

from sqlalchemy import select, update

from archive.calendar.days import local_day
from archive.cases.filing import CaseNotFound
from archive.cases.models import Case
from archive.db.database import Database
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import CaseId
from archive.kernel.instants import BUREAU_ZONE, Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target


class CaseClosedAlready(Conflict):
    """This case is closed already."""

    code = "cases.closed_already"


class ClosingDayImpossible(InvalidInput):
    """A case is closed on a day that has come, and not before it was opened."""

    code = "cases.closing_day_impossible"


def close_case(database: Database, case_id: CaseId, *, on: date, by: Actor, at: Instant) -> None:
    """Write down on which day a case was closed. What belongs to its papers is still filed.

    Raises: CaseNotFound, CaseClosedAlready, ClosingDayImpossible.
    """
    with database.begin() as tx:
        case = tx.scalar(select(Case).where(Case.id == case_id).with_for_update(key_share=True))
        if case is None:
            raise CaseNotFound(case_id=case_id)
        if case.closed_at is not None:
            raise CaseClosedAlready(case_id=case_id)
        if not local_day(case.opened_at) <= on <= local_day(at):
            raise ClosingDayImpossible(on=on.isoformat())
        closed_at = datetime.combine(on, time(), BUREAU_ZONE)
        tx.execute(update(Case).where(Case.id == case_id).values(closed_at=closed_at))
        entry = NewEntry(
            EntryType.CASE_CLOSED,
            by,
            Target("case", case_id),
            case=case_id,
            detail={"closed_at": format_instant(closed_at)},
        )
        append_entry(tx, entry, at=at)
