"""The strip under the player: stills, waveform, marks and places of an item, as a page wants them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.evidence.items import ItemView, looks
from archive.evidence.timeline import Mark, marks_of, stills
from archive.kernel.ids import ObjectId

_MOST_POINTS: Final = 2000


@dataclass(frozen=True, slots=True)
class Strip:
    """What the strip shows. Units: milliseconds of the playable rendition, pixels, ten-millionths of a degree.

    `stills` are [from, to, x, y] on the sprite sheet, whose pictures are `width` x `height`; `points` are
    [from, latitude, longitude].
    """

    marks: Sequence[Mark]
    stills: Sequence[Sequence[int]]
    width: int
    height: int
    points: Sequence[Sequence[int]]
    has_peaks: bool

    @property
    def is_worth_showing(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.marks or self.stills or self.points or self.has_peaks)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording began. Units: degrees."""

    latitude: float
    longitude: float


def strip_of(tx: Session, view: ItemView) -> Strip:
    """Return the strip of an item."""
    found = looks(tx, ObjectId(view.item.object_id))
    keyframes: Mapping[str, Any] = found["keyframes"].found if "keyframes" in found else {}
    shown = stills(keyframes) if view.rendition("sprite") is not None else []
    points = [point for point in _points(found.get("track")) if point[0] is not None]
    step = len(points) // _MOST_POINTS + 1
    return Strip(
        marks=marks_of(found),
        stills=[(still.from_ms, still.to_ms, still.x, still.y) for still in shown],
        width=shown[0].width if shown else 0,
        height=shown[0].height if shown else 0,
        points=[point[:3] for point in points[::step]],
        has_peaks=view.rendition("peaks") is not None,
    )


def device_facts(tx: Session, object_id: ObjectId) -> tuple[Sequence[tuple[str, str, str]], Place | None]:
    """Return what a recording's own tags and its dock tell of the device (name, value, tag), and where it began."""
    track = looks(tx, object_id).get("track")
    if track is None:
        return (), None
    told = track.found.get("device", {})
    facts = [
        (name, str(told[name]["value"]), str(told[name]["tag"]))
        for name in ("make", "model", "serial", "firmware")
        if name in told
    ]
    points = _points(track)
    place = Place(points[0][1] / 1e7, points[0][2] / 1e7) if points else None
    return facts, place


def _points(track: Any) -> Sequence[Sequence[Any]]:
    found: Sequence[Sequence[Any]] = track.found.get("points", []) if track is not None else []
    return found
