"""fsck by keys and checkpoints from outside: whose signature it is, how far the log goes, and by whose word."""

import base64
import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from archive.cli.main import run
from archive.fsck import ArchiveReport, Outside, verdicts
from archive.kernel.findings import Outcome
from archive.ledger.trustfile import TrustFile
from signing.authority import EmbeddedAuthority, fingerprint
from signing.tsa import EmbeddedTsa
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, make_home
from tests.support.cosigned import CosignedHome, cosigned_home
from tests.support.deployment import new_database, remove_tree
from tests.support.postgres import create_database
from tests.support.unguarded import unguarded

VALID, INVALID, OPEN = Outcome.VALID, Outcome.INVALID, Outcome.INDETERMINATE


@pytest.fixture
def witnessed(database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[CosignedHome]:
    made = cosigned_home(tmp_path, database_url, clock, count=3, threshold=2)
    made.home.deliver(made.home.dock(), b"what was filmed")
    made.home.sequence()
    yield made
    made.home.services.close()


@pytest.fixture
def kept(home: ArchiveHome, dock: EnrolledDock) -> ArchiveHome:
    home.deliver(dock, b"what was filmed")
    home.sequence()
    return home


def faults(report: ArchiveReport) -> dict[str, Outcome]:
    return {found.code: found.outcome for found in report.findings if found.outcome is not VALID}


def trust_of(home: ArchiveHome) -> Outside:
    """What an auditor got from the agency's public page."""
    return Outside(str(home.services.trust).encode())


def published(home: ArchiveHome) -> str:
    return (home.path / "log" / "checkpoint").read_text("utf-8")


def size_of(home: ArchiveHome) -> int:
    return int(home.rows("SELECT max(size) FROM log_checkpoint")[0][0])


# --- keys -----------------------------------------------------------------------------------------------------


def test_keys_of_the_home_never_establish_a_signer(kept: ArchiveHome) -> None:
    report = kept.fsck()
    assert report.outcome is VALID
    assert report.as_json()["keys"] == {"from": "this home", "signer": "not established"}
    assert "keys: from this home, signer not established" in report.summary()


def test_keys_from_outside_do(kept: ArchiveHome) -> None:
    report = kept.fsck(trust_of(kept))
    assert (report.outcome, faults(report)) == (VALID, {})
    assert report.as_json()["keys"] == {"from": "outside", "signer": "established"}
    assert "keys: from outside, signer established" in report.summary()


def test_nothing_in_the_home_is_asked_when_keys_come_from_outside(kept: ArchiveHome) -> None:
    outside = trust_of(kept)
    (kept.path / "trust.txt").unlink()
    assert kept.fsck(outside).outcome is VALID
    assert kept.fsck().outcome is OPEN


def test_an_archive_that_was_made_anew_with_other_keys(
    kept: ArchiveHome, tmp_path: Path, clock: SteppedClock, request: pytest.FixtureRequest
) -> None:
    """Under the same name, sound in itself: only the keys from outside tell."""
    (tmp_path / "forged").mkdir()
    url = (
        new_database(tmp_path / "forged" / "forged.sqlite3")
        if kept.database.is_sqlite
        else create_database(request.getfixturevalue("postgres_server"))
    )
    forged = make_home(tmp_path / "forged", url, clock, origin=kept.services.settings.origin)
    forged.deliver(forged.dock(), b"what was never filmed")
    forged.sequence()
    forged.assert_sound()
    report = forged.fsck(trust_of(kept))
    forged.services.close()
    assert faults(report) == {
        "fsck.checkpoint_signature": INVALID, "fsck.root_unpinned": INVALID, "fsck.signature": OPEN,
    }  # fmt: skip
    assert report.outcomes == (INVALID, OPEN)
    assert not report.is_signer_established


def test_a_key_without_a_root_leaves_manifests_open_and_a_root_closes_them(kept: ArchiveHome) -> None:
    trust = kept.services.trust
    bare = str(TrustFile(trust.logs)).encode()
    report = kept.fsck(Outside(bare))
    assert faults(report) == {"fsck.signature": OPEN}
    assert not report.is_signer_established
    assert kept.fsck(Outside(bare, roots=frozenset(trust.roots))).is_signer_established
    pem = kept.path / "ca" / "root.cert.pem"
    certificate = pem.read_text()
    pem.unlink()
    assert kept.fsck(Outside(bare, frozenset(trust.roots), certificate)).is_signer_established
    assert kept.fsck(Outside(b"", frozenset(trust.roots), certificate)).outcome is OPEN


def test_only_the_pinned_keys_count(kept: ArchiveHome) -> None:
    other = Outside(str(kept.services.trust).encode(), frozenset({bytes(32)}))
    assert kept.fsck(other).outcome is VALID
    unpinned = Outside(str(TrustFile(kept.services.trust.logs)).encode(), frozenset({bytes(32)}))
    assert faults(kept.fsck(unpinned)) == {"fsck.root_unpinned": INVALID, "fsck.signature": OPEN}


def test_an_outside_timestamp_authority_counts_when_it_is_pinned_for_times(
    kept: ArchiveHome, tmp_path: Path, clock: SteppedClock
) -> None:
    """The home lists the issuers of its tokens itself: that is no reason for an auditor to believe them."""
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="Elsewhere", valid_from=clock.now())
    kept.services.anchors.anchor()
    folder = kept.path / "log" / "anchors"
    told = json.loads((folder / "chain.jsonl").read_bytes())
    note, token = folder / f"{told['size']}.ckpt", folder / f"{told['size']}.tsr"
    token.chmod(0o644)
    token.write_bytes(EmbeddedTsa(other, clock).token(hashlib.sha256(note.read_bytes()).digest()))
    told["tsr"] = hashlib.sha512(token.read_bytes()).hexdigest()
    (folder / "chain.jsonl").write_text(json.dumps(told, separators=(",", ":"), sort_keys=True) + "\n")
    (folder / "issuers.pem").write_bytes(other.root_pem)
    assert "fsck.anchor_untrusted" not in faults(kept.fsck())
    trust = kept.services.trust
    assert faults(kept.fsck(trust_of(kept)))["fsck.anchor_untrusted"] is OPEN
    pinned = replace(trust, timestamp_roots=(bytes.fromhex(fingerprint(other.root)),))
    assert "fsck.anchor_untrusted" not in faults(kept.fsck(Outside(str(pinned).encode())))


