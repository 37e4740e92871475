"""Bringing a backup back: files of the home that are not there, then the database; what came after is replayed on top.

What lies in the home already stays: it is newer. So a backup that is put back where log and journal have survived
comes up to the log's end, by the same steps as a recovery into an empty database.
"""

import os
import tarfile
from pathlib import Path
from typing import Final

from archive.db.database import Database
from archive.kernel.errors import InvalidInput
from archive.recovery.backing_up import DATABASE, HOME, LEFT_OUT, BackupManifest, check_file
from archive.recovery.database_copies import kind_of, put_back
from archive.recovery.mark import MARK, set_mark
from archive.recovery.sealed_files import BackupKey, as_file, unsealed
from signing.keyfiles import fsync_directory

_MOST_FILE_BYTES: Final = 1 << 30


class OtherDatabase(InvalidInput):
    """The backup is of another kind of database than the settings name."""

    code = "restore.other_database"
    exit_code = 64


class UnsafeName(InvalidInput):
    """A name in the backup leads out of the home folder; nothing of it was written."""

    code = "restore.unsafe_name"
    exit_code = 65


def check_backup(folder: Path, manifest: BackupManifest, key: BackupKey) -> None:
    """Read all of a backup, so that nothing is begun that cannot be ended. Raises: BackupUnreadable, OSError."""
    for file in manifest.files.values():
        check_file(folder, file, key)


def restore_home(folder: Path, home: Path, key: BackupKey) -> tuple[int, int]:
    """Write the files of the home that are not there; return how many were written, and how many stayed as they are.

    From now on the archive does not start before the restoring has ended.
    Raises: UnsafeName, BackupUnreadable, OSError.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    set_mark(home)
    for name in LEFT_OUT - {MARK}:
        (home / name).mkdir(exist_ok=True, mode=0o700)
    written = stayed = 0
    folders: set[Path] = set()
    with tarfile.open(fileobj=as_file(unsealed(folder / HOME, key)), mode="r|") as tar:
        for member in tar:
            place = _place(home, member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True, mode=member.mode & 0o777)
            elif place.exists():
                stayed += 1
            elif member.isreg():
                data = tar.extractfile(member)
                _write(place, b"" if data is None else data.read(_MOST_FILE_BYTES), member.mode & 0o777)
                folders.add(place.parent)
                written += 1
            else:
                raise UnsafeName(name=member.name)
    for each in folders:
        fsync_directory(each)
    return written, stayed


def restore_database(folder: Path, database: Database, manifest: BackupManifest, key: BackupKey) -> None:
    """Make the database out of the backup, as a whole or not at all.

    Raises: OtherDatabase, DatabaseNotEmpty, ProgramMissing, CopyFailed, BackupUnreadable.
    """
    if manifest.database != kind_of(database):
        raise OtherDatabase(backup=manifest.database, settings=kind_of(database))
    put_back(database, as_file(unsealed(folder / DATABASE, key)))


def _place(home: Path, name: str) -> Path:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise UnsafeName(name=name)
    return home.joinpath(*parts)


def _write(place: Path, data: bytes, mode: int) -> None:
    """Write a file as a whole or not at all, durably but for its folder."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = place.with_name(f"{place.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(place)
