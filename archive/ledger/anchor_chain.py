"""`chain.jsonl`: one line for each anchor and each renewal, each bound to the line before. Pure.

Source: docs/formats/timestamps.md; after RFC 4998 sections 4 and 5, in JSON.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, format_instant, parse_instant

ANCHOR: Final = "anchor"
RENEWAL: Final = "renewal"
START: Final = hashlib.sha512(b"").hexdigest()
"""What the first line names as the line before."""

_DIGEST: Final = re.compile("[0-9a-f]{128}")
_FIELDS: Final = {"ckpt", "ends", "kind", "n", "prev", "size", "time", "tsr", "v"}


class MalformedChain(InvalidInput):
    """A line of the chain of anchors is not in its one form, or does not follow the line before."""

    code = "anchor.malformed_chain"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Link:
    """A line. `ckpt` and `tsr` are the SHA-512 of the files; `ends` is the end of the authority's certificate.

    `size` is that of the checkpoint that is anchored, or that of the line before for a renewal.
    """

    n: int
    kind: str
    size: int
    ckpt: str
    tsr: str
    at: Instant
    ends: Instant
    prev: str

    @property
    def token_name(self) -> str:
        """The name of the file with the token."""
        return f"{self.size}.tsr" if self.kind == ANCHOR else f"renewal-{self.n}.tsr"

    @property
    def checkpoint_name(self) -> str:
        """The name of the file with the checkpoint."""
        return f"{self.size}.ckpt"

    @property
    def line(self) -> bytes:
        """The line, with its newline."""
        told = {
            "v": 1,
            "n": self.n,
            "kind": self.kind,
            "size": self.size,
            "ckpt": self.ckpt,
            "tsr": self.tsr,
            "time": format_instant(self.at),
            "ends": format_instant(self.ends),
            "prev": self.prev,
        }
        return canonical_json(told) + b"\n"

    @property
    def digest(self) -> str:
        """What the next line names as the line before."""
        return hashlib.sha512(self.line).hexdigest()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Parse a line without its newline. Raises: MalformedChain for anything that `line` would not have written."""
        try:
            told = parse_canonical(line)
            _demand(isinstance(told, dict) and told.keys() == _FIELDS and told["v"] == 1)
            _demand(all(_is_count(told[name]) for name in ("n", "size")) and told["kind"] in {ANCHOR, RENEWAL})
            _demand(all(_is_digest(told[name]) for name in ("ckpt", "tsr", "prev")))
            at, ends = parse_instant(str(told["time"])), parse_instant(str(told["ends"]))
        except InvalidInput as exc:
            raise MalformedChain from exc
        digests = {name: told[name] for name in ("ckpt", "tsr", "prev")}
        found = cls(told["n"], told["kind"], told["size"], at=at, ends=ends, **digests)
        _demand(found.line == line + b"\n")
        return found


def parse_chain(raw: bytes) -> Sequence[Link]:
    """Return the lines, each of which follows the one before; what stands after the last newline is not read.

    Raises: MalformedChain.
    """
    links: list[Link] = []
    for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
        link = Link.parse(line)
        before = links[-1] if links else None
        follows = link.n == number and link.prev == (START if before is None else before.digest)
        if link.kind == ANCHOR:
            follows = follows and (before is None or link.size > before.size)
        else:
            follows = follows and before is not None and (link.size, link.ckpt) == (before.size, before.ckpt)
        if not follows:
            raise MalformedChain("A line of the chain of anchors does not follow the line before", line=number)
        links.append(link)
    return links


def renewed_content(last: Link, *, checkpoint: bytes, token: bytes) -> bytes:
    """Return what the token of a renewal is over: checkpoint and token of the last line, and the line itself.

    Since that line is bound to all before it, one token renews every anchor.
    """
    return checkpoint + token + last.line


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _demand(holds: bool) -> None:  # noqa: FBT001 (the condition is the subject of the sentence)
    if not holds:
        raise MalformedChain
