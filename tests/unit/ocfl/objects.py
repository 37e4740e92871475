"""Small objects to try the OCFL store with, and the foreign judge."""

import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import ocfl

from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.digests import digest_of
from archive.kernel.ids import ObjectId
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.layout import object_root
from archive.ocfl.root import OcflRoot

OBJECT_ID = ObjectId(uuid.UUID("01950000-0000-7000-8000-000000000001"))
OTHER_ID = ObjectId(uuid.UUID("01950000-0000-7000-8000-000000000002"))
USER = VersionUser("Liuhen", "urn:liuhen:archive")
AT = datetime(2026, 11, 24, 8, 30, 0, 123456, tzinfo=UTC)
LATER = datetime(2026, 11, 25, tzinfo=UTC)
FILM = "original/现场检查 2026年11月.mp4"
MANIFEST = "original/manifest.json"
TOKEN = "original/manifest.json.tsr"
FILM_BYTES = b"film" * 5000


@dataclass(frozen=True)
class Place:
    """A storage root with its directories."""

    base: Path

    @property
    def store(self) -> FilesystemStore:
        return FilesystemStore(self.base / "store", scratch=self.base / "scratch")

    @property
    def root(self) -> OcflRoot:
        return OcflRoot(self.store)

    def object_folder(self, object_id: ObjectId = OBJECT_ID) -> Path:
        return self.base / "store" / object_root(object_id)

    def staged(self, data: bytes = FILM_BYTES, name: str = "staged") -> Path:
        path = self.base / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        return path

    def film(self, data: bytes = FILM_BYTES) -> NewFile:
        return NewFile(FILM, self.staged(data), digest_of(data))


def new_place(base: Path) -> Place:
    """Prepare a storage root in an empty directory."""
    place = Place(base)
    place.root.prepare()
    return place


def temporary_place() -> Place:
    """A place for one example of a property test, in memory where the machine has such a place; `discard` it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return new_place(Path(tempfile.mkdtemp(prefix="liuhen-ocfl-", dir=memory)))


def discard(place: Place) -> None:
    shutil.rmtree(place.base)


def first_files(place: Place) -> list[NewFile]:
    return [place.film(), NewFile.of_bytes(MANIFEST, b'{"size":20000}')]


def second_files() -> list[NewFile]:
    return [NewFile.of_bytes(TOKEN, b"a timestamp token")]


def create(place: Place, object_id: ObjectId = OBJECT_ID, *, versions: int = 1) -> None:
    """Make the object that most tests use, with one version or two."""
    place.root.create_object(object_id, first_files(place), message="接收", user=USER, at=AT)
    if versions == 2:
        place.root.add_version(object_id, second_files(), message="timestamp", user=USER, at=LATER)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a directory with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def judge(place: Place) -> list[str]:
    """What ocfl-py has to say against the whole storage root, warnings included; empty when it is content."""
    root = ocfl.StorageRoot(str(place.base / "store"))
    is_valid = root.validate(log_warnings=True)
    said = [message for _, message in root.errors]
    if not is_valid or root.good_objects != root.num_objects:
        said.append(root.log.status_str() or "invalid")
    return said
