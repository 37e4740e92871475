"""Closed volumes with their lines, and the ledger (执法台账): case files by how far they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.cases.merges import root_of
from archive.cases.models import Case, CaseLink, Subject
from archive.cases.reaching import CASE
from archive.cases.slices import Slice, before, cursor_of, newest_seen, sliced
from archive.custody.accesses import record_access
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.db.sight import Reach, sight_of
from archive.kernel.ids import CaseId, VolumeId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Unit
from archive.volumes.models import Volume, VolumeCheck, VolumeLine
from archive.volumes.rules import VolumeRules
from archive.volumes.standing import VolumeNotFound
from archive.volumes.terms import VolumeState

_SOON: Final = timedelta(days=7)
_AT_ONCE: Final = 500
_LISTING: Final = "ledger"


class LedgerState(StrEnum):
    """How far a case file is: the case is open, its file waits to be closed (soon due, or late), or is closed."""

    OPEN = "open"
    WAITING = "waiting"
    SOON = "soon"
    LATE = "late"
    FILED = "filed"
    FILED_LATE = "filed_late"


class WhichFiles(StrEnum):
    """Which case files a ledger lists."""

    ALL = "all"
    OPEN = "open"
    WAITING = "waiting"
    LATE = "late"
    FILED = "filed"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A case in the ledger, with its closed volumes; `waiting` counts papers that are bound in none."""

    case: Case
    subject: str
    unit: str
    volumes: Sequence[Volume]
    waiting: int
    file_by: date | None
    state: LedgerState


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a ledger is narrowed to: cases opened from one day until before another, of these units."""

    since: Instant | None = None
    until: Instant | None = None
    units: Sequence[UUID] = ()
    which: WhichFiles = WhichFiles.ALL


def lines_of(tx: Session, volume_id: VolumeId) -> Sequence[tuple[VolumeLine, bool]]:
    """Return the lines of a closed volume, and whether each paper is seen; the caller has found the case."""
    lines = tx.scalars(select(VolumeLine).where(VolumeLine.volume_id == volume_id).order_by(VolumeLine.number)).all()
    there = select(VolumeLine.object_id).where(VolumeLine.volume_id == volume_id)
    seen = set(tx.scalars(select(PreservedObject.id).where(PreservedObject.id.in_(there))))
    return [(line, line.object_id in seen) for line in lines]


def take_sheet(database: Database, case_id: CaseId, volume_id: VolumeId, name: str, *, by: Actor, at: Instant) -> None:
    """Write down that somebody takes a file along which names the papers of a closed volume.

    Guarantees: on return the log entry is committed that says so.
    Raises: VolumeNotFound for who does not see each of the papers.
    """
    with database.begin() as tx:
        if not all(is_seen for _, is_seen in lines_of(tx, volume_id)):
            raise VolumeNotFound(volume_id=volume_id)
        detail = {"list": "volume", "volume": str(volume_id), "file": name}
        entry = NewEntry(EntryType.ACCESS_LIST_EXPORTED, by, Target("case", case_id), case=case_id, detail=detail)
        record_access(tx, entry, at=at)


def checks_of(tx: Session, volume_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[VolumeCheck]]:
    """Return the checks of volumes, the newest first."""
    found: dict[UUID, list[VolumeCheck]] = {}
    query = select(VolumeCheck).where(VolumeCheck.volume_id.in_(volume_ids)).order_by(VolumeCheck.number.desc())
    for row in tx.scalars(query):
        found.setdefault(row.volume_id, []).append(row)
    return found


def ledger(
    tx: Session, rules: VolumeRules, bounds: Bounds, *, at: Instant, cursor: str | None = None, limit: int = 50
) -> Slice[LedgerRow]:
    """Return case files, the case that was opened last first."""
    conditions = _conditions(bounds, rules, at)
    if sight_of(tx) is not None:

        def narrowed(seen: Select[Any]) -> Select[Any]:
            return seen.join(Case, Case.id == Reach.ref_id).where(*conditions) if conditions else seen

        def rows_of(ids: Sequence[UUID]) -> Sequence[LedgerRow]:
            rows = {row.case.id: row for row in _rows(tx, _cases().where(Case.id.in_(ids)), rules, at)}
            return [rows[case_id] for case_id in ids if case_id in rows]

        return newest_seen(
            tx, CASE, rows_of, listing=_LISTING, cursor=cursor, limit=limit, narrowed=narrowed
        )  # fmt: skip
    query = _cases().where(*conditions).order_by(Case.opened_at.desc(), Case.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(before(Case.opened_at, Case.id, cursor, _LISTING))
    rows = _rows(tx, query, rules, at)
    return sliced(rows, limit, lambda row: cursor_of(_LISTING, row.case.opened_at, row.case.id))


def export_ledger(
    database: Database, rules: VolumeRules, bounds: Bounds, *, by: Actor, at: Instant
) -> Iterator[LedgerRow]:
    """Return a ledger row by row, to be taken away.

    Guarantees: on return the log entry is committed that says who took what list away.
    """
    with database.begin() as tx:
        detail = {"list": "ledger", "which": bounds.which.value, "form": "csv"}
        record_access(tx, NewEntry(EntryType.ACCESS_LIST_EXPORTED, by, detail=detail), at=at)

    def rows() -> Iterator[LedgerRow]:
        cursor: str | None = None
        while True:
            with database.read() as tx:
                found = ledger(tx, rules, bounds, at=at, cursor=cursor, limit=_AT_ONCE)
            yield from found.rows
            if (cursor := found.next_cursor) is None:
                return

    return rows()


def _cases() -> Select[Case, str, str]:
    return (
        select(Case, Subject.name, Unit.name)
        .select_from(Case)
        .join(Subject, Subject.id == root_of(Case.subject_id))
        .join(Unit, Unit.id == Case.unit_id)
    )


def _conditions(bounds: Bounds, rules: VolumeRules, at: Instant) -> Sequence[ColumnElement[bool]]:
    found = [] if bounds.which is WhichFiles.ALL else [_is(bounds.which, rules, at)]
    if bounds.since is not None:
        found.append(Case.opened_at >= bounds.since)
    if bounds.until is not None:
        found.append(Case.opened_at < bounds.until)
    if bounds.units:
        found.append(Case.unit_id.in_(bounds.units))
    return found


def _is(which: WhichFiles, rules: VolumeRules, at: Instant) -> ColumnElement[bool]:
    loose = exists().where(CaseLink.case_id == Case.id, CaseLink.volume_id.is_(None))
    closed = exists().where(Volume.case_id == Case.id, Volume.state == VolumeState.CLOSED.value)
    waits = and_(Case.closed_at.is_not(None), or_(loose, ~closed))
    late = Case.closed_at < at - timedelta(days=rules.within_days + 1)
    conditions: dict[WhichFiles, ColumnElement[bool]] = {
        WhichFiles.OPEN: Case.closed_at.is_(None),
        WhichFiles.WAITING: waits,
        WhichFiles.LATE: and_(waits, late),
        WhichFiles.FILED: and_(Case.closed_at.is_not(None), closed, ~loose),
    }
    return conditions.get(which, false())


def _rows(tx: Session, query: Select[Case, str, str], rules: VolumeRules, at: Instant) -> Sequence[LedgerRow]:
    cases = tx.execute(query).all()
    ids = [case.id for case, _, _ in cases]
    closed: dict[UUID, list[Volume]] = {}
    for row in tx.scalars(
        select(Volume)
        .where(Volume.case_id.in_(ids), Volume.state == VolumeState.CLOSED.value)
        .order_by(Volume.kind, Volume.sequence)
    ):
        closed.setdefault(row.case_id, []).append(row)
    loose = dict(
        tx.execute(
            select(CaseLink.case_id, func.count())
            .where(CaseLink.case_id.in_(ids), CaseLink.volume_id.is_(None))
            .group_by(CaseLink.case_id)
        ).all()
    )
    return [
        LedgerRow(
            case,
            subject,
            unit,
            closed.get(case.id, []),
            loose.get(case.id, 0),
            None if case.closed_at is None else rules.file_by(case.closed_at),
            _state(case, closed.get(case.id, []), loose.get(case.id, 0), rules, at),
        )
        for case, subject, unit in cases
    ]


def _state(case: Case, closed: Sequence[Volume], loose: int, rules: VolumeRules, at: Instant) -> LedgerState:
    if case.closed_at is None:
        return LedgerState.OPEN
    if closed and not loose:
        return LedgerState.FILED_LATE if any(map(is_late, closed)) else LedgerState.FILED
    return waiting_state(rules.file_by(case.closed_at), at)


def waiting_state(file_by: date, at: Instant) -> LedgerState:
    """Return whether a file that waits is late, soon due, or neither."""
    today = local_day(at)
    if today > file_by:
        return LedgerState.LATE
    return LedgerState.SOON if today + _SOON >= file_by else LedgerState.WAITING


def is_late(volume: Volume) -> bool:
    """Return whether a volume was closed after the last day on which it was filed in time."""
    if volume.closed_at is None or volume.file_by is None or volume.sequence > 1:
        return False
    return local_day(volume.closed_at) > volume.file_by
