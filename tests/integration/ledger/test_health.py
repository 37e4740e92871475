"""How the log stands: nothing is called valid that was not checked, and what contradicts is invalid."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.cli.main import run
from archive.ledger.anchors import Attempt, write_attempt
from archive.ledger.cosigner import WitnessDisagrees, WitnessUnreachable
from archive.ledger.health import LogHealth
from archive.ledger.trustfile import parse_policy, policy_text
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.unguarded import unguarded
from tests.support.witness import WitnessProcess, witnessing

LOCAL = ("127.0.0.0/8",)
LATE = timedelta(seconds=61)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    with witnessing(tmp_path / "witness") as running:
        yield running


@pytest.fixture
def watched(witness: WitnessProcess, tmp_path: Path, database_url: str, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive whose log counts once the witness has cosigned."""
    policy = tmp_path / "policy.txt"
    policy.write_text(witness.policy())
    home = make_home(tmp_path, database_url, clock, witness_policy=policy, witness_networks=LOCAL)
    witness.follow(home.services.trust)
    yield home
    home.services.close()


def grow(home: ArchiveHome) -> None:
    home.case(number=f"案{home.count('case_file')}")
    home.clock.step(timedelta(milliseconds=1))
    home.sequence()


def found(health: LogHealth) -> dict[str, str]:
    return {finding.code: finding.outcome.value for finding in health.report.findings}


def test_a_sound_log_without_witnesses_is_not_called_valid(home: ArchiveHome) -> None:
    grow(home)
    health = home.services.log_health()
    assert health.report.outcome.value == "indeterminate"
    assert found(health) == {
        "log.signature_valid": "valid",
        "log.root_valid": "valid",
        "log.sequencing": "valid",
        "log.published": "valid",
        "log.no_quorum_asked": "indeterminate",
    }
    assert [(each.algorithm, each.outcome.value) for each in health.signatures] == [
        ("Ed25519", "valid"),
        ("ML-DSA-44", "valid"),
    ]
    assert (health.size, health.pending, health.published_size) == (health.size, 0, health.size)
    assert (health.counted_size, health.quorum) == (None, None)
    assert health.as_json()["outcome"] == "indeterminate"


def test_with_a_witness_the_log_counts(watched: ArchiveHome) -> None:
    grow(watched)
    before = watched.services.log_health()
    assert {"log.witness_never", "log.quorum_missing"} <= set(found(before))
    assert before.witnesses[0].behind == before.size
    watched.services.cosign_rounds.require_agreement()
    health = watched.services.log_health()
    assert health.report.outcome.value == "valid"
    assert health.counted_size == health.size
    (witness,) = health.witnesses
    assert (witness.behind, witness.fault, witness.outcome.value) == (0, None, "valid")
    assert witness.cosigned_at is not None


