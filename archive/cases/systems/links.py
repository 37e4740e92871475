"""Linking and unlinking footage by the names of the system that asks for it."""

from sqlalchemy import select

from archive.access.external_ids import ExternalKind
from archive.cases.filing import AlreadyLinked, link_object, unlink_object
from archive.cases.models import CaseLink
from archive.cases.systems.push import Outcome, Pusher, referred
from archive.kernel.ids import ActId, CaseId, ObjectId


def push_link(
    pusher: Pusher, object_id: ObjectId, *, case: str, act: str | None, reason: str
) -> tuple[Outcome, CaseId]:
    """File an item under a case, and an act of it, by their external ids. Idempotent.

    Raises: UnknownReference, ObjectNotFound, AlreadyLinked when it is filed there under another act, InvalidInput.
    """
    with pusher.database.read() as tx:
        case_id = CaseId(referred(tx, pusher, ExternalKind.CASE, case))
        act_id = None if act is None else ActId(referred(tx, pusher, ExternalKind.ACT, act))
    try:
        link_object(pusher.database, case_id, object_id, act_id=act_id, reason=reason, by=pusher.by, at=pusher.at)
    except AlreadyLinked:
        with pusher.database.read() as tx:
            filed_under = tx.scalar(
                select(CaseLink.act_id).where(CaseLink.case_id == case_id, CaseLink.object_id == object_id)
            )
        if filed_under != act_id:
            raise
        return Outcome.UNCHANGED, case_id
    return Outcome.CREATED, case_id


def push_unlink(pusher: Pusher, object_id: ObjectId, *, case: str, reason: str) -> CaseId:
    """Take an item out of a case by its external id. Raises: UnknownReference, NotLinked, InvalidInput."""
    with pusher.database.read() as tx:
        case_id = CaseId(referred(tx, pusher, ExternalKind.CASE, case))
    unlink_object(pusher.database, case_id, object_id, reason=reason, by=pusher.by, at=pusher.at)
    return case_id
