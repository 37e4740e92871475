"""Checkpoints: the signed head of the log, origin, size and root in three lines.

Pure. Source: C2SP tlog-checkpoint. No extension lines are ever written; those of other logs are read past.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput
from archive.ledger.note import (
    OpenedNote,
    Signer,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    sign_note,
)
from archive.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile("[\x00-\x1f]")


class MalformedCheckpoint(InvalidInput):
    """This is not the text of a checkpoint."""

    code = "checkpoint.malformed"
    exit_code = 65


class WrongOrigin(InvalidInput):
    """The checkpoint is of another log than the one asked for."""

    code = "checkpoint.wrong_origin"
    exit_code = 65


def parse_decimal(text: str) -> int:
    """Parse a size or an index: ASCII digits, no leading zeros, below 2^63. Raises: InvalidInput."""
    if not _DECIMAL.fullmatch(text) or (value := int(text)) > MAX_SIZE:
        raise InvalidInput("Not a decimal number below 2^63", given=text[:24])
    return value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log at one size.

    `extensions` are lines that another log may have added; nothing here gives them a meaning.

    Raises: MalformedCheckpoint for values that no checkpoint has.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no checkpoint has."""
        lines = (self.origin, *self.extensions)
        if not all(lines) or any(_CONTROL.search(line) for line in lines):
            raise MalformedCheckpoint("Lines of a checkpoint are not empty and hold no control characters")
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint("Not the size and root of a tree", size=self.size)
        if (self.size == 0) != (self.root == EMPTY_ROOT):
            raise MalformedCheckpoint("An empty tree has the empty root, and no other has", size=self.size)

    def __str__(self) -> str:
        """Render the text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text. Raises: MalformedCheckpoint for anything that `str()` would not have rendered."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise MalformedCheckpoint("A checkpoint has at least three lines, each ended by a newline")
        origin, size, root, *extensions = lines[:-1]
        try:
            return cls(origin, parse_decimal(size), decode_base64(root), tuple(extensions))
        except MalformedCheckpoint:
            raise
        except InvalidInput as exc:
            raise MalformedCheckpoint("The size or the root is not in its canonical form") from exc


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint with at least one signature by a key that is trusted, and the note that carried it."""

    checkpoint: Checkpoint
    note: OpenedNote


def sign_checkpoint(checkpoint: Checkpoint, *, signers: Sequence[Signer], time_s: int = 0) -> bytes:
    """Return the checkpoint as a signed note.

    Units: POSIX seconds, signed by keys that sign a time; 0 states nothing.
    Raises: WrongOrigin when a key has another name than the log's origin; MalformedCheckpoint for extension lines,
        which we do not sign; SignerFault.
    """
    if checkpoint.extensions:
        raise MalformedCheckpoint("No extension lines are signed here")
    if any(signer.name != checkpoint.origin for signer in signers):
        raise WrongOrigin("A log signs with a key of its own name", origin=checkpoint.origin)
    return sign_note(str(checkpoint), signers, time_s=time_s)


def open_checkpoint(raw: bytes, *, keys: Iterable[VerifierKey], origin: str) -> OpenedCheckpoint:
    """Verify a signed checkpoint of the log `origin` by keys that are trusted.

    Raises: MalformedNote, NoteSignatureInvalid, NoteUnsigned, MalformedCheckpoint, WrongOrigin.
    """
    note = open_note(raw, keys)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise WrongOrigin(origin=checkpoint.origin, expected=origin)
    return OpenedCheckpoint(checkpoint, note)
