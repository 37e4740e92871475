"""Who holds certificates: officers by name and number, agencies by their root unit; found by words, named by id."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from archive.kernel.ids import AgencyId, OfficerId
from archive.organisation.models import Agency, Officer
from archive.organisation.officers import OfficerNotFound, officer_by_certificate
from archive.organisation.units import AgencyNotFound

_MOST_FOUND = 500


@dataclass(frozen=True, slots=True)
class Holder:
    """A holder of certificates: an officer, or an agency as a whole."""

    id: UUID
    name: str
    number: str
    is_officer: bool


def holders(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, Holder]:
    """Return who each of these ids is."""
    wanted = set(ids)
    if not wanted:
        return {}
    people = tx.execute(select(Officer.id, Officer.name, Officer.certificate_number).where(Officer.id.in_(wanted)))
    agencies = tx.execute(select(Agency.root_unit_id, Agency.name, Agency.code).where(Agency.root_unit_id.in_(wanted)))
    found = [
        *(Holder(holder_id, name, number, is_officer=True) for holder_id, name, number in people),
        *(Holder(holder_id, name, number, is_officer=False) for holder_id, name, number in agencies),
    ]
    return {each.id: each for each in found}


def holder_names(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return what each of these holders is called."""
    return {holder_id: holder.name for holder_id, holder in holders(tx, ids).items()}


def holders_like(tx: Session, words: str) -> Sequence[UUID]:
    """Return the ids of holders whose name or number holds these words."""
    people = select(Officer.id).where(_either(Officer.name, Officer.certificate_number, words)).limit(_MOST_FOUND)
    agencies = select(Agency.root_unit_id).where(_either(Agency.name, Agency.code, words)).limit(_MOST_FOUND)
    return [*tx.scalars(people), *tx.scalars(agencies)]


def agency_of_holder(tx: Session, holder_id: UUID) -> AgencyId | None:
    """Return the agency whose seal this holder has, None where it is none."""
    found = tx.scalar(select(Agency.id).where(Agency.root_unit_id == holder_id))
    return None if found is None else AgencyId(found)


def agency_named(tx: Session, name: str) -> AgencyId:
    """Return the open agency of this code or name. Raises: AgencyNotFound."""
    found = next((each.id for each in open_agencies(tx) if name.strip() in {each.code, each.name}), None)
    if found is None:
        raise AgencyNotFound(agency=name)
    return AgencyId(found)


def officer_named(tx: Session, number: str) -> OfficerId:
    """Return the officer with this number of the enforcement certificate. Raises: OfficerNotFound."""
    found = officer_by_certificate(tx, number)
    if found is None:
        raise OfficerNotFound(number=number)
    return found


def open_agencies(tx: Session) -> Sequence[Agency]:
    """Return the agencies that are not closed, in the order of their codes."""
    return tx.scalars(select(Agency).where(Agency.closed_at.is_(None)).order_by(Agency.code)).all()


def _either(name: InstrumentedAttribute[str], number: InstrumentedAttribute[str], words: str) -> ColumnElement[bool]:
    return or_(name.contains(words, autoescape=True), number.contains(words, autoescape=True))
