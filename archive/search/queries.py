"""Searching: words, filters, and what is found, page by page.

Every word must occur, wherever it stands; between quotation marks words follow one another as they are written there.
First come cases, subjects and officers, then text records, then items; of each what happened last.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, column, func, or_, select, table, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger

from archive.db.sight import EVERYBODYS, FIRST_UNIT, Sight, party_of, sight_of
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.search.documents import (
    ALL_DEPTHS,
    OPEN_FACET,
    REACH,
    Depth,
    Kind,
    end_place,
    first_place,
    folded_fields,
    reach_facet,
)
from archive.search.folding import fold, occurrences
from archive.search.models import FTS_TABLE, SearchDocument
from archive.search.periods import period_facets
from archive.search.tokens import codes, facet_number, facet_word, needed_numbers, phrase, runs, start

MOST_CHARACTERS: Final = 1024
"""A longer query finds nothing."""
MOST_WORDS: Final = 32
"""Words beyond these do not narrow what is found any more."""
MOST_CLASSES: Final = 5
"""How many restricted classes there are; each is a bit."""
_QUOTES: Final = str.maketrans("“”„‟«»＂", '"""""""')
_PARTS: Final = re.compile(r'"([^"]*)"?|([^\s"]+)')
_CURSOR: Final = re.compile(r"find~([0-9]{1,19})")
_MOST_PLACE: Final = (1 << 63) - 1
_MOST_HAVE: Final = {facet_number(*reach_facet(party, 0)) for party in (EVERYBODYS, party_of(FIRST_UNIT))}
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)

Facet = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a search beside its words.

    `facets` are exact values that must all be there, `any_of` such of which one must, where there are any. `device` and
    `place` are words that the device or a place holds.
    The period is that in which something happened, or in which the archive took it in (`by_taken`).
    """

    kind: Kind | None = None
    facets: tuple[Facet, ...] = ()
    any_of: tuple[Facet, ...] = ()
    device: str = ""
    place: str = ""
    since: Instant | None = None
    until: Instant | None = None
    by_taken: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A field of what was found: its name, and its text in parts, each with whether a word was found there."""

    name: str
    parts: tuple[tuple[str, bool], ...]

    @property
    def is_marked(self) -> bool:
        """Whether a word was found in it."""
        return any(marked for _, marked in self.parts)

    @property
    def text(self) -> str:
        """The text as a whole."""
        return "".join(part for part, _ in self.parts)


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found. `in_content`: how often words stand in the text inside the document."""

    kind: Kind
    ref_id: UUID
    shown: tuple[Shown, ...]
    facets: tuple[Facet, ...]
    taken_at: Instant
    happened_at: Instant
    in_content: int

    @property
    def title(self) -> Shown:
        """The first of its fields."""
        return self.shown[0]

    def facet(self, name: str) -> str | None:
        """Return the first value of a facet, if there is one."""
        return next((value for found, value in self.facets if found == name), None)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found, and the cursor of the next one, None at the end."""

    hits: Sequence[Hit]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Query:
    """A search in the terms of the index: all words, all facets, one of each group of them, and what rows must say.

    `ranges` are the places where it may stand, from and before, in the order of what is found.
    """

    depth: Depth
    words: tuple[str, ...]
    facets: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    ranges: tuple[tuple[int, int], ...]
    conditions: list[ColumnElement[bool]] = field(default_factory=list)


def search(
    tx: Session,
    words: str,
    *,
    filters: Filters = Filters(),
    depth: Depth = Depth.CATALOGUE,
    cursor: str | None = None,
    limit: int = 50,
) -> Found:
    """Return a page of what holds all words and passes the filters, no deeper than whoever asks may look.

    Raises: InvalidInput for a cursor that is none of a search.
    """
    before = _MOST_PLACE if cursor is None else _place(cursor)
    looked_for = query_words(words)
    if looked_for is None:
        return Found([], None)
    places = _places(tx, looked_for, filters, depth, before=before, limit=limit + 1)
    wanted = select(SearchDocument.__table__).where(SearchDocument.place.in_(places[:limit]), *_seen(tx))
    rows = tx.execute(wanted).mappings()
    found = sorted(rows, key=lambda row: row["place"], reverse=True)
    more = len(places) > limit
    return Found([_hit(row, looked_for) for row in found], f"find~{places[limit - 1]}" if more else None)


def found_ids(
    tx: Session, words: str, *, filters: Filters, depth: Depth, cursor: str | None, limit: int
) -> tuple[Sequence[UUID], str | None]:
    """Return the ids of what `search` finds, in its order, and the cursor of the next ones. Raises: as `search`."""
    before = _MOST_PLACE if cursor is None else _place(cursor)
    looked_for = query_words(words)
    if looked_for is None:
        return [], None
    places = _places(tx, looked_for, filters, depth, before=before, limit=limit + 1)
    rows = tx.execute(
        select(SearchDocument.ref_id)
        .where(SearchDocument.place.in_(places[:limit]), *_seen(tx))
        .order_by(SearchDocument.place.desc())
    )
    return list(rows.scalars()), f"find~{places[limit - 1]}" if len(places) > limit else None


def query_words(query: str) -> tuple[str, ...] | None:
    """Return the folded words of a query, each once; None where no text could hold them."""
    if len(query) > MOST_CHARACTERS or "\0" in query:
        return None
    parts = _PARTS.finditer(query.translate(_QUOTES))
    folded = (fold(match[1] if match[2] is None else match[2]) for match in parts)
    return tuple(dict.fromkeys(word for word in folded if word))[:MOST_WORDS]


def _places(
    tx: Session, words: tuple[str, ...], filters: Filters, depth: Depth, *, before: int, limit: int
) -> list[int]:
    query = _query(tx, words, filters, depth)
    statement_of = _fts_statement if tx.get_bind().dialect.name == "sqlite" else _array_statement
    places: list[int] = []
    for first, end in query.ranges:
        if len(places) < limit and first < min(end, before):
            places += tx.scalars(statement_of(query, first, min(end, before)).limit(limit - len(places)))
    return places


def _query(tx: Session, words: tuple[str, ...], filters: Filters, depth: Depth) -> _Query:
    holds = func.instr if tx.get_bind().dialect.name == "sqlite" else func.strpos
    facets = list(filters.facets)
    if filters.kind is not None and filters.kind.shares_tier:  # else its range says so
        facets.append(("kind", filters.kind.value))
    conditions: list[ColumnElement[bool]] = []
    also: list[str] = []
    for given, where in ((filters.device, SearchDocument.device), (filters.place, SearchDocument.places)):
        word = fold(given[:MOST_CHARACTERS])
        if word:
            also.append(word)
            conditions.append(holds(where, word) > 0)
    at = SearchDocument.taken_at if filters.by_taken else SearchDocument.happened_at
    if filters.since is not None:
        conditions.append(at >= filters.since)
    if filters.until is not None:
        conditions.append(at < filters.until)
    spans = period_facets(filters.since, filters.until) if filters.by_taken else None
    sight = sight_of(tx)
    groups = (
        filters.any_of,
        [("taken", span) for span in spans or ()],
        [] if sight is None else _reach_facets(sight),
    )
    return _Query(
        depth=depth,
        words=tuple(dict.fromkeys([*words, *also])),
        facets=tuple(facet_number(*facet) for facet in facets),
        groups=tuple(tuple(facet_number(*facet) for facet in group) for group in groups if group),
        ranges=_ranges(filters),
        conditions=conditions,
    )


def _reach_facets(sight: Sight) -> list[Facet]:
    """Return the facets of which one must be there for whoever looks."""
    admitted = [classes for classes in range(1 << MOST_CLASSES) if not classes & ~sight.cleared]
    return [OPEN_FACET, *(reach_facet(party, classes) for party in sorted(sight.parties) for classes in admitted)]


def _seen(tx: Session) -> Sequence[ColumnElement[bool]]:
    """Return the condition that a document's thing is seen: the index may be behind by a moment."""
    sight = sight_of(tx)
    if sight is None:
        return []
    return [or_(SearchDocument.kind == Kind.OFFICER, sight.sees(SearchDocument.__table__.c.ref_id))]


