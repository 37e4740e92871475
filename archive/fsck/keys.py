"""Whose signatures count: keys, roots, witnesses and quorum, read raw from the home's trust file or from one outside.

Keys that lie in the home are as good as the home: whoever can change the one can change the other. They show that an
archive agrees with itself, and never who has signed.

Source: docs/formats/receipt.md, trust file; C2SP tlog-policy.
"""

import base64
import hashlib
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from archive.fsck.notes import ED25519, ED25519_COSIGNATURE, MLDSA44, Key

_LOG_KINDS: Final = {ED25519, MLDSA44}
_WITNESS_KINDS: Final = {ED25519_COSIGNATURE, MLDSA44}
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outside:
    """What an auditor brings along: a trust file as bytes, further certificates (PEM) and digests of roots."""

    trust: bytes = b""
    roots: frozenset[bytes] = frozenset()
    certificates: str = ""


@dataclass(frozen=True, slots=True)
class Pinned:
    """The keys to judge by. `witnesses` is by the policy's names; roots are SHA-256 of certificates (DER)."""

    is_from_outside: bool = False
    logs: tuple[Key, ...] = ()
    witnesses: Mapping[str, Key] = field(default_factory=dict)
    groups: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    quorum: str | None = None
    roots: frozenset[bytes] = frozenset()
    timestamp_roots: frozenset[bytes] = frozenset()

    @property
    def asks(self) -> bool:
        """Whether a quorum of witnesses is asked for."""
        return self.quorum not in {None, "none"}

    def keys_of(self, origin: str) -> Sequence[Key]:
        """The keys of the log with this name."""
        return [key for key in self.logs if key.name == origin]

    def is_met_by(self, names: AbstractSet[str]) -> bool:
        """Whether the quorum is met when these witnesses have cosigned; never where none is asked for."""
        met = set(names)
        for name, threshold, members in self.groups:
            if sum(member in met for member in members) >= threshold:
                met.add(name)
        return self.asks and self.quorum in met


def read_pinned(trust: bytes | None, outside: Outside | None) -> Pinned:
    """Return what to judge by: what came from outside if anything did, else the home's own file.

    A file that cannot be read pins nothing, so that what it should have judged stays open.
    """
    if outside is None:
        return _read(trust or b"", is_from_outside=False, more=frozenset())
    return _read(outside.trust, is_from_outside=True, more=outside.roots)


def pinned_certificates(pem: str, roots: frozenset[bytes]) -> str:
    """Return those certificates of a PEM file whose digest is pinned."""
    blocks = _CERTIFICATE.findall(pem)
    return "".join(f"{block}\n" for block in blocks if _digest(block) in roots)


def _digest(block: str) -> bytes:
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).digest()
    except ValueError:
        return b""


def _read(trust: bytes, *, is_from_outside: bool, more: frozenset[bytes]) -> Pinned:
    try:
        words = [line.split() for line in trust.decode().splitlines() if not line.lstrip().startswith("#")]
        named = {word[1]: word for word in words if word[:1] == ["witness"]}
        return Pinned(
            is_from_outside,
            logs=_keys((word[1] for word in words if word[:1] == ["log"]), _LOG_KINDS),
            witnesses={name: _keys([word[2]], _WITNESS_KINDS)[0] for name, word in named.items()},
            groups=tuple((word[1], int(word[2]), tuple(word[3:])) for word in words if word[:1] == ["group"]),
            quorum=next((word[1] for word in words if word[:1] == ["quorum"]), None),
            roots=more | _roots(words, "root"),
            timestamp_roots=_roots(words, "timestamp-root"),
        )
    except (ValueError, IndexError):
        return Pinned(is_from_outside, roots=more)


def _roots(words: Iterable[Sequence[str]], kind: str) -> frozenset[bytes]:
    """Raises: ValueError, IndexError."""
    return frozenset(bytes.fromhex(word[1].removeprefix("sha256:")) for word in words if word[:1] == [kind])


def _keys(texts: Iterable[str], kinds: AbstractSet[int]) -> tuple[Key, ...]:
    """Return the keys of kinds that sign here. Raises: ValueError."""
    found = []
    for text in texts:
        name, _, encoded = text.split("+", 2)
        key = Key(name, base64.b64decode(encoded, validate=True))
        if key.kind in kinds:
            found.append(key)
    return tuple(found)
