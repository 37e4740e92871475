"""The command line: exit codes, one line for each error, and `verify` with nothing but file, receipt and keys."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from archive.cli.main import run
from archive.doctor import examine
from archive.ledger.models import LogPending
from archive.settings import Settings
from archive.wiring.homes import HomeExists, create_home
from ingest.accept import finish_upload
from signing.ed25519 import Ed25519KeyHandle
from tests.support.archive_home import PDF, ArchiveHome, EnrolledDock, flip, make_home
from tests.support.deployment import archive_settings, as_variables, new_database

DATA = b"footage" * 1000


class Told:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def failed(self, code: int, name: str) -> None:
        assert (self.code, self.out) == (code, ""), self.err
        (line,) = self.err.splitlines()
        assert line.startswith("liuhen: ")
        assert line.endswith(f"[{name}]")


type_liuhen = Callable[..., Told]


@pytest.fixture
def liuhen(capsys: pytest.CaptureFixture[str]) -> type_liuhen:
    """Run a command in this process."""

    def ran(*arguments: object) -> Told:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Told(code, printed.out, printed.err)

    return ran


@pytest.fixture
def inside(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveHome]:
    """Commands find the archive by the environment."""
    monkeypatch.setenv("LIUHEN_HOME", str(home.path))
    monkeypatch.setenv("LIUHEN_DATABASE_URL", home.settings.effective_database_url)
    yield home


def test_usage(liuhen: type_liuhen) -> None:
    for arguments in (["nonsense"], ["fsck", "--nonsense"], ["case", "open"], ["verify"], ["account", "add", "x"]):
        liuhen(*arguments).failed(64, "cli.usage")
    for arguments in ([], ["case"], ["dock"]):
        told = liuhen(*arguments)
        assert told.code == 64
        assert told.err.startswith("Usage: ")
    told = liuhen("--help")
    assert told.code == 0
    assert "verify" in told.out


def test_a_folder_that_is_no_archive(liuhen: type_liuhen, tmp_path: Path) -> None:
    for command in (
        ["fsck"], ["doctor"], ["serve"], ["worker"], ["sequencer"], ["item", "list"], ["dock", "list"],
        ["dock", "invite", "--name", "x"], ["case", "open", "1", "--title", "x", "--subject", "x"],
        ["account", "add", "x", "--role", "auditor"], ["db", "roles"],
    ):  # fmt: skip
        liuhen(*command, "--home", tmp_path / "none").failed(66, "home.missing")
    assert not (tmp_path / "none").exists()
    told = liuhen("fsck", "--json", "--home", tmp_path / "none")
    assert told.code == 66
    assert json.loads(told.out)["error"]["code"] == "home.missing"


def test_making_an_archive(liuhen: type_liuhen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "new"
    for name, value in as_variables(archive_settings(tmp_path)).items():
        monkeypatch.setenv(name, value)
    told = liuhen("init", "--home", home, "--organisation", "昆明市执法局")
    assert told.code == 0, told.err
    assert all(name in told.out for name in ("admin", "supervisor", "auditor"))
    liuhen("init", "--home", home).failed(73, "home.exists")
    fsck = liuhen("fsck", "--home", home)
    assert (fsck.code, fsck.err) == (0, "")
    for path in (*(home / "keys").iterdir(), *home.glob("liuhen.sqlite3*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert liuhen("migrate", "--home", home).code == 0
    assert liuhen("fsck", "--home", home).code == 0


def test_making_an_archive_that_broke_off_goes_on(tmp_path: Path) -> None:
    away = Settings(home=tmp_path / "new", database_url="postgresql+psycopg://x:x@127.0.0.1:1/x?connect_timeout=2")
    for _ in range(2):
        with pytest.raises(Exception, match="does not answer"):
            create_home(away)
    settings = Settings(home=tmp_path / "new", **archive_settings(tmp_path))
    (tmp_path / "new" / "keys" / "log.new").write_bytes(b"a crash came here")
    create_home(settings)
    with pytest.raises(HomeExists):
        create_home(settings)
    # The key alone is gone: the log that is there must not get another one.
    (tmp_path / "new" / "keys" / "log.pem").unlink()
    with pytest.raises(HomeExists, match="belongs to an archive"):
        create_home(settings)


def test_a_database_that_is_away_or_of_another_program(
    inside: ArchiveHome, liuhen: type_liuhen, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside.database.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in (["serve"], ["item", "list"], ["doctor"]):
        liuhen(*command).failed(78, "db.schema_outdated")
    monkeypatch.setenv("LIUHEN_DATABASE_URL", "postgresql+psycopg://x:secret@127.0.0.1:1/x?connect_timeout=2")
    for command in (["serve"], ["item", "list"], ["fsck"], ["migrate"], ["dock", "list"]):
        told = liuhen(*command)
        told.failed(75, "service.unavailable")
        assert "secret" not in told.err


def test_settings_that_are_wrong(inside: ArchiveHome, liuhen: type_liuhen, monkeypatch: pytest.MonkeyPatch) -> None:
    liuhen("serve", "--port", "99999").failed(78, "settings.invalid")
    liuhen("serve", "--host", "0.0.0.0", "--no-tls").failed(64, "input.invalid")
    (inside.path / "liuhen.toml").write_text("nonsense = 1\n")
    liuhen("fsck").failed(78, "settings.invalid")


def test_cases_and_records(inside: ArchiveHome, dock: EnrolledDock, liuhen: type_liuhen, tmp_path: Path) -> None:
    object_id = inside.deliver(dock, DATA, "现场.mp4")
    opened = liuhen("case", "open", "1号", "--title", "案", "--subject", "店")
    assert (opened.code, opened.err) == (0, "")
    liuhen("case", "open", "1号", "--title", "案", "--subject", "店").failed(73, "cases.number_taken")
    liuhen("case", "open", " ", "--title", "案", "--subject", "店").failed(64, "input.invalid")
    act = ["case", "act", "1号", "--stage", "inspection", "--place", "店内", "--start", "2026-03-01T09:00:00"]
    assert liuhen(*act).code == 0
    liuhen(*act, "--end", "2026-03-01T08:00:00").failed(64, "input.invalid")
    pdf = tmp_path / "笔录.pdf"
    pdf.write_bytes(PDF)
    assert liuhen("case", "file", "1号", pdf, "--title", "笔录").code == 0
    pdf.write_bytes(b"no pdf")
    liuhen("case", "file", "1号", pdf, "--title", "笔录").failed(65, "documents.not_pdf")
    liuhen("case", "file", "1号", tmp_path / "none.pdf", "--title", "笔录").failed(64, "cli.usage")
    liuhen("case", "file", "9号", pdf, "--title", "笔录").failed(66, "cases.not_found")
    assert liuhen("case", "link", "1号", object_id, "--reason", "同一检查").code == 0
    liuhen("case", "link", "1号", object_id, "--reason", "x").failed(73, "cases.already_linked")
    liuhen("case", "link", "1号", "x", "--reason", "x").failed(64, "input.invalid")
    liuhen("case", "link", "1号", opened.out.strip(), "--reason", "x").failed(66, "custody.object_not_found")
    listed = liuhen("item", "list")
    assert str(object_id) in listed.out
    assert "现场.mp4" in listed.out
    (line,) = liuhen("item", "list", "--json").out.splitlines()
    assert json.loads(line)["id"] == str(object_id)
    inside.sequence()
    inside.assert_sound()


def test_docks_and_accounts(inside: ArchiveHome, dock: EnrolledDock, liuhen: type_liuhen, tmp_path: Path) -> None:
    assert len(liuhen("dock", "invite", "--name", "采集站").out.strip()) == 19
    liuhen("dock", "invite", "--name", " ").failed(64, "input.invalid")
    assert str(dock.id) in liuhen("dock", "list").out
    assert liuhen("dock", "revoke", dock.id).code == 0
    liuhen("dock", "revoke", dock.id).failed(66, "ingest.dock_not_found")
    liuhen("dock", "revoke", "x").failed(64, "input.invalid")
    made = liuhen("account", "add", "wang", "--role", "auditor")
    assert "Password" in made.out
    liuhen("account", "add", "wang", "--role", "auditor").failed(73, "access.username_taken")
    liuhen("account", "add", "li", "--role", "nobody").failed(64, "cli.usage")
    secret = tmp_path / "password"
    secret.write_text("short\n")
    liuhen("account", "add", "li", "--role", "auditor", "--password-file", secret).failed(64, "access.password_unfit")
    liuhen("account", "add", "li", "--role", "auditor", "--password-file", tmp_path / "none").failed(74, "cli.io")
    secret.write_text("correct horse battery\n")
    told = liuhen("account", "add", "li", "--role", "auditor", "--password-file", secret)
    assert told.code == 0
    assert "correct horse" not in told.out


def test_fsck_tells_what_is_wrong_and_where(inside: ArchiveHome, dock: EnrolledDock, liuhen: type_liuhen) -> None:
    path = inside.file_of(inside.deliver(dock, DATA), "original/a.mp4")
    inside.sequence()
    good = liuhen("fsck")
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("valid: ")
    flip(path)
    bad = liuhen("fsck")
    assert bad.code == 1
    assert str(path) in bad.err
    assert bad.out.startswith("invalid: ")
    report = json.loads(liuhen("fsck", "--json").out)
    assert report["outcome"] == "invalid"
    assert str(path) in {finding["where"] for finding in report["findings"]}
    flip(path)
    (inside.path / "trust.txt").unlink()
    assert liuhen("fsck").code == 2


@pytest.fixture
def delivered(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A recording, its receipt and the trust file, as a dock or an auditor has them; the archive is gone."""
    home = make_home(tmp_path, new_database(tmp_path / "archive.sqlite3"))
    dock = home.dock()
    upload_id = home.bring(dock, DATA)
    finish_upload(home.intake, upload_id)
    home.sequence()
    found = {name: tmp_path / name for name in ("a.mp4", "receipt.json", "trust.txt")}
    found["a.mp4"].write_bytes(DATA)
    found["receipt.json"].write_bytes(home.receipt(dock, upload_id) or b"")
    found["trust.txt"].write_text(str(home.services.trust))
    home.services.close()
    home.path.rename(tmp_path / "gone")
    yield found


