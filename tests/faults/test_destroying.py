"""Destroying an object, killed at each step and with stores that fail at each call: it goes on, and never ends half."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.s3_store import S3Store
from archive.kernel.findings import Outcome
from archive.kernel.ids import DispositionId, ObjectId
from archive.kernel.instants import Instant
from archive.ports.blobs import BlobLocked, StoreUnavailable
from retention.disposition.terms import ItemState, ListState
from tests.support.archive_crash import certify, destroy, dispose, each_step, run_killed
from tests.support.archive_home import ArchiveHome, SteppedClock, deliver, make_home
from tests.support.disposals import Disposal, new_disposal
from tests.support.due import due

__all__ = ["deliver"]
_MOST = 200
_AT_ONCE = 20
"""Recordings that are made when the last of those before is used up."""


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def home(database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive with a second copy."""
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, database_url, clock, copy_folder=tmp_path / "second")
    yield made
    made.services.close()


@pytest.fixture
def dock(home: ArchiveHome) -> Any:
    return home.dock()


@pytest.fixture
def disposal(home: ArchiveHome) -> Disposal:
    return new_disposal(home)


class Doomed:
    """Recordings, each with its copy and something made from it, on lists that are being carried out."""

    def __init__(self, disposal: Disposal, deliver: Callable[..., ObjectId]) -> None:
        self.disposal, self.home, self._deliver = disposal, disposal.home, deliver
        self.lists: list[DispositionId] = []
        self._left: list[ObjectId] = []
        self._count = 0

    def recording(self) -> tuple[DispositionId, ObjectId]:
        """Return the next one, whole as yet, and its list."""
        if not self._left:
            self._begin_list()
        return self.lists[-1], self._left.pop(0)

    def _begin_list(self) -> None:
        for _ in range(_AT_ONCE):
            self._count += 1
            object_id = self._deliver(f"recording {self._count}".encode(), f"{self._count}.mp4")
            self.home.services.stores.renditions.put_once(f"{object_id}/poster.jpg", io.BytesIO(b"a picture"))
            self._left.append(object_id)
        self.home.sequence()
        while self.home.services.copies.copy_some():
            pass
        due(self.home, *self._left)
        list_id = self.disposal.agreed()
        self.home.services.dispositions.carrier._start(self.disposal.row(list_id), lambda _: None)
        assert self.disposal.state(list_id) is ListState.DESTROYING
        self.lists.append(list_id)

    def finish(self) -> None:
        """Carry the lists out to their certificates; everything balances, and nothing is wrong anywhere."""
        self.disposal.work()
        for list_id in self.lists:
            row = self.disposal.row(list_id)
            assert (row.state, row.trouble) == (ListState.CERTIFIED.value, None)
            assert row.balance is not None
            assert row.balance["holds"]
            assert row.balance["objects"] == {"before": _AT_ONCE, "destroyed": _AT_ONCE, "left": 0}
            told = row.balance["stores"]
            assert told["originals"]["destroyed"] == told["copy"]["destroyed"]
            assert told["renditions"]["destroyed"]["files"] == _AT_ONCE
        self.home.assert_sound()
        self.home.assert_journal_sound()
        assert self.home.services.objects.repair().broken == []


@pytest.fixture
def doomed(disposal: Disposal, deliver: Callable[..., ObjectId]) -> Doomed:
    return Doomed(disposal, deliver)


def assert_nothing_wrong(home: ArchiveHome) -> None:
    """What broke off is told, and is not wrong; what was not begun is whole."""
    assert [fault for fault in home.faults() if fault.outcome is Outcome.INVALID] == []


def is_gone(disposal: Disposal, list_id: DispositionId, object_id: ObjectId) -> bool:
    extents = disposal.home.services.dispositions.carrier.destroyer.stores.extents(object_id)
    is_empty = not any(each.files for each in extents.values())
    (item,) = [each for each in disposal.items(list_id) if each.object_id == object_id]
    is_told = item.state == ItemState.DESTROYED.value
    assert is_told == (disposal.tombstone(object_id) is not None)
    assert is_empty or not is_told, "no tombstone over something that is there"
    return is_told


