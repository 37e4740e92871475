"""What is known of objects that schedules ask about."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from retention.planning.readings import Driver, Reading, Texts, Thing, Which, as_instant, read, recorded_at
from retention.schedules.algebra import Facts
from retention.schedules.terms import Mark


def facts_of(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, Facts]:
    """Return the facts of each of these objects that there is still: a few queries, however many there are.

    `recorded_at` is corrected by the clock's offset and None where nobody says it exactly, `received_at` is when
    something came that did not come from a dock. Nothing is narrowed to what the transaction sees: whoever asks has
    found the objects.
    """
    driver = Driver(tx)
    reading = read(driver, Which(keys=[driver.key(object_id) for object_id in object_ids]))
    return {UUID(thing[0]): facts_from(thing, reading, driver.texts) for thing in reading.things}


def facts_from(thing: Thing, reading: Reading, texts: Texts) -> Facts:
    """Return the facts of an object that was read."""
    key, kind, received, stated, offset_ms, filings = thing
    recorded = recorded_at(stated, offset_ms, texts)
    return Facts(
        kind=kind,
        received_at=as_instant(received),
        recorded_at=None if recorded is None else as_instant(recorded),
        marks=frozenset(map(Mark, reading.marks.get(key, ()))),
        categories=frozenset(category for _, category, _, _ in filings),
        stages=frozenset(stage for _, _, _, stage in filings if stage is not None),
        closings=tuple(None if closed is None else as_instant(closed) for _, _, closed, _ in filings),
    )
