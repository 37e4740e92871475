"""The log as files: what is published, a copy of it, and what the monitor says of a copy that was changed."""

import json
import shutil
from pathlib import Path

import pytest

from archive.kernel.findings import Outcome
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.faults import SequencerFault
from archive.ledger.mirror import NoMirror, mirror, read_note, read_tile
from archive.ledger.monitor import Monitored, Seen, monitor
from archive.ledger.tiles import Tile, edge_tiles, parse_bundle, tiles_between
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome, flip

ENTRIES = 600


def write(home: ArchiveHome, count: int) -> None:
    with home.database.begin() as tx:
        for number in range(count):
            entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"number": number})
            append_entry(tx, entry, at=home.clock.now())
    home.sequence()


@pytest.fixture
def grown(home: ArchiveHome) -> ArchiveHome:
    """A log that grew in steps beyond two tiles."""
    for count in (1, 254, 1, 300, ENTRIES - 556):
        write(home, count)
    return home


def checked(home: ArchiveHome, folder: Path, *, seen: Seen | None = None) -> Monitored:
    return monitor(read_note(folder), lambda tile: read_tile(folder, tile), trust=home.services.trust, seen=seen)


def codes(found: Monitored) -> dict[str, Outcome]:
    return {finding.code: finding.outcome for finding in found.report.findings}


def test_everything_is_published_and_a_full_tile_leaves_no_partial_one(grown: ArchiveHome) -> None:
    published = grown.services.published
    size = len(grown.entries())
    for tile in tiles_between(0, size):
        path = published.path_of(tile)
        assert path.stat().st_mode & 0o777 == 0o444
        if tile.is_bundle:
            assert path.is_relative_to(grown.path / "log-entries")
    bundle = Tile.parse("tile/entries/001")
    bodies = [json.dumps(entry) for entry in grown.entries()[256:512]]
    found = parse_bundle(published.path_of(bundle).read_bytes(), count=256)
    assert [json.dumps(json.loads(body)) for body in found] == bodies
    assert not (grown.path / "log" / "tile" / "0" / "000.p").exists()
    assert (grown.path / "log-entries").stat().st_mode & 0o077 == 0
    assert list(grown.path.glob("log*/**/*.new")) == []


def test_an_archive_from_before_there_were_tiles_publishes_them_at_its_start(grown: ArchiveHome) -> None:
    before = {
        path.relative_to(grown.path): path.read_bytes() for path in grown.path.glob("log*/**/*") if path.is_file()
    }
    shutil.rmtree(grown.path / "log" / "tile")
    shutil.rmtree(grown.path / "log-entries")
    grown.services.sequencer.recover()
    after = {path.relative_to(grown.path): path.read_bytes() for path in grown.path.glob("log*/**/*") if path.is_file()}
    assert {path for path in before if ".p/" not in str(path)} <= after.keys()
    assert all(before.get(path, content) == content for path, content in after.items())


def test_a_tile_that_says_something_else_stops_the_log(grown: ArchiveHome) -> None:
    size = len(grown.entries())
    tile = next(tile for tile in edge_tiles(size + 3) if tile.level == 0)
    path = grown.services.published.path_of(tile)
    path.write_bytes(bytes(32 * tile.width))
    with pytest.raises(SequencerFault) as fault:
        write(grown, 3)
    assert fault.value.facts == {"path": tile.path}


def test_a_copy_is_checked_whole(grown: ArchiveHome, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    with pytest.raises(NoMirror):
        read_note(folder)
    head = mirror(grown.services.published, folder)
    first = checked(grown, folder)
    assert first.report.outcome is Outcome.INDETERMINATE
    assert codes(first) == {
        "log.tree_valid": Outcome.VALID,
        "checkpoint.signature_valid": Outcome.VALID,
        "log.first_seen": Outcome.INDETERMINATE,
    }
    assert first.time == grown.entries()[-1]["t"]
    write(grown, 30)
    mirror(grown.services.published, folder)
    later = checked(grown, folder, seen=Seen.from_json(Seen.of(head).as_json()))
    assert later.report.outcome is Outcome.VALID
    assert later.head.size == head.size + 30
    shrunk = checked(grown, folder, seen=Seen(later.head.size + 1, later.head.root))
    assert codes(shrunk)["log.shrunk"] is Outcome.INVALID
    rewritten = checked(grown, folder, seen=Seen(head.size, bytes(32)))
    assert codes(rewritten)["log.rewritten"] is Outcome.INVALID


def test_each_file_of_a_copy_counts(grown: ArchiveHome, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    mirror(grown.services.published, folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "checkpoint"]
    assert len(files) == len(list(tiles_between(0, len(grown.entries()))))
    for path in files:
        path.chmod(0o644)
        whole = path.read_bytes()
        name = str(path.relative_to(folder))
        for changed in (None, whole[:-1], whole + b"\0", whole[::-1]):
            if changed is None:
                flip(path)
            else:
                path.write_bytes(changed)
            found = checked(grown, folder)
            assert found.report.outcome is Outcome.INVALID
            where = {finding.where for finding in found.report.findings if finding.outcome is Outcome.INVALID}
            assert where in ({name}, {name.replace("entries", "0")}), "the tile or what lies above the entries"
            path.write_bytes(whole)
        path.unlink()
        assert codes(checked(grown, folder))["log.tile_missing"] is Outcome.INVALID
        path.write_bytes(whole)
    note = folder / "checkpoint"
    note.write_bytes(note.read_bytes().replace(b"\n\n", b"\nextra\n\n"))
    assert codes(checked(grown, folder))["checkpoint.signature_invalid"] is Outcome.INVALID


def test_the_commands(inside: ArchiveHome, liuhen: type_liuhen, tmp_path: Path) -> None:  # noqa: F811
    write(inside, 5)
    count = len(inside.entries())
    told = liuhen("log", "tail", "-n", "2")
    assert [line.split()[0] for line in told.out.splitlines()] == [str(count - 2), str(count - 1)]
    assert "admin.init" in told.out
    assert json.loads(liuhen("log", "tail", "-n", "1", "--json").out) == inside.entries()[-1]
    by_index = liuhen("log", "prove", str(count - 1))
    assert by_index.out.startswith(f"c2sp.org/tlog-proof@v1\nindex {count - 1}\n")
    assert liuhen("log", "prove", inside.entries()[-1]["id"], "--out", tmp_path / "p").code == 0
    assert (tmp_path / "p").read_text() == by_index.out
    liuhen("log", "prove", str(count)).failed(66, "ledger.leaf_not_found")
    liuhen("log", "prove", "x").failed(64, "input.invalid")
    copy, state, trust = tmp_path / "copy", tmp_path / "seen.json", inside.path / "trust.txt"
    assert liuhen("log", "mirror", copy).code == 0
    assert liuhen("log", "monitor", copy).code == 2
    assert liuhen("log", "monitor", copy, "--key", trust, "--state", state).code == 2
    told = liuhen("log", "monitor", copy, "--key", trust, "--state", state, "--json")
    assert told.code == 0
    found = json.loads(told.out)
    assert (found["outcome"], found["up_to"]["size"]) == ("valid", count)
    flip(next(path for path in copy.glob("tile/0/*.p/*")))
    assert liuhen("log", "monitor", copy, "--key", trust, "--state", state).code == 1
    liuhen("log", "monitor", tmp_path).failed(66, "log.no_mirror")
