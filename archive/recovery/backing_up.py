"""Writing a backup: database and home folder, encrypted, under one signed manifest, read back before it counts.

In a new folder: `database.sealed`, `home.sealed` (a tar), `manifest.json`, `manifest.json.p7s`. The database is copied
as of one moment first; what is copied of the log after that can only be more than the database knows. Originals,
quarantine, drafts and renditions are not in it: they are put once, and copied as files or kept by their own store.

Source: docs/guide/operator.md.
"""

import hashlib
import io
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from archive.db.database import Database
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.instants import Instant, format_instant
from archive.ports.keys import ManifestSigner
from archive.recovery.database_copies import copied, kind_of
from archive.recovery.mark import MARK
from archive.recovery.sealed_files import SALT_BYTES, BackupKey, BackupUnreadable, SealedFile, SealedWriter, unsealed
from signing.keyfiles import fsync_directory, write_once

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.p7s"
DATABASE: Final = "database.sealed"
HOME: Final = "home.sealed"
CHECKPOINT: Final = "log/checkpoint"
_VERSION: Final = 1
_MODE: Final = 0o400
_BLOCK_BYTES: Final = 1024 * 1024
LEFT_OUT: Final = frozenset(
    {"run", "staging", "scratch", "work", "store", "renditions", "quarantine", "damaged", "drafts", "packages", MARK}
)
"""Of the home folder: what is big and put once, what is made anew, and what belongs to running processes."""


class FolderNotEmpty(Conflict):
    """A backup goes into a folder that is not there yet, or is empty; nothing was written."""

    code = "backup.folder_not_empty"
    exit_code = 73


class BackupMissing(NotFound):
    """There is no backup in this folder: it has a file manifest.json, which is written last."""

    code = "backup.missing"
    exit_code = 66


class BackupMalformed(InvalidInput):
    """The manifest of the backup is not one of this version."""

    code = "backup.malformed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds: of which log, how much of it, from when, in which files. `mac` is under the backup's key."""

    origin: str
    log_size: int
    made_at: str
    database: str
    revision: str
    salt: str
    is_passphrase: bool
    files: Mapping[str, SealedFile]
    mac: str = ""

    @property
    def body(self) -> bytes:
        """What the mac is over."""
        told: dict[str, Any] = {**asdict(self), "v": _VERSION}
        del told["mac"]
        return canonical_json(told)

    @property
    def raw(self) -> bytes:
        """The file."""
        return canonical_json({**asdict(self), "v": _VERSION})

    @classmethod
    def parse(cls, raw: bytes) -> "BackupManifest":
        """Read the file. Raises: BackupMalformed."""
        try:
            told = parse_canonical(raw)
            if told.pop("v") != _VERSION:
                raise BackupMalformed
            return cls(**{**told, "files": {name: SealedFile(**each) for name, each in told["files"].items()}})
        except (InvalidInput, KeyError, TypeError, AttributeError) as exc:
            raise BackupMalformed from exc


@dataclass(frozen=True, slots=True)
class Subject:
    """What is backed up: an archive's database and folder, with who signs for it."""

    database: Database
    home: Path
    origin: str
    revision: str
    signer: ManifestSigner


def new_key(key_file: Path | None, passphrase_file: Path | None) -> BackupKey:
    """Return the key of a new backup. Raises: BackupKeyUnfit, OSError."""
    salt = secrets.token_bytes(SALT_BYTES)
    if key_file is not None:
        return BackupKey.of_file(key_file, salt)
    return BackupKey.of_passphrase(passphrase_file or Path(), salt)