def test_verifying_offline(delivered: dict[str, Path], liuhen: type_liuhen, tmp_path: Path) -> None:
    file, receipt, key = delivered["a.mp4"], delivered["receipt.json"], delivered["trust.txt"]

    def verify(*more: object) -> Told:
        return liuhen("verify", file, "--receipt", receipt, *more)

    good = verify("--key", key)
    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("valid: ")
    without = verify()
    assert without.code == 2
    assert without.out.startswith("indeterminate: ")
    assert "signer not established" in without.err
    report = json.loads(verify("--key", key, "--json").out)
    assert report["outcome"] == "valid"
    assert all(finding["outcome"] == "valid" for finding in report["findings"])

    for at in (0, len(DATA) // 2, len(DATA) - 1):
        flip(file, at=at)
        assert verify("--key", key).code == 1
        assert verify().code == 1, "no key is needed to see that it is another file"
        flip(file, at=at)
    for at in range(0, receipt.stat().st_size, 97):
        flip(receipt, at=at)
        assert verify("--key", key).code == 1, at
        flip(receipt, at=at)
    file.write_bytes(DATA + b"\0")
    assert verify("--key", key).code == 1
    file.write_bytes(DATA[:-1])
    assert verify("--key", key).code == 1
    file.write_bytes(DATA)

    other = make_home(tmp_path / "other", new_database(tmp_path / "other.sqlite3"))
    stranger = tmp_path / "stranger.txt"
    stranger.write_text(str(other.services.trust))
    other.services.close()
    assert verify("--key", stranger).code == 1, "a key from outside that did not sign"
    assert verify("--key", key).code == 0


def test_verifying_with_what_is_no_receipt_or_no_key(
    delivered: dict[str, Path], liuhen: type_liuhen, tmp_path: Path
) -> None:
    file, receipt, key = delivered["a.mp4"], delivered["receipt.json"], delivered["trust.txt"]
    strange = tmp_path / "strange"
    for data in (b"", b"{}", b"\xff" * 100, b"[" * 100_000, b"x" * 3_000_000):
        strange.write_bytes(data)
        assert liuhen("verify", file, "--receipt", strange, "--key", key).code == 1
        told = liuhen("verify", file, "--receipt", receipt, "--key", strange)
        assert told.code == 65
        assert len(told.err.splitlines()) == 1
    liuhen("verify", tmp_path / "none", "--receipt", receipt).failed(64, "cli.usage")
    liuhen("verify", tmp_path, "--receipt", receipt).failed(64, "verify.receipt_of_folder")
    Ed25519KeyHandle.generate(tmp_path / "private.pem")
    assert liuhen("verify", file, "--receipt", receipt, "--key", tmp_path / "private.pem").code == 65


def test_the_program_itself_verifies_without_an_archive(delivered: dict[str, Path], tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "archive.cli",
        "verify",
        delivered["a.mp4"],
        "--receipt",
        delivered["receipt.json"],
    ]
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path.cwd()), "LC_ALL": "C"}
    for more, code in ([], 2), (["--key", delivered["trust.txt"]], 0):
        told = subprocess.run([*command, *more], env=environment, cwd=tmp_path, capture_output=True, check=False)
        assert told.returncode == code, told.stderr