def test_a_checkpoint_says_when_it_was_issued(kept: ArchiveHome) -> None:
    report = kept.fsck(trust_of(kept))
    issued = kept.rows("SELECT issued_at FROM log_checkpoint ORDER BY size DESC")[0][0]
    assert report.up_to[0] == size_of(kept)
    assert str(report.up_to[1]).rstrip("Z") == str(issued)[:19].replace(" ", "T")


# --- two verdicts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "unaltered", "complete"),
    [
        ("DELETE FROM custody_event WHERE type = 'ingest.received'", VALID, INVALID),
        ("DELETE FROM log_leaf WHERE leaf_index = 0", INVALID, INVALID),
        ("UPDATE dock SET name = 'another'", INVALID, VALID),
        ("UPDATE log_node SET hash = (SELECT hash FROM log_node WHERE level = 1 AND position = 0)", INVALID, OPEN),
        ("DELETE FROM log_segment; DELETE FROM log_checkpoint WHERE size > 0", INVALID, INVALID),
    ],
)
def test_what_speaks_against_which(kept: ArchiveHome, statement: str, unaltered: Outcome, complete: Outcome) -> None:
    assert kept.fsck().outcomes == (VALID, VALID)
    with unguarded(kept.database) as tx:
        for each in statement.split(";"):
            assert tx.execute(text(each)).rowcount
    assert kept.fsck().outcomes == (unaltered, complete)


def test_verdicts_name_findings_that_there_are() -> None:
    folder = Path(verdicts.__file__).parent
    sources = "".join(path.read_text("utf-8") for path in folder.glob("*.py") if path.name != "verdicts.py")
    known = set(re.findall(r"[\"'](fsck\.[a-z_]+)[\"']", sources))
    assert known >= verdicts.CODES


