"""Where an item that is filed nowhere may belong: a ranking of cases and acts with the signs that speak for each.

A suggestion is never more than that: a person confirms it. The weights are data; the sum of the signs ranks.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final
from uuid import UUID

from sqlalchemy import String, Uuid, and_, column, or_, select, values
from sqlalchemy.orm import Session, aliased
from sqlalchemy.types import TypeEngine

from archive.cases.models import Act, ActOfficer, Case, CaseLink
from archive.cases.timeline import true_start
from archive.custody.models import PreservedObject
from archive.db.base import Moment
from archive.evidence.models import Clip, EvidenceItem, ItemLook
from archive.kernel.instants import Instant
from archive.organisation.models import Officer


class Sign(StrEnum):
    """What speaks for a case."""

    NUMBER_IN_NAME = "number_in_name"
    SAME_RECORDING = "same_recording"
    DURING_ACT = "during_act"
    NEAR_ACT = "near_act"
    SAME_DEVICE = "same_device"
    SAME_OFFICER = "same_officer"
    OFFICER_OF_ACT = "officer_of_act"
    SAME_PLACE = "same_place"


WEIGHTS: Final[Mapping[Sign, int]] = {
    Sign.NUMBER_IN_NAME: 100,
    Sign.SAME_RECORDING: 90,
    Sign.DURING_ACT: 40,
    Sign.OFFICER_OF_ACT: 35,
    Sign.SAME_PLACE: 25,
    Sign.SAME_DEVICE: 20,
    Sign.SAME_OFFICER: 20,
    Sign.NEAR_ACT: 15,
}
NEAR: Final = timedelta(minutes=30)
"""An act that ended, or begins, within this time of the recording."""
SAME_DUTY: Final = timedelta(hours=12)
"""Recordings of one device or officer within this time are probably of one duty."""
SAME_PLACE_M: Final = 200
_MOST_ACTS: Final = 200
_MOST_ITEMS: Final = 500
_MOST_SHOWN: Final = 3
_LONGEST_ACT: Final = timedelta(days=2)
_TRACK: Final = "track"
_LEAST_NUMBER: Final = 4
_EARTH_M: Final = 6_371_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A case, and the act of it, that an item may belong to. `signs`: the strongest first."""

    case: Case
    act: Act | None
    signs: Sequence[Sign]

    @property
    def weight(self) -> int:
        """How much speaks for it."""
        return sum(WEIGHTS[sign] for sign in self.signs)


@dataclass(slots=True)
class _Found:
    signs: set[Sign] = field(default_factory=set)
    acts: list[tuple[bool, bool, timedelta, UUID]] = field(default_factory=list)

    def act_id(self) -> UUID | None:
        """Return the act that covers the recording, its officer's before others, else the nearest one."""
        return min(self.acts)[-1] if self.acts else None


@dataclass(frozen=True, slots=True)
class _Dated:
    """An item whose device told when it was recorded; `started` and `ended` are by the archive's clock."""

    item: EvidenceItem
    recorded_at: Instant
    started: Instant
    ended: Instant

    @property
    def duty(self) -> tuple[UUID, Instant, Instant]:
        """The item and between which times of devices its duty probably was."""
        return self.item.object_id, self.recorded_at - SAME_DUTY, self.recorded_at + SAME_DUTY


_ByItem = Mapping[UUID, dict[UUID, _Found]]


def suggestions(tx: Session, items: Sequence[EvidenceItem]) -> Mapping[UUID, Sequence[Suggestion]]:
    """Return up to three suggestions for each item, the best first; an item that nothing speaks for has none.

    As many statements for a page of items as for one.
    """
    found: _ByItem = {item.object_id: defaultdict(_Found) for item in items}
    if found:
        _note_named(tx, found)
        _note_recordings(tx, found)
    if dated := list(_dated(items)):
        _note_acts(tx, dated, found)
        _note_duties(tx, dated, found)
        _note_places(tx, dated, found)
    wanted = {case_id for cases in found.values() for case_id in cases}
    cases = {case.id: case for case in tx.scalars(select(Case).where(Case.id.in_(wanted)))}
    act_ids = {act_id for signs in found.values() for one in signs.values() if (act_id := one.act_id())}
    acts = {act.id: act for act in tx.scalars(select(Act).where(Act.id.in_(act_ids)))}
    return {
        object_id: _ranked(
            Suggestion(cases[case_id], acts.get(one.act_id() or case_id), sorted(one.signs, key=_strongest_first))
            for case_id, one in by_case.items()
        )
        for object_id, by_case in found.items()
    }


