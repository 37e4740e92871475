"""Signed notes: text with signatures by named keys, and the text form of the keys that verify them.

Pure. What kinds of keys there are, and what they sign: `archive.ledger.keykinds`.

Source: C2SP signed-note. Where it leaves a choice: a signature by a known key that does not verify makes the whole
note invalid, base64 must be canonical, at most 100 signatures and 1 MiB are read.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.ledger.keykinds import (
    ED25519,
    KINDS,
    LOG_KINDS,
    MAX_TIME,
    RECEIPT,
    WITNESS_KINDS,
    join_time,
    split_time,
)
from archive.ports.keys import KeyHandle

__all__ = ["ED25519", "RECEIPT", "SignedNote", "Signer", "VerifierKey", "open_note", "sign_note"]

MAX_SIGNATURES: Final = 100
MAX_NOTE_BYTES: Final = 1024 * 1024
KEY_ID_BYTES: Final = 4
_SEPARATOR: Final = "\n\n"
_LINE_START: Final = "\N{EM DASH} "
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_KEY_ID: Final = re.compile("[0-9a-f]{8}")


class MalformedNote(InvalidInput):
    """This is not a signed note."""

    code = "note.malformed"
    exit_code = 65


class MalformedKey(InvalidInput):
    """This is not the text form of a verifier key that is known here."""

    code = "key.malformed"
    exit_code = 65


class NoteSignatureInvalid(LiuhenError):
    """A signature by a known key does not verify; the whole note is refused."""

    code = "note.signature_invalid"
    exit_code = 65


class NoteUnsigned(LiuhenError):
    """No key that is trusted has signed the note."""

    code = "note.unsigned"
    exit_code = 65


class SignerFault(LiuhenError):
    """A signing key returned a signature that its own public key does not verify."""

    code = "key.signer_fault"


def encode_base64(value: bytes) -> str:
    """Return standard base64 with padding. Source: RFC 4648 section 4."""
    return base64.b64encode(value).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Parse the one canonical base64 form of some bytes.

    Raises: InvalidInput for every other spelling.
    Source: RFC 4648 sections 3.5 and 4.
    """
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise InvalidInput("Not base64") from exc
    if encode_base64(value) != text:
        raise InvalidInput("Not canonical base64")
    return value


# --- keys -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name: what somebody pins.

    Text form: `<name>+<key ID in hexadecimal>+<base64 of (kind || public key)>`.

    Raises: MalformedKey.
    Source: C2SP signed-note, verifier keys.
    """

    name: str
    public_bytes: bytes
    kind: bytes = ED25519

    def __post_init__(self) -> None:
        """Refuse what cannot be a key."""
        if not is_key_name(self.name):
            raise MalformedKey("Not a key name", name=self.name[:64])
        kind = KINDS.get(self.kind)
        if kind is None or len(self.public_bytes) != kind.public_size_bytes:
            raise MalformedKey("Not a kind of key that is known here, or not of its length", name=self.name)

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || 0x0A || kind || public key)."""
        told = self.name.encode() + b"\n" + self.kind + self.public_bytes
        return hashlib.sha256(told).digest()[:KEY_ID_BYTES]

    @property
    def signs_notes(self) -> bool:
        """Whether this kind of key may sign notes."""
        return KINDS[self.kind].signs_notes

    @property
    def is_of_log(self) -> bool:
        """Whether this kind of key may be that of a log."""
        return self.kind in LOG_KINDS

    @property
    def is_of_witness(self) -> bool:
        """Whether this kind of key may be that of a witness."""
        return self.kind in WITNESS_KINDS

    def verifies(self, signature: bytes, *, message: bytes) -> bool:
        """Return whether the bare `signature` is this key's over `message`."""
        return KINDS[self.kind].verify(self.public_bytes, message, signature)

    def verifies_note(self, signature: bytes, *, text: str) -> bool:
        """Return whether a signature, as it stands in a note after the key ID, is this key's over the note's text."""
        message_of = KINDS[self.kind].timed
        if message_of is None:
            return self.verifies(signature, message=text.encode())
        time_s, bare = split_time(signature)
        message = message_of(self.name, text, time_s) if time_s <= MAX_TIME else None
        return message is not None and self.verifies(bare, message=message)

    def time_of(self, signature: bytes) -> int | None:
        """Return the time that a signature in a note states, POSIX seconds; None for kinds without one.

        Zero states nothing. Believe it only after the note was opened.
        """
        return None if KINDS[self.kind].timed is None else split_time(signature)[0]

    def __str__(self) -> str:
        """Render the text form."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(self.kind + self.public_bytes)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form. Raises: MalformedKey for every other spelling, and when the key ID is not the key's."""
        parts = text.split("+", 2)
        if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
            raise MalformedKey("A verifier key has the form name+id+base64", given=text[:80])
        name, key_id, encoded = parts
        try:
            material = decode_base64(encoded)
        except InvalidInput as exc:
            raise MalformedKey("The key is not in canonical base64", name=name[:64]) from exc
        kind = next((known for known in KINDS if material.startswith(known)), b"")
        key = cls(name, material.removeprefix(kind), kind)
        if key.key_id.hex() != key_id:
            raise MalformedKey("The key ID does not belong to the key", name=name)
        return key


