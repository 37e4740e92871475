"""Handling a complaint: who is responsible, the states it goes through, and a log of steps, each with its entry."""

import hashlib
import unicodedata
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.complaints.handlers import complaint_to_handle, require_handler
from archive.complaints.models import Complaint, ComplaintStep
from archive.complaints.terms import FOLLOWING, WAITS_FOR_ANSWER, State, StepKind
from archive.db.base import insert_row
from archive.db.database import Database
from archive.db.word_seals import sealed_words
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import AccountId, ComplaintId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify

MAX_WORDS_CHARACTERS: Final = 5000


class StateDoesNotFollow(Conflict):
    """A complaint in this state does not go on to that one; somebody may have gone on with it already."""

    code = "complaints.state_does_not_follow"


def take_step(
    database: Database, complaint_id: ComplaintId, state: State, *, text: str, by: Caller, at: Instant
) -> None:
    """Go on to the next state, and say in words what was done.

    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, StateDoesNotFollow, InvalidInput.
    """
    text = clean_words(text)
    with database.begin() as tx:
        row = complaint_to_handle(tx, complaint_id, by=by)
        was = State(row.state)
        if state not in FOLLOWING[was]:
            raise StateDoesNotFollow(was=was.value, state=state.value)
        due_at = row.answer_by if state in WAITS_FOR_ANSWER else None
        tx.execute(update(Complaint).where(Complaint.id == complaint_id).values(state=state.value, due_at=due_at))
        write_step(tx, complaint_id, state.value, text, {"state": state.value, "was": was.value}, by=by, at=at)


def add_note(database: Database, complaint_id: ComplaintId, *, text: str, by: Caller, at: Instant) -> None:
    """Write down what was done without going on.

    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, InvalidInput.
    """
    text = clean_words(text)
    with database.begin() as tx:
        complaint_to_handle(tx, complaint_id, by=by)
        write_step(tx, complaint_id, StepKind.NOTE.value, text, {}, by=by, at=at)


def assign_complaint(
    database: Database, complaint_id: ComplaintId, account_id: AccountId, *, by: Caller, at: Instant
) -> None:
    """Make somebody responsible, who is told. The same person again writes nothing.

    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, NoHandler, StateDoesNotFollow for a closed one.
    """
    with database.begin() as tx:
        row = complaint_to_handle(tx, complaint_id, by=by)
        if row.state == State.CLOSED:
            raise StateDoesNotFollow(was=row.state)
        account = require_handler(tx, row, account_id, at=at)
        if row.responsible_id == account.id:
            return
        was = row.responsible_id
        tx.execute(update(Complaint).where(Complaint.id == complaint_id).values(responsible_id=account.id))
        name = account.display_name
        detail = {
            "responsible": str(account.id),
            "was": None if was is None else str(was),
            **_told(tx, step_id := new_uuid7(), name),
        }
        entry = NewEntry(EntryType.COMPLAINT_ASSIGNED, by.actor, Target("complaint", complaint_id), detail=detail)
        entry_id = append_entry(tx, entry, at=at)
        _insert(tx, step_id, complaint_id, StepKind.ASSIGNED.value, name, entry_id, by=by, at=at)
        if account.id != by.account_id:
            notify(
                tx,
                [account.id],
                NoticeKind.COMPLAINT_ASSIGNED,
                params={"number": row.number},
                link=f"/complaints/{complaint_id}",
                at=at,
            )


def clean_words(text: str) -> str:
    """Return what somebody wrote in lines, in NFC. Raises: InvalidInput when empty, too long, or not to be shown."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text or len(text) > MAX_WORDS_CHARACTERS:
        raise InvalidInput(f"The text has 1 to {MAX_WORDS_CHARACTERS} characters")
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in text):
        raise InvalidInput("The text holds control characters")
    return text


def digest_of_text(text: str) -> str:
    """Return what the log says of words that may name people: what notices that they were changed."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_step(
    tx: Session, complaint_id: ComplaintId, kind: str, text: str, detail: dict[str, Any], *, by: Caller, at: Instant
) -> None:
    """Write a step with its entry in the caller's transaction; the words are clean."""
    step_id = new_uuid7()
    entry = NewEntry(
        EntryType.COMPLAINT_STEP,
        by.actor,
        Target("complaint", complaint_id),
        detail={**detail, **_told(tx, step_id, text)},
    )
    _insert(tx, step_id, complaint_id, kind, text, append_entry(tx, entry, at=at), by=by, at=at)


def words_of(row_id: UUID) -> str:
    """Return what the sealed words of a complaint or of a step are bound to."""
    return f"liuhen complaint words v1 {row_id}"


def _told(tx: Session, step_id: UUID, text: str) -> dict[str, str]:
    """Return what the log says of a step beside its kind: what its row comes back from when the database is lost."""
    sealed = sealed_words(tx, text, bound_to=words_of(step_id))
    return {"step": str(step_id), "text_sealed": sealed, "text_sha256": digest_of_text(text)}


def _insert(
    tx: Session,
    step_id: UUID,
    complaint_id: ComplaintId,
    kind: str,
    text: str,
    entry_id: UUID,
    *,
    by: Caller,
    at: Instant,
) -> None:
    insert_row(
        tx,
        ComplaintStep,
        id=step_id,
        complaint_id=complaint_id,
        kind=kind,
        text=text,
        at=at,
        by_id=by.account_id,
        entry_id=entry_id,
    )
