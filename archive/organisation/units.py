"""Agencies and the trees of their units: recording, renaming, moving, closing; and who stands above whom."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, aliased

from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.jobs.queue import PROMPT, add_job
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import AgencyId, UnitId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, Actor, EntryType, NewEntry, Target
from archive.organisation.models import FIRST_AGENCY, Agency, Officer, Unit

MAX_CODE_CHARACTERS: Final = 32
MAX_NAME_CHARACTERS: Final = 200
MAX_DEPTH: Final = 12
REACH_JOB: Final = "reach_unit"
"""The job that brings in step who sees what after a unit has moved; its handler is `archive.cases.reaching`'s."""


class UnitNotFound(NotFound):
    """There is no such unit, or it is closed."""

    code = "organisation.unit_not_found"


class AgencyNotFound(NotFound):
    """There is no such agency, or it is closed."""

    code = "organisation.agency_not_found"


class OrganisationNameTaken(Conflict):
    """Another agency, or another unit of this agency, has this code or name."""

    code = "organisation.name_taken"


class UnitInUse(Conflict):
    """The unit has units, officers or accounts; move them first."""

    code = "organisation.unit_in_use"


class UnitUnderItself(InvalidInput):
    """A unit cannot stand below itself, below another agency, or more than 12 deep."""

    code = "organisation.unit_under_itself"


def record_agency(database: Database, *, code: str, name: str, by: Actor, at: Instant) -> AgencyId:
    """Write an agency down, with the unit that stands for it as a whole.

    Raises: OrganisationNameTaken, InvalidInput.
    """
    with unique_or(OrganisationNameTaken), database.begin() as tx:
        return write_agency(tx, code=code, name=name, by=by, at=at)


def write_agency(tx: Session, *, code: str, name: str, by: Actor, at: Instant) -> AgencyId:
    """Do what `record_agency` does in the caller's transaction, which goes inside `unique_or`."""
    code, name = _clean(code, name)
    agency_id, root_id = AgencyId(new_uuid7()), UnitId(new_uuid7())
    insert_row(
        tx, Agency, id=agency_id, code=code, name=name, root_unit_id=root_id, recorded_at=at, closed_at=None
    )  # fmt: skip
    insert_row(
        tx, Unit, id=root_id, agency_id=agency_id, parent_id=None, code=code, name=name, recorded_at=at, closed_at=None
    )  # fmt: skip
    detail = {"code": code, "name": name, "root": str(root_id)}
    _tell(tx, EntryType.ADMIN_AGENCY_RECORDED, "agency", agency_id, detail, by=by, at=at)
    return agency_id


def name_first_agency(database: Database, name: str, *, at: Instant) -> None:
    """Name the agency that every archive begins with, for whoever makes the archive."""
    rename_agency(database, AgencyId(FIRST_AGENCY), code="1", name=name, by=OPERATOR, at=at)


def rename_agency(database: Database, agency_id: AgencyId, *, code: str, name: str, by: Actor, at: Instant) -> None:
    """Give an agency another code or name; its root unit has the same. What is the same already writes nothing.

    Raises: AgencyNotFound, OrganisationNameTaken, InvalidInput.
    """
    code, name = _clean(code, name)
    with unique_or(OrganisationNameTaken), database.begin() as tx:
        agency = tx.scalar(select(Agency).where(Agency.id == agency_id, Agency.closed_at.is_(None)).with_for_update())
        if agency is None:
            raise AgencyNotFound(agency_id=agency_id)
        was = {"code": agency.code, "name": agency.name}
        if was == {"code": code, "name": name}:
            return
        tx.execute(update(Agency).where(Agency.id == agency_id).values(code=code, name=name))
        tx.execute(update(Unit).where(Unit.id == agency.root_unit_id).values(code=code, name=name))
        detail = {"code": code, "name": name, "was": was}
        _tell(tx, EntryType.ADMIN_AGENCY_RECORDED, "agency", agency_id, detail, by=by, at=at)


