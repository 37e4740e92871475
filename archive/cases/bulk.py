"""Filing many objects under a case at once: all of them, or none."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import select

from archive.cases.filing import AlreadyLinked, require_case, write_link
from archive.cases.models import CaseLink
from archive.custody.events import object_to_file
from archive.db.database import Database, unique_or
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, ObjectId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor

MOST_AT_ONCE: Final = 200


def link_objects(
    database: Database,
    case_id: CaseId,
    object_ids: Collection[ObjectId],
    *,
    act_id: ActId | None,
    reason: str,
    by: Actor,
    at: Instant,
) -> int:
    """File the objects under a case, each with its custody event, in one transaction; return how many were new to it.

    What is filed there already stays as it is. Raises: CaseNotFound, ObjectNotFound, AlreadyLinked when somebody else
    links one of them at the same time, InvalidInput for none, too many, or an act of another case; nothing is linked
    then.
    """
    if not 1 <= len(object_ids) <= MOST_AT_ONCE:
        raise InvalidInput(f"Choose 1 to {MOST_AT_ONCE} items")
    reason = clean_text(reason, "reason", 500)
    with unique_or(AlreadyLinked), database.begin() as tx:
        require_case(tx, case_id)
        linked = set(
            tx.scalars(
                select(CaseLink.object_id).where(CaseLink.case_id == case_id, CaseLink.object_id.in_(object_ids))
            )
        )
        fresh = sorted(set(object_ids) - linked)
        for object_id in fresh:
            object_to_file(tx, object_id)
            write_link(tx, case_id, object_id, act_id=act_id, reason=reason, by=by, at=at)
    return len(fresh)
