"""The witness protocol's request, and whether its checkpoint may follow the last one that was cosigned.

Pure: `archive.ledger.witness` keeps the state, `archive.web.witness` speaks HTTP, `archive.ledger.cosigner` asks.

Source: C2SP tlog-witness, add-checkpoint; INTEGRITY 1.4 for the empty tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.ledger.checkpoint import Checkpoint, parse_decimal
from archive.ledger.note import (
    NoteSignatureInvalid,
    NoteUnsigned,
    SignedNote,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
)
from archive.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_PROOF_HASHES, ConsistencyInvalid, verify_growth

MAX_REQUEST_BYTES: Final = 512 * 1024
SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of the answer 409."""
_OLD: Final = "old "


class Refusal(LiuhenError):
    """The witness does not cosign. `status` is the answer's in HTTP."""

    status: ClassVar[int] = 400
    exit_code = 65

    @property
    def body(self) -> bytes:
        """What the answer holds: the reason, in one line."""
        return f"{self.code}: {self.message}\n".encode()


class MalformedRequest(Refusal):
    """This is not a request of the witness protocol."""

    code = "witness.malformed"


class OldAboveNew(Refusal):
    """The old size is above the checkpoint's own."""

    code = "witness.old_above_new"


class LogUnknown(Refusal):
    """This witness does not follow the log that the checkpoint names."""

    code = "witness.log_unknown"
    status = 404


class NotByLog(Refusal):
    """The checkpoint is not signed by a key of its log that this witness knows."""

    code = "witness.not_by_log"
    status = 403


class NotFromThere(Refusal):
    """The old size is not that of the last checkpoint that was cosigned, or the same size has another root."""

    code = "witness.conflict"
    status = 409

    def __init__(self, message: str | None = None, *, size: int = 0) -> None:
        """Name the size of the last checkpoint that was cosigned."""
        super().__init__(message, size=size)
        self.size = size

    @property
    def body(self) -> bytes:
        """The size, and nothing else."""
        return f"{self.size}\n".encode()


class NotConsistent(Refusal):
    """The proof does not show that the log only grew: the log may show different things to different people."""

    code = "witness.not_consistent"
    status = 422


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint that was cosigned for a log."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign `note`, whose tree grows out of that of `old_size` leaves as `proof` shows."""

    old_size: int
    proof: tuple[bytes, ...]
    note: SignedNote

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says. Raises: MalformedCheckpoint."""
        return Checkpoint.parse(self.note.text)

    def to_bytes(self) -> bytes:
        """Render the body of the request."""
        lines = (f"{_OLD}{self.old_size}", *(encode_base64(value) for value in self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note.to_bytes()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse the body of a request. Raises: MalformedRequest for anything that `to_bytes` would not have written."""
        if len(raw) > MAX_REQUEST_BYTES:
            raise MalformedRequest("The request is too long", size_bytes=len(raw))
        head, separator, note = raw.partition(b"\n\n")
        try:
            old, *proof = head.decode("ascii").split("\n")
            if not separator or not old.startswith(_OLD):
                raise MalformedRequest("The first line is old and a size")
            if len(proof) > MAX_PROOF_HASHES:
                raise MalformedRequest("A proof has at most 63 lines", lines=len(proof))
            hashes = tuple(decode_base64(line) for line in proof)
            request = cls(parse_decimal(old.removeprefix(_OLD)), hashes, SignedNote.parse(note))
            Checkpoint.parse(request.note.text)
        except (InvalidInput, UnicodeDecodeError) as exc:
            raise MalformedRequest("A part of the request is not in its canonical form") from exc
        if any(len(value) != HASH_BYTES for value in hashes):
            raise MalformedRequest("A line of the proof is no SHA-256 hash")
        return request


def require_signed(request: AddCheckpoint, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of a request that a key of its log has signed. Raises: NotByLog."""
    try:
        open_note(request.note.to_bytes(), keys)
    except (NoteSignatureInvalid, NoteUnsigned) as exc:
        raise NotByLog from exc
    return request.checkpoint


def judge(request: AddCheckpoint, checkpoint: Checkpoint, seen: Seen) -> None:
    """Return only if the checkpoint, signed by its log, may follow the last one that was cosigned.

    1. The old size is not above the checkpoint's.
    2. It is the size that was cosigned last.
    3. At the same size the root is the same.
    4. The proof leads from one to the other; from an empty tree any tree follows, and the proof is empty.

    Raises: OldAboveNew, NotFromThere, NotConsistent.
    """
    if request.old_size > checkpoint.size:  # step 1
        raise OldAboveNew(old=request.old_size, size=checkpoint.size)
    if request.old_size != seen.size:  # step 2
        raise NotFromThere("The last checkpoint that was cosigned has another size", size=seen.size)
    if checkpoint.size == seen.size and checkpoint.root != seen.root:  # step 3
        raise NotFromThere("The log signed two roots for one size", size=seen.size)
    try:  # step 4
        verify_growth(
            old_size=seen.size,
            old_root=seen.root,
            new_size=checkpoint.size,
            new_root=checkpoint.root,
            proof=request.proof,
        )
    except ConsistencyInvalid as exc:
        raise NotConsistent(exc.message, old=seen.size, size=checkpoint.size) from exc
