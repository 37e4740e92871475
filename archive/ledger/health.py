"""How the log stands right now: signed, whole at its edge, published, witnessed, counting; each only once checked.

Quick, so that it can be looked at all the time: the log as a whole is read by `liuhen log monitor` and `liuhen fsck`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.instants import Instant, format_instant
from archive.ledger.anchors import AnchorStanding
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.cosigner import WitnessDisagrees
from archive.ledger.cosigning import WitnessStanding, counted_size, has_cosigned, standings
from archive.ledger.keykinds import ED25519, MLDSA44
from archive.ledger.models import LogCheckpoint, LogPending
from archive.ledger.note import SignedNote, VerifierKey, encode_base64, open_note
from archive.ledger.policy import WitnessPolicy
from archive.ledger.proofs import NodeTable, head, pending_count
from archive.ledger.tree import CompactRange

_LATE: Final = timedelta(seconds=60)
"""How long a step may take before it is told as late: sequencing, publishing and cosigning take a second or so."""
_STALE: Final = 3
"""A cosignature that is older than so many times its renewal is told as stale."""
_ANSWERS: Final = "answers"
_KINDS: Final = {ED25519: "Ed25519", MLDSA44: "ML-DSA-44"}


@dataclass(frozen=True, slots=True)
class SignatureHealth:
    """A signature that the newest checkpoint should carry, and what a check of it found."""

    key: str
    algorithm: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WitnessHealth:
    """How far a witness has cosigned; `fault` is the code of its last answer where that was none, `since` from when."""

    name: str
    url: str | None
    size: int | None
    cosigned_at: Instant | None
    behind: int
    outcome: Outcome
    fault: str | None
    since: str | None


@dataclass(frozen=True, slots=True)
class LogHealth:
    """What was looked at. `counted_size` is the largest checkpoint that the policy lets count, None without one.

    Units: `oldest_pending_s` is how long the oldest entry without an index has waited, in seconds.
    """

    origin: str
    size: int
    root: str
    issued_at: Instant | None
    note: str | None
    signatures: Sequence[SignatureHealth]
    pending: int
    oldest_pending_s: int | None
    published_size: int | None
    witnesses: Sequence[WitnessHealth]
    quorum: str | None
    counted_size: int | None
    anchors: AnchorStanding | None
    report: Report

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: outcome, figures, findings."""
        anchors = self.anchors
        return {
            "outcome": self.report.outcome.value,
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "issued_at": _text(self.issued_at),
            "pending": self.pending,
            "oldest_pending_s": self.oldest_pending_s,
            "published_size": self.published_size,
            "counted_size": self.counted_size,
            "quorum": self.quorum,
            "signatures": [
                {"key": each.key, "algorithm": each.algorithm, "outcome": each.outcome.value}
                for each in self.signatures
            ],
            "witnesses": [
                {
                    "name": each.name,
                    "size": each.size,
                    "cosigned_at": _text(each.cosigned_at),
                    "behind": each.behind,
                    "outcome": each.outcome.value,
                    "fault": each.fault,
                    "fault_since": each.since,
                }
                for each in self.witnesses
            ],
            "anchors": None
            if anchors is None
            else {"size": anchors.size, "at": _text(anchors.at), "behind": anchors.behind, "fault": anchors.fault},
            "findings": self.report.as_json()["findings"],
        }


