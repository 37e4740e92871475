"""The second copy in a folder: complete, by the order of the log, never of damaged bytes; and the drill that uses it."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.cli.main import run
from archive.doctor import examine
from archive.fsck import Target, fsck
from archive.jobs.queue import COPY
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.layout import object_root
from archive.settings import SettingsInvalid
from archive.wiring import build_services
from archive.wiring.copy_parts import second_copy
from archive.worker.loop import Worker
from retention.copies import CopyAway
from signing.cades import check_detached
from tests.support.archive_crash import copy_once, run_killed
from tests.support.archive_home import ArchiveHome, SteppedClock, flip, make_home
from tests.support.deployment import environment

Told = Callable[..., tuple[int, Any]]


@pytest.fixture
def home(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, "", clock, copy_folder=tmp_path / "second")
    yield made
    made.services.close()


@pytest.fixture
def told(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command with --json; return its exit code and what it printed."""

    def tell(*words: str) -> tuple[int, Any]:
        given = {**environment(home.settings), "LIUHEN_COPY_FOLDER": str(home.settings.copy_folder)}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return tell


def copied(home: ArchiveHome, object_id: ObjectId, name: str = "original/a.mp4", *, version: int = 1) -> Path:
    assert home.settings.copy_folder is not None
    return home.settings.copy_folder / "store" / object_root(object_id) / f"v{version}/content/{name}"


def copy_faults(home: ArchiveHome) -> set[str]:
    root, places = home.path / "ca" / "root.cert.pem", home.places
    copy = second_copy(home.settings, home.clock)
    assert copy is not None
    report = fsck(Target(home.path, home.database, root, None, (), places, copy))
    assert any(found.code == "fsck.copy" for found in report.findings)
    return {found.code for found in report.findings if found.outcome is not Outcome.VALID}


def doctor(home: ArchiveHome) -> dict[str, Finding]:
    return {found.code: found for found in examine(home.services).findings}


def drill_job(home: ArchiveHome) -> None:
    home.services.copies.begin()
    home.services.drills.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=15)
    for _ in range(4):
        worker.run_once([COPY])


def test_every_object_and_every_later_version(home: ArchiveHome, tmp_path: Path) -> None:
    dock, copies = home.dock(), home.services.copies
    assert doctor(home)["doctor.copied"].outcome is Outcome.VALID
    first = home.deliver(dock, b"one", "a.mp4")
    with home.database.read() as tx:
        found = copies.standing(tx)
    assert found is not None
    assert (found.waiting, found.waiting_bytes, found.faults) == (1, 3, 0), "counted before anybody has looked at it"
    assert copies.copy_some() == 0, "what is not in the log yet is left to the next round"
    home.sequence()
    assert (copies.copy_some(), copies.copy_some()) == (1, 0)
    assert copied(home, first).read_bytes() == b"one"
    second = home.deliver(dock, b"two", "a.mp4")
    home.services.objects.add_version(
        first,
        [NewFile.of_bytes("extended/1.txt", b"more")],
        message="more",
        user=VersionUser("liuhen", "urn:liuhen:archive"),
        at=home.clock.now(),
    )
    home.sequence()
    copies.ask_again([first])
    assert copies.copy_some() == 2
    assert copied(home, second).read_bytes() == b"two"
    assert copied(home, first, "extended/1.txt", version=2).read_bytes() == b"more"
    for object_id in (first, second):
        assert copies.opened().validate(object_id).outcome is Outcome.VALID
    assert home.types().count("store.copied") == 2
    home.sequence()
    assert copy_faults(home) == set()
    shutil.rmtree(home.raw / "store")
    shutil.copytree(tmp_path / "second" / "store", home.raw / "store")
    home.assert_sound()
    copied(home, second).unlink()
    home.execute("UPDATE object_copy SET head = 3 WHERE object_id = :id", id=home.id_value(first))
    assert copy_faults(home) == {"fsck.row_changed", "fsck.copy_behind", "fsck.content_missing"}


def test_a_kill_at_any_step_leaves_what_the_next_try_goes_on_from(home: ArchiveHome) -> None:
    object_id = home.deliver(home.dock(), b"film" * 1000, "a.mp4")
    home.sequence()
    for kills, at_step in enumerate((3, 12, 30, 90)):  # noqa: B007 - each goes on from the last
        if not run_killed(home.settings, copy_once, at_step=at_step):
            break
    assert kills > 1
    assert copied(home, object_id).read_bytes() == b"film" * 1000
    assert home.types().count("store.copied") == 1
    home.sequence()
    assert copy_faults(home) == set()


