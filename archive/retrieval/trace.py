"""The trace: who looked at what, why, and what was unusual; everybody has the own one, the agency that of its things.

What somebody does not see is told by nothing but the entry in the own trace.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, String, bindparam, or_, select, true
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.models import Account
from archive.access.policy import Capability, Extent, extent, require
from archive.cases.models import Case, Subject
from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.complaints.models import Complaint
from archive.custody.accesses import COPIES, record_access
from archive.custody.models import AccessRecord, PreservedObject
from archive.db.database import Database
from archive.db.sight import EVERYBODYS, unbound
from archive.kernel.canonical import parse_json
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType, NewEntry
from archive.ledger.models import LogDetail
from archive.organisation.models import Unit
from archive.organisation.supervision import supervised_roots
from archive.organisation.units import below
from archive.retrieval.models import UnusualAccess

MOST_ROWS: Final = 100_000
_PAGE: Final = 500
# As literals: SQLite finds by them that an index over copies alone has them all.
_COPIES: Final = bindparam("copies", list(map(str, COPIES)), String(40), expanding=True, literal_execute=True)


class Which(StrEnum):
    """Which accesses: one's own, those to what one sees, the copies among them, or the unusual ones."""

    MINE = "mine"
    ACCESSES = "accesses"
    COPIES = "copies"
    UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at, for whoever sees it: its kind, how it is called, and its page."""

    kind: str
    title: str
    link: str


@dataclass(frozen=True, slots=True)
class TraceRow:
    """An access: `detail` is empty once it was erased; `seen` is None for lists and for what is not seen."""

    record: AccessRecord
    detail: Mapping[str, Any]
    seen: Seen | None
    unusual: Sequence[UnusualAccess]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What narrows the trace: who looked, and what was looked at."""

    actor_id: UUID | None = None
    ref_id: UUID | None = None


def trace(
    tx: Session,
    which: Which,
    *,
    by: Caller,
    only: TraceFilter = TraceFilter(),
    cursor: str | None = None,
    limit: int = 50,
) -> Slice[TraceRow]:
    """Return accesses, newest first. Raises: Forbidden, InvalidInput for another list's cursor."""
    if which is not Which.MINE:
        require(by.roles, Capability.READ_TRACE)
    query = (
        select(AccessRecord, LogDetail.detail)
        .outerjoin(LogDetail, LogDetail.entry_id == AccessRecord.entry_id)
        .where(*_conditions(tx, which, by))
        .order_by(AccessRecord.at.desc(), AccessRecord.entry_id.desc())
        .limit(limit + 1)
    )
    if only.actor_id is not None:
        query = query.where(AccessRecord.actor_id == only.actor_id)
    if only.ref_id is not None:
        query = query.where(AccessRecord.ref_id == only.ref_id)
    if cursor is not None:
        query = query.where(before(AccessRecord.at, AccessRecord.entry_id, cursor, f"trace-{which}"))
    if which is Which.MINE:
        with unbound(tx):
            found = tx.execute(query).all()
    else:
        found = tx.execute(query).all()
    titles, unusual = _titles(tx, [record for record, _ in found]), _unusual(tx, which, [record for record, _ in found])
    rows = [
        TraceRow(
            record,
            parse_json(detail) if detail else {},
            None if record.ref_id is None else titles.get(record.ref_id),
            unusual.get(record.entry_id, []),
        )
        for record, detail in found
    ]
    return sliced(rows, limit, lambda row: cursor_of(f"trace-{which}", row.record.at, row.record.entry_id))


def export_trace(database: Database, which: Which, *, by: Caller, at: Instant) -> Iterator[TraceRow]:
    """Return a trace row by row, up to 100,000 of them, to be taken away.

    Guarantees: on return the log entry is committed that says who took what list away.
    Raises: Forbidden.
    """
    if which is not Which.MINE:
        require(by.roles, Capability.READ_TRACE)
    with database.begin() as tx:
        detail = {"list": f"trace.{which.value}", "form": "csv"}
        record_access(tx, NewEntry(EntryType.ACCESS_LIST_EXPORTED, by.actor, detail=detail), at=at)
    return _rows(database, which, by)


