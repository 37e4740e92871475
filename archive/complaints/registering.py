"""Registering a complaint or a report: its number, its deadlines, and who is told."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.classes import RestrictedClass, bits
from archive.access.policy import Capability, require
from archive.complaints.complainants import (
    Complainant,
    clean_complainant,
    kept_sealed,
    sealed_columns,
    told_sealed,
)
from archive.complaints.handlers import NamedInComplaint, nearest_handlers, officer_of
from archive.complaints.linking import Links, write_links
from archive.complaints.models import Complaint, ComplaintCount, ComplaintStep
from archive.complaints.reaching import reach_complaints
from archive.complaints.rules import ComplaintRules
from archive.complaints.steps import clean_words, digest_of_text, words_of
from archive.complaints.terms import Channel, ComplaintKind, State
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.db.word_seals import sealed_words
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import ComplaintId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from archive.organisation.units import open_unit
from archive.ports.identifiers import IdentifierVault

_AHEAD: Final = timedelta(minutes=5)
"""How far the clock of whoever fills in a form may be ahead."""


class ComplaintNumberTaken(Conflict):
    """Another complaint has this number; the scheme of numbers may have been changed to one that was used before."""

    code = "complaints.number_taken"


@dataclass(frozen=True, slots=True)
class NewComplaint:
    """What is known when it comes in. `complainant` is None for one without a name."""

    kind: ComplaintKind
    channel: Channel
    received_at: Instant
    says: str
    unit_id: UUID
    complainant: Complainant | None = None
    links: Links = field(default_factory=Links)


def register_complaint(
    database: Database, vault: IdentifierVault, rules: ComplaintRules, given: NewComplaint, *, by: Caller, at: Instant
) -> ComplaintId:
    """Write a complaint or a report down, with its number and deadlines; those who can handle it are told.

    A report is of the class informant, so that only who is cleared for it sees it, whoever registers it.
    Raises: Forbidden, NamedInComplaint for one about whoever registers it, InvalidInput, UnitNotFound, OfficerNotFound,
        CaseNotFound, ObjectNotFound, ComplaintNumberTaken, IdentifierUnreadable.
    """
    require(by.roles, Capability.HANDLE_COMPLAINTS)
    says = clean_words(given.says)
    complainant = clean_complainant(given.complainant)
    if given.received_at > at + _AHEAD:
        raise InvalidInput("A complaint is received before it is registered")
    accept_by, answer_by = rules.deadlines(given.kind, given.received_at)
    complaint_id, step_id = ComplaintId(new_uuid7()), new_uuid7()
    classes = bits([RestrictedClass.INFORMANT]) if given.kind is ComplaintKind.REPORT else 0
    with unique_or(ComplaintNumberTaken), database.begin() as tx:
        open_unit(tx, given.unit_id)
        if officer_of(tx, by.account_id) in given.links.officers:
            raise NamedInComplaint
        sealed = sealed_columns(vault, complaint_id, complainant)
        number = _next_number(tx, rules, given.kind, given.received_at)
        insert_row(
            tx,
            Complaint,
            id=complaint_id,
            number=number,
            kind=given.kind.value,
            channel=given.channel.value,
            received_at=given.received_at,
            says=says,
            unit_id=given.unit_id,
            classes=classes,
            state=State.REGISTERED.value,
            accept_by=accept_by,
            answer_by=answer_by,
            due_at=accept_by,
            rules_from=rules.since,
            responsible_id=None,
            registered_at=at,
            registered_by=by.account_id,
            **sealed,
        )
        entry_id = append_entry(
            tx,
            NewEntry(
                EntryType.COMPLAINT_REGISTERED,
                by.actor,
                Target("complaint", complaint_id),
                detail={
                    "number": number,
                    "kind": given.kind.value,
                    "state": State.REGISTERED.value,
                    "channel": given.channel.value,
                    "unit": str(given.unit_id),
                    "received_at": given.received_at.isoformat(),
                    "accept_by": accept_by.isoformat(),
                    "answer_by": answer_by.isoformat(),
                    "says_sealed": sealed_words(tx, says, bound_to=words_of(complaint_id)),
                    "says_sha256": digest_of_text(says),
                    "rules_from": rules.since.isoformat(),
                    "step": str(step_id),
                    "complainant": told_sealed(sealed),
                    "sealed": kept_sealed(sealed),
                },
            ),
            at=at,
        )
        insert_row(
            tx,
            ComplaintStep,
            id=step_id,
            complaint_id=complaint_id,
            kind=State.REGISTERED.value,
            text="",
            at=at,
            by_id=by.account_id,
            entry_id=entry_id,
        )
        write_links(tx, complaint_id, given.links, by=by, at=at)
        reach_complaints(tx, [complaint_id])
        _tell(tx, complaint_id, number, by=by, at=at)
    return complaint_id


def _next_number(tx: Session, rules: ComplaintRules, kind: ComplaintKind, received_at: Instant) -> str:
    """Return the next number of the year. The row is locked to the end of the transaction: no number is given twice."""
    year = rules.year_of(received_at)
    upsert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    serial = tx.execute(
        upsert(ComplaintCount)
        .values(series=rules.series(kind, year=year), last=1)
        .on_conflict_do_update(index_elements=[ComplaintCount.series], set_={"last": ComplaintCount.last + 1})
        .returning(ComplaintCount.last)
    ).scalar_one()
    return rules.number(kind, year=year, serial=serial)


def _tell(tx: Session, complaint_id: ComplaintId, number: str, *, by: Caller, at: Instant) -> None:
    with unbound(tx):
        row = tx.scalars(select(Complaint).where(Complaint.id == complaint_id)).one()
        readers = [reader for reader in nearest_handlers(tx, row, at=at) if reader != by.account_id]
    link = f"/complaints/{complaint_id}"
    notify(tx, readers, NoticeKind.COMPLAINT_REGISTERED, params={"number": number}, link=link, at=at)
