"""Packages on request: the grant stands with the job, the job may die, each download is written down, all is removed."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.jobs.models import Job
from archive.jobs.queue import PACKAGE, claim_job
from archive.kernel.errors import Forbidden, InvalidInput, StorageFull
from archive.kernel.findings import Outcome
from archive.kernel.ids import CaseId, DownloadId, ObjectId, PackageId, new_uuid7
from archive.ledger.trustfile import TrustFile
from archive.packages.building import CaseMissing
from archive.packages.requests import (
    DownloadMissing,
    PackageMissing,
    PackageUnderWay,
    PackageView,
    active_download,
    ask_for_package,
    grant_download,
    package_name,
    package_view,
    packages_of,
)
from archive.packages.verification.check import Given, check_package
from archive.packages.verification.findings import PackageReport
from archive.retrieval.rules import RetrievalRules
from archive.worker.loop import Worker
from tests.support.archive_home import ArchiveHome, flip

RULES = RetrievalRules.load()
Deliver = Callable[..., ObjectId]
NUMBER = "昆市监罚〔2026〕1号"


def faults(report: PackageReport) -> set[str]:
    """Return the codes of what is wrong with a package."""
    return {found.code for found in report.findings if found.outcome is Outcome.INVALID}


@pytest.fixture
def case_id(home: ArchiveHome, deliver: Deliver) -> CaseId:
    case_id = home.case()
    deliver(b"footage", "现场.mp4", case=NUMBER)
    deliver(b"more footage", "b.mp4", case=NUMBER)
    home.sequence()
    return case_id


@pytest.fixture
def supervisor(home: ArchiveHome) -> Caller:
    return home.person(Role.SUPERVISOR)


def ask(home: ArchiveHome, case_id: CaseId, by: Caller, *, purpose: str = "送检察院") -> PackageId:
    return ask_for_package(
        home.database, case_id, by=by, purpose=purpose, with_renditions=False, rules=RULES, at=home.clock.now()
    )


def work(home: ArchiveHome) -> None:
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
    while worker.run_once([PACKAGE]):
        pass


def view(home: ArchiveHome, package_id: PackageId) -> PackageView:
    with home.database.read() as tx:
        found = package_view(tx, package_id)
        tx.expunge_all()
    return found


def zipped(home: ArchiveHome, package_id: PackageId) -> zipfile.ZipFile:
    with home.services.packages.opened(view(home, package_id).row).open(0) as source:
        return zipfile.ZipFile(io.BytesIO(source.read()))


def test_a_package_is_asked_for_built_and_valid(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller, tmp_path: Path
) -> None:
    package_id = ask(home, case_id, supervisor)
    assert view(home, package_id).state == "waiting"
    work(home)
    ready = view(home, package_id)
    assert (ready.state, ready.row.object_count) == ("ready", 2)
    with zipped(home, package_id) as judged:
        assert judged.testzip() is None
        judged.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == ready.row.name == f"{NUMBER}-{ready.row.asked_at.date()}"
    trust = TrustFile.parse((home.path / "trust.txt").read_bytes())
    report = check_package(folder, given=Given(trust=trust), now=home.clock.now())
    assert faults(report) == set()
    home.assert_sound()


def test_the_grant_stands_before_the_job(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    before = len(home.entries())
    package_id = ask(home, case_id, supervisor)
    entries = home.entries()[before:]
    assert [(each["type"], each["obj"]["kind"], each["case"]) for each in entries] == [
        ("access.export", "case", str(case_id)),
        ("access.export", "item", str(case_id)),
        ("access.export", "item", str(case_id)),
    ]
    assert {each["actor"] for each in entries} == {str(supervisor.account_id)}
    work(home)
    made = home.entries()[-1]
    assert (made["type"], made["obj"]["id"]) == ("derivative.created", str(case_id))
    download = grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())
    assert home.entries()[-1]["type"] == "access.export"
    assert isinstance(download, type(new_uuid7()))
    home.assert_sound()


def test_what_is_refused_changes_nothing(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    before = len(home.entries())
    for role in (Role.CASE_HANDLER, Role.AUDITOR, Role.ADMINISTRATOR):
        with pytest.raises(Forbidden):
            ask(home, case_id, home.person(role))
    before = len(home.entries())
    for purpose in ("", " ", "x" * 501):
        with pytest.raises(InvalidInput):
            ask(home, case_id, supervisor, purpose=purpose)
    with pytest.raises(CaseMissing):
        ask(home, CaseId(new_uuid7()), supervisor)
    assert len(home.entries()) == before
    with home.database.read() as tx:
        assert tx.scalars(select(Job).where(Job.kind == "build_package")).all() == []
        assert packages_of(tx, case_id) == []


def test_one_at_a_time_for_each_person(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    ask(home, case_id, supervisor)
    with pytest.raises(PackageUnderWay):
        ask(home, case_id, supervisor)
    work(home)
    ask(home, case_id, supervisor)


def test_what_came_to_the_case_meanwhile_is_not_taken_along(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller, deliver: Deliver
) -> None:
    package_id = ask(home, case_id, supervisor)
    deliver(b"later", "later.mp4", case=NUMBER)
    home.sequence()
    work(home)
    found = view(home, package_id)
    assert (found.state, found.cause) == ("failed", "package.case_grew")
    assert not found.goes_on
    assert list((home.path / "packages").iterdir()) == []


def test_altered_bytes_end_the_job_and_nothing_can_be_fetched(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller
) -> None:
    flip(next((home.raw / "store").rglob("b.mp4")))
    package_id = ask(home, case_id, supervisor)
    work(home)
    assert (view(home, package_id).state, view(home, package_id).cause) == ("failed", "package.bytes_differ")
    with pytest.raises(PackageMissing):
        grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())


def test_a_full_disk_is_told_and_tried_again(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_id = ask(home, case_id, supervisor)
    usage = shutil.disk_usage(home.path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3))
        job = claim_job(home.database, queues=[PACKAGE], at=home.clock.now(), lease_s=60)
        assert job is not None
        with pytest.raises(StorageFull):
            home.services.packages.build(job, lambda _: None)
    home.clock.step(timedelta(seconds=61))
    work(home)
    assert view(home, package_id).state == "ready"


def test_a_worker_that_died_after_the_folder_was_in_place(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller
) -> None:
    package_id = ask(home, case_id, supervisor)
    job = claim_job(home.database, queues=[PACKAGE], at=home.clock.now(), lease_s=60)
    assert job is not None
    assert view(home, package_id).state == "building"
    left = home.path / "packages" / str(package_id)
    left.mkdir(parents=True)
    (left / "bagit.txt").write_text("half")
    home.services.packages.sweep()
    assert left.exists()  # the job still has it
    home.clock.step(timedelta(seconds=61))
    work(home)
    with zipped(home, package_id) as judged:
        assert judged.testzip() is None
    assert view(home, package_id).state == "ready"


def test_a_download_is_for_its_person_and_its_time(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    package_id = ask(home, case_id, supervisor)
    with pytest.raises(PackageMissing):
        grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())
    work(home)
    other = home.person(Role.SUPERVISOR, "another")
    with pytest.raises(Forbidden):
        grant_download(home.database, package_id, by=home.person(Role.AUDITOR), rules=RULES, at=home.clock.now())
    download = grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())

    def find(by: Caller, package: PackageId = package_id, which: DownloadId = download) -> str:
        with home.database.read() as tx:
            return active_download(tx, package, which, by=by, at=home.clock.now()).state

    assert find(supervisor) == "ready"
    for wrong in (lambda: find(other), lambda: find(supervisor, PackageId(new_uuid7()))):
        with pytest.raises(DownloadMissing):
            wrong()
    home.clock.step(timedelta(hours=5))
    with pytest.raises(DownloadMissing):
        find(supervisor)


def test_packages_are_removed_after_their_days(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    package_id = ask(home, case_id, supervisor)
    work(home)
    packages, before = home.services.packages, len(home.entries())
    home.clock.step(timedelta(days=6, hours=23))
    packages.sweep()
    assert view(home, package_id).state == "ready"
    download = grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())
    home.clock.step(timedelta(hours=3))
    packages.sweep()
    assert view(home, package_id).state == "ready"  # it is being fetched
    home.clock.step(timedelta(hours=3))
    packages.sweep()
    packages.sweep()
    gone = view(home, package_id)
    assert gone.state == "removed"
    assert gone.row.removed_at is not None
    assert list((home.path / "packages").iterdir()) == []
    assert [each["type"] for each in home.entries()[before:]] == ["access.export", "derivative.dropped"]
    with pytest.raises(PackageMissing):
        grant_download(home.database, package_id, by=supervisor, rules=RULES, at=home.clock.now())
    with home.database.read() as tx, pytest.raises((PackageMissing, DownloadMissing)):
        active_download(tx, package_id, download, by=supervisor, at=home.clock.now())
    home.assert_sound()


def test_the_sweep_leaves_what_it_does_not_know(home: ArchiveHome) -> None:
    folder = home.path / "packages"
    folder.mkdir()
    (folder / str(new_uuid7())).mkdir()
    (folder / "notes.txt").write_text("x")
    home.services.packages.sweep()
    assert len(list(folder.iterdir())) == 2


def test_a_list_of_files_that_is_gone_or_broken(home: ArchiveHome, case_id: CaseId, supervisor: Caller) -> None:
    package_id = ask(home, case_id, supervisor)
    work(home)
    listed = home.path / "packages" / f"{package_id}.files.json"
    assert len(json.loads(listed.read_bytes())) > 10
    for broken in (b"", b"{", b"[[1]]"):
        listed.write_bytes(broken)
        with pytest.raises(PackageMissing):
            home.services.packages.opened(view(home, package_id).row)


def test_a_second_package_holds_the_entries_of_the_first(
    home: ArchiveHome, case_id: CaseId, supervisor: Caller, tmp_path: Path
) -> None:
    """What was handed out before belongs to the case's history, and the verifiers read it."""
    ask(home, case_id, supervisor)
    work(home)
    home.sequence()
    package_id = ask(home, case_id, supervisor)
    home.sequence()
    work(home)
    with zipped(home, package_id) as judged:
        judged.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    types = [json.loads(path.read_bytes())["type"] for path in (folder / "proofs" / "entries").iterdir()]
    assert types.count("access.export") == 6
    assert types.count("derivative.created") == 1
    trust = TrustFile.parse((home.path / "trust.txt").read_bytes())
    report = check_package(folder, given=Given(trust=trust), now=home.clock.now())
    assert faults(report) == set()


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("官综执罚〔2026〕第031号", "官综执罚〔2026〕第031号"),
        ("CASE/2026/0031", "CASE_2026_0031"),
        ("..\\..\u202e.zip", "______zip"),
        ("长" * 100, "长" * 60),
    ],
)
def test_names_are_safe(number: str, name: str) -> None:
    assert package_name(number, datetime(2026, 3, 2, tzinfo=UTC)) == f"{name}-2026-03-02"
