"""Signed notes, read raw: the text, the lines below it, and whether a key has signed.

Source: C2SP signed-note (0x01) and tlog-cosignature (0x04, 0x06).
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

ED25519: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04
MLDSA44: Final = 0x06
_DASH: Final = "—"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key under its name; `material` has its kind in front."""

    name: str
    material: bytes

    @property
    def kind(self) -> int:
        """The kind of the key."""
        return self.material[0]

    @property
    def identity(self) -> bytes:
        """The key ID that stands in front of its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.material).digest()[:4]

    @property
    def is_timed(self) -> bool:
        """Whether its signatures state a time."""
        return self.kind != ED25519


@dataclass(frozen=True, slots=True)
class Line:
    """A signature line. Whether it verifies is not known yet."""

    name: str
    identity: bytes
    signature: bytes

    @property
    def stated_s(self) -> int:
        """The time that it states, POSIX seconds, where it is of a kind that does."""
        return int.from_bytes(self.signature[:8])

    def is_of(self, key: Key) -> bool:
        """Whether it claims to be by `key`."""
        return (self.name, self.identity) == (key.name, key.identity)


@dataclass(frozen=True, slots=True)
class Head:
    """What a note says of a log, and its signature lines as they stand there."""

    text: str
    lines: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.text.split("\n")[0]

    @property
    def stated(self) -> Sequence[str]:
        """Size and root as they are written."""
        return self.text.split("\n")[1:3]

    @property
    def size(self) -> int:
        """The number of entries. Raises: ValueError."""
        return int(self.stated[0])

    @property
    def root(self) -> bytes:
        """The root hash. Raises: ValueError, IndexError."""
        return base64.b64decode(self.stated[1], validate=True)


def read_head(note: str) -> Head:
    """Part a note into its text and its lines; what is no note has no lines."""
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        return Head(note, ())
    return Head(text + "\n", tuple(block[:-1].split("\n")))


def read_line(line: str) -> Line | None:
    """Return a signature line in its one form; None for any other text."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if dash != _DASH or not name or len(raw) < 5 or base64.b64encode(raw).decode() != encoded:
        return None
    return Line(name, raw[:4], raw[4:])


def signed(head: Head, key: Key) -> bool | None:
    """Whether the key has signed; None where no line claims it, False where one that does is not its own."""
    outcome = None
    for line in head.lines:
        found = read_line(line)
        if found is None:
            if line.startswith(f"{_DASH} {key.name} "):
                return False
        elif found.is_of(key):
            if not verifies(head.text, found, key):
                return False
            outcome = True
    return outcome


def signed_times(head: Head, keys: Iterable[Key]) -> Iterator[int]:
    """Yield the times that keys have signed together with the note, POSIX seconds."""
    for key in keys:
        if key.is_timed:
            yield from _times(head, key)


def stated_times(head: Head, keys: Iterable[Key]) -> Iterator[int]:
    """Yield the times, POSIX seconds, in lines that claim to be by these keys; whether they verify is open."""
    timed = [key for key in keys if key.is_timed]
    for line in filter(None, map(read_line, head.lines)):
        if any(line.is_of(key) for key in timed):
            yield line.stated_s


def cosigners(head: Head, witnesses: Mapping[str, Key]) -> dict[str, int]:
    """Return the witnesses whose lines verify, each with the latest time that it states, POSIX seconds."""
    found = {name: max(_times(head, key), default=0) for name, key in witnesses.items()}
    return {name: time_s for name, time_s in found.items() if time_s}


def as_time(time_s: int) -> str:
    """Return POSIX seconds as text."""
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def verifies(text: str, line: Line, key: Key) -> bool:
    """Whether the signature is the key's over this text."""
    try:
        _verify(text, line.signature, key)
    except (InvalidSignature, ValueError, IndexError, OverflowError):
        return False
    return True


def _times(head: Head, key: Key) -> Iterator[int]:
    for line in map(read_line, head.lines):
        if line is not None and line.is_of(key) and verifies(head.text, line, key):
            yield line.stated_s


def _verify(text: str, signature: bytes, key: Key) -> None:
    public, time_s = key.material[1:], int.from_bytes(signature[:8])
    if key.kind == ED25519:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    elif key.kind == ED25519_COSIGNATURE:
        message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
        Ed25519PublicKey.from_public_bytes(public).verify(signature[8:], message)
    else:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature[8:], _tree_message(text, key.name, signature[:8]))


def _tree_message(text: str, name: str, time: bytes) -> bytes:
    origin, size, root = text.split("\n")[:3]
    return b"".join(
        (
            *(b"subtree/v1\n\0", bytes([len(name.encode())]), name.encode(), time),
            *(bytes([len(origin.encode())]), origin.encode(), bytes(8), int(size).to_bytes(8)),
            base64.b64decode(root, validate=True),
        )
    )
