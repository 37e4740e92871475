"""Making and reading objects."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.digests import digest_of
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.ocfl.errors import (
    BrokenInventory,
    FileMissing,
    ObjectExists,
    ObjectMissing,
    PathTaken,
    VersionClaimed,
)
from archive.ocfl.inventory import NewFile
from archive.ocfl.layout import object_root
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import StoreBroken
from tests.unit.ocfl.objects import (
    AT,
    FILM,
    FILM_BYTES,
    LATER,
    MANIFEST,
    OBJECT_ID,
    OTHER_ID,
    TOKEN,
    USER,
    Place,
    create,
    first_files,
    judge,
    second_files,
    snapshot,
)


def test_an_object_is_made_and_read(place: Place) -> None:
    create(place)
    assert place.root.exists(OBJECT_ID)
    assert list(place.root.object_ids()) == [OBJECT_ID]
    with place.root.open_file(OBJECT_ID, FILM) as source:
        assert source.read() == FILM_BYTES
    with place.root.open_file(OBJECT_ID, FILM, offset=3, length=9) as source:
        assert source.read() == FILM_BYTES[3:12]
    path = place.store.local_path(place.root.content_key(OBJECT_ID, FILM))
    assert path == place.object_folder() / "v1/content" / FILM
    assert judge(place) == []
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def test_a_staged_file_is_linked_and_not_read(place: Place) -> None:
    """Digests that are not those of the bytes show it: nobody looked. Its size is looked at."""
    told = digest_of(b"x" * len(FILM_BYTES))
    place.root.create_object(OBJECT_ID, [NewFile(FILM, place.staged(), told)], message="", user=USER, at=AT)
    path = place.store.local_path(place.root.content_key(OBJECT_ID, FILM))
    assert path is not None
    assert path.samefile(place.base / "staged")
    report = place.root.validate(OBJECT_ID)
    assert [finding.where for finding in report.findings if finding.outcome is Outcome.INVALID] == [
        f"v1/content/{FILM}"
    ]


@pytest.mark.parametrize("staged", [b"longer than the digests say", b"", None])
def test_a_staged_file_of_another_size_is_refused(place: Place, staged: bytes | None) -> None:
    path = place.base / "missing" if staged is None else place.staged(staged)
    with pytest.raises(InvalidInput):
        place.root.create_object(OBJECT_ID, [NewFile(FILM, path, digest_of(b"x"))], message="", user=USER, at=AT)
    assert not place.root.exists(OBJECT_ID)
    assert not place.object_folder().exists()


def test_a_second_version_leaves_the_first_alone(place: Place) -> None:
    create(place)
    before = snapshot(place.object_folder() / "v1")
    inventory = place.root.add_version(OBJECT_ID, second_files(), message="timestamp", user=USER, at=LATER)
    assert inventory.head == 2
    assert set(inventory.state) == {FILM, MANIFEST, TOKEN}
    assert snapshot(place.object_folder() / "v1") == before
    with place.root.open_file(OBJECT_ID, FILM) as source:
        assert source.read() == FILM_BYTES
    assert judge(place) == []
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def test_doing_it_again_changes_nothing(place: Place) -> None:
    create(place, versions=2)
    before = snapshot(place.base / "store")
    place.root.create_object(OBJECT_ID, first_files(place), message="again", user=USER, at=LATER)
    place.root.add_version(OBJECT_ID, second_files(), message="again", user=USER, at=LATER)
    place.root.add_version(OBJECT_ID, first_files(place), message="again", user=USER, at=LATER)
    assert snapshot(place.base / "store") == before


def test_doing_it_again_needs_no_staged_file(place: Place) -> None:
    create(place)
    files = first_files(place)
    (place.base / "staged").unlink()
    assert place.root.create_object(OBJECT_ID, files, message="", user=USER, at=AT).head == 1


def test_an_object_with_other_content_is_not_touched(place: Place) -> None:
    create(place)
    before = snapshot(place.base / "store")
    with pytest.raises(ObjectExists):
        place.root.create_object(OBJECT_ID, [place.film(b"other")], message="", user=USER, at=AT)
    with pytest.raises(PathTaken):
        place.root.add_version(OBJECT_ID, [NewFile.of_bytes(MANIFEST, b"other")], message="", user=USER, at=AT)
    with pytest.raises(InvalidInput):
        place.root.add_version(OBJECT_ID, [], message="", user=USER, at=AT)
    assert snapshot(place.base / "store") == before


def test_equal_files_in_one_object(place: Place) -> None:
    files = [NewFile.of_bytes(name, b"same") for name in ("b/one", "a/two", "空")]
    place.root.create_object(OBJECT_ID, files, message="", user=USER, at=AT)
    for name in ("b/one", "a/two", "空"):
        assert place.root.content_key(OBJECT_ID, name).endswith(f"/v1/content/{name}")
    assert judge(place) == []
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def test_what_is_not_there_is_said_not_to_be(place: Place) -> None:
    assert not place.root.exists(OBJECT_ID)
    assert list(place.root.object_ids()) == []
    with pytest.raises(ObjectMissing):
        place.root.read_inventory(OBJECT_ID)
    with pytest.raises(ObjectMissing):
        place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=AT)
    create(place)
    with pytest.raises(FileMissing):
        place.root.open_file(OBJECT_ID, TOKEN)
    with pytest.raises(ObjectMissing):
        place.root.open_file(OTHER_ID, FILM)
    assert place.root.validate(OTHER_ID).outcome is Outcome.INVALID


def test_an_inventory_that_was_changed_is_not_believed(place: Place) -> None:
    create(place)
    path = place.object_folder() / "inventory.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace("接收".encode(), "拒收".encode()))
    with pytest.raises(BrokenInventory):
        place.root.open_file(OBJECT_ID, FILM)
    with pytest.raises(StoreBroken):
        place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=AT)
    with pytest.raises(StoreBroken):
        place.root.create_object(OBJECT_ID, first_files(place), message="", user=USER, at=AT)


def test_the_loser_of_a_race_leaves_nothing(place: Place) -> None:
    """A writer that is beaten to the claim finds out before it has written any other file."""
    create(place)

    class Beaten(FilesystemStore):
        def put_once(self, key: str, source: io.BufferedIOBase) -> int:  # type: ignore[override]
            if key.endswith("v2/inventory.json"):
                place.root.add_version(OBJECT_ID, second_files(), message="first", user=USER, at=LATER)
            return super().put_once(key, source)  # type: ignore[arg-type]

    late = OcflRoot(Beaten(place.base / "store", scratch=place.base / "scratch"))
    mine = NewFile.of_bytes("original/other.tsr", b"another token")
    with pytest.raises(VersionClaimed) as caught:
        late.add_version(OBJECT_ID, [mine], message="late", user=USER, at=LATER)
    assert caught.value.retryable
    assert judge(place) == []
    assert place.root.add_version(OBJECT_ID, [mine], message="late", user=USER, at=LATER).head == 3
    assert judge(place) == []
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def test_a_late_mender_turns_nothing_back(place: Place) -> None:
    """Somebody who has seen the root lag behind, and acts only after another has gone on, changes nothing."""
    create(place, versions=2)
    folder = place.object_folder()
    for name in ("inventory.json", "inventory.json.sha512"):
        (folder / name).unlink()
        (folder / name).write_bytes((folder / "v1" / name).read_bytes())
    third = NewFile.of_bytes("original/third", b"3")

    class Late(FilesystemStore):
        def replace_if(self, key: str, data: bytes, *, expected_sha512: str | None) -> None:
            place.root.add_version(OBJECT_ID, [third], message="", user=USER, at=LATER)
            super().replace_if(key, data, expected_sha512=expected_sha512)

    late = OcflRoot(Late(place.base / "store", scratch=place.base / "scratch"))
    assert late.repair().mended == []
    assert place.root.read_inventory(OBJECT_ID).head == 3
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []


def test_a_huge_staged_file_costs_nothing(place: Place) -> None:
    size_bytes = 3 * 1024**3
    staged = place.staged(b"")
    os.truncate(staged, size_bytes)
    told = replace(digest_of(b""), size_bytes=size_bytes)
    place.root.create_object(OBJECT_ID, [NewFile(FILM, staged, told)], message="", user=USER, at=AT)
    with place.root.open_file(OBJECT_ID, FILM, offset=size_bytes - 3) as source:
        assert source.read() == bytes(3)
    path = place.store.local_path(place.root.content_key(OBJECT_ID, FILM))
    assert path is not None
    assert path.stat().st_blocks * 512 < 1_000_000


def test_many_objects_are_listed(place: Place) -> None:
    create(place, OTHER_ID, versions=2)
    create(place)
    (place.base / "store" / "stray").write_bytes(b"")
    assert set(place.root.object_ids()) == {OBJECT_ID, OTHER_ID}
    assert [object_root(found) for found in place.root.object_ids()] == sorted(map(object_root, (OBJECT_ID, OTHER_ID)))
    assert place.root.repair().strays == ["stray"]


def test_a_file_on_another_file_system_is_taken_too(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Path("/dev/shm") / f"liuhen-{tmp_path_factory.getbasetemp().name}-{place.base.name}"
    other.write_bytes(FILM_BYTES)
    try:
        file = NewFile(FILM, other, digest_of(FILM_BYTES))
        place.root.create_object(OBJECT_ID, [file], message="", user=USER, at=AT)
    finally:
        other.unlink()
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
