"""Which agency supervises which (行政执法监督): set by the administrator, with its legal basis.

Supervision leads on: whoever supervises a supervisor supervises those below it too.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import AgencyId, SupervisionId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Agency, Supervision
from archive.organisation.units import AgencyNotFound

MAX_BASIS_CHARACTERS: Final = 300


class SupervisionExists(Conflict):
    """The agency supervises the other one already."""

    code = "organisation.supervision_exists"


class SupervisionNotFound(NotFound):
    """There is no such supervision."""

    code = "organisation.supervision_not_found"


class SupervisesItself(InvalidInput):
    """No agency supervises itself."""

    code = "organisation.supervises_itself"


def set_supervision(
    database: Database,
    *,
    supervisor_id: AgencyId,
    supervised_id: AgencyId | None,
    basis: str,
    by: Actor,
    at: Instant,
) -> SupervisionId:
    """Let an agency supervise another one, or all of them.

    Raises: AgencyNotFound, SupervisionExists, SupervisesItself, InvalidInput without a basis.
    """
    basis = clean_text(basis, "legal basis", MAX_BASIS_CHARACTERS)
    if supervisor_id == supervised_id:
        raise SupervisesItself
    supervision_id = SupervisionId(new_uuid7())
    with unique_or(SupervisionExists), database.begin() as tx:
        named = [agency_id for agency_id in (supervisor_id, supervised_id) if agency_id is not None]
        known = tx.scalars(select(Agency.id).where(Agency.id.in_(named), Agency.closed_at.is_(None))).all()
        if len(known) != len(named):
            raise AgencyNotFound
        same = Supervision.supervised_id == supervised_id
        if tx.scalar(select(Supervision.id).where(Supervision.supervisor_id == supervisor_id, same)) is not None:
            raise SupervisionExists
        insert_row(
            tx,
            Supervision,
            id=supervision_id,
            supervisor_id=supervisor_id,
            supervised_id=supervised_id,
            basis=basis,
            set_at=at,
        )
        detail = {
            "supervision": str(supervision_id),
            "supervised": None if supervised_id is None else str(supervised_id),
            "basis": basis,
        }
        target = Target("agency", supervisor_id)
        append_entry(tx, NewEntry(EntryType.ADMIN_SUPERVISION_SET, by, target, detail=detail), at=at)
    return supervision_id


def end_supervision(database: Database, supervision_id: SupervisionId, *, by: Actor, at: Instant) -> None:
    """End a supervision; from then on the supervisor's people see nothing by it. Raises: SupervisionNotFound."""
    with database.begin() as tx:
        gone = tx.execute(
            delete(Supervision)
            .where(Supervision.id == supervision_id)
            .returning(Supervision.supervisor_id, Supervision.supervised_id)
        ).one_or_none()
        if gone is None:
            raise SupervisionNotFound(supervision_id=supervision_id)
        detail = {"supervised": None if gone.supervised_id is None else str(gone.supervised_id)}
        target = Target("agency", gone.supervisor_id)
        append_entry(tx, NewEntry(EntryType.ADMIN_SUPERVISION_ENDED, by, target, detail=detail), at=at)


def supervised_roots(tx: Session, agency_id: UUID) -> Sequence[UUID] | None:
    """Return the root units of all agencies that an agency supervises, by itself or through others; None is all."""
    reached, fresh = {agency_id}, {agency_id}
    while fresh:
        rows = set(tx.scalars(select(Supervision.supervised_id).where(Supervision.supervisor_id.in_(fresh))))
        if None in rows:
            return None
        fresh = {found for found in rows if found is not None} - reached
        reached |= fresh
    return tx.scalars(select(Agency.root_unit_id).where(Agency.id.in_(reached - {agency_id}))).all()
