"""The word for what keeps an object from being disposed of; `retention.holding.stops` finds every one of them."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from archive.kernel.instants import Instant


class StopKind(StrEnum):
    """Why an object is not disposed of now."""

    NOT_PLANNED = "not_planned"
    NO_RULE = "no_rule"
    NOT_DUE = "not_due"
    PERMANENT = "permanent"
    CLOCK_NOT_BEGUN = "clock_not_begun"
    HOLD = "hold"
    OPEN_CASE = "open_case"
    OPEN_COMPLAINT = "open_complaint"
    OPEN_RETRIEVAL = "open_retrieval"
    BOUND_IN_VOLUME = "bound_in_volume"
    STORE_LOCK = "store_lock"
    DAMAGED = "damaged"
    IN_DISPOSITION = "in_disposition"
    BEING_MOVED = "being_moved"
    COPY_OUT_OF_REACH = "copy_out_of_reach"


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that stops the disposition of an object.

    `ref_id` names what stops it (a hold, a case, a complaint, a volume, a disposition list), `until` when it ends by
    itself, if it does.
    """

    kind: StopKind
    ref_id: UUID | None = None
    until: Instant | None = None
