"""Where an item that is filed nowhere may belong: a ranking of cases and acts with the signs that speak for each.

A suggestion is never more than that: a person confirms it. The weights are data; the sum of the signs ranks.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Final
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from archive.cases.models import Act, ActOfficer, Case, CaseLink
from archive.cases.timeline import true_start
from archive.custody.models import PreservedObject
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


def suggestions(tx: Session, items: Sequence[EvidenceItem]) -> Mapping[UUID, Sequence[Suggestion]]:
    """Return up to three suggestions for each item, the best first; an item that nothing speaks for has none."""
    found = {item.object_id: _found(tx, item) for item in items}
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


def _strongest_first(sign: Sign) -> tuple[int, str]:
    return -WEIGHTS[sign], sign.value


def _ranked(found: Iterable[Suggestion]) -> Sequence[Suggestion]:
    ranked = sorted(found, key=lambda one: (-one.weight, -one.case.opened_at.timestamp(), one.case.id))
    return ranked[:_MOST_SHOWN]


def _found(tx: Session, item: EvidenceItem) -> dict[UUID, _Found]:
    found: dict[UUID, _Found] = defaultdict(_Found)
    for case_id in _named(tx, item):
        found[case_id].signs.add(Sign.NUMBER_IN_NAME)
    for case_id in _cases_of_clips(tx, item):
        found[case_id].signs.add(Sign.SAME_RECORDING)
    started = true_start(item)
    if started is not None:
        _note_acts(tx, item, started, found)
        for case_id, signs in _shared(tx, item, started):
            if signs:
                found[case_id].signs |= signs
    return found


def _note_acts(tx: Session, item: EvidenceItem, started: Instant, found: dict[UUID, _Found]) -> None:
    """Note the cases of acts at about that time; one that covers the recording says more than one nearby."""
    ended = started + timedelta(milliseconds=item.duration_ms or 0)
    acts = _acts_about(tx, started, ended)
    attended = _attended(tx, item, acts)
    for act in acts:
        is_during = act.started_at <= ended and started <= (act.ended_at or act.started_at + NEAR)
        one = found[act.case_id]
        one.signs.add(Sign.DURING_ACT if is_during else Sign.NEAR_ACT)
        if act.id in attended:
            one.signs.add(Sign.OFFICER_OF_ACT)
        one.acts.append((not is_during, act.id not in attended, abs(act.started_at - started), act.id))
    for one in found.values():
        if Sign.DURING_ACT in one.signs:
            one.signs.discard(Sign.NEAR_ACT)


def _named(tx: Session, item: EvidenceItem) -> Iterable[UUID]:
    """Return the case whose number stands in the file's name, as docks and recorders often write it."""
    name = tx.scalar(select(PreservedObject.name).where(PreservedObject.id == item.object_id)) or ""
    parts = {part for part in re.split(r"[\s_.,;()]+", name) if len(part) >= _LEAST_NUMBER}
    return tx.scalars(select(Case.id).where(Case.number.in_(parts))).all() if parts else ()


def _cases_of_clips(tx: Session, item: EvidenceItem) -> Iterable[UUID]:
    own = select(Clip.recording_id).where(Clip.object_id == item.object_id).scalar_subquery()
    return tx.scalars(
        select(CaseLink.case_id)
        .join(Clip, Clip.object_id == CaseLink.object_id)
        .where(Clip.recording_id == own)
        .distinct()
        .limit(_MOST_ITEMS)
    ).all()


def _attended(tx: Session, item: EvidenceItem, acts: Sequence[Act]) -> Collection[UUID]:
    """Return those of the acts that the officer whose number the recording tells took part in."""
    if not item.officer_number:
        return ()
    return set(
        tx.scalars(
            select(ActOfficer.act_id)
            .join(Officer, Officer.id == ActOfficer.officer_id)
            .where(Officer.certificate_number == item.officer_number, ActOfficer.act_id.in_([act.id for act in acts]))
        )
    )


def _acts_about(tx: Session, started: Instant, ended: Instant) -> Sequence[Act]:
    covers = and_(Act.started_at <= ended + NEAR, Act.started_at >= started - timedelta(days=2))
    lasts = or_(Act.ended_at >= started - NEAR, and_(Act.ended_at.is_(None), Act.started_at >= started - 2 * NEAR))
    return tx.scalars(select(Act).where(covers, lasts).order_by(Act.started_at.desc()).limit(_MOST_ACTS)).all()


def _shared(tx: Session, item: EvidenceItem, started: Instant) -> Iterable[tuple[UUID, set[Sign]]]:
    """Return the cases of other recordings about that time, with what those have in common with the item."""
    offset = timedelta(milliseconds=item.clock_offset_ms or 0)
    rows = tx.execute(
        select(CaseLink.case_id, EvidenceItem, ItemLook.found)
        .join(EvidenceItem, EvidenceItem.object_id == CaseLink.object_id)
        .outerjoin(ItemLook, and_(ItemLook.object_id == EvidenceItem.object_id, ItemLook.look == "track"))
        .where(EvidenceItem.recorded_at.between(started + offset - SAME_DUTY, started + offset + SAME_DUTY))
        .order_by(EvidenceItem.recorded_at, EvidenceItem.object_id)
        .limit(_MOST_ITEMS)
    ).all()
    track = tx.get(ItemLook, (item.object_id, "track"))
    place = None if track is None else _first_point(track.found)
    for case_id, other, other_track in rows:
        signs = set()
        if item.device_serial and other.device_serial == item.device_serial:
            signs.add(Sign.SAME_DEVICE)
        if item.officer_number and other.officer_number == item.officer_number:
            signs.add(Sign.SAME_OFFICER)
        there = None if other_track is None else _first_point(other_track)
        if place is not None and there is not None and _metres(place, there) <= SAME_PLACE_M:
            signs.add(Sign.SAME_PLACE)
        yield case_id, signs


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
