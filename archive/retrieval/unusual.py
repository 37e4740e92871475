"""Which accesses are unusual, by rules as data: found afterwards, written down, checked by somebody else."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller, roles_in
from archive.access.models import Account
from archive.access.policy import Capability, require, roles_with
from archive.cases.models import Act, ActOfficer, Case, CaseLink, CaseMember, Subject
from archive.complaints.models import Complaint, ComplaintCase, ComplaintObject, ComplaintOfficer
from archive.custody.models import AccessRecord
from archive.db.base import insert_rows
from archive.db.database import Database
from archive.kernel.errors import Conflict, Forbidden, NotFound
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from archive.organisation.units import lines_of
from archive.retrieval.decisions import is_own
from archive.retrieval.models import UnusualAccess
from archive.retrieval.rules import Many, Night, OutsideOwnCases, OwnName, RetrievalRules, Unusual
from archive.retrieval.trace import told_to

BREAK_GLASS: Final = "break_glass"
"""What was opened in an emergency is always shown with what is unusual."""
MAX_WORDS_CHARACTERS: Final = 500
_BATCH: Final = 200
_TOLD_ONCE_WITHIN: Final = timedelta(days=1)


class UnusualNotFound(NotFound):
    """There is no such unusual access, or it is not yours to see."""

    code = "retrieval.unusual_not_found"


class UnusualChecked(Conflict):
    """Somebody else has checked this access meanwhile."""

    code = "retrieval.unusual_checked"


class OwnAccess(Forbidden):
    """Nobody checks the own accesses."""

    code = "retrieval.own_access"


@dataclass(frozen=True, slots=True)
class _Looker:
    """An account that looked."""

    account: Account
    at: Instant


def judge_accesses(database: Database, rules: RetrievalRules, *, at: Instant) -> int:
    """Hold up to 200 accesses against the rules, the oldest first; return how many there were.

    Guarantees: what is unusual is committed together with its log entry and the notice to who reads the trace.
    """
    with database.begin() as tx:
        records = tx.scalars(
            select(AccessRecord)
            .where(AccessRecord.is_judged.is_(False))
            .order_by(AccessRecord.at, AccessRecord.entry_id)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for record in records:
            account = tx.get(Account, record.actor_id)
            names = [] if account is None else list(_unusual(tx, record, account, rules))
            tx.execute(update(AccessRecord).where(AccessRecord.entry_id == record.entry_id).values(is_judged=True))
            if account is not None and names:
                _write(tx, record, account, names, at=at)
    return len(records)


def check_access(database: Database, entry_id: UUID, *, words: str, by: Caller, at: Instant) -> None:
    """Say what was found of an unusual access that was somebody else's.

    Guarantees: on return what was found and its log entry are committed together.
    Raises: Forbidden, UnusualNotFound, UnusualChecked, OwnAccess, InvalidInput.
    """
    require(by.roles, Capability.READ_TRACE)
    words = clean_text(words, "words", MAX_WORDS_CHARACTERS)
    with database.begin() as tx:
        record = tx.scalar(select(AccessRecord).where(AccessRecord.entry_id == entry_id, told_to(tx, by)))
        if (
            record is None
            or tx.scalar(select(UnusualAccess.rule).where(UnusualAccess.entry_id == entry_id).limit(1)) is None
        ):
            raise UnusualNotFound
        if record.actor_id == by.account_id:
            raise OwnAccess
        changed = tx.execute(
            update(UnusualAccess)
            .where(UnusualAccess.entry_id == entry_id, UnusualAccess.checked_by.is_(None))
            .values(checked_by=by.account_id, checked_at=at, words=words)
            .returning(UnusualAccess.rule)
        ).all()
        if not changed:
            raise UnusualChecked
        entry = NewEntry(EntryType.ACCESS_CHECKED, by.actor, Target("access", entry_id), detail={"words": words})
        append_entry(tx, entry, at=at)


def _unusual(tx: Session, record: AccessRecord, account: Account, rules: RetrievalRules) -> Iterator[str]:
    if record.type == EntryType.ACCESS_BREAK_GLASS.value:
        yield BREAK_GLASS
    for name, rule in rules.unusual.items():
        if _fits(tx, record, account, name, rule):
            yield name


def _fits(tx: Session, record: AccessRecord, account: Account, name: str, rule: Unusual) -> bool:
    match rule:
        case Many():
            return _are_many(tx, record, name, rule)
        case Night():
            return rule.has(record.at.astimezone(BUREAU_ZONE).time())
        case OutsideOwnCases(roles):
            return not roles.isdisjoint(roles_in(account.roles)) and _is_outside(tx, record, account)
        case OwnName():
            return _is_about(tx, record, account)


def _are_many(tx: Session, record: AccessRecord, name: str, rule: Many) -> bool:
    """Return whether these are too many things; within the same time that is said once."""
    since = record.at - rule.within
    mine = (AccessRecord.actor_id == record.actor_id, AccessRecord.at > since, AccessRecord.at <= record.at)
    count = tx.scalar(select(func.count(func.distinct(AccessRecord.ref_id))).where(*mine)) or 0
    said = select(UnusualAccess.entry_id).join(AccessRecord, AccessRecord.entry_id == UnusualAccess.entry_id)
    return count > rule.things and tx.scalar(said.where(*mine, UnusualAccess.rule == name).limit(1)) is None


def _is_outside(tx: Session, record: AccessRecord, account: Account) -> bool:
    if record.ref_id is None or record.ref_kind not in {"item", "record", "case"}:
        return False
    if record.ref_kind != "case" and is_own(tx, record.ref_id, account.id):
        return False
    belongs = or_(
        Case.opened_by == account.id,
        exists().where(CaseMember.case_id == Case.id, CaseMember.account_id == account.id),
        exists().where(
            Act.case_id == Case.id, ActOfficer.act_id == Act.id, ActOfficer.officer_id == account.officer_id
        ),
    )
    return tx.scalar(select(Case.id).where(Case.id.in_(_cases(record)), belongs).limit(1)) is None


def _is_about(tx: Session, record: AccessRecord, account: Account) -> bool:
    if record.ref_id is None:
        return False
    name = unicodedata.normalize("NFC", account.display_name).strip()
    against = select(Subject.id).join(Case, Case.subject_id == Subject.id).where(Case.id.in_(_cases(record)))
    subject = select(Subject.id).where(Subject.id == record.ref_id, Subject.name == name)
    complained = (
        select(Complaint.id)
        .join(ComplaintOfficer, ComplaintOfficer.complaint_id == Complaint.id)
        .where(
            ComplaintOfficer.officer_id == account.officer_id,
            or_(
                Complaint.id == record.ref_id,
                exists().where(ComplaintCase.complaint_id == Complaint.id, ComplaintCase.case_id.in_(_cases(record))),
                exists().where(
                    ComplaintObject.complaint_id == Complaint.id, ComplaintObject.object_id == record.ref_id
                ),
            ),
        )
    )
    queries = (against.where(Subject.name == name), subject, complained)
    return any(tx.scalar(query.limit(1)) is not None for query in queries)


def _cases(record: AccessRecord) -> Any:
    """Return the cases that an access is about: the one that was looked at, or those that the thing is filed under."""
    if record.ref_kind == "case":
        return [record.ref_id]
    return select(CaseLink.case_id).where(CaseLink.object_id == record.ref_id)


def _write(tx: Session, record: AccessRecord, account: Account, names: Sequence[str], *, at: Instant) -> None:
    known = set(
        tx.scalars(
            select(UnusualAccess.rule)
            .join(AccessRecord, AccessRecord.entry_id == UnusualAccess.entry_id)
            .where(AccessRecord.actor_id == account.id, UnusualAccess.found_at > at - _TOLD_ONCE_WITHIN)
        )
    )
    rows = [
        {
            "entry_id": record.entry_id,
            "rule": name,
            "found_at": at,
            "checked_by": None,
            "checked_at": None,
            "words": None,
        }
        for name in names
    ]
    insert_rows(tx, UnusualAccess, rows)
    entry = NewEntry(
        EntryType.ACCESS_UNUSUAL, ARCHIVE, Target("access", record.entry_id), detail={"rules": sorted(names)}
    )  # fmt: skip
    append_entry(tx, entry, at=at)
    if not known.issuperset(names):
        params = {"name": account.display_name}
        notify(
            tx, _readers(tx, account), NoticeKind.RETRIEVAL_UNUSUAL, params=params, link="/trace?which=unusual", at=at
        )


def _readers(tx: Session, account: Account) -> Sequence[UUID]:
    """Return who reads the trace in the line of units of whoever looked."""
    line = lines_of(tx, [account.unit_id])[account.unit_id]
    roles = roles_with(Capability.READ_TRACE)
    return tx.scalars(
        select(Account.id).where(
            Account.unit_id.in_(line),
            Account.id != account.id,
            Account.disabled_at.is_(None),
            or_(*(Account.roles.contains(role.value) for role in sorted(roles))),
        )
    ).all()
