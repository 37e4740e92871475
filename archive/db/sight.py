"""Who sees which row: what a transaction is bound to see, and the condition that this puts on all its queries.

A row of `reach` says that a party sees a thing. A party is a unit, which sees what the units below it see, an officer
or an account. `Database.seen_by` binds transactions to a sight: of every table whose class is `Reached` they then find
only rows that one of its parties sees, whatever the query looks like; all else looks as if it did not exist.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Index,
    SmallInteger,
    String,
    Subquery,
    Uuid,
    bindparam,
    column,
    event,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.sql.visitors import InternalTraversal

from archive.db.base import Base, BigInt
from archive.kernel.instants import Instant

EVERYBODYS: Final = 0
"""The party that sees all things, restricted classes aside: a bureau that supervises everybody."""
FIRST_UNIT: Final = UUID("00000000-0000-7000-8000-0000000000a1")
"""The unit that every archive begins with, and that has whatever no other unit has."""
_PARTY_BITS: Final = (1 << 62) - 1
_ENDING: Final = 0x2F6E_91C4_D85A_37B1
"""Drawn once, so that no party of another thing is met by chance."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIGHT: Final = "sight"
_PARTIES, _HIDDEN, _AT = "sight_parties", "sight_hidden", "sight_at"
Sees = Callable[[ColumnElement[UUID]], ColumnElement[bool]]
"""Makes the condition that the thing with an id is seen."""


class Reach(Base):
    """That a party sees a thing, until a moment where one is given.

    `classes` are the restricted classes that whoever looks must be cleared for, as bits. Times are microseconds since
    1970; `at` orders lists.
    """

    __tablename__ = "reach"
    __table_args__ = (
        Index("ix_reach_ref_id", "ref_id", "party", "classes", "until"),
        {"sqlite_with_rowid": False},
    )

    party: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    at: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    ref_id: Mapped[UUID] = mapped_column(primary_key=True)
    classes: Mapped[int] = mapped_column(SmallInteger)
    until: Mapped[int | None] = mapped_column(BigInt)


class Reached:
    """Mixed into tables whose rows are seen only by those who have reach of them.

    `reached_by` names the column whose value is looked for in `reach`.
    """

    reached_by: ClassVar[str]

    @classmethod
    def seen_if(cls, sees: "Sees", table: FromClause) -> ColumnElement[bool]:
        """Return the condition that a row of the table is seen."""
        return sees(table.c[cls.reached_by])


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees at a moment: what any of the parties has reach of, in classes that are cleared (bits)."""

    parties: frozenset[int]
    cleared: int
    at: Instant

    def sees(self, key: ColumnElement[UUID]) -> ColumnElement[bool]:
        """Return the condition that the thing with this id is seen."""
        values = self.values
        return _Seen(
            key,
            bindparam(_PARTIES, values[_PARTIES], expanding=True, type_=BigInteger(), unique=True),
            bindparam(_HIDDEN, values[_HIDDEN], type_=BigInteger(), unique=True),
            bindparam(_AT, values[_AT], type_=BigInteger(), unique=True),
        )

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands for this sight in the condition that is the same for all."""
        return {_PARTIES: sorted(self.parties), _HIDDEN: ~self.cleared, _AT: microseconds(self.at)}


def is_seen(tx: Session, ref_id: UUID, sight: Sight) -> bool:
    """Return whether somebody else sees a thing."""
    return bool(tx.scalar(select(sight.sees(literal(ref_id, Uuid())))))


def newest_seen(
    tx: Session, kind: str, *, before: tuple[int, UUID] | None, limit: int, narrowed: Any = lambda query: query
) -> Sequence[tuple[int, UUID]]:
    """Return when and what the transaction's sight sees of a kind, newest first, after a row of the list if given.

    Each party has its things in order, so that a page costs the same however much there is that is not seen.
    `narrowed` puts further conditions on a query over `Reach`. A transaction must be bound.
    """
    sight = sight_of(tx)
    if sight is None:
        raise ValueError("a transaction that is bound to no sight sees everything")
    reach = Reach.__table__.c  # `reach` itself is seen by everybody: a plain statement takes half the time
    at, ref_id = reach.at, reach.ref_id
    found: set[tuple[int, UUID]] = set()
    for party in sorted(sight.parties):
        query = select(at, ref_id).where(
            reach.party == party,
            reach.kind == kind,
            or_(reach.classes == 0, reach.classes.bitwise_and(~sight.cleared) == 0),
            or_(reach.until.is_(None), reach.until > microseconds(sight.at)),
        )
        if before is not None:
            query = query.where(at <= before[0], or_(at < before[0], ref_id < before[1]))
        rows = tx.execute(narrowed(query).order_by(at.desc(), ref_id.desc()).limit(limit))
        found.update((row.at, row.ref_id) for row in rows)
    return sorted(found, reverse=True)[:limit]


