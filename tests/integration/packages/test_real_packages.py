"""Packages out of a real archive, judged by `liuhen verify` and by the verify.py that came along, both as commands.

verify.html on the same packages: tests/e2e/test_verify_page.py.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.packages.test_verifiers import oldest_python
from tests.support.package_faults import INVALID, OPEN, VALID, by_liuhen, by_verify_py, outline
from tests.support.real_packages import RealArchive, entry_types, real_archive

_ASKED_OF_KEYS = {
    "signature.untrusted", "timestamp.untrusted", "checkpoint.signer_not_established", "checkpoint.no_quorum_asked",
}  # fmt: skip


@pytest.fixture
def taken(real: RealArchive, exported: Path, tmp_path: Path) -> Path:
    """A package as somebody has it who took it away, with what the archive publishes beside it."""
    shutil.copytree(exported, tmp_path / "case")
    (tmp_path / "trust.txt").write_bytes(real.trust())
    real.mirror(tmp_path / "log")
    return tmp_path / "case"


def _judge(package: Path, *arguments: str | Path) -> list[tuple[int, dict]]:
    """Exit code and report of both commands."""
    told = []
    for command in (
        [sys.executable, "-m", "archive.cli", "verify", package, *arguments, "--json"],
        [oldest_python(), "-I", package / "verify.py", package, *arguments, "--json"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told.append((done.returncode, json.loads(done.stdout)))
    return told


def _keys(package: Path) -> list[str | Path]:
    return ["--key", package.parent / "trust.txt", "--log", package.parent / "log"]


def test_a_real_package_is_valid_under_the_trust_file_from_outside(taken: Path) -> None:
    assert {"object.preserved", "record.filed", "derivative.created", "case.link"} <= set(entry_types(taken))
    for code, report in _judge(taken, *_keys(taken)):
        assert [each for each in report["findings"] if each["outcome"] != VALID] == []
        assert (code, report["outcome"], report["unaltered"], report["complete"]) == (0, VALID, VALID, VALID)
        kept = {each["where"] for each in report["findings"] if each["code"] == "package.object_valid"}
        assert len(kept) == 4
        assert any(path.startswith("data/records/") for path in kept)


def test_without_it_the_signer_is_not_established(taken: Path) -> None:
    for code, report in _judge(taken, "--log", taken.parent / "log"):
        assert (code, report["outcome"]) == (2, OPEN)
        left_open = {each["code"] for each in report["findings"] if each["outcome"] != VALID}
        assert left_open - {"anchor.not_checked"} == _ASKED_OF_KEYS


@pytest.mark.parametrize(
    "path",
    ["data/evidence/*/original/*.mp4", "data/records/*/original/*.pdf", "data/renditions/*/playable.mp4", "data/list.pdf",
     "data/events/premis.xml", "proofs/entries/*.json", "VERIFY.txt", "verify.html"],
)  # fmt: skip
def test_one_flipped_bit_is_found_and_the_file_named(taken: Path, path: str) -> None:
    flipped = max(taken.glob(path))
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped.write_bytes(raw)
    where = flipped.relative_to(taken).as_posix()
    for code, report in _judge(taken, *_keys(taken)):
        assert (code, report["unaltered"]) == (1, INVALID)
        assert where in {each["where"] for each in report["findings"] if each["code"] == "package.file_altered"}


@pytest.mark.long("a second archive, forged")
def test_the_same_case_out_of_a_forged_archive_is_not_valid(
    taken: Path, forged: Path, forger: RealArchive, tmp_path: Path
) -> None:
    """Everything is made anew by the same program with other keys: nothing but the keys can tell."""
    shutil.copytree(forged, tmp_path / "forged")
    own = tmp_path / "own"
    own.mkdir()
    (own / "trust.txt").write_bytes(forger.trust())
    for code, report in _judge(tmp_path / "forged", "--key", own / "trust.txt", "--log", forger.mirror(own / "log")):
        assert (code, report["outcome"]) == (0, VALID)
    for code, report in _judge(tmp_path / "forged", *_keys(taken)):
        assert (code, report["unaltered"]) == (1, INVALID)
        told = {each["code"] for each in report["findings"]}
        assert {"checkpoint.signer_unknown", "signature.untrusted", "timestamp.untrusted"} <= told


def test_each_kind_of_object_is_preserved_by_its_own_type_of_entry(real: RealArchive, taken: Path) -> None:
    """An item that was only filed, or a record that an intake preserved, is not what the archive does."""
    case = json.loads((taken / "data" / "case.json").read_bytes())
    for one in case["objects"]:
        one["kind"] = {"item": "record", "record": "item"}[one["kind"]]
        folder = {"item": "evidence", "record": "records"}[one["kind"]]
        old, one["path"] = one["path"], f"data/{folder}/{one['id']}/original/{Path(one['path']).name}"
        (taken / one["path"]).parent.mkdir(parents=True)
        (taken / old).rename(taken / one["path"])
    told = json.dumps(case, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (taken / "data" / "case.json").write_text(told, "utf-8")
    real.seal(taken)
    ours, alone = by_liuhen(taken, real.trust()), by_verify_py(taken, real.trust())
    assert outline(ours) == outline(alone)
    for report in (ours, alone):
        wrong = [each for each in report["findings"] if each["code"] == "package.object_differs"]
        assert {each["where"] for each in wrong} == {one["path"] for one in case["objects"]}
    told = [each["message"] for each in ours["findings"] if each["code"] == "package.object_differs"]
    assert all("0 entries say that it was preserved" in each for each in told)


def test_a_package_is_valid_whatever_database_it_came_from(database_url: str, tmp_path: Path) -> None:
    with real_archive(tmp_path / "archive", database_url) as archive:
        package = archive.package(tmp_path / "case")
        archive.home.sequence()
        early = archive.package(tmp_path / "early")
        archive.settle()
        later = archive.package(tmp_path / "later")
        log = archive.mirror(tmp_path / "log")
        reports = [
            judge(each, archive.trust(), log) for each in (package, early, later) for judge in (by_liuhen, by_verify_py)
        ]
    assert {report["outcome"] for report in reports} == {VALID}
    # A checkpoint that no witness has seen yet does not count: the package stays at the one before.
    assert checkpoint_size(package) == checkpoint_size(early) < checkpoint_size(later)


def checkpoint_size(package: Path) -> int:
    return int((package / "proofs" / "checkpoint").read_text().splitlines()[1])