def _text(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What outside of the database tells of the log: the pinned keys, the policy, what is published, last answers.

    Units: `refresh` is after how long a cosignature is renewed without new entries, `anchoring` after how long a new
    checkpoint is anchored. `anchors` returns how far a log of this size is anchored.
    """

    origin: str
    keys: Sequence[VerifierKey]
    policy: WitnessPolicy
    published: bytes | None
    answers: Mapping[str, Mapping[str, Any]]
    refresh: timedelta
    anchoring: timedelta = timedelta(hours=1)
    anchors: Callable[[int], AnchorStanding] | None = None


def log_health(tx: Session, facts: LogFacts, *, at: Instant) -> LogHealth:
    """Look at the log as it stands.

    1. The newest checkpoint carries a valid signature of each of the log's keys.   2. The tree's right edge has the
    root that was signed.   3. Entries get their index in time.   4. What is published is what is stored.   5. Each
    witness of the policy is close behind.   6. The quorum lets the newest checkpoint count.   7. Anchors are made in
    time.
    """
    newest = head(tx)
    signatures, signed = _signatures(newest, facts.keys)
    waits = _oldest_pending(tx, at)
    pending = pending_count(tx)
    published = None if facts.published is None else _published(facts)
    witnesses = [_witness(tx, standing, facts, newest, at) for standing in standings(tx, facts.policy)]
    counted = None if newest is None or not facts.policy.asks else counted_size(tx, facts.policy)
    anchors = None if facts.anchors is None or newest is None else facts.anchors(newest.size)
    findings = (
        *signed,
        *_edge(tx, newest),
        _sequencing(waits),
        *_publishing(tx, newest, facts, published, at),
        *(finding for _, finding in witnesses),
        *_quorum(tx, newest, facts.policy, counted, at),
        *_anchoring(tx, anchors, facts.anchoring, at),
    )
    return LogHealth(
        origin=facts.origin,
        size=0 if newest is None else newest.size,
        root="" if newest is None else encode_base64(newest.root),
        issued_at=None if newest is None else newest.issued_at,
        note=None if newest is None else newest.note,
        signatures=signatures,
        pending=pending,
        oldest_pending_s=None if waits is None else int(waits.total_seconds()),
        published_size=None if published is None else published.size,
        witnesses=[witness for witness, _ in witnesses],
        quorum=facts.policy.quorum if facts.policy.asks else None,
        counted_size=counted,
        anchors=anchors,
        report=Report(findings),
    )


def _signatures(
    newest: LogCheckpoint | None, keys: Sequence[VerifierKey]
) -> tuple[list[SignatureHealth], list[Finding]]:
    if newest is None:
        return [], [indeterminate("log.no_checkpoint", "The log has no checkpoint yet.")]
    try:
        note = SignedNote.parse(newest.note.encode())
    except LiuhenError:
        return [], [invalid("log.signature_invalid", "The newest checkpoint cannot be read.")]
    is_stored = note.text == str(Checkpoint(note.text.split("\n")[0], newest.size, newest.root))
    found, findings = [], []
    for key in keys:
        lines = [line for line in note.signatures if line.is_of(key)]
        holds = is_stored and any(key.verifies_note(line.signature, text=note.text) for line in lines)
        algorithm = _KINDS.get(key.kind, "")
        where = f"{key.name} {algorithm}"
        found.append(SignatureHealth(key.name, algorithm, Outcome.VALID if holds else Outcome.INVALID))
        if holds:
            findings.append(valid("log.signature_valid", "The newest checkpoint is signed by a key of the log.", where))
        else:
            told = "The newest checkpoint lacks a valid signature of a key of the log."
            findings.append(invalid("log.signature_invalid", told, where))
    return found, findings


def _edge(tx: Session, newest: LogCheckpoint | None) -> Iterator[Finding]:
    if newest is None:
        return
    try:
        root = CompactRange.read(newest.size, reader=NodeTable(tx)).root
    except LiuhenError:
        root = b""
    if root == newest.root:
        yield valid("log.root_valid", "The tree's right edge has the root that was signed.")
    else:
        yield invalid("log.root_differs", "The stored tree does not have the root that was signed.")


def _oldest_pending(tx: Session, at: Instant) -> timedelta | None:
    oldest = tx.scalar(select(LogPending.entry_id).order_by(LogPending.entry_id).limit(1))
    if oldest is None:
        return None
    made = datetime.fromtimestamp((oldest.int >> 80) / 1000, UTC)  # UUIDv7 begins with its milliseconds
    return max(at - made, timedelta(0))


def _sequencing(waits: timedelta | None) -> Finding:
    if waits is not None and waits > _LATE:
        told = "Entries wait for their index too long: is the sequencer running?"
        return indeterminate("log.sequencing_late", told)
    return valid("log.sequencing", "Entries get their index in time.")


def _published(facts: LogFacts) -> Checkpoint | None:
    try:
        return Checkpoint.parse(open_note(facts.published or b"", facts.keys).text)
    except LiuhenError:
        return None


def _publishing(
    tx: Session, newest: LogCheckpoint | None, facts: LogFacts, published: Checkpoint | None, at: Instant
) -> Iterator[Finding]:
    if newest is None:
        return
    if facts.published is None:
        yield indeterminate("log.not_published", "No checkpoint is published.")
        return
    same = None if published is None else tx.get(LogCheckpoint, published.size)
    if published is None or same is None or (same.root, facts.origin) != (published.root, published.origin):
        yield invalid("log.published_differs", "The published checkpoint is not one of this log.")
    elif same.size == newest.size or not _is_late(tx, same.size, at):
        yield valid("log.published", "The published checkpoint is the one that is stored.")
    else:
        told = "The published checkpoint is older than the one that is stored."
        yield indeterminate("log.published_behind", told)


def _is_late(tx: Session, size: int, at: Instant, within: timedelta = _LATE) -> bool:
    """Whether a checkpoint after this size is old enough for a step to have reached it."""
    following = tx.scalar(select(func.min(LogCheckpoint.issued_at)).where(LogCheckpoint.size > size))
    return following is not None and at - following > within


def _anchoring(tx: Session, anchors: AnchorStanding | None, every: timedelta, at: Instant) -> Iterator[Finding]:
    """Tell only of what is amiss: whether the timestamps hold is for `liuhen fsck` to say."""
    if anchors is None:
        return
    if anchors.fault is not None:
        yield indeterminate("log.anchoring_fails", "The newest checkpoints cannot be timestamped.")
    elif _is_late(tx, anchors.size or 0, at, every + _LATE):
        yield indeterminate("log.anchors_behind", "The newest timestamp is older than it should be.")


def _witness(
    tx: Session, standing: WitnessStanding, facts: LogFacts, newest: LogCheckpoint | None, at: Instant
) -> tuple[WitnessHealth, Finding]:
    witness, size = standing.witness, standing.size
    told = facts.answers.get(witness.name, {})
    fault = None if told.get("outcome", _ANSWERS) == _ANSWERS else str(told["outcome"])
    cosigned_at = None if standing.time_s is None else datetime.fromtimestamp(standing.time_s, UTC)
    finding = _standing(tx, standing, facts.refresh, fault, at)
    if size is not None and not has_cosigned(tx, facts.policy, witness.key, size):
        told_by = "What is stored as a witness's cosignature is none."
        finding = invalid("log.cosignature_invalid", told_by, witness.name)
    health = WitnessHealth(
        name=witness.name,
        url=witness.url,
        size=size,
        cosigned_at=cosigned_at,
        behind=(0 if newest is None else newest.size) - (size or 0),
        outcome=finding.outcome,
        fault=fault,
        since=None if fault is None else str(told.get("since", "")),
    )
    return health, finding


def _standing(tx: Session, standing: WitnessStanding, refresh: timedelta, fault: str | None, at: Instant) -> Finding:
    name = standing.witness.name
    if fault == WitnessDisagrees.code:
        return invalid("log.witness_disagrees", "A witness has seen another log than this database holds.", name)
    if standing.size is None or standing.time_s is None:
        return indeterminate("log.witness_never", "A witness has not cosigned yet.", name)
    if fault is not None:
        return indeterminate("log.witness_fails", "A witness does not answer as it should.", name)
    if _is_late(tx, standing.size, at):
        return indeterminate("log.witness_behind", "A witness is behind the newest checkpoint.", name)
    if at.timestamp() - standing.time_s > _STALE * refresh.total_seconds():
        return indeterminate("log.witness_stale", "A witness has not cosigned for a long time.", name)
    return valid("log.witness", "A witness has cosigned up to now.", name)


def _quorum(
    tx: Session, newest: LogCheckpoint | None, policy: WitnessPolicy, counted: int | None, at: Instant
) -> Iterator[Finding]:
    if newest is None:
        return
    if not policy.asks:
        told = "The policy asks for no witness: the log could have shown others something else."
        yield indeterminate("log.no_quorum_asked", told)
    elif counted is None:
        yield indeterminate("log.quorum_missing", "No checkpoint has the cosignatures of the quorum.")
    elif counted == newest.size or not _is_late(tx, counted, at):
        yield valid("log.quorum", "The log counts: its quorum has cosigned.")
    else:
        told = "The log counts up to an earlier checkpoint only: receipts wait for the quorum."
        yield indeterminate("log.quorum_behind", told)
