"""Sending mail: notices to who wants them, codes that prove an address. Again with pauses, given up after days."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.jobs.queue import ClaimedJob, finish_job, postpone_job
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant, parse_instant
from archive.notify.addresses import CODE_LIFETIME, SEND_CODE, hash_of, new_code
from archive.notify.models import MailAddress, Notice, NoticeChoice
from archive.notify.notices import SEND_NOTICE, NoticeKind
from archive.notify.texts import code_text, mail_text
from archive.ports.clock import Clock
from archive.ports.mailer import Mail, MailAddressInvalid, Mailer, MailRefused, Unmailed

GIVEN_UP_AFTER: Final = timedelta(days=3)
_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=2)
_MOST_DOUBLINGS: Final = 10
_CODE_PAUSE: Final = timedelta(seconds=30)

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True)
class MailJobs:
    """The jobs that send mail. Without a mailer none is sent, and what waits is dropped.

    `address` is where browsers find the archive, `domain` the right side of message ids.
    """

    database: Database
    clock: Clock
    mailer: Mailer | None
    address: str
    domain: str

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {SEND_NOTICE: self.send_notice, SEND_CODE: self.send_code}

    def send_notice(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Send one notice, unless it was read meanwhile or is not wanted any more. Raises: LeaseLost."""
        del report
        notice_id = parse_uuid(job.args["notice_id"])
        with self.database.read() as tx:
            notice = tx.get(Notice, notice_id)
            to = None if notice is None else _wanted_at(tx, notice)
        now = self.clock.now()
        if notice is None or to is None or self.mailer is None or notice.read_at is not None:
            self._end(job, notice_id, "dropped", at=now)
            return
        subject, text = mail_text(
            NoticeKind(notice.kind), link=f"{self.address}/notices/{notice.id}", language=to.language
        )
        mail = Mail(to.address, subject, text, f"{notice.id}@{self.domain}")
        try:
            self.mailer.send(mail)
        except (MailRefused, MailAddressInvalid):
            self._end(job, notice_id, "refused", at=now)
        except Unmailed:
            if now - notice.made_at >= GIVEN_UP_AFTER:
                self._end(job, notice_id, "dropped", at=now)
                return
            pause = min(_FIRST_PAUSE * 2 ** min(notice.mail_attempts, _MOST_DOUBLINGS), _LONGEST_PAUSE)
            with self.database.begin() as tx:
                _count(tx, notice_id)
                postpone_job(tx, job, until=now + pause)
        else:
            self._end(job, notice_id, "sent", at=now)

    def send_code(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Send a fresh code to an address that waits for one; an older code is good for nothing then.

        Raises: LeaseLost.
        """
        del report
        account_id, asked_at = parse_uuid(job.args["account_id"]), parse_instant(job.args["asked_at"])
        now, code = self.clock.now(), new_code()
        ours = (
            MailAddress.account_id == account_id,
            MailAddress.asked_at == asked_at,
            MailAddress.verified_at.is_(None),
        )
        with self.database.begin() as tx:
            # Before it is sent: a code that arrives is never one that is not known.
            to = tx.scalar(select(MailAddress).where(*ours).with_for_update())
            if to is None or self.mailer is None or now - asked_at >= CODE_LIFETIME:
                finish_job(tx, job, at=now)
                return
            tx.execute(update(MailAddress).where(*ours).values(code_hash=hash_of(code), code_until=now + CODE_LIFETIME))
        subject, text = code_text(code, link=f"{self.address}/account/notices", language=to.language)
        try:
            self.mailer.send(Mail(to.address, subject, text, f"{job.id}@{self.domain}"))
        except Unmailed:
            with self.database.begin() as tx:
                postpone_job(tx, job, until=now + _CODE_PAUSE)
        except (MailRefused, MailAddressInvalid):
            with self.database.begin() as tx:
                finish_job(tx, job, at=now)
        else:
            with self.database.begin() as tx:
                finish_job(tx, job, at=now)

    def _end(self, job: ClaimedJob, notice_id: UUID, state: str, *, at: Instant) -> None:
        with self.database.begin() as tx:
            tx.execute(
                update(Notice)
                .where(Notice.id == notice_id, Notice.mail_state == "waiting")
                .values(mail_state=state, mail_attempts=Notice.mail_attempts + int(state != "dropped"))
            )
            finish_job(tx, job, at=at)


def _wanted_at(tx: Session, notice: Notice) -> MailAddress | None:
    """Return where a notice goes; None where its reader wants no mail of this kind any more, or it is unknown."""
    if notice.kind not in set(NoticeKind) or tx.get(NoticeChoice, (notice.account_id, notice.kind)) is None:
        return None
    found = tx.get(MailAddress, notice.account_id)
    return None if found is None or found.verified_at is None else found


def _count(tx: Session, notice_id: UUID) -> None:
    tx.execute(update(Notice).where(Notice.id == notice_id).values(mail_attempts=Notice.mail_attempts + 1))
