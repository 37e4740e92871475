"""Two hosts whose own clocks differ, much or little, change the same rows: the log has them in the order they came in."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archive.cases.subjects import NewSubject, record_subject, update_subject
from archive.cases.terms import SubjectKind
from archive.kernel.ids import new_uuid7
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home

SECOND_NS = 1_000_000_000
NAMES = ("甲一", "甲二", "甲三", "甲四")


@pytest.fixture
def shared(postgres_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    home = make_home(tmp_path / "home", postgres_url, clock)
    with closing(home.services):
        yield home


@pytest.mark.service
@pytest.mark.parametrize("is_sequenced_between", [True, False], ids=["with a checkpoint between", "in one checkpoint"])
@pytest.mark.parametrize("apart_ns", [3600 * SECOND_NS, SECOND_NS // 2], ids=["an hour", "half a second"])
def test_fsck_goes_by_the_order_of_the_changes(
    shared: ArchiveHome, monkeypatch: pytest.MonkeyPatch, is_sequenced_between: bool, apart_ns: int
) -> None:
    at, true_ns = shared.clock.now, time.time_ns
    vault = shared.services.identifiers
    subject = record_subject(shared.database, vault, NewSubject("甲", SubjectKind.PERSON), by=OPERATOR, at=at())
    for step, name in enumerate(NAMES):
        off_ns = apart_ns if step % 2 == 0 else -apart_ns
        monkeypatch.setattr(time, "time_ns", lambda off_ns=off_ns: true_ns() + off_ns)
        new_uuid7()  # as a row of this host has one
        update_subject(shared.database, subject, name=name, by=OPERATOR, at=at())
        if is_sequenced_between:
            shared.sequence()
    monkeypatch.undo()
    shared.assert_sound()
    shared.sequence()
    shared.assert_sound()
