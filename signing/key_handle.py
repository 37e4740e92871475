"""A private key in a file of its own, whatever its algorithm: made once, read, signed with."""

from pathlib import Path
from typing import Any, ClassVar, Self

from signing.keyfiles import PRIVATE, KeyUnreadable, private_pem, read_private_key, write_once


class FileKeyHandle:
    """A private key in this process, read from a file once. Satisfies `archive.ports.keys.KeyHandle`.

    A subclass says which kind of key it is, and what that is called.
    """

    __slots__ = ("_private", "_public_bytes")

    kind: ClassVar[Any]
    algorithm: ClassVar[str]

    def __init__(self, private: Any) -> None:
        """Hold the key."""
        self._private = private
        self._public_bytes: bytes = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Make a new key and write it to `path` (PKCS#8 PEM, mode 0600); durable on return.

        Raises: KeyExists when there is a file already (it stays as it is), StorageFull, InvalidInput.
        """
        private = cls.kind.generate()
        write_once(path, private_pem(private, passphrase=passphrase), mode=PRIVATE)
        return cls(private)

    @classmethod
    def load(cls, path: Path, *, passphrase: bytes | None = None) -> Self:
        """Read the key from `path`.

        Raises: KeyMissing, KeyExposed, KeyUnreadable.
        """
        private = read_private_key(path, passphrase=passphrase)
        if not isinstance(private, cls.kind):
            raise KeyUnreadable(f"The file holds a key of another kind than {cls.algorithm}", path=str(path))
        return cls(private)

    @property
    def public_bytes(self) -> bytes:
        """The public key, raw."""
        return self._public_bytes

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`, raw."""
        signature: bytes = self._private.sign(message)
        return signature

    def __repr__(self) -> str:
        """Show the beginning of the public key only."""
        return f"{type(self).__name__}(public={self._public_bytes[:32].hex()})"
