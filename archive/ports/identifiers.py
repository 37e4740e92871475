"""The port to whatever keeps the numbers of persons and organisations secret: key file, token, remote service."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from archive.kernel.errors import LiuhenError


class IdentifierUnreadable(LiuhenError):
    """An identifier cannot be opened: its key is not there, or what is stored was changed."""

    code = "cases.identifier_unreadable"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the id of the key that it was made with."""

    key_id: str
    data: bytes


class IdentifierVault(Protocol):
    """Encrypts identifiers, and makes blind indexes that find equal ones without decrypting any.

    It may hold several keys at once: the newest one makes, all of them open and find.
    Raises: IdentifierUnreadable in every method when there is no key at all.
    """

    @property
    def key_ids(self) -> Sequence[str]:
        """The ids of the keys, the newest last."""
        ...

    def seal(self, plain: str, *, bound_to: str) -> Sealed:
        """Encrypt under the newest key; the result opens only for the same `bound_to`."""
        ...

    def unseal(self, sealed: Sealed, *, bound_to: str) -> str:
        """Return what was sealed. Raises: IdentifierUnreadable for another `bound_to`, other bytes, an unknown key."""
        ...

    def index(self, text: str, *, key_id: str) -> bytes:
        """Return the 32-byte blind index of `text` under one key. Raises: IdentifierUnreadable for an unknown key."""
        ...
