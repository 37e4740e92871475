"""Retention marks, and holds with what they cover and how they were looked at again."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from archive.calendar.days import local_day
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_day
from retention.holding import models as _models

_LOADED: Final = _models


def marked(told: Told, rows: Rows, _: Sources) -> None:
    """Write a mark of an object or of a case."""
    rows.add(
        "retention_mark",
        id=_named(told),
        ref_kind="case" if told.kind == "case" else "object",
        ref_id=told.about,
        mark=told["kind"],
        reason=told.words("reason"),
        set_by=told.actor,
        set_at=told.at,
    )


def unmarked(told: Told, rows: Rows, _: Sources) -> None:
    """Take a mark back."""
    removed = {"removed_by": told.actor, "removed_at": told.at, "removed_reason": told.words("reason")}
    rows.change("retention_mark", {"id": _named(told)}, **removed)


def placed(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a hold with what it covered from the beginning, and count its number.

    What was asked for is lost with a detail that was erased: such a hold covers what it has covered, and no more.
    """
    rows.add(
        "hold",
        id=_named(told),
        number=told.unique("number"),
        scope=told["kind"],
        ref_id=told.uuid("ref"),
        query=told.get("query"),
        authority=told.words("authority"),
        reason=told.words("reason"),
        review_on=told.day("review_by"),
        unit_id=told.uuid("unit"),
        placed_by=told.actor,
        placed_at=told.at,
    )
    extended(told, rows, sources)
    rules, year = sources.hold_rules, local_day(told.at).year
    series = rules.series(year=year)
    before = rows.find("hold_count", series=series)
    last = 0 if before is None else int(before["last"])
    tried = range(last + 1, last + 1000)
    serial = next((n for n in tried if told.is_gone or rules.number(year=year, serial=n) == told["number"]), last)
    rows.set("hold_count", {"series": series}, last=serial)


def extended(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a hold covers from then on."""
    hold_id = _named(told)
    held = [{"hold_id": hold_id, "object_id": UUID(found), "since": told.at} for found in told.get("objects", ())]
    rows.add_all("held_object", held)


def reviewed(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a hold was looked at again, and its next day of review."""
    hold_id, review_on = _named(told), told.day("review_by")
    rows.change("hold", {"id": hold_id}, review_on=review_on)
    rows.add(
        "hold_review",
        entry_id=told.id,
        hold_id=hold_id,
        reason=told.words("reason"),
        was_on=as_day(told["was"]["review_by"]),
        review_on=review_on,
        by_id=told.actor,
        at=told.at,
    )


def released(told: Told, rows: Rows, _: Sources) -> None:
    """Release a hold."""
    values = {"released_by": told.actor, "released_at": told.at, "release_reason": told.words("reason")}
    rows.change("hold", {"id": _named(told)}, **values)


def _named(told: Told) -> UUID:
    """Return the mark or the hold that an entry is about, which stands in the entry itself. Raises: FactUnknown."""
    found = told.fields.get("req")
    if found is None:
        raise told.unknown("req")
    return UUID(found)


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {
    "retention.marked": marked,
    "retention.unmarked": unmarked,
    "hold.placed": placed,
    "hold.extended": extended,
    "hold.reviewed": reviewed,
    "hold.released": released,
}
