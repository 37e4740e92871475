"""Anchors: checkpoints under an RFC 3161 timestamp, which say by when the log had its entries at the latest.

In the folder `anchors` beside the published checkpoint, for everybody:

    <size>.ckpt       a checkpoint as it was published
    <size>.tsr        the token over the SHA-256 of that file
    renewal-<n>.tsr   a later token over everything before, once certificates come to their end
    chain.jsonl       one line for each token (`archive.ledger.anchor_chain`)
    issuers.pem       roots and issuers of the authorities

Files are written once, durably, in that order; what a crash leaves is finished by the next who writes.
Source: INTEGRITY 1.5; docs/formats/timestamps.md.
"""

import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from archive.db.database import Database
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ledger.anchor_chain import ANCHOR, RENEWAL, START, Link, parse_chain, renewed_content
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.models import LogCheckpoint
from archive.ledger.note import SignedNote
from archive.ledger.publishing import Published
from archive.ports.clock import Clock
from archive.ports.timestamps import TimestampAuthority
from signing.keyfiles import KeyExists, exclusive, fsync_directory, full_disk_told, replace_durably, write_once
from signing.stamps import Stamp, read_stamp

CHAIN: Final = "chain.jsonl"
ISSUERS: Final = "issuers.pem"
PUBLIC_NAME: Final = re.compile(
    r"[1-9][0-9]{0,18}\.(?:ckpt|tsr)|renewal-[1-9][0-9]{0,18}\.tsr|chain\.jsonl|issuers\.pem"
)
RENEW_BEFORE: Final = timedelta(days=180)

_CHECKPOINT_NAME: Final = re.compile(r"([1-9][0-9]{0,18})\.ckpt")
_MODE: Final = 0o444
_MOST_REPORT_BYTES: Final = 64 * 1024
_CHAIN_MODE: Final = 0o644