def test_a_file_that_is_gone_speaks_against_both(kept: ArchiveHome) -> None:
    remove_tree(next((kept.raw / "store").rglob("v1")))
    assert kept.fsck().outcomes[1] is INVALID


def test_what_waits_for_its_index_is_not_missing(kept: ArchiveHome, dock: EnrolledDock) -> None:
    kept.deliver(dock, b"just come in", "b.mp4")
    report = kept.fsck()
    assert report.outcomes == (VALID, VALID)
    assert report.up_to[0] == size_of(kept) < kept.count("log_entry")


# --- checkpoints that others hold -----------------------------------------------------------------------------


def taken_back(home: ArchiveHome, tmp_path: Path, work: Callable[[], object]) -> None:
    """Do some work, then put the database and the published log back to what they were before."""
    old_log = tmp_path / "old-log"
    if home.database.is_sqlite:
        with (
            closing(sqlite3.connect(str(home.database.url.database))) as source,
            closing(sqlite3.connect(tmp_path / "old.sqlite3")) as copy,
        ):
            source.backup(copy)
    else:
        old = create_database(_server(home), template=_name(home))
    shutil.copytree(home.path / "log", old_log)
    work()
    home.services.close()
    shutil.rmtree(home.path / "log")
    old_log.rename(home.path / "log")
    if home.database.is_sqlite:
        place = Path(str(home.database.url.database))
        for path in place.parent.glob(place.name + "*"):
            path.unlink()
        shutil.move(tmp_path / "old.sqlite3", place)
    else:
        home.settings = home.settings.model_copy(update={"database_url": old})
    home.reopen()


def _server(home: ArchiveHome) -> str:
    return home.database.url.set(database="postgres").render_as_string(hide_password=False)


def _name(home: ArchiveHome) -> str:
    home.database.engine.dispose()  # a template has no sessions
    return str(home.database.url.database)


def test_a_database_that_was_taken_back_is_found_by_whoever_kept_a_checkpoint(
    kept: ArchiveHome, tmp_path: Path
) -> None:
    notes: list[str] = [published(kept)]

    def work() -> None:
        kept.case("a case that is to vanish")
        kept.sequence()
        notes.append(published(kept))

    taken_back(kept, tmp_path, work)
    kept.assert_sound()  # nothing in the home tells
    assert kept.fsck(trust_of(kept)).outcome is VALID
    for outside in (None, trust_of(kept)):
        report = kept.fsck(outside, [("mine", notes[1])])
        assert faults(report) == {"fsck.checkpoint_not_prefix": INVALID}
        assert report.outcomes == (INVALID, INVALID)
        assert kept.fsck(outside, [("older", notes[0])]).outcome is VALID
    kept.case("another case")
    kept.case("and another")
    kept.sequence()
    assert faults(kept.fsck(trust_of(kept), [("mine", notes[1])])) == {"fsck.checkpoint_not_prefix": INVALID}


def test_a_checkpoint_that_the_log_goes_on_from(kept: ArchiveHome) -> None:
    note, size = published(kept), size_of(kept)
    kept.case("more")
    kept.sequence()
    report = kept.fsck(trust_of(kept), [("mine", note)])
    assert report.outcome is VALID
    assert report.as_json()["held"] == [size]
    assert f"goes on from the {size} entries that were given" in report.summary()


def test_a_checkpoint_that_nobody_has_signed_speaks_for_nobody(kept: ArchiveHome) -> None:
    note = published(kept)
    body, _, lines = note.partition("\n\n")
    origin, size, root = body.split("\n")
    key = lines.split("\n")[0]
    forged = f"{origin}\n{int(size) + 1}\n{root}\n\n{lines}"
    stranger = re.sub(r"— \S+", "— somebody.else/log", key)
    for given in (forged, f"{body}\n\n{stranger}\n"):
        report = kept.fsck(trust_of(kept), [("mine", given)])
        assert faults(report) == {"fsck.checkpoint_unsigned": OPEN}
        assert report.as_json()["held"] == []


