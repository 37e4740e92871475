"""The `.tlog-proof` file: one entry's place in the log, provable without the server.

Pure. Source: C2SP tlog-proof@v1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.ledger.checkpoint import Checkpoint, parse_decimal
from archive.ledger.note import (
    MAX_NOTE_BYTES,
    SignedNote,
    decode_base64,
    encode_base64,
)
from archive.ledger.tree import (
    HASH_BYTES,
    MAX_PROOF_HASHES,
    MAX_SIZE,
    InclusionInvalid,
    leaf_hash,
    verify_inclusion,
)
from archive.ledger.trustfile import TrustFile

MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 256 * 1024
_HEADER: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = "index "


class MalformedProof(InvalidInput):
    """This is not a tlog-proof."""

    code = "proof.malformed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An index, the hashes from the leaf's sibling up, the checkpoint that they lead to, and what else was sent along.

    `note` is the checkpoint as it was signed. `extra` is not covered by any signature: never believe it.

    Raises: MalformedProof for parts that have no place in a proof.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: SignedNote
    extra: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what has no form as a proof."""
        if not 0 <= self.index <= MAX_SIZE:
            raise MalformedProof("No leaf has this index", index=self.index)
        if len(self.hashes) > MAX_PROOF_HASHES or any(len(value) != HASH_BYTES for value in self.hashes):
            raise MalformedProof("A proof has at most 63 hashes of 32 bytes", hashes=len(self.hashes))
        if self.extra == b"":
            raise MalformedProof("Without extra data there is no such line")
        try:
            Checkpoint.parse(self.note.text)
        except InvalidInput as exc:
            raise MalformedProof("The proof holds no checkpoint") from exc

    @property
    def checkpoint(self) -> Checkpoint:
        """What the checkpoint says; trust it only after `verify`."""
        return Checkpoint.parse(self.note.text)

    def __str__(self) -> str:
        """Render the file."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(_EXTRA + encode_base64(self.extra))
        lines.append(f"{_INDEX}{self.index}")
        lines.extend(encode_base64(value) for value in self.hashes)
        return "".join(f"{line}\n" for line in (*lines, "")) + self.note.to_bytes().decode()

    @classmethod
    def of(cls, *, index: int, hashes: Sequence[bytes], note: bytes, extra: bytes | None = None) -> Self:
        """Make a proof from its parts, the checkpoint as it was signed. Raises: MalformedProof, MalformedNote."""
        return cls(index, tuple(hashes), SignedNote.parse(note), extra)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse the file. Raises: MalformedProof for anything that `str()` would not have rendered."""
        if len(raw) > MAX_PROOF_BYTES:
            raise MalformedProof("The proof is too long", size_bytes=len(raw))
        head, separator, note = raw.partition(b"\n\n")
        if not separator:
            raise MalformedProof("The proof holds no checkpoint")
        try:
            index, hashes, extra = _parse_head(head.decode())
            return cls.of(index=index, hashes=hashes, note=note, extra=extra)
        except MalformedProof:
            raise
        except (InvalidInput, UnicodeDecodeError) as exc:
            raise MalformedProof("A part of the proof is not in its canonical form") from exc

    def verify(self, entry: bytes, *, trust: TrustFile | None) -> Report:
        """Say whether the proof shows that `entry` is in the log, by its own checkpoint and by the keys pinned.

        1. The hash of the entry leads to the root of the checkpoint.
        2. The checkpoint is signed by a pinned key of the log that it names. Without pinned keys that is open: the
           report is indeterminate at best, for whoever made the proof could have made the checkpoint.
        3. Where the pinned policy has a quorum, its witnesses have cosigned the checkpoint.
        """
        return Report((self._inclusion(entry), *self._signatures(trust)))

    def _inclusion(self, entry: bytes) -> Finding:
        head = self.checkpoint
        try:
            verify_inclusion(leaf_hash(entry), index=self.index, size=head.size, proof=self.hashes, root=head.root)
        except InclusionInvalid as exc:
            return invalid(exc.code, f"The entry is not in the log at this place: {exc.message}.", "proof")
        return valid("proof.inclusion_valid", f"The entry is number {self.index} of {head.size} in the log.", "proof")

    def _signatures(self, trust: TrustFile | None) -> tuple[Finding, ...]:
        if trust is None:
            return (
                indeterminate(
                    "checkpoint.signer_not_established",
                    "The checkpoint is well-formed; no key was given that could say who signed it.",
                    "checkpoint",
                ),
            )
        return trust.check_checkpoint(self.note, origin=self.checkpoint.origin)


def _parse_head(head: str) -> tuple[int, list[bytes], bytes | None]:
    header, *lines = head.split("\n")
    if header != _HEADER:
        raise MalformedProof("The first line is not c2sp.org/tlog-proof@v1")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = decode_base64(lines.pop(0).removeprefix(_EXTRA))
    if not lines or not lines[0].startswith(_INDEX):
        raise MalformedProof("The proof has no index")
    index = parse_decimal(lines.pop(0).removeprefix(_INDEX))
    return index, [decode_base64(line) for line in lines[: MAX_PROOF_HASHES + 1]], extra
