"""Carrying a list out once its recovery period is over: proven, asked anew, destroyed object by object, counted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, func, select, update
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.notify.notices import NoticeKind, notify
from archive.ports.clock import Clock
from retention.disposition.deciding import link_of
from retention.disposition.destroying import Destroyer, leave_out
from retention.disposition.models import DispositionItem, DispositionList, DispositionPart
from retention.disposition.proving import ListDisagrees, agreed_until
from retention.disposition.reconciling import Counted, balance
from retention.disposition.remains import as_extents, as_told
from retention.disposition.terms import ItemState, ListState
from retention.models import ObjectCopy

_BATCH: Final = 100
_TROUBLED_AGAIN: Final = timedelta(hours=1)
_COPIED_BY: Final = timedelta(minutes=5)
_STANDING: Final = (ItemState.LISTED.value, ItemState.BEGUN.value)
_STORES: Final = ("originals", "copy", "renditions", "drafts")
_log = structlog.get_logger("liuhen.disposition")


class CatalogueDisagrees(ListDisagrees):
    """Catalogue and log do not agree on what is kept: nothing is destroyed until that is explained. Run liuhen fsck."""

    code = "disposition.catalogue_disagrees"


class CountsDiffer(LiuhenError):
    """What was destroyed and what was left is not what there was before; no certificate is made."""

    code = "disposition.counts_differ"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carries lists out, put together by wiring.

    `audit` holds plans, holds and lists against the log, as `liuhen fsck` does: whoever can write the database could
    else take the holds away, and wait.
    """

    database: Database
    clock: Clock
    destroyer: Destroyer
    audit: Callable[[Connection], Iterable[Finding]]

    def carry_on(self, list_id: UUID, report: Callable[[int], None] = lambda _: None) -> Instant | None:
        """Go on with a list that was agreed to, for some objects; return when to go on, None when it was carried out.

        Idempotent: yes. What keeps it from going on is written down, and the people of the list are told once.
        Raises: Unavailable and StorageFull, after which the next call goes on.
        """
        try:
            until = self._carry_on(list_id, report)
        except LiuhenError as exc:
            _log.warning("disposition held up", list_id=str(list_id), code=exc.code)
            note_trouble(self.database, list_id, exc, at=self.clock.now())
            if exc.retryable:
                raise
            return self.clock.now() + _TROUBLED_AGAIN
        clear_trouble(self.database, list_id)
        return until

    def _carry_on(self, list_id: UUID, report: Callable[[int], None]) -> Instant | None:
        row = self._row(list_id)
        if row.state == ListState.WAITING.value:
            return self._start(row, report)
        if row.state != ListState.DESTROYING.value:
            return None
        with self.database.read() as tx:
            agreed_until(tx, row, key=self.destroyer.rules.key)
        waits = self._destroy_some(list_id, report)
        if waits is not None:
            return waits
        if self._is_copied_again(list_id):
            self._finish(list_id)
            return None
        return self.clock.now() + _COPIED_BY

    # ---- the end of the recovery period ----------------------------------------------------------------------------

    def _start(self, row: DispositionList, report: Callable[[int], None]) -> Instant | None:
        at = self.clock.now()
        with self.database.read() as tx:
            until = agreed_until(tx, row, key=self.destroyer.rules.key)
        if at < until:
            return until
        with self.database.snapshot() as tx:
            found = [each.code for each in self.audit(tx.connection()) if each.outcome is Outcome.INVALID]
        if found:
            raise CatalogueDisagrees(found=found[0], count=len(found))
        self._leave_stopped(row.id)
        self._count_before(row.id, report)
        with self.database.begin() as tx:
            this = (DispositionList.id == row.id, DispositionList.state == ListState.WAITING.value)
            begun = {"state": ListState.DESTROYING.value, "begun_at": at, "trouble": None, "trouble_at": None}
            tx.execute(update(DispositionList).where(*this).values(**begun))
        return self.clock.now()

    def _leave_stopped(self, list_id: UUID) -> None:
        """Ask everything on the list once more what stops it, and leave that out."""
        last = 0
        while items := self._some(list_id, after=last, states=(ItemState.LISTED.value,)):
            ids, at = sorted(item.object_id for item in items), self.clock.now()
            with self.database.begin() as tx:
                locked = select(PreservedObject).where(PreservedObject.id.in_(ids)).order_by(PreservedObject.id)
                rows = {each.id: each for each in tx.scalars(locked.with_for_update())}
                held = tx.scalars(select(DispositionList).where(DispositionList.id == list_id).with_for_update()).one()
                if held.state != ListState.WAITING.value:
                    return
                stops = self.destroyer.rules.stops(tx, ids, at, leave_out=list_id)
                for item in items:
                    if stops[item.object_id]:
                        leave_out(tx, rows[item.object_id], list_id, stops[item.object_id], at=at)
            last = items[-1].position

    def _count_before(self, list_id: UUID, report: Callable[[int], None]) -> None:
        """Count what there is of everything that was agreed to, also of what was left out just now."""
        last = 0
        while items := self._some(list_id, after=last, states=(*_STANDING, ItemState.LEFT.value)):
            told = {
                item.object_id: as_told(self.destroyer.stores.extents(ObjectId(item.object_id)))
                for item in items
                if item.before is None
            }
            with self.database.begin() as tx:
                for object_id, before in told.items():
                    this = (DispositionItem.list_id == list_id, DispositionItem.object_id == object_id)
                    tx.execute(update(DispositionItem).where(*this).values(before=before))
            last = items[-1].position
            report(0)

    # ---- object by object ------------------------------------------------------------------------------------------

    def _destroy_some(self, list_id: UUID, report: Callable[[int], None]) -> Instant | None:
        """Destroy up to 100 objects; return when to go on, None when nothing is left to destroy.

        One that waits keeps no other waiting.
        """
        waits: list[Instant] = []
        items = self._some(list_id, after=0, states=_STANDING)
        for item in items:
            until = self.destroyer.destroy_object(list_id, ObjectId(item.object_id))
            waits += [] if until is None else [until]
            report(self._permille(list_id))
        if waits:
            # Behind those that wait there may be more that do not.
            more = self._some(list_id, after=items[-1].position, states=_STANDING) if len(items) == _BATCH else ()
            for item in more:
                until = self.destroyer.destroy_object(list_id, ObjectId(item.object_id))
                waits += [] if until is None else [until]
            return min(waits)
        return self.clock.now() if items else None

    def _permille(self, list_id: UUID) -> int:
        with self.database.read() as tx:
            counts = dict(
                tx.execute(
                    select(DispositionItem.state, func.count())
                    .where(DispositionItem.list_id == list_id)
                    .group_by(DispositionItem.state)
                ).all()
            )
        total = sum(counts.values()) or 1
        return 1000 * (total - sum(counts.get(state, 0) for state in _STANDING)) // total

    # ---- the end ---------------------------------------------------------------------------------------------------

    def _is_copied_again(self, list_id: UUID) -> bool:
        """Return whether what a lock kept when its copy was gone already has its copy again."""
        kept = (
            DispositionItem.list_id == list_id,
            DispositionItem.state == ItemState.LEFT.value,
            DispositionItem.found.is_not(None),
            ObjectCopy.due_index.is_not(None),
        )
        query = select(ObjectCopy.object_id).join(DispositionItem, DispositionItem.object_id == ObjectCopy.object_id)
        with self.database.read() as tx:
            return tx.scalar(query.where(*kept).limit(1)) is None

    def _finish(self, list_id: UUID) -> None:
        """Count what is left and hold it against what there was; the list ends, or says what does not balance.

        Raises: CountsDiffer.
        """
        counted = [self._counted(item) for item in self._all(list_id)]
        told = balance(counted, _STORES, remade=("renditions",))
        at = self.clock.now()
        with self.database.begin() as tx:
            this = (DispositionList.id == list_id, DispositionList.state == ListState.DESTROYING.value)
            if not told.holds:
                tx.execute(update(DispositionList).where(*this).values(balance=told.as_json()))
            else:
                state = ListState.DESTROYED if told.objects_destroyed else ListState.LAPSED
                ended: dict[str, Any] = {} if told.objects_destroyed else {"ended_at": at}
                ended |= {"state": state.value, "done_at": at, "balance": told.as_json()}
                tx.execute(update(DispositionList).where(*this).values(**ended, trouble=None, trouble_at=None))
                if state is ListState.LAPSED:
                    tell_people(tx, list_id, at=at)
        if not told.holds:
            raise CountsDiffer(objects=len(told.differing))

    def _counted(self, item: DispositionItem) -> Counted:
        now = self.destroyer.stores.extents(ObjectId(item.object_id))
        is_destroyed = item.state == ItemState.DESTROYED.value
        found = as_extents(item.found) if is_destroyed else None
        return Counted(item.object_id, is_destroyed, as_extents(item.before), found, now)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def _row(self, list_id: UUID) -> DispositionList:
        with self.database.read() as tx:
            return tx.get_one(DispositionList, list_id)

    def _all(self, list_id: UUID) -> Iterable[DispositionItem]:
        last = 0
        states = (ItemState.DESTROYED.value, ItemState.LEFT.value)
        while items := self._some(list_id, after=last, states=states):
            yield from items
            last = items[-1].position

    def _some(self, list_id: UUID, *, after: int, states: Sequence[str]) -> Sequence[DispositionItem]:
        query = select(DispositionItem).where(
            DispositionItem.list_id == list_id, DispositionItem.position > after, DispositionItem.state.in_(states)
        )
        with self.database.read() as tx:
            return tx.scalars(query.order_by(DispositionItem.position).limit(_BATCH)).all()


