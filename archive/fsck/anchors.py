"""Anchors against the log: every token is over the checkpoint that it lies beside, and that is one of this log.

The chain is read here anew, not by the code that writes it. What a crash left unfinished after the last line is no
fault: whoever anchors next goes on with it.
Source: docs/formats/timestamps.md; RFC 3161.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import as_instant, read_object, rows
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.packages.verification.certificates import Certificate, Chains, is_issued_by, parse_pem
from archive.packages.verification.timestamps import judge_timestamp

_NAME: Final = re.compile(r"(?:(?P<size>[1-9][0-9]{0,18})\.(?:ckpt|tsr)|renewal-(?P<n>[1-9][0-9]{0,18})\.tsr)")
_OTHERS: Final = frozenset({"chain.jsonl", "issuers.pem"})
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_MOST_TOLD: Final = 20
_WHERE: Final = "log/anchors"


@dataclass(frozen=True, slots=True)
class Anchored:
    """What lay in the folder of the anchors: the names of all files, listed first, and the chain."""

    folder: Path
    chain: bytes
    names: Sequence[str]


def read_anchored(folder: Path) -> Anchored:
    """List the files, then read the chain, so that a live archive has named each of them but an unfinished one."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    try:
        chain = (folder / "chain.jsonl").read_bytes()
    except OSError:
        chain = b""
    return Anchored(folder, chain, names)


def check_anchors(
    connection: Connection,
    anchored: Anchored,
    *,
    trust_roots_pem: bytes | None,
    timestamp_roots: frozenset[bytes] | None = None,
) -> Iterator[Finding]:
    """Yield findings on every anchor, in the order of the chain, and on files that belong to none.

    `timestamp_roots` are the SHA-256 of roots that are believed about times; without it those that lie beside the
    anchors are.
    """
    chains, faults = _chains(anchored.folder, trust_roots_pem, timestamp_roots)
    links, more = _links(anchored.chain)
    faults.extend(more)
    for number, link in enumerate(links):
        before = links[number - 1] if number else None
        faults.extend(_faults_of(connection, anchored.folder, link, before, chains))
    faults.extend(_extra(anchored.names, links))
    yield from faults[:_MOST_TOLD]
    if not faults:
        yield valid("fsck.anchors", f"{len(links)} timestamps are over checkpoints of this log and follow each other")


def _chains(
    folder: Path, trust_roots_pem: bytes | None, timestamp_roots: frozenset[bytes] | None
) -> tuple[Chains, list[Finding]]:
    roots, issuers = _certificates(trust_roots_pem), _certificates(_bytes_of(folder / "issuers.pem"))
    faults = []
    if issuers is None:
        faults.append(invalid("fsck.anchor_file", "The certificates cannot be read", _at("issuers.pem")))
    # Roots that cannot be read are told of where signatures are checked; here they leave the timestamps open.
    own = frozenset(each.digest for each in roots or ())
    outside = frozenset(each.digest for each in issuers or () if is_issued_by(each, each))
    if timestamp_roots is not None:
        outside &= timestamp_roots
    return Chains((*(roots or ()), *(issuers or ())), own, outside), faults


def _certificates(pem: bytes | None) -> Sequence[Certificate] | None:
    try:
        return () if pem is None else parse_pem(pem)
    except InvalidInput:
        return None


def _links(chain: bytes) -> tuple[list[Mapping[str, Any]], list[Finding]]:
    """Return the lines up to the first that does not follow the one before."""
    links: list[Mapping[str, Any]] = []
    before = hashlib.sha512(b"").hexdigest()
    for number, line in enumerate(chain.split(b"\n")[:-1], start=1):
        told = read_object(line)
        again = json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(errors="replace")
        if told is None or again != line or not _follows(told, number, before, links):
            where = f"{_WHERE}/chain.jsonl line {number}"
            return links, [invalid("fsck.anchor_chain", "A line of the chain does not follow the line before", where)]
        links.append(told)
        before = hashlib.sha512(line + b"\n").hexdigest()
    return links, []


