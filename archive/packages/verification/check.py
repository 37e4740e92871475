"""The check of a package: all checks, in the order of docs/formats/case-package.md."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ledger.trustfile import TrustFile
from archive.packages.verification.case import Case, parse_case
from archive.packages.verification.certificates import Chains, parse_pem
from archive.packages.verification.checkpoints import judge_anchors, judge_head, read_head
from archive.packages.verification.completeness import judge_completeness
from archive.packages.verification.findings import Findings, PackageReport
from archive.packages.verification.hashing import Progress, Remembered, hash_files
from archive.packages.verification.layout import (
    CASE,
    CHAIN,
    MIB,
    MOST_SIGNATURE_BYTES,
    MOST_TEXT_BYTES,
    TAG_MANIFESTS,
)
from archive.packages.verification.manifests import compare, paths_to_judge, read_manifests
from archive.packages.verification.objects import judge_objects
from archive.packages.verification.proofs import judge_entries
from archive.packages.verification.signatures import judge_signature
from archive.packages.verification.structure import Folder, Unreadable
from archive.packages.verification.timestamps import judge_timestamp


@dataclass(frozen=True, slots=True)
class Given:
    """What the check has beside the package: the trust file from outside, a copy of the log, a memory of digests."""

    trust: TrustFile | None = None
    log: Path | None = None
    state: Path | None = None


def check_package(place: Path, *, given: Given, now: Instant, progress: Progress | None = None) -> PackageReport:
    """Check the package in the folder `place`, as of `now`, offline.

    1. Structure, 2. files by both manifests, 3. signatures over the tag manifests, 4. timestamps over these,
    5. objects, 6. entries, 7. checkpoint and anchors, 8. completeness by a copy of the log.

    Guarantees: no path and no link leads out of the package; nothing is sent, and nothing written but the state file;
        whatever the package holds becomes a finding; memory does not grow with the size of files.
    Raises: NoPackage, TooMuch, StateMisplaced; OSError for the state file.
    """
    findings = Findings()
    folder = Folder(place, findings)
    listed = read_manifests(folder, findings)
    if not findings.found:
        findings.holds("package.structure_valid")
    paths = [path for path in paths_to_judge(folder, listed) if path in folder]
    with contextlib.closing(Remembered(given.state, folder)) as remembered:
        digests, old = hash_files(folder, paths, remembered, progress)
    compare(folder, listed, digests, old, findings)
    chains = _read_chains(folder, given.trust, findings)
    _judge_signatures(folder, chains, now, findings)
    head = read_head(folder)
    case = _read_case(folder, findings)
    entries = judge_entries(folder, case, head, findings)
    if case is not None:
        judge_objects(case, head, entries, listed, digests, findings)
    judge_head(head, given.trust, findings)
    judge_anchors(folder, head, given.trust, chains, findings)
    checkpoint = None if head is None else head.checkpoint
    return PackageReport(
        checked=str(folder.place),
        unaltered=findings.found,
        complete=judge_completeness(given.log, case, checkpoint),
        size=None if checkpoint is None else checkpoint.size,
        time=None if case is None else case.issued,
    )


def _read_chains(folder: Folder, trust: TrustFile | None, findings: Findings) -> Chains:
    pinned = frozenset(() if trust is None else trust.roots)
    for_time = frozenset(() if trust is None else trust.timestamp_roots)
    if CHAIN not in folder:
        return Chains((), pinned, for_time)
    try:
        return Chains(parse_pem(folder.read(CHAIN, MIB)), pinned, for_time)
    except InvalidInput as exc:
        findings.fails("package.malformed", CHAIN, exc.message)
        return Chains((), pinned, for_time)


def _read_case(folder: Folder, findings: Findings) -> Case | None:
    try:
        return parse_case(folder.read(CASE, MOST_TEXT_BYTES))
    except InvalidInput as exc:
        findings.fails("package.malformed", CASE, exc.message)
        return None


def _judge_signatures(folder: Folder, chains: Chains, now: Instant, findings: Findings) -> None:
    """Checks 3 and 4: a timestamp that holds says since when its signature exists."""
    timestamps = Findings()
    for name in TAG_MANIFESTS:
        where = f"sig/{name}.p7s"
        if where not in folder:
            findings.fails("package.signature_missing", where)
            continue
        try:
            raw = folder.read(where, MOST_SIGNATURE_BYTES)
        except Unreadable as exc:
            findings.fails("signature.malformed", where, exc.message)
            continue
        at = _judge_timestamp(folder, raw, f"{where}.tsr", chains, timestamps) or now
        try:
            content = folder.read(name, MOST_TEXT_BYTES)
        except Unreadable as exc:
            findings.leaves_open("signature.not_checked", where, exc.message)
            continue
        findings.add(judge_signature(content, raw, chains=chains, at=at), where)
    findings.found.extend(timestamps.found)


def _judge_timestamp(folder: Folder, content: bytes, where: str, chains: Chains, findings: Findings) -> Instant | None:
    if where not in folder:
        findings.fails("package.timestamp_missing", where)
        return None
    try:
        raw = folder.read(where, MOST_SIGNATURE_BYTES)
    except Unreadable as exc:
        findings.fails("timestamp.malformed", where, exc.message)
        return None
    verdict, at = judge_timestamp(content, raw, chains=chains)
    findings.add(verdict, where)
    return at
