"""Documents: what the domains say of a thing that can be found, and keeping the index in step with it.

A domain calls `index_documents` as the last step of the transaction that changed something, and says there how the
document is built from rows. Whatever reads the index gets at it through `archive.search.queries`.
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from archive.db.base import insert_rows
from archive.kernel.instants import Instant
from archive.search.folding import fold
from archive.search.models import FTS_TABLE, SearchDocument
from archive.search.periods import day_facets
from archive.search.tokens import END, codes, facet_number, facet_words, numbers, phrase

MOST_CONTENT_CHARACTERS: Final = 100_000
"""What is searched of the text inside a document; the beginning of it."""
DEVICE: Final = "device"
PLACE: Final = "place"
"""Names of fields that are also looked for by themselves."""
_LOCK_SEED: Final = 0x5EA7C4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A place has 63 bits: 2 of the tier, 42 of milliseconds (to the year 2109), 18 of the id, 1 of the depth.
_TIER_BIT: Final = 61
_TIME_BIT: Final = 19
_MOST_MS: Final = (1 << 42) - 1
_END_OF_ID: Final = (1 << _TIME_BIT) - 2


class Kind(StrEnum):
    """What can be found. Cases, subjects and officers stand before text records, these before items."""

    CASE = "case"
    SUBJECT = "subject"
    OFFICER = "officer"
    RECORD = "record"
    ITEM = "item"

    @property
    def tier(self) -> int:
        """Where it stands among what is found, greatest first."""
        return {Kind.RECORD: 2, Kind.ITEM: 1}.get(self, 3)

    @property
    def shares_tier(self) -> bool:
        """Whether other kinds stand there too."""
        return self.tier == 3


class Depth(StrEnum):
    """How deep somebody may look: into the catalogue only, or into the text of documents too."""

    CATALOGUE = "catalogue"
    CONTENT = "content"


REACH: Final = "reach"
"""Name of the facets that say who sees a thing; they are never shown."""
ALL_DEPTHS: Final = "all"
"""The depth of a document that is the same for everybody."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is known of one thing that can be found.

    `fields` are texts by name, the title first; they are shown. `content` is searched in by those who may see it, and
    never shown. `facets` are exact values by name; a name may stand there more than once.
    """

    kind: Kind
    ref_id: UUID
    fields: Sequence[tuple[str, str]]
    facets: Sequence[tuple[str, str]]
    taken_at: Instant
    happened_at: Instant
    content: str = ""


def reach_facet(party: int, classes: int) -> tuple[str, str]:
    """Return the facet that says that a party sees a thing in these restricted classes (bits)."""
    return REACH, f"{party}.{classes}"


OPEN_FACET: Final = (REACH, "open")
"""The facet of what everybody sees who may search."""


Build = Callable[[Sequence[UUID]], Iterable[Document]]
"""Builds the documents of these ids from rows that it reads afresh; what is no more gets none."""


def index_documents(tx: Session, ref_ids: Collection[UUID], build: Build) -> None:
    """Bring the documents of these ids in step with the catalogue, in the caller's transaction.

    Guarantees: two transactions that change what one document says do it one after the other, and the later one builds
        from what the earlier one has committed. Call it last: whoever waits here should hold no row that others want.
    Idempotent: yes; a document that says the same is not written.
    """
    ordered = sorted(set(ref_ids))
    if not ordered:
        return
    _lock(tx, ordered)
    wanted = {(row["ref_id"], row["place"] & 1): row for document in build(ordered) for row in _rows(document)}
    table = SearchDocument.__table__
    found = tx.execute(select(table).where(SearchDocument.ref_id.in_(ordered))).mappings()
    kept = {(row["ref_id"], row["place"] & 1): dict(row) for row in found}
    staying = {key for key, row in wanted.items() if key in kept and _stays(kept[key], row)}
    gone = [row for key, row in kept.items() if key not in staying]
    fresh = [row for key, row in wanted.items() if key not in staying]
    changed = [
        (kept[key], {**wanted[key], "place": kept[key]["place"]})
        for key in staying
        if not _is_same(kept[key], wanted[key])
    ]
    _forget(tx, [*gone, *(before for before, _ in changed)])
    if gone:
        tx.execute(delete(SearchDocument).where(SearchDocument.place.in_([row["place"] for row in gone])))
    for _, row in changed:
        tx.execute(update(SearchDocument).where(SearchDocument.place == row["place"]).values(**_values(tx, row)))
    _give_places(tx, fresh)
    insert_rows(tx, SearchDocument, [_values(tx, row) for row in fresh])
    _learn(tx, [*fresh, *(row for _, row in changed)])


def remove_documents(tx: Session, ref_ids: Collection[UUID]) -> None:
    """Take what is no more out of the index, in the caller's transaction."""
    index_documents(tx, ref_ids, lambda _: ())


def clear_index(tx: Session) -> None:
    """Empty the index, so that it can be made again."""
    tx.execute(delete(SearchDocument))
    if _has_fts(tx):
        tx.execute(sql(f"INSERT INTO {FTS_TABLE}({FTS_TABLE}) VALUES ('delete-all')"))  # noqa: S608 - a constant


