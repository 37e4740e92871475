"""How far rounds are, place by place: for the page, the command line, doctor and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from archive.cases.slices import Slice, before, cursor_of, sliced
from archive.db.database import Database
from archive.kernel.canonical import parse_json
from archive.kernel.instants import Instant, format_instant
from archive.ledger.models import LogLeaf
from retention.rounds.models import FixityBatch, FixityCheck, FixityDamage, FixityPlace, FixityReport, counts
from retention.rounds.places import place_names

_DAY: Final = timedelta(days=1)
_CURSOR: Final = "damage"


@dataclass(frozen=True, slots=True)
class PlaceStanding:
    """How far the round is in one place. Units: bytes of originals, but `read_day_bytes`, which is all that was read.

    Of `objects` so many were `checked` within the period, are `fresh` (they came in within it and were not re-read
    yet), are `overdue`. `oldest` is since when the oldest has not been re-read. `asked` are to be read first; `unread`
    could not be judged lately. `needed_day_bytes` is what the even pace reads in a day.
    """

    id: str
    name: str
    objects: int
    size_bytes: int
    checked: int
    fresh: int
    overdue: int
    asked: int
    unread: int
    oldest: Instant | None
    read_day_bytes: int
    needed_day_bytes: int
    damaged: int
    trouble: str | None
    trouble_at: Instant | None

    @property
    def permille(self) -> int:
        """How much of the place was looked at within the period, of a thousand; a place that is empty is done."""
        return 1000 if not self.objects else (self.checked + self.fresh) * 1000 // self.objects


@dataclass(frozen=True, slots=True)
class CheckOfObject:
    """When an object was last re-read in a place, what came of it, and where the log tells of it."""

    place: str
    place_id: str
    checked_at: Instant | None
    outcome: str | None
    log_index: int | None
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class DamageRow:
    """Damage as lists show it: `findings` are codes with the part of the object, without names of files."""

    damage: FixityDamage
    place: str
    good_place: str | None
    findings: Sequence[Mapping[str, str]]


def standings(tx: Session, places: Sequence[str], *, period: timedelta, at: Instant) -> Sequence[PlaceStanding]:
    """Return how far the rounds are in these places, in their order."""
    return [_standing(tx, place, names, period=period, at=at) for names in [place_names(tx)] for place in places]


def checks_of(tx: Session, object_id: UUID) -> Sequence[CheckOfObject]:
    """Return the last check of an object in every place, the originals first."""
    is_damaged = (
        select(FixityDamage.id)
        .where(
            FixityDamage.object_id == FixityCheck.object_id,
            FixityDamage.place == FixityCheck.place,
            FixityDamage.repaired_at.is_(None),
        )
        .exists()
    )
    rows = (
        select(FixityCheck, LogLeaf.index, is_damaged)
        .outerjoin(LogLeaf, LogLeaf.entry_id == FixityCheck.entry_id)
        .where(FixityCheck.object_id == object_id)
    )
    names = place_names(tx)
    found = [
        CheckOfObject(names.get(row.place, row.place), row.place, row.checked_at, row.outcome, index, damaged)
        for row, index, damaged in tx.execute(rows)
    ]
    return sorted(found, key=lambda each: (each.place_id != each.place, each.place))


def damage(tx: Session, *, only_open: bool = False, cursor: str | None = None, limit: int = 50) -> Slice[DamageRow]:
    """Return damage, the newest first. Raises: InvalidInput for another list's cursor."""
    query = select(FixityDamage).order_by(FixityDamage.found_at.desc(), FixityDamage.id.desc()).limit(limit + 1)
    if only_open:
        query = query.where(counts())
    if cursor is not None:
        query = query.where(before(FixityDamage.found_at, FixityDamage.id, cursor, _CURSOR))
    names = place_names(tx)
    shown = [
        DamageRow(
            row,
            names.get(row.place, row.place),
            None if row.good_place is None else names.get(row.good_place, row.good_place),
            parse_json(row.findings.encode()),
        )
        for row in tx.scalars(query)
    ]
    return sliced(shown, limit, lambda row: cursor_of(_CURSOR, row.damage.found_at, row.damage.id))


def open_count(tx: Session) -> int:
    """Return how much damage is not repaired."""
    return tx.scalar(select(func.count()).select_from(FixityDamage).where(counts())) or 0


def reports(tx: Session, *, limit: int = 60) -> Sequence[FixityReport]:
    """Return the reports of months, the newest first."""
    return tx.scalars(select(FixityReport).order_by(FixityReport.month.desc()).limit(limit)).all()


def whole_standing(database: Database, places: Sequence[str], *, period: timedelta, at: Instant) -> dict[str, Any]:
    """Return the standing of every place and the damage that is open, as JSON."""
    with database.read() as tx:
        found, is_open = standings(tx, places, period=period, at=at), open_count(tx)
    return {"period_days": period.days, "open_damage": is_open, "places": [as_json(each) for each in found]}


def as_json(standing: PlaceStanding) -> dict[str, Any]:
    """Return the standing of a place as JSON."""
    told = {name: getattr(standing, name) for name in PlaceStanding.__dataclass_fields__}
    for name in ("oldest", "trouble_at"):
        told[name] = None if told[name] is None else format_instant(told[name])
    return told


def _standing(tx: Session, place: str, names: Mapping[str, str], *, period: timedelta, at: Instant) -> PlaceStanding:
    bound = at - period
    is_late = FixityCheck.since <= bound
    here = (FixityCheck.place == place, FixityCheck.since.is_not(None))
    figures = select(
        func.count(),
        func.count(case((and_(~is_late, FixityCheck.checked_at.is_not(None)), 1))),
        func.count(case((and_(~is_late, FixityCheck.checked_at.is_(None)), 1))),
        func.count(case((is_late, 1))),
        func.min(FixityCheck.since),
    )
    objects, checked, fresh, overdue, oldest = tx.execute(figures.where(*here)).one()
    count = select(func.count()).select_from(FixityCheck)
    asked = tx.scalar(count.where(*here, FixityCheck.asked_at.is_not(None)))
    unread = tx.scalar(count.where(*here, FixityCheck.tries > 0))
    read = select(func.sum(FixityBatch.size_bytes)).where(FixityBatch.place == place, FixityBatch.at > at - _DAY)
    damaged = select(func.count()).select_from(FixityDamage)
    damaged = damaged.where(FixityDamage.place == place, FixityDamage.repaired_at.is_(None))
    row = tx.get(FixityPlace, place)
    size = 0 if row is None else row.size_bytes
    return PlaceStanding(
        id=place,
        name=names.get(place, place),
        objects=int(objects),
        size_bytes=size,
        checked=int(checked),
        fresh=int(fresh),
        overdue=int(overdue),
        asked=int(asked or 0),
        unread=int(unread or 0),
        oldest=oldest,
        read_day_bytes=int(tx.scalar(read) or 0),
        needed_day_bytes=int(size / max(period / _DAY, 1)),
        damaged=int(tx.scalar(damaged) or 0),
        trouble=None if row is None else row.trouble,
        trouble_at=None if row is None else row.trouble_at,
    )