def test_a_checkpoint_of_another_log_is_no_evidence_of_this_one(
    kept: ArchiveHome, tmp_path: Path, clock: SteppedClock
) -> None:
    (tmp_path / "other").mkdir()
    other = make_home(tmp_path / "other", new_database(tmp_path / "other.sqlite3"), clock)
    note, theirs = published(other), other.services.trust
    other.services.close()
    both = TrustFile((*kept.services.trust.logs, *theirs.logs), roots=kept.services.trust.roots)
    report = kept.fsck(Outside(str(both).encode()), [("theirs", note)])
    assert faults(report) == {"fsck.checkpoint_of_other_log": OPEN}


# --- witnesses ------------------------------------------------------------------------------------------------


def test_how_far_the_quorum_goes(witnessed: CosignedHome) -> None:
    home = witnessed.home
    report = home.fsck()
    assert faults(report) == {"fsck.quorum_missing": OPEN}
    assert report.outcomes == (VALID, OPEN)
    witnessed.cosign(1)
    assert faults(home.fsck()) == {"fsck.quorum_missing": OPEN}, "two of three are asked for"
    witnessed.cosign(3)
    first = size_of(home)
    report = home.fsck(trust_of(home))
    assert (report.outcome, report.up_to[0]) == (VALID, first)
    assert sorted(report.as_json()["witnessed_by"]) == ["w1", "w3"]
    home.case("more")
    home.sequence()
    witnessed.cosign(2)
    report = home.fsck(trust_of(home))
    assert (report.outcome, report.up_to[0]) == (VALID, first), "one witness alone carries it no further"
    assert f"witnessed by: w1, w3; the log goes on to entry {size_of(home)}" in report.summary()
    assert report.as_json()["log"]["size"] == size_of(home)
    witnessed.cosign()
    assert home.fsck(trust_of(home)).up_to[0] == size_of(home)
    assert sorted(home.fsck().as_json()["witnessed_by"]) == ["w1", "w2", "w3"]


def tampered(home: ArchiveHome, statement: str, **values: Any) -> dict[str, Outcome]:
    with unguarded(home.database) as tx:
        assert tx.execute(text(statement), values).rowcount
    return faults(home.fsck(trust_of(home)))