def place_of(kind: Kind, happened_at: Instant, ref_id: UUID) -> int:
    """Return where a thing stands among what is found, greatest first: its tier, when it happened, the end of its id.

    The lowest bit is left to tell its two depths apart.
    """
    return first_place(kind.tier, happened_at) | (ref_id.int << 1) & _END_OF_ID


def first_place(tier: int, at: Instant) -> int:
    """Return the least place of something of this tier that happened within the millisecond of `at`."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    return tier << _TIER_BIT | min(max(milliseconds, 0), _MOST_MS) << _TIME_BIT


def end_place(tier: int, at: Instant) -> int:
    """Return the place that follows all of this tier that happened at `at` or before."""
    return first_place(tier, at) + (1 << _TIME_BIT)


def folded_fields(fields: Iterable[Sequence[str]]) -> str:
    """Return what is searched in of fields that are shown."""
    return "".join(fold(value) + END for _, value in fields)


def stored_facets(row: Mapping[str, Any]) -> list[int]:
    """Return the tokens of every facet of a stored document."""
    return [facet_number(name, value) for name, value in _all_facets(row)]


def _all_facets(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    depths = list(Depth) if row["depth"] == ALL_DEPTHS else [Depth(row["depth"])]
    return [
        ("kind", row["kind"]),
        *(("depth", depth.value) for depth in depths),
        *(("taken", span) for span in day_facets(row["taken_at"])),
        *((name, value) for name, value in row["facets"]),
    ]


def _rows(document: Document) -> list[dict[str, Any]]:
    """Return the rows of a document: one for everybody, or one for each depth where it has content."""
    fields = [[name, value] for name, value in document.fields]
    folded = [(name, fold(value) + END) for name, value in fields]
    catalogue = "".join(text for _, text in folded)
    row: dict[str, Any] = {
        "place": place_of(document.kind, document.happened_at, document.ref_id),
        "kind": document.kind.value,
        "ref_id": document.ref_id,
        "depth": ALL_DEPTHS,
        "fields": fields,
        "facets": sorted([name, value] for name, value in document.facets),
        "taken_at": document.taken_at,
        "happened_at": document.happened_at,
        "device": "".join(text for name, text in folded if name == DEVICE),
        "places": "".join(text for name, text in folded if name == PLACE),
        "folded": catalogue,
    }
    content = fold(document.content[:MOST_CONTENT_CHARACTERS])
    if not content:
        return [row]
    deeper = {"depth": Depth.CONTENT.value, "place": row["place"] | 1, "folded": catalogue + content + END}
    return [{**row, "depth": Depth.CATALOGUE.value}, {**row, **deeper}]


def _stays(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a document keeps its place: it does as long as it happened when it did."""
    return bool(kept["place"] >> _TIME_BIT == wanted["place"] >> _TIME_BIT)


def _is_same(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(kept[name] == value for name, value in wanted.items() if name != "place")


def _values(tx: Session, row: Mapping[str, Any]) -> dict[str, Any]:
    tokens = None if _has_fts(tx) else sorted(numbers(row["folded"]) | set(stored_facets(row)))
    return {**row, "tokens": tokens}


def _give_places(tx: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Move rows whose place another thing has: those of one millisecond may share the end of their ids."""
    if not rows:
        return
    places = [row["place"] for row in rows]
    taken = set(tx.scalars(select(SearchDocument.place).where(SearchDocument.place.in_(places))))
    for row in rows:
        while row["place"] in taken:
            row["place"] += 2
            if tx.scalar(select(SearchDocument.place).where(SearchDocument.place == row["place"])) is not None:
                taken.add(row["place"])
        taken.add(row["place"])


def _lock(tx: Session, ref_ids: Sequence[UUID]) -> None:
    if _has_fts(tx):
        return  # SQLite's writing units follow one another anyway
    keys = sorted(zlib.crc32(ref_id.bytes) << 24 | _LOCK_SEED for ref_id in ref_ids)
    tx.execute(sql("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key"), {"keys": keys})


def _has_fts(tx: Session) -> bool:
    return tx.get_bind().dialect.name == "sqlite"


def _forget(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    # FTS5 keeps no text here, so that what goes must be named as it was written.
    if rows and _has_fts(tx):
        names = f"INSERT INTO {FTS_TABLE}({FTS_TABLE}, rowid, words, codes, facets)"
        tx.execute(sql(f"{names} VALUES ('delete', :place, :words, :codes, :facets)"), [_indexed(row) for row in rows])


def _learn(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows and _has_fts(tx):
        names = f"INSERT INTO {FTS_TABLE}(rowid, words, codes, facets)"
        tx.execute(sql(f"{names} VALUES (:place, :words, :codes, :facets)"), [_indexed(row) for row in rows])


def _indexed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "place": row["place"],
        "words": phrase(row["folded"]),
        "codes": codes(row["folded"]),
        "facets": facet_words(stored_facets(row)),
    }
