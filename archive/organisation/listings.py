"""The organisation as it is shown: agencies with their trees, who supervises whom, and names behind ids."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from archive.organisation.models import Agency, Officer, Supervision, Unit


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A unit in the tree of its agency. `depth` is 0 for the root."""

    unit: Unit
    agency: Agency
    depth: int
    officer_count: int

    @property
    def is_root(self) -> bool:
        """Whether it stands for the agency as a whole."""
        return self.unit.parent_id is None


@dataclass(frozen=True, slots=True)
class SupervisionRow:
    """Who supervises whom; `supervised` is None for all."""

    supervision: Supervision
    supervisor: Agency
    supervised: Agency | None


def unit_rows(tx: Session) -> Sequence[UnitRow]:
    """Return every open unit, agency by agency in the order of their codes, each below the unit above it."""
    agencies = tx.scalars(select(Agency).where(Agency.closed_at.is_(None)).order_by(Agency.code)).all()
    counts = dict(
        tx.execute(
            select(Officer.unit_id, func.count()).where(Officer.unit_id.is_not(None)).group_by(Officer.unit_id)
        ).all()
    )
    children: dict[UUID | None, list[Unit]] = {}
    roots: dict[UUID, Unit] = {}
    for unit in tx.scalars(select(Unit).where(Unit.closed_at.is_(None)).order_by(Unit.code, Unit.id)):
        if unit.parent_id is None:
            roots[unit.agency_id] = unit
        else:
            children.setdefault(unit.parent_id, []).append(unit)

    def walk(agency: Agency, unit: Unit, depth: int) -> Iterator[UnitRow]:
        yield UnitRow(unit, agency, depth, counts.get(unit.id, 0))
        for child in children.get(unit.id, []):
            yield from walk(agency, child, depth + 1)

    return [row for agency in agencies for row in walk(agency, roots[agency.id], 0)]


def units_beside(tx: Session, unit_id: UUID) -> Sequence[UnitRow]:
    """Return every open unit of the agency that a unit is of, in the order of `unit_rows`."""
    agency_id = tx.scalar(select(Unit.agency_id).where(Unit.id == unit_id))
    return [row for row in unit_rows(tx) if row.agency.id == agency_id]


def supervisions(tx: Session) -> Sequence[SupervisionRow]:
    """Return who supervises whom, in the order of the supervisors' codes."""
    supervised = aliased(Agency)
    rows = tx.execute(
        select(Supervision, Agency, supervised)
        .join(Agency, Agency.id == Supervision.supervisor_id)
        .outerjoin(supervised, supervised.id == Supervision.supervised_id)
        .order_by(Agency.code, supervised.code)
    )
    return [SupervisionRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class OfficerRow:
    """An officer in a list, with the name of the unit that was found for the officer."""

    officer: Officer
    unit_name: str | None


def officers(tx: Session, *, words: str = "", after: str = "", limit: int = 100) -> Sequence[OfficerRow]:
    """Return officers in the order of their certificate numbers, after one of them; with words those that hold them."""
    query = select(Officer).order_by(Officer.certificate_number).limit(limit)
    if after:
        query = query.where(Officer.certificate_number > after)
    for word in words.replace("\0", " ").split():
        query = query.where(
            Officer.name.contains(word, autoescape=True) | Officer.certificate_number.contains(word, autoescape=True)
        )
    found = tx.scalars(query).all()
    names = unit_names(tx, {row.unit_id for row in found if row.unit_id is not None})
    return [OfficerRow(row, None if row.unit_id is None else names.get(row.unit_id)) for row in found]


def unit_names(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the name of each of these units, with its agency's where it is not the root."""
    rows = tx.execute(
        select(Unit.id, Unit.name, Unit.parent_id, Agency.name)
        .join(Agency, Agency.id == Unit.agency_id)
        .where(Unit.id.in_(ids))
    )
    return {unit_id: agency if parent_id is None else f"{agency} / {name}" for unit_id, name, parent_id, agency in rows}
