"""Every change to an object is found, and the file is named."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.findings import Outcome, Report
from archive.ocfl.layout import sidecar_bytes
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import StoreUnavailable
from tests.unit.ocfl.objects import FILM, MANIFEST, OBJECT_ID, TOKEN, Place, create

FILES = [
    "0=ocfl_object_1.1",
    "inventory.json",
    "inventory.json.sha512",
    "v1/inventory.json",
    "v1/inventory.json.sha512",
    f"v1/content/{FILM}",
    f"v1/content/{MANIFEST}",
    "v2/inventory.json",
    "v2/inventory.json.sha512",
    f"v2/content/{TOKEN}",
]


def wrong(report: Report) -> set[str]:
    return {finding.where for finding in report.findings if finding.outcome is not Outcome.VALID}


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.fixture
def folder(place: Place) -> Path:
    create(place, versions=2)
    return place.object_folder()


def test_the_list_is_complete(place: Place, folder: Path) -> None:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(FILES)
    report = place.root.validate(OBJECT_ID)
    assert report.outcome is Outcome.VALID
    assert {finding.where for finding in report.findings} == found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("bit", [0, 5, 7])
def test_a_flipped_bit_is_found_and_its_file_named(place: Place, folder: Path, name: str, bit: int) -> None:
    data = bytearray((folder / name).read_bytes())
    for at in {0, len(data) // 2, len(data) - 1}:
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        overwrite(folder / name, changed)
        report = place.root.validate(OBJECT_ID)
        assert report.outcome is Outcome.INVALID
        assert wrong(report) == {name}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["missing", "empty", "longer", "link", "pipe", "directory"])
def test_a_file_that_is_not_what_it_was_is_named(place: Place, folder: Path, name: str, change: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if change == "empty":
        path.write_bytes(b"")
    elif change == "longer":
        path.write_bytes(data + b"\n")
    elif change == "link":
        (place.base / "elsewhere").write_bytes(data)
        path.symlink_to(place.base / "elsewhere")
    elif change == "pipe":
        os.mkfifo(path)
    elif change == "directory":
        path.mkdir()
        (path / "inside").write_bytes(data)
    report = place.root.validate(OBJECT_ID)
    assert report.outcome is Outcome.INVALID
    assert name in {finding.where for finding in report.findings if finding.outcome is Outcome.INVALID}
    assert wrong(report) <= {name, f"{name}/inside"}


@pytest.mark.parametrize("name", ["extra", "v1/extra", "v1/content/extra", "v2/content/original/.hidden", "logs/a"])
def test_an_extra_file_is_named(place: Place, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    assert wrong(place.root.validate(OBJECT_ID)) == {name}


@pytest.mark.parametrize("name", ["v3/inventory.json", "v3/content/extra", "v9/x"])
def test_an_extra_version_folder_is_never_valid(place: Place, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    report = place.root.validate(OBJECT_ID)
    assert report.outcome is Outcome.INVALID
    assert name in wrong(report)


def test_a_forger_who_rewrites_one_inventory_with_its_sidecar_is_found(place: Place, folder: Path) -> None:
    for where in ("", "v1/", "v2/"):
        kept = {name: (folder / f"{where}{name}").read_bytes() for name in ("inventory.json", "inventory.json.sha512")}
        forged = kept["inventory.json"].replace(b"Liuhen", b"Xiuhen")
        overwrite(folder / f"{where}inventory.json", forged)
        overwrite(folder / f"{where}inventory.json.sha512", sidecar_bytes(forged))
        report = place.root.validate(OBJECT_ID)
        assert report.outcome is Outcome.INVALID
        assert wrong(report)
        for name, data in kept.items():
            overwrite(folder / f"{where}{name}", data)
    assert place.root.validate(OBJECT_ID).outcome is Outcome.VALID


def test_without_any_inventory_the_content_is_not_called_valid(place: Place, folder: Path) -> None:
    for name in FILES:
        if "inventory" in name:
            (folder / name).unlink()
    report = place.root.validate(OBJECT_ID)
    assert report.outcome is Outcome.INVALID
    assert "ocfl.content_unchecked" in {finding.code for finding in report.findings}


def test_a_file_that_cannot_be_read_leaves_it_open(place: Place, folder: Path) -> None:
    """A disk that refuses to read says nothing about the bytes."""

    class Failing(FilesystemStore):
        def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
            if key.endswith((FILM, "v1/inventory.json")):
                raise StoreUnavailable(reason="EIO")
            return super().open(key, offset=offset, length=length)

    report = OcflRoot(Failing(place.base / "store", scratch=place.base / "scratch")).validate(OBJECT_ID)
    assert report.outcome is Outcome.INDETERMINATE
    assert wrong(report) == {f"v1/content/{FILM}", "v1/inventory.json"}