def test_what_nobody_foresaw_is_one_line(
    inside: ArchiveHome, liuhen: type_liuhen, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside.database.begin() as tx:
        tx.execute(text("ALTER TABLE dock RENAME COLUMN name TO renamed"))
    told = liuhen("dock", "list")
    assert told.code in {70, 75}
    assert len(told.err.splitlines()) == 1
    (inside.path / "keys" / "log.pem").write_text("no key")
    told = liuhen("dock", "list")
    assert told.code not in {0, 1, 2}
    assert len(told.err.splitlines()) == 1


def test_doctor_says_what_it_cannot_promise(inside: ArchiveHome, liuhen: type_liuhen) -> None:
    report = json.loads(liuhen("doctor", "--json").out)
    found = {finding["code"]: finding["outcome"] for finding in report["findings"]}
    assert found["doctor.worm"] == "indeterminate"
    assert found["doctor.log"] == "valid"
    assert found["doctor.secrets"] == "valid"
    # The throw-away cluster of the tests runs without fsync, and that is just what doctor is for.
    assert found["doctor.database"] == ("valid" if inside.database.is_sqlite else "invalid")
    assert liuhen("case", "open", "1", "--title", "x", "--subject", "x").code == 0
    inside.clock.step(timedelta(minutes=2))
    with inside.database.read() as tx:
        assert tx.scalar(select(LogPending)) is not None
    found = {finding.code: finding.outcome for finding in examine(inside.services).findings}
    assert found["doctor.log"] == "indeterminate", "nothing sequences here, and receipts wait"
