"""The sequencer's lock: there is never a second writer of the log."""

from pathlib import Path
from typing import Final

from archive.db.database import Database
from archive.db.process_lock import ProcessLock

_KEY: Final = 0x6C69_7568_656E  # "liuhen"


class SequencerLock(ProcessLock):
    """The lock of whoever sequences."""

    def __init__(self, database: Database, path: Path) -> None:
        """Take the database, and the file to lock where it is SQLite."""
        super().__init__(database, path, key=_KEY, what="sequencer")