def _ranges(filters: Filters) -> tuple[tuple[int, int], ...]:
    """Return where things of the kind and of the period stand: one range of places for each tier."""
    tiers = (3, 2, 1) if filters.kind is None else (filters.kind.tier,)
    if filters.by_taken or (filters.since is None and filters.until is None):
        return ((first_place(tiers[-1], _FIRST), end_place(tiers[0], _LAST)),)
    since, until = filters.since or _FIRST, filters.until or _LAST
    return tuple((first_place(tier, since), end_place(tier, until)) for tier in tiers)


def _fts_statement(query: _Query, first: int, end: int) -> Select[Any]:
    """Return the search in FTS5, which yields its rows in the order of their numbers, and no more than are taken."""
    facets = (*query.facets, facet_number("depth", query.depth.value))
    wanted = [f'facets : "{facet_word(number)}"' for number in facets]
    alternatives = (" OR ".join(f'"{facet_word(number)}"' for number in group) for group in query.groups)
    wanted += [f"facets : ({words})" for words in alternatives]
    for word in query.words:
        runs_of_word = list(runs(word))
        if runs_of_word != [word]:  # else its triples say all
            wanted.append(f'words : "{start(word)}" *' if len(word) == 1 else f'words : "{phrase(word)}"')
        wanted += [f'codes : "{codes(run)}"' for run in runs_of_word]
    index = table(FTS_TABLE, column("rowid", BigInteger))
    statement = select(index.c.rowid).where(
        text(f"{FTS_TABLE} MATCH :wanted").bindparams(bindparam("wanted", " AND ".join(wanted))),
        index.c.rowid >= first,
        index.c.rowid < end,
    )
    if query.conditions:
        document = SearchDocument.__table__
        joined = index.join(document, document.c.place == index.c.rowid)
        statement = statement.select_from(joined).where(*query.conditions)
    return statement.order_by(index.c.rowid.desc())