def record_unit(database: Database, *, parent_id: UnitId, code: str, name: str, by: Actor, at: Instant) -> UnitId:
    """Write a unit down below another one.

    Raises: UnitNotFound, OrganisationNameTaken, UnitUnderItself, InvalidInput.
    """
    with unique_or(OrganisationNameTaken), database.begin() as tx:
        return write_unit(tx, parent_id=parent_id, code=code, name=name, by=by, at=at)


def write_unit(tx: Session, *, parent_id: UnitId, code: str, name: str, by: Actor, at: Instant) -> UnitId:
    """Do what `record_unit` does in the caller's transaction, which goes inside `unique_or`."""
    code, name = _clean(code, name)
    parent = open_unit(tx, parent_id)
    _have_tree(tx, parent.agency_id)
    if len(lines_of(tx, [parent_id])[parent_id]) >= MAX_DEPTH:
        raise UnitUnderItself
    unit_id = UnitId(new_uuid7())
    insert_row(
        tx,
        Unit,
        id=unit_id,
        agency_id=parent.agency_id,
        parent_id=parent_id,
        code=code,
        name=name,
        recorded_at=at,
        closed_at=None,
    )
    detail = {"code": code, "name": name, "parent": str(parent_id)}
    _tell(tx, EntryType.ADMIN_UNIT_RECORDED, "unit", unit_id, detail, by=by, at=at)
    return unit_id


def change_unit(
    database: Database, unit_id: UnitId, *, code: str, name: str, parent_id: UnitId, by: Actor, at: Instant
) -> None:
    """Rename a unit or move it below another one of its agency. What is the same already writes nothing.

    Who sees what follows a move by a job, within seconds; until then it is as before.
    Raises: UnitNotFound, also for an agency's root, OrganisationNameTaken, UnitUnderItself, InvalidInput.
    """
    with unique_or(OrganisationNameTaken), database.begin() as tx:
        rewrite_unit(tx, unit_id, code=code, name=name, parent_id=parent_id, by=by, at=at)


def rewrite_unit(
    tx: Session, unit_id: UnitId, *, code: str, name: str, parent_id: UnitId, by: Actor, at: Instant
) -> bool:
    """Do what `change_unit` does in the caller's transaction; return whether anything is different now."""
    code, name = _clean(code, name)
    _have_tree(tx, open_unit(tx, unit_id).agency_id)
    unit, parent = open_unit(tx, unit_id, lock=True), open_unit(tx, parent_id)
    if unit.parent_id is None:
        raise UnitNotFound(unit_id=unit_id)
    line = lines_of(tx, [parent_id])[parent_id]
    if unit_id in line or parent.agency_id != unit.agency_id or len(line) + depth_below(tx, unit_id) > MAX_DEPTH:
        raise UnitUnderItself
    was = {"code": unit.code, "name": unit.name, "parent": str(unit.parent_id)}
    wanted = {"code": code, "name": name, "parent": str(parent_id)}
    if was == wanted:
        return False
    tx.execute(update(Unit).where(Unit.id == unit_id).values(code=code, name=name, parent_id=parent_id))
    entry_id = _tell(tx, EntryType.ADMIN_UNIT_RECORDED, "unit", unit_id, {**wanted, "was": was}, by=by, at=at)
    if was["parent"] != wanted["parent"]:
        add_job(tx, REACH_JOB, {"unit_id": str(unit_id)}, at=at, queue=PROMPT, key=f"reach:{entry_id}")
    return True


def close_unit(
    database: Database, unit_id: UnitId, *, has_people: Callable[[Session, UnitId], bool], by: Actor, at: Instant
) -> None:
    """Close a unit that nobody is in any more; what it has stays where it is, seen by the units above.

    `has_people` asks the domains above this one whether anybody who signs in is there.

    Raises: UnitNotFound, also for an agency's root, UnitInUse.
    """
    with database.begin() as tx:
        _have_tree(tx, open_unit(tx, unit_id).agency_id)
        unit = open_unit(tx, unit_id, lock=True)
        if unit.parent_id is None:
            raise UnitNotFound(unit_id=unit_id)
        has_units = tx.scalar(select(exists().where(Unit.parent_id == unit_id, Unit.closed_at.is_(None))))
        has_officers = tx.scalar(select(exists().where(Officer.unit_id == unit_id)))
        if has_units or has_officers or has_people(tx, unit_id):
            raise UnitInUse
        tx.execute(update(Unit).where(Unit.id == unit_id).values(closed_at=at))
        _tell(tx, EntryType.ADMIN_UNIT_RECORDED, "unit", unit_id, {"closed": True}, by=by, at=at)


