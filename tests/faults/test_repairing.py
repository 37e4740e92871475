"""A check and a repair that are killed, or refused by the disk, at every step: damage never spreads, and it ends well.

A step is a moment before or after a commit, a write to a store, or a call into the file system. After each kill every
byte that was good is good still, in both places; the next try goes on, and in the end everything is whole and fsck has
nothing to say.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from archive.adapters.files_mender import FilesMender
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.wiring import Services
from retention.rounds.models import ORIGINALS
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, SteppedClock, clock, make_home
from tests.support.rounds import KINDS, copy_all, damage_rows, faults, folder_in, shown

__all__ = ["clock"]
_MOST_STEPS = 400


@pytest.fixture
def home(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, "", clock, copy_folder=tmp_path / "second", fixity_bytes_per_s=0, lock_days=3650)
    yield made
    made.services.close()


def check_and_repair(services: Services, object_id: ObjectId) -> None:
    """Read an object in both places and repair what is damaged, as a worker that comes back does: at once."""
    rounds = services.rounds
    rounds = replace(rounds, repairs=replace(rounds.repairs, again=timedelta(0)))
    for place in rounds.places.ids:
        rounds.ask([object_id], place=place)
    rounds.go_on(is_whole=True)


def two(home: ArchiveHome) -> tuple[ObjectId, ObjectId]:
    dock = home.dock()
    made = home.deliver(dock, b"film" * 1000, "a.mp4"), home.deliver(dock, b"other" * 900, "a.mp4")
    copy_all(home)
    return made


class Both:
    """What an object holds in both places; what was good must be so ever after."""

    def __init__(
        self, home: ArchiveHome, object_id: ObjectId, damage: Callable[[Path, Path], None], other: ObjectId, which: str
    ) -> None:
        self.home, self.object_id = home, object_id
        self.good = shown(home, object_id, ORIGINALS)
        damage(folder_in(home, object_id, which), folder_in(home, other, which))
        self.bad = {place: shown(home, object_id, place) for place in (ORIGINALS, "copy")}

    def assert_unspread(self) -> None:
        for place, before in self.bad.items():
            now = shown(self.home, self.object_id, place)
            for path, digest in now.items():
                assert digest in {self.good.get(path), before.get(path)}, f"{place} {path} is neither"
                assert digest == self.good.get(path) or before.get(path) != self.good.get(path), (
                    f"{place} {path} was good"
                )
            assert set(now) >= set(before) & set(self.good), f"something is gone in {place}"

    def assert_whole(self) -> None:
        for place in (ORIGINALS, "copy"):
            assert shown(self.home, self.object_id, place) == self.good
        assert self.home.services.objects.validate(self.object_id).outcome is Outcome.VALID
        assert {each.state for each in damage_rows(self.home)} == {"repaired"}
        self.home.sequence()
        assert faults(self.home) == set()


@pytest.mark.parametrize(("kind", "which"), [("rot", ORIGINALS), ("swap", ORIGINALS), ("lose_object", "copy")])
def test_killed_at_every_step_it_ends_well(home: ArchiveHome, kind: str, which: str) -> None:
    object_id, other = two(home)
    both = Both(home, object_id, KINDS[kind], other, which)
    kills = 0
    for at_step in range(1, _MOST_STEPS):
        if not run_killed(home.settings, check_and_repair, object_id, at_step=at_step):
            break
        kills += 1
        both.assert_unspread()
    else:
        raise AssertionError("it never came to its end")
    assert kills > 8
    check_and_repair(home.services, object_id)
    both.assert_whole()
    types = [each for each in home.types() if each.startswith("fixity.")]
    assert types.count("fixity.fail") == 1
    assert types.count("fixity.repaired") == 1


_CALLS = ("open", "mkdir", "link", "write", "fsync", "fchmod", "rename", "replace", "rmdir")


class Refused:
    """Lets the file system refuse the `at`-th call of those that a mender makes."""

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.count = at, error, 0

    def __enter__(self) -> Self:
        self.originals = {name: getattr(os, name) for name in _CALLS}
        self.mend, self.keep = FilesMender.mend, FilesMender._aside_from
        inside = [False]

        def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                if inside[0]:
                    self.count += 1
                    if self.count == self.at:
                        raise OSError(self.error, os.strerror(self.error))
                return original(*given, **named)

            return call

        def within(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                inside[0] = True
                try:
                    return original(*given, **named)
                finally:
                    inside[0] = False

            return call

        for name, original in self.originals.items():
            setattr(os, name, counting(name, original))
        FilesMender.mend, FilesMender._aside_from = within(self.mend), within(self.keep)  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self.originals.items():
            setattr(os, name, original)
        FilesMender.mend, FilesMender._aside_from = self.mend, self.keep  # type: ignore[method-assign]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_refused_by_the_disk_at_any_call_it_ends_well(home: ArchiveHome, error: int) -> None:
    object_id, other = two(home)
    both = Both(home, object_id, KINDS["lose_manifest"], other, "copy")
    refusals = 0
    for at in range(1, 2000):
        with Refused(at, error) as refused:
            check_and_repair(home.services, object_id)
        if refused.count < at:
            break
        refusals += 1
        both.assert_unspread()
        if all(each.state == "repaired" for each in damage_rows(home)):
            # A refusal that changed nothing in the end: damage it again, and refuse the next call.
            KINDS["lose_manifest"](folder_in(home, object_id, "copy"), folder_in(home, other, "copy"))
    assert refusals > 20
    check_and_repair(home.services, object_id)
    both.assert_whole()
    scratch = [path for path in (home.path.parent / "second" / "scratch").iterdir() if path.is_file()]
    assert scratch == []


def test_a_kill_while_reading_leaves_nothing(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    before = shown(home, object_id, ORIGINALS)
    for at_step in range(1, _MOST_STEPS):
        if not run_killed(home.settings, check_and_repair, object_id, at_step=at_step):
            break
    assert damage_rows(home) == []
    assert shown(home, object_id, ORIGINALS) == before
    home.sequence()
    assert faults(home) == set()
