"""Whatever strangers do, a browser that the account knows gets in; whatever they do, they guess at a slow rate."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.access.attempts import FREE_ATTEMPTS_OF_ALL, SLOW_RATE, TooManyAttempts, tidy_attempts
from archive.access.browsers import Origin
from archive.access.sessions import SignInRefused
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.signing_in import WRONG, enter, known, make


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveHome]:
    base: Path = tmp_path_factory.mktemp("attempts")
    made = make_home(base, f"sqlite+pysqlite:///{base / 'test.sqlite3'}")
    yield made
    made.services.close()


# Seconds to wait before an attempt, and the network that it comes from.
acts = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12)), min_size=1, max_size=120)
_numbers = iter(range(1_000_000))


@settings(max_examples=15)
@given(acts=acts, own=st.integers(0, 12))
def test_strangers_hold_up_strangers_only_and_guess_slowly(
    home: ArchiveHome, acts: list[tuple[int, int]], own: int
) -> None:
    name = f"person{next(_numbers)}"
    make(home, name)
    marks = known(home, enter(home, name)).marks
    checked: list[datetime] = []
    for wait_s, network in acts:
        home.clock.step(timedelta(seconds=wait_s))
        at = home.clock.now()
        try:
            enter(home, name, WRONG, Origin(network=f"10.0.{network}.0/24"))
        except SignInRefused:
            checked.append(at)
        except TooManyAttempts as slowed:
            assert 1 <= slowed.facts["retry_after_s"] <= 301
        assert enter(home, name, origin=Origin(network=f"10.0.{own}.0/24", marks=marks))
    # Beyond the free ones, each guess has waited for the one before it.
    late = checked[FREE_ATTEMPTS_OF_ALL:]
    assert all(later - earlier >= SLOW_RATE for earlier, later in itertools.pairwise(late))
    tidy_attempts(home.database, at=home.clock.now() + timedelta(days=2))