def test_the_command_says_it_with_its_exit_code(
    home: ArchiveHome, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", home.settings.database_url)
    grow(home)
    assert run(["log", "health", "--home", str(home.path)]) == 2
    told = capsys.readouterr().out
    assert "indeterminate: " in told
    assert "[log.no_quorum_asked]" in told
    _publish_another(home)
    assert run(["log", "health", "--home", str(home.path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "invalid"


def test_a_witness_that_stays_behind_and_one_that_fails(watched: ArchiveHome, witness: WitnessProcess) -> None:
    grow(watched)
    watched.services.cosign_rounds.require_agreement()
    grow(watched)
    assert watched.services.log_health().report.outcome.value == "valid"  # it has a moment to answer
    watched.clock.step(LATE)
    health = watched.services.log_health()
    assert {"log.witness_behind", "log.quorum_behind"} <= set(found(health))
    assert health.counted_size is not None
    assert health.witnesses[0].behind == health.size - health.counted_size > 0
    witness.kill()
    watched.services.cosign_rounds.require_agreement()
    health = watched.services.log_health()
    assert found(health)["log.witness_fails"] == "indeterminate"
    assert health.witnesses[0].fault == WitnessUnreachable.code
    assert health.witnesses[0].since


@pytest.mark.parametrize("line", ["(SELECT min(line) FROM log_cosignature WHERE size < {size})", "'nothing'"])
def test_what_is_stored_as_a_cosignature_is_looked_at(watched: ArchiveHome, line: str) -> None:
    for _ in range(2):
        grow(watched)
        watched.services.cosign_rounds.require_agreement()
    health = watched.services.log_health()
    assert health.witnesses[0].outcome.value == "valid"
    with unguarded(watched.database) as tx:
        told = line.format(size=health.size)
        tx.execute(text(f"UPDATE log_cosignature SET line = {told} WHERE size = {health.size}"))
    health = watched.services.log_health()
    assert health.witnesses[0].outcome.value == "invalid"
    assert found(health)["log.cosignature_invalid"] == "invalid"
    assert health.counted_size != health.size


def test_a_cosignature_gets_old(watched: ArchiveHome) -> None:
    grow(watched)
    watched.services.cosign_rounds.require_agreement()
    watched.clock.step(timedelta(hours=4))
    assert found(watched.services.log_health())["log.witness_stale"] == "indeterminate"


def test_a_witness_that_has_seen_another_log(watched: ArchiveHome) -> None:
    grow(watched)
    watched.services.cosign_rounds.require_agreement()
    (watched.path / "run" / "witnesses.json").write_text(
        f'{{"w1": {{"outcome": "{WitnessDisagrees.code}", "since": "2026-03-02T09:31:12Z"}}}}'
    )
    health = watched.services.log_health()
    assert (health.report.outcome.value, health.witnesses[0].fault) == ("invalid", WitnessDisagrees.code)


def _flip_note(home: ArchiveHome) -> None:
    home.execute("UPDATE log_checkpoint SET note = replace(note, 'A', 'B')")


def _flip_root(home: ArchiveHome) -> None:
    home.execute("UPDATE log_checkpoint SET root = :root WHERE size > 0", root=bytes(32))


def _flip_node(home: ArchiveHome) -> None:
    home.execute("UPDATE log_node SET hash = :hash", hash=bytes(32))


def _lose_node(home: ArchiveHome) -> None:
    home.execute("DELETE FROM log_node WHERE position = 0")


def _publish_another(home: ArchiveHome) -> None:
    path = home.path / "log" / "checkpoint"
    note = path.read_text()
    path.unlink()
    path.write_text(note.replace("\n", "\n1", 1))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_flip_note, "log.signature_invalid"),
        (_flip_root, "log.root_differs"),
        (_flip_node, "log.root_differs"),
        (_lose_node, "log.root_differs"),
        (_publish_another, "log.published_differs"),
    ],
)
def test_what_contradicts_is_invalid(home: ArchiveHome, change: Callable[[ArchiveHome], None], code: str) -> None:
    grow(home)
    change(home)
    health = home.services.log_health()
    assert found(health)[code] == "invalid"
    assert health.report.outcome.value == "invalid"


def test_nothing_published_and_something_older(home: ArchiveHome) -> None:
    path = home.path / "log" / "checkpoint"
    grow(home)
    older = path.read_bytes()
    grow(home)
    path.unlink()
    assert found(home.services.log_health())["log.not_published"] == "indeterminate"
    path.write_bytes(older)
    assert found(home.services.log_health())["log.published"] == "valid"
    home.clock.step(LATE)
    assert found(home.services.log_health())["log.published_behind"] == "indeterminate"


def test_entries_that_wait(home: ArchiveHome) -> None:
    grow(home)
    home.case(number="案等")
    health = home.services.log_health()
    assert (health.pending > 0, found(health)["log.sequencing"]) == (True, "valid")
    home.clock.step(LATE)
    health = home.services.log_health()
    assert found(health)["log.sequencing_late"] == "indeterminate"
    assert health.oldest_pending_s is not None
    assert health.oldest_pending_s >= 61


def test_anchors_are_told_and_missed(home: ArchiveHome) -> None:
    grow(home)
    first = home.services.log_health().as_json()["anchors"]
    assert (first["size"], first["behind"] > 0) == (None, True)
    made = home.services.anchors.anchor()
    assert made is not None
    grow(home)
    health = home.services.log_health()
    told = health.as_json()["anchors"]
    assert (told["size"], told["behind"]) == (made.size, health.size - made.size)
    assert "log.anchors_behind" not in found(health)
    home.clock.step(timedelta(hours=2))
    assert found(home.services.log_health())["log.anchors_behind"] == "indeterminate"


def test_what_keeps_anchors_from_being_made_is_told(home: ArchiveHome) -> None:
    grow(home)
    report = home.services.run_folder / "anchors.json"
    write_attempt(report, Attempt("service.unavailable", home.clock.now()))
    health = home.services.log_health()
    assert found(health)["log.anchoring_fails"] == "indeterminate"
    assert health.as_json()["anchors"]["fault"] == "service.unavailable"


def test_the_policy_file_of_a_log_without_witnesses(home: ArchiveHome) -> None:
    assert parse_policy(policy_text(home.services.trust).encode()).quorum == "none"


def test_the_policy_file_of_a_log_with_witnesses(watched: ArchiveHome) -> None:
    assert parse_policy(policy_text(watched.services.trust).encode()) == watched.services.policy.without_urls