def newest_of(
    tx: Session, kind: str, *, before: tuple[int, UUID] | None, limit: int
) -> tuple[Subquery, Mapping[str, Any]]:
    """Return what `newest_seen` finds as a table to join, `at` and `ref_id`, and the parameters that it is asked with.

    The table is the same object for everybody with as many parties, so that statements over it can be kept.
    """
    sight = sight_of(tx)
    if sight is None:
        raise ValueError("a transaction that is bound to no sight sees everything")
    values = dict(sight.values) | {"sight_kind": kind, "sight_limit": limit}
    if before is not None:
        values |= {"sight_before": before[0], "sight_before_id": before[1]}
    if tx.get_bind().dialect.name == "postgresql":
        return _newest_of_any(is_after=before is not None), values
    parties = values.pop(_PARTIES)
    values |= {f"{_PARTIES}_{n}": party for n, party in enumerate(parties)}
    return _newest(len(parties), is_after=before is not None), values


def _newest_of_party(party: str, *, is_after: bool) -> str:
    after = " AND at <= :sight_before AND (at < :sight_before OR ref_id < :sight_before_id)" if is_after else ""
    return (
        f"SELECT at, ref_id FROM reach WHERE party = {party} AND kind = :sight_kind"  # noqa: S608 - names of ours
        f" AND (classes = 0 OR (classes & :{_HIDDEN}) = 0) AND (until IS NULL OR until > :{_AT}){after}"
        " ORDER BY at DESC, ref_id DESC LIMIT :sight_limit"
    )


@cache
def _newest_of_any(*, is_after: bool) -> Subquery:
    """One plan for any number of parties: PostgreSQL plans each part of a union anew."""
    of_each = _newest_of_party("of_party.party", is_after=is_after)
    parties = f"unnest(CAST(:{_PARTIES} AS bigint[])) AS of_party (party)"
    return _newest_from(f"{parties} CROSS JOIN LATERAL ({of_each}) AS of_each", is_after=is_after)


@cache
def _newest(parties: int, *, is_after: bool) -> Subquery:
    each = [
        f"SELECT at, ref_id FROM ({_newest_of_party(f':{_PARTIES}_{n}', is_after=is_after)}) AS of_{n}"  # noqa: S608
        for n in range(parties)
    ]
    none = "SELECT at, ref_id FROM reach WHERE 1 = 0"
    return _newest_from(f"({' UNION ALL '.join(each) or none}) AS of_each", is_after=is_after and bool(each))


def _newest_from(parts: str, *, is_after: bool) -> Subquery:
    """Several parties may see one thing: it stands in the list once."""
    order = "ORDER BY at DESC, ref_id DESC LIMIT :sight_limit"
    statement = text(f"SELECT DISTINCT at, ref_id FROM {parts} {order}")  # noqa: S608
    if is_after:
        statement = statement.bindparams(bindparam("sight_before_id", type_=Uuid()))
    return statement.columns(column("at", BigInteger), column("ref_id", Uuid())).subquery("newest")


def seen_among(tx: Session, ids: Collection[UUID]) -> Collection[UUID]:
    """Return those of these things that the transaction's sight sees; all where it is bound to none."""
    sight = sight_of(tx)
    if sight is None or not ids:
        return ids
    rows = select(Reach.ref_id).where(
        Reach.ref_id.in_(ids),
        Reach.party.in_(sight.parties),
        Reach.classes.bitwise_and(~sight.cleared) == 0,
        or_(Reach.until.is_(None), Reach.until > microseconds(sight.at)),
    )
    return set(tx.scalars(rows))


class _Seen(ColumnElement[bool]):
    """`EXISTS` over `reach`, as one element: each query has it once for every table, and its parts take long."""

    inherit_cache = True
    type = Boolean()
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's own form
        (name, InternalTraversal.dp_clauseelement) for name in ("of", "parties", "hidden", "at")
    ]

    def __init__(self, of: Any, parties: Any, hidden: Any, at: Any) -> None:
        self.of, self.parties, self.hidden, self.at = of, parties, hidden, at

    @property
    def _from_objects(self) -> Any:
        return self.of._from_objects  # noqa: SLF001 - how SQLAlchemy finds the tables of an element


