"""Anchors: what is written, what openssl says of it, what crashes and hostile hands leave, and how it is told."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.ledger.anchor_chain import ANCHOR, RENEWAL, Link, MalformedChain, parse_chain
from archive.ledger.anchor_rounds import AnchorRounds
from archive.ledger.anchors import AnchorFault, Anchors, last_attempt, standing
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.mirror import mirror
from signing.stamps import TokenRefused
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome, SteppedClock, flip

HOUR = timedelta(hours=1)


def grow(home: ArchiveHome, count: int = 1) -> int:
    """Write entries and sequence them; return the size of the log."""
    with home.database.begin() as tx:
        for number in range(count):
            append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"number": number}), at=home.clock.now())
    home.sequence()
    return len(home.logged())


def folder_of(home: ArchiveHome) -> Path:
    return home.path / "log" / "anchors"


def chain_of(home: ArchiveHome) -> list[Link]:
    return list(parse_chain((folder_of(home) / "chain.jsonl").read_bytes()))


def openssl_ts(home: ArchiveHome, content: Path, token: Path) -> subprocess.CompletedProcess[str]:
    root = home.path / "ca" / "root.cert.pem"
    command = ["openssl", "ts", "-verify", "-token_in", "-in", token, "-data", content, "-CAfile", root]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_anchor_is_a_published_checkpoint_and_a_token_that_openssl_accepts(home: ArchiveHome) -> None:
    size = grow(home)
    link = home.services.anchors.anchor()
    assert link is not None
    assert (link.n, link.kind, link.size) == (1, ANCHOR, size)
    checkpoint, token = folder_of(home) / f"{size}.ckpt", folder_of(home) / f"{size}.tsr"
    assert checkpoint.read_bytes() == (home.path / "log" / "checkpoint").read_bytes()
    assert openssl_ts(home, checkpoint, token).returncode == 0
    assert openssl_ts(home, folder_of(home) / "chain.jsonl", token).returncode != 0
    assert chain_of(home) == [link]
    assert link.ckpt == hashlib.sha512(checkpoint.read_bytes()).hexdigest()
    for path in (checkpoint, token):
        assert oct(path.stat().st_mode & 0o777) == "0o444"
    assert home.services.anchors.anchor() is None, "the same checkpoint is not anchored twice"
    assert len(chain_of(home)) == 1


def test_it_is_due_for_new_checkpoints_and_not_more_often_than_set(home: ArchiveHome, clock: SteppedClock) -> None:
    anchors = home.services.anchors
    grow(home)
    assert anchors.is_due()
    anchors.anchor()
    assert not anchors.is_due()
    clock.step(2 * HOUR)
    assert not anchors.is_due(), "there is no newer checkpoint"
    grow(home)
    assert anchors.is_due()
    anchors.anchor()
    grow(home)
    assert not anchors.is_due(), "the hour is not over"
    clock.step(HOUR)
    assert anchors.is_due()


def test_a_renewal_stamps_all_before_it_and_can_be_checked_with_openssl(
    home: ArchiveHome, clock: SteppedClock, tmp_path: Path
) -> None:
    for _ in range(3):
        grow(home)
        home.services.anchors.anchor()
    link = home.services.anchors.renew()
    assert link is not None
    assert (link.n, link.kind) == (4, RENEWAL)
    before = chain_of(home)[2]
    content = tmp_path / "content"
    lines = (folder_of(home) / "chain.jsonl").read_bytes().splitlines(keepends=True)
    parts = [(folder_of(home) / name).read_bytes() for name in (f"{before.size}.ckpt", f"{before.size}.tsr")]
    content.write_bytes(b"".join(parts) + lines[2])
    done = openssl_ts(home, content, folder_of(home) / "renewal-4.tsr")
    assert done.returncode == 0, done.stderr
    content.write_bytes(b"".join(parts) + lines[1])
    assert openssl_ts(home, content, folder_of(home) / "renewal-4.tsr").returncode != 0
    again = home.services.anchors.renew()
    assert again is not None
    assert again.n == 5
    grow(home)
    clock.step(HOUR)
    home.services.anchors.anchor()
    assert [each.kind for each in chain_of(home)] == [ANCHOR] * 3 + [RENEWAL] * 2 + [ANCHOR]


def test_a_renewal_is_due_before_the_first_certificate_ends(home: ArchiveHome) -> None:
    grow(home)
    link = home.services.anchors.anchor()
    assert link is not None

    class Later:
        at = link.ends - timedelta(days=181)

        def now(self) -> object:
            return self.at

    later = Anchors(
        home.database,
        home.services.published,
        home.services.tsa,
        Later(),
        lock=home.path / "run" / "anchors.lock",
        every=HOUR,
        issuers_pem=home.services.authority.root_pem,
    )  # type: ignore[arg-type]
    assert not later.is_renewal_due()
    Later.at += timedelta(days=2)
    assert later.is_renewal_due()


_DRIVER = """
import os, signal, sys
from pathlib import Path
from archive.ledger import anchors as module
from archive.settings import load_settings
from archive.wiring import build_services

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

