"""The trust file: what an outsider pins of one archive: keys of log and receipts, authorities, witnesses and quorum.

`liuhen init` writes it, a dock gets it at enrolment, an auditor takes it from the agency's public page, and
`liuhen verify --key` reads it. Whoever holds it needs nothing from the archive to judge a receipt.

A superset of C2SP tlog-policy; lines and rules stand in docs/formats/receipt.md. Pure.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, invalid, valid
from archive.ledger.note import (
    RECEIPT,
    MalformedKey,
    NoteSignatureInvalid,
    NoteUnsigned,
    SignedNote,
    VerifierKey,
    open_note,
)
from archive.ledger.policy import NO_WITNESSES, MalformedPolicy, PolicyReader, WitnessPolicy

MAX_TRUST_BYTES: Final = 256 * 1024
_ROOT: Final = re.compile("sha256:([0-9a-f]{64})")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f]")
_RECEIPT_SUFFIX: Final = "/receipt"
_HEADING: Final = (
    "# Public keys of this archive. Keep this file apart from what it verifies;",
    "# compare it with a copy that you got another way.",
)


class MalformedTrustFile(InvalidInput):
    """This is not a trust file."""

    code = "trust.malformed"
    exit_code = 65


def receipt_key_name(origin: str) -> str:
    """Return the name that the receipt key of a log has."""
    return origin + _RECEIPT_SUFFIX


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What somebody has decided to trust. `roots` are the SHA-256 of certificates (DER) of authorities.

    `timestamp_roots` are those of authorities that are believed about times, and about nothing else.

    Raises: MalformedTrustFile for keys that do not belong together.
    """

    logs: tuple[VerifierKey, ...]
    receipts: tuple[VerifierKey, ...] = ()
    roots: tuple[bytes, ...] = ()
    policy: WitnessPolicy = NO_WITNESSES
    timestamp_roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse keys of the wrong kind, without a log, or with two purposes."""
        if not self.logs:
            raise MalformedTrustFile("A trust file has at least one log key")
        if not all(key.is_of_log for key in self.logs) or any(key.kind != RECEIPT for key in self.receipts):
            raise MalformedTrustFile("A key is of another kind than its line says")
        named = {receipt_key_name(key.name) for key in self.logs}
        if any(key.name not in named for key in self.receipts):
            raise MalformedTrustFile("A receipt key is named after a log of the same file, followed by /receipt")
        keys = [key.public_bytes for key in (*self.logs, *self.receipts, *self.policy.keys)]
        if len(set(keys)) != len(keys):
            raise MalformedTrustFile("A public key stands twice; one key has one purpose")

    def log_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of the log with this origin."""
        return tuple(key for key in self.logs if key.name == origin)

    def receipt_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The receipt keys of the log with this origin."""
        return tuple(key for key in self.receipts if key.name == receipt_key_name(origin))

    def check_checkpoint(self, note: SignedNote, *, origin: str, is_quorum_asked: bool = False) -> tuple[Finding, ...]:
        """Say whether the log `origin` has signed a checkpoint, and whether witnesses have as the quorum asks.

        1. Ignore signatures by keys that are not pinned.
        2. One by a pinned key that does not verify refuses the note, whoever else has signed.
        3. A key of the log must have signed.
        4. Apply the quorum (`WitnessPolicy.check`).

        Source: docs/formats/receipt.md, how a checkpoint is judged.
        """
        where, logs = "checkpoint", self.log_keys(origin)
        try:
            opened = open_note(note.to_bytes(), (*logs, *self.policy.keys))
        except NoteSignatureInvalid as exc:
            told = f"A signature by a pinned key on the checkpoint does not verify: {exc.facts.get('key')}."
            return (invalid("checkpoint.signature_invalid", told, where),)
        except NoteUnsigned:
            return (_unknown_signer(),)
        if not any(opened.is_signed_by(key) for key in logs):
            return (_unknown_signer(),)
        signed = valid("checkpoint.signature_valid", f"The log {origin} has signed the checkpoint.", where)
        return (signed, *self.policy.check(opened, is_asked=is_quorum_asked))

    def __str__(self) -> str:
        """Render the file."""
        lines = (
            *_HEADING,
            *(f"log {key}" for key in self.logs),
            *(f"receipt {key}" for key in self.receipts),
            *(f"root sha256:{digest.hex()}" for digest in self.roots),
            *(f"timestamp-root sha256:{digest.hex()}" for digest in self.timestamp_roots),
            *self.policy.lines(),
        )
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse the file. Raises: MalformedTrustFile, with the number of the line."""
        read = _Lines(raw)
        return cls(
            tuple(read.keys["log"]),
            tuple(read.keys["receipt"]),
            tuple(read.roots["root"]),
            read.policy(),
            tuple(read.roots["timestamp-root"]),
        )


