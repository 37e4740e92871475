"""Plain text: whether bytes are text at all, in which encoding, and as text that can be kept and shown.

Pure Python over bytes: decoding a fixed table of encodings needs no parser that could be led astray.
"""

import codecs
import unicodedata
from typing import Final

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODINGS: Final = ("utf-8", "gb18030")
_ALLOWED_CONTROLS: Final = frozenset("\t\n\r\f")
_LEAST_CHARACTERS: Final = 1
# What decodes as GB 18030 by chance is full of characters that no text uses.
_LEAST_COMMON: Final = 0.7
_CUT_BYTES: Final = 4
_COMMON: Final = ((0x20, 0x7E), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xFF00, 0xFFEF), (0x2000, 0x206F))


def reads_as_text(head: bytes) -> bool:
    """Return whether the beginning of a file is text in UTF-8, UTF-16 with its mark, or GB 18030."""
    return encoding_of(head) is not None


def encoding_of(head: bytes) -> str | None:
    """Return the encoding of a text by its beginning, None where it is no text. The end may cut a character."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding if _is_text(_decoded(head, encoding)) else None
    for encoding in _ENCODINGS:
        text = _decoded(head, encoding)
        if _is_text(text) and (encoding == "utf-8" or _is_common(text or "")):
            return encoding
    return None


def readable(text: str, *, most: int) -> tuple[str, bool]:
    """Return `text` as it can be kept and shown, at most `most` characters, and whether something was left out.

    Ends of lines become newlines, pages stay apart by form feeds; characters that cannot be seen are dropped, and so
    are those that turn the direction of what follows.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    cut = plain[:most]
    kept = "".join(char for char in cut if char in _ALLOWED_CONTROLS or unicodedata.category(char)[0] != "C")
    return kept, len(plain) > most


def language_of(text: str) -> str | None:
    """Return `zh` or `en` by the letters that are used most, None where there are hardly any."""
    sample = text[:20_000]
    chinese = sum(0x4E00 <= ord(char) <= 0x9FFF for char in sample)
    latin = sum(char.isascii() and char.isalpha() for char in sample)
    if chinese + latin < 10:
        return None
    return "zh" if chinese * 4 >= latin else "en"


def _decoded(head: bytes, encoding: str) -> str | None:
    for cut in range(_CUT_BYTES):
        try:
            return head[: len(head) - cut].decode(encoding)
        except UnicodeDecodeError as exc:
            if exc.start < len(head) - 2 * _CUT_BYTES:
                return None
    return None


def _is_text(text: str | None) -> bool:
    if text is None or len(text.strip()) < _LEAST_CHARACTERS:
        return False
    return not any(unicodedata.category(char) == "Cc" and char not in _ALLOWED_CONTROLS for char in text)


def _is_common(text: str) -> bool:
    shown = [char for char in text if char not in _ALLOWED_CONTROLS]
    common = sum(any(low <= ord(char) <= high for low, high in _COMMON) for char in shown)
    return bool(shown) and common >= _LEAST_COMMON * len(shown)