def _follows(told: Mapping[str, Any], number: int, before: str, links: Sequence[Mapping[str, Any]]) -> bool:
    if (told.get("v"), told.get("n"), told.get("prev")) != (1, number, before) or not isinstance(told.get("size"), int):
        return False
    last = links[-1] if links else None
    if told.get("kind") == "anchor":
        return int(told["size"]) > (0 if last is None else last["size"])
    same = last is not None and (told["size"], told.get("ckpt")) == (last["size"], last.get("ckpt"))
    return told.get("kind") == "renewal" and same


def _faults_of(
    connection: Connection, folder: Path, link: Mapping[str, Any], before: Mapping[str, Any] | None, chains: Chains
) -> Iterator[Finding]:
    name, note, token = (
        _token_name(link),
        _bytes_of(folder / f"{link['size']}.ckpt"),
        _bytes_of(folder / _token_name(link)),
    )
    for path, content, digest in ((f"{link['size']}.ckpt", note, link.get("ckpt")), (name, token, link.get("tsr"))):
        if content is None or hashlib.sha512(content).hexdigest() != digest:
            yield invalid("fsck.anchor_file", "A file of an anchor is missing or not what the chain says", _at(path))
            return
    if note is None or token is None:
        return
    content = note
    if before is not None and link["kind"] == "renewal":
        earlier = _bytes_of(folder / _token_name(before)) or b""
        content = note + earlier + _line(before)
    else:
        yield from _checkpoint_faults(connection, link, note)
    verdict, at = judge_timestamp(content, token, chains=chains)
    if verdict.outcome is Outcome.INVALID:
        yield invalid("fsck.anchor_token", f"A timestamp does not hold: {verdict.detail}", _at(name))
    elif verdict.outcome is Outcome.INDETERMINATE:
        yield indeterminate("fsck.anchor_untrusted", "The authority of a timestamp leads to no known root", _at(name))
    if at is not None and _instant(link.get("time")) != at:
        yield invalid("fsck.anchor_chain", "The chain tells another time than the timestamp", _at(name))


def _checkpoint_faults(connection: Connection, link: Mapping[str, Any], note: bytes) -> Iterator[Finding]:
    where = _at(f"{link['size']}.ckpt")
    row = next(
        iter(rows(connection, "SELECT note, issued_at FROM log_checkpoint WHERE size = :size", size=link["size"])), None
    )
    if row is None or not note.startswith(str(row["note"]).encode()):
        yield invalid("fsck.anchor_checkpoint", "An anchored checkpoint is not one of this log any more", where)
        return
    stamped = _instant(link.get("time"))
    if stamped is None or as_instant(row["issued_at"]) - stamped > _CLOCKS_DIFFER:
        yield invalid("fsck.anchor_time", "A checkpoint was timestamped before the log says that it was made", where)


def _extra(names: Sequence[str], links: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    known = _OTHERS | {_token_name(link) for link in links} | {f"{link['size']}.ckpt" for link in links}
    last = links[-1]["size"] if links else 0
    unfinished = set()
    for name in names:
        if name in known or name.startswith("."):
            continue
        match = _NAME.fullmatch(name)
        if match is not None and (int(match["size"]) > last if match["size"] else int(match["n"]) == len(links) + 1):
            unfinished.add(name.partition(".")[0])
            if len(unfinished) == 1:
                continue  # a crash leaves one: whoever comes next finishes it before anything else
        yield invalid("fsck.anchor_extra", "A file lies among the anchors that the chain does not know", _at(name))


def _token_name(link: Mapping[str, Any]) -> str:
    return f"renewal-{link['n']}.tsr" if link["kind"] == "renewal" else f"{link['size']}.tsr"


def _line(link: Mapping[str, Any]) -> bytes:
    return json.dumps(link, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _at(name: str) -> str:
    return f"{_WHERE}/{name}"


def _instant(text: Any) -> datetime | None:
    try:
        return as_instant(text)
    except ValueError:
        return None


def _bytes_of(path: Path) -> bytes | None:
    try:
        return None if path.is_symlink() else path.read_bytes()
    except OSError:
        return None