def policy_text(trust: TrustFile) -> str:
    """Render the log's keys, witnesses and quorum as a policy file. Source: C2SP tlog-policy."""
    lines = [*(f"log {key}" for key in trust.logs), *trust.policy.lines()]
    if trust.policy.quorum is None:
        lines.append("quorum none")
    return "".join(f"{line}\n" for line in lines)


def parse_policy(raw: bytes) -> WitnessPolicy:
    """Return the witnesses and the quorum of a policy file; lines about logs are read and set aside.

    Raises: MalformedTrustFile, also without a quorum line.
    Source: C2SP tlog-policy.
    """
    policy = _Lines(raw).policy()
    if policy.quorum is None:
        raise MalformedTrustFile("A policy file has a quorum line; `quorum none` asks for nobody")
    return policy


class _Lines:
    """The lines of a file, read."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) > MAX_TRUST_BYTES:
            raise MalformedTrustFile("The trust file is longer than 256 KiB", size_bytes=len(raw))
        try:
            text = raw.decode()
        except UnicodeDecodeError as exc:
            raise MalformedTrustFile("The trust file is not UTF-8") from exc
        if not text.endswith("\n"):
            raise MalformedTrustFile("The last line of a trust file ends in a newline too")
        self.keys: dict[str, list[VerifierKey]] = {"log": [], "receipt": []}
        self.roots: dict[str, list[bytes]] = {"root": [], "timestamp-root": []}
        self._policy = PolicyReader()
        for number, (word, *rest) in _words(text[:-1].split("\n")):
            try:
                self._take(word, rest)
            except MalformedKey as exc:
                raise MalformedTrustFile("A line has no key that can be read", line=number) from exc
            except InvalidInput as exc:
                raise MalformedTrustFile(exc.message, line=number) from exc

    def policy(self) -> WitnessPolicy:
        return self._policy.policy()

    def _take(self, word: str, rest: Sequence[str]) -> None:
        if self._policy.takes(word):
            self._policy.take(word, rest)
        elif word in self.roots:
            self.roots[word].append(_root(rest))
        elif word in self.keys:
            if len(rest) != 1 and not (len(rest) == 2 and word == "log"):
                raise MalformedPolicy(f"A {word} line has one key")
            self.keys[word].append(VerifierKey.parse(rest[0]))
        else:
            raise MalformedPolicy("A line starts with log, receipt, root, timestamp-root, witness, group, quorum or #")


def _words(lines: Iterable[str]) -> Iterable[tuple[int, Sequence[str]]]:
    for number, line in enumerate(lines, start=1):
        if _CONTROL.search(line):
            raise MalformedTrustFile("A line holds a control character", line=number)
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if words and not words[0].startswith("#"):
            yield number, words


def _root(rest: Sequence[str]) -> bytes:
    found = _ROOT.fullmatch(rest[0]) if len(rest) == 1 else None
    if found is None:
        raise MalformedPolicy("A root line has sha256: and 64 hexadecimal digits")
    return bytes.fromhex(found[1])


def _unknown_signer() -> Finding:
    return invalid("checkpoint.signer_unknown", "No pinned log key has signed the checkpoint.", "checkpoint")
