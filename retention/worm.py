"""Whether the store's locks hold: tried when the archive starts, each day and on demand; stored, logged and shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.jobs.queue import PROMPT, ClaimedJob, hasten_job, renew_job, repeat_job
from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Outcome, Report
from archive.kernel.ids import new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.ports.clock import Clock
from archive.ports.worm import WormTrial
from retention.models import WormProbeRun

PROBE_WORM: Final = "probe_worm"
_EVERY: Final = timedelta(days=1)

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class StoreLock:
    """Whether it is proven that nobody can delete what is stored; `reason` says why not (files, not_tried, failed)."""

    is_proven: bool
    at: Instant | None
    reason: str


@dataclass(frozen=True, slots=True)
class WormProbes:
    """What tries the locks of the store of originals, and keeps what came of it."""

    database: Database
    clock: Clock
    trial: WormTrial

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {PROBE_WORM: self._probe}

    def begin(self) -> None:
        """Have the locks tried now, and each day from then on. Idempotent; for the worker's start."""
        now = self.clock.now()
        with self.database.begin() as tx:
            renew_job(tx, PROBE_WORM, {}, at=now, queue=PROMPT, key=PROBE_WORM)
            hasten_job(tx, PROBE_WORM, at=now)

    def run(self, *, by: Actor = ARCHIVE) -> Report:
        """Try the locks, and write down what came of it with its log entry; return it."""
        at = self.clock.now()
        report, probe_id = self.trial.run(at=at), new_uuid7()
        told = canonical_json([{"code": found.code, "outcome": found.outcome.value} for found in report.findings])
        facts = {"place": self.trial.place[:300], "outcome": report.outcome.value, "findings": told.decode()}
        with self.database.begin() as tx:
            insert_row(tx, WormProbeRun, id=probe_id, probed_at=at, **facts)
            entry = NewEntry(EntryType.STORE_PROBED, by, Target("store_probe", probe_id), detail=facts)
            append_entry(tx, entry, at=at)
        return report

    def newest(self, tx: Session) -> WormProbeRun | None:
        """Return the newest try of the store that is in use now; None where there was none."""
        of_this = select(WormProbeRun).where(WormProbeRun.place == self.trial.place[:300])
        return tx.scalar(of_this.order_by(WormProbeRun.probed_at.desc(), WormProbeRun.id.desc()).limit(1))

    def standing(self, tx: Session) -> StoreLock:
        """Return what the newest try has shown."""
        newest = self.newest(tx)
        if newest is None:
            return StoreLock(is_proven=False, at=None, reason="not_tried")
        is_proven = newest.outcome == Outcome.VALID.value
        reason = "files" if '"worm.files"' in newest.findings else "failed"
        return StoreLock(is_proven, newest.probed_at, reason="" if is_proven else reason)

    def _probe(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self.run()
        report(900)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)
