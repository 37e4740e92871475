"""What ages is found ahead of time and renewed: after 35 years everything verifies; what nobody renewed does not."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.cli.main import run as run_command
from archive.documents.long_term import newest_extension
from archive.jobs.queue import IDLE, LONG
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.entries import ARCHIVE, OPERATOR
from archive.ledger.trustfile import TrustFile
from archive.packages.building import build_package
from archive.wiring.log_parts import renew_trust_file
from archive.worker.loop import Worker
from retention.fixity import check_fixity
from retention.renewals.judging import judge_object, read_signed
from retention.renewals.models import ObjectRenewal
from retention.renewals.own_keys import extend_root, history_of
from retention.renewals.terms import Aging, RenewalRefused, RenewedBy
from signing.authority import EmbeddedAuthority, RootLasts
from signing.revocation import crl
from signing.validation.documents import judge_document
from signing.validation.trust import TrustList
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, flip
from tests.support.deployment import environment
from tests.support.package_faults import by_liuhen, by_verify_py, outline
from tests.support.seals import filed_decision

Deliver = Callable[..., ObjectId]
NUMBER = "昆市监罚〔2026〕1号"
YEAR = timedelta(days=365)


def work(home: ArchiveHome) -> None:
    """Have the jobs done that renew, as a worker does them, and what the sequencer does beside."""
    services = home.services
    services.evidence.begin()
    services.renewals.begin()
    worker = Worker(home.database, handlers=services.handlers, clock=home.clock, lease_s=600)
    while worker.run_once([LONG, IDLE]):
        pass
    home.sequence()
    assert services.anchor_rounds.look()


def extend(home: ArchiveHome) -> EmbeddedAuthority:
    extended = extend_root(home.database, home.services.authority, home.clock, by=OPERATOR)
    home.reopen()
    renew_trust_file(home.path, home.services.trust)
    return extended


def packaged(home: ArchiveHome, out: Path) -> Path:
    case_id = home.rows("SELECT id FROM case_file")[0][0]
    from uuid import UUID

    from archive.fsck.raw import as_uuid
    from archive.kernel.ids import CaseId

    return build_package(
        home.services.packager,
        CaseId(UUID(as_uuid(case_id))),
        out,
        with_renditions=False,
        by=OPERATOR,
        purpose="送检察院",
    ).folder


def outcome(home: ArchiveHome, object_id: ObjectId) -> Outcome:
    return check_fixity(home.services.fixity, object_id, by=OPERATOR).outcome


def codes(home: ArchiveHome, object_id: ObjectId) -> set[str]:
    report = check_fixity(home.services.fixity, object_id, by=OPERATOR)
    return {found.code for found in report.findings if found.outcome is not Outcome.VALID}


@pytest.mark.parametrize("restarts", [True, False])
def test_after_35_years_everything_verifies(
    home: ArchiveHome, deliver: Deliver, tmp_path: Path, *, restarts: bool
) -> None:
    home.case()
    record = filed_decision(home)
    items = [deliver(b"film of the first year", case=NUMBER)]
    home.services.renewals.long_term.extend_record(record, by=ARCHIVE)
    work(home)
    first = packaged(home, tmp_path / "first")
    pinned_then = (home.path / "trust.txt").read_bytes()
    for year in range(1, 36):
        home.clock.step(YEAR - timedelta(hours=12))
        if year in {13, 30}:
            extend(home)
        elif restarts:
            home.reopen()
        work(home)
        items.append(deliver(f"film of year {year}".encode(), case=NUMBER))
        home.clock.step(timedelta(hours=12))
        work(home)
    services, now = home.services, home.clock.now()
    with home.database.read() as tx:
        keys = {kind: len(history_of(tx, kind)) for kind in ("root", "manifest", "timestamp")}
        assert [(each.kind, each.code, each.since) for each in services.renewal_listing.faults(tx)] == []
        due = services.renewal_listing.due(tx, now)
    assert [each for each in due if each.due_at is not None] == []
    assert keys["root"] == 3
    assert keys["manifest"] >= 4
    assert keys["timestamp"] >= 4
    assert {outcome(home, each) for each in items} == {Outcome.VALID}
    assert len(read_signed(services.objects, items[0]).renewals) >= 3
    with home.database.read() as tx:
        newest = newest_extension(tx, record)
    assert newest is not None
    assert newest.number >= 4
    pdf = home.file_of(record, newest.path).read_bytes()
    revoked = crl(services.authority, home.clock)
    trusted = TrustList.embedded(services.authority.root)
    verdict = judge_document(pdf, trust=trusted, at=now, crls=[revoked])
    assert verdict.outcome is Outcome.VALID, [finding.code for finding in verdict.findings]
    home.sequence()
    home.assert_sound()
    trust = (home.path / "trust.txt").read_bytes()
    assert len(TrustFile.parse(trust).roots) == 3
    for folder in (packaged(home, tmp_path / "last"), first):
        ours, theirs = by_liuhen(folder, trust), by_verify_py(folder, trust)
        assert outline(ours) == outline(theirs)
        assert {each["outcome"] for each in ours["findings"] if each["code"] != "checkpoint.no_quorum_asked"} <= {
            "valid",
            "indeterminate",
        }
        assert not [each for each in ours["findings"] if each["code"].startswith(("signature", "timestamp", "anchor"))
                    and each["outcome"] != "valid"]  # fmt: skip
    old = by_liuhen(first, pinned_then)
    assert not [each for each in old["findings"] if each["code"].startswith("signature") and each["outcome"] != "valid"]


def test_what_nobody_renewed_is_not_called_valid(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"film")
    home.sequence()
    assert outcome(home, object_id) is Outcome.VALID
    home.clock.step(11 * YEAR)
    home.reopen()
    assert codes(home, object_id) == {"signature.certificate_expired"}
    assert "signature.certificate_expired" in {fault.code for fault in home.faults()}
    with pytest.raises(RenewalRefused):
        home.services.evidence.objects.renew(object_id, by=OPERATOR)
    work(home)
    with home.database.read() as tx:
        [fault] = home.services.renewal_listing.faults(tx)
    assert (fault.kind, fault.ref, fault.code) == (Aging.MANIFEST, str(object_id), "signature.certificate_expired")
    assert codes(home, object_id) == {"signature.certificate_expired"}, "a late timestamp proves nothing"
    assert deliver(b"signed with the new key") is not None


def test_a_renewal_that_came_too_late_is_told(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"film")
    home.sequence()
    home.clock.step(9 * YEAR + timedelta(days=30))
    work(home)
    assert outcome(home, object_id) is Outcome.VALID
    home.clock.step(10 * YEAR + timedelta(days=90))
    extend(home)
    assert codes(home, object_id) == {"renewal.ended"}
    with pytest.raises(RenewalRefused):
        home.services.evidence.objects.renew(object_id, by=OPERATOR)


def test_the_listing_tells_ahead_of_time(home: ArchiveHome, deliver: Deliver) -> None:
    for number in range(3):
        deliver(f"film {number}".encode())
    work(home)
    now, listing = home.clock.now(), home.services.renewal_listing
    with home.database.read() as tx:
        assert [each.kind for each in listing.due(tx, now + 2 * YEAR)] == [Aging.LOG_KEY] * 3
        due = {each.kind: each for each in listing.due(tx, now + 21 * YEAR)}
    assert due[Aging.MANIFEST].count == 3
    assert due[Aging.MANIFEST].ends_at == home.services.authority.manifest_certificate.not_valid_after_utc
    assert due[Aging.MANIFEST].due_at == due[Aging.MANIFEST].ends_at - YEAR
    assert due[Aging.ROOT_KEY].by is RenewedBy.OPERATOR
    assert due[Aging.MANIFEST_KEY].by is RenewedBy.ITSELF
    assert {Aging.TIMESTAMP_KEY, Aging.ANCHOR} <= due.keys()
    home.clock.step(9 * YEAR + timedelta(days=10))
    work(home)
    now = home.clock.now()
    with home.database.read() as tx:
        done = {each.kind: each for each in listing.done(tx, now - YEAR)}
        assert done[Aging.MANIFEST].count == 3
        assert {Aging.MANIFEST_KEY, Aging.TIMESTAMP_KEY} <= done.keys()
        later = [each for each in listing.due(tx, now + 12 * YEAR) if each.kind is Aging.MANIFEST]
    assert [each.count for each in later] == [3]


def test_each_renewal_is_told_in_log_and_trail_and_held_against_its_bytes(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"film")
    home.sequence()
    made = home.services.evidence.objects.renew(object_id, by=OPERATOR)
    again = home.services.evidence.objects.renew(object_id, by=OPERATOR)
    assert (made.number, again.number) == (1, 2)
    assert home.count("custody_event", "type = 'object.renewed'") == 2
    home.sequence()
    home.assert_sound()
    token = home.file_of(object_id, "renewals/001.tsr")
    flip(token)
    assert codes(home, object_id) >= {"renewal.differs"}
    flip(token)
    assert outcome(home, object_id) is Outcome.VALID
    home.execute("UPDATE object_renewal SET ends_at = at WHERE number = 2")
    assert {fault.code for fault in home.faults()} == {"fsck.row_changed"}


def renew_first(services: Any) -> None:
    with services.database.read() as tx:
        from sqlalchemy import select

        from archive.custody.models import PreservedObject

        object_id = ObjectId(tx.scalars(select(PreservedObject.id)).one())
    services.evidence.objects.renew(object_id, by=ARCHIVE)


def test_a_kill_at_any_step_leaves_what_the_next_try_goes_on_from(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"film")
    home.sequence()
    kills = 0
    while run_killed(home.settings, renew_first, at_step=kills + 1):
        kills += 1
        assert kills < 100
        assert (
            judge_object(
                home.services.objects,
                object_id,
                trust_roots_pem=home.services.authority.root_pem,
                at=home.clock.now(),
            ).outcome
            is Outcome.VALID
        )
    assert kills > 5, "each one went on from the last"
    home.reopen()
    with home.database.read() as tx:
        rows = tx.get(ObjectRenewal, (object_id, 1))
    assert rows is not None
    home.sequence()
    home.assert_sound()


def test_the_root_is_extended_by_a_command(
    home: ArchiveHome, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    object_id = deliver(b"film")
    for name, value in environment(home.settings).items():
        monkeypatch.setenv(name, value)
    code = run_command(["certificates", "extend-root", "--json"])
    assert code == 73, "a new one would not last longer"
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "authority.root_lasts"
    with pytest.raises(RootLasts):
        home.services.authority.extend_root(home.clock.now())
    home.clock.step(YEAR)
    before = home.services.authority.root
    extended = extend(home)
    assert extended.root.not_valid_after_utc > before.not_valid_after_utc
    assert extended.root.public_key() == before.public_key()
    assert list(extended.former_roots) == [before]
    assert outcome(home, object_id) is Outcome.VALID
    assert home.types().count("admin.authority_renewed") >= 3
    home.sequence()
    home.assert_sound()
    assert run_command(["certificates", "renew"]) == 0
