"""Cosignatures of our own checkpoints: stored once verified, and put under the notes that are given out."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.kernel.errors import InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.models import LogCheckpoint, LogCosignature
from archive.ledger.note import NoteSignature, OpenedNote, SignedNote, VerifierKey, open_note
from archive.ledger.policy import NO_WITNESSES, Witness, WitnessPolicy
from archive.ledger.proof import TlogProof
from archive.ledger.proofs import NodeTable, consistency, find_index, head, inclusion
from archive.ledger.tree import inclusion_proof
from archive.ledger.witnessing import AddCheckpoint

_MOST_TRIED = 32


def cosigned(note: bytes, cosignatures: Sequence[NoteSignature]) -> bytes:
    """Return a note with further signature lines under those that it has."""
    return note + "".join(f"{line}\n" for line in cosignatures).encode()


def cosignatures_on(tx: Session, size: int) -> Sequence[NoteSignature]:
    """Return the cosignatures on our checkpoint of this size, of each key the newest; what is none is left out."""
    rows = tx.execute(
        select(LogCosignature.key, LogCosignature.line)
        .where(LogCosignature.size == size)
        .order_by(LogCosignature.key, LogCosignature.time_s)
    )
    newest = {}
    for key, line in rows:
        with suppress(InvalidInput):
            newest[key] = NoteSignature.parse(line)
    return list(newest.values())


def cosigned_head(tx: Session) -> bytes | None:
    """Return the newest checkpoint as it is published: signed, and cosigned by whoever has done so yet."""
    newest = head(tx)
    return None if newest is None else cosigned(newest.note.encode(), cosignatures_on(tx, newest.size))


def add_cosignatures(tx: Session, note: OpenedNote, *, size: int, policy: WitnessPolicy, at: Instant) -> int:
    """Store what witnesses of the policy have signed on our checkpoint of this size; return how many are new.

    The note was opened with the policy's keys, and is that checkpoint.
    """
    added = 0
    for witness in policy.witnesses:
        for line in note.verified:
            time_s = witness.key.time_of(line.signature)
            if not line.is_of(witness.key) or not time_s:
                continue
            row = {"size": size, "key": key_text(witness.key), "time_s": time_s}
            if tx.get(LogCosignature, row) is None:
                insert_row(tx, LogCosignature, **row, line=str(line), received_at=at)
                added += 1
    return added


def settled_head(tx: Session, *, policy: WitnessPolicy = NO_WITNESSES) -> tuple[LogCheckpoint, bytes] | None:
    """Return the newest checkpoint that the policy lets count, and its note with the cosignatures that there are.

    None as long as there is none.
    """
    if not policy.asks:
        newest = head(tx)
        return None if newest is None else (newest, cosigned(newest.note.encode(), cosignatures_on(tx, newest.size)))
    for size, note in _cosigned_after(tx, -1):
        if policy.is_met_by(_cosigners(note, policy)):
            return tx.get_one(LogCheckpoint, size), note
    return None


def settled_inclusion(tx: Session, entry_id: EntryId, *, policy: WitnessPolicy = NO_WITNESSES) -> TlogProof | None:
    """Return the proof that an entry is in the log, under the newest checkpoint that the policy lets count.

    None as long as there is none. Raises: TreeDamaged when the stored tree lacks nodes.
    """
    if not policy.asks:
        return inclusion(tx, entry_id)
    index = find_index(tx, entry_id)
    if index is None:
        return None
    for size, note in _cosigned_after(tx, index):
        if policy.is_met_by(_cosigners(note, policy)):
            hashes = inclusion_proof(index, size, reader=NodeTable(tx))
            return TlogProof.of(index=index, hashes=hashes, note=note)
    return None


def counted_size(tx: Session, policy: WitnessPolicy) -> int | None:
    """Return the size of the newest checkpoint whose cosignatures, verified now, meet the quorum; None without one."""
    for size, note in _cosigned_after(tx, -1):
        if policy.is_met_by(_cosigners(note, policy)):
            return size
    return None


@dataclass(frozen=True, slots=True)
class WitnessStanding:
    """How far a witness has cosigned our log; `size` is None where it never has. Units: POSIX seconds."""

    witness: Witness
    size: int | None
    time_s: int | None


def standings(tx: Session, policy: WitnessPolicy) -> Sequence[WitnessStanding]:
    """Return for each witness of the policy the largest checkpoint that it has cosigned, and when last."""
    rows = tx.execute(
        select(LogCosignature.key, func.max(LogCosignature.size), func.max(LogCosignature.time_s)).group_by(
            LogCosignature.key
        )
    )
    found = {key: (size, time_s) for key, size, time_s in rows}
    return [WitnessStanding(witness, *found.get(key_text(witness.key), (None, None))) for witness in policy.witnesses]


def has_cosigned(tx: Session, policy: WitnessPolicy, key: VerifierKey, size: int) -> bool:
    """Return whether the stored cosignature of this witness on our checkpoint of this size verifies now."""
    note = cosigned(tx.get_one(LogCheckpoint, size).note.encode(), cosignatures_on(tx, size))
    return key in _cosigners(note, policy)


def key_text(key: VerifierKey) -> str:
    """Return how a key is named in the table."""
    return f"{key.name}+{key.key_id.hex()}"


def _cosigned_after(tx: Session, index: int) -> Iterator[tuple[int, bytes]]:
    """The newest checkpoints over a leaf that have cosignatures, newest first."""
    sizes = (
        select(LogCosignature.size)
        .where(LogCosignature.size > index)
        .distinct()
        .order_by(LogCosignature.size.desc())
        .limit(_MOST_TRIED)
    )
    for size in tx.scalars(sizes).all():
        yield size, cosigned(tx.get_one(LogCheckpoint, size).note.encode(), cosignatures_on(tx, size))


def _cosigners(note: bytes, policy: WitnessPolicy) -> Iterator[VerifierKey]:
    """The witnesses whose lines in a note verify; one that does not is left out here, and nobody else suffers."""
    text = SignedNote.parse(note).text
    for line in SignedNote.parse(note).signatures:
        for witness in policy.witnesses:
            if line.is_of(witness.key) and witness.key.verifies_note(line.signature, text=text):
                yield witness.key


class WitnessUnknown(NotFound):
    """The policy has no such witness, or several and none was named."""

    code = "ledger.witness_unknown"


class NotOurCheckpoint(LiuhenError):
    """The cosigned checkpoint is not one of this log, or is not cosigned by a witness of the policy."""

    code = "ledger.not_our_checkpoint"
    exit_code = 65


def request_for(tx: Session, policy: WitnessPolicy, *, name: str | None, old_size: int | None = None) -> AddCheckpoint:
    """Return the request that asks a witness to cosign our newest checkpoint.

    `old_size` is where the witness stands; else where it stood by what has come back from it.
    Raises: WitnessUnknown; OutOfTree for an old size beyond the log.
    """
    found = [standing for standing in standings(tx, policy) if name in {None, standing.witness.name}]
    newest = head(tx)
    if len(found) != 1 or newest is None:
        raise WitnessUnknown(witness=name or "", known=", ".join(witness.name for witness in policy.witnesses))
    old = (found[0].size or 0) if old_size is None else old_size
    proof = consistency(tx, old_size=old, new_size=newest.size) if old else ()
    return AddCheckpoint(old, tuple(proof), SignedNote.parse(newest.note.encode()))


def import_cosigned(
    tx: Session, raw: bytes, *, logs: Sequence[VerifierKey], policy: WitnessPolicy, at: Instant
) -> tuple[int, int]:
    """Store the cosignatures of a checkpoint that came back as a file; return its size and how many are new.

    Raises: NotOurCheckpoint; MalformedNote, NoteSignatureInvalid, NoteUnsigned.
    """
    note = open_note(raw, (*logs, *policy.keys))
    checkpoint = Checkpoint.parse(note.text)
    ours = tx.get(LogCheckpoint, checkpoint.size)
    is_ours = ours is not None and ours.note.startswith(note.text + "\n")
    if not is_ours or not any(note.is_signed_by(key) for key in logs) or not policy.cosigners(note):
        raise NotOurCheckpoint(size=checkpoint.size)
    return checkpoint.size, add_cosignatures(tx, note, size=checkpoint.size, policy=policy, at=at)
