"""fsck on sound archives: valid, also beside one at work; what cannot be read is never valid; and it changes nothing."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.access.policy import Role
from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm
from archive.kernel.findings import Outcome
from archive.ledger.entries import OPERATOR
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.rules import GrantKind, RetrievalRules
from ingest.accept import finish_upload
from ingest.errors import Quarantined
from tests.support.archive_home import PDF, ArchiveHome, EnrolledDock

RULES = RetrievalRules.load()


def everything(home: ArchiveHome) -> dict[str, str]:
    """Every stored file and its digest; SQLite's own files aside, which reading may touch."""
    return {
        str(path.relative_to(home.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.path.rglob("*")
        if path.is_file() and ".sqlite3" not in path.name
    }


def test_a_new_archive_is_valid(home: ArchiveHome) -> None:
    assert home.fsck().outcome is Outcome.VALID


def test_it_changes_nothing(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.deliver(dock, b"footage")
    with pytest.raises(Quarantined):
        home.deliver(dock, b"what came", said=b"what said")
    home.sequence()
    files, rows = everything(home), home.count("log_entry")
    home.assert_sound()
    assert everything(home) == files
    assert home.count("log_entry") == rows


def test_it_never_cries_wolf_beside_an_archive_at_work(home: ArchiveHome, dock: EnrolledDock) -> None:
    """Uploads, filings, grants and checkpoints come in while it looks; what is half written is nobody's fault."""
    case_id = home.case("1")
    supervisor = home.person(Role.SUPERVISOR)
    services, done = home.services, threading.Event()
    errors: list[BaseException] = []

    def repeat(work: Callable[[int], None]) -> None:
        number = 0
        while not done.wait(0.05):  # at work, not in a race to be larger than it can be looked at
            number += 1
            try:
                with contextlib.suppress(Quarantined):
                    work(number)
            except BaseException as error:  # noqa: BLE001 - told by the test
                errors.append(error)
                return

    def file(number: int) -> None:
        file_text_record(
            home.database, services.objects, services.signer, case_id=case_id, form=RecordForm.OTHER, title="x",
            name=f"{number}.pdf", pdf=PDF + b"%%%d\n%%%%EOF" % number, by=OPERATOR, at=home.clock.now(),
        )  # fmt: skip

    def deliver(number: int) -> None:
        object_id = home.deliver(dock, b"footage %d" % number, case="1")
        grant_access(
            home.database,
            object_id,
            kind=GrantKind.VIEW,
            purpose=Purpose("x", "任务 1"),
            by=supervisor,
            rules=RULES,
            at=home.clock.now(),
        )

    works: list[Callable[[int], None]] = [
        deliver,
        file,
        lambda number: finish_upload(home.intake, home.bring(dock, b"came %d" % number, said=b"said %d" % number)),
        lambda number: (home.sequence(), None)[1],
    ]
    threads = [threading.Thread(target=repeat, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    try:
        seen = [fault for _ in range(12) for fault in home.faults()]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert seen == []
    home.sequence()
    home.assert_sound()


def as_owner_without_privileges(home: ArchiveHome, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `liuhen` so that the mode of a file counts, also for root."""
    command = [sys.executable, "-m", "archive.cli", *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    environment = {
        **os.environ,
        "LIUHEN_HOME": str(home.path),
        "LIUHEN_DATABASE_URL": home.settings.effective_database_url,
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.files("objects of a bucket have no modes")
@pytest.mark.parametrize("name", ["original/a.mp4", "metadata/manifest.json", "metadata/dock-manifest.json.sig"])
def test_a_file_that_cannot_be_read_is_never_valid(home: ArchiveHome, dock: EnrolledDock, name: str) -> None:
    path: Path = home.file_of(home.deliver(dock, b"footage"), name)
    home.sequence()
    path.chmod(0)
    told = as_owner_without_privileges(home, "fsck", "--json")
    assert told.returncode == 2, told.stderr
    report = json.loads(told.stdout)
    assert report["outcome"] == "indeterminate"
    faults = [finding for finding in report["findings"] if finding["outcome"] != "valid"]
    assert {finding["outcome"] for finding in faults} == {"indeterminate"}
    assert str(path) in {finding["where"] for finding in faults}
    path.chmod(0o444)
    assert as_owner_without_privileges(home, "fsck").returncode == 0


def test_copies_and_inventories_that_cannot_be_read_are_never_valid(home: ArchiveHome, dock: EnrolledDock) -> None:
    object_id = home.deliver(dock, b"footage")
    with pytest.raises(Quarantined):
        home.deliver(dock, b"what came", said=b"what said")
    home.sequence()
    folder = home.file_of(object_id, "original/a.mp4").parents[3]
    paths = [
        folder / "inventory.json",
        folder / "inventory.json.sha512",
        folder / "v1" / "inventory.json",
        folder / "0=ocfl_object_1.1",
        next((home.raw / "quarantine").rglob("bytes")),
    ]
    for path in paths:
        mode = path.stat().st_mode
        path.chmod(0)
        told = as_owner_without_privileges(home, "fsck", "--json")
        path.chmod(mode)
        assert told.returncode in {1, 2}, path
        assert str(path) in {finding["where"] for finding in json.loads(told.stdout)["findings"]}, path
    home.assert_sound()
