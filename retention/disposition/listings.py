"""Reading lists: those there are, one with all that was decided, what stands on it, and tombstones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.models import Account
from archive.cases.slices import Slice, newest_seen, sliced
from archive.custody.events import ObjectNotFound
from archive.custody.models import PreservedObject
from archive.db.sight import Reach
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DispositionId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.models import LogLeaf
from archive.organisation.models import Unit
from retention.disposition.authority import LEAST_APPRAISERS, Objection
from retention.disposition.certificates import newest_certificate
from retention.disposition.deciding import (
    WITHDRAWING,
    ListNotFound,
    PartRefused,
    require_part,
    taken_of,
)
from retention.disposition.models import (
    DisposalCertificate,
    DispositionItem,
    DispositionList,
    DispositionPart,
    Tombstone,
)
from retention.disposition.proving import stands_by
from retention.disposition.reaching import DISPOSAL
from retention.disposition.rules import DisposalRules
from retention.disposition.terms import WITHDRAWABLE, ItemState, ListState, Part

_LISTING: Final = "dispositions"
_ITEMS: Final = "items"
_OPEN: Final = ("proposed", "approved", "waiting", "destroying", "destroyed")


class Which(StrEnum):
    """Which lists are shown: those under way, or those that have ended."""

    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many objects of a list are in a state, and the bytes of their originals."""

    objects: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ListView:
    """A list with everything that was decided. `people` are the names of accounts; `tallies` are by item state.

    `refusals` says of each part why the reader cannot take it, None where it is the reader's to take.
    """

    row: DispositionList
    unit: str
    parts: Sequence[DispositionPart]
    people: Mapping[UUID, str]
    tallies: Mapping[str, Tally]
    certificate: DisposalCertificate | None
    refusals: Mapping[str, str | None]
    may_withdraw: bool

    def of_part(self, part: str) -> Sequence[DispositionPart]:
        """Return who has a part, in the order in which they took it."""
        return stands_by(self.parts, Part(part))

    @property
    def standing(self) -> Tally:
        """What nobody struck."""
        kept = [tally for state, tally in self.tallies.items() if state != ItemState.STRUCK.value]
        return Tally(sum(each.objects for each in kept), sum(each.size_bytes for each in kept))

    @property
    def missing_opinions(self) -> int:
        """How many opinions are wanted before it can be approved."""
        return max(0, LEAST_APPRAISERS - len(self.of_part(Part.APPRAISE.value)))

    @property
    def done(self) -> int:
        """How many objects have come to their end: destroyed, or left out."""
        ended = (ItemState.DESTROYED.value, ItemState.LEFT.value)
        return sum(self.tallies[state].objects for state in ended if state in self.tallies)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """What stands on a list. `name` is None where the reader does not see the object, or it is gone."""

    item: DispositionItem
    name: str | None
    log_index: int | None


@dataclass(frozen=True, slots=True)
class TombstoneView:
    """A tombstone with the list that it is of, and its place in the log."""

    row: Tombstone
    number: str
    list_sha256: str
    log_index: int | None


def disposition_lists(
    tx: Session, *, which: Which, cursor: str | None = None, limit: int = 50
) -> Slice[DispositionList]:
    """Return the lists that the transaction sees, newest first. Raises: InvalidInput for another list's cursor."""
    ref_id = Reach.__table__.c.ref_id
    is_open = DispositionList.__table__.c.state.in_(_OPEN)
    wanted = is_open if which is Which.OPEN else ~is_open

    def rows_of(ids: Sequence[UUID]) -> Sequence[DispositionList]:
        found = {row.id: row for row in tx.scalars(select(DispositionList).where(DispositionList.id.in_(ids)))}
        return [found[each] for each in ids if each in found]

    def narrowed(query: Any) -> Any:
        return query.where(exists().where(DispositionList.__table__.c.id == ref_id, wanted))

    return newest_seen(
        tx, DISPOSAL, rows_of, listing=f"{_LISTING}-{which.value}", cursor=cursor, limit=limit, narrowed=narrowed
    )


