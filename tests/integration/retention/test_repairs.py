"""Damage of every kind, in either place: found, kept aside, repaired from the good copy, told, and never spread."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from archive.access.policy import Role
from archive.cli.main import run
from archive.doctor import examine
from archive.kernel.errors import StorageFull
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.entries import ARCHIVE
from archive.notify.notices import notices
from archive.ocfl.root import OcflRoot
from retention.rounds.checking import Rounds
from retention.rounds.models import ORIGINALS
from retention.rounds.places import CopySide
from retention.rounds.stops import damaged
from retention.stops import StopKind
from tests.support.archive_home import ArchiveHome, SteppedClock, flip, make_home
from tests.support.deployment import environment
from tests.support.rounds import (
    KINDS,
    ORIGINAL,
    after_a_period,
    copy_all,
    damage_rows,
    extend,
    faults,
    folder_in,
    go_on,
    kept,
    lose_inventories,
    lose_object,
    overwrite,
    rot,
    shown,
)

COPY = "copy"


@pytest.fixture
def home(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, "", clock, copy_folder=tmp_path / "second", fixity_bytes_per_s=0, lock_days=3650)
    yield made
    made.services.close()


@pytest.fixture
def alone(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    made = make_home(tmp_path, "", clock, fixity_bytes_per_s=0)
    yield made
    made.services.close()


def two(home: ArchiveHome) -> tuple[ObjectId, ObjectId]:
    dock = home.dock()
    made = home.deliver(dock, b"film" * 1000, "a.mp4"), home.deliver(dock, b"other" * 900, "a.mp4")
    copy_all(home)
    return made


def place_of(home: ArchiveHome, which: str) -> str:
    return ORIGINALS if which == ORIGINALS else home.services.rounds.places.ids[1]


def whole(home: ArchiveHome, object_id: ObjectId) -> bool:
    """Whether both copies are valid and the same, file by file."""
    both = [OcflRoot(home.services.stores.originals), home.services.copies.opened()]
    if any(objects.validate(object_id).outcome is not Outcome.VALID for objects in both):
        return False
    first, second = (shown(home, object_id, place) for place in (ORIGINALS, "copy"))
    return first == second


@pytest.mark.parametrize("which", [ORIGINALS, COPY])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_kept_aside_and_repaired(home: ArchiveHome, kind: str, which: str) -> None:
    object_id, other = two(home)
    before = shown(home, object_id, which)
    KINDS[kind](folder_in(home, object_id, which), folder_in(home, other, which))
    bad = set(shown(home, object_id, which).values()) - set(before.values())
    after_a_period(home)
    done = go_on(home.services)
    assert (done.damaged, done.whole) == (1, 3)
    (damage,) = damage_rows(home)
    good = place_of(home, COPY if which == ORIGINALS else ORIGINALS)
    assert (damage.state, damage.place, damage.good_place) == ("repaired", place_of(home, which), good)
    assert damage.object_id == object_id
    assert [each for each in home.types() if each.startswith("fixity.") and each != "fixity.ok"] == [
        "fixity.fail", "fixity.quarantined", "fixity.repaired",
    ]  # fmt: skip
    assert shown(home, object_id, which) == before, "the very files that were there"
    assert whole(home, object_id)
    aside = kept(home, damage.place) if home.settings.store == "files" or which == COPY else []
    if aside:
        assert bad <= {hashlib.sha256(path.read_bytes()).hexdigest() for path in aside}, "nothing damaged is lost"
    assert go_on(home.services).damaged == 0
    home.sequence()
    assert faults(home) == set()
    with home.database.read() as tx:
        assert damaged(tx, [object_id, other]) == {}


def test_neither_copy_is_good(home: ArchiveHome) -> None:
    object_id, other = two(home)
    places = (ORIGINALS, "copy")
    for at, place in enumerate(places):
        flip(folder_in(home, object_id, place) / ORIGINAL, at=at)
    before = {place: shown(home, object_id, place) for place in places}
    people = {role: home.person(role) for role in (Role.RECORDS_MANAGER, Role.OPERATOR, Role.AUDITOR, Role.OFFICER)}
    after_a_period(home)
    go_on(home.services)
    found = damage_rows(home)
    assert {(each.state, each.trouble) for each in found} == {("found", "fixity.no_good_copy")}
    assert len(found) == 2
    assert {place: shown(home, object_id, place) for place in places} == before, "both are kept"
    with home.database.read() as tx:
        stops = damaged(tx, [object_id, other])
    assert {stop.kind for stop in stops[object_id]} == {StopKind.DAMAGED}
    assert other not in stops
    doctor = {each.code: each.outcome for each in examine(home.services).findings}
    assert doctor["doctor.damage"] is Outcome.INVALID
    home.clock.step(timedelta(minutes=20))
    go_on(home.services)
    for role, person in people.items():
        with home.database.read() as tx:
            told = [row.kind for row in notices(tx, person.account_id).rows]
        expected = [] if role is Role.OFFICER else ["fixity.damaged", "fixity.unrepaired"]
        assert sorted(told) == expected, role
    home.clock.step(timedelta(days=2))
    flip(folder_in(home, object_id, "copy") / ORIGINAL, at=1)
    go_on(home.services)
    assert {each.state for each in damage_rows(home)} == {"repaired"}, "one is whole again, and mends the other"
    assert whole(home, object_id)
    home.sequence()
    assert faults(home) == set()


def test_one_copy_only_is_kept_as_it_is(alone: ArchiveHome) -> None:
    object_id = alone.deliver(alone.dock(), b"film" * 1000, "a.mp4")
    alone.sequence()
    rot(folder_in(alone, object_id, ORIGINALS), Path())
    before = shown(alone, object_id, ORIGINALS)
    after_a_period(alone)
    go_on(alone.services)
    (damage,) = damage_rows(alone)
    assert (damage.state, damage.trouble) == ("found", "fixity.no_second_copy")
    assert shown(alone, object_id, ORIGINALS) == before


class Rotting:
    """A store whose originals are other bytes from the second time on that they are opened: good when looked at."""

    def __init__(self, store: Any) -> None:
        self.store, self.opened = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def open(self, key: str, **how: Any) -> BinaryIO:
        if not key.endswith(ORIGINAL):
            return self.store.open(key, **how)  # type: ignore[no-any-return]
        self.opened += 1
        with self.store.open(key, **how) as source:
            data = bytearray(source.read())
        data[9] ^= self.opened > 1
        return io.BytesIO(bytes(data))


def with_copy(home: ArchiveHome, store: Any) -> Rounds:
    """The rounds of an archive whose copy is read through another store."""
    rounds = home.services.rounds
    side = rounds.places.copy
    assert side.opened is not None
    mender = side.opened()[1]
    places = replace(rounds.places, copy=CopySide(side.name, lambda: (store, mender), side.mended))
    return replace(rounds, places=places, repairs=replace(rounds.repairs, places=places))


def test_what_rots_while_it_is_taken_is_not_put_in_place(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    rot(folder_in(home, object_id, ORIGINALS), Path())
    before = shown(home, object_id, ORIGINALS)
    rounds = with_copy(home, Rotting(home.services.copies.target()))
    after_a_period(home)
    rounds.go_on(is_whole=True)
    (damage,) = [each for each in damage_rows(home) if each.place == ORIGINALS]
    assert (damage.state, damage.trouble) == ("quarantined", "mending.wrong_bytes")
    assert shown(home, object_id, ORIGINALS) == before, "nothing was put over anything"
    home.clock.step(timedelta(hours=2))
    go_on(home.services)
    assert {each.state for each in damage_rows(home)} == {"repaired"}
    assert whole(home, object_id)
    home.sequence()
    assert faults(home) == set()


class Full(Rotting):
    """A store that has no room."""

    def replace_if(self, key: str, data: bytes, *, expected_sha512: str | None) -> None:
        raise StorageFull


class FullMender:
    """A mender that has no room."""

    def __init__(self, mender: Any) -> None:
        self.mender = mender

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mender, name)

    def mend(self, *_: Any, **__: Any) -> None:
        raise StorageFull


def test_a_full_disk_leaves_what_the_next_try_goes_on_from(home: ArchiveHome) -> None:
    object_id, other = two(home)
    KINDS["swap"](folder_in(home, object_id, ORIGINALS), folder_in(home, other, ORIGINALS))
    rounds = home.services.rounds
    full = replace(rounds.places.originals, mender=FullMender(rounds.places.originals.mender))
    repairs = replace(rounds.repairs, places=replace(rounds.places, originals=full))
    after_a_period(home)
    replace(rounds, repairs=repairs).go_on(is_whole=True)
    (damage,) = damage_rows(home)
    assert (damage.state, damage.trouble) == ("quarantined", "store.full")
    assert rounds.repairs.repair(damage.id) is False, "it was tried just now"
    assert rounds.repairs.repair(damage.id, is_asked=True, by=ARCHIVE)
    assert whole(home, object_id)
    home.sequence()
    assert faults(home) == set()


class Unreadable(Rotting):
    """A store one of whose originals cannot be read."""

    def __init__(self, store: Any, object_id: ObjectId) -> None:
        super().__init__(store)
        self.object_id = object_id

    def open(self, key: str, **how: Any) -> BinaryIO:
        if key.endswith(ORIGINAL) and str(self.object_id) in key:
            raise OSError(5, "Input/output error")
        return self.store.open(key, **how)  # type: ignore[no-any-return]


def test_what_cannot_be_read_three_times_is_damaged(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    rounds = home.services.rounds
    originals = replace(rounds.places.originals, store=Unreadable(home.services.stores.originals, object_id))
    places = replace(rounds.places, originals=originals)
    rounds = replace(rounds, places=places, repairs=replace(rounds.repairs, places=places))
    after_a_period(home)
    for tries in range(1, 4):
        assert damage_rows(home) == []
        done = rounds.go_on(is_whole=True)
        assert done.unread == 1
        assert rounds.go_on(is_whole=True).unread == 0, "it is tried again in an hour"
        assert home.count("fixity_check", f"tries = {tries}") == (1 if tries < 3 else 0)
        home.clock.step(timedelta(minutes=61))
    (damage,) = damage_rows(home)
    assert "fixity.unreadable" in damage.findings
    assert damage.state != "repaired"
    go_on(home.services)
    (damage,) = damage_rows(home)
    assert damage.state == "repaired", "the disk gives it again"


def test_a_version_that_was_added_is_not_lost_by_a_repair(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    extend(home, object_id)
    rot(folder_in(home, object_id, ORIGINALS), Path())
    after_a_period(home)
    go_on(home.services)
    (damage,) = damage_rows(home)
    assert damage.state == "repaired", "what the copy has is enough"
    assert home.services.objects.read_inventory(object_id).head == 2
    copy_all(home)
    assert whole(home, object_id)
    extend(home, object_id, "extended/2.txt")
    lose_object(folder_in(home, object_id, ORIGINALS), Path())
    go_on(home.services)
    home.services.rounds.ask([object_id], place=ORIGINALS)
    go_on(home.services)
    damage = damage_rows(home)[-1]
    assert (damage.state, damage.trouble) == ("found", "fixity.copy_behind"), "the copy waits for the third version"


def test_without_inventories_what_is_whole_is_not_put_again(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    folder = folder_in(home, object_id, ORIGINALS)
    if home.settings.store == "files":
        inode = (folder / ORIGINAL).stat().st_ino
    lose_inventories(folder, Path())
    after_a_period(home)
    go_on(home.services)
    assert [each.state for each in damage_rows(home)] == ["repaired"]
    if home.settings.store == "files":
        assert (folder / ORIGINAL).stat().st_ino == inode
    assert whole(home, object_id)


def test_strangers_in_an_object(home: ArchiveHome) -> None:
    object_id, _ = two(home)
    stranger = folder_in(home, object_id, ORIGINALS) / "v1/content/original/b.mp4"
    overwrite(stranger, b"nobody knows me")
    after_a_period(home)
    go_on(home.services)
    (damage,) = damage_rows(home)
    if home.settings.store == "files":
        assert damage.state == "repaired"
        assert [path.read_bytes() for path in kept(home, ORIGINALS)] == [b"nobody knows me"]
        assert not stranger.exists()
        home.sequence()
        assert faults(home) == set()
    else:
        assert (damage.state, damage.trouble) == ("quarantined", "fixity.stray_file")


def test_the_commands(
    home: ArchiveHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    object_id, _ = two(home)
    given = {
        **environment(home.settings), "LIUHEN_COPY_FOLDER": str(home.settings.copy_folder), "LIUHEN_FIXITY_BYTES_PER_S": "0",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def told(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(["fixity", *words])
        out = capsys.readouterr().out
        return code, json.loads(out) if out.startswith("{") else out

    assert told("status", "--json")[0] == 0
    code, found = told("run", "--all", "--json")
    assert (code, [place["checked"] for place in found["places"]]) == (0, [2, 2])
    for place in (ORIGINALS, "copy"):
        rot(folder_in(home, object_id, place), Path())
    code, out = told("run", str(object_id))
    assert code == 1
    assert "2 damaged" in out
    assert told("status")[0] == 1
    rot(folder_in(home, object_id, "copy"), Path())
    code, found = told("repair", "--json")
    assert (code, found) == (0, {"repaired": 2, "left": []})
    assert told("report", "2099-01")[0] == 66
    assert told("report", "2099-01", "--make")[0] == 64, "the month is not over"
    assert told("report", "yesterday")[0] == 64
    assert told("report", "2020-01", "--make", "--save", str(tmp_path))[0] == 0
    assert json.loads((tmp_path / "fixity-2020-01.json").read_text())["month"] == "2020-01"
