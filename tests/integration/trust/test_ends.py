"""Who is told that a certificate ends: administrators and the officer, once, 30 days before."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from archive.access.policy import Role
from archive.documents.certificate_ends import WATCH_CERTIFICATES, tell_ends
from archive.documents.issuing import issue_to_officer, revoke
from archive.jobs.models import Job
from archive.jobs.queue import IDLE
from archive.kernel.ids import CertificateId
from archive.ledger.entries import OPERATOR
from archive.notify.models import Notice
from archive.notify.texts import page_text
from archive.organisation.officers import OfficerFacts, record_officer
from archive.ports.revocations import RevocationReason
from archive.worker.loop import Worker
from signing.certificates import OFFICER_SIGNING
from tests.support.archive_home import ArchiveHome, clock, home

__all__ = ["clock", "home"]


def told(home: ArchiveHome) -> list[tuple[UUID, str, str]]:
    with home.database.read() as tx:
        rows = tx.scalars(select(Notice).where(Notice.kind == "certificate.ending").order_by(Notice.account_id))
        return [(row.account_id, row.link, page_text(row.kind, row.params, "zh-Hans")) for row in rows]


def test_people_are_told_once_that_a_certificate_ends(home: ArchiveHome) -> None:
    admin = home.person(Role.ADMINISTRATOR)
    kept = []
    for number, name in (("YN1", "赵六"), ("YN2", "钱七")):
        officer_id = record_officer(
            home.database, OfficerFacts(number, name, "局", "队"), by=OPERATOR, at=home.clock.now()
        )
        officer = home.person(Role.OFFICER, number, officer_id=officer_id)
        made = issue_to_officer(home.services.issuer, officer_id, passphrase="x" * 20, by=OPERATOR, at=home.clock.now())
        kept.append((officer.account_id, CertificateId(made.outcome)))
    home.services.seals.room.capture()
    with home.database.begin() as tx:
        assert tell_ends(tx, at=home.clock.now()) == 0
    home.clock.step(OFFICER_SIGNING.valid - timedelta(days=29))
    (officer_id, certificate_id), (_, other) = kept
    at = home.clock.now()
    reason = RevocationReason.AFFILIATION_CHANGED
    revoke(home.services.issuer, other, reason=reason, words="调离", since=at, by=OPERATOR, at=at)
    home.services.certificate_ends.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    assert worker.run_once([IDLE])
    link = f"/certificates/{certificate_id}"
    assert {(reader, where) for reader, where, _ in told(home)} == {(admin.account_id, link), (officer_id, link)}
    assert all(text.startswith("赵六的证书将于 20") for _, _, text in told(home))
    with home.database.begin() as tx:
        assert tell_ends(tx, at=home.clock.now()) == 0, "nobody is told twice"
    late = home.person(Role.ADMINISTRATOR, "late")
    with home.database.begin() as tx:
        assert tell_ends(tx, at=home.clock.now()) == 1, "who came later is told too"
    assert late.account_id in {reader for reader, _, _ in told(home)}
    with home.database.read() as tx:
        job = tx.scalars(select(Job).where(Job.kind == WATCH_CERTIFICATES)).one()
    assert (job.state, job.not_before > home.clock.now()) == ("ready", True), "it comes back by itself"
