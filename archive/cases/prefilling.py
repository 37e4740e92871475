"""First values of a form: what the archive knows of case, act, subject and officer, so that nobody types it twice.

Only what the form can hold is filled in: a text that is longer than its field, or a day for a field of another kind,
is left to whoever writes. What a template names as `default` stands where nothing is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.cases.changes import ActNotFound
from archive.cases.filing import CaseNotFound
from archive.cases.form_contexts import case_days
from archive.cases.identifiers import IdentifierKind
from archive.cases.merges import members, root_of
from archive.cases.models import Act, ActOfficer, Case, Subject, SubjectIdentifier
from archive.cases.subjects import identifier_rows, opened_identifier
from archive.custody.accesses import record_access
from archive.documents import template_fields as kinds
from archive.documents.form_findings import ValuesRefused
from archive.documents.template import Template
from archive.documents.values import as_values
from archive.kernel.ids import ActId, CaseId, OfficerId, SubjectId
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.organisation.models import Agency, Officer, Unit
from archive.ports.identifiers import IdentifierUnreadable, IdentifierVault

FILL_PURPOSE: Final = "填写文书"
"""What the log says a whole number was shown for that a form is filled in with."""
_PREFERRED: Final = (IdentifierKind.CREDIT_CODE, IdentifierKind.RESIDENT_ID, IdentifierKind.PASSPORT)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the archive knows around a form."""

    case: Case
    subject: Subject
    unit: Unit
    agency: Agency
    act: Act | None
    officers: Sequence[Officer]
    writer: Officer | None
    filed_on: date | None
    number: str | None
    at: Instant


def prefilled(
    tx: Session,
    template: Template,
    *,
    case_id: CaseId,
    act_id: ActId | None = None,
    officer_id: OfficerId | None = None,
    at: Instant,
    identifiers: IdentifierVault,
    by: Caller | None = None,
) -> dict[str, Any]:
    """Return the first values of a form as user input, by field; what is not known or does not fit is not there.

    `officer_id` is the officer who writes: named where the act names nobody. The subject's whole number is filled in
    for a caller `by` who may see whole numbers, where a field asks for it; `tx` MUST then be a writing transaction,
    since the log tells that it was shown.
    Raises: CaseNotFound, ActNotFound.
    """
    known = _known(tx, case_id, act_id, officer_id, at=at)
    if by is not None and by.may(Capability.SHOW_IDENTIFIERS) and _wants_number(template):
        known = _with_number(tx, known, identifiers, by, at=at)
    found: dict[str, Any] = {}
    for field in template.fields:
        for given in (_fill(field, known), getattr(field, "default", None)):
            if given not in (None, "", [], {}) and _fits(template, field.name, given):
                found[field.name] = given
                break
    return found


def _known(tx: Session, case_id: CaseId, act_id: ActId | None, officer_id: OfficerId | None, *, at: Instant) -> _Known:
    row = tx.execute(
        select(Case, Subject, Unit, Agency)
        .select_from(Case)
        .join(Subject, Subject.id == root_of(Case.subject_id))
        .join(Unit, Unit.id == Case.unit_id)
        .join(Agency, Agency.id == Unit.agency_id)
        .where(Case.id == case_id)
    ).one_or_none()
    if row is None:
        raise CaseNotFound(case_id=case_id)
    case, subject, unit, agency = row
    act = None if act_id is None else tx.scalar(select(Act).where(Act.id == act_id, Act.case_id == case_id))
    if act_id is not None and act is None:
        raise ActNotFound(act_id=act_id)
    officers: Sequence[Officer] = []
    if act is not None:
        query = select(Officer).join(ActOfficer, ActOfficer.officer_id == Officer.id).where(ActOfficer.act_id == act.id)
        officers = tx.scalars(query.order_by(Officer.certificate_number)).all()
    writer = None if officer_id is None else tx.get(Officer, officer_id)
    filed_on = case_days(tx, case_id).get("filed_on")
    return _Known(case, subject, unit, agency, act, officers, writer, filed_on, None, at)


def _wants_number(template: Template) -> bool:
    return any(field.fill == "case.subject" and isinstance(field, kinds.SubjectField) for field in template.fields)


def _with_number(tx: Session, known: _Known, vault: IdentifierVault, by: Caller, *, at: Instant) -> _Known:
    """Return what is known with the subject's number, if there is one; the log tells of it in this transaction."""
    rows = identifier_rows(tx, members(tx, SubjectId(known.subject.id)))
    row = min(rows, key=lambda each: (_rank(each), each.subject_id != known.subject.id), default=None)
    if row is None:
        return known
    try:
        number = opened_identifier(vault, row).number
    except IdentifierUnreadable:
        return known
    detail = {
        "purpose": f"{FILL_PURPOSE}：{known.case.number}",
        "identifier": str(row.id),
        "kind": row.kind,
    }
    target = Target("subject", row.subject_id)
    record_access(tx, NewEntry(EntryType.ACCESS_IDENTIFIER, by.actor, target, detail=detail), at=at)
    return replace(known, number=number)


def _rank(row: SubjectIdentifier) -> int:
    kind = IdentifierKind(row.kind)
    return _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED)


def _fits(template: Template, name: str, given: Any) -> bool:
    """Return whether the form reads this value; one that is refused would be in the way of whoever writes."""
    try:
        return as_values(template, {name: given}).get(name) is not None
    except ValuesRefused:
        return False


def _named(field: kinds.AnyField, name: str | None) -> Any:
    """Return a name as text, or as the name of a person or subject."""
    return {"name": name} if name and isinstance(field, kinds.PersonField | kinds.SubjectField) else name


def _subject(field: kinds.AnyField, known: _Known) -> Any:
    found = _named(field, known.subject.name)
    if isinstance(field, kinds.SubjectField) and known.number is not None:
        found["number"] = known.number
    return found


def _officers(field: kinds.AnyField, known: _Known) -> Any:
    officers = list(known.officers) or ([] if known.writer is None else [known.writer])
    if isinstance(field, kinds.OfficersField):
        shown = officers[: field.most]
        return [{"name": one.name, "certificate_number": one.certificate_number} for one in shown]
    return "、".join(one.name for one in officers)


def _time(field: kinds.AnyField, at: Instant) -> str:
    """Return a moment as the bureau writes it, or only its day."""
    if isinstance(field, kinds.DateField):
        return local_day(at).isoformat()
    return at.astimezone(BUREAU_ZONE).isoformat(timespec="minutes")


def _fill(field: kinds.AnyField, known: _Known) -> Any:
    """Return what is known of the word that a field is filled by; None for nothing.

    The number of a record is not known before somebody gives it one.
    """
    if field.fill == "case.subject":
        return _subject(field, known)
    if field.fill == "act.officers":
        return _officers(field, known)
    case, act, writer = known.case, known.act, known.writer
    found: Any = {
        "agency.name": known.agency.name,
        "unit.name": known.unit.name,
        "case.number": case.number,
        "case.title": case.title,
        "case.category": case.category,
        "case.filed_on": None if known.filed_on is None else known.filed_on.isoformat(),
        "act.place": None if act is None else act.place,
        "act.started_at": None if act is None else act.started_at,
        "act.ended_at": None if act is None else act.ended_at,
        "officer.name": None if writer is None else writer.name,
        "officer.certificate_number": None if writer is None else writer.certificate_number,
        "today": known.at,
    }.get(field.fill or "")
    return _time(field, found) if isinstance(found, datetime) else _named(field, found)
