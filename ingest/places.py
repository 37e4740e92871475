"""Where staged bytes lie: hosts that keep them on disks of their own must not take each other's for lost.

The id of a place lies in a file beside its staging folder, so that hosts that share the folder share the id.
"""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from signing.keyfiles import PUBLIC, KeyExists, write_once

_FILE: Final = "place"
_ID_BYTES: Final = 8


def place_of(folder: Path) -> str:
    """Return the id of the place that this folder holds, made at the first call. Raises: StorageFull."""
    path = folder / _FILE
    if not path.exists():
        with contextlib.suppress(KeyExists):
            write_once(path, secrets.token_hex(_ID_BYTES).encode(), mode=PUBLIC)
    return path.read_text("ascii")
