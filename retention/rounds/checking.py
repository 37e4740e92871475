"""The rounds: a job reads, place by place, what it is the turn of, tells of it, and has damage repaired.

It goes on from where it was: what was read and found whole is noted within a second or an object of some size, so that
a kill costs the object under way and the one that is read ahead.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update

from archive.custody.events import preserved_object
from archive.db.database import Database
from archive.jobs.queue import FIXITY, ClaimedJob, hasten_job, renew_job, repeat_job
from archive.kernel.errors import InvalidInput, NotFound, StorageFull, Unavailable
from archive.kernel.findings import Outcome, Report, invalid
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import ARCHIVE, Actor
from archive.meters import meters
from archive.ports.clock import Clock
from retention.rounds.alarms import tell_people
from retention.rounds.due import (
    Read,
    Turn,
    credit_of,
    note_new,
    note_old_copies,
    note_read,
    note_unread,
    place_row,
    recheck,
    turns,
    weight_of,
)
from retention.rounds.models import FixityCheck
from retention.rounds.outcomes import Where, Whole, tell_damage, tell_whole
from retention.rounds.pacing import Throttle, weight
from retention.rounds.places import Place, PlacesInUse
from retention.rounds.reading import Original, Reading, not_read, read_object
from retention.rounds.repairing import Repairs, require_there

CHECK_OBJECTS: Final = "check_objects"
_EVERY: Final = timedelta(minutes=1)
_WHILE_PRESSED: Final = timedelta(seconds=30)
_TOLD_AFTER: Final = timedelta(minutes=10)
_TOLD_AT_ONCE: Final = 500
_WEIGHED_FOR_S: Final = 3600.0
_READ_AHEAD: Final = 1
_NOTED_BYTES: Final = 32 << 20
_NOTED_S: Final = 1.0
_RUN_S: Final = 20.0
_TRIES: Final = 3
_WHOLE, _DAMAGED, _UNREAD = "whole", "damaged", "unread"

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(slots=True)
class Done:
    """What a run has done. `has_more`: it ended before the work did."""

    whole: int = 0
    damaged: int = 0
    unread: int = 0
    size_bytes: int = 0
    has_more: bool = False

    def add(self, other: "Done") -> None:
        """Count what another has done too."""
        self.whole += other.whole
        self.damaged += other.damaged
        self.unread += other.unread
        self.size_bytes += other.size_bytes
        self.has_more = self.has_more or other.has_more


@dataclass(slots=True)
class _Weights:
    """What a round through each place costs, asked once an hour."""

    known: dict[str, tuple[int, int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rounds:
    """What re-reads everything within `period`, at the pace of `throttle`, and has damage repaired by `repairs`."""

    database: Database
    clock: Clock
    places: PlacesInUse
    repairs: Repairs
    throttle: Throttle
    period: timedelta
    _weights: _Weights = field(default_factory=_Weights)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {CHECK_OBJECTS: self._work}

    def begin(self) -> None:
        """Make sure that rounds go on from now on. Idempotent; for the worker's start."""
        note_old_copies(self.database)
        now = self.clock.now()
        with self.database.begin() as tx:
            renew_job(tx, CHECK_OBJECTS, {}, at=now, queue=FIXITY, key=CHECK_OBJECTS)
            hasten_job(tx, CHECK_OBJECTS, at=now)

    def ask(self, object_ids: Sequence[ObjectId], *, place: str) -> None:
        """Put objects to the front of a place's round; see `due.recheck`."""
        with self.database.begin() as tx:
            recheck(tx, object_ids, self.clock.now(), place=place)

    def ask_everything(self) -> None:
        """Put everything to the front, in every place: a whole round at once."""
        note_new(self.database, at=self.clock.now())
        for place in self.places.ids:
            these = update(FixityCheck).where(FixityCheck.place == place, FixityCheck.since.is_not(None))
            with self.database.begin() as tx:
                tx.execute(these.values(asked_at=self.clock.now(), read_at=None, read_bytes=None, tried_at=None))

    def go_on(self, *, by: Actor = ARCHIVE, within_s: float = _RUN_S, is_whole: bool = False) -> Done:
        """Do what is due now, for about as long as that in each place; return what was done.

        On return what was damaged is written down and was tried to be repaired, and people are told; what was whole is
        told of within ten minutes, at once where that is what is wanted (`is_whole`). A place that is away is noted,
        and the others go on.
        """
        note_new(self.database, at=self.clock.now())
        done = Done()
        for place_id in self.places.ids:
            try:
                done.add(self._go_on_in(place_id, by=by, within_s=within_s))
                self._note_trouble(place_id, None)
            except (Unavailable, StorageFull) as exc:
                self._note_trouble(place_id, exc.code)
            self._tell(place_id, by=by, is_all=is_whole)
        self.repairs.retry(by=by)
        with self.database.begin() as tx:
            tell_people(tx, at=self.clock.now())
        return done

    # ---- the job ---------------------------------------------------------------------------------------------------

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        done = self.go_on()
        report(900)
        wait = timedelta(0) if done.has_more else _EVERY
        if self.throttle.is_pressed:
            wait = max(wait, _WHILE_PRESSED)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + wait)

    def _go_on_in(self, place_id: str, *, by: Actor, within_s: float) -> Done:
        place = self.places.opened(place_id)
        if place is None:
            return Done()
        require_there(place)
        credit = self._credit(place_id)
        with self.database.read() as tx:
            found = turns(tx, place_id, at=self.clock.now(), period=self.period, is_even=credit > 0)
        run = _Run(self, place, by, time.monotonic() + within_s)
        done, spent = run.through(found, credit)
        with self.database.begin() as tx:
            row = place_row(tx, place_id, at=self.clock.now())
            row.credit_bytes -= spent
        done.has_more = done.has_more or (len(found) > 0 and done.whole + done.damaged > 0)
        return done

    def _credit(self, place_id: str) -> int:
        """Bring the credit of a place up to now; return it."""
        known = self._weights.known.get(place_id)
        if known is None or time.monotonic() - known[2] > _WEIGHED_FOR_S:
            with self.database.read() as tx:
                known = self._weights.known[place_id] = (*weight_of(tx, place_id), time.monotonic())
        now = self.clock.now()
        with self.database.begin() as tx:
            row = place_row(tx, place_id, at=now)
            credit = credit_of(row).at_moment(now, whole_bytes=known[0], period=self.period)
            row.credit_bytes, row.credited_at, row.size_bytes = credit.size_bytes, credit.at, known[1]
            return credit.size_bytes

    def _note_trouble(self, place_id: str, code: str | None) -> None:
        at = self.clock.now()
        with self.database.begin() as tx:
            row = place_row(tx, place_id, at=at)
            if row.trouble != code:
                row.trouble, row.trouble_at = code, None if code is None else at

    def _tell(self, place_id: str, *, by: Actor, is_all: bool) -> None:
        """Write the entries of what was read and found whole."""
        read = select(FixityCheck).where(FixityCheck.place == place_id, FixityCheck.read_at.is_not(None))
        read = read.order_by(FixityCheck.read_at).limit(_TOLD_AT_ONCE)
        where = Where(place_id, self.places.name_of(place_id))
        with self.database.read() as tx:
            waits_since = tx.scalar(read.with_only_columns(FixityCheck.read_at).limit(1))
        while waits_since is not None:
            at = self.clock.now()
            with self.database.begin() as tx:
                rows = tx.scalars(read.with_for_update()).all()
                is_due = is_all or len(rows) == _TOLD_AT_ONCE or waits_since <= at - _TOLD_AFTER
                if not rows or not is_due:
                    return
                whole = [Whole(row.object_id, row.read_head or 0, row.read_bytes or 0) for row in rows]
                tell_whole(tx, where, whole, by=by, at=at)


