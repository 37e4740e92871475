"""Names and limits of a package, and which paths may stand in it. Source: RFC 8493; docs/formats/case-package.md."""

import re
import unicodedata
from typing import Final

MANIFESTS: Final = ("manifest-sha256.txt", "manifest-sha512.txt")
TAG_MANIFESTS: Final = ("tagmanifest-sha256.txt", "tagmanifest-sha512.txt")
SIGNED: Final = frozenset(f"sig/{name}.p7s{more}" for name in TAG_MANIFESTS for more in ("", ".tsr"))
"""Beside the tag manifests all that no manifest lists."""
BAGIT: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
CASE: Final = "data/case.json"
CHAIN: Final = "certs/chain.pem"
CHECKPOINT: Final = "proofs/checkpoint"

MIB: Final = 1024 * 1024
MOST_TEXT_BYTES: Final = 256 * MIB
MOST_ENTRY_BYTES: Final = 65_535
MOST_NOTE_BYTES: Final = MIB
MOST_PROOF_BYTES: Final = MIB + 256 * 1024
MOST_DETAIL_BYTES: Final = MIB
MOST_SIGNATURE_BYTES: Final = 64 * 1024
MOST_FILES: Final = 1_000_000
MOST_DEPTH: Final = 64
_MOST_PATH_CHARS: Final = 4096

_UNCLEAN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DRIVE: Final = re.compile("[A-Za-z]:")


def is_bad_path(path: str) -> bool:
    """Return whether a path could lead out of the package, or is no clean text."""
    if not path or len(path) > _MOST_PATH_CHARS or "\\" in path or _DRIVE.match(path) or _UNCLEAN.search(path):
        return True
    return any(segment in {"", ".", ".."} for segment in path.split("/"))


def shown(path: str) -> str:
    """Return a path as it may be printed."""
    return _UNCLEAN.sub(lambda hit: f"\\x{ord(hit[0]):02x}", path[:_MOST_PATH_CHARS])


def folded(path: str) -> str:
    """Return what is equal for names that some file system cannot tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).lower())


def is_payload(path: str) -> bool:
    """Return whether a path belongs into the manifests."""
    return path.startswith("data/")


def is_tag(path: str) -> bool:
    """Return whether a path belongs into the tag manifests."""
    return not path.startswith(("data/", "sig/")) and path not in TAG_MANIFESTS
