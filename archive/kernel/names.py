"""File names from outside, made safe for a file system without losing what they were."""

import unicodedata

_MAX_BYTES = 180
_FORBIDDEN = frozenset('/\\:*?"<>|')


def safe_file_name(given: str) -> str:
    """Return a name that is safe on every file system and close to `given`.

    Path parts, control and bidirectional-override characters, leading dots and reserved characters go; the result is
    NFC, has 1 to 180 bytes of UTF-8, and keeps its extension. The name as given is kept beside it, in the manifest.
    """
    base = given.encode("utf-8", "replace").decode("utf-8").replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        "_" if char in _FORBIDDEN else char
        for char in base
        if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    # Only now: what was taken out may have stood between a letter and its accent.
    kept = unicodedata.normalize("NFC", kept).strip(" .")
    stem, dot, extension = kept.rpartition(".")
    if not dot or len(extension.encode()) > 16 or not stem:
        stem, dot, extension = kept, "", ""
    stem = _cut(stem, _MAX_BYTES - len((dot + extension).encode())).rstrip(" .")
    return (stem or "unnamed") + dot + extension


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode("utf-8", "ignore")
