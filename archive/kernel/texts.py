"""Short texts that people write: names, titles, reasons."""

import unicodedata

from archive.kernel.errors import InvalidInput


def clean_text(text: str, what: str, most: int) -> str:
    """Return `text` in NFC without outer blanks.

    Raises: InvalidInput when empty, too long, or with control characters.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if not text or len(text) > most:
        raise InvalidInput(f"The {what} has 1 to {most} characters")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise InvalidInput(f"The {what} holds control characters")
    return text