def test_a_cosignature_that_was_changed(witnessed: CosignedHome) -> None:
    witnessed.cosign()
    home = witnessed.home
    (line, size) = home.rows("SELECT line, size FROM log_cosignature ORDER BY key")[0]
    raw = base64.b64decode(line.split(" ")[2])
    for at in (*range(12), *range(12, len(raw), 9)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        text_of = " ".join((*line.split(" ")[:2], base64.b64encode(changed).decode()))
        found = tampered(home, "UPDATE log_cosignature SET line = :new WHERE line = :old", new=text_of, old=line)
        assert found["fsck.cosignature_invalid"] is INVALID, at
        tampered(home, "UPDATE log_cosignature SET line = :old WHERE line = :new", new=text_of, old=line)
    assert home.fsck(trust_of(home)).outcome is VALID
    found = tampered(
        home,
        "UPDATE log_cosignature SET size = 0, time_s = time_s WHERE size = :size AND line = :line",
        size=size,
        line=line,
    )
    assert found == {"fsck.cosignature_invalid": INVALID, "fsck.cosignature_lost": INVALID}


def test_a_cosignature_in_the_name_of_a_witness(witnessed: CosignedHome) -> None:
    """By somebody who has the database and neither key: the quorum does not count it, and fsck names it."""
    witnessed.cosign(1)
    home = witnessed.home
    key = witnessed.witnesses[1].keys[0]
    line = f"— {key.name} {base64.b64encode(key.key_id + (1).to_bytes(8) + bytes(64)).decode()}"
    with home.database.begin() as tx:
        tx.execute(
            text("INSERT INTO log_cosignature SELECT size, :key, 1, :line, received_at FROM log_cosignature"),
            {"key": f"{key.name}+{key.key_id.hex()}", "line": line},
        )
    assert faults(home.fsck()) == {"fsck.cosignature_invalid": INVALID, "fsck.quorum_missing": OPEN}


def test_cosignatures_that_were_deleted(witnessed: CosignedHome) -> None:
    note = witnessed.cosign().decode()
    home = witnessed.home
    found = tampered(home, "DELETE FROM log_cosignature")
    assert found == {"fsck.cosignature_lost": INVALID, "fsck.quorum_missing": OPEN}
    bare = home.rows("SELECT note FROM log_checkpoint ORDER BY size DESC")[0][0]
    (home.path / "log" / "checkpoint").write_text(bare, "utf-8")
    assert faults(home.fsck()) == {"fsck.quorum_missing": OPEN}, "the home alone cannot tell"
    report = home.fsck(trust_of(home), [("a copy", note)])
    assert (report.outcome, report.up_to[0]) == (VALID, size_of(home)), "whoever kept them can"


def test_a_line_that_somebody_put_under_the_published_checkpoint(kept: ArchiveHome) -> None:
    path = kept.path / "log" / "checkpoint"
    line = base64.b64encode(bytes(76)).decode()
    path.write_text(f"{published(kept)}— stranger.example {line}\n", "utf-8")
    assert faults(kept.fsck()) == {"fsck.cosignature_lost": INVALID}


def test_a_witness_that_nobody_has_pinned_counts_for_nothing(witnessed: CosignedHome) -> None:
    witnessed.cosign()
    home = witnessed.home
    trust = home.services.trust
    outside = Outside(
        str(replace(trust, policy=replace(trust.policy, witnesses=(), groups=(), quorum="none"))).encode()
    )
    report = home.fsck(outside)
    assert (report.outcome, report.standing.witnessed) == (VALID, None)
    assert "witnessed by: nobody whose key is pinned" in report.summary()
    (told,) = [found.message for found in report.findings if found.code == "fsck.cosignatures"]
    assert told == "0 cosignatures of pinned witnesses verify; 3 are by keys that are not pinned, and count for nothing"


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture
def liuhen(kept: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("LIUHEN_DATABASE_URL", kept.database.url.render_as_string(hide_password=False))

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["fsck", "--home", str(kept.path), *map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def test_the_command(kept: ArchiveHome, liuhen: Any, tmp_path: Path) -> None:
    trust, root = tmp_path / "trust.txt", kept.path / "ca" / "root.cert.pem"
    trust.write_text(str(kept.services.trust))
    held = tmp_path / "kept"
    held.write_text(published(kept), "utf-8")
    key = str(kept.services.trust.logs[0])
    digest = f"sha256:{kept.services.trust.roots[0].hex()}"
    code, out, _ = liuhen()
    assert code == 0
    assert "\nkeys: from this home, signer not established\nunaltered: valid\ncomplete up to entry " in out
    for words in (["--key", trust], ["--key", key, "--root", digest], ["--key", key, "--root", root]):
        code, out, err = liuhen(*words, "--checkpoint", held)
        assert (code, err) == (0, ""), words
        assert "keys: from outside, signer established\n" in out
    code, out, _ = liuhen("--json", "--key", trust)
    told = json.loads(out)
    assert (code, told["unaltered"], told["complete"]) == (0, "valid", "valid")
    assert told["up_to"]["size"] == size_of(kept)
    assert told["keys"] == {"from": "outside", "signer": "established"}
    assert liuhen("--key", key)[0] == 2
    assert liuhen("--root", root)[0] == 2


def test_what_the_command_refuses(kept: ArchiveHome, liuhen: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("log x\n")
    for words, code in (
        (["--key", broken], "trust.malformed"),
        (["--key", "nonsense"], "key.malformed"),
        (["--root", "sha256:12"], "verify.root_unreadable"),
        (["--root", broken], "verify.root_unreadable"),
        (["--checkpoint", broken], "note.malformed"),
    ):
        exit_code, out, err = liuhen(*words)
        assert (exit_code, out) == (65, ""), (words, err)
        assert f"[{code}]" in err
    assert liuhen("--checkpoint", tmp_path / "none")[0] == 64
