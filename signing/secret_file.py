"""A random secret in a file of its own, made when it is first needed; what is derived from it is kept nowhere."""

import contextlib
import secrets
from pathlib import Path
from typing import Final

from signing.keyfiles import PRIVATE, KeyExists, KeyMissing, KeyUnreadable, read_secret, write_once

_SECRET_BYTES: Final = 32


def secret_from_file(path: Path) -> bytes:
    """Return the 32 bytes in the file, which is made if it is not there.

    Raises: KeyExposed, KeyUnreadable when the file holds anything else, StorageFull.
    """
    try:
        secret = read_secret(path)
    except KeyMissing:
        with contextlib.suppress(KeyExists):  # another process was quicker
            write_once(path, secrets.token_bytes(_SECRET_BYTES), mode=PRIVATE)
        secret = read_secret(path)
    if len(secret) != _SECRET_BYTES:
        raise KeyUnreadable(path=str(path))
    return secret
