"""`liuhen verify` and `verify.py` on good packages and on everything that may be wrong with one: both say the same."""

import functools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from archive.kernel.errors import InvalidInput
from archive.ledger.keykinds import MLDSA44, cosigned_tree
from archive.ledger.note import VerifierKey
from archive.ledger.trustfile import TrustFile
from archive.packages.verifier import verify, verify_py
from tests.support.package_faults import (
    FAULTS,
    INVALID,
    OPEN,
    VALID,
    Fault,
    by_liuhen,
    by_verify_py,
    missing_from,
    outline,
)
from tests.support.packages import House, b64


@functools.cache
def oldest_python() -> str:
    """Return the oldest Python from 3.9 on that runs here, at worst this one."""
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.9.*/bin/python3.9"))
    for place in (*map(str, kept), shutil.which("python3.9"), shutil.which("python3.10")):
        if place and subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0:
            return place
    return sys.executable


def _liuhen(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archive.cli", "verify", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _alone(folder: Path, arguments: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run verify.py as it travels: from a package, in another Python, with nothing of ours on its path."""
    (folder / "verify.py").write_bytes(verify_py())
    command = [oldest_python(), folder / "verify.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_good_package_is_valid_for_both(house: House, package: Path, log: Path) -> None:
    trust = house.trust()
    ours, theirs = by_liuhen(package, trust, log), by_verify_py(package, trust, log)
    assert outline(ours) == outline(theirs)
    assert (ours["outcome"], ours["unaltered"], ours["complete"]) == (VALID, VALID, VALID)
    assert ours["up_to"] == {"size": len(house.entries), "time": "2026-11-29T07:59:59.000000Z"}
    found = {each["code"] for each in ours["findings"]}
    assert found == {
        "package.structure_valid", "package.file_valid", "signature.valid", "timestamp.valid", "package.object_valid",
        "proof.inclusion_valid", "checkpoint.signature_valid", "checkpoint.quorum_valid", "anchor.valid",
        "package.complete",
    }  # fmt: skip


def test_without_a_key_from_outside_nothing_is_valid(package: Path, log: Path) -> None:
    ours, theirs = by_liuhen(package, None, log), by_verify_py(package, None, log)
    assert outline(ours) == outline(theirs)
    assert ours["outcome"] == ours["unaltered"] == OPEN
    assert "checkpoint.signer_not_established" in {each["code"] for each in ours["findings"]}


@pytest.mark.parametrize(
    ("options", "left_open"),
    [
        ({"quorum": False}, {"checkpoint.no_quorum_asked"}),
        ({"roots": False}, {"signature.untrusted", "timestamp.untrusted", "anchor.not_checked"}),
    ],
)
def test_what_the_trust_file_does_not_say_stays_open(
    house: House, package: Path, log: Path, options: dict[str, bool], left_open: set[str]
) -> None:
    trust = house.trust(**options)
    ours, theirs = by_liuhen(package, trust, log), by_verify_py(package, trust, log)
    assert outline(ours) == outline(theirs)
    assert {each["code"] for each in ours["findings"] if each["outcome"] == OPEN} == left_open
    assert ours["outcome"] == OPEN


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_found_by_both_in_the_same_words(house: House, package: Path, log: Path, fault: Fault) -> None:
    fault.make(package, house)
    ours, theirs = by_liuhen(package, house.trust(), log), by_verify_py(package, house.trust(), log)
    assert missing_from(ours, fault) == []
    assert ours["outcome"] == fault.outcome
    assert outline(ours) == outline(theirs)


def test_a_random_change_has_the_same_outcome_in_both(house: House, package: Path, log: Path) -> None:
    chance = random.Random(20261129)
    paths = sorted(path for path in package.rglob("*") if path.is_file())
    for _ in range(60):
        path = chance.choice(paths)
        raw = path.read_bytes()
        changed = bytearray(raw)
        for _ in range(chance.choice((1, 1, 3))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        ours, theirs = by_liuhen(package, house.trust(), log), by_verify_py(package, house.trust(), log)
        path.write_bytes(raw)
        where = path.relative_to(package).as_posix()
        assert outline(ours) == outline(theirs), where
        named = {each["where"] for each in ours["findings"] if each["outcome"] == INVALID}
        # A tag manifest is named by its signature.
        assert changed == raw or named & {where, f"sig/{where}.p7s"}


def test_a_copy_of_another_log_leaves_completeness_open(house: House, package: Path, tmp_path: Path) -> None:
    other = House.make(77).mirror(tmp_path / "log")
    ours, theirs = by_liuhen(package, house.trust(), other), by_verify_py(package, house.trust(), other)
    assert outline(ours) == outline(theirs)
    assert (ours["unaltered"], ours["complete"]) == (VALID, OPEN)


@pytest.mark.parametrize("harm", ["short", "missing"])
def test_a_damaged_copy_of_the_log_leaves_completeness_open(
    house: House, package: Path, tmp_path: Path, harm: str
) -> None:
    copy = house.mirror(tmp_path / "log")
    bundle = copy / "tile" / "entries" / "000"
    if harm == "short":
        bundle.write_bytes(bundle.read_bytes()[:-9])
    else:
        bundle.unlink()
    ours, theirs = by_liuhen(package, house.trust(), copy), by_verify_py(package, house.trust(), copy)
    assert outline(ours) == outline(theirs)
    assert ours["complete"] == OPEN


# ---- as commands ------------------------------------------------------------------------------------------------------


def test_the_command_has_three_exit_codes_and_json(house: House, package: Path, log: Path, tmp_path: Path) -> None:
    trust = tmp_path / "trust.txt"
    trust.write_bytes(house.trust())
    whole = _liuhen(package, "--key", trust, "--log", log, "--json")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert json.loads(whole.stdout)["outcome"] == VALID
    assert _liuhen(package, "--key", trust).returncode == 2
    (package / "data" / "list.pdf").write_bytes(b"x")
    altered = _liuhen(package, "--key", trust, "--log", log)
    assert altered.returncode == 1
    assert "data/list.pdf  [package.file_altered]" in altered.stderr
    assert _liuhen(tmp_path / "nothing").returncode >= 64
    trust.write_bytes(b"log nobody\n")
    assert _liuhen(package, "--key", trust).returncode >= 64
    assert _liuhen(trust).returncode >= 64, "a recording without its receipt"


def test_verify_py_runs_alone_in_an_old_python(house: House, package: Path, log: Path, tmp_path: Path) -> None:
    trust = tmp_path / "trust.txt"
    trust.write_bytes(house.trust())
    (package / "verify.py").write_bytes(verify_py())
    house.seal(package)
    told = _alone(package, ["--key", trust, "--log", log, "--json"])
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["outcome"] == VALID
    chinese = _alone(package, [package], LANG="zh_CN.UTF-8", LC_ALL="")
    assert chinese.returncode == 2
    assert "签名者未确认" in chinese.stdout
    (package / "data" / "list.pdf").write_bytes(b"x")
    english = _alone(package, ["--key", trust, "--lang", "en"])
    assert english.returncode == 1
    assert "data/list.pdf: The file is not the one that is listed." in english.stdout
    assert _alone(package, ["--key", tmp_path / "nothing"]).returncode == 66
    assert _alone(package, ["--wrong"]).returncode == 64


def test_verify_py_without_openssl_says_not_checked(house: House, package: Path, log: Path, tmp_path: Path) -> None:
    trust = tmp_path / "trust.txt"
    trust.write_bytes(house.trust())
    (package / "verify.py").write_bytes(verify_py())
    house.seal(package)
    told = _alone(package, ["--key", trust, "--log", log, "--json"], PATH=str(tmp_path))
    report = json.loads(told.stdout)
    codes = {each["code"] for each in report["findings"] if each["outcome"] == OPEN}
    assert codes == {"signature.not_checked", "timestamp.not_checked", "anchor.not_checked"}
    assert (told.returncode, report["complete"]) == (2, VALID)


def test_verify_py_takes_nothing_from_the_package(house: House, package: Path, tmp_path: Path) -> None:
    """Neither a module nor a program that lies in the package is run."""
    ran = tmp_path / "ran"
    (package / "json.py").write_text(f"open({str(ran)!r}, 'w')\n")
    program = package / "openssl"
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 0\n")
    program.chmod(0o755)
    told = _alone(package, ["--json"], PATH=f"{package}:.")
    assert json.loads(told.stdout)["outcome"] == INVALID
    assert not ran.exists()


def test_pipes_and_devices_are_refused_and_not_read(house: House, package: Path) -> None:
    (package / "data" / "list.pdf").unlink()
    os.mkfifo(package / "data" / "list.pdf")
    ours, theirs = by_liuhen(package, house.trust()), by_verify_py(package, house.trust())
    assert outline(ours) == outline(theirs)
    assert ("package.path_refused", INVALID, "data/list.pdf") in outline(ours)[2]


def test_the_module_is_the_file_that_travels() -> None:
    assert Path(verify.__file__).read_bytes() == verify_py()


# ---- the trust file ---------------------------------------------------------------------------------------------------


def _with_mldsa_witness(house: House, package: Path) -> bytes:
    """Have a witness with an ML-DSA-44 key cosign too; return a trust file whose quorum rests on it."""
    private = MLDSA44PrivateKey.generate()
    key = VerifierKey("witness9.example", private.public_key().public_bytes_raw(), MLDSA44)
    note = (package / "proofs" / "checkpoint").read_bytes()
    text = note.partition(b"\n\n")[0].decode() + "\n"
    message = cosigned_tree(key.name, text, 1_700_000_000)
    assert message is not None
    signed = key.key_id + (1_700_000_000).to_bytes(8, "big") + private.sign(message)
    (package / "proofs" / "checkpoint").write_bytes(note + f"\N{EM DASH} {key.name} {b64(signed)}\n".encode())
    house.seal(package)
    lines = house.trust().decode().replace("quorum both\n", f"witness m {key}\ngroup three all both m\nquorum three\n")
    return lines.encode()


def test_a_cosignature_that_only_one_can_check_is_valid_for_that_one_only(
    house: House, package: Path, log: Path
) -> None:
    trust = _with_mldsa_witness(house, package)
    assert by_liuhen(package, trust, log)["outcome"] == VALID
    alone = by_verify_py(package, trust, log)
    assert {each["code"] for each in alone["findings"] if each["outcome"] != VALID} == {"checkpoint.quorum_not_checked"}
    assert alone["outcome"] == OPEN
    # Where nobody of that name and key has signed at all, nothing is left open.
    (package / "proofs" / "checkpoint").write_bytes(house.checkpoint())
    house.seal(package)
    assert [report(package, trust, log)["outcome"] for report in (by_liuhen, by_verify_py)] == [INVALID, INVALID]


_LOG, _WITNESS, _SECOND = (House.make(1).log, *House.make(1).witnesses)


@pytest.mark.parametrize(
    ("lines", "is_good"),
    [
        ([f"log {_LOG.vkey}"], True),
        ([], False),
        ([f"log {_WITNESS.vkey}"], False),
        ([f"log {_LOG.vkey}", f"log {_LOG.vkey}"], False),
        ([f"log {_LOG.vkey} https://example.org more"], False),
        ([f"log {_LOG.vkey}x"], False),
        ([f"  log\t{_LOG.vkey} https://example.org", "", "# a comment"], True),
        ([f"log {_LOG.vkey}\r"], False),
        ([f"log {_LOG.vkey}", f"receipt {_LOG.vkey}"], False),
        ([f"log {_LOG.vkey}", f"receipt {House.make(1).receipt.vkey}"], True),
        ([f"log {_LOG.vkey}", f"witness none {_WITNESS.vkey}"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", f"witness a {_SECOND.vkey}"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", f"witness b {_WITNESS.vkey}"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g 1 a", "quorum g"], True),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g 01 a"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g 2 a"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g 0 a"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g any a", "group h any a"], False),
        ([f"log {_LOG.vkey}", f"witness a {_WITNESS.vkey}", "group g any a a"], False),
        ([f"log {_LOG.vkey}", "quorum a", f"witness a {_WITNESS.vkey}"], False),
        ([f"log {_LOG.vkey}", "quorum none"], True),
        ([f"log {_LOG.vkey}", "quorum none", "quorum none"], False),
        ([f"log {_LOG.vkey}", "root sha256:" + "0" * 64], True),
        ([f"log {_LOG.vkey}", "root " + "0" * 64], False),
        ([f"log {_LOG.vkey}", "root sha256:" + "A" * 64], False),
        ([f"log {_LOG.vkey}", "trust me"], False),
    ],
)
def test_all_read_a_trust_file_alike(lines: list[str], is_good: bool) -> None:
    raw = "".join(f"{line}\n" for line in lines).encode()
    if is_good:
        TrustFile.parse(raw)
        verify.Trust(raw)
        return
    with pytest.raises(InvalidInput):
        TrustFile.parse(raw)
    with pytest.raises(verify.Malformed):
        verify.Trust(raw)
