"""States that a crash leaves, made by hand; the crashes themselves are in tests/faults."""

import uuid
from pathlib import Path

import pytest

from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.errors import ObjectMissing, VersionClaimed
from archive.ocfl.inventory import NewFile
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
)


@pytest.fixture
def folder(place: Place) -> Path:
    create(place)
    return place.object_folder()


def put_back(folder: Path, *, sidecar_too: bool) -> None:
    """Make the root inventory lag behind: as if the process had died before, or between, its two last writes."""
    for name in ("inventory.json", "inventory.json.sha512")[0 if sidecar_too else 1 :]:
        (folder / name).unlink()
        (folder / name).write_bytes((folder / "v1" / name).read_bytes())


@pytest.mark.parametrize("sidecar_too", [True, False])
def test_a_root_inventory_that_lags_is_rolled_forward(place: Place, folder: Path, sidecar_too: bool) -> None:
    place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=LATER)
    put_back(folder, sidecar_too=sidecar_too)
    assert place.root.validate(OBJECT_ID).outcome is Outcome.INDETERMINATE
    assert place.root.read_inventory(OBJECT_ID).head == (1 if sidecar_too else 2)
    with place.root.open_file(OBJECT_ID, FILM) as source:
        assert source.read() == FILM_BYTES
    assert place.root.repair().mended == [OBJECT_ID]
    assert place.root.read_inventory(OBJECT_ID).head == 2
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []
    assert place.root.repair().mended == []


@pytest.mark.parametrize("missing", [["inventory.json.sha512"], ["inventory.json.sha512", "inventory.json"]])
def test_a_complete_first_version_is_rolled_forward(place: Place, folder: Path, missing: list[str]) -> None:
    for name in missing:
        (folder / name).unlink()
    assert place.root.exists(OBJECT_ID) == (len(missing) == 1)
    assert place.root.repair([OTHER_ID]).mended == []
    assert place.root.repair([OBJECT_ID]).mended == [OBJECT_ID]
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def half_made(folder: Path) -> None:
    for name in ("inventory.json", "inventory.json.sha512", "v1/inventory.json.sha512", f"v1/content/{MANIFEST}"):
        (folder / name).unlink()


def test_a_half_made_object_is_absent_listed_and_completed(place: Place, folder: Path) -> None:
    half_made(folder)
    report = place.root.repair()
    assert (report.mended, report.unfinished, report.broken) == ([], [OBJECT_ID], [])
    assert not place.root.exists(OBJECT_ID)
    assert list(place.root.object_ids()) == []
    with pytest.raises(ObjectMissing):
        place.root.open_file(OBJECT_ID, FILM)
    assert place.root.validate(OBJECT_ID).outcome is not Outcome.VALID
    again = place.root.create_object(OBJECT_ID, first_files(place), message="another", user=USER, at=LATER)
    assert (again.versions[0].created, again.versions[0].message) == (AT, "接收")
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []


def test_other_bytes_do_not_complete_a_half_made_object(place: Place, folder: Path) -> None:
    half_made(folder)
    with pytest.raises(VersionClaimed):
        place.root.create_object(OBJECT_ID, [place.film(b"other")], message="", user=USER, at=AT)
    path = folder / "v1/content" / FILM
    path.unlink()
    path.write_bytes(b"other")
    with pytest.raises(StoreBroken) as caught:
        place.root.create_object(OBJECT_ID, first_files(place), message="", user=USER, at=AT)
    assert caught.value.code == "store.broken"


def test_a_half_made_object_is_discarded_when_asked(place: Place, folder: Path) -> None:
    half_made(folder)
    removed = place.root.discard_unfinished(OBJECT_ID)
    assert {key.rsplit("/", 1)[-1] for key in removed} == {"0=ocfl_object_1.1", FILM.split("/")[1], "inventory.json"}
    assert not folder.exists()
    assert judge(place) == []
    place.root.create_object(OBJECT_ID, [place.film(b"other")], message="", user=USER, at=AT)
    assert judge(place) == []


def test_a_half_made_version_is_hidden_completed_or_discarded(place: Place, folder: Path) -> None:
    place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=LATER)
    put_back(folder, sidecar_too=True)
    (folder / "v2/inventory.json.sha512").unlink()
    other = [NewFile.of_bytes(TOKEN, b"the next token, never the same")]
    report = place.root.repair()
    assert (report.mended, report.unfinished, report.broken) == ([], [OBJECT_ID], [])
    assert place.root.validate(OBJECT_ID).outcome is Outcome.INDETERMINATE
    with pytest.raises(VersionClaimed):
        place.root.add_version(OBJECT_ID, other, message="", user=USER, at=LATER)
    assert len(place.root.discard_unfinished(OBJECT_ID)) == 2
    assert place.root.add_version(OBJECT_ID, other, message="", user=USER, at=LATER).head == 2
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID
    assert judge(place) == []


def test_what_is_complete_is_never_discarded(place: Place, folder: Path) -> None:
    place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=LATER)
    assert place.root.discard_unfinished(OBJECT_ID) == []
    assert place.root.discard_unfinished(OTHER_ID) == []
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


@pytest.mark.parametrize(
    "damage",
    ["inventory.json", "v1/inventory.json", "v1/inventory.json.sha512", f"v1/content/{FILM}", "no root", "sidecar"],
)
def test_damage_is_reported_and_left_alone(place: Place, folder: Path, damage: str) -> None:
    """What no crash explains is evidence of something else."""
    place.root.add_version(OBJECT_ID, second_files(), message="", user=USER, at=LATER)
    if damage == "no root":
        (folder / "inventory.json").unlink()
    elif damage == "sidecar":
        (folder / "inventory.json.sha512").unlink()
    elif "content" in damage:
        (folder / damage).unlink()
    else:
        (folder / damage).chmod(0o644)
        (folder / damage).write_bytes(b"x" + (folder / damage).read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report = place.root.repair()
    assert (report.mended, report.broken) == ([], [OBJECT_ID])
    with pytest.raises(StoreBroken):
        place.root.discard_unfinished(OBJECT_ID)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_only_the_object_that_needs_it_is_mended(place: Place, folder: Path) -> None:
    others = [ObjectId(uuid.UUID(int=number)) for number in range(1, 6)]
    for object_id in others:
        create(place, object_id, versions=2)
    (folder / "inventory.json.sha512").unlink()
    report = place.root.repair()
    assert (report.mended, report.unfinished, report.broken, report.strays) == ([OBJECT_ID], [], [], [])
    assert judge(place) == []