step = sys.argv[3]
write, append = module.Anchors._write, module.Anchors._append

def writes(self, name, content):
    if step == "half a file" and name.endswith(".tsr"):
        (self.folder / f".{name}.0123.tmp").write_bytes(content[:100])
        die()
    if step == "before the token" and name.endswith(".tsr"):
        die()
    write(self, name, content)

def appends(self, link):
    if step == "before the line":
        die()
    if step == "half a line":
        with (self.folder / "chain.jsonl").open("ab") as file:
            file.write(link.line[:50])
        die()
    append(self, link)
    if step == "after the line":
        die()

module.Anchors._write, module.Anchors._append = writes, appends
services = build_services(load_settings(home=Path(sys.argv[1]), database_url=sys.argv[2]))
services.anchors.renew() if sys.argv[4] == "renew" else services.anchors.anchor()
"""


@pytest.mark.parametrize(
    "step", ["half a file", "before the token", "before the line", "half a line", "after the line"]
)
@pytest.mark.parametrize("what", ["anchor", "renew"])
def test_whoever_is_killed_is_followed_by_one_who_finishes(home: ArchiveHome, step: str, what: str) -> None:
    grow(home)
    home.services.anchors.anchor()
    size = grow(home)
    command = [sys.executable, "-c", _DRIVER, home.path, home.settings.database_url, step, what]
    done = subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    home.services.anchors.anchor()
    links = chain_of(home)
    kinds = [link.kind for link in links]
    wanted = {"anchor": [ANCHOR, ANCHOR], "renew": [ANCHOR, RENEWAL, ANCHOR]}[what]
    if what == "renew" and step in {"half a file", "before the token"}:
        wanted = [ANCHOR, ANCHOR]  # nothing was left to go on with
    assert kinds == wanted
    assert links[-1].size == size
    for link in links:
        assert hashlib.sha512((folder_of(home) / link.token_name).read_bytes()).hexdigest() == link.tsr
    assert not list(folder_of(home).glob(".*"))
    home.assert_sound()


def test_a_checkpoint_of_another_log_is_not_anchored(home: ArchiveHome) -> None:
    size = grow(home)
    note = (home.path / "log" / "checkpoint").read_text("utf-8")
    for wrong in (
        note.replace(f"\n{size}\n", f"\n{size + 5}\n", 1),
        note.replace(home.services.trust.logs[0].name, "evil.example/log"),
        "not a note",
    ):
        (home.path / "log" / "checkpoint").write_text(wrong, "utf-8")
        with pytest.raises(AnchorFault):
            home.services.anchors.anchor()
        assert not list(folder_of(home).glob("*.tsr"))


@pytest.mark.parametrize("left", [b"", b"half a no", None])
def test_a_half_written_checkpoint_is_not_stamped(home: ArchiveHome, left: bytes | None) -> None:
    size = grow(home)
    folder_of(home).mkdir()
    content = (home.path / "log" / "checkpoint").read_bytes()[:-20] if left is None else left
    (folder_of(home) / f"{size}.ckpt").write_bytes(content)
    with pytest.raises(AnchorFault):
        home.services.anchors.anchor()
    assert not (folder_of(home) / f"{size}.tsr").exists()


def test_a_token_over_other_bytes_is_refused(home: ArchiveHome) -> None:
    size = grow(home)

    class Mistaken:
        def token(self, imprint: bytes) -> bytes:
            return home.services.tsa.token(hashlib.sha256(imprint).digest())

    wrong = Anchors(
        home.database,
        home.services.published,
        Mistaken(),
        home.clock,
        lock=home.path / "run" / "anchors.lock",
        every=HOUR,
        issuers_pem=home.services.authority.root_pem,
    )
    with pytest.raises(TokenRefused):
        wrong.anchor()
    assert {path.name for path in folder_of(home).iterdir()} == {f"{size}.ckpt", "issuers.pem"}
    assert home.services.anchors.anchor() is None, "what was left is finished first"
    assert chain_of(home)[0].size == size


def test_tokens_that_were_swapped_before_their_line_are_refused(home: ArchiveHome) -> None:
    first = grow(home)
    home.services.anchors.anchor()
    second = grow(home)
    (folder_of(home) / f"{second}.ckpt").write_bytes((home.path / "log" / "checkpoint").read_bytes())
    shutil.copyfile(folder_of(home) / f"{first}.tsr", folder_of(home) / f"{second}.tsr")
    with pytest.raises(TokenRefused):
        home.services.anchors.anchor()
    assert len(chain_of(home)) == 1


def test_a_line_that_was_changed_or_taken_out_stops_the_anchors(home: ArchiveHome) -> None:
    for _ in range(3):
        grow(home)
        home.services.anchors.anchor()
    path = folder_of(home) / "chain.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    told = json.loads(lines[1])
    later = json.dumps({**told, "time": "2020-01-01T00:00:00.000000Z"}, separators=(",", ":")).encode() + b"\n"
    for wrong in (
        [lines[0], lines[2]],
        [lines[0], lines[2], lines[1]],
        [lines[0], lines[1], lines[1], lines[2]],
        [lines[0], later, lines[2]],
        [lines[0], lines[1].replace(b'"v":1', b'"v": 1'), lines[2]],
        [lines[0], b"\n", lines[1], lines[2]],
    ):
        path.write_bytes(b"".join(wrong))
        grow(home)
        with pytest.raises(MalformedChain):
            home.services.anchors.anchor()


def test_a_checkpoint_that_the_chain_has_passed_over_is_a_fault(home: ArchiveHome) -> None:
    first = grow(home)
    note = (home.path / "log" / "checkpoint").read_bytes()
    grow(home)
    home.services.anchors.anchor()
    (folder_of(home) / f"{first}.ckpt").write_bytes(note)
    grow(home)
    with pytest.raises(AnchorFault):
        home.services.anchors.anchor()


def test_the_rounds_leave_word_of_faults_and_of_their_end(home: ArchiveHome, clock: SteppedClock) -> None:
    report = home.path / "run" / "anchors.json"
    upkept = []
    rounds = AnchorRounds(home.services.anchors, clock, report=report, upkeep=[lambda: upkept.append(1)])
    size = grow(home)
    assert last_attempt(report) is None
    assert rounds.look()
    assert upkept == [1]
    told = standing(folder_of(home), log_size=size + 4, report=report)
    assert (told.anchors, told.renewals, told.size, told.behind, told.fault) == (1, 0, size, 4, None)
    assert told.at is not None
    size = grow(home)
    clock.step(-timedelta(minutes=30))
    assert home.services.anchors.is_due(), "the last anchor lies ahead of the clock"
    assert not rounds.look()
    told = standing(folder_of(home), log_size=size, report=report)
    assert (told.fault, told.anchors, told.behind) == ("timestamp.clock_went_back", 1, 1)
    clock.step(timedelta(hours=2))
    assert rounds.look()
    told = standing(folder_of(home), log_size=size, report=report)
    assert (told.fault, told.anchors, told.behind) == (None, 2, 0)
    (folder_of(home) / "chain.jsonl").write_bytes(b"{}\n")
    assert standing(folder_of(home), log_size=size, report=report).fault == "anchor.malformed_chain"
    assert not rounds.look()
    assert last_attempt(report) == replace(last_attempt(report), fault="anchor.malformed_chain")


def test_without_anchors_all_is_behind(home: ArchiveHome) -> None:
    told = standing(folder_of(home), log_size=9, report=home.path / "run" / "anchors.json")
    assert (told.size, told.at, told.behind, told.fault) == (None, None, 9, None)


def test_a_package_gets_the_anchors_that_matter_to_it(home: ArchiveHome) -> None:
    sizes = []
    for _ in range(5):
        sizes.append(grow(home, 10))
        home.services.anchors.anchor()
    chosen = home.services.anchors.chosen_for
    assert [each.size for each in chosen([sizes[0] - 1, sizes[0]], sizes[3])] == [sizes[0], sizes[1], sizes[3]]
    assert [each.size for each in chosen([sizes[2] + 1], sizes[3] - 1)] == [sizes[2], sizes[3]]
    assert [each.size for each in chosen([sizes[4] + 2], sizes[4] + 3)] == [sizes[4]]


def test_a_copy_of_the_log_has_the_anchors(home: ArchiveHome, tmp_path: Path) -> None:
    grow(home)
    mirror(home.services.published, tmp_path / "copy")
    assert not (tmp_path / "copy" / "anchors").exists()
    home.services.anchors.anchor()
    mirror(home.services.published, tmp_path / "copy")
    grow(home)
    home.services.anchors.anchor()
    (folder_of(home) / ".x.tmp").write_bytes(b"left by a killed writer")
    mirror(home.services.published, tmp_path / "copy")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "copy" / "anchors").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in folder_of(home).iterdir() if path.name != ".x.tmp"}
    assert len(copied) == 6
    assert copied["issuers.pem"] == home.services.packager.chain_pem


def test_the_command_anchors_and_renews(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    size = grow(inside)
    told = json.loads(liuhen("log", "anchor", "--json").out)
    assert (told["made"], told["size"], told["file"]) == (True, size, f"log/anchors/{size}.tsr")
    assert "nothing new" in liuhen("log", "anchor").out
    assert "log/anchors/renewal-2.tsr" in liuhen("log", "anchor", "--renew").out
    flip(folder_of(inside) / "renewal-2.tsr")
    grow(inside)
    assert liuhen("log", "anchor").code == 0, "what was written is not read again; fsck finds it"


def test_the_monitor_judges_anchors_against_pinned_keys_and_what_was_seen(
    inside: ArchiveHome,  # noqa: F811
    liuhen: type_liuhen,  # noqa: F811
    tmp_path: Path,
) -> None:
    for _ in range(3):
        grow(inside)
        inside.services.anchors.anchor()
    inside.services.anchors.renew()
    copy, state = tmp_path / "copy", tmp_path / "seen.json"
    mirror(inside.services.published, copy)
    key = inside.path / "trust.txt"

    def monitored(*more: object) -> tuple[int, dict[str, list[str]]]:
        told = liuhen("log", "monitor", copy, *more, "--json")
        found: dict[str, list[str]] = {}
        for each in json.loads(told.out)["findings"]:
            found.setdefault(each["code"], []).append(each["where"])
        return told.code, found

    code, found = monitored("--key", key, "--state", state)
    assert (code, found["anchor.valid"]) == (2, ["anchors"]), "there was no earlier head"
    assert monitored("--key", key, "--state", state)[0] == 0
    assert "anchor.not_checked" in monitored()[1]
    kept = {path.name: path.read_bytes() for path in (copy / "anchors").iterdir()}
    sizes = [link.size for link in chain_of(inside) if link.kind == ANCHOR]
    for name in (f"{sizes[0]}.ckpt", f"{sizes[1]}.tsr", "renewal-4.tsr", "chain.jsonl"):
        flip(copy / "anchors" / name, at=len(kept[name]) // 3)
        code, found = monitored("--key", key)
        assert code == 1, name
        (copy / "anchors" / name).unlink()
        if name != "chain.jsonl":
            assert monitored("--key", key)[0] == 1, name
        (copy / "anchors" / name).write_bytes(kept[name])
    lines = kept["chain.jsonl"].splitlines(keepends=True)
    (copy / "anchors" / "chain.jsonl").write_bytes(b"".join(lines[:2]))
    assert monitored("--key", key)[1]["anchor.valid"] == ["anchors"], "that some were taken away shows to nobody new"
    code, found = monitored("--key", key, "--state", state)
    assert (code, "anchor.removed" in found) == (1, True)
    shutil.rmtree(copy / "anchors")
    assert "anchor.removed" in monitored("--key", key, "--state", state)[1]
