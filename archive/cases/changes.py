"""Correcting what was written down of a case or an act: each change is on record, with what stood there before."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.cases.act_officers import officers_numbered, set_act_officers
from archive.cases.filing import MAX_NUMBER_CHARACTERS, MAX_PLACE_CHARACTERS, MAX_TITLE_CHARACTERS, CaseNotFound
from archive.cases.indexing import index_act, index_cases, index_filed, index_subjects
from archive.cases.models import Act, Case
from archive.cases.subjects import KnownSubject, NewSubject, settle_subject
from archive.cases.terms import Category, Stage
from archive.db.database import Database
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import ActId, CaseId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.identifiers import IdentifierVault


class ActNotFound(NotFound):
    """There is no such act in this case."""

    code = "cases.act_not_found"


def update_case(
    database: Database,
    vault: IdentifierVault,
    case_id: CaseId,
    *,
    title: str | None = None,
    category: Category | None = None,
    subject: KnownSubject | NewSubject | None = None,
    by: Actor,
    at: Instant,
) -> bool:
    """Correct a case's title, category or subject; None leaves as it is. Return whether anything is different now.

    Raises: CaseNotFound, SubjectNotFound, IdentifierTaken, InvalidInput, IdentifierUnreadable.
    """
    with database.begin() as tx:
        return change_case(tx, vault, case_id, title=title, category=category, subject=subject, by=by, at=at)


def change_case(
    tx: Session,
    vault: IdentifierVault,
    case_id: CaseId,
    *,
    number: str | None = None,
    title: str | None = None,
    category: Category | None = None,
    subject: KnownSubject | NewSubject | None = None,
    by: Actor,
    at: Instant,
) -> bool:
    """Do what `update_case` does in the caller's transaction, which has made sure that a new number is free.

    Raises: the same.
    """
    case = tx.scalar(select(Case).where(Case.id == case_id).with_for_update())
    if case is None:
        raise CaseNotFound(case_id=case_id)
    given = {
        "number": None if number is None else clean_text(number, "case number", MAX_NUMBER_CHARACTERS),
        "title": None if title is None else clean_text(title, "title", MAX_TITLE_CHARACTERS),
        "category": None if category is None else category.value,
        "subject_id": None if subject is None else settle_subject(tx, vault, subject, by=by, at=at),
    }
    changed = {field: value for field, value in given.items() if value is not None and value != getattr(case, field)}
    if not changed:
        return False
    was = {field: getattr(case, field) for field in changed}
    tx.execute(update(Case).where(Case.id == case_id).values(**changed))
    detail = {**_told(changed), "was": _told(was)}
    append_entry(tx, NewEntry(EntryType.CASE_UPDATED, by, Target("case", case_id), case=case_id, detail=detail), at=at)
    index_cases(tx, [case_id])
    if "subject_id" in changed:  # whoever sees the case sees its subject
        index_subjects(tx, [UUID(str(was["subject_id"])), UUID(str(changed["subject_id"]))])
    if "number" in changed:
        index_filed(tx, case_id)
    return True


def update_act(
    database: Database,
    case_id: CaseId,
    act_id: ActId,
    *,
    stage: Stage,
    place: str,
    started_at: Instant,
    ended_at: Instant | None,
    officers: Sequence[str] | None = None,
    by: Actor,
    at: Instant,
) -> bool:
    """Correct an act; return whether anything is different now. Officers that are None stay as they are.

    Raises: ActNotFound, OfficerUnknown, InvalidInput when it ends before it starts.
    """
    with database.begin() as tx:
        is_changed = change_act(
            tx, case_id, act_id, stage=stage, place=place, started_at=started_at, ended_at=ended_at, by=by, at=at
        )
        if officers is None:
            return is_changed
        numbered = officers_numbered(tx, officers)
        return set_act_officers(tx, case_id, act_id, numbered, by=by, at=at) or is_changed


def change_act(
    tx: Session,
    case_id: CaseId,
    act_id: ActId,
    *,
    stage: Stage,
    place: str,
    started_at: Instant,
    ended_at: Instant | None,
    by: Actor,
    at: Instant,
) -> bool:
    """Do what `update_act` does in the caller's transaction. Raises: the same."""
    if ended_at is not None and ended_at < started_at:
        raise InvalidInput("The act ends before it starts")
    act = tx.scalar(select(Act).where(Act.id == act_id, Act.case_id == case_id).with_for_update())
    if act is None:
        raise ActNotFound(act_id=act_id)
    given = {
        "stage": stage.value,
        "place": clean_text(place, "place", MAX_PLACE_CHARACTERS),
        "started_at": started_at,
        "ended_at": ended_at,
    }
    changed = {field: value for field, value in given.items() if value != getattr(act, field)}
    if not changed:
        return False
    was = {field: getattr(act, field) for field in changed}
    tx.execute(update(Act).where(Act.id == act_id).values(**changed))
    detail = {**_told(changed), "was": _told(was)}
    append_entry(
        tx, NewEntry(EntryType.CASE_ACT_UPDATED, by, Target("act", act_id), case=case_id, detail=detail), at=at
    )
    index_act(tx, case_id, act_id)
    return True


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as a log detail holds them, by the names that the first entry of the thing gave them."""
    named = {"subject_id": "subject"}
    return {named.get(field, field): _plain(value) for field, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Instant):
        return value.isoformat()
    return value if value is None or isinstance(value, str) else str(value)
