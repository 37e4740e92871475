"""Identifiers encrypted with keys from a file: AES-256-GCM for the numbers, HMAC-SHA256 for the blind indexes.

The file holds one 32-byte secret a line, the newest last; from each, HKDF derives the key's id, the key that seals and
the key that indexes. Who has the database without this file has no number, and cannot try numbers out either.
Source: NIST SP 800-38D (GCM), RFC 5869 (HKDF), RFC 2104 (HMAC).
"""

import base64
import contextlib
import hmac
import os
import secrets
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from archive.ports.identifiers import IdentifierUnreadable, Sealed
from signing.keyfiles import PRIVATE, KeyExists, KeyExposed, KeyMissing, read_secret, replace_durably, write_once

_HEADER: Final = "liuhen-identifier-keys-v1"
_SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    """What is derived from one line of the file."""

    secret: bytes
    id: str
    sealing: AESGCM
    indexing: bytes

    @classmethod
    def of(cls, secret: bytes) -> Self:
        return cls(
            secret=secret,
            id=_derived(secret, "id", _KEY_ID_BYTES).hex(),
            sealing=AESGCM(_derived(secret, "seal", 32)),
            indexing=_derived(secret, "index", 32),
        )

    @property
    def line(self) -> str:
        return f"{self.id} {base64.b64encode(self.secret).decode()}"


class FileIdentifierVault:
    """The keys of one file. Satisfies `archive.ports.identifiers.IdentifierVault`.

    The file is read when it is first needed, and again whenever it has changed: a key that another process has added is
    used from then on.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self._path = path
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, _Key] = {}

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the file with a first key, or leave the one that is there. Raises: StorageFull."""
        with contextlib.suppress(KeyExists):
            write_once(path, _as_file([_Key.of(secrets.token_bytes(_SECRET_BYTES))]), mode=PRIVATE)
        return cls(path)

    @property
    def key_ids(self) -> Sequence[str]:
        """The ids of the keys, the newest last."""
        return tuple(self._current())

    def seal(self, plain: str, *, bound_to: str) -> Sealed:
        """Encrypt under the newest key, with a random nonce before the ciphertext and its tag."""
        key = next(reversed(self._current().values()))
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(key.id, nonce + key.sealing.encrypt(nonce, plain.encode(), bound_to.encode()))

    def unseal(self, sealed: Sealed, *, bound_to: str) -> str:
        """Return what was sealed. Raises: IdentifierUnreadable."""
        key = self._key(sealed.key_id)
        nonce, rest = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return key.sealing.decrypt(nonce, rest, bound_to.encode()).decode()
        except (InvalidTag, ValueError) as exc:
            raise IdentifierUnreadable("What is stored is not what was sealed", key_id=key.id) from exc

    def index(self, text: str, *, key_id: str) -> bytes:
        """Return the HMAC-SHA256 of `text` under one key. Raises: IdentifierUnreadable."""
        return hmac.digest(self._key(key_id).indexing, text.encode(), "sha256")

    def add_key(self) -> str:
        """Make a new key that is used from now on, durable on return; return its id. Raises: StorageFull.

        The caller sees to it that no other process changes the file meanwhile.
        """
        fresh = _Key.of(secrets.token_bytes(_SECRET_BYTES))
        self._replace([*self._current().values(), fresh])
        return fresh.id

    def forget_keys(self, *, but: Collection[str]) -> Sequence[str]:
        """Remove every key that is neither the newest nor in `but`; return the ids of those that are gone."""
        keys = list(self._current().values())
        kept = [key for key in keys if key.id in but or key is keys[-1]]
        if len(kept) < len(keys):
            self._replace(kept)
        return [key.id for key in keys if not any(key is other for other in kept)]

    def _key(self, key_id: str) -> _Key:
        try:
            return self._current()[key_id]
        except KeyError as exc:
            raise IdentifierUnreadable("The key of this identifier is not in the key file", key_id=key_id) from exc

    def _current(self) -> dict[str, _Key]:
        with self._guard:
            try:
                found = self._path.stat()
            except OSError as exc:
                raise IdentifierUnreadable("The key file of the identifiers is missing", path=str(self._path)) from exc
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._keys, self._seen = _read(self._path), seen
            return self._keys

    def _replace(self, keys: Sequence[_Key]) -> None:
        replace_durably(self._path, _as_file(keys), mode=PRIVATE)

    def __repr__(self) -> str:
        """Show the file only."""
        return f"FileIdentifierVault({str(self._path)!r})"


def _derived(secret: bytes, purpose: str, size_bytes: int) -> bytes:
    info = f"liuhen identifier {purpose} v1".encode()
    return HKDF(algorithm=SHA256(), length=size_bytes, salt=None, info=info).derive(secret)


def _as_file(keys: Sequence[_Key]) -> bytes:
    return "".join(f"{line}\n" for line in (_HEADER, *(key.line for key in keys))).encode()


def _read(path: Path) -> dict[str, _Key]:
    """Return the keys of the file by their id. Raises: IdentifierUnreadable."""
    try:
        header, *lines = read_secret(path).decode("ascii").splitlines()
        keys = [_Key.of(base64.b64decode(line.partition(" ")[2], validate=True)) for line in lines]
    except (KeyMissing, KeyExposed) as exc:
        raise IdentifierUnreadable(exc.message, path=str(path)) from exc
    except ValueError as exc:
        raise IdentifierUnreadable("The key file of the identifiers is damaged", path=str(path)) from exc
    # The id is derived from the secret, so a line that was damaged does not name it.
    if header != _HEADER or not keys or [key.line for key in keys] != lines:
        raise IdentifierUnreadable("The key file of the identifiers is damaged", path=str(path))
    return {key.id: key for key in keys}