class AnchorFault(LiuhenError):
    """The files of the anchors contradict each other or the log; nothing was anchored. Run `liuhen fsck`."""

    code = "anchor.fault"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint with its token."""

    size: int
    checkpoint: bytes
    token: bytes


class Anchors:
    """Writes the anchors of one log. Usable from several threads and processes."""

    def __init__(
        self,
        database: Database,
        published: Published,
        authority: TimestampAuthority,
        clock: Clock,
        *,
        lock: Path,
        every: timedelta,
        issuers_pem: bytes,
    ) -> None:
        """Anchor what is published with tokens of this authority, at most once in `every`; `lock` is a file.

        `issuers_pem` are roots and issuers of all authorities that ever were; they are published with the anchors.
        """
        self._database = database
        self._published = published
        self._authority = authority
        self._clock = clock
        self._lock = lock
        self._every = every
        self._issuers_pem = issuers_pem

    @property
    def folder(self) -> Path:
        """Where they are published."""
        return self._published.public / "anchors"

    def links(self) -> Sequence[Link]:
        """Return the chain as it is. Raises: MalformedChain."""
        return read_chain(self.folder)

    def is_due(self) -> bool:
        """Return whether the newest published checkpoint is not anchored and the last anchor is old enough.

        Also where the last anchor lies ahead of the clock: the authority then says what it makes of that.
        Raises: MalformedChain.
        """
        last = self._last_anchor()
        if last is not None and timedelta(0) <= self._clock.now() - last.at < self._every:
            return False
        return self._published_size() > (0 if last is None else last.size)

    def is_renewal_due(self) -> bool:
        """Return whether a token that was not renewed has a certificate that ends soon. Raises: MalformedChain."""
        ends = [link.ends for link in _not_renewed(self.links())]
        return bool(ends) and min(ends) - self._clock.now() < RENEW_BEFORE

    def anchor(self) -> Link | None:
        """Anchor the newest published checkpoint now; None where that is done already, or the log is empty.

        Guarantees: on return the anchor is published and durable. What was left unfinished is finished first.
        Raises: AnchorFault, MalformedChain, TokenRefused, StorageFull, what the authority raises; nothing but the
            checkpoint of an unfinished anchor is left then.
        """
        with exclusive(self._lock):
            self._mend()
            links, note = self.links(), self._published.checkpoint()
            if note is None or _size_of(note) <= (links[-1].size if links else 0):
                return None
            self._require_ours(note)
            self._write(f"{_size_of(note)}.ckpt", note)
            return self._finish(_size_of(note))

    def renew(self) -> Link | None:
        """Stamp all anchors anew with one token; None where there is none. Raises: as `anchor`.

        Source: RFC 4998 section 5, hash renewal with SHA-512.
        """
        with exclusive(self._lock):
            self._mend()
            return self._finish_renewal() if self.links() else None

    def chosen_for(self, indices: Sequence[int], size: int) -> Sequence[Anchor]:
        """Return the anchors that matter to a package with these entries under a checkpoint of this size.

        For each entry the first that covers it; the newest not after the checkpoint; the first not before it.
        Raises: MalformedChain, OSError.
        """
        sizes = [link.size for link in self.links() if link.kind == ANCHOR]
        chosen = {next((each for each in sizes if each > index), None) for index in indices}
        chosen.add(max((each for each in sizes if each <= size), default=None))
        chosen.add(next((each for each in sizes if each >= size), None))
        return [read_anchor(self.folder, each) for each in sorted(each for each in chosen if each is not None)]

    def _published_size(self) -> int:
        note = self._published.checkpoint()
        return 0 if note is None else _size_of(note)

    def _last_anchor(self) -> Link | None:
        return next((link for link in reversed(self.links()) if link.kind == ANCHOR), None)

    # --- writing; the caller holds the lock -------------------------------------------------------------------

    def _mend(self) -> None:
        """Finish what a crash has left: half a line, a token without its line, a checkpoint without its token."""
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
        if read_issuers(self.folder) != self._issuers_pem:
            replace_durably(self.folder / ISSUERS, self._issuers_pem, mode=_CHAIN_MODE)
        raw = (self.folder / CHAIN).read_bytes() if (self.folder / CHAIN).exists() else b""
        if not raw.endswith(b"\n") and raw:
            replace_durably(self.folder / CHAIN, raw[: raw.rfind(b"\n") + 1], mode=_CHAIN_MODE)
        links = self.links()
        if (self.folder / f"renewal-{len(links) + 1}.tsr").exists():
            self._finish_renewal()
        done = {link.size for link in links}
        found = (_CHECKPOINT_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        for size in sorted({int(match[1]) for match in found if match} - done):
            if links and size < links[-1].size:
                raise AnchorFault("A checkpoint lies among the anchors that the chain does not know", size=size)
            self._require_ours((self.folder / f"{size}.ckpt").read_bytes())
            self._finish(size)

    def _finish(self, size: int) -> Link:
        checkpoint = (self.folder / f"{size}.ckpt").read_bytes()
        if _size_of(checkpoint) != size:
            raise AnchorFault("A checkpoint among the anchors has another size than its name says", size=size)
        links = self.links()
        number, prev = len(links) + 1, links[-1].digest if links else START
        token, stamp = self._stamped(f"{size}.tsr", hashlib.sha256(checkpoint).digest())
        link = Link(number, ANCHOR, size, _sha512(checkpoint), _sha512(token), stamp.at, stamp.ends, prev)
        self._append(link)
        return link

    def _finish_renewal(self) -> Link:
        last = self.links()[-1]
        checkpoint, before = ((self.folder / name).read_bytes() for name in (last.checkpoint_name, last.token_name))
        if (_sha512(checkpoint), _sha512(before)) != (last.ckpt, last.tsr):
            raise AnchorFault("The last anchor has other bytes than the chain says", size=last.size)
        imprint = hashlib.sha512(renewed_content(last, checkpoint=checkpoint, token=before)).digest()
        token, stamp = self._stamped(f"renewal-{last.n + 1}.tsr", imprint)
        link = Link(last.n + 1, RENEWAL, last.size, last.ckpt, _sha512(token), stamp.at, stamp.ends, last.digest)
        self._append(link)
        return link

    def _stamped(self, name: str, imprint: bytes) -> tuple[bytes, Stamp]:
        """Return the token in the file, which is asked for and written if it is not there."""
        path = self.folder / name
        if path.exists():
            token = path.read_bytes()
            return token, read_stamp(token, imprint)
        token = self._authority.token(imprint)
        stamp = read_stamp(token, imprint)
        self._write(name, token)
        return token, stamp

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_once(self.folder / name, content, mode=_MODE)
        except KeyExists as exc:
            if (self.folder / name).read_bytes() != content:
                raise AnchorFault("Another file stands where an anchor should go", name=name) from exc

    def _append(self, link: Link) -> None:
        path = self.folder / CHAIN
        with full_disk_told(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _CHAIN_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(link.line)
                file.flush()
                os.fsync(file.fileno())
        fsync_directory(self.folder)

    def _require_ours(self, note: bytes) -> None:
        """Demand that the log has signed this checkpoint. Raises: AnchorFault."""
        try:
            text = SignedNote.parse(note).text
            asked = Checkpoint.parse(text)
        except InvalidInput as exc:
            raise AnchorFault("A checkpoint among the anchors cannot be read") from exc
        with self._database.read() as tx:
            stored = tx.get(LogCheckpoint, asked.size)
        if stored is None or not note.startswith(stored.note.encode()):
            raise AnchorFault("A checkpoint is not one of this log", size=asked.size)


@dataclass(frozen=True, slots=True)
class AnchorStanding:
    """How far the log is anchored: the newest anchor's size and the time in its token, None before the first.

    `behind` counts the entries that no anchor covers yet; `ends` is the first end of a certificate among the tokens
    that were not renewed. `fault` is the code of what the last attempt met, None when it went well.
    """

    anchors: int
    renewals: int
    size: int | None
    at: Instant | None
    behind: int
    ends: Instant | None
    fault: str | None
    fault_since: Instant | None


def standing(folder: Path, *, log_size: int, report: Path) -> AnchorStanding:
    """Return how far the log is anchored, by the chain in `folder` and the file that `AnchorRounds` leaves.

    A chain that cannot be read is told as the fault. Nothing is verified here: `liuhen fsck` does that.
    """
    told = last_attempt(report)
    fault, since = (None, None) if told is None or told.fault is None else (told.fault, told.since)
    try:
        links = read_chain(folder)
    except (OSError, LiuhenError) as exc:
        return AnchorStanding(0, 0, None, None, log_size, None, getattr(exc, "code", "anchor.unreadable"), since)
    newest = next((link for link in reversed(links) if link.kind == ANCHOR), None)
    anchors = sum(link.kind == ANCHOR for link in links)
    return AnchorStanding(
        anchors=anchors,
        renewals=len(links) - anchors,
        size=None if newest is None else newest.size,
        at=None if newest is None else newest.at,
        behind=max(0, log_size - (0 if newest is None else newest.size)),
        ends=min((link.ends for link in _not_renewed(links)), default=None),
        fault=fault,
        fault_since=since,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """How the last attempt to anchor went, since when: `fault` is a code, None when it went well."""

    fault: str | None
    since: Instant


def last_attempt(report: Path) -> Attempt | None:
    """Return how the last attempt went; None if that is unknown."""
    try:
        with report.open("rb") as file:
            told = json.loads(file.read(_MOST_REPORT_BYTES))
        return Attempt(told["fault"] if told["fault"] is None else str(told["fault"]), parse_instant(told["since"]))
    except (OSError, ValueError, KeyError, TypeError, InvalidInput):
        return None


def write_attempt(report: Path, attempt: Attempt) -> None:
    """Leave word for other processes."""
    told = {"fault": attempt.fault, "since": format_instant(attempt.since)}
    fresh = report.with_suffix(".new")
    fresh.write_text(json.dumps(told), "utf-8")
    fresh.replace(report)


def read_anchor(folder: Path, size: int) -> Anchor:
    """Return the anchor of one size. Raises: OSError."""
    return Anchor(size, (folder / f"{size}.ckpt").read_bytes(), (folder / f"{size}.tsr").read_bytes())


def read_chain(folder: Path) -> Sequence[Link]:
    """Return the chain in a folder, read again when it has changed; empty before the first anchor.

    Raises: MalformedChain, OSError.
    """
    path = folder / CHAIN
    try:
        told = path.stat()
    except FileNotFoundError:
        return ()
    return _parsed(path, told.st_mtime_ns, told.st_size)


@functools.lru_cache(maxsize=2)
def _parsed(path: Path, changed_ns: int, size_bytes: int) -> Sequence[Link]:
    """Parse the chain: a year of hours takes a tenth of a second, too much for each look."""
    del changed_ns, size_bytes
    return tuple(parse_chain(path.read_bytes()))


def read_issuers(folder: Path) -> bytes:
    """Return roots and issuers of the authorities (PEM); empty before the first anchor."""
    try:
        return (folder / ISSUERS).read_bytes()
    except FileNotFoundError:
        return b""


def _not_renewed(links: Sequence[Link]) -> Sequence[Link]:
    """Return the lines from the last renewal on: its token is the one that vouches for those before it."""
    start = max((number for number, link in enumerate(links) if link.kind == RENEWAL), default=0)
    return links[start:]


def _size_of(note: bytes) -> int:
    try:
        return Checkpoint.parse(SignedNote.parse(note).text).size
    except InvalidInput as exc:
        raise AnchorFault("A checkpoint cannot be read") from exc


def _sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()
