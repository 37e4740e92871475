"""The job that renews what will age: own keys, then signed manifests, then records that were never extended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from archive.documents.long_term import LongTerm
from archive.jobs.queue import IDLE, ClaimedJob, renew_job, repeat_job
from archive.kernel.errors import LiuhenError, StorageFull
from archive.kernel.ids import ObjectId
from archive.ledger.entries import ARCHIVE, Actor
from archive.ports.blobs import StoreUnavailable
from retention.renewals.faults import forget_fault, note_fault
from retention.renewals.objects import BATCH, ObjectRenewals
from retention.renewals.own_keys import renew_keys
from retention.renewals.records import due_for_the_first
from retention.renewals.terms import Aging
from signing.authority import EmbeddedAuthority

RENEW_EVIDENCE: Final = "renew_evidence"
_EVERY: Final = timedelta(hours=6)
_MOST_FAULTS: Final = 1_000
"""What cannot be renewed is tried once in a round; after so many in one round something is wrong with all of it."""
_log = structlog.get_logger("liuhen.renewals")
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]
Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class EvidenceRenewals:
    """The job over everything that ages; what cannot be renewed now is told, and tried again."""

    objects: ObjectRenewals
    long_term: LongTerm
    authority: EmbeddedAuthority

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {RENEW_EVIDENCE: self._work}

    def begin(self) -> None:
        """Make sure that what ages is renewed from now on. Idempotent; for the worker's start."""
        with self.objects.database.begin() as tx:
            renew_job(tx, RENEW_EVIDENCE, {}, at=self.objects.clock.now(), queue=IDLE, key=RENEW_EVIDENCE)

    def renew_due(self, report: Report = lambda _: None, *, by: Actor = ARCHIVE) -> int:
        """Renew all that is due, each once; return how much was. What fails keeps nothing else waiting.

        Raises: StorageFull, StoreUnavailable, which concern all; what the lease raises.
        """
        done = self._keys(by)
        report(0)
        return done + self._manifests(report, by) + self._records(report, by)

    def _work(self, job: ClaimedJob, report: Report) -> None:
        self.renew_due(report)
        with self.objects.database.begin() as tx:
            repeat_job(tx, job, until=self.objects.clock.now() + _EVERY)

    def _keys(self, by: Actor) -> int:
        objects = self.objects
        try:
            fresh = renew_keys(objects.database, self.authority, objects.clock, longest=objects.longest, by=by)
        except LiuhenError as exc:
            self._failed(Aging.MANIFEST_KEY, "", exc)
            return 0
        forget_fault(objects.database, Aging.MANIFEST_KEY, "")
        return len(fresh)

    def _manifests(self, report: Report, by: Actor) -> int:
        def due(tx: Any, tried: Sequence[UUID]) -> Sequence[ObjectId]:
            return self.objects.due(tx, self.objects.clock.now(), tried=tried)

        return self._each(Aging.MANIFEST, due, lambda each: self.objects.renew(each, by=by), report)

    def _records(self, report: Report, by: Actor) -> int:
        def due(tx: Any, tried: Sequence[UUID]) -> Sequence[ObjectId]:
            at, longest = self.objects.clock.now(), self.objects.longest
            return due_for_the_first(tx, longest=longest, at=at, limit=BATCH, tried=tried)

        return self._each(Aging.RECORD, due, lambda each: self.long_term.extend_record(each, by=by), report)

    def _each(
        self,
        kind: Aging,
        due: Callable[[Any, Sequence[UUID]], Sequence[ObjectId]],
        renew: Callable[[ObjectId], object],
        report: Report,
    ) -> int:
        done, failed = 0, list[UUID]()
        while len(failed) < _MOST_FAULTS:
            with self.objects.database.read() as tx:
                found = due(tx, failed)
            if not found:
                break
            for object_id in found:
                try:
                    renew(object_id)
                except (StorageFull, StoreUnavailable):
                    raise
                except LiuhenError as exc:
                    failed.append(object_id)
                    self._failed(kind, str(object_id), exc)
                else:
                    done += 1
                    forget_fault(self.objects.database, kind, str(object_id))
                report(0)
        return done

    def _failed(self, kind: Aging, ref: str, error: LiuhenError) -> None:
        _log.warning("not_renewed", kind=kind.value, ref=ref, code=error.code)
        code = str(error.facts.get("finding", error.code))
        note_fault(self.objects.database, kind, ref, code, at=self.objects.clock.now())
