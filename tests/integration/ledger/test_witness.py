"""A real witness process, asked over HTTP and by file: what it refuses, what survives a kill, what it keeps an archive from."""

import contextlib
import http.client
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.cli.main import run
from archive.doctor import examine
from archive.kernel.clock import SystemClock
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.ledger.checkpoint import open_checkpoint
from archive.ledger.cosigner import WitnessDisagrees, WitnessRefuses, WitnessUnreachable
from archive.ledger.cosigning import request_for, standings
from archive.ledger.receipt import parse_receipt, verify_receipt
from archive.ledger.trustfile import TrustFile
from archive.ledger.witness import open_witness
from archive.ledger.witnessing import MAX_REQUEST_BYTES, AddCheckpoint
from archive.wiring.log_parts import renew_trust_file
from ingest.accept import finish_upload
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, make_home
from tests.support.deployment import remove_tree
from tests.support.witness import WitnessProcess, witnessing

DATA = b"footage" * 1000
LOCAL = ("127.0.0.0/8",)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    with witnessing(tmp_path / "witness") as running:
        yield running


@pytest.fixture
def watched(witness: WitnessProcess, tmp_path: Path, database_url: str, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive whose receipts need the witness."""
    home = watched_home(witness, tmp_path, database_url, clock)
    yield home
    home.services.close()


def watched_home(
    witness: WitnessProcess, base: Path, database_url: str, clock: SteppedClock, *, with_url: bool = True
) -> ArchiveHome:
    policy = base / "policy.txt"
    policy.write_text(witness.policy(with_url=with_url))
    home = make_home(base, database_url, clock, witness_policy=policy, witness_networks=LOCAL)
    witness.follow(home.services.trust)
    return home


def grow(home: ArchiveHome, count: int = 3) -> int:
    """Add entries, sequence them, and return the size."""
    for _ in range(count):
        home.case(number=f"案{home.count('case_file')}")
    home.sequence()
    return home.rows("SELECT max(size) FROM log_checkpoint")[0][0]


def ask(home: ArchiveHome) -> None:
    home.services.cosign_rounds.require_agreement()


def body(home: ArchiveHome, old: int) -> bytes:
    with home.database.read() as tx:
        return request_for(tx, home.services.policy, name="w1", old_size=old).to_bytes()


# --- the protocol over HTTP -----------------------------------------------------------------------------------


def test_answers(witness: WitnessProcess, watched: ArchiveHome) -> None:
    first = grow(watched)
    status, kind, lines = witness.add(body(watched, 0))
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert len(lines.decode().splitlines()) == 2
    assert witness.add(body(watched, 0)) == (409, "text/x.tlog.size", b"%d\n" % first)
    second = grow(watched)
    assert witness.add(body(watched, first))[0] == 200
    assert witness.add(body(watched, second))[0] == 200  # fresh again, without new entries
    good = body(watched, second)
    assert witness.add(good.replace(b"old %d" % second, b"old %d" % (second + 1)))[0] == 400
    assert witness.add(good.replace(b"old", b"new"))[0] == 400
    assert witness.add(good.replace(watched.services.settings.origin.encode(), b"other.example/log"))[0] == 404
    grow(watched)
    proven = AddCheckpoint.parse(body(watched, second))
    assert witness.add(AddCheckpoint(second, (bytes(32),), proven.note).to_bytes())[0] == 422
    assert witness.add(proven.to_bytes())[0] == 200


def test_nothing_else_is_served(witness: WitnessProcess) -> None:
    assert witness.request("GET", "/add-checkpoint")[0] == 405
    assert witness.request("POST", "/health")[0] == 405
    for path in ("/", "/metrics", "/add-checkpoint/", "/../witness.pem", "/docs"):
        assert witness.request("GET", path)[0] == 404
    assert witness.add(b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
    told = witness.health()
    assert told["keys"] == [str(key) for key in witness.keys]
    assert told["logs"] == []


def test_a_witness_killed_between_memory_and_answer_holds_to_what_it_remembers(
    watched: ArchiveHome, witness: WitnessProcess
) -> None:
    size = grow(watched)
    asked = body(watched, 0)
    witness.end()
    dying = WitnessProcess(witness.folder, command=(sys.executable, "-m", "tests.support.dying_witness"))
    dying.start()
    with pytest.raises((http.client.HTTPException, OSError)):
        dying.add(asked)
    assert dying.wait() == -9
    witness.start()
    assert witness.health()["logs"][0]["size"] == size
    assert witness.add(asked)[:2] == (409, "text/x.tlog.size")
    ask(watched)  # the archive finds its way: 409, then the same size again
    with watched.database.read() as tx:
        assert standings(tx, watched.services.policy)[0].size == size


# --- the archive ----------------------------------------------------------------------------------------------


def test_the_published_checkpoint_carries_cosignatures(watched: ArchiveHome, witness: WitnessProcess) -> None:
    size = grow(watched)
    ask(watched)
    watched.services.sequencer.republish()
    keys = [*watched.services.trust.logs, *witness.keys]
    published = (watched.path / "log" / "checkpoint").read_bytes()
    opened = open_checkpoint(published, keys=keys, origin=watched.settings.origin)
    assert opened.checkpoint.size == size
    assert [line.key_name for line in opened.note.verified].count(watched.settings.origin) == 2
    assert opened.note.time_by(witness.keys[0])
    assert opened.note.time_by(witness.keys[1]) is None  # not in the policy
    watched.assert_sound()
    watched.services.sequencer.recover()
    assert (watched.path / "log" / "checkpoint").read_bytes() == published


def test_a_receipt_waits_for_the_witness(watched: ArchiveHome, witness: WitnessProcess) -> None:
    dock = watched.dock()
    upload = watched.bring(dock, DATA)
    finish_upload(watched.intake, upload)
    watched.sequence()
    assert watched.receipt(dock, upload) is None
    ask(watched)
    grow(watched)  # newer checkpoints without cosignatures do not take it away
    envelope = watched.receipt(dock, upload)
    assert envelope is not None
    trust = TrustFile.parse(str(watched.services.trust).encode())
    assert trust.policy.quorum == "w1"
    report = verify_receipt(envelope, trust=trust, digests=digest_of(DATA))
    assert report.outcome is Outcome.VALID
    assert report.findings[-1].code == "checkpoint.quorum_valid"
    note = parse_receipt(envelope).receipt.proof.note
    bare = type(note)(note.text, note.signatures[:-1])
    assert [finding.code for finding in trust.check_checkpoint(bare, origin=watched.settings.origin)] == [
        "checkpoint.signature_valid",
        "checkpoint.quorum_missing",
    ]


def test_a_cosignature_grows_old(watched: ArchiveHome, witness: WitnessProcess, clock: SteppedClock) -> None:
    grow(watched)
    ask(watched)
    client = watched.services.cosign_rounds.clients[0]
    assert not client.is_due(refresh=timedelta(hours=1))
    clock.step(timedelta(hours=2))
    assert client.is_due(refresh=timedelta(hours=1))
    grow(watched)
    assert client.is_due(refresh=timedelta(days=9))


def test_a_witness_that_is_down_blocks_nothing_and_is_told_of(
    watched: ArchiveHome, witness: WitnessProcess, database_url: str
) -> None:
    grow(watched)
    ask(watched)
    witness.end()
    size = grow(watched)
    ask(watched)
    told = (watched.path / "run" / "witnesses.json").read_text()
    assert "ledger.witness_unreachable" in told
    (finding,) = [finding for finding in examine(watched.services).findings if finding.code == "doctor.witnesses"]
    assert finding.outcome is Outcome.INDETERMINATE
    assert "ledger.witness_unreachable" in finding.message
    watched.settings = watched.settings.model_copy(update={"witness_at_start": "required"})
    watched.reopen()
    with pytest.raises(WitnessUnreachable):
        ask(watched)
    witness.start()
    ask(watched)
    with watched.database.read() as tx:
        assert standings(tx, watched.services.policy)[0].size == size


def test_a_stranger_in_the_place_of_the_witness_is_not_believed(
    watched: ArchiveHome, witness: WitnessProcess, tmp_path: Path
) -> None:
    grow(watched)
    witness.end()
    with witnessing(tmp_path / "stranger") as stranger:
        stranger.end()
        stranger.address = witness.address
        stranger.follow(watched.services.trust)
        stranger.start()
        with pytest.raises(WitnessRefuses):
            watched.services.cosign_rounds.clients[0].submit()
    assert watched.count("log_cosignature") == 0


# --- old copies and forks -------------------------------------------------------------------------------------


@pytest.fixture
def copied(witness: WitnessProcess, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive on SQLite that was copied at one size, then grew and was cosigned."""
    home = watched_home(witness, tmp_path, "", clock)
    grow(home)
    ask(home)
    home.services.close()
    shutil.copytree(home.path, tmp_path / "yesterday")
    home.reopen()
    grow(home)
    ask(home)
    yield home
    home.services.close()


def restore(home: ArchiveHome, yesterday: Path) -> None:
    """Put the whole folder of yesterday in the place of the archive: database, published files and keys."""
    home.services.close()
    shutil.rmtree(home.path)
    shutil.copytree(yesterday, home.path)
    home.reopen()


@pytest.mark.sqlite("yesterday's copy is a folder with the database in it")
def test_yesterdays_database_does_not_start(
    copied: ArchiveHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restore(copied, tmp_path / "yesterday")
    copied.services.sequencer.recover()  # by itself it looks sound
    with pytest.raises(WitnessDisagrees):
        ask(copied)
    told = (tmp_path / "policy.txt").read_text()
    settings = (copied.path / "liuhen.toml").read_text()
    (copied.path / "liuhen.toml").write_text(
        f'{settings}witness_policy = "{tmp_path / "policy.txt"}"\nwitness_networks = ["127.0.0.0/8"]\n'
    )
    assert told
    assert run(["serve", "--home", str(copied.path), "--no-tls", "--port", "0"]) == 74
    assert "[ledger.witness_disagrees]" in capsys.readouterr().err
    assert run(["sequencer", "--home", str(copied.path)]) == 74


@pytest.mark.sqlite("yesterday's copy is a folder with the database in it")
def test_a_fork_with_the_real_key_is_refused(copied: ArchiveHome, witness: WitnessProcess, tmp_path: Path) -> None:
    real = copied.rows("SELECT max(size) FROM log_checkpoint")[0][0]
    restore(copied, tmp_path / "yesterday")
    forged = grow(copied, count=3)
    assert forged == real  # the same size, signed with the same keys, other entries
    status, kind, told = witness.add(body(copied, real))
    assert (status, kind, told) == (409, "text/x.tlog.size", b"%d\n" % real)
    with pytest.raises(WitnessDisagrees):
        ask(copied)
    grow(copied, count=5)
    assert witness.add(body(copied, real))[0] == 422
    with pytest.raises(WitnessDisagrees):
        ask(copied)
    store = open_witness(witness.folder, clock=SystemClock()).store
    with store.writing() as connection:  # the witness keeps what speaks against the log
        kept = [code for (code,) in connection.execute("SELECT code FROM conflict ORDER BY id")]
    assert set(kept) == {"witness.conflict", "witness.not_consistent"}


@pytest.mark.sqlite("yesterday's copy is a folder with the database in it")
def test_an_emptied_database_does_not_start(copied: ArchiveHome, witness: WitnessProcess, tmp_path: Path) -> None:
    copied.services.close()
    for name in ("liuhen.sqlite3", "liuhen.sqlite3-wal", "liuhen.sqlite3-shm", "log/checkpoint"):
        (copied.path / name).unlink(missing_ok=True)
    for name in ("journal", "journal-keys"):  # it would refuse, too
        place = copied.raw / name if name == "journal" else copied.path / name
        remove_tree(place)
        place.mkdir(exist_ok=True)
    run(["migrate", "--home", str(copied.path)])
    copied.reopen()
    copied.services.sequencer.recover()
    with pytest.raises(WitnessDisagrees):
        ask(copied)


# --- keys and files -------------------------------------------------------------------------------------------


def test_an_archive_from_before_gets_its_second_key(home: ArchiveHome) -> None:
    keys = home.path / "keys" / "log-mldsa.pem"
    ed25519 = home.services.trust.logs[:1]
    old = TrustFile(ed25519, home.services.trust.receipts)
    (home.path / "trust.txt").write_text(str(old))
    keys.unlink()
    grow(home)
    home.reopen()
    assert keys.exists()
    assert renew_trust_file(home.path, home.services.trust)
    assert not renew_trust_file(home.path, home.services.trust)
    trust = TrustFile.parse((home.path / "trust.txt").read_bytes())
    assert len(trust.logs) == 2 + (home.services.trust.logs[1] not in trust.logs)
    assert trust.logs[0] == ed25519[0]


def test_exchange_by_file(
    tmp_path: Path, database_url: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    far, asked, answer = tmp_path / "far", tmp_path / "request", tmp_path / "request.cosigned"
    witness = WitnessProcess(far)
    home = watched_home(witness, tmp_path, database_url, clock, with_url=False)
    with contextlib.ExitStack() as stack:
        stack.callback(_close, home)  # whichever services it has by then
        shutil.rmtree(far)
        for name, value in {
            "HOME": str(home.path), "DATABASE_URL": home.settings.effective_database_url,
            "WITNESS_POLICY": str(tmp_path / "policy.txt"),
        }.items():  # fmt: skip
            monkeypatch.setenv(f"LIUHEN_{name}", value)

        def liuhen(*arguments: object) -> int:
            return run([str(argument) for argument in arguments])

        assert liuhen("log", "witness", "init", "witness.example/w1", "--home", far) == 0
        assert liuhen("log", "witness", "init", "witness.example/w1", "--home", far) == 73
        key = open_witness(far, clock=SystemClock()).keys[1]  # this policy rests on ML-DSA-44
        (tmp_path / "policy.txt").write_text(f"witness w1 {key}\nquorum w1\n")
        home.reopen()
        assert liuhen("log", "witness", "add-log", home.path / "trust.txt", "--home", far) == 0
        dock = home.dock()
        upload = home.bring(dock, DATA)
        finish_upload(home.intake, upload)
        home.sequence()
        assert liuhen("log", "request", asked) == 0
        assert liuhen("log", "witness", "sign", asked, "--home", far) == 0
        assert home.receipt(dock, upload) is None
        assert liuhen("log", "cosign", answer) == 0
        envelope = home.receipt(dock, upload)
        assert envelope is not None
        trust = home.services.trust
        assert verify_receipt(envelope, trust=trust, digests=digest_of(DATA)).outcome is Outcome.VALID
        assert liuhen("log", "cosign", answer) == 0  # nothing new
        grow(home)
        assert liuhen("log", "request", asked) == 0
        assert AddCheckpoint.parse(asked.read_bytes()).old_size > 0
        assert liuhen("log", "witness", "sign", asked, "--home", far) == 0
        assert liuhen("log", "cosign", answer) == 0
        assert liuhen("log", "request", asked, "--old", "0") == 0
        capsys.readouterr()
        assert liuhen("log", "witness", "sign", asked, "--home", far) == 65
        assert "size=" in capsys.readouterr().err
        assert liuhen("log", "cosign", asked) == 65
        assert liuhen("log", "request", asked, "--witness", "nobody") == 66
        assert liuhen("log", "witness", "show", "--home", far) == 0
        assert home.settings.origin in capsys.readouterr().out
        (far / "witness.sqlite3").unlink()  # without its memory it must not begin anew
        assert liuhen("log", "witness", "sign", asked, "--home", far) == 66


def test_no_policy_asks_nobody(home: ArchiveHome, deliver: Callable[..., object], dock: EnrolledDock) -> None:
    deliver(DATA)
    home.sequence()
    ask(home)
    assert not (home.path / "run" / "witnesses.json").exists()
    assert home.count("log_cosignature") == 0


def _close(home: ArchiveHome) -> None:
    home.services.close()