@compiles(_Seen)
def _compile_seen(seen: _Seen, compiler: Any, **options: Any) -> str:
    key, parties, hidden, at = (
        compiler.process(part, **options) for part in (seen.of, seen.parties, seen.hidden, seen.at)
    )
    conditions = (
        f"seen.ref_id = {key}",
        f"seen.party IN {parties}",
        # What has no class is most: said apart, a planner knows how many rows that is.
        f"(seen.classes = 0 OR (seen.classes & {hidden}) = 0)",
        f"(seen.until IS NULL OR seen.until > {at})",
    )
    return f"EXISTS (SELECT 1 FROM reach AS seen WHERE {' AND '.join(conditions)})"  # noqa: S608 - SQLAlchemy's parts


def party_of(owner_id: UUID) -> int:
    """Return the number under which a unit, an officer or an account stands in `reach`: the random part of its id."""
    return owner_id.int & _PARTY_BITS


def ending_party_of(owner_id: UUID) -> int:
    """Return the number under which an account stands in `reach` with what ends at a moment.

    A party has one row for a thing. A right that ends must not stand in the place of a lasting one.
    """
    return party_of(owner_id) ^ _ENDING


def microseconds(at: Instant) -> int:
    """Return a moment as it stands in `reach`."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> Instant:
    """Return the moment that stands in `reach` as this number."""
    return _EPOCH + timedelta(microseconds=at)


def bind(tx: Session, sight: Sight | None) -> None:
    """Bind a transaction to a sight; None sees everything."""
    tx.info[_SIGHT] = sight


def sight_of(tx: Session) -> Sight | None:
    """Return what the transaction is bound to see; None is everything."""
    found: Sight | None = tx.info.get(_SIGHT)
    return found


@contextmanager
def unbound(tx: Session) -> Iterator[None]:
    """See everything for a while: for what is kept in step with all rows, whoever changes one of them."""
    bound = sight_of(tx)
    bind(tx, None)
    try:
        yield
    finally:
        bind(tx, bound)


class _OnlySeen(LoaderCriteriaOption):
    """`with_loader_criteria`, which puts a condition that is no lambda on the table itself where an alias is joined."""

    _traverse_internals = LoaderCriteriaOption._traverse_internals  # noqa: SLF001 - what the keys of its cache are made of

    def _resolve_where_criteria(self, ext_info: Any) -> Any:
        condition = super()._resolve_where_criteria(ext_info)
        return ext_info._adapter.traverse(condition) if ext_info.is_aliased_class else condition  # noqa: SLF001 - its own way


class _OnlySeenByAll(_OnlySeen):
    """The same condition for everybody: each execution says by its parameters what is seen."""

    def _gen_cache_key(self, anon_map: Any, bindparams: Any) -> Any:
        del anon_map, bindparams
        return (type(self), self.entity)


@event.listens_for(Session, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> Any:
    sight = sight_of(state.session)
    if sight is None:
        return None
    entities = tuple(Reached.__subclasses__())
    if state.is_select:
        state.parameters = state.parameters or {}  # invoke_statement adds to what is there
        return state.invoke_statement(state.statement.options(*_for_all(entities)), params=sight.values)
    if state.is_update or state.is_delete:  # whose parameters are columns
        state.statement = state.statement.options(*_criteria(entities, sight.sees))
    return None


@cache
def _for_all(entities: tuple[type[Reached], ...]) -> Sequence[Any]:
    return _criteria(entities, _whoever_looks, _OnlySeenByAll)


def _criteria(entities: tuple[Any, ...], sees: Sees, option: type[_OnlySeen] = _OnlySeen) -> Sequence[Any]:
    tables = Base.metadata.tables
    return [
        option(entity, entity.seen_if(sees, tables[entity.__tablename__]), include_aliases=True) for entity in entities
    ]


def _whoever_looks(key: ColumnElement[UUID]) -> ColumnElement[bool]:
    return _Seen(
        key,
        bindparam(_PARTIES, expanding=True, type_=BigInteger()),
        bindparam(_HIDDEN, type_=BigInteger()),
        bindparam(_AT, type_=BigInteger()),
    )