def note_trouble(database: Database, list_id: UUID, error: LiuhenError, *, at: Instant) -> None:
    """Write down what keeps a list from going on; its people are told once of what does not pass by itself."""
    code = error.code[:64]
    with database.begin() as tx:
        row = tx.scalar(select(DispositionList).where(DispositionList.id == list_id).with_for_update())
        if row is None or row.trouble == code:
            return
        tx.execute(update(DispositionList).where(DispositionList.id == list_id).values(trouble=code, trouble_at=at))
        if not error.retryable:
            tell_people(tx, list_id, at=at)


def clear_trouble(database: Database, list_id: UUID) -> None:
    """Take back what `note_trouble` wrote, once a list goes on."""
    troubled = (DispositionList.id == list_id, DispositionList.trouble.is_not(None))
    with database.read() as tx:
        if tx.scalar(select(DispositionList.id).where(*troubled)) is None:
            return
    with database.begin() as tx:
        tx.execute(update(DispositionList).where(*troubled).values(trouble=None, trouble_at=None))


def tell_people(tx: Session, list_id: UUID, *, at: Instant) -> None:
    """Tell everybody who has a part of a list that it ended, or cannot go on."""
    people = tx.scalars(select(DispositionPart.account_id).where(DispositionPart.list_id == list_id)).all()
    number = tx.scalars(select(DispositionList.number).where(DispositionList.id == list_id)).one()
    notify(tx, people, NoticeKind.DISPOSAL_ENDED, params={"number": number}, link=link_of(list_id), at=at)
