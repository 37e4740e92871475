"""One write to a store in a process of its own, with few imports, so that strace can disturb it.

Not a test. `python -m tests.faults.write_driver put|adopt BASE` exits with what came of it.
"""

import io
import sys
from pathlib import Path

from archive.adapters.filesystem_store import FilesystemStore
from archive.kernel.errors import StorageFull
from archive.ports.blobs import StoreUnavailable

KEY = "a/b/blob"
DATA = b"whole blob " * 1000
FULL, UNAVAILABLE = 20, 21


def store_in(base: Path) -> FilesystemStore:
    return FilesystemStore(base / "store", scratch=base / "scratch")


def main() -> int:
    """Do what the command line says."""
    base = Path(sys.argv[2])
    try:
        if sys.argv[1] == "put":
            store_in(base).put_once(KEY, io.BytesIO(DATA))
        else:
            store_in(base).adopt(KEY, base / "staged")
    except StorageFull:
        return FULL
    except StoreUnavailable:
        return UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
