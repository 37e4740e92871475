"""The job that carries lists out when their recovery period is over, certifies them, and keeps certificates fresh."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import select

from archive.db.database import Database
from archive.jobs.queue import LONG, ClaimedJob, hasten_job, renew_job, repeat_job
from archive.kernel.errors import LiuhenError, StorageFull, Unavailable
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from retention.disposition.carrying import Carrier, clear_trouble, note_trouble
from retention.disposition.certifying import Certifier
from retention.disposition.models import DispositionList
from retention.disposition.terms import ListState

DISPOSE: Final = "dispose"
_EVERY: Final = timedelta(minutes=5)
_AWAY: Final = timedelta(minutes=1)
_SOON: Final = timedelta(seconds=5)
_UNDER_WAY: Final = (ListState.WAITING.value, ListState.DESTROYING.value, ListState.DESTROYED.value)
_log = structlog.get_logger("liuhen.disposition")
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class DispositionJobs:
    """The job, put together by wiring. One list that cannot go on keeps no other waiting."""

    database: Database
    clock: Clock
    carrier: Carrier
    certifier: Certifier

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {DISPOSE: self._work}

    def begin(self) -> None:
        """Make sure that lists are carried out from now on. Idempotent; for the worker's start."""
        now = self.clock.now()
        with self.database.begin() as tx:
            renew_job(tx, DISPOSE, {}, at=now, queue=LONG, key=DISPOSE)
            hasten_job(tx, DISPOSE, at=now)

    def go_on(self, report: Callable[[int], None] = lambda _: None) -> Instant:
        """Bring each list a part further; return when to come again. Raises: LeaseLost."""
        next_at = self.clock.now() + _EVERY
        for list_id in self._under_way():
            try:
                until = self._list(list_id, report)
            except (Unavailable, StorageFull) as exc:
                _log.warning("disposition put off", list_id=str(list_id), code=exc.code)
                until = self.clock.now() + _AWAY
            next_at = next_at if until is None else min(next_at, until)
        try:
            self.certifier.renew_due()
        except LiuhenError as exc:
            _log.warning("certificates not renewed", code=exc.code)
        return next_at

    def _list(self, list_id: UUID, report: Callable[[int], None]) -> Instant | None:
        until = self.carrier.carry_on(list_id, report)
        if until is not None:
            return until
        try:
            is_certified = self.certifier.certify(list_id)
        except LiuhenError as exc:
            note_trouble(self.database, list_id, exc, at=self.clock.now())
            return self.clock.now() + _EVERY
        if is_certified:
            clear_trouble(self.database, list_id)
            return None
        return self.clock.now() + _SOON if self._is_under_way(list_id) else None

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        until = self.go_on(report)
        report(900)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=until)

    def _under_way(self) -> Sequence[UUID]:
        query = select(DispositionList.id).where(DispositionList.state.in_(_UNDER_WAY))
        with self.database.read() as tx:
            return tx.scalars(query.order_by(DispositionList.recovers_until, DispositionList.id)).all()

    def _is_under_way(self, list_id: UUID) -> bool:
        return list_id in self._under_way()
