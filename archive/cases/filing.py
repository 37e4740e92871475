"""Opening cases, recording acts, linking and unlinking what is preserved."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.access.actors import unit_of
from archive.cases.act_officers import officers_numbered, set_act_officers
from archive.cases.events import publish_linked, publish_unlinked
from archive.cases.indexing import index_act, index_objects, index_sight
from archive.cases.models import Act, Case, CaseLink
from archive.cases.subjects import KnownSubject, NewSubject, settle_subject
from archive.cases.terms import Category, Stage
from archive.custody.events import object_to_file, record_event
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import sight_of
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import ActId, CaseId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.identifiers import IdentifierVault

MAX_NUMBER_CHARACTERS: Final = 100
MAX_TITLE_CHARACTERS: Final = 300
MAX_PLACE_CHARACTERS: Final = 300


class CaseNotFound(NotFound):
    """There is no such case, or it is not yours to see."""

    code = "cases.not_found"


class CaseNumberTaken(Conflict):
    """There is a case with this number."""

    code = "cases.number_taken"


class AlreadyLinked(Conflict):
    """It is filed under this case already."""

    code = "cases.already_linked"


class WouldUncover(Forbidden):
    """The case is restricted, and what is taken out of it would not be: somebody who is cleared for it does this."""

    code = "cases.would_uncover"


class NotLinked(NotFound):
    """It is not filed under this case."""

    code = "cases.not_linked"


class BoundInVolume(Conflict):
    """It is bound in a closed volume of the case file and stays there; what is new goes into the next volume."""

    code = "cases.bound_in_volume"


def open_case(
    database: Database,
    vault: IdentifierVault,
    *,
    number: str,
    title: str,
    category: Category,
    subject: KnownSubject | NewSubject,
    by: Actor,
    at: Instant,
) -> CaseId:
    """Open a case under a subject that is on record, or is recorded with it.

    Raises: CaseNumberTaken, InvalidInput, SubjectNotFound, IdentifierTaken, IdentifierUnreadable.
    """
    with unique_or(CaseNumberTaken), database.begin() as tx:
        return write_case(tx, vault, number=number, title=title, category=category, subject=subject, by=by, at=at)


def write_case(
    tx: Session,
    vault: IdentifierVault,
    *,
    number: str,
    title: str,
    category: Category,
    subject: KnownSubject | NewSubject,
    by: Actor,
    at: Instant,
) -> CaseId:
    """Do what `open_case` does in the caller's transaction, which goes inside `unique_or(CaseNumberTaken)`."""
    number = clean_text(number, "case number", MAX_NUMBER_CHARACTERS)
    title = clean_text(title, "title", MAX_TITLE_CHARACTERS)
    case_id = CaseId(new_uuid7())
    if tx.scalar(select(Case.id).where(Case.number == number)) is not None:
        raise CaseNumberTaken
    unit_id = unit_of(tx, by)
    subject_id = settle_subject(tx, vault, subject, by=by, at=at)
    insert_row(
        tx,
        Case,
        id=case_id,
        number=number,
        title=title,
        category=category.value,
        subject_id=subject_id,
        opened_at=at,
        opened_by=by.id,
        unit_id=unit_id,
    )
    append_entry(
        tx,
        NewEntry(
            EntryType.CASE_OPENED,
            by,
            Target("case", case_id),
            case=case_id,
            detail={
                "number": number,
                "title": title,
                "category": category.value,
                "subject": str(subject_id),
                "unit": str(unit_id),
            },
        ),
        at=at,
    )
    index_sight(tx, [case_id])
    return case_id


def record_act(
    database: Database,
    case_id: CaseId,
    *,
    stage: Stage,
    place: str,
    started_at: Instant,
    ended_at: Instant | None,
    officers: Sequence[str] = (),
    by: Actor,
    at: Instant,
) -> ActId:
    """Write down one act of a case, with the certificate numbers of who carries it out.

    Raises: CaseNotFound, OfficerUnknown, InvalidInput when it ends before it starts.
    """
    with database.begin() as tx:
        act_id = write_act(
            tx, case_id, stage=stage, place=place, started_at=started_at, ended_at=ended_at, by=by, at=at
        )
        set_act_officers(tx, case_id, act_id, officers_numbered(tx, officers), by=by, at=at)
        return act_id


