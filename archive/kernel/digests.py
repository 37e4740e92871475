"""Digests: a named set of hashes over one sequence of bytes, and hashing without holding them.

hashlib releases the GIL, so the digests of one file run side by side in two threads (`hash_stream`).
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, BinaryIO, Final, Self

from archive.kernel.errors import InvalidInput

SIZES_BYTES: Final[Mapping[str, int]] = {"sha256": 32, "sha512": 64, "sm3": 32}
STANDARD: Final = ("sha256", "sha512")
CN_PROFILE: Final = ("sha256", "sha512", "sm3")
_SLOWEST: Final = "sha512"
_BLOCK_BYTES: Final = 1024 * 1024
_MOST_BLOCKS: Final = 8


@dataclass(frozen=True, slots=True)
class Digest:
    """One hash value with its algorithm.

    Raises: InvalidInput for an unknown algorithm or a wrong length.
    """

    algorithm: str
    value: bytes

    def __post_init__(self) -> None:
        """Refuse what cannot be a digest."""
        if SIZES_BYTES.get(self.algorithm) != len(self.value):
            raise InvalidInput("Not a digest", algorithm=self.algorithm[:16], size_bytes=len(self.value))

    @classmethod
    def from_hex(cls, algorithm: str, text: str) -> Self:
        """Parse lower-case hexadecimal. Raises: InvalidInput."""
        try:
            value = bytes.fromhex(text)
        except (ValueError, TypeError) as exc:
            raise InvalidInput("Not a digest in hexadecimal", algorithm=algorithm[:16]) from exc
        if value.hex() != text:
            raise InvalidInput("A digest is written in lower-case hexadecimal", algorithm=algorithm[:16])
        return cls(algorithm, value)

    @property
    def hex(self) -> str:
        """The value in lower-case hexadecimal."""
        return self.value.hex()

    def __str__(self) -> str:
        """Render as `sha256:<hex>`."""
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class DigestSet:
    """The digests of one sequence of bytes and its size: what a manifest, a row and a log entry agree on.

    Units: size in bytes. Always holds sha256 and sha512; sm3 in the CN profile.
    """

    size_bytes: int
    sha256: Digest
    sha512: Digest
    sm3: Digest | None = None

    def as_json(self) -> dict[str, str]:
        """Return `{"sha256": hex, "sha512": hex[, "sm3": hex]}`, the form of `dig` in log entries."""
        result = {"sha256": self.sha256.hex, "sha512": self.sha512.hex}
        if self.sm3 is not None:
            result["sm3"] = self.sm3.hex
        return result

    @classmethod
    def from_json(cls, size_bytes: int, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        if not isinstance(value, Mapping) or not {"sha256", "sha512"} <= set(value) <= set(SIZES_BYTES):
            raise InvalidInput("Digests must be given as sha256 and sha512 (and sm3)")
        return cls(
            size_bytes=size_bytes,
            sha256=Digest.from_hex("sha256", value["sha256"]),
            sha512=Digest.from_hex("sha512", value["sha512"]),
            sm3=Digest.from_hex("sm3", value["sm3"]) if "sm3" in value else None,
        )

    def agrees_with(self, other: Self) -> bool:
        """Return whether size, sha256, sha512 and, where both have it, sm3 are equal."""
        return (
            self.size_bytes == other.size_bytes
            and hmac.compare_digest(self.sha256.value, other.sha256.value)
            and hmac.compare_digest(self.sha512.value, other.sha512.value)
            and (self.sm3 is None or other.sm3 is None or self.sm3 == other.sm3)
        )


class Hasher:
    """Computes the digests of a sequence of bytes in one pass; bytes are given block by block."""

    def __init__(self, algorithms: Iterable[str] = STANDARD) -> None:
        """Start with no bytes. Raises: ValueError when this Python lacks an algorithm (sm3 on some builds)."""
        self.size_bytes = 0
        self.parts = {name: hashlib.new(name) for name in algorithms}

    def update(self, block: bytes | bytearray | memoryview) -> None:
        """Take one block, in this thread."""
        for part in self.parts.values():
            part.update(block)
        self.size_bytes += len(block)

    def digests(self) -> DigestSet:
        """Return the digests of all bytes so far."""
        found = {name: Digest(name, part.digest()) for name, part in self.parts.items()}
        return DigestSet(self.size_bytes, found["sha256"], found["sha512"], found.get("sm3"))


def hash_stream(source: BinaryIO, *, algorithms: Iterable[str] = STANDARD) -> DigestSet:
    """Hash `source` to its end in one read, the slowest algorithm in a thread beside the others.

    Units: memory is eight blocks of 1 MiB, whatever the size.
    """
    hasher = Hasher(algorithms)
    absorb(source, hasher)
    return hasher.digests()


def absorb(source: BinaryIO, hasher: Hasher, *, length: int | None = None) -> None:
    """Feed `hasher` with `length` bytes of `source`, or with all that is left, as `hash_stream` does.

    A source that ends early is no error here: `hasher.size_bytes` tells.
    """
    beside, here = hasher.parts[_SLOWEST], [part for name, part in hasher.parts.items() if name != _SLOWEST]
    free: SimpleQueue[bytearray] = SimpleQueue()
    full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()

    def work() -> None:
        # Several blocks behind, so that this thread never waits for the other one.
        while (given := full.get()) is not None:
            block, count = given
            beside.update(memoryview(block)[:count])
            free.put(block)

    left, made = float("inf") if length is None else length, 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash") as pool:
        done = pool.submit(work)
        try:
            while left > 0:
                if made < _MOST_BLOCKS and free.empty():
                    free.put(bytearray(_BLOCK_BYTES))
                    made += 1
                block = free.get()
                count = source.readinto(memoryview(block)[: int(min(left, _BLOCK_BYTES))])  # type: ignore[attr-defined]
                if not count:
                    break
                full.put((block, count))
                for part in here:
                    part.update(memoryview(block)[:count])
                hasher.size_bytes += count
                left -= count
        finally:
            full.put(None)
        done.result()


def digest_of(data: bytes) -> DigestSet:
    """Return sha256 and sha512 of bytes in memory."""
    hasher = Hasher()
    hasher.update(data)
    return hasher.digests()
