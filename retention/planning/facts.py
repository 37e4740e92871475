"""What is known of objects that schedules ask about."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from retention.planning.driver import Driver, Texts, Which, as_instant
from retention.planning.readings import Reading, Thing, read, recorded_at
from retention.schedules.algebra import Facts
from retention.schedules.terms import Mark


def facts_of(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, Facts]:
    """Return the facts of each of these objects that there is: a few queries, however many there are.

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
    marks = reading.marks.get(key, frozenset[str]()).union(*(marked for *_, marked in filings if marked is not None))
    return Facts(
        kind=kind,
        received_at=as_instant(received),
        recorded_at=None if recorded is None else as_instant(recorded),
        marks=frozenset(map(Mark, marks)),
        categories=frozenset(category for _, category, _, _, _ in filings),
        stages=frozenset(stage for _, _, _, stage, _ in filings if stage),
        closings=tuple(as_instant(closed) if closed else None for _, _, closed, _, _ in filings),
    )
