r"""The trust file: the public keys of one archive, as an outsider pins them.

`liuhen init` writes it, a dock gets it at enrolment, an auditor takes it from the agency's public page, and
`liuhen verify --key` reads it. Whoever holds it needs nothing from the archive to judge a receipt.

The file is UTF-8 text. Lines end in a newline; a carriage return before it is an error, as is any other control
character than tab. Blanks and tabs around a line and between its two words do not count. A line is one of

    (empty)
    # comment
    log <vkey>
    receipt <vkey>

`<vkey>` is the text form of a verifier key of C2SP signed-note, `<name>+<key ID>+<base64 of (kind || public key)>`:

- `log` keys have kind 0x01 (Ed25519 over notes) and the log's origin as their name. The line is the same as in a
  C2SP tlog-policy file; a trust file differs from one by its `receipt` lines and by having no quorum.
- `receipt` keys have kind 0xff followed by `liuhen-receipt/v1`: plain Ed25519 (RFC 8032) over `liuhen-receipt/v1\n`
  and the canonical JSON of a receipt, never over a note. Their name is `<origin>/receipt`, of a log in the same file.

There is at least one line of each. No public key stands twice: one key has one purpose. The order means nothing.
After a change of keys the old lines stay, so that old receipts verify on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from archive.kernel.errors import InvalidInput
from archive.ledger.note import RECEIPT, MalformedKey, VerifierKey

MAX_TRUST_BYTES: Final = 64 * 1024
_BLANKS: Final = " \t"
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
    """The keys that somebody has decided to trust.

    Raises: MalformedTrustFile for keys that do not belong together.
    """

    logs: tuple[VerifierKey, ...]
    receipts: tuple[VerifierKey, ...]

    def __post_init__(self) -> None:
        """Refuse keys of the wrong kind, without a log, or with two purposes."""
        if not self.logs or not self.receipts:
            raise MalformedTrustFile("A trust file has at least one log key and one receipt key")
        if not all(key.signs_notes for key in self.logs) or any(key.kind != RECEIPT for key in self.receipts):
            raise MalformedTrustFile("A key is of another kind than its line says")
        named = {receipt_key_name(key.name) for key in self.logs}
        if any(key.name not in named for key in self.receipts):
            raise MalformedTrustFile("A receipt key is named after a log of the same file, followed by /receipt")
        keys = [key.public_bytes for key in (*self.logs, *self.receipts)]
        if len(set(keys)) != len(keys):
            raise MalformedTrustFile("A public key stands twice; one key has one purpose")

    def log_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of the log with this origin."""
        return tuple(key for key in self.logs if key.name == origin)

    def receipt_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The receipt keys of the log with this origin."""
        return tuple(key for key in self.receipts if key.name == receipt_key_name(origin))

    def __str__(self) -> str:
        """Render the file."""
        lines = (
            *_HEADING,
            *(f"log {key}" for key in self.logs),
            *(f"receipt {key}" for key in self.receipts),
        )
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse the file. Raises: MalformedTrustFile, with the number of the line."""
        if len(raw) > MAX_TRUST_BYTES:
            raise MalformedTrustFile("The trust file is longer than 64 KiB", size_bytes=len(raw))
        try:
            text = raw.decode()
        except UnicodeDecodeError as exc:
            raise MalformedTrustFile("The trust file is not UTF-8") from exc
        if not text.endswith("\n"):
            raise MalformedTrustFile("The last line of a trust file ends in a newline too")
        found: dict[str, list[VerifierKey]] = {"log": [], "receipt": []}
        for number, word, key in _keys(text[:-1].split("\n")):
            if word not in found:
                raise MalformedTrustFile("A line starts with log, receipt or #", line=number)
            found[word].append(key)
        return cls(tuple(found["log"]), tuple(found["receipt"]))


def _keys(lines: Iterable[str]) -> Iterable[tuple[int, str, VerifierKey]]:
    for number, line in enumerate(lines, start=1):
        if _CONTROL.search(line):
            raise MalformedTrustFile("A line holds a control character", line=number)
        content = line.strip(_BLANKS)
        if not content or content.startswith("#"):
            continue
        word, _, vkey = content.replace("\t", " ").partition(" ")
        try:
            yield number, word, VerifierKey.parse(vkey.strip(_BLANKS))
        except MalformedKey as exc:
            raise MalformedTrustFile("A line has no key that can be read", line=number) from exc