@pytest.mark.long("a process for each of a hundred steps")
def test_killed_at_any_step_the_next_one_goes_on(home: ArchiveHome, disposal: Disposal, doomed: Doomed) -> None:
    ends = set()
    for at_step in range(1, _MOST):
        list_id, object_id = doomed.recording()
        killed = run_killed(home.settings, destroy, list_id, object_id, at_step=at_step, ahead=home.clock.ahead)
        home.sequence()
        assert_nothing_wrong(home)
        (item,) = [each for each in disposal.items(list_id) if each.object_id == object_id]
        ends.add((item.state, item.step))
        while not is_gone(disposal, list_id, object_id):
            destroy(home.services, list_id, object_id)
            home.sequence()
        if not killed:
            break
    assert not killed, "it never came to its end"
    assert at_step > 60
    assert {step for _, step in ends} == {None, "begun", "copies", "original", "derived", "details"}
    doomed.finish()


@pytest.mark.long("a process for each step")
def test_killed_at_any_step_the_list_comes_to_its_certificate(
    home: ArchiveHome, disposal: Disposal, deliver: Callable[..., ObjectId]
) -> None:
    object_id = deliver(b"one recording", "a.mp4")
    home.sequence()
    home.services.copies.copy_some()
    due(home, object_id)
    list_id = disposal.agreed()
    killed = 0
    for _ in range(6):
        killed += each_step(home.settings, dispose, ahead=home.clock.ahead)
        home.sequence()
        assert_nothing_wrong(home)
    assert killed > 25
    assert disposal.state(list_id) is ListState.CERTIFIED
    assert home.types().count("disposal.certified") == 1
    home.assert_sound()


@pytest.mark.long("a list and a process for each step")
def test_killed_at_any_step_of_a_certificate_there_is_one_in_the_end(
    home: ArchiveHome, disposal: Disposal, deliver: Callable[..., ObjectId]
) -> None:
    for at_step in range(1, _MOST):
        due(home, deliver(f"recording {at_step}".encode(), "a.mp4"))
        list_id = disposal.agreed()
        while disposal.state(list_id) is not ListState.DESTROYED:
            home.services.dispositions.carrier.carry_on(list_id)
        home.sequence()
        killed = run_killed(home.settings, certify, list_id, at_step=at_step, ahead=home.clock.ahead)
        home.sequence()
        assert_nothing_wrong(home)
        certify(home.services, list_id)
        assert disposal.state(list_id) is ListState.CERTIFIED
        if not killed:
            break
    assert not killed, "it never came to its end"
    assert at_step > 15
    home.sequence()
    assert home.types().count("disposal.certified") == at_step
    assert home.count("disposal_certificate") == at_step
    home.assert_sound()
    assert home.services.objects.repair().broken == []


# ---- stores that fail ----------------------------------------------------------------------------------------------