def _dated(items: Iterable[EvidenceItem]) -> Iterator[_Dated]:
    for item in items:
        started = true_start(item)
        if item.recorded_at is not None and started is not None:
            yield _Dated(item, item.recorded_at, started, started + timedelta(milliseconds=item.duration_ms or 0))


def _strongest_first(sign: Sign) -> tuple[int, str]:
    return -WEIGHTS[sign], sign.value


def _ranked(found: Iterable[Suggestion]) -> Sequence[Suggestion]:
    ranked = sorted(found, key=lambda one: (-one.weight, -one.case.opened_at.timestamp(), one.case.id))
    return ranked[:_MOST_SHOWN]


def _note_named(tx: Session, found: _ByItem) -> None:
    """Note the case whose number stands in the file's name, as docks and recorders often write it."""
    items_of: dict[str, set[UUID]] = defaultdict(set)
    for row in tx.execute(select(PreservedObject.id, PreservedObject.name).where(PreservedObject.id.in_(found))):
        for part in re.split(r"[\s_.,;()]+", row.name):
            if len(part) >= _LEAST_NUMBER:
                items_of[part].add(row.id)
    for row in tx.execute(select(Case.id, Case.number).where(Case.number.in_(items_of))):
        for object_id in items_of[row.number]:
            found[object_id][row.id].signs.add(Sign.NUMBER_IN_NAME)


def _note_recordings(tx: Session, found: _ByItem) -> None:
    """Note the cases of the other clips of an item's recording."""
    own = aliased(Clip)
    rows = tx.execute(
        select(own.object_id, CaseLink.case_id)
        .join(Clip, Clip.recording_id == own.recording_id)
        .join(CaseLink, CaseLink.object_id == Clip.object_id)
        .where(own.object_id.in_(found))
        .distinct()
        .limit(_MOST_ITEMS * len(found))
    )
    for object_id, case_id in rows:
        found[object_id][case_id].signs.add(Sign.SAME_RECORDING)


def _note_acts(tx: Session, items: Sequence[_Dated], found: _ByItem) -> None:
    """Note the cases of acts at about that time; one that covers the recording says more than one nearby."""
    times = {one.item.object_id: (one.started, one.ended) for one in items}
    about = _given(
        [
            (object_id, started - _LONGEST_ACT, ended + NEAR, started - NEAR, started - 2 * NEAR)
            for object_id, (started, ended) in times.items()
        ],
        object_id=Uuid(), first=Moment(), last=Moment(), still=Moment(), opened=Moment(),
    )  # fmt: skip
    lasts = or_(Act.ended_at >= about.still, and_(Act.ended_at.is_(None), Act.started_at >= about.opened))
    rows = tx.execute(
        select(about.object_id, Act.id, Act.case_id, Act.started_at, Act.ended_at)
        .join(Act, and_(Act.started_at.between(about.first, about.last), lasts))
        .order_by(Act.started_at.desc())
        .limit(_MOST_ACTS * len(items))
    ).all()
    attended = _attended(tx, items, {row.id for row in rows})
    for row in rows:
        started, ended = times[row.object_id]
        is_during = row.started_at <= ended and started <= (row.ended_at or row.started_at + NEAR)
        is_attended = (row.object_id, row.id) in attended
        one = found[row.object_id][row.case_id]
        one.signs.add(Sign.DURING_ACT if is_during else Sign.NEAR_ACT)
        if is_attended:
            one.signs.add(Sign.OFFICER_OF_ACT)
        one.acts.append((not is_during, not is_attended, abs(row.started_at - started), row.id))
    for cases in found.values():
        for one in cases.values():
            if Sign.DURING_ACT in one.signs:
                one.signs.discard(Sign.NEAR_ACT)


