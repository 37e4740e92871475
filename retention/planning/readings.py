"""What planning reads of objects, as texts of the driver: each query is asked once for any number of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from archive.evidence.terms import VAGUE
from retention.planning.driver import Driver, Query, Texts, Which

Filing = tuple[str, str, str, str, frozenset[str] | None]
"""A case that an object is filed under: id, category, when it was closed, the stage of the act if it is one's, marks;
what there is not is the empty text, or None."""
Thing = tuple[str, str, str, str, str, list[Filing]]
"""An object as schedules ask about it: id, kind, when it was received, when it says that it was recorded, how far the
clock was ahead that this comes from, in milliseconds; what it is filed under."""


class Reading(NamedTuple):
    """What is known of some objects. `marks` are those of the objects themselves, by their ids."""

    things: Sequence[Thing]
    marks: Mapping[str, frozenset[str]]


# Each join says the range anew: PostgreSQL does not see that it follows.
_THINGS: Final = Query(
    (
        "o.id",
        "coalesce(i.kind, o.kind)",
        "coalesce(i.received_at, o.preserved_at)",
        f"CASE WHEN i.recorded_from NOT IN {VAGUE} THEN i.recorded_at END",
        "i.clock_offset_ms",
        "l.case_id",
        "l.act_id",
    ),
    "FROM preserved_object o LEFT JOIN evidence_item i ON i.object_id = o.id AND {0}"
    " LEFT JOIN case_link l ON l.object_id = o.id AND {1} WHERE {2} ORDER BY o.id",
    ("i.object_id", "l.object_id", "o.id"),
)
# A closed volume is an object of its case, which nobody links.
_VOLUMES: Final = Query(
    ("v.object_id", "v.case_id"), "FROM volume v WHERE v.object_id IS NOT NULL AND {0}", ("v.object_id",)
)
_CASES: Final = Query(("id", "category", "closed_at"), "FROM case_file WHERE {0}", ("id",))
_ACTS: Final = Query(("id", "stage"), "FROM act WHERE {0}", ("id",))
_MARKS: Final = Query(("ref_id", "mark"), "FROM retention_mark WHERE removed_at IS NULL AND {0}", ("ref_id",))


def read(driver: Driver, which: Which) -> Reading:
    """Return what is known of these objects; of one that there is not, nothing."""
    rows, volumes = driver.bulk(_THINGS, which), driver.bulk(_VOLUMES, which)
    cases = {row[5] for row in rows}.union(case_id for _, case_id in volumes) - {""}
    acts = {row[6] for row in rows} - {""}
    marks, of_cases = _marks(driver, which), _marks(driver, Which(keys=list(cases))) if cases else {}
    known = {
        case_id: (category, closed, of_cases.get(case_id))
        for case_id, category, closed in (driver.bulk(_CASES, Which(keys=list(cases))) if cases else ())
    }
    stages = {act_id: stage for act_id, stage in (driver.bulk(_ACTS, Which(keys=list(acts))) if acts else ())}  # noqa: C416
    stages[""] = ""
    things: list[Thing] = []
    last, filings = "", list[Filing]()
    for key, kind, received, stated, offset_ms, case_id, act_id in rows:  # those of one object follow each other
        if key != last:
            filings = []
            things.append((key, kind, received, stated, offset_ms, filings))
            last = key
        if case_id:
            category, closed, marked = known[case_id]
            filings.append((case_id, category, closed, stages[act_id], marked))
    if volumes:
        filed = {thing[0]: thing[5] for thing in things}
        for key, case_id in volumes:
            category, closed, marked = known[case_id]
            filed[key].append((case_id, category, closed, "", marked))
    return Reading(things, marks)


def _marks(driver: Driver, which: Which) -> Mapping[str, frozenset[str]]:
    found: dict[str, Collection[str]] = {}
    for ref_id, mark in driver.bulk(_MARKS, which):
        found[ref_id] = {*found.get(ref_id, ()), mark}
    return {ref_id: frozenset(of) for ref_id, of in found.items()}


def recorded_at(stated_at: str, offset_ms: str, texts: Texts) -> str | None:
    """Return when a recording began, corrected by its clock's offset; None where nobody says it exactly.

    As `archive.evidence.grouping.stated_start`.
    """
    if not stated_at or not offset_ms or offset_ms == "0":
        return stated_at or None
    try:
        return texts.earlier(stated_at, int(offset_ms))
    except OverflowError:
        return None