def write_act(
    tx: Session,
    case_id: CaseId,
    *,
    stage: Stage,
    place: str,
    started_at: Instant,
    ended_at: Instant | None,
    by: Actor,
    at: Instant,
) -> ActId:
    """Do what `record_act` does in the caller's transaction. Raises: the same."""
    place = clean_text(place, "place", MAX_PLACE_CHARACTERS)
    if ended_at is not None and ended_at < started_at:
        raise InvalidInput("The act ends before it starts")
    act_id = ActId(new_uuid7())
    require_case(tx, case_id)
    insert_row(
        tx, Act, id=act_id, case_id=case_id, stage=stage.value, place=place, started_at=started_at, ended_at=ended_at
    )
    append_entry(
        tx,
        NewEntry(
            EntryType.CASE_ACT,
            by,
            Target("act", act_id),
            case=case_id,
            detail={
                "stage": stage.value,
                "place": place,
                "started_at": started_at.isoformat(),
                "ended_at": None if ended_at is None else ended_at.isoformat(),
            },
        ),
        at=at,
    )
    index_act(tx, case_id, act_id)
    return act_id


def link_object(
    database: Database,
    case_id: CaseId,
    object_id: ObjectId,
    *,
    act_id: ActId | None,
    reason: str,
    by: Actor,
    at: Instant,
) -> None:
    """File a preserved object under a case. Raises: CaseNotFound, ObjectNotFound, ObjectDestroyed, AlreadyLinked."""
    with unique_or(AlreadyLinked), database.begin() as tx:
        require_case(tx, case_id)
        object_to_file(tx, object_id)
        if tx.get(CaseLink, (case_id, object_id)) is not None:
            raise AlreadyLinked
        write_link(tx, case_id, object_id, act_id=act_id, reason=clean_text(reason, "reason", 500), by=by, at=at)


def write_link(
    tx: Session, case_id: CaseId, object_id: ObjectId, *, act_id: ActId | None, reason: str, by: Actor, at: Instant
) -> None:
    """Write a link and its custody event in the caller's transaction, which has made sure that both ends exist."""
    if act_id is not None and tx.scalar(select(Act.id).where(Act.id == act_id, Act.case_id == case_id)) is None:
        raise InvalidInput("The act is not one of this case")
    insert_row(tx, CaseLink, case_id=case_id, object_id=object_id, act_id=act_id, linked_by=by.id, linked_at=at)
    record_event(
        tx,
        object_id,
        NewEntry(
            EntryType.CASE_LINK,
            by,
            Target("object", object_id),
            case=case_id,
            detail={"reason": reason, "act": None if act_id is None else str(act_id)},
        ),
        at=at,
    )
    publish_linked(tx, case_id, object_id, act_id=act_id, at=at)
    index_objects(tx, [object_id])


def unlink_object(
    database: Database, case_id: CaseId, object_id: ObjectId, *, reason: str, by: Actor, at: Instant
) -> None:
    """Take an object out of a case; the object itself and the trace of the link stay.

    Raises: NotLinked, BoundInVolume, WouldUncover, InvalidInput.
    """
    reason = clean_text(reason, "reason", 500)
    with database.begin() as tx:
        sight = sight_of(tx)
        classes = tx.scalar(select(Case.classes).where(Case.id == case_id))
        if sight is not None and classes is not None and classes & ~sight.cleared:
            raise WouldUncover
        # The deletion is the lock: of two that unlink at once, one takes the row.
        gone = tx.execute(
            delete(CaseLink)
            .where(CaseLink.case_id == case_id, CaseLink.object_id == object_id, CaseLink.volume_id.is_(None))
            .returning(CaseLink.object_id)
        ).scalar_one_or_none()
        if gone is None:
            raise NotLinked if tx.get(CaseLink, (case_id, object_id)) is None else BoundInVolume
        record_event(
            tx,
            object_id,
            NewEntry(EntryType.CASE_UNLINK, by, Target("object", object_id), case=case_id, detail={"reason": reason}),
            at=at,
        )
        publish_unlinked(tx, case_id, object_id, at=at)
        index_objects(tx, [object_id])


def case_by_number(tx: Session, number: str) -> Case | None:
    """Return the case with this number, if there is one."""
    return tx.scalar(select(Case).where(Case.number == unicodedata.normalize("NFC", number).strip()))


def require_case(tx: Session, case_id: CaseId) -> Case:
    """Return the case. Raises: CaseNotFound."""
    case = tx.get(Case, case_id)
    if case is None:
        raise CaseNotFound(case_id=case_id)
    return case
