"""One blanking in a process of its own, with few imports, so that strace can disturb it.

Not a test. `python -m tests.faults.blank_driver BASE` exits with what came of it.
"""

import sys
from pathlib import Path

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.kernel.errors import StorageFull
from archive.ports.blobs import StoreUnavailable

KEY = "a/keys"
DATA = bytes(range(1, 201))
OFFSET, LENGTH = 24, 40
FULL, UNAVAILABLE = 20, 21


def store_in(base: Path) -> ErasableFilesystemStore:
    return ErasableFilesystemStore(base / "store", scratch=base / "scratch")


def main() -> int:
    """Do what the command line says."""
    try:
        store_in(Path(sys.argv[1])).blank(KEY, offset=OFFSET, length=LENGTH)
    except StorageFull:
        return FULL
    except StoreUnavailable:
        return UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