def back_up(subject: Subject, folder: Path, key: BackupKey, *, is_passphrase: bool, at: Instant) -> BackupManifest:
    """Write a backup into a folder, and read it back.

    Guarantees: on return every byte is durable and was decrypted again; the manifest is written last.
    Raises: FolderNotEmpty, ProgramMissing, CopyFailed, BackupUnreadable where it was not read back as it was written,
        StorageFull, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise FolderNotEmpty(folder=str(folder))
    writer = SealedWriter(folder, DATABASE, key)
    with copied(subject.database, subject.home / "scratch") as (copy, size):
        shutil.copyfileobj(copy, writer, _BLOCK_BYTES)
    database = writer.finish()
    writer = SealedWriter(folder, HOME, key)
    checkpoint = (subject.home / CHECKPOINT).read_bytes()
    with tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in _home_files(subject.home, _database_files(subject.database)):
            _add(tar, subject.home, path, checkpoint)
    files = {file.name: file for file in (database, writer.finish())}
    manifest = BackupManifest(
        subject.origin, size, format_instant(at), kind_of(subject.database), subject.revision, key.salt.hex(),
        is_passphrase, files,
    )  # fmt: skip
    for file in files.values():
        check_file(folder, file, key)
    manifest = BackupManifest(**{**_fields(manifest), "mac": key.mac(manifest.body)})
    write_once(folder / SIGNATURE, subject.signer.sign_detached(manifest.raw), mode=_MODE)
    write_once(folder / MANIFEST, manifest.raw, mode=_MODE)
    fsync_directory(folder)
    return manifest


def read_manifest(folder: Path) -> BackupManifest:
    """Return what a backup says of itself; its key shows whether that is so. Raises: BackupMissing, BackupMalformed."""
    try:
        return BackupManifest.parse((folder / MANIFEST).read_bytes())
    except FileNotFoundError as exc:
        raise BackupMissing(folder=str(folder)) from exc


def key_of(manifest: BackupManifest, key_file: Path | None, passphrase_file: Path | None) -> BackupKey:
    """Return the key of a backup, which has written the manifest. Raises: BackupUnreadable, BackupKeyUnfit, OSError."""
    salt = bytes.fromhex(manifest.salt)
    key = (
        BackupKey.of_file(key_file, salt)
        if key_file is not None
        else BackupKey.of_passphrase(passphrase_file or Path(), salt)
    )
    if not secrets.compare_digest(key.mac(manifest.body), manifest.mac):
        raise BackupUnreadable(file=MANIFEST)
    return key


def check_file(folder: Path, file: SealedFile, key: BackupKey) -> None:
    """Read a file of a backup as a whole. Raises: BackupUnreadable."""
    plain, size_bytes = hashlib.sha256(), 0
    for chunk in unsealed(folder / file.name, key):
        plain.update(chunk)
        size_bytes += len(chunk)
    if (size_bytes, plain.hexdigest()) != (file.plain_bytes, file.plain_sha256):
        raise BackupUnreadable(file=file.name)


def _fields(manifest: BackupManifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in BackupManifest.__dataclass_fields__}


def _database_files(database: Database) -> frozenset[Path]:
    """Return the files of a database that may lie in the home folder: it is copied by itself."""
    if not database.is_sqlite:
        return frozenset()
    place = Path(str(database.url.database)).absolute()
    return frozenset(place.with_name(place.name + end) for end in ("", "-wal", "-shm", "-door", "-turn", "-journal"))


def _home_files(home: Path, without: frozenset[Path]) -> Sequence[Path]:
    """Return what is copied of a home folder: folders before what is in them."""

    def below(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or path.name.endswith((".new", ".tmp")):
                continue
            if path.is_dir():
                yield path
                yield from below(path)
            elif path not in without:
                yield path

    return [path for path in below(home) if path.relative_to(home).parts[0] not in LEFT_OUT]


def _add(tar: tarfile.TarFile, home: Path, path: Path, checkpoint: bytes) -> None:
    """Add a file as it is now; one that is gone meanwhile was a part of a tile that is whole by now."""
    name = path.relative_to(home).as_posix()
    with suppress(FileNotFoundError):
        if path.is_dir():
            info = tar.gettarinfo(path, arcname=name)
            tar.addfile(_anonymous(info))
            return
        # As it was before the rest was copied: what it speaks of is in the copy for certain.
        data = checkpoint if name == CHECKPOINT else path.read_bytes()
        info = _anonymous(tar.gettarinfo(path, arcname=name))
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
