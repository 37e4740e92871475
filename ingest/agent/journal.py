"""What is under way, in one small SQLite file: digests of files seen, open uploads, and what went to quarantine.

Losing it costs time, never a recording: files are hashed again, unfinished uploads start again.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput, StorageFull
from archive.kernel.ids import UploadId, parse_uuid
from ingest.agent.errors import StateBroken
from ingest.agent.files import FileIdentity

_SETTLED_NS: Final = 3_000_000_000
"""A file changed so shortly before it was hashed may change again without a new time: FAT counts in 2 s steps."""
_KEPT_S: Final = 90 * 86_400
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS seen (path BLOB PRIMARY KEY, identity TEXT NOT NULL, algorithms TEXT NOT NULL,
  sha256 TEXT NOT NULL, sha512 TEXT NOT NULL, sm3 TEXT, at_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (sha256 TEXT PRIMARY KEY, dock TEXT NOT NULL, id TEXT NOT NULL,
  manifest BLOB NOT NULL, at_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantined (sha256 TEXT PRIMARY KEY, dock TEXT NOT NULL, code TEXT NOT NULL,
  at_s INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that the archive knows, and the manifest that it was made with."""

    id: UploadId
    manifest: bytes


class Journal:
    """The journal of one dock. Safe for several threads; every change is durable on return."""

    def __init__(self, path: Path) -> None:
        """Open the journal, making it if need be. Raises: StateBroken, StorageFull."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(_TABLES)
        except sqlite3.DatabaseError as exc:
            raise self._named(exc) from exc
        self._do("DELETE FROM seen WHERE at_s < ?", int(time.time()) - _KEPT_S)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def digests_of(self, path: Path, identity: FileIdentity, *, algorithms: Sequence[str]) -> DigestSet | None:
        """Return the digests of this file as it was hashed before, if it is the same file, untouched since."""
        row = self._one(
            "SELECT sha256, sha512, sm3 FROM seen WHERE path = ? AND identity = ? AND algorithms = ?",
            bytes(path),
            identity.text,
            ",".join(algorithms),
        )
        if row is None:
            return None
        given = {name: value for name, value in zip(("sha256", "sha512", "sm3"), row, strict=True) if value is not None}
        with suppress(InvalidInput):
            return DigestSet.from_json(identity.size_bytes, given)
        return None

    def record_digests(
        self, path: Path, identity: FileIdentity, digests: DigestSet, *, algorithms: Sequence[str]
    ) -> None:
        """Remember what a file holds, unless it changed so recently that its time cannot be relied on."""
        if abs(time.time_ns() - max(identity.modified_ns, identity.changed_ns)) < _SETTLED_NS:
            return
        sm3 = None if digests.sm3 is None else digests.sm3.hex
        self._do(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)",
            bytes(path), identity.text, ",".join(algorithms), digests.sha256.hex, digests.sha512.hex, sm3,
            int(time.time()),
        )  # fmt: skip

    def forget_file(self, path: Path) -> None:
        """Forget a file that is not there any more."""
        self._do("DELETE FROM seen WHERE path = ?", bytes(path))

    def upload_of(self, sha256: str, *, dock: str) -> OpenUpload | None:
        """Return the upload of this recording that is under way."""
        row = self._one("SELECT id, manifest FROM upload WHERE sha256 = ? AND dock = ?", sha256, dock)
        if row is None:
            return None
        with suppress(InvalidInput):
            return OpenUpload(UploadId(parse_uuid(row[0])), bytes(row[1]))
        return None

    def record_upload(self, sha256: str, upload: OpenUpload, *, dock: str) -> None:
        """Remember an upload that the archive has opened."""
        self._do(
            "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?)",
            sha256, dock, str(upload.id), upload.manifest, int(time.time()),
        )  # fmt: skip

    def forget_upload(self, sha256: str) -> None:
        """Forget an upload that has ended."""
        self._do("DELETE FROM upload WHERE sha256 = ?", sha256)

    def quarantine_of(self, sha256: str, *, dock: str) -> str | None:
        """Return why the archive put this recording into quarantine when this dock sent it."""
        row = self._one("SELECT code FROM quarantined WHERE sha256 = ? AND dock = ?", sha256, dock)
        return None if row is None else str(row[0])

    def record_quarantine(self, sha256: str, code: str, *, dock: str) -> None:
        """Remember that a recording went to quarantine, so that it is not sent there again and again."""
        self._do("INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?, ?)", sha256, dock, code, int(time.time()))
        self.forget_upload(sha256)

    def _do(self, statement: str, *values: Any) -> None:
        try:
            with self._lock:
                self._connection.execute(statement, values)
        except sqlite3.DatabaseError as exc:
            raise self._named(exc) from exc

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        try:
            with self._lock:
                row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
                return row
        except sqlite3.DatabaseError as exc:
            raise self._named(exc) from exc

    def _named(self, exc: sqlite3.DatabaseError) -> StateBroken | StorageFull:
        if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return StorageFull("The disk of the dock's state folder is full", file=str(self._path))
        return StateBroken("The journal cannot be used; move it away and push again", file=str(self._path))
