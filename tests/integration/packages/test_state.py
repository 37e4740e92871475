"""`--state`: a run goes on where an earlier one stopped, and believes no more than was read."""

import datetime as dt
import os
from datetime import UTC
from pathlib import Path

import pytest

from archive.ledger.trustfile import TrustFile
from archive.packages.verification.check import Given, check_package
from archive.packages.verification.findings import PackageReport
from archive.packages.verification.hashing import StateMisplaced
from tests.support.packages import House


def _check(package: Path, house: House, state: Path) -> PackageReport:
    given = Given(trust=TrustFile.parse(house.trust()), state=state)
    return check_package(package, given=given, now=dt.datetime.now(UTC))


def _remembered(report: PackageReport) -> set[str]:
    return {each.where for each in report.findings if "earlier run" in each.message}


def test_a_second_run_compares_what_the_first_has_read(house: House, package: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first, second = _check(package, house, state), _check(package, house, state)
    assert _remembered(first) == set()
    assert len(_remembered(second)) == sum(each.code == "package.file_valid" for each in first.findings)
    assert [each.code for each in first.findings] == [each.code for each in second.findings]


def test_a_file_that_changed_is_read_again(house: House, package: Path, tmp_path: Path) -> None:
    state, victim = tmp_path / "state", package / "data" / "list.pdf"
    _check(package, house, state)
    before = victim.stat()
    victim.write_bytes(victim.read_bytes()[::-1])
    # The time of the content can be set back, that of the inode cannot.
    os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = _check(package, house, state)
    assert {each.where for each in report.findings if each.code == "package.file_altered"} == {"data/list.pdf"}


def test_what_was_wrong_stays_wrong(house: House, package: Path, tmp_path: Path) -> None:
    (package / "data" / "list.pdf").write_bytes(b"x")
    state = tmp_path / "state"
    assert [_check(package, house, state).outcomes[0].value for _ in range(2)] == ["invalid", "invalid"]


def test_lines_that_a_crash_cut_short_do_not_count(house: House, package: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    _check(package, house, state)
    state.write_bytes(state.read_bytes()[:-40] + b"\n{}\n[1]\n\xff\n")
    report = _check(package, house, state)
    assert report.outcomes[0].value == "valid"
    assert 0 < len(_remembered(report)) < sum(each.code == "package.file_valid" for each in report.findings)


def test_the_state_of_another_copy_is_not_believed(house: House, package: Path, whole: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    _check(whole, house, state)
    assert _remembered(_check(package, house, state)) == set()


def test_a_state_in_the_package_is_refused(house: House, package: Path) -> None:
    with pytest.raises(StateMisplaced):
        _check(package, house, package / "state")