def _array_statement(query: _Query, first: int, end: int) -> Select[Any]:
    """Return the search in PostgreSQL: what has all tokens is held against the folded text.

    What nearly all documents have is no token here: the index would be read from end to end for it.
    """
    needed = set(query.facets).union(*(needed_numbers(word) for word in query.words))
    tokens = SearchDocument.tokens
    conditions = [
        SearchDocument.depth.in_([ALL_DEPTHS, query.depth.value]),
        *(func.strpos(SearchDocument.folded, word) > 0 for word in query.words),
        *query.conditions,
        SearchDocument.place >= first,
        SearchDocument.place < end,
    ]
    if needed:
        conditions.append(tokens.contains(_array(needed)))
    for group in query.groups:
        has_one = tokens.overlap(_array(group))
        # What nearly all have is asked of each row: the index would be read from end to end.
        conditions.append(has_one if _MOST_HAVE.isdisjoint(group) else has_one.is_(True))
    return select(SearchDocument.place).where(and_(*conditions)).order_by(SearchDocument.place.desc())


def _array(numbers: Any) -> Any:
    return bindparam(None, sorted(numbers), type_=ARRAY(BigInteger))


def _place(cursor: str) -> int:
    match = _CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) > _MOST_PLACE:
        raise InvalidInput("The cursor does not belong to a search")
    return int(match[1])


def _hit(row: Any, words: tuple[str, ...]) -> Hit:
    shown = tuple(Shown(name, _parts(value, words)) for name, value in row["fields"])
    inside = row["folded"][len(folded_fields(row["fields"])) :] if row["depth"] == Depth.CONTENT else ""
    return Hit(
        kind=Kind(row["kind"]),
        ref_id=row["ref_id"],
        shown=shown,
        facets=tuple((name, value) for name, value in row["facets"] if name != REACH),
        taken_at=row["taken_at"],
        happened_at=row["happened_at"],
        in_content=sum(inside.count(word) for word in words),
    )


def _parts(value: str, words: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    parts: list[tuple[str, bool]] = []
    at = 0
    for first, end in occurrences(value, words):
        parts += [(value[at:first], False), (value[first:end], True)]
        at = end
    parts.append((value[at:], False))
    return tuple((part, marked) for part, marked in parts if part)