def _attended(tx: Session, items: Sequence[_Dated], act_ids: Collection[UUID]) -> Collection[tuple[UUID, UUID]]:
    """Return which of the acts the officer took part in whose number an item tells: pairs of item and act."""
    items_of: dict[str, list[UUID]] = defaultdict(list)
    for one in items:
        if one.item.officer_number:
            items_of[one.item.officer_number].append(one.item.object_id)
    if not items_of or not act_ids:
        return ()
    rows = tx.execute(
        select(ActOfficer.act_id, Officer.certificate_number)
        .join(Officer, Officer.id == ActOfficer.officer_id)
        .where(Officer.certificate_number.in_(items_of), ActOfficer.act_id.in_(act_ids))
    )
    return {(object_id, row.act_id) for row in rows for object_id in items_of[row.certificate_number]}


def _note_duties(tx: Session, items: Sequence[_Dated], found: _ByItem) -> None:
    """Note the cases of what the same device, or the same officer, recorded on the same duty."""
    devices = [(*one.duty, one.item.device_serial) for one in items if one.item.device_serial]
    officers = [(*one.duty, one.item.officer_number) for one in items if one.item.officer_number]
    for known, name, sign in (
        (devices, EvidenceItem.device_serial, Sign.SAME_DEVICE),
        (officers, EvidenceItem.officer_number, Sign.SAME_OFFICER),
    ):
        if not known:
            continue
        duty = _given(known, object_id=Uuid(), first=Moment(), last=Moment(), word=String())
        rows = tx.execute(
            select(duty.object_id, CaseLink.case_id)
            .join(
                EvidenceItem,
                and_(name == duty.word, EvidenceItem.recorded_at.between(duty.first, duty.last)),
            )
            .join(CaseLink, CaseLink.object_id == EvidenceItem.object_id)
            .distinct()
            .limit(_MOST_ITEMS * len(items))
        )
        for object_id, case_id in rows:
            found[object_id][case_id].signs.add(sign)


def _note_places(tx: Session, items: Sequence[_Dated], found: _ByItem) -> None:
    """Note the cases of what was recorded nearby on the same duty."""
    object_ids = [one.item.object_id for one in items]
    tracks = tx.scalars(select(ItemLook).where(ItemLook.look == _TRACK, ItemLook.object_id.in_(object_ids)))
    places = {track.object_id: place for track in tracks if (place := _first_point(track.found)) is not None}
    if not places:
        return
    duties = [one.duty for one in items if one.item.object_id in places]
    duty = _given(duties, object_id=Uuid(), first=Moment(), last=Moment())
    rows = tx.execute(
        select(duty.object_id, CaseLink.case_id, ItemLook.found)
        .join(EvidenceItem, EvidenceItem.recorded_at.between(duty.first, duty.last))
        .join(ItemLook, and_(ItemLook.object_id == EvidenceItem.object_id, ItemLook.look == _TRACK))
        .join(CaseLink, CaseLink.object_id == EvidenceItem.object_id)
        .limit(_MOST_ITEMS * len(places))
    )
    for object_id, case_id, track in rows:
        there = _first_point(track)
        if there is not None and _metres(places[object_id], there) <= SAME_PLACE_M:
            found[object_id][case_id].signs.add(Sign.SAME_PLACE)


def _given(rows: Sequence[tuple[Any, ...]], **columns: TypeEngine[Any]) -> Any:
    """Return the columns of a table with what is given, to be joined."""
    named = [column(name, type_) for name, type_ in columns.items()]
    return values(*named, name="rows_given").data(list(rows)).cte("given").c


def _first_point(track: Mapping[str, object]) -> tuple[float, float] | None:
    points = track.get("points")
    if not isinstance(points, list) or not points:
        return None
    return points[0][1] / 1e7, points[0][2] / 1e7


def _metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two places given in degrees. Source: haversine formula."""
    (lat_a, lon_a), (lat_b, lon_b) = ((radians(lat), radians(lon)) for lat, lon in (one, other))
    half = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * _EARTH_M * asin(sqrt(half))
