"""What a form says is to be held: a thing by its number or the address of its page, or what a query asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.filing import case_by_number
from archive.cases.models import Case, Subject
from archive.cases.terms import Category
from archive.custody.models import PreservedObject
from archive.db.sight import EVERYBODYS, party_of
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.organisation.listings import unit_rows
from archive.organisation.units import lines_of
from archive.web.pages.forms import Choice, Form
from retention.holding.hold_queries import (
    MAX_OFFICER_CHARACTERS,
    MAX_PREFIX_CHARACTERS,
    MAX_SERIAL_CHARACTERS,
    BadHoldQuery,
    HoldQuery,
)
from retention.holding.terms import HeldKind, HoldScope

_MOST_ADDRESS: Final = 300
_ID_CHARACTERS: Final = 36
Named = TypeVar("Named")


@dataclass(frozen=True, slots=True)
class OfferedUnit:
    """A unit whose things a query may ask for, by how deep it stands in its agency's tree."""

    id: UUID
    name: str
    depth: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be held."""

    scope: HoldScope
    ref_id: UUID | None
    query: HoldQuery | None


def wanted_hold(tx: Session, form: Form, caller: Caller) -> Wanted | None:
    """Return what a form says is to be held; None, and the faults are noted, where that is nothing that is seen."""
    scope = form.choice("scope", HoldScope)
    match scope:
        case HoldScope.OBJECT:
            ref_id = _object(tx, form)
        case HoldScope.CASE:
            ref_id = _case(tx, form)
        case HoldScope.SUBJECT:
            ref_id = _subject(tx, form)
        case _:
            query = _query(tx, form, caller)
            return None if query is None or not form.is_good else Wanted(scope, None, query)
    return None if ref_id is None or not form.is_good else Wanted(scope, ref_id, None)


def offered_units(tx: Session, caller: Caller) -> Sequence[OfferedUnit]:
    """Return the units whose things somebody may ask for: those that they see the things of."""
    rows = unit_rows(tx)
    if EVERYBODYS not in caller.sight.parties:
        lines = lines_of(tx, [row.unit.id for row in rows])
        rows = [row for row in rows if not caller.sight.parties.isdisjoint(map(party_of, lines[row.unit.id]))]
    top = min((row.depth for row in rows), default=0)
    return [OfferedUnit(row.unit.id, row.unit.name, row.depth - top) for row in rows]


def _object(tx: Session, form: Form) -> UUID | None:
    object_id = _id_at_end(form.text("object", most=_MOST_ADDRESS))
    found = select(PreservedObject.id).where(PreservedObject.id == object_id)
    if object_id is None or tx.scalar(found) is None:
        form.refuse("object", "hold.no_such_object")
        return None
    return object_id


def _case(tx: Session, form: Form) -> UUID | None:
    said = form.text("case", most=_MOST_ADDRESS)
    case_id = _id_at_end(said)
    case = case_by_number(tx, said) if case_id is None else tx.scalar(select(Case).where(Case.id == case_id))
    if case is None:
        form.refuse("case", "hold.no_such_case")
        return None
    return case.id


def _subject(tx: Session, form: Form) -> UUID | None:
    subject_id = _id_at_end(form.text("subject", most=_MOST_ADDRESS))
    found = select(Subject.id).where(Subject.id == subject_id)
    if subject_id is None or tx.scalar(found) is None:
        form.refuse("subject", "hold.no_such_subject")
        return None
    return subject_id


def _query(tx: Session, form: Form, caller: Caller) -> HoldQuery | None:
    units = {str(unit.id): unit.id for unit in offered_units(tx, caller)}
    unit_id = units.get(form.value("unit"))
    if unit_id is None:
        form.refuse("unit", "form.choose")
    device = form.short("device", most=MAX_SERIAL_CHARACTERS) or None
    officer = form.short("officer", most=MAX_OFFICER_CHARACTERS) or None
    prefix = form.short("number_prefix", most=MAX_PREFIX_CHARACTERS) or None
    since, until = (form.moment(name, required=False) for name in ("recorded_from", "recorded_until"))
    category, kind = _one(form, "category", Category), _one(form, "kind", HeldKind)
    if unit_id is None or not form.is_good:
        return None
    try:
        return HoldQuery(unit_id, device, officer, since, until, category, prefix, kind)
    except BadHoldQuery:
        form.refuse("recorded_until", "error.holds.bad_query")
        return None


def _one(form: Form, name: str, kind: type[Choice]) -> Choice | None:
    return form.choice(name, kind) if form.value(name) else None


def _id_at_end(text: str) -> UUID | None:
    """Return the id that an address ends with."""
    try:
        return parse_uuid(urlsplit(text).path.rstrip("/")[-_ID_CHARACTERS:])
    except (InvalidInput, ValueError):
        return None