def disposition_list(tx: Session, rules: DisposalRules, list_id: DispositionId, *, by: Caller, at: Instant) -> ListView:
    """Return one list. Raises: ListNotFound, also for one that is not the caller's to see."""
    row = tx.get(DispositionList, list_id)
    if row is None:
        raise ListNotFound(list_id=list_id)
    parts = tx.scalars(
        select(DispositionPart).where(DispositionPart.list_id == list_id).order_by(DispositionPart.at)
    ).all()
    ids = {part.account_id for part in parts} | ({row.ended_by} if row.ended_by is not None else set())
    people = dict(tx.execute(select(Account.id, Account.display_name).where(Account.id.in_(ids))).all())
    counted = select(DispositionItem.state, func.count(), func.sum(DispositionItem.size_bytes))
    tallies = {
        state: Tally(int(objects), int(size_bytes))
        for state, objects, size_bytes in tx.execute(
            counted.where(DispositionItem.list_id == list_id).group_by(DispositionItem.state)
        )
    }
    may_withdraw = row.state in {state.value for state in WITHDRAWABLE} and any(by.may(each) for each in WITHDRAWING)
    return ListView(
        row,
        tx.scalar(select(Unit.name).where(Unit.id == row.unit_id)) or "",
        parts,
        people,
        tallies,
        newest_certificate(tx, list_id),
        _refusals(tx, rules, row, by, at),
        may_withdraw,
    )


def items_on_list(
    tx: Session, list_id: DispositionId, *, cursor: str | None = None, limit: int = 100
) -> Slice[ItemRow]:
    """Return what stands on a list, in its order. Raises: InvalidInput for another list's cursor."""
    query = select(DispositionItem).where(DispositionItem.list_id == list_id)
    if cursor is not None:
        listing, _, position = cursor.partition("~")
        if listing != _ITEMS or not position.isascii() or not position.isdigit() or len(position) > 9:
            raise InvalidInput("The cursor does not belong to this list")
        query = query.where(DispositionItem.position > int(position))
    items = tx.scalars(query.order_by(DispositionItem.position).limit(limit + 1)).all()
    ids = [item.object_id for item in items]
    seen = select(PreservedObject.id, PreservedObject.name).where(PreservedObject.id.in_(ids))
    names = {object_id: name or None for object_id, name in tx.execute(seen)}
    places = (
        select(Tombstone.object_id, LogLeaf.index)
        .join(LogLeaf, LogLeaf.entry_id == Tombstone.entry_id)
        .where(Tombstone.object_id.in_(ids))
    )
    indices = {object_id: index for object_id, index in tx.execute(places)}  # noqa: C416 - rows are no pairs to dict()
    rows = [ItemRow(item, names.get(item.object_id), indices.get(item.object_id)) for item in items]
    return sliced(rows, limit, lambda row: f"{_ITEMS}~{row.item.position}")


def tombstone(tx: Session, object_id: ObjectId) -> TombstoneView:
    """Return the tombstone of an object; everybody may see it. Raises: ObjectNotFound."""
    lists = DispositionList.__table__  # of which everybody may know number and digest
    found = tx.execute(
        select(Tombstone, lists.c.number, lists.c.sha256, LogLeaf.index)
        .join(lists, lists.c.id == Tombstone.list_id)
        .outerjoin(LogLeaf, LogLeaf.entry_id == Tombstone.entry_id)
        .where(Tombstone.object_id == object_id)
    ).one_or_none()
    if found is None:
        raise ObjectNotFound(object_id=object_id)
    row, number, sha256, index = found
    return TombstoneView(row, number, sha256, index)


def _refusals(
    tx: Session, rules: DisposalRules, row: DispositionList, by: Caller, at: Instant
) -> Mapping[str, str | None]:
    """Return of each part that could be taken now why the caller cannot have it; none where no part is open."""
    open_parts = {
        ListState.PROPOSED.value: (Part.APPRAISE, Part.APPROVE),
        ListState.APPROVED.value: (Part.SUPERVISE,),
    }.get(row.state, ())
    taken = taken_of(tx, row.id)
    found: dict[str, str | None] = {}
    for part in open_parts:
        try:
            require_part(tx, rules, taken, part, by, at=at)
        except PartRefused as exc:
            found[part.value] = str(exc.facts["why"])
        else:
            found[part.value] = None
    return {part: why for part, why in found.items() if why != Objection.NOT_ALLOWED.value}
