"""Writing text records for a case: who begins one says for which case, act and record it is."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from archive.cases.changes import ActNotFound
from archive.cases.filing import NotLinked, require_case
from archive.cases.models import Act, CaseLink
from archive.db.database import Database
from archive.documents.drafts import Amending, begin_draft, drop_draft, save_draft
from archive.kernel.ids import ActId, CaseId, DraftId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor


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
        if act_id is not None and tx.scalar(select(Act.case_id).where(Act.id == act_id)) != case_id:
            raise ActNotFound(act_id=act_id)
        if amending is not None:
            where = (CaseLink.case_id == case_id, CaseLink.object_id == amending.record_id)
            if tx.scalar(select(CaseLink.object_id).where(*where)) is None:
                raise NotLinked(object_id=amending.record_id)
        return begin_draft(
            tx,
            template_text,
            case_id=case_id,
            title=title,
            values=values,
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