def is_key_name(name: str) -> bool:
    """Return whether `name` may name a key: not empty, no white space, no plus sign, no control characters."""
    return (
        bool(name)
        and "+" not in name
        and not any(char.isspace() for char in name)
        and _CONTROL.search(name) is None
        and _is_unicode(name)
    )


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, wherever it lives, under a name."""

    name: str
    key: KeyHandle
    kind: bytes = ED25519

    @property
    def verifier(self) -> VerifierKey:
        """The key that verifies what this one signs."""
        return VerifierKey(self.name, self.key.public_bytes, self.kind)

    def sign(self, message: bytes) -> bytes:
        """Return the bare signature over `message`, verified before it leaves. Raises: SignerFault."""
        signature = self.key.sign(message)
        if not self.verifier.verifies(signature, message=message):
            raise SignerFault(name=self.name)
        return signature

    def sign_note(self, text: str, *, time_s: int) -> bytes:
        """Return the signature over a note's text as it stands in the note after the key ID.

        Units: POSIX seconds; of interest to kinds that sign a time only.
        Raises: SignerFault; MalformedNote for a text that this kind of key does not sign.
        """
        message_of = KINDS[self.kind].timed
        if message_of is None:
            return self.sign(text.encode())
        message = message_of(self.name, text, time_s)
        if message is None or not 0 <= time_s <= MAX_TIME:
            raise MalformedNote("This kind of key signs checkpoints only, with names of at most 255 bytes")
        return join_time(time_s, self.sign(message))


# --- notes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. Whether it verifies is not known yet."""

    key_name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what has no signature line. Raises: MalformedNote."""
        if not is_key_name(self.key_name) or len(self.key_id) != KEY_ID_BYTES or not self.signature:
            raise MalformedNote("Not a signature line", name=self.key_name[:64])

    def is_of(self, key: VerifierKey) -> bool:
        """Return whether the line claims to be by `key`."""
        return (self.key_name, self.key_id) == (key.name, key.key_id)

    def __str__(self) -> str:
        """Render the line, without its newline."""
        return f"{_LINE_START}{self.key_name} {encode_base64(self.key_id + self.signature)}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Parse a line, without its newline. Raises: MalformedNote."""
        name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
        if not line.startswith(_LINE_START) or not space:
            raise MalformedNote("Not a signature line", line=line[:64])
        try:
            value = decode_base64(encoded)
        except InvalidInput as exc:
            raise MalformedNote("A signature is not in canonical base64", name=name[:64]) from exc
        return cls(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note as it was read: text and signatures, none of them verified. Use `open_note` to trust it.

    Raises: MalformedNote for a text or signatures that have no place in a note.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        """Refuse what has no form as a note."""
        _refuse_other_texts(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise MalformedNote("A note has 1 to 100 signatures", signatures=len(self.signatures))

    def to_bytes(self) -> bytes:
        """Return the note as bytes: text, empty line, signature lines."""
        return "".join((self.text, "\n", *(f"{line}\n" for line in self.signatures))).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse a note. Raises: MalformedNote for anything that `to_bytes` would not have written."""
        if len(raw) > MAX_NOTE_BYTES:
            raise MalformedNote("The note is longer than 1 MiB", size_bytes=len(raw))
        try:
            whole = raw.decode()
        except UnicodeDecodeError as exc:
            raise MalformedNote("The note is not UTF-8") from exc
        # The text may hold empty lines itself: the last one parts it from the signatures.
        text, separator, block = whole.rpartition(_SEPARATOR)
        if not separator or not block.endswith("\n"):
            raise MalformedNote("The note has no signatures")
        lines = block[:-1].split("\n")
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in lines[: MAX_SIGNATURES + 1]))


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note with at least one signature by a key that is trusted."""

    text: str
    verified: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...]

    def is_signed_by(self, key: VerifierKey) -> bool:
        """Return whether `key` has signed."""
        return any(line.is_of(key) for line in self.verified)

    def time_by(self, key: VerifierKey) -> int | None:
        """Return the latest time at which `key` has cosigned, POSIX seconds; None where it has not, or states none."""
        times = [key.time_of(line.signature) for line in self.verified if line.is_of(key)]
        return max((time_s for time_s in times if time_s), default=None)


def sign_note(text: str, signers: Sequence[Signer], *, time_s: int = 0) -> bytes:
    """Return the signed note. `time_s` is the POSIX time that cosignatures state; 0 states nothing.

    Raises: MalformedNote for a text that has no place in a note; MalformedKey for keys that do not sign notes;
        SignerFault.
    """
    return SignedNote(text, tuple(signature_of(text, signer, time_s=time_s) for signer in signers)).to_bytes()


def signature_of(text: str, signer: Signer, *, time_s: int) -> NoteSignature:
    """Return one signature line over a text. Raises: as `sign_note`."""
    _refuse_other_texts(text)
    verifier = signer.verifier
    _refuse_other_uses(verifier)
    return NoteSignature(verifier.name, verifier.key_id, signer.sign_note(text, time_s=time_s))


def open_note(raw: bytes, keys: Iterable[VerifierKey]) -> OpenedNote:
    """Parse a note and verify it by the keys that are trusted; all others are ignored.

    1. Parse the note in its exact form.
    2. For each signature, look up the key with its name and key ID. Unknown: set it aside.
    3. Known: verify. One that fails refuses the whole note, whatever else has signed.
    4. Without any signature that verified, refuse the note.

    Raises: MalformedNote, NoteSignatureInvalid, NoteUnsigned; MalformedKey for keys that do not sign notes or that
        share name and key ID.
    Source: C2SP signed-note, signatures.
    """
    known = _by_name_and_id(keys)
    note = SignedNote.parse(raw)  # step 1
    verified: list[NoteSignature] = []
    unknown: list[NoteSignature] = []
    for line in note.signatures:
        key = known.get((line.key_name, line.key_id))  # step 2
        if key is None:
            unknown.append(line)
        elif not key.verifies_note(line.signature, text=note.text):  # step 3
            raise NoteSignatureInvalid(key=f"{line.key_name}+{line.key_id.hex()}")
        else:
            verified.append(line)
    if not verified:  # step 4
        raise NoteUnsigned(signatures=len(unknown))
    return OpenedNote(note.text, tuple(verified), tuple(unknown))


def _by_name_and_id(keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        _refuse_other_uses(key)
        if known.setdefault((key.name, key.key_id), key) != key:
            raise MalformedKey("Two keys share name and key ID", name=key.name)
    return known


def _refuse_other_uses(key: VerifierKey) -> None:
    if not key.signs_notes:
        raise MalformedKey("This kind of key does not sign notes", name=key.name)


def _refuse_other_texts(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text) or not _is_unicode(text):
        raise MalformedNote("The text of a note ends in a newline and has no control characters")


def _is_unicode(text: str) -> bool:
    """Whether the text has a UTF-8 form, that is, holds no lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
