"""Words that stand in details of the log for recovery alone: sealed, since not all who read details may read them.

One secret of 32 bytes in a file, made when it is first needed and never changed: what was sealed stays in the journal.
Source: NIST SP 800-38D (AES-256-GCM, 96-bit random nonce in front, the binding as associated data).
"""

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from archive.kernel.errors import LiuhenError
from signing.secret_file import secret_from_file

_NONCE_BYTES: Final = 12


class WordsUnreadable(LiuhenError):
    """Sealed words do not open: the key of words is another one, or they were changed."""

    code = "words.unreadable"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class WordSeal:
    """Seals and opens words with the secret in a file."""

    path: Path

    def seal(self, words: str, *, bound_to: str) -> str:
        """Return words sealed, in base64; they open only for the same `bound_to`. Raises: KeyExposed, KeyUnreadable."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher().encrypt(nonce, words.encode(), bound_to.encode())).decode()

    def unseal(self, sealed: str, *, bound_to: str) -> str:
        """Return what was sealed. Raises: WordsUnreadable, KeyExposed, KeyUnreadable."""
        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher().decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as exc:
            raise WordsUnreadable(of=bound_to) from exc

    def _cipher(self) -> AESGCM:
        return AESGCM(secret_from_file(self.path))
