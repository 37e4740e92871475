"""The anchors in a copy of the log, judged offline against pinned keys and roots, and against the copy itself.

Source: docs/formats/timestamps.md.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.kernel.instants import format_instant
from archive.ledger.anchor_chain import ANCHOR, Link, MalformedChain, parse_chain, renewed_content
from archive.ledger.anchors import CHAIN, read_issuers
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.monitor import ReadTile
from archive.ledger.note import SignedNote
from archive.ledger.tiles import TiledHashes
from archive.ledger.tree import consistency_proof, verify_growth
from archive.ledger.trustfile import TrustFile
from archive.packages.verification.certificates import Chains, parse_pem
from archive.packages.verification.timestamps import judge_timestamp

_WHERE: Final = "anchors"


@dataclass(frozen=True, slots=True)
class SeenAnchors:
    """How many lines the chain had when somebody saw it, and the SHA-512 of the last."""

    count: int
    digest: str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"count": self.count, "digest": self.digest}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        if not isinstance(value, dict) or not isinstance(value.get("count"), int):
            raise InvalidInput("Not a chain of anchors that was kept")
        return cls(value["count"], str(value.get("digest")))

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Return what a copy of the anchors has; None where it has none. Raises: MalformedChain."""
        links = _links(folder)
        return cls(len(links), links[-1].digest) if links else None


def check_anchored(
    folder: Path, head: Checkpoint, read: ReadTile, *, trust: TrustFile | None, seen: SeenAnchors | None
) -> Iterator[Finding]:
    """Yield a finding for each anchor that does not hold, or one that all do; none where there never was one.

    1. The chain goes on from what was seen. 2. Files are those that it names. 3. A checkpoint is signed by a pinned log
    key, and the log of `head` goes on from it. 4. The token is over it, by an authority under a pinned root.
    """
    try:
        links = _links(folder)
    except (MalformedChain, OSError) as exc:
        yield invalid("anchor.malformed_chain", f"The chain of anchors cannot be read: {exc}", f"{_WHERE}/{CHAIN}")
        return
    if seen is not None and (len(links) < seen.count or links[seen.count - 1].digest != seen.digest):
        told = f"The {seen.count} anchors that were seen before are not all there any more"
        yield invalid("anchor.removed", told, f"{_WHERE}/{CHAIN}")
    if not links:
        return
    chains = _chains(folder, trust)
    faults = False
    for number, link in enumerate(links):
        for finding in _judged(folder, link, links[number - 1] if number else None, (head, read, trust, chains)):
            faults = True
            yield finding
    if not faults:
        told = f"{len(links)} timestamps hold; the log had {links[-1].size} entries by {format_instant(links[-1].at)}"
        yield valid("anchor.valid", told, _WHERE)


def _links(folder: Path) -> Sequence[Link]:
    path = folder / CHAIN
    return parse_chain(path.read_bytes()) if path.exists() else ()


def _chains(folder: Path, trust: TrustFile | None) -> Chains:
    try:
        pool = parse_pem(read_issuers(folder))
    except InvalidInput:
        pool = []
    if trust is None:
        return Chains(pool)
    return Chains(pool, frozenset(trust.roots), frozenset(trust.timestamp_roots))


def _judged(
    folder: Path, link: Link, before: Link | None, given: tuple[Checkpoint, ReadTile, TrustFile | None, Chains]
) -> Iterator[Finding]:
    head, read, trust, chains = given
    where = f"{_WHERE}/{link.token_name}"
    try:
        checkpoint, token = (folder / link.checkpoint_name).read_bytes(), (folder / link.token_name).read_bytes()
        earlier = b"" if before is None else (folder / before.token_name).read_bytes()
    except OSError:
        yield invalid("anchor.invalid", "A file of an anchor is missing", where)
        return
    if (_sha512(checkpoint), _sha512(token)) != (link.ckpt, link.tsr):
        yield invalid("anchor.invalid", "A file of an anchor is not the one that the chain names", where)
        return
    is_anchor = link.kind == ANCHOR or before is None
    content = checkpoint
    if link.kind != ANCHOR and before is not None:
        content = renewed_content(before, checkpoint=checkpoint, token=earlier)
    verdict, at = judge_timestamp(content, token, chains=chains)
    if verdict.outcome is Outcome.INVALID or at != link.at:
        yield invalid("anchor.invalid", f"A timestamp does not hold: {verdict.detail or 'another time'}", where)
    elif verdict.outcome is Outcome.INDETERMINATE:
        yield indeterminate("anchor.not_checked", "The authority of a timestamp leads to no pinned root", where)
    if is_anchor:
        yield from _checkpoint(checkpoint, link, head, read, trust)


def _checkpoint(raw: bytes, link: Link, head: Checkpoint, read: ReadTile, trust: TrustFile | None) -> Iterator[Finding]:
    where = f"{_WHERE}/{link.checkpoint_name}"
    try:
        note = SignedNote.parse(raw)
        anchored = Checkpoint.parse(note.text)
        if (anchored.origin, anchored.size) != (head.origin, link.size):
            raise InvalidInput("another log or size")
        proof = consistency_proof(anchored.size, head.size, reader=TiledHashes(read, head.size))
        verify_growth(
            old_size=anchored.size, old_root=anchored.root, new_size=head.size, new_root=head.root, proof=proof
        )
    except (LiuhenError, OSError) as exc:
        yield invalid("anchor.invalid", f"The log does not go on from an anchored checkpoint: {exc}", where)
        return
    if trust is not None and trust.check_checkpoint(note, origin=head.origin)[0].outcome is not Outcome.VALID:
        yield invalid("anchor.invalid", "No pinned log key has signed an anchored checkpoint", where)


def _sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()
