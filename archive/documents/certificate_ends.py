"""The job that tells people of certificates that end within 30 days, so that others are there in time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.listings import accounts_with
from archive.access.models import Account
from archive.access.policy import Role
from archive.db.database import Database
from archive.documents.holders import holder_names
from archive.jobs.queue import IDLE, ClaimedJob, renew_job, repeat_job
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.notify.models import Notice
from archive.notify.notices import NoticeKind, notify
from archive.ports.clock import Clock
from archive.trust.listings import ENDS_WITHIN, ending_certificates

WATCH_CERTIFICATES: Final = "watch_certificates"
_EVERY: Final = timedelta(hours=6)
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class CertificateEnds:
    """The job over all certificates that sign."""

    database: Database
    clock: Clock

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {WATCH_CERTIFICATES: self._watch}

    def begin(self) -> None:
        """Make sure that ends are watched from now on. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, WATCH_CERTIFICATES, {}, at=self.clock.now(), queue=IDLE, key=WATCH_CERTIFICATES)

    def _watch(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        with self.database.begin() as tx:
            tell_ends(tx, at=self.clock.now())
        report(0)
        with self.database.begin() as tx:
            repeat_job(tx, job, until=self.clock.now() + _EVERY)


def tell_ends(tx: Session, *, at: Instant) -> int:
    """Tell administrators and the officer of each certificate that ends within 30 days; return how many people were.

    Nobody is told twice of one certificate. The archive renews its own by itself, so nobody is told of those.
    """
    count = 0
    administrators = {account.id for account in accounts_with(tx, Role.ADMINISTRATOR)}
    ending = [(row, row.holder_id) for row in ending_certificates(tx, at=at, within=ENDS_WITHIN) if row.holder_id]
    names = holder_names(tx, [holder_id for _, holder_id in ending])
    for row, holder_id in ending:
        link, readers = f"/certificates/{row.id}", administrators | _accounts_of(tx, holder_id)
        fresh = readers - _told(tx, readers, link)
        params = {
            "name": names.get(holder_id, ""),
            "day": row.not_after.astimezone(BUREAU_ZONE).date().isoformat(),
        }
        notify(tx, fresh, NoticeKind.CERTIFICATE_ENDING, params=params, link=link, at=at)
        count += len(fresh)
    return count


def _told(tx: Session, readers: set[UUID], link: str) -> set[UUID]:
    ending = (Notice.kind == NoticeKind.CERTIFICATE_ENDING.value, Notice.link == link)
    return set(tx.scalars(select(Notice.account_id).where(Notice.account_id.in_(readers), *ending)))


def _accounts_of(tx: Session, officer_id: UUID) -> set[UUID]:
    return set(tx.scalars(select(Account.id).where(Account.officer_id == officer_id, Account.disabled_at.is_(None))))
