"""Deciding about a list: appraisal, approval, supervision, and taking it back while nothing is gone.

Each act is one person's, who has given the own password again, and stands in the log with the digest of what it is
about: the frozen list, and which of its objects nobody has struck.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller, roles_in, text_of_roles
from archive.access.models import Account
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import DispositionId, ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from retention.disposition.authority import Objection, Taken, is_seasoned, is_sufficient, objection
from retention.disposition.confirming import Confirmed
from retention.disposition.freezing import digest_of_standing, items_of, standing_ids
from retention.disposition.models import DispositionItem, DispositionList, DispositionPart
from retention.disposition.rules import DisposalRules
from retention.disposition.terms import TARGET, WITHDRAWABLE, ItemState, ListState, Opinion, Part
from retention.disposition.vouching import vouch

MOST_WORDS: Final = 1000
MOST_REASON: Final = 500
WITHDRAWING: Final = (
    Capability.PROPOSE_DISPOSAL,
    Capability.APPRAISE_DISPOSAL,
    Capability.APPROVE_DISPOSAL,
    Capability.SUPERVISE_DISPOSAL,
)
"""Whoever has any of these may take a list back: keeping is easy."""


class ListNotFound(NotFound):
    """There is no such list, or it is not yours to see."""

    code = "disposition.not_found"


class PartRefused(Forbidden):
    """You cannot have this part of this list."""

    code = "disposition.part_refused"


class ListMovedOn(Conflict):
    """The list is not in this state any more: look at it again."""

    code = "disposition.moved_on"


class NothingLeft(Conflict):
    """Everything on this list was struck: there is nothing to approve."""

    code = "disposition.nothing_left"


class NotOnList(InvalidInput):
    """What is to be struck does not stand on this list, or was struck already."""

    code = "disposition.not_on_list"


def appraise(
    database: Database,
    rules: DisposalRules,
    list_id: DispositionId,
    opinion: Opinion,
    *,
    words: str,
    struck: Mapping[ObjectId, str] | None = None,
    by: Confirmed,
    at: Instant,
) -> None:
    """State an opinion for the list as a member of its appraisal group, and strike objects from it, each with a reason.

    Raises: NotConfirmed, ListNotFound, ListMovedOn, PartRefused, NotOnList, InvalidInput.
    """
    caller, words = by.require_fresh(at), clean_text(words, "words", MOST_WORDS)
    reasons = {each: clean_text(reason, "reason", MOST_REASON) for each, reason in (struck or {}).items()}
    with database.begin() as tx:
        row = _locked(tx, list_id, ListState.PROPOSED)
        require_part(tx, rules, taken_of(tx, list_id), Part.APPRAISE, caller, at=at)
        for object_id, reason in reasons.items():
            changed = tx.execute(
                update(DispositionItem)
                .where(
                    DispositionItem.list_id == list_id,
                    DispositionItem.object_id == object_id,
                    DispositionItem.state == ItemState.LISTED.value,
                )
                .values(state=ItemState.STRUCK.value, reason=reason, state_at=at)
            )
            if changed.rowcount != 1:  # type: ignore[attr-defined]
                raise NotOnList(object_id=str(object_id))
        detail = {
            "opinion": opinion.value,
            "words": words,
            "struck": [{"object": str(each), "reason": reason} for each, reason in sorted(reasons.items())],
        }
        _take(
            tx,
            rules,
            row,
            Part.APPRAISE,
            EntryType.DISPOSAL_APPRAISED,
            detail,
            caller,
            at=at,
            words=words,
            opinion=opinion,
        )


def decide(
    database: Database,
    rules: DisposalRules,
    list_id: DispositionId,
    *,
    approves: bool,
    words: str,
    by: Confirmed,
    at: Instant,
) -> None:
    """Approve what nobody struck, or refuse the list, which ends it.

    Raises: NotConfirmed, ListNotFound, ListMovedOn, PartRefused, NothingLeft, InvalidInput.
    """
    caller, words = by.require_fresh(at), clean_text(words, "words", MOST_WORDS)
    with database.begin() as tx:
        row = _locked(tx, list_id, ListState.PROPOSED)
        require_part(tx, rules, taken_of(tx, list_id), Part.APPROVE, caller, at=at, only_ability=not approves)
        if approves and not standing_ids(items_of(tx, list_id)):
            raise NothingLeft
        detail = {"approves": approves, "words": words}
        _take(tx, rules, row, Part.APPROVE, EntryType.DISPOSAL_DECIDED, detail, caller, at=at, words=words)
        if approves:
            _change(tx, list_id, state=ListState.APPROVED.value)
        else:
            _change(tx, list_id, state=ListState.REFUSED.value, **_ended(caller.account_id, words, at))


def supervise(
    database: Database, rules: DisposalRules, list_id: DispositionId, *, words: str, by: Confirmed, at: Instant
) -> Instant | None:
    """Agree to supervise the destruction (监销); with the second who does, the recovery period begins.

    Returns when that ends, None while another supervisor is needed.
    Raises: NotConfirmed, ListNotFound, ListMovedOn, PartRefused, InvalidInput.
    """
    caller, words = by.require_fresh(at), clean_text(words, "words", MOST_WORDS)
    with database.begin() as tx:
        row = _locked(tx, list_id, ListState.APPROVED)
        taken = taken_of(tx, list_id)
        require_part(tx, rules, taken, Part.SUPERVISE, caller, at=at)
        complete = is_sufficient([*taken, Taken(caller.account_id, Part.SUPERVISE, caller.roles)])
        until = at + timedelta(days=row.period_days) if complete else None
        detail = {"words": words, "recovers_until": None if until is None else format_instant(until)}
        _take(tx, rules, row, Part.SUPERVISE, EntryType.DISPOSAL_SUPERVISED, detail, caller, at=at, words=words)
        if until is not None:
            _change(tx, list_id, state=ListState.WAITING.value, recovers_until=until)
            params = {"number": row.number, "day": local_day(until).isoformat()}
            notify(
                tx, [*_people(tx, list_id)], NoticeKind.DISPOSAL_WAITING, params=params, link=link_of(list_id), at=at
            )
    return until


def withdraw(database: Database, list_id: DispositionId, *, reason: str, by: Confirmed, at: Instant) -> None:
    """Take a list back, by anybody who may have a part of one; nothing of it is gone yet.

    Raises: NotConfirmed, Forbidden, ListNotFound, ListMovedOn, InvalidInput.
    """
    caller, reason = by.require_fresh(at), clean_text(reason, "reason", MOST_WORDS)
    if not any(caller.may(each) for each in WITHDRAWING):
        raise Forbidden(capability=Capability.PROPOSE_DISPOSAL.value)
    with database.begin() as tx:
        row = _locked(tx, list_id, *WITHDRAWABLE)
        _change(tx, list_id, state=ListState.WITHDRAWN.value, **_ended(caller.account_id, reason, at))
        detail = {"reason": reason, "sha256": row.sha256}
        append_entry(
            tx, NewEntry(EntryType.DISPOSAL_WITHDRAWN, caller.actor, Target(TARGET, list_id), detail=detail), at=at
        )
        others = set(_people(tx, list_id)) - {caller.account_id}
        params = {"number": row.number}
        notify(tx, others, NoticeKind.DISPOSAL_ENDED, params=params, link=link_of(list_id), at=at)


def require_part(
    tx: Session,
    rules: DisposalRules,
    taken: Sequence[Taken],
    part: Part,
    caller: Caller,
    *,
    at: Instant,
    only_ability: bool = False,
) -> None:
    """Refuse a part that somebody cannot have now; `only_ability` asks for no opinions (a refusal waits for none).

    Raises: PartRefused, with the cause as a fact.
    """
    found = objection(taken, caller.account_id, part, caller.roles)
    if only_ability and found in {Objection.TOO_EARLY, Objection.OPPOSED}:
        found = None
    if found is None and not is_seasoned(_roles_since(tx, caller.account_id), at=at, period=rules.period):
        found = Objection.TOO_NEW
    if found is not None:
        raise PartRefused(part=part.value, why=found.value)


def taken_of(tx: Session, list_id: UUID) -> Sequence[Taken]:
    """Return who has which part of a list, as the catalogue says."""
    rows = tx.scalars(
        select(DispositionPart).where(DispositionPart.list_id == list_id).order_by(DispositionPart.at)
    ).all()
    return [
        Taken(row.account_id, Part(row.part), roles_in(row.roles), row.opinion != Opinion.KEEP.value) for row in rows
    ]


def link_of(list_id: UUID) -> str:
    """Return where the page of a list is."""
    return f"/dispositions/{list_id}"


def _roles_since(tx: Session, account_id: UUID) -> Instant:
    account = tx.get_one(Account, account_id)
    return account.roles_since or account.created_at


def _locked(tx: Session, list_id: DispositionId, *states: ListState) -> DispositionList:
    row = tx.scalar(select(DispositionList).where(DispositionList.id == list_id).with_for_update())
    if row is None:
        raise ListNotFound(list_id=list_id)
    if row.state not in {state.value for state in states}:
        raise ListMovedOn(state=row.state)
    return row


def _take(
    tx: Session,
    rules: DisposalRules,
    row: DispositionList,
    part: Part,
    kind: EntryType,
    detail: Mapping[str, Any],
    caller: Caller,
    *,
    at: Instant,
    words: str,
    opinion: Opinion | None = None,
) -> None:
    """Write a part down with its entry, which names what was decided about and as what."""
    tx.flush()
    roles = text_of_roles(caller.roles)
    standing = digest_of_standing(standing_ids(items_of(tx, row.id)))
    told = {**detail, "roles": roles, "sha256": row.sha256, "standing": standing}
    told = vouch(rules.key, kind, row.id, str(caller.account_id), at, told)
    entry_id = append_entry(tx, NewEntry(kind, caller.actor, Target(TARGET, row.id), detail=told), at=at)
    insert_row(
        tx,
        DispositionPart,
        list_id=row.id,
        account_id=caller.account_id,
        part=part.value,
        roles=roles,
        opinion=None if opinion is None else opinion.value,
        words=words,
        at=at,
        entry_id=entry_id,
    )


def _change(tx: Session, list_id: UUID, **values: Any) -> None:
    tx.execute(update(DispositionList).where(DispositionList.id == list_id).values(**values))


def _ended(by: UUID, reason: str, at: Instant) -> dict[str, Any]:
    return {"ended_by": by, "ended_at": at, "end_reason": reason}


def _people(tx: Session, list_id: UUID) -> Sequence[UUID]:
    return tx.scalars(select(DispositionPart.account_id).where(DispositionPart.list_id == list_id)).all()