def test_damaged_bytes_are_not_copied(home: ArchiveHome, told: Told) -> None:
    dock = home.dock()
    bad, good = home.deliver(dock, b"bad" * 99, "a.mp4"), home.deliver(dock, b"good", "a.mp4")
    home.sequence()
    flip(home.file_of(bad, "original/a.mp4"), at=7)
    code, found = told("copy")
    assert (code, found["waiting"], found["tried"]) == (1, 1, 2)
    assert [(each["object_id"], each["code"]) for each in found["faults"]] == [(str(bad), "ocfl.source_damaged")]
    assert found["faults"][0]["key"].endswith("v1/content/original/a.mp4")
    assert not copied(home, bad).exists()
    assert not home.services.copies.opened().exists(bad)
    assert copied(home, good).read_bytes() == b"good"
    assert doctor(home)["doctor.copied"].outcome is Outcome.INVALID
    assert home.services.copies.copy_some() == 0, "it is tried again in an hour"
    flip(home.file_of(bad, "original/a.mp4"), at=7)
    assert told("copy", str(bad)) == (0, {**found, "faults": [], "waiting": 0, "bytes": 0, "tried": 1})
    home.sequence()
    assert copy_faults(home) == set()
    flip(copied(home, bad))
    assert copy_faults(home) == {"fsck.content_changed", "fsck.copy_differs"}
    assert told("copy", str(bad))[0] == 0, "what is shown there already is not read again: that is for fsck and drills"
    home.assert_sound()


def test_a_drill_restores_from_the_copy_alone(home: ArchiveHome, told: Told) -> None:
    assert told("drill", "--last")[0] == 66
    code, nothing = told("drill")
    assert (code, nothing["result"]["case"], nothing["result"]["objects"]) == (2, None, [])
    dock, case_id = home.dock(), home.case("1")
    filed = [home.deliver(dock, bytes([number]) * 1000, "a.mp4", case="1") for number in range(2)]
    home.deliver(dock, b"of no case", "b.mp4")
    home.sequence()
    drill_job(home)
    assert home.types().count("store.drilled") == 1, "one that found nothing is held again in a day"
    home.sequence()
    hidden = (home.raw / "store").with_name("hidden")
    (home.raw / "store").rename(hidden)
    code, held = told("drill", "--objects", "3")
    hidden.rename(home.raw / "store")
    result = held["result"]
    assert (code, held["outcome"]) == (0, "valid"), result["case"]
    assert len({each["id"] for each in result["objects"]}) == 3
    assert {each["outcome"] for each in result["objects"]} == {"valid"}
    case = result["case"]
    assert (case["id"], case["objects"], case["restored"], case["complete"]) == (str(case_id), 2, "valid", "valid")
    assert [each["code"] for each in case["findings"]] == ["checkpoint.no_quorum_asked"], "there is no witness"
    assert case["unaltered"] == "indeterminate"
    assert told("drill", "--last") == (0, held)
    with home.database.read() as tx:
        row = home.services.drills.newest(tx)
    assert row is not None
    at, roots = home.clock.now(), home.services.authority.root_pem
    assert check_detached(row.result, row.signature, trust_roots_pem=roots, at=at).outcome is Outcome.VALID
    assert list((home.path / "work").glob("drill-*")) == []
    found = doctor(home)
    assert (found["doctor.drill"].outcome, found["doctor.copied"].outcome) == (Outcome.VALID, Outcome.VALID)
    assert found["doctor.copy"].outcome is Outcome.INDETERMINATE, "one account has both folders"
    drill_job(home)
    home.clock.step(timedelta(days=2))
    drill_job(home)
    assert home.types().count("store.drilled") == 2, "the next is due in a month"
    home.clock.step(timedelta(days=30))
    flip(copied(home, filed[0]))
    drill_job(home)
    assert doctor(home)["doctor.drill"].outcome is Outcome.INVALID
    code, held = told("drill", "--last")
    assert (code, held["result"]["case"]["unaltered"]) == (1, "invalid")
    assert [each["id"] for each in held["result"]["objects"] if each["outcome"] == "invalid"] == [str(filed[0])]
    home.sequence()
    assert {fault.code for fault in home.faults()} <= {"fsck.log_time"}


def test_a_copy_that_is_not_mounted_is_not_begun_anew(home: ArchiveHome, tmp_path: Path, told: Told) -> None:
    home.deliver(home.dock(), b"film", "a.mp4")
    home.sequence()
    assert home.services.copies.copy_some() == 1
    (tmp_path / "second").rename(tmp_path / "elsewhere")
    home.reopen()
    assert told("copy")[0] == 75
    (tmp_path / "second").mkdir()
    home.reopen()
    with pytest.raises(CopyAway):
        home.services.copies.copy_some()
    drill_job(home)
    assert doctor(home)["doctor.drill"].outcome is Outcome.INDETERMINATE
    with home.database.read() as tx:
        found = home.services.copies.standing(tx)
    assert found is not None
    assert found.trouble == "copy.away"


def test_one_copy_only_is_told(tmp_path: Path, clock: SteppedClock) -> None:
    home = make_home(tmp_path, "", clock)
    assert doctor(home)["doctor.copy"].message.startswith("There is one copy only")
    home.services.copies.begin()
    home.services.drills.begin()
    assert home.count("job", "kind IN ('copy_objects', 'run_drill')") == 0
    home.services.close()
    inside = home.settings.model_copy(update={"copy_folder": home.path / "second"})
    with pytest.raises(SettingsInvalid):
        build_services(inside, clock=clock)
