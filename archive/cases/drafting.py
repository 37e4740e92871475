"""Writing text records for a case: who begins one says for which case, act and record it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.cases.changes import ActNotFound
from archive.cases.filing import NotLinked, require_case
from archive.cases.models import Act, CaseLink
from archive.db.database import Database
from archive.documents.drafts import Amending, begin_draft, drop_draft, save_draft
from archive.documents.issuing import agency_of_unit
from archive.documents.template_listings import usable_template
from archive.documents.template_register import text_of
from archive.kernel.ids import ActId, CaseId, DraftId, TemplateId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What a text record begins with: its case, title and first values, the act it is about, the record it amends."""

    case_id: CaseId
    title: str
    values: Mapping[str, Any]
    act_id: ActId | None = None
    amending: Amending | None = None


def begin_record(
    database: Database,
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
    """Begin a text record of a case by a template, about one of its acts, or in place of one that is filed under it.

    Raises: CaseNotFound, ActNotFound, NotLinked, TemplateInvalid, InvalidInput.
    """
    with database.begin() as tx:
        require_case(tx, case_id)
        return _begin(tx, template_text, NewRecord(case_id, title, values, act_id, amending), by=by, at=at)


def begin_record_by(
    database: Database, template_id: TemplateId, new: NewRecord, *, only_filed: bool = False, by: Actor, at: Instant
) -> DraftId:
    """Begin a text record by a version of the register, which holds today for the agency that has the case.

    Raises: as `begin_record`; TemplateNotFound, TemplateNotInForce; TemplateNotFiled where `only_filed`.
    """
    with database.begin() as tx:
        agency = agency_of_unit(tx, require_case(tx, new.case_id).unit_id)
        usable_template(tx, template_id, agency.id, on=local_day(at), only_filed=only_filed)
        return _begin(tx, text_of(tx, template_id), new, by=by, at=at)


def _begin(tx: Session, template_text: str, new: NewRecord, *, by: Actor, at: Instant) -> DraftId:
    act_id, amending = new.act_id, new.amending
    if act_id is not None and tx.scalar(select(Act.case_id).where(Act.id == act_id)) != new.case_id:
        raise ActNotFound(act_id=act_id)
    if amending is not None:
        where = (CaseLink.case_id == new.case_id, CaseLink.object_id == amending.record_id)
        if tx.scalar(select(CaseLink.object_id).where(*where)) is None:
            raise NotLinked(object_id=amending.record_id)
    return begin_draft(
        tx,
        template_text,
        case_id=new.case_id,
        title=new.title,
        values=new.values,
        act_id=act_id,
        amending=amending,
        by=by,
        at=at,
    )


def save_record(
    database: Database,
    draft_id: DraftId,
    *,
    revision: int,
    title: str,
    values: Mapping[str, Any],
    by: Actor,
    at: Instant,
) -> int:
    """Save what was written since a revision; return the new one. Raises: as `save_draft`."""
    with database.begin() as tx:
        return save_draft(tx, draft_id, revision=revision, title=title, values=values, by=by, at=at)


def drop_record(database: Database, draft_id: DraftId, *, reason: str, by: Actor, at: Instant) -> None:
    """Give a draft up. Raises: as `drop_draft`."""
    with database.begin() as tx:
        drop_draft(tx, draft_id, reason=reason, by=by, at=at)
