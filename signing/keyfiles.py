"""Private keys in files: written once and durably, read only when nobody else can read them.

Used by the Ed25519 keys and by the embedded authority. Keys that live in a token have their own module.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from archive.kernel.errors import DISK_FULL, Conflict, InvalidInput, LiuhenError, NotFound, StorageFull

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


class KeyExists(Conflict):
    """There is a key file already; it was not touched."""

    code = "key.exists"


class KeyMissing(NotFound):
    """There is no key file at this place."""

    code = "key.missing"


class KeyUnreadable(LiuhenError):
    """The key file cannot be read: damaged, of another kind, or the passphrase is not its own."""

    code = "key.unreadable"
    exit_code = 78


class KeyExposed(LiuhenError):
    """Others may read or change the key file; take their rights away (chmod 600) before it is used."""

    code = "key.exposed"
    exit_code = 78


def private_pem(key: PrivateKeyTypes, *, passphrase: bytes | None) -> bytes:
    """Return `key` as PKCS#8 PEM, encrypted when there is a passphrase.

    The passphrase must be random bytes from a secrets file: PKCS#8 as OpenSSL writes it stretches it only a little.
    Raises: InvalidInput for an empty passphrase.
    """
    if passphrase is None:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    elif passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    else:
        raise InvalidInput("The passphrase is empty")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def read_private_key(path: Path, *, passphrase: bytes | None) -> PrivateKeyTypes:
    """Return the private key in the PEM file `path`.

    Raises: KeyMissing, KeyExposed, KeyUnreadable.
    """
    pem = read_secret(path)
    try:
        return serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as exc:
        # TypeError: a passphrase where none is needed, or none where one is.
        raise KeyUnreadable(path=str(path)) from exc


def read_secret(path: Path) -> bytes:
    """Return the bytes of a file that others may not read.

    Reading by the file's group is allowed, because orchestrators hand secrets out that way.
    Raises: KeyMissing, KeyExposed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise KeyMissing(path=str(path)) from exc
    with os.fdopen(descriptor, "rb") as source:
        mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise KeyExposed(path=str(path), mode=f"{mode:04o}")
        return source.read()


def write_once(path: Path, data: bytes, *, mode: int) -> None:
    """Make the file `path` durable with these bytes, or change nothing.

    Raises: KeyExists, StorageFull.
    """
    with _complete_file(path, data, mode) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError as exc:
            raise KeyExists(path=str(path)) from exc
    fsync_directory(path.parent)


def replace_durably(path: Path, data: bytes, *, mode: int) -> None:
    """Put these bytes in the place of the file `path`: a reader sees the old or the new, whole.

    Raises: StorageFull.
    """
    with _complete_file(path, data, mode) as temporary:
        temporary.replace(path)
    fsync_directory(path.parent)


def fsync_directory(directory: Path) -> None:
    """Make the entries of `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be the only holder of the lock file `path`, among all threads and processes, for the length of the block.

    The kernel ends it with the process. Raises: StorageFull.
    """
    with full_disk_told(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def full_disk_told(path: Path) -> Iterator[None]:
    """Turn the system's word for a full disk into StorageFull, which callers may retry."""
    try:
        yield
    except OSError as exc:
        if exc.errno in DISK_FULL:
            raise StorageFull(path=str(path)) from exc
        raise


@contextlib.contextmanager
def _complete_file(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Give a whole, fsynced file beside `path` under a name of its own, and remove that name afterwards."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with full_disk_told(path):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
            with os.fdopen(descriptor, "wb") as target:
                target.write(data)
                target.flush()
                os.fchmod(target.fileno(), mode)
                os.fsync(target.fileno())
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)
