"""Wrapping keys under a key-encryption key from a file: AES-KW with 256 bits.

The file holds the 32 bytes and nothing else. Source: RFC 3394; NIST SP 800-38F.
"""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from archive.ports.keys import WrappedKeyUnreadable
from signing.keyfiles import KeyUnreadable, read_secret

_KEY_BYTES: Final = 32
_ID_LABEL: Final = b"liuhen journal key"
_ID_BYTES: Final = 8


class FileKeyWrapper:
    """The key-encryption key of one file, read when it is first needed. Satisfies `archive.ports.keys.KeyWrapper`."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet. Every use raises KeyMissing, KeyExposed, KeyUnreadable."""
        self._path = path

    @property
    def id(self) -> bytes:
        """Which key this is, without telling anything of it."""
        return hashlib.sha256(_ID_LABEL + self._key).digest()[:_ID_BYTES]

    def wrap(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Wrap each key."""
        own = self._key
        return [aes_key_wrap(own, key) for key in keys]

    def unwrap(self, wrapped: bytes) -> bytes:
        """Open one wrapped key. Raises: WrappedKeyUnreadable."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except (InvalidUnwrap, ValueError) as exc:
            raise WrappedKeyUnreadable from exc

    @functools.cached_property
    def _key(self) -> bytes:
        key = read_secret(self._path)
        if len(key) != _KEY_BYTES:
            raise KeyUnreadable(path=str(self._path))
        return key

    def __repr__(self) -> str:
        """Show the file only."""
        return f"FileKeyWrapper({str(self._path)!r})"