def open_unit(tx: Session, unit_id: UUID, *, lock: bool = False) -> Unit:
    """Return a unit that is not closed. Raises: UnitNotFound."""
    query = select(Unit).where(Unit.id == unit_id, Unit.closed_at.is_(None))
    unit = tx.scalar(query.with_for_update() if lock else query)
    if unit is None:
        raise UnitNotFound(unit_id=unit_id)
    return unit


def lines_of(tx: Session, unit_ids: Collection[UUID]) -> Mapping[UUID, Sequence[UUID]]:
    """Return, for each of these units, itself and those above it, in order, up to the root of its agency."""
    if not unit_ids:
        return {}
    above = (
        select(Unit.id.label("start"), Unit.id.label("unit"), Unit.parent_id.label("parent"))
        .where(Unit.id.in_(unit_ids))
        .cte(recursive=True)
    )
    upper = aliased(Unit)
    above = above.union_all(select(above.c.start, upper.id, upper.parent_id).join(above, above.c.parent == upper.id))
    parents: dict[UUID, UUID | None] = dict(tx.execute(select(above.c.unit, above.c.parent)).all())
    lines: dict[UUID, list[UUID]] = {}
    for start in unit_ids:
        line, here = [], start if start in parents else None
        while here is not None:
            line.append(here)
            here = parents[here]
        lines[start] = line
    return lines


def below(tx: Session, unit_id: UUID) -> Sequence[UUID]:
    """Return a unit and all below it, closed ones too."""
    tree = select(Unit.id).where(Unit.id == unit_id).cte(recursive=True)
    lower = aliased(Unit)
    tree = tree.union_all(select(lower.id).join(tree, lower.parent_id == tree.c.id))
    return tx.scalars(select(tree.c.id)).all()


def depth_below(tx: Session, unit_id: UUID) -> int:
    """Return how many levels a unit has with those below it; 1 for a unit without any."""
    depths = {unit_id: 1}
    level = [unit_id]
    while level:
        units = tx.scalars(select(Unit).where(Unit.parent_id.in_(level))).all()
        level = [unit.id for unit in units]
        depths |= {unit.id: depths[unit.parent_id] + 1 for unit in units if unit.parent_id is not None}
    return max(depths.values())


def unit_named(tx: Session, agency: str, unit: str) -> UnitId | None:
    """Return the unit with this name or code in the agency with this name or code; without one the agency's root."""
    found = tx.scalar(
        select(Agency).where((Agency.name == agency) | (Agency.code == agency), Agency.closed_at.is_(None))
    )
    if found is None:
        return None
    if not unit:
        return UnitId(found.root_unit_id)
    ids = tx.scalars(
        select(Unit.id)
        .where(Unit.agency_id == found.id, Unit.closed_at.is_(None), (Unit.name == unit) | (Unit.code == unit))
        .limit(2)
    ).all()
    return UnitId(ids[0]) if len(ids) == 1 else None


def _have_tree(tx: Session, agency_id: UUID) -> None:
    """Have an agency's tree to the transaction's end: two moves at once could else make a ring of what each saw."""
    tx.scalar(select(Agency.id).where(Agency.id == agency_id).with_for_update())


def _clean(code: str, name: str) -> tuple[str, str]:
    return clean_text(code, "code", MAX_CODE_CHARACTERS), clean_text(name, "name", MAX_NAME_CHARACTERS)


def _tell(
    tx: Session, kind: EntryType, what: str, target_id: UUID, detail: Mapping[str, Any], *, by: Actor, at: Instant
) -> UUID:
    return append_entry(tx, NewEntry(kind, by, Target(what, target_id), detail=detail), at=at)
