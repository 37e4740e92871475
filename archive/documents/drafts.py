"""Drafts: text records that are being written. They save themselves; nobody overwrites what somebody else wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.documents.models import Draft, TextRecord
from archive.documents.template_loading import load_template
from archive.documents.template_texts import kept_template
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import ActId, CaseId, DraftId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

MAX_TITLE_CHARACTERS: Final = 300
MAX_REASON_CHARACTERS: Final = 500
MAX_VALUES_BYTES: Final = 1024 * 1024


class DraftState(StrEnum):
    """Where a draft stands: it is written, its PDF is set and waits for signatures, it is filed, or was given up."""

    WRITING = "writing"
    SET = "set"
    FILED = "filed"
    DROPPED = "dropped"


class DraftNotFound(NotFound):
    """There is no such draft, or it is not yours to see."""

    code = "documents.draft_not_found"


class DraftChanged(Conflict):
    """Somebody else has saved this draft since you opened it: look at what is there, then save again."""

    code = "documents.draft_changed"


class DraftEnded(Conflict):
    """This is no draft any more: it is set, filed or dropped."""

    code = "documents.draft_ended"


@dataclass(frozen=True, slots=True)
class Amending:
    """Which filed record a draft amends, and why."""

    record_id: ObjectId
    reason: str


def begin_draft(
    tx: Session,
    template_text: str,
    *,
    case_id: CaseId,
    title: str,
    values: Mapping[str, Any],
    act_id: ActId | None = None,
    amending: Amending | None = None,
    by: Actor,
    at: Instant,
) -> DraftId:
    """Begin a text record by a template in the caller's transaction, which has made sure of case and act.

    Raises: TemplateInvalid, InvalidInput, DraftNotFound where the record to amend is not there.
    """
    template, (sha256, is_new) = load_template(template_text), kept_template(tx, template_text)
    title, draft_id = clean_text(title, "title", MAX_TITLE_CHARACTERS), DraftId(new_uuid7())
    reason = None if amending is None else clean_text(amending.reason, "reason", MAX_REASON_CHARACTERS)
    if amending is not None and tx.get(TextRecord, amending.record_id) is None:
        raise DraftNotFound(object_id=amending.record_id)
    amends_id = None if amending is None else amending.record_id
    insert_row(
        tx,
        Draft,
        id=draft_id,
        case_id=case_id,
        act_id=act_id,
        template=template.code,
        template_version=template.version,
        template_sha256=sha256,
        title=title,
        field_values=_as_text(values),
        revision=1,
        state=DraftState.WRITING.value,
        begun_by=by.id,
        begun_at=at,
        saved_by=by.id,
        saved_at=at,
        amends_id=amends_id,
        amend_reason=reason,
    )
    detail = {
        "template": template.code,
        "template_version": template.version,
        "template_sha256": sha256,
        "case": str(case_id),
        "act": None if act_id is None else str(act_id),
        "amends": None if amends_id is None else str(amends_id),
        "amend_reason": reason,
        "state": DraftState.WRITING.value,
        **({"template_text": template_text} if is_new else {}),
    }
    append_entry(
        tx, NewEntry(EntryType.RECORD_DRAFTED, by, Target("record", draft_id), case=case_id, detail=detail), at=at
    )
    return draft_id


def save_draft(
    tx: Session, draft_id: DraftId, *, revision: int, title: str, values: Mapping[str, Any], by: Actor, at: Instant
) -> int:
    """Save what was written, in the caller's transaction; return the new revision. The log tells it once it is set.

    `revision` is the one that was read: where another has been saved since, nothing is written.
    Raises: DraftNotFound, DraftEnded, DraftChanged, InvalidInput.
    """
    row = locked_draft(tx, draft_id, DraftState.WRITING)
    if row.revision != revision:
        raise DraftChanged(draft_id=draft_id, revision=row.revision)
    changed = {"title": clean_text(title, "title", MAX_TITLE_CHARACTERS), "field_values": _as_text(values)}
    if changed["title"] == row.title and changed["field_values"] == row.field_values:
        return revision
    tx.execute(
        update(Draft).where(Draft.id == draft_id).values(**changed, revision=revision + 1, saved_by=by.id, saved_at=at)
    )
    return revision + 1


def drop_draft(tx: Session, draft_id: DraftId, *, reason: str, by: Actor, at: Instant) -> None:
    """Give up a draft, in the caller's transaction. Raises: DraftNotFound, DraftEnded, InvalidInput."""
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    row = locked_draft(tx, draft_id, DraftState.WRITING)
    tx.execute(update(Draft).where(Draft.id == draft_id).values(state=DraftState.DROPPED.value))
    append_entry(
        tx,
        NewEntry(
            EntryType.RECORD_DROPPED,
            by,
            Target("record", draft_id),
            case=CaseId(row.case_id),
            detail={"reason": reason, "state": DraftState.DROPPED.value},
        ),
        at=at,
    )


def locked_draft(tx: Session, draft_id: DraftId, *states: DraftState) -> Draft:
    """Return a draft that is in one of the states, locked till the transaction ends.

    Raises: DraftNotFound, DraftEnded.
    """
    row = tx.scalar(select(Draft).where(Draft.id == draft_id).with_for_update(key_share=True))
    if row is None:
        raise DraftNotFound(draft_id=draft_id)
    if row.state not in states:
        raise DraftEnded(draft_id=draft_id, state=row.state)
    return row


def draft(tx: Session, draft_id: DraftId) -> Draft:
    """Return a draft. Raises: DraftNotFound."""
    row = tx.scalar(select(Draft).where(Draft.id == draft_id))
    if row is None:
        raise DraftNotFound(draft_id=draft_id)
    return row


def drafts_of_case(tx: Session, case_id: CaseId) -> Sequence[Draft]:
    """Return what is being written for a case and not filed yet, the oldest first."""
    open_ones = (DraftState.WRITING.value, DraftState.SET.value)
    return tx.scalars(
        select(Draft).where(Draft.case_id == case_id, Draft.state.in_(open_ones)).order_by(Draft.begun_at, Draft.id)
    ).all()


def values_of(row: Draft) -> Mapping[str, Any]:
    """Return what was written in a draft, by field."""
    told: Mapping[str, Any] = parse_canonical(row.field_values.encode())
    return told


def _as_text(values: Mapping[str, Any]) -> str:
    text = canonical_json(dict(values))
    if len(text) > MAX_VALUES_BYTES:
        raise InvalidInput("A draft has at most 1 MiB", size_bytes=len(text))
    return text.decode()
