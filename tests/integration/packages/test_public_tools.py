"""The commands in VERIFY.txt, word for word, on packages out of a real archive: nothing of ours judges here.

Text and test cannot drift apart: what is run is read out of the package.
"""

import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.packages.guide import verify_txt
from tests.support.real_packages import RealArchive

OURS = ("python3 verify.py", "liuhen verify")


def commands(package: Path) -> list[str]:
    """Return the commands in VERIFY.txt, in their order: the lines that four blanks begin."""
    text = (package / "VERIFY.txt").read_text("utf-8").replace("\\\n", "")
    return [re.sub(" +", " ", line).strip() for line in text.splitlines() if line.startswith("    ")]


@pytest.fixture
def taken(real: RealArchive, exported: Path, tmp_path: Path) -> Path:
    """A package as somebody has it who took it away, with root and trust file from outside beside it."""
    shutil.copytree(exported, tmp_path / "case")
    shutil.copyfile(real.root, tmp_path / "root.pem")
    (tmp_path / "trust.txt").write_bytes(real.trust())
    return tmp_path / "case"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment with the system's programs and bagit.py, and no way to anything of ours."""
    place = tmp_path_factory.mktemp("bin")
    (place / "bagit.py").symlink_to(Path(sys.executable).with_name("bagit.py"))
    yield {"PATH": f"{place}:/usr/bin:/bin", "HOME": str(place), "LANG": "C.UTF-8"}


def run(command: str, package: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def failing(package: Path, environment: dict[str, str]) -> list[str]:
    """Return the commands that are not content with a package; pdfsig says it in words only."""
    found = []
    for command in commands(package):
        if command.startswith(OURS):
            continue
        done = run(command, package, environment)
        wanted = "Signature is Valid" in done.stdout and "Total document signed" in done.stdout
        if done.returncode != 0 or (command.startswith("pdfsig") and not wanted):
            found.append(command)
    return found


def test_the_text_names_every_means_there_is(taken: Path) -> None:
    told = commands(taken)
    assert [command.split()[0] for command in told if not command.startswith("openssl")] == [
        "grep", "sha256sum", "sha512sum", "sha256sum", "sha512sum", "bagit.py", "pdfsig", "python3", "liuhen",
    ]  # fmt: skip
    for name in ("sha256", "sha512"):
        signature = f"sig/tagmanifest-{name}.txt.p7s"
        assert any(command.startswith("openssl cms -verify") and f"-in {signature} " in command for command in told)
        assert any(command.startswith("openssl ts -verify") and f"-in {signature}.tsr " in command for command in told)
    kept = {path.relative_to(taken).as_posix() for path in taken.rglob("*") if path.is_file()}
    assert {path for path in kept if path.endswith((".tsr", ".crl"))} == {
        match[1] for command in told if (match := re.search(r"-in (\S+\.(?:tsr|crl))", command))
    }


def test_the_text_says_everything_in_both_languages(taken: Path) -> None:
    """Each numbered step begins in Chinese and goes on in English."""
    text = (taken / "VERIFY.txt").read_text("utf-8")
    steps = re.split(r"(?m)^(?=[0-9]\. )", text)[1:]
    assert [int(step[0]) for step in steps] == list(range(len(steps)))
    for step in steps:
        prose = "".join(line for line in step.splitlines() if not line.startswith("    "))
        assert len(re.findall("[\u4e00-\u9fff]", prose)) > 15
        assert len(re.findall("[A-Za-z]{3,}", prose)) > 15
    assert max(columns(line) for line in text.splitlines() if not line.startswith("    ")) <= 100


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_public_tools_are_content_with_a_real_package(taken: Path, programs: dict[str, str]) -> None:
    assert failing(taken, programs) == []


def test_another_root_than_the_trust_file_names_is_told(
    taken: Path, forger: RealArchive, programs: dict[str, str]
) -> None:
    shutil.copyfile(forger.root, taken.parent / "root.pem")
    assert commands(taken)[0].startswith("grep ")
    assert commands(taken)[0] in failing(taken, programs)


def test_the_verifier_that_came_along_judges_as_the_text_says(taken: Path, programs: dict[str, str]) -> None:
    [command] = [command for command in commands(taken) if command.startswith("python3 verify.py")]
    assert run(command, taken, programs).returncode == 2  # no copy of the log was given
    (taken / "data" / "list.pdf").unlink()
    assert run(command, taken, programs).returncode == 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("data/evidence/*/original/*.mp4", {"sha256sum", "sha512sum", "bagit.py"}),
        ("data/records/*/original/*.pdf", {"sha256sum", "sha512sum", "bagit.py"}),
        ("data/list.pdf", {"sha256sum", "sha512sum", "bagit.py", "pdfsig"}),
        ("proofs/checkpoint", {"sha256sum", "sha512sum", "bagit.py"}),
        ("manifest-sha256.txt", {"sha256sum", "sha512sum", "bagit.py"}),
        ("tagmanifest-sha256.txt", {"sha256sum", "openssl"}),
        ("sig/tagmanifest-sha512.txt.p7s", {"openssl"}),
    ],
)
def test_public_tools_find_one_flipped_bit(taken: Path, programs: dict[str, str], path: str, told: set[str]) -> None:
    flipped = max(taken.glob(path))
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped.write_bytes(raw)
    assert told <= {command.split()[0] for command in failing(taken, programs)}


def test_public_tools_do_not_take_forged_keys(
    taken: Path, forged: Path, tmp_path: Path, programs: dict[str, str]
) -> None:
    """The same case, made by the same program with other keys: the outside root tells, and nothing else can."""
    shutil.copytree(forged, tmp_path / "forged")
    refused = failing(tmp_path / "forged", programs)
    assert {" ".join(command.split()[:3]) for command in refused} >= {"openssl cms -verify", "openssl ts -verify"}
    # In step 0 the command compares root and trust file, both of which are from outside and true.
    assert all(command.startswith("openssl") for command in refused)


def test_a_package_without_timestamps_has_no_commands_about_them(tmp_path: Path) -> None:
    (tmp_path / "VERIFY.txt").write_bytes(verify_txt({"data/case.json"}, is_timestamped=False))
    told = commands(tmp_path)
    assert not any(command.startswith(("openssl ts", "openssl crl", "pdfsig")) for command in told)
    assert len([command for command in told if command.startswith("openssl cms")]) == 2
    assert sum("root.pem" in command for command in told) == 3
