"""The time axis of a case: acts, the footage of each device, and documents, on one clock. Pure.

Footage stands at its true time: what the device showed, less what its clock was off. Where a device told no time, the
time of arrival stands in, and the span says that it is not sure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from archive.cases.listings import CaseView, ItemRow
from archive.evidence.models import EvidenceItem
from archive.kernel.instants import Instant

_PAPERS: Final = ("document", "archive")


class LaneKind(StrEnum):
    """What a lane of the axis holds."""

    ACTS = "acts"
    DEVICE = "device"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took a while, or happened at a moment (then both times are the same).

    `kind` is the stage of an act, the kind of an item, or `record`; `is_sure` is False where the time is not the
    device's own.
    """

    id: UUID
    kind: str
    name: str
    starts_at: Instant
    ends_at: Instant
    is_sure: bool = True


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the axis; `name` is the device's serial number, empty where there is none to tell."""

    kind: LaneKind
    name: str
    spans: Sequence[Span]


def timeline(view: CaseView) -> Sequence[Lane]:
    """Return the lanes of a case in the order in which they are read: acts, each device by first use, documents."""
    acts = [Span(act.id, act.stage, act.place, act.started_at, act.ended_at or act.started_at) for act in view.acts]
    recorded = [row for row in view.items if row.item.kind not in _PAPERS]
    documents = [
        *(
            Span(row.record.object_id, "record", row.record.title, *_moment(row.record.filed_at))
            for row in view.records
        ),
        *(_span(row) for row in view.items if row.item.kind in _PAPERS),
    ]
    lanes = [
        Lane(LaneKind.ACTS, "", acts),
        *_devices(recorded),
        Lane(LaneKind.DOCUMENTS, "", sorted(documents, key=_place)),
    ]
    return [lane for lane in lanes if lane.spans]


def true_start(item: EvidenceItem) -> Instant | None:
    """Return when a recording began by the archive's clock, or None where its device told no time."""
    if item.recorded_at is None:
        return None
    return item.recorded_at - timedelta(milliseconds=item.clock_offset_ms or 0)


def _devices(rows: Iterable[ItemRow]) -> list[Lane]:
    by_device: dict[str, list[Span]] = {}
    for span, serial in sorted(
        ((_span(row), row.item.device_serial or "") for row in rows), key=lambda pair: _place(pair[0])
    ):
        by_device.setdefault(serial, []).append(span)
    return [Lane(LaneKind.DEVICE, serial, spans) for serial, spans in by_device.items()]


def _span(row: ItemRow) -> Span:
    item = row.item
    started = true_start(item)
    at = started or item.received_at
    ends_at = at + timedelta(milliseconds=item.duration_ms or 0)
    return Span(item.object_id, item.kind, row.original.name, at, ends_at, is_sure=started is not None)


def _moment(at: Instant) -> tuple[Instant, Instant]:
    return at, at


def _place(span: Span) -> tuple[Instant, Instant, UUID]:
    return span.starts_at, span.ends_at, span.id
