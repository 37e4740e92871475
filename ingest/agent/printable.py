"""Text from outside, shown without letting it steer the terminal."""

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str, *, most: int = 1000) -> str:
    """Return `text` with control, format and stray characters written out, cut to `most` characters."""
    shown = "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char for char in text
    )
    return shown if len(shown) <= most else shown[: most - 1] + "…"