def _rows(database: Database, which: Which, by: Caller) -> Iterator[TraceRow]:
    cursor: str | None = None
    for _ in range(MOST_ROWS // _PAGE):
        with database.read() as tx:
            part = trace(tx, which, by=by, cursor=cursor, limit=_PAGE)
        yield from part.rows
        cursor = part.next_cursor
        if cursor is None:
            return


def told_to(tx: Session, by: Caller) -> ColumnElement[bool]:
    """Return the condition, beside that of sight, that an access is told to somebody who reads the trace.

    A list has nothing that could be seen or not: it is told to who sees the unit of whoever took it away.
    """
    if EVERYBODYS in by.sight.parties:
        return true()
    mine = select(Account.id).where(Account.unit_id.in_(_units(tx, by)))
    return or_(AccessRecord.ref_id.is_not(None), AccessRecord.actor_id.in_(mine))


def _conditions(tx: Session, which: Which, by: Caller) -> Iterator[ColumnElement[bool]]:
    if which is Which.MINE:
        yield AccessRecord.actor_id == by.account_id
        return
    yield told_to(tx, by)
    if which is Which.COPIES:
        yield AccessRecord.type.in_(_COPIES)
    if which is Which.UNUSUAL:
        yield AccessRecord.entry_id.in_(select(UnusualAccess.entry_id))


def _units(tx: Session, by: Caller) -> Sequence[UUID]:
    """Return the units whose people somebody reads the trace of."""
    roots = [by.unit_id]
    if extent(by.roles) is Extent.SUPERVISED:
        agency_id = tx.scalars(select(Unit.agency_id).where(Unit.id == by.unit_id)).one()
        roots += supervised_roots(tx, agency_id) or ()
    return [unit for root in roots for unit in below(tx, root)]


def _unusual(tx: Session, which: Which, records: Sequence[AccessRecord]) -> Mapping[UUID, Sequence[UnusualAccess]]:
    """Return what was unusual of these accesses; nobody is told of the own ones."""
    found: dict[UUID, list[UnusualAccess]] = {}
    if which is Which.MINE:
        return found
    ids = [record.entry_id for record in records]
    for row in tx.scalars(select(UnusualAccess).where(UnusualAccess.entry_id.in_(ids)).order_by(UnusualAccess.rule)):
        found.setdefault(row.entry_id, []).append(row)
    return found


def _titles(tx: Session, records: Sequence[AccessRecord]) -> Mapping[UUID, Seen]:
    """Return how each of the things that were looked at is called, for those that the transaction sees."""
    wanted: dict[str, set[UUID]] = {}
    for record in records:
        if record.ref_id is not None and record.ref_kind is not None:
            wanted.setdefault(record.ref_kind, set()).add(record.ref_id)
    objects = wanted.get("item", set()) | wanted.get("record", set())
    sources: Sequence[tuple[Any, Any, set[UUID], Any]] = (
        (PreservedObject, PreservedObject.name, objects, lambda row: (row.kind, f"/{row.kind}s/{row.id}")),
        (Case, Case.number, wanted.get("case", set()), lambda row: ("case", f"/cases/{row.id}")),
        (Subject, Subject.name, wanted.get("subject", set()), lambda row: ("subject", f"/subjects/{row.id}")),
        (
            Complaint,
            Complaint.number,
            wanted.get("complaint", set()),
            lambda row: ("complaint", f"/complaints/{row.id}"),
        ),
    )
    found: dict[UUID, Seen] = {}
    for table, title, ids, where in sources:
        if ids:
            for row in tx.scalars(select(table).where(table.id.in_(ids))):
                kind, link = where(row)
                found[row.id] = Seen(kind, getattr(row, title.key), link)
    return found
