"""What counts as finished: files that grow, shrink, vanish, are renamed, replaced, empty, held open; with a clock of ours."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.agent.lookout import NAME_UNDER_WAY, FileId, Look, Lookout, open_for_writing
from tests.integration.dock.conftest import recording

SETTLE_S, GRACE_S, RETRY_S = 10.0, 30.0, 5.0


class Place:
    """A drop folder, and somebody who looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "drop"
        self.folder.mkdir()
        self.open: set[str] = set()
        self.now_s = 1000.0
        self.lookout = Lookout(
            [self.folder], leave=folder / "state", settle_s=SETTLE_S, grace_s=GRACE_S, retry_s=RETRY_S,
            writers=self._writers,
        )  # fmt: skip

    def _writers(self, wanted: Mapping[FileId, str]) -> set[FileId]:
        return {file_id for file_id, name in wanted.items() if name in self.open}

    def file(self, name: str, size_bytes: int = 100) -> Path:
        return recording(self.folder / name, size_bytes)

    def look(self, after_s: float = 0.0) -> Look:
        self.now_s += after_s
        return self.lookout.look(self.now_s)

    def due(self, after_s: float = 0.0) -> list[str]:
        """Look, and take everything that is due for delivered with its sidecar."""
        found = self.look(after_s).due
        for file in found:
            self.lookout.done(file.path, with_sidecar=True)
        return [file.path.relative_to(self.folder.resolve()).as_posix() for file in found]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_file_is_due_once_when_it_has_not_changed_for_the_settling_time(place: Place) -> None:
    place.file("2026/a.mp4")
    assert place.look().waiting == {place.folder / "2026" / "a.mp4": "not settled"}
    assert place.due(SETTLE_S - 0.1) == []
    assert place.due(0.1) == ["2026/a.mp4"]
    assert place.due(1000) == []


def test_a_file_that_grows_shrinks_or_is_written_anew_settles_anew(place: Place) -> None:
    path = place.file("a.mp4")
    for change in (
        lambda: grow(path),
        lambda: os.truncate(path, 50),
        lambda: path.write_bytes(b"y" * 50),
        lambda: os.utime(path, ns=(0, 1)),
        lambda: (place.file("other", 50), (place.folder / "other").replace(path)),
    ):
        place.look()
        change()
        assert place.due(SETTLE_S) == []
    assert place.due(SETTLE_S) == ["a.mp4"]
    grow(path)
    assert place.due(1) == []
    assert place.due(SETTLE_S) == ["a.mp4"], "what has changed is another recording"


def test_names_of_files_under_way_are_left_alone_until_they_are_renamed(place: Place) -> None:
    for name in (
        "a.mp4.part", "b.MP4.FILEPART", "c.tmp", "d.mp4~", "e.crdownload", "~$f.mp4", "g.mp4.tmp.a1B2c3", "h.part001",
        ".i.mp4.x7Yz", "j.mp4.uploading", "~k.mp4", "l.mp4.td", "m.mp4.tmp123",
    ):  # fmt: skip
        place.file(name)
    assert place.due() == []
    assert place.due(1000) == []
    look = place.look()
    assert set(look.left.values()) == {NAME_UNDER_WAY, "hidden"}
    (place.folder / "a.mp4.part").rename(place.folder / "a.mp4")
    assert place.due() == []
    assert place.due(SETTLE_S) == ["a.mp4"]
    for name in ("n.part2.mp4", "o.temperature", "partner.mp4", "p.template.mp4", "x.tmpl"):
        place.file(name)
    place.look()
    assert place.due(SETTLE_S) == ["n.part2.mp4", "o.temperature", "p.template.mp4", "partner.mp4", "x.tmpl"]


def test_an_empty_file_is_waited_for(place: Place) -> None:
    path = place.file("a.mp4", 0)
    place.look()
    assert place.look(1000).waiting == {path: "empty"}
    path.write_bytes(b"x")
    place.look()
    assert place.due(SETTLE_S) == ["a.mp4"]


def test_a_file_that_vanishes_is_forgotten(place: Place) -> None:
    path = place.file("a.mp4")
    place.look()
    path.unlink()
    assert place.look(SETTLE_S).gone == []
    place.file("a.mp4")
    assert place.due(1) == [], "it is another one"
    assert place.due(SETTLE_S) == ["a.mp4"]


def test_a_file_that_somebody_writes_to_waits(place: Place) -> None:
    path = place.file("a.mp4")
    place.file("b.mp4")
    place.open.add("a.mp4")
    place.look()
    look = place.look(SETTLE_S)
    assert look.waiting == {path: "open for writing"}
    assert [file.path.name for file in look.due] == ["b.mp4"]
    place.open.clear()
    assert "a.mp4" in place.due()


def test_what_processes_have_open_is_seen(tmp_path: Path) -> None:
    paths = {
        mode: recording(tmp_path / f"{number}.mp4", 10) for number, mode in enumerate(("rb", "ab", "r+b", "closed"))
    }
    wanted = {(path.stat().st_dev, path.stat().st_ino): path.name for path in paths.values()}
    files = [paths[mode].open(mode) for mode in ("rb", "ab", "r+b")]
    try:
        held = open_for_writing(wanted)
    finally:
        for file in files:
            file.close()
    assert {wanted[file_id] for file_id in held} == {paths["ab"].name, paths["r+b"].name}
    assert open_for_writing(wanted) == set()
    assert open_for_writing({}) == set()


