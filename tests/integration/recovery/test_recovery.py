"""An archive with something of every kind loses its database: all of it comes back but what the closed list names."""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.cases.filing import record_act
from archive.cases.terms import Stage
from archive.ledger.entries import OPERATOR
from archive.recovery.comparison import Comparison, Dump, closed_list, compare, take_dump
from archive.recovery.mark import MARK
from archive.wiring import RecoveryUnfinished, build_services
from tests.integration.fsck.test_tampering import CLIP, fill_with_renditions
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, flip
from tests.support.deployment import databases, remove_tree
from tests.support.later_changes import change_everything
from tests.support.lost_databases import (
    command,
    fill_what_is_lost,
    lose_database,
    migrate_empty,
    moved,
    recover_and_be_killed,
)
from tests.support.moulds import Moulds

_RENDITIONS = {("item_look", "missing"), ("evidence_item", "probe"), ("evidence_item", "essence"),
               ("item_text", "missing"), ("record_scan", "missing"), ("rendition", "missing")}  # fmt: skip
"""What is lost only where the renditions are lost too."""
_PERSONAL = {"case", "subject", "complaint", "officer", "legal_staff", "agency", "unit"}
"""How the types of entries begin whose details may have to be erased for somebody's sake."""


@pytest.fixture
def full(moulds: Moulds, database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    home = moulds.copy(fill_with_renditions, tmp_path, database_url, clock)
    home.sequence()
    yield home
    home.services.close()


def compared(home: ArchiveHome, before: Dump) -> Comparison:
    home.reopen()
    return compare(before, take_dump(home.database), closed_list())


def unlisted(found: Comparison) -> list[tuple[str, str]]:
    return sorted({(each.table, each.kind) for each in found.unlisted})


def test_a_lost_database_comes_back_also_after_a_kill(
    full: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change_everything(full)
    fill_what_is_lost(full, list(closed_list()))
    before = take_dump(full.database)
    assert command(full, monkeypatch, "recover") == 73  # the database has rows
    lose_database(full)
    migrate_empty(full)
    recover_and_be_killed(full, after=3)
    assert (full.path / MARK).exists()
    with pytest.raises(RecoveryUnfinished):
        build_services(full.settings)
    capsys.readouterr()
    assert command(full, monkeypatch, "recover", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each for each in told["findings"] if each["outcome"] != "valid"] == []
    assert 0 < told["recovered"]["from_size"] < told["recovered"]["log_size"]
    assert told["recovered"]["not_replayed"] == 0
    found = compared(full, before)
    assert unlisted(found) == []
    assert found.unused - _RENDITIONS == {("upload", "object_id")} - _uploads_in_quarantine(before)
    assert full.types()[-1] == "admin.recovered"
    dock = full.dock("Dock after")
    full.deliver(dock, b"after the loss", "after.mp4")
    full.sequence()
    full.assert_sound()


def _uploads_in_quarantine(before: Dump) -> set[tuple[str, str]]:
    is_there = any(row["state"] == "quarantined" for row in before["upload"].values())
    return {("upload", "object_id")} if is_there else set()


def test_a_backup_comes_back_and_goes_on_to_the_end_of_the_log(
    full: ArchiveHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backup, key = tmp_path / "backup", tmp_path / "backup.key"
    key.write_bytes(secrets.token_bytes(32))
    dock = full.dock("Dock B")
    full.begin(dock, b"waits for its place", "waits.mp4")
    assert command(full, monkeypatch, "backup", backup, "--key-file", key) == 0
    assert command(full, monkeypatch, "backup", backup, "--key-file", key) == 73
    assert b"clip.mp4" not in b"".join(path.read_bytes() for path in backup.iterdir())
    go_on(full, dock)
    before = take_dump(full.database)
    lose_database(full)
    other = tmp_path / "other.key"
    other.write_bytes(secrets.token_bytes(32))
    assert command(full, monkeypatch, "restore", backup, "--key-file", other) == 65
    assert command(full, monkeypatch, "restore", backup, "--key-file", key) == 0
    assert unlisted(compared(full, before)) == []
    full.assert_sound()
    full.services.close()
    flip(backup / "database.sealed")
    assert command(full, monkeypatch, "restore", backup, "--key-file", key) == 65


def go_on(home: ArchiveHome, dock: EnrolledDock) -> None:
    """Something of a few kinds, after the backup: also an erasure of what the backup has."""
    home.deliver(dock, CLIP + b"later", "later.mp4", case="1")
    case_id = home.case("later")
    record_act(
        home.database, case_id, stage=Stage.INSPECTION, place="仓库", started_at=home.clock.now(), ended_at=None,
        by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    assert home.erase(lambda entry: entry["type"] == "device.handed_over")
    home.sequence()


@pytest.mark.parametrize("database_url", databases()[:1], indirect=True)
def test_a_backup_alone_makes_an_archive_on_another_machine(
    full: ArchiveHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backup, passphrase = tmp_path / "backup", tmp_path / "passphrase"
    passphrase.write_text("nobody guesses this one\n")
    assert command(full, monkeypatch, "backup", backup, "--passphrase-file", passphrase) == 0
    before = take_dump(full.database)
    originals = ("store", "quarantine", "drafts", "renditions", "staging")
    elsewhere = moved(full, tmp_path / "elsewhere", folders=originals)
    lose_database(full)
    shutil.rmtree(full.path)
    shutil.move(elsewhere, full.path)
    assert command(full, monkeypatch, "restore", backup, "--passphrase-file", passphrase) == 0
    assert unlisted(compared(full, before)) == []
    full.assert_sound()


@pytest.mark.parametrize("database_url", databases()[:1], indirect=True)
def test_what_else_is_damaged_is_told(
    full: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dock = full.dock("Dock U")
    full.sequence()
    before = take_dump(full.database)
    late = full.deliver(dock, b"acknowledged, and in no round of the log yet", "late.mp4")
    lose_database(full)
    segments = sorted((full.raw / "journal").rglob("*-*"), key=lambda path: int(path.name.split("-")[0]))
    flip(segments[-2])
    remove_tree(full.raw / "renditions")
    (full.raw / "renditions").mkdir(exist_ok=True)
    lost_item = next(path for path in (full.raw / "store").rglob("clip.mp4")).parents[3]
    remove_tree(lost_item)
    capsys.readouterr()
    assert command(full, monkeypatch, "recover", "--json") == 1
    codes = {each["code"] for each in json.loads(capsys.readouterr().out)["findings"] if each["outcome"] != "valid"}
    assert {
        "recovery.detail_unreadable", "recovery.object_missing", "recovery.derived_missing", "fsck.object_missing",
        "recovery.object_adopted",
    } <= codes  # fmt: skip
    found = compared(full, before)
    assert full.count("evidence_item", "object_id = :id", id=full.id_value(late)) == 1
    assert _RENDITIONS & found.unused <= {("evidence_item", "essence")}  # no footage is in it
    whole = {"log_entry", "log_leaf", "log_node", "log_checkpoint", "log_cosignature", "preserved_object"}
    assert [each for each in found.unlisted if each.table in whole and each.kind != "extra"] == []


@pytest.mark.parametrize("database_url", databases()[:1], indirect=True)
def test_what_hangs_on_an_erased_detail_comes_back(full: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    change_everything(full)
    assert full.erase(lambda entry: entry["type"].split(".")[0] in _PERSONAL) > 20
    before = take_dump(full.database)
    lose_database(full)
    assert command(full, monkeypatch, "recover") == 0
    found = compared(full, before)
    rows = {each.table for each in found.unlisted if each.kind in {"missing", "extra"}}
    # Who somebody is; another system's name for it, and with that what the system sees.
    assert rows == {"subject_identifier", "external_id", "reach"}
    full.assert_sound()


@pytest.mark.parametrize("database_url", databases()[:1], indirect=True)
def test_another_log_and_lost_entries_end_it(full: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_database(full)
    bundles = [path for path in (full.path / "log-entries" / "tile").rglob("*") if path.is_file()]
    bundle = max(bundles, key=lambda path: path.stat().st_mtime_ns)  # an older one may be part of nothing any more
    raw = bundle.read_bytes()
    bundle.chmod(0o644)
    bundle.write_bytes(raw[:-1])
    assert command(full, monkeypatch, "recover") == 65
    bundle.write_bytes(raw)
    checkpoint = full.path / "log" / "checkpoint"
    note = checkpoint.read_bytes()
    flip(checkpoint, at=len(note) // 2)
    assert command(full, monkeypatch, "recover") == 65
    checkpoint.write_bytes(note)
    key = (full.path / "keys" / "journal.key").read_bytes()
    (full.path / "keys" / "journal.key").unlink()
    assert command(full, monkeypatch, "recover") == 66
    (full.path / "keys" / "journal.key").write_bytes(key)
    (full.path / "keys" / "journal.key").chmod(0o600)
    assert command(full, monkeypatch, "recover") == 0
