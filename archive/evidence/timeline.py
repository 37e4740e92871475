"""The time line of an item, out of what looks into it found: marks worth showing, stills, the places where it was.

Formats of the looks: docs/formats/looks.md. Units: milliseconds of the playable rendition; pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.evidence.items import looks
from archive.evidence.models import ItemLook
from archive.kernel.ids import ObjectId

_JOINED_MS: Final = 2000
"""Places of damage that are nearer than this are one mark."""


class MarkKind(StrEnum):
    """What a mark on the time line tells."""

    DAMAGE = "damage"
    GAP = "gap"
    BLACK = "black"
    FREEZE = "freeze"
    SILENCE = "silence"
    BOOKMARK = "bookmark"


@dataclass(frozen=True, slots=True)
class Mark:
    """One place or stretch; `to_ms` equals `from_ms` for a place.

    `of` is audio where a gap is one of the sound alone. `note`: the words of a bookmark, with its source in `source`.
    `jump_ms`: by how much the recorder's clock jumped at a gap that takes no time in the rendition.
    """

    kind: MarkKind
    from_ms: int
    to_ms: int
    note: str = ""
    of: str = ""
    source: str = ""
    jump_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of the sprite sheet: when it stands, until the next one does, and where it lies on the sheet."""

    from_ms: int
    to_ms: int
    x: int
    y: int
    width: int
    height: int


def marks(tx: Session, object_id: ObjectId) -> Sequence[Mark]:
    """Return every place of an item that is worth showing on its time line, in order of time."""
    return marks_of(looks(tx, object_id))


def marks_of(found: Mapping[str, ItemLook]) -> Sequence[Mark]:
    """Return the marks out of the looks into one item."""
    told = [
        *_stretches(_found(found, "keyframes")),
        *_damage(_found(found, "damage")),
        *_bookmarks(_found(found, "track")),
    ]
    return sorted(told, key=lambda mark: (mark.from_ms, mark.to_ms, mark.kind))


def stills(keyframes: Mapping[str, Any]) -> Sequence[Still]:
    """Return the stills that the look `keyframes` tells of, in order; each lasts until the next one stands."""
    sprite = keyframes.get("sprite")
    if not sprite:
        return []
    times, columns = sprite["at_ms"], sprite["columns"]
    width, height = sprite["width"], sprite["height"]
    end_ms = max([span[1] for span in keyframes.get("spans", {}).values()], default=0)
    ends = [*times[1:], max(end_ms, times[-1] + 1)]
    return [
        # The first one also stands for what comes before it.
        Still(at_ms if number else 0, ends[number], number % columns * width, number // columns * height, width, height)
        for number, at_ms in enumerate(times)
    ]


def sprite_vtt(keyframes: Mapping[str, Any], *, address: str) -> str:
    """Return the WebVTT that tells a player which part of the sprite sheet at `address` belongs to which time.

    Source: WebVTT (W3C), section 4; media fragments `#xywh=` (W3C Media Fragments 1.0, section 4.2.2).
    """
    cues = [
        f"{_time(still.from_ms)} --> {_time(still.to_ms)}\n"
        f"{address}#xywh={still.x},{still.y},{still.width},{still.height}\n"
        for still in stills(keyframes)
        if still.to_ms > still.from_ms
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _found(found: Mapping[str, ItemLook], look: str) -> Mapping[str, Any]:
    return found[look].found if look in found else {}


def _stretches(told: Mapping[str, Any]) -> Iterator[Mark]:
    for kind in (MarkKind.BLACK, MarkKind.FREEZE, MarkKind.SILENCE):
        for from_ms, to_ms in told.get(kind.value, []):
            yield Mark(kind, from_ms, to_ms)
    for name, of in (("gaps", "video"), ("sound_gaps", "audio")):
        for from_ms, to_ms in told.get(name, []):
            yield Mark(MarkKind.GAP, from_ms, to_ms, of=of)
    for at_ms, jump_ms in told.get("jumps", []):
        yield Mark(MarkKind.GAP, at_ms, at_ms, jump_ms=jump_ms)


def _damage(told: Mapping[str, Any]) -> Iterator[Mark]:
    begun = last = None
    for at_ms in sorted(told.get("places_ms", [])):
        if last is not None and begun is not None and at_ms - last > _JOINED_MS:
            yield Mark(MarkKind.DAMAGE, begun, last)
            begun = None
        begun, last = at_ms if begun is None else begun, at_ms
    if begun is not None and last is not None:
        yield Mark(MarkKind.DAMAGE, begun, last)


def _bookmarks(told: Mapping[str, Any]) -> Iterator[Mark]:
    for mark in told.get("bookmarks", []):
        yield Mark(MarkKind.BOOKMARK, mark["at_ms"], mark["at_ms"], note=mark["label"], source=mark["source"])


def _time(at_ms: int) -> str:
    minutes, rest = divmod(at_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