@dataclass(slots=True)
class _Run:
    """One go through the objects of a place whose turn it is."""

    rounds: Rounds
    place: Place
    by: Actor
    ends_s: float
    done: Done = field(default_factory=Done)
    damage: list[UUID] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    noted_s: float = field(default_factory=time.monotonic)

    def through(self, found: Sequence[Turn], credit: int) -> tuple[Done, int]:
        """Read what it is the turn of, one ahead of the other; return what was done, and the weight of it."""
        waiting: deque[tuple[Turn, Instant, Future[Reading]]] = deque()
        spent = 0
        with ThreadPoolExecutor(_READ_AHEAD + 1, thread_name_prefix="fixity") as pool:
            try:
                for turn in found:
                    if self._is_over(turn, credit - spent):
                        break
                    spent += weight(turn.row.size_bytes)
                    waiting.append((turn, self.rounds.clock.now(), pool.submit(self._read, turn)))
                    if len(waiting) > _READ_AHEAD:
                        self._settle(*waiting.popleft())
                while waiting:
                    self._settle(*waiting.popleft())
            finally:
                for _, _, future in waiting:
                    future.cancel()
                self._note(is_all=True)
        for each in self.damage:
            self.rounds.repairs.repair(each, by=self.by)
        return self.done, spent

    def _is_over(self, turn: Turn, credit: int) -> bool:
        if time.monotonic() > self.ends_s:
            self.done.has_more = True
            return True
        if turn.is_asked or turn.is_late:
            return False
        return credit <= 0 or self.rounds.throttle.is_pressed

    def _read(self, turn: Turn) -> Reading:
        paced = self.rounds.throttle.paced
        try:
            original = Original.of(turn.row)
        except InvalidInput:  # nothing of ours writes such a row; fsck tells who has
            return not_read("fixity.catalogue_broken", "The catalogue does not say which digests the original has")
        return read_object(self.place.objects, original, least_head=turn.head, paced=paced)

    def _settle(self, turn: Turn, began: Instant, future: Future[Reading]) -> None:
        reading = future.result()
        meters().fixity_bytes.inc(reading.size_bytes)
        if reading.report.outcome is not Outcome.VALID:
            # Once more: what a wire or a memory did to the bytes is no damage.
            require_there(self.place)
            reading = self._read(turn)
        self.done.size_bytes += reading.size_bytes
        outcome = reading.report.outcome
        if outcome is Outcome.VALID:
            self.read.append(Read(turn.object_id, reading.head, reading.size_bytes, began))
            self.done.whole += 1
            meters().fixity_checks.labels(_WHOLE).inc()
            self._note()
        elif outcome is Outcome.INVALID:
            self._damaged(turn, reading.report, reading.head)
        else:
            self._unread(turn, reading)

    def _damaged(self, turn: Turn, report: Report, head: int) -> None:
        rounds, where = self.rounds, Where(self.place.id, self.place.name)
        require_there(self.place)  # a place that went away meanwhile has damaged nothing
        try:
            with rounds.database.begin() as tx:
                row = preserved_object(tx, turn.object_id)
                found = tell_damage(tx, row, where, report, head=head, by=self.by, at=rounds.clock.now())
        except NotFound:
            return
        if found is not None:
            self.damage.append(found)
            self.done.damaged += 1
            meters().fixity_checks.labels(_DAMAGED).inc()

    def _unread(self, turn: Turn, reading: Reading) -> None:
        """Note what could not be judged; a file that cannot be read three times, an hour apart, is damaged."""
        self.done.unread += 1
        meters().fixity_checks.labels(_UNREAD).inc()
        code = next(found.code for found in reading.report.findings if found.outcome is not Outcome.VALID)
        with self.rounds.database.begin() as tx:
            tries = note_unread(tx, self.place.id, turn.object_id, code=code, at=self.rounds.clock.now())
        if reading.is_unreadable and tries >= _TRIES:
            told = invalid("fixity.unreadable", "A file could not be read in three tries, an hour apart")
            self._damaged(turn, Report((*reading.report.findings, told)), reading.head)

    def _note(self, *, is_all: bool = False) -> None:
        """Note what was read, when a second or some bytes have come together."""
        size_bytes = sum(each.size_bytes for each in self.read)
        is_due = is_all or size_bytes >= _NOTED_BYTES or time.monotonic() - self.noted_s >= _NOTED_S
        if not self.read or not is_due:
            return
        with self.rounds.database.begin() as tx:
            note_read(tx, self.place.id, self.read, at=self.rounds.clock.now())
        self.read.clear()
        self.noted_s = time.monotonic()