def test_a_failure_is_tried_again_with_growing_pauses(place: Place) -> None:
    path = place.file("a.mp4")
    place.look()
    place.look(SETTLE_S)
    waited = []
    for _ in range(12):
        place.lookout.failed(path, place.now_s)
        passed = 0.0
        while not place.look(1).due:
            passed += 1
        waited.append(passed)
    assert waited[0] < 2 * RETRY_S
    assert waited == sorted(waited)
    assert waited[-1] <= 900
    path.unlink()
    assert place.look().gone == [path]


def test_recording_and_sidecar_wait_for_each_other(place: Place) -> None:
    place.file("a.json")
    place.look()
    assert place.look(SETTLE_S).waiting == {place.folder / "a.json": "waits for its recording"}
    place.file("a.mp4")
    place.look()
    (file,) = place.look(SETTLE_S).due
    assert (file.path.name, file.sidecar) == ("a.mp4", (place.folder / "a.json").resolve())
    place.lookout.done(file.path, with_sidecar=True)
    late = place.file("b.mp4")
    place.look()
    assert place.look(SETTLE_S).waiting == {late: "waits for its sidecar"}, "here they come with sidecars"
    place.file("b.mp4.json")
    assert place.due(1) == []
    assert place.due(SETTLE_S) == ["b.mp4"]
    alone = place.file("c.mp4")
    lost = place.file("d.json")
    place.look()
    assert set(place.look(SETTLE_S).waiting) == {alone, lost}
    assert place.due(GRACE_S) == ["c.mp4", "d.json"]


def test_where_no_sidecars_are_nothing_waits_for_them(place: Place) -> None:
    place.file("a.mp4")
    place.look()
    assert place.due(SETTLE_S) == ["a.mp4"]


def test_a_sidecar_that_the_recording_went_without_is_a_file_of_its_own(place: Place) -> None:
    path = place.file("a.mp4")
    place.look()
    place.look(SETTLE_S)
    place.lookout.done(path, with_sidecar=False)
    place.file("a.json")
    assert place.due() == []
    assert place.due(SETTLE_S + GRACE_S) == ["a.json"]
    assert place.due(1000) == []
    wiped = place.file("b.mp4")
    place.file("b.json")
    place.look()
    assert place.due(SETTLE_S) == ["b.mp4"]
    wiped.with_suffix(".json").unlink()
    assert place.due(1000) == [], "it went along and was wiped"


def test_a_folder_may_go_and_come_back(place: Place, tmp_path: Path) -> None:
    place.file("a.mp4")
    place.look()
    assert place.due(SETTLE_S) == ["a.mp4"]
    place.folder.rename(tmp_path / "unplugged")
    assert place.look().away == [place.folder]
    assert place.look().away == []
    (tmp_path / "unplugged").rename(place.folder)
    look = place.look()
    assert (look.back, look.due) == ([place.folder], [])
    assert place.due(SETTLE_S) == ["a.mp4"], "a card that comes back is looked at again; its receipts are kept"
    shutil.rmtree(place.folder)
    place.folder.write_text("no folder any more")
    assert place.look().away == [place.folder]


def test_folders_may_lie_in_each_other_and_behind_links(tmp_path: Path) -> None:
    recording(tmp_path / "top" / "below" / "a.mp4", 10)
    (tmp_path / "link").symlink_to(tmp_path / "top")
    lookout = Lookout([tmp_path / "link", tmp_path / "top" / "below"], leave=tmp_path, settle_s=0, grace_s=0, retry_s=1)
    assert [(file.path.name, file.folder) for file in lookout.look(0).due] == [("a.mp4", "below")]


class _Writer:
    """Does one thing after the other to a few files, as strange programs do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: dict[str, float] = {}

    def do(self, what: str, name: str, now_s: float) -> None:
        path = self.folder / name
        if what == "write":
            with path.open("ab") as file:
                file.write(b"x" * 10)
        elif what == "cut" and path.exists():
            os.truncate(path, 1)
        elif what == "remove":
            path.unlink(missing_ok=True)
        elif what == "replace":
            (self.folder / ".new").write_bytes(b"y" * 10)
            (self.folder / ".new").replace(path)
        elif what == "rename" and path.exists() and name != "c.mp4":
            path.replace(self.folder / "c.mp4")
            self.touched["c.mp4"] = now_s
        else:
            return
        self.touched[name] = now_s


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("property")


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "cut", "remove", "replace", "rename", "wait"]),
            st.sampled_from(["a.mp4", "b.mp4", "c.mp4"]),
            st.integers(1, 12),
        ),
        max_size=30,
    )
)
def test_nothing_is_due_that_was_touched_within_the_settling_time(
    folders: Path, steps: list[tuple[str, str, int]]
) -> None:
    base = folders / str(len(list(folders.iterdir())))
    base.mkdir()
    place, writer = Place(base), _Writer(base / "drop")
    for what, name, pause_s in steps:
        writer.do(what, name, place.now_s)
        place.look()
        for file in place.look(pause_s).due:
            assert place.now_s - writer.touched[file.path.name] >= SETTLE_S
            assert file.size_bytes == file.path.stat().st_size > 0
            place.lookout.done(file.path, with_sidecar=True)
    place.look()
    place.due(SETTLE_S)
    assert place.due(1000) == [], "in the end everything was due once"
    assert all(place.lookout.knows(path.resolve()) for path in (base / "drop").iterdir() if path.stat().st_size)
