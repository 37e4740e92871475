"""Random objects: what goes in comes out, ocfl-py agrees, and no changed byte stays unseen."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.kernel.digests import digest_of
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.names import safe_file_name
from archive.ocfl.errors import BrokenInventory
from archive.ocfl.inventory import NewFile, VersionUser, next_version, parse_inventory
from tests.unit.ocfl.objects import OBJECT_ID, USER, discard, judge, snapshot, temporary_place

NAMES = st.text(max_size=40).map(safe_file_name)
PATHS = st.tuples(st.sampled_from(["", "original/", "证据/"]), NAMES).map("".join)
BYTES = st.builds(bytes.__mul__, st.binary(min_size=1, max_size=4), st.sampled_from([0, 1, 3, 30_000]))
TIMES = st.integers(0, 4_000_000_000_000_000).map(
    lambda us: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
USERS = st.builds(VersionUser, WORDS.filter(bool), st.just("urn:liuhen:archive") | st.just("mailto:a@example.org"))
VERSION = st.tuples(
    st.dictionaries(PATHS, st.tuples(BYTES, st.booleans()), min_size=1, max_size=4), WORDS, USERS, TIMES
)


def is_conflicting(paths: list[str]) -> bool:
    return any(other.startswith(f"{path}/") for path in paths for other in paths)


@given(st.lists(VERSION, min_size=1, max_size=3))
@settings(max_examples=30)
def test_an_object_keeps_what_every_version_brought(versions: list) -> None:
    with ExitStack() as stack:
        place = temporary_place()
        stack.callback(discard, place)
        model: dict[str, bytes] = {}
        head = 0
        for files, message, user, at in versions:
            added = {path: held for path, held in files.items() if path not in model}
            if not added or is_conflicting([*model, *added]):
                continue
            new = [
                NewFile(path, place.staged(data, f"staged-{number}") if staged else data, digest_of(data))
                for number, (path, (data, staged)) in enumerate(added.items())
            ]
            call = place.root.add_version if model else place.root.create_object
            inventory = call(OBJECT_ID, new, message=message, user=user, at=at)
            model |= {path: data for path, (data, _) in added.items()}
            head += 1
            assert inventory.head == head
        if not model:
            return
        inventory = place.root.read_inventory(OBJECT_ID)
        assert {path: digest_of(data).sha512.hex for path, data in model.items()} == inventory.state
        for path, data in model.items():
            with place.root.open_file(OBJECT_ID, path) as source:
                assert source.read() == data
        assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
        assert judge(place) == []
        assert place.root.repair().mended == []


@given(st.data())
@settings(max_examples=40)
def test_any_changed_byte_is_found_and_its_file_named(data: st.DataObject) -> None:
    with ExitStack() as stack:
        place = temporary_place()
        stack.callback(discard, place)
        place.root.create_object(
            OBJECT_ID,
            [NewFile.of_bytes("original/a.bin", b"film" * 50), NewFile.of_bytes("original/清单.json", b"{}")],
            message="",
            user=USER,
            at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        place.root.add_version(
            OBJECT_ID, [NewFile.of_bytes("a.tsr", b"t")], message="", user=USER, at=datetime(2026, 1, 2, tzinfo=UTC)
        )
        files = snapshot(place.object_folder())
        name = data.draw(st.sampled_from(sorted(files)))
        changed = bytearray(files[name])
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "double"])):
            case "flip":
                changed[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop":
                del changed[at]
            case _:
                changed[at:at] = changed[at : at + 1]
        path = place.object_folder() / name
        path.chmod(0o644)
        path.write_bytes(changed)
        report = place.root.validate(OBJECT_ID)
        assert report.outcome is Outcome.INVALID
        assert {found.where for found in report.findings if found.outcome is not Outcome.VALID} == {name}


@given(st.binary(max_size=4), st.integers(0, 10_000), st.integers(0, 20))
def test_a_damaged_inventory_is_refused_or_still_whole(put: bytes, at: int, drop: int) -> None:
    """Whatever is read is what a writer makes: nothing else gets through the parser."""
    files = [NewFile.of_bytes("original/a.bin", b"film"), NewFile.of_bytes("清单", b"film")]
    inventory = next_version(None, OBJECT_ID, files, message="接收", user=USER, at=datetime(2026, 1, 1, tzinfo=UTC))
    raw = inventory.to_bytes()
    at %= len(raw)
    try:
        read = parse_inventory(raw[:at] + put + raw[at + drop :], object_id=OBJECT_ID)
    except BrokenInventory:
        return
    assert parse_inventory(read.to_bytes(), object_id=OBJECT_ID) == read
    assert set(read.state.values()) == set(read.manifest.values())


@given(st.text(max_size=30))
def test_a_path_is_refused_or_kept(path: str) -> None:
    try:
        file = NewFile.of_bytes(path, b"")
    except InvalidInput:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    inventory = next_version(None, OBJECT_ID, [file], message="", user=USER, at=datetime(2026, 1, 1, tzinfo=UTC))
    assert parse_inventory(inventory.to_bytes(), object_id=OBJECT_ID).content_path(path) == f"v1/content/{path}"
