"""Encrypted files of a backup: AES-256-GCM over chunks, in the STREAM construction, so that none can be cut or moved.

A file is `liuhen-backup-v1`, a newline, and chunks of 1 MiB, each followed by its 16-byte tag; the nonce of a chunk
is its number in eleven bytes and one byte that says whether it is the last. The key of a file is HKDF-SHA256 of the
backup's key, under the backup's random salt, over the file's name: no two files ever have the same. The backup's key
is 32 bytes from a file, or scrypt (N=2^17, r=8, p=1) over a passphrase and that salt. Chunks, because a database does
not fit into memory; GCM and not Fernet, because Fernet holds a whole message in memory and in base64.

Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
(STREAM); NIST SP 800-38D; RFC 5869; RFC 7914.
"""

import hashlib
import hmac
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from archive.kernel.errors import InvalidInput, LiuhenError

SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
_MAGIC: Final = b"liuhen-backup-v1\n"
_CHUNK_BYTES: Final = 1024 * 1024
_TAG_BYTES: Final = 16
_COUNTER_BYTES: Final = 11
_COST: Final = 2**17
_SHORTEST: Final = 12


class BackupUnreadable(LiuhenError):
    """This is not the key of the backup, or a file of it was changed, cut off or exchanged."""

    code = "backup.unreadable"
    exit_code = 65


class BackupKeyUnfit(InvalidInput):
    """A backup is encrypted to a file of 32 bytes, or to a passphrase of 12 characters at least."""

    code = "backup.key_unfit"
    exit_code = 64


@dataclass(frozen=True, slots=True)
class BackupKey:
    """The key of one backup, with the salt that makes it this one's."""

    key: bytes
    salt: bytes

    @classmethod
    def of_file(cls, path: Path, salt: bytes) -> "BackupKey":
        """Read a key of 32 bytes. Raises: BackupKeyUnfit, OSError."""
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise BackupKeyUnfit(path=str(path))
        return cls(key, salt)

    @classmethod
    def of_passphrase(cls, path: Path, salt: bytes) -> "BackupKey":
        """Derive the key from the first line of a file. Raises: BackupKeyUnfit, OSError."""
        passphrase = path.read_bytes().split(b"\n")[0].rstrip(b"\r")
        if len(passphrase) < _SHORTEST:
            raise BackupKeyUnfit(path=str(path))
        return cls(Scrypt(salt=salt, length=KEY_BYTES, n=_COST, r=8, p=1).derive(passphrase), salt)

    def mac(self, data: bytes) -> str:
        """Return what shows, to whoever has the key, that the manifest was written with it."""
        return hmac.digest(self._derived("manifest"), data, "sha256").hex()

    def cipher(self, name: str) -> AESGCM:
        """Return the cipher of a file."""
        return AESGCM(self._derived(f"file {name}"))

    def _derived(self, what: str) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=self.salt, info=f"liuhen backup v1 {what}".encode()).derive(self.key)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What was written: sizes in bytes, and the SHA-256 of what lies there and of what is in it."""

    name: str
    size_bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str


class SealedWriter(io.RawIOBase):
    """Encrypts what is written to it into a new file. `finish` ends it, durably."""

    def __init__(self, folder: Path, name: str, key: BackupKey) -> None:
        """Begin the file. Raises: OSError where it is there already."""
        super().__init__()
        self._name, self._cipher = name, key.cipher(name)
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "wb")
        self._sealed, self._plain = hashlib.sha256(), hashlib.sha256()
        self._sizes = [0, 0]
        self._buffer, self._number = bytearray(), 0
        self._out(_MAGIC)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Take bytes."""
        given = bytes(data)  # type: ignore[call-overload]
        self._plain.update(given)
        self._sizes[1] += len(given)
        self._buffer += given
        while len(self._buffer) > _CHUNK_BYTES:  # the last chunk is kept back: it says that it is the last
            self._seal(bytes(self._buffer[:_CHUNK_BYTES]), is_last=False)
            del self._buffer[:_CHUNK_BYTES]
        return len(given)

    def finish(self) -> SealedFile:
        """Write the last chunk, make the file durable, and say what was written."""
        self._seal(bytes(self._buffer), is_last=True)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return SealedFile(self._name, self._sizes[0], self._sealed.hexdigest(), self._sizes[1], self._plain.hexdigest())

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._out(self._cipher.encrypt(_nonce(self._number, is_last=is_last), chunk, None))
        self._number += 1

    def _out(self, data: bytes) -> None:
        self._file.write(data)
        self._sealed.update(data)
        self._sizes[0] += len(data)


def unsealed(path: Path, key: BackupKey) -> Iterator[bytes]:
    """Yield what is in a file, chunk by chunk; each was authenticated before. Raises: BackupUnreadable, OSError."""
    cipher = key.cipher(path.name)
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise BackupUnreadable(file=path.name)
        number, chunk = 0, file.read(_CHUNK_BYTES + _TAG_BYTES)
        while True:
            after = file.read(_CHUNK_BYTES + _TAG_BYTES)
            try:
                yield cipher.decrypt(_nonce(number, is_last=not after), chunk, None)
            except InvalidTag as exc:
                raise BackupUnreadable(file=path.name) from exc
            if not after:
                return
            number, chunk = number + 1, after


class ChunkReader(io.RawIOBase):
    """Reads chunks as one file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Take the chunks."""
        super().__init__()
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the chunk at hand goes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._rest:
            found = next(self._chunks, None)
            if found is None:
                return 0
            self._rest = found
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def as_file(chunks: Iterator[bytes]) -> BinaryIO:
    """Return chunks as a file to read."""
    return io.BufferedReader(ChunkReader(chunks))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES) + bytes([is_last])