class Failing:
    """Has the `at`-th call of any store fail, and no other."""

    _CALLS = ("open", "size_bytes", "exists", "keys", "delete", "locked_until", "is_held", "put_once", "replace_if")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.fails_with: Exception = StoreUnavailable(told="a test")
        for store in (FilesystemStore, S3Store):
            for name in self._CALLS:
                self._around(patch, store, name)
        self._around(patch, ErasableFilesystemStore, "blank")

    def _around(self, patch: pytest.MonkeyPatch, store: type, name: str) -> None:
        original = getattr(store, name)

        def failing(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise self.fails_with
            return original(*given, **named)

        patch.setattr(store, name, failing)


@pytest.mark.long("some hundred objects, each of which fails once")
def test_a_store_that_fails_at_any_call_is_tried_again(
    home: ArchiveHome, disposal: Disposal, doomed: Doomed, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch)
    for at_call in range(1, 10 * _MOST):
        list_id, object_id = doomed.recording()
        failing.left = at_call
        with suppress(StoreUnavailable):
            destroy(home.services, list_id, object_id)
        has_failed, failing.left = failing.left <= 0, 0
        home.sequence()
        if at_call % 10 == 0:
            assert_nothing_wrong(home)
        while not is_gone(disposal, list_id, object_id):
            destroy(home.services, list_id, object_id)
            home.sequence()
        if not has_failed:
            break
    assert not has_failed, "it never came to its end"
    assert at_call > 60
    doomed.finish()


# ---- locks that nobody was told of ---------------------------------------------------------------------------------


def lock_originals(patch: pytest.MonkeyPatch, after: int = 0) -> Callable[[], None]:
    """Have the store of originals refuse to delete, from some deletion on; return what ends that."""
    left, locked = after, True

    def around(original: Callable[..., None]) -> Callable[..., None]:
        def refusing(self: Any, key: str) -> None:
            nonlocal left
            if locked and "/v1/content/" in key and not is_copy(self):
                left -= 1
                if left < 0:
                    raise BlobLocked(key=key)
            original(self, key)

        return refusing

    def unlock() -> None:
        nonlocal locked
        locked = False

    for store in (FilesystemStore, S3Store):
        patch.setattr(store, "delete", around(store.delete))
    return unlock


def is_copy(store: Any) -> bool:
    return isinstance(store, FilesystemStore) and "second" in str(store._root)


def copied(home: ArchiveHome, object_id: ObjectId) -> bool:
    copy = home.services.dispositions.carrier.destroyer.stores.copy()
    return copy is not None and copy.exists(object_id)


def test_what_a_lock_keeps_whole_stays_and_is_copied_again(
    home: ArchiveHome, disposal: Disposal, deliver: Callable[..., ObjectId], monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = deliver(b"one recording", "a.mp4")
    home.sequence()
    home.services.copies.copy_some()
    due(home, object_id)
    list_id = disposal.agreed()
    jobs = home.count("job", "state = 'ready'")
    unlock = lock_originals(monkeypatch)
    disposal.work()
    (item,) = disposal.items(list_id)
    assert (item.state, item.stops) == ("left", ["store_lock"])
    assert home.services.objects.validate(object_id).outcome is Outcome.VALID
    assert not copied(home, object_id), "it went first"
    assert disposal.state(list_id) is ListState.DESTROYING, "what is counted is not all there yet"
    assert disposal.row(list_id).trouble is None
    home.services.copies.copy_some()
    assert copied(home, object_id)
    disposal.work()
    assert disposal.state(list_id) is ListState.LAPSED
    assert home.count("job", "state = 'ready'") == jobs
    home.assert_sound()
    unlock()
    assert home.services.planner.plan_stale() == 1, "it is planned anew first"
    disposal.agreed()
    disposal.work()
    assert not home.services.objects.exists(object_id), "another list may have it"
    home.assert_sound()


def test_what_a_lock_keeps_half_of_goes_when_the_lock_ends(
    home: ArchiveHome, disposal: Disposal, deliver: Callable[..., ObjectId], monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = deliver(b"one recording", "a.mp4")
    home.sequence()
    home.services.copies.copy_some()
    due(home, object_id)
    list_id = disposal.agreed()
    unlock = lock_originals(monkeypatch, after=1)
    disposal.work()
    assert disposal.items(list_id)[0].state == "begun"
    assert disposal.state(list_id) is ListState.DESTROYING
    assert_nothing_wrong(home)
    unlock()
    home.clock.step(timedelta(minutes=1))
    disposal.work()
    assert disposal.state(list_id) is ListState.CERTIFIED
    home.assert_sound()


def test_a_lock_that_is_known_keeps_all_of_it(
    home: ArchiveHome, disposal: Disposal, deliver: Callable[..., ObjectId], monkeypatch: pytest.MonkeyPatch
) -> None:
    object_id = deliver(b"one recording", "a.mp4")
    home.sequence()
    home.services.copies.copy_some()
    due(home, object_id)
    list_id = disposal.agreed()
    until = home.clock.now() + timedelta(days=1)

    def locked(self: Any, key: str) -> Instant | None:
        return until if is_copy(self) and key.endswith("/inventory.json") else None

    for store in (FilesystemStore, S3Store):
        monkeypatch.setattr(store, "locked_until", locked)
    disposal.work()
    assert disposal.items(list_id)[0].stops == ["store_lock"]
    assert home.services.objects.validate(object_id).outcome is Outcome.VALID
    assert copied(home, object_id)
    assert "disposal.begun" not in home.types()
    home.assert_sound()
