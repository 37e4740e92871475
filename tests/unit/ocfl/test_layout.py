"""Where things lie, judged by ocfl-py."""

import uuid

import pytest
from ocfl.layout_0003_hash_and_id_n_tuple import Layout_0003_Hash_And_Id_N_Tuple

from archive.kernel.ids import ObjectId, new_uuid7
from archive.ocfl.layout import object_id_at, object_root, object_urn, sidecar_bytes, version_number
from archive.ports.blobs import StoreBroken
from tests.unit.ocfl.objects import OBJECT_ID, Place, create, judge


def test_an_object_lies_where_the_extension_says() -> None:
    layout = Layout_0003_Hash_And_Id_N_Tuple()
    for value in [uuid.UUID(int=0), OBJECT_ID, *(new_uuid7() for _ in range(50))]:
        object_id = ObjectId(value)
        assert object_root(object_id) == layout.identifier_to_path(object_urn(object_id))
        assert object_id_at(object_root(object_id)) == object_id


@pytest.mark.parametrize(
    "folder", ["", "a/b/c/d", f"abc/def/012/{object_root(OBJECT_ID).rsplit('/', 1)[-1]}", "extensions/0003/config.json"]
)
def test_no_object_lies_elsewhere(folder: str) -> None:
    assert object_id_at(folder) is None


@pytest.mark.parametrize(
    ("name", "number"), [("v1", 1), ("v12", 12), ("v0", None), ("v01", None), ("1", None), ("v", None), ("v1a", None)]
)
def test_version_folders(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_a_sidecar_is_the_line_that_sha512sum_writes() -> None:
    assert sidecar_bytes(b"abc") == (
        b"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        b"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f inventory.json\n"
    )


def test_an_empty_root_is_valid_and_prepared_once(place: Place) -> None:
    assert judge(place) == []
    place.root.prepare()
    path = place.base / "store" / "0=ocfl_1.1"
    path.chmod(0o644)
    path.write_bytes(b"ocfl_1.0\n")
    with pytest.raises(StoreBroken):
        place.root.prepare()


def test_the_root_holds_nothing_but_its_files_and_objects(place: Place) -> None:
    create(place)
    folders = {path.name for path in (place.base / "store").iterdir()}
    tuples = place.object_folder().relative_to(place.base / "store").parts[0]
    assert folders == {"0=ocfl_1.1", "ocfl_layout.json", "extensions", tuples}
