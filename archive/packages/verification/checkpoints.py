"""Check 7: who has signed the checkpoint, who has cosigned it, and since when earlier ones exist."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.note import SignedNote
from archive.ledger.trustfile import TrustFile
from archive.packages.verification.certificates import Chains
from archive.packages.verification.findings import Findings, Verdict
from archive.packages.verification.layout import CHECKPOINT, MOST_NOTE_BYTES, MOST_SIGNATURE_BYTES
from archive.packages.verification.structure import Folder
from archive.packages.verification.timestamps import judge_timestamp

_ANCHOR: Final = re.compile("(proofs/anchors/.+)[.](?:ckpt|tsr)")


@dataclass(frozen=True, slots=True)
class Head:
    """The checkpoint of a package as it was signed, and what it says."""

    note: SignedNote
    checkpoint: Checkpoint


def read_head(folder: Folder) -> Head | None:
    """Return the checkpoint of the package; None if it is not there or cannot be read."""
    try:
        note = SignedNote.parse(folder.read(CHECKPOINT, MOST_NOTE_BYTES))
        return Head(note, Checkpoint.parse(note.text))
    except InvalidInput:
        return None


def judge_head(head: Head | None, trust: TrustFile | None, findings: Findings) -> None:
    """Say whether the pinned log key has signed and the quorum has cosigned."""
    if head is None:
        findings.fails("checkpoint.malformed", CHECKPOINT)
        return
    if trust is None:
        findings.leaves_open("checkpoint.signer_not_established", CHECKPOINT)
        findings.leaves_open("checkpoint.no_quorum_asked", CHECKPOINT)
        return
    for found in trust.check_checkpoint(head.note, origin=head.checkpoint.origin, is_quorum_asked=True):
        findings.add(Verdict(found.code, found.outcome), CHECKPOINT)


def judge_anchors(
    folder: Folder, head: Head | None, trust: TrustFile | None, chains: Chains, findings: Findings
) -> None:
    """Judge every timestamped checkpoint."""
    for name in sorted(set(_names(folder.states))):
        findings.add(_judge_anchor(folder, name, head, trust, chains), f"{name}.tsr")


def _names(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        if match := _ANCHOR.fullmatch(path):
            yield match[1]


def _judge_anchor(folder: Folder, name: str, head: Head | None, trust: TrustFile | None, chains: Chains) -> Verdict:  # noqa: PLR0911 (one return for each thing that can be said)
    try:
        raw = folder.read(f"{name}.ckpt", MOST_NOTE_BYTES)
        token = folder.read(f"{name}.tsr", MOST_SIGNATURE_BYTES)
        note = SignedNote.parse(raw)
        anchored = Checkpoint.parse(note.text)
    except InvalidInput as exc:
        return _invalid(exc.message)
    if head is None or anchored.origin != head.checkpoint.origin or name != f"proofs/anchors/{anchored.size}":
        return _invalid("another log or size")
    if anchored.size == head.checkpoint.size and anchored.root != head.checkpoint.root:
        return _invalid("another root")
    verdict, _ = judge_timestamp(raw, token, chains=chains)
    if verdict.outcome is Outcome.INVALID:
        return _invalid(verdict.detail)
    if trust is None:
        return Verdict("anchor.not_checked", Outcome.INDETERMINATE)
    if trust.check_checkpoint(note, origin=anchored.origin)[0].outcome is not Outcome.VALID:
        return _invalid("the log has not signed it")
    if verdict.outcome is Outcome.VALID:
        return Verdict("anchor.valid", Outcome.VALID, verdict.detail)
    return Verdict("anchor.not_checked", Outcome.INDETERMINATE)


def _invalid(detail: str) -> Verdict:
    return Verdict("anchor.invalid", Outcome.INVALID, detail)
