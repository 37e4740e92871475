"""Every checkpoint and every cosignature in files beside the bundles of entries, for when the database is lost.

`notes/<number>.jsonl` in the private folder of the log: canonical JSON, a line for each row of `log_checkpoint` and
`log_cosignature`, in the order in which they came. What a crash cut off is a line that cannot be read; the row is
written once more after it. Only whoever holds the sequencer's lock writes.

Source: docs/formats/log.md.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from archive.db.database import Database
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ledger.models import LogCheckpoint, LogCosignature
from signing.keyfiles import PRIVATE, fsync_directory, replace_durably

_MOST_FILE_BYTES: Final = 16 * 1024 * 1024
_AT_ONCE: Final = 1000
_LATE: Final = timedelta(minutes=10)
"""A cosignature that came before another may be committed after it, by as much at the most."""

Row = Mapping[str, Any]


class KeptNotes:
    """The files of one log. Not for several threads at once."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Keep what this database has in this folder."""
        self._database, self._folder = database, folder
        self._size: int | None = None
        self._signed: dict[tuple[int, str, int], Instant] = {}

    def keep(self) -> int:
        """Write down, durably, what the database has beyond what is written; return how many lines. Raises: OSError."""
        if self._size is None:
            self._look()
        written = 0
        while lines := self._fresh():
            self._append(lines)
            written += len(lines)
        return written

    def look_again(self) -> None:
        """Forget where the files end; `keep` finds out."""
        self._size, self._signed = None, {}

    def _look(self) -> None:
        """Find out where the files end, by the newest that has anything in it."""
        self._size = -1
        for path in reversed(_files(self._folder)):
            for row in _rows(path):
                self._note(row)
            if self._size >= 0:
                return

    def _note(self, row: Row) -> None:
        if "note" in row:
            self._size = max(self._size or 0, row["size"])
        else:
            self._signed[row["size"], row["key"], row["time_s"]] = row["received_at"]

    def _fresh(self) -> Sequence[bytes]:
        since = max(self._signed.values(), default=None)
        cosignatures = select(LogCosignature).order_by(LogCosignature.received_at, LogCosignature.size).limit(_AT_ONCE)
        if since is not None:
            self._signed = {key: at for key, at in self._signed.items() if at >= since - _LATE}
            cosignatures = cosignatures.where(LogCosignature.received_at >= since - _LATE).limit(None)
        checkpoints = select(LogCheckpoint).where(LogCheckpoint.size > self._size).order_by(LogCheckpoint.size)
        with self._database.read() as tx:
            rows: list[dict[str, Any]] = [
                {"size": row.size, "note": row.note, "issued_at": row.issued_at}
                for row in tx.scalars(checkpoints.limit(_AT_ONCE))
            ]
            rows += [
                {
                    "size": row.size,
                    "key": row.key,
                    "time_s": row.time_s,
                    "line": row.line,
                    "received_at": row.received_at,
                }
                for row in tx.scalars(cosignatures)
                if (row.size, row.key, row.time_s) not in self._signed
            ]
        for row in rows:
            self._note(row)
        return [_line(row) for row in rows]

    def _append(self, lines: Sequence[bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = _files(self._folder)
        path = there[-1] if there else self._folder / _name(1)
        if path.exists() and path.stat().st_size >= _MOST_FILE_BYTES:
            path = self._folder / _name(int(path.stem) + 1)
        is_new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size_bytes = os.fstat(fd).st_size
            is_torn = size_bytes > 0 and os.pread(fd, 1, size_bytes - 1) != b"\n"
            data = b"".join([b"\n"] * is_torn + list(lines))
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        if is_new:
            fsync_directory(self._folder)
            fsync_directory(self._folder.parent)


def cut_notes(folder: Path, size: int) -> int:
    """Take out what is kept of checkpoints beyond a size; return how many lines. Nobody else may be writing.

    For a log that goes on from an earlier state because what came after is lost.
    """
    gone = 0
    for path in _files(folder):
        rows = list(_rows(path))
        kept = [row for row in rows if row["size"] <= size]
        if len(kept) < len(rows):
            gone += len(rows) - len(kept)
            replace_durably(path, b"".join(map(_line, kept)), mode=PRIVATE)
    return gone


def kept_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows that stand in the files, in their order; lines that cannot be read are left out.

    A row has `size` with `note` and `issued_at`, or with `key`, `time_s`, `line` and `received_at`.
    """
    for path in _files(folder):
        yield from _rows(path)


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in file:
            try:
                told = parse_canonical(line.removesuffix(b"\n"))
                names = {"size", "note", "issued_at"} if "note" in told else {
                    "size", "key", "time_s", "line", "received_at",
                }  # fmt: skip
                if set(told) == names:
                    yield {
                        name: parse_instant(value) if name.endswith("_at") else value for name, value in told.items()
                    }
            except (InvalidInput, TypeError):
                continue


def _files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit()) if folder.is_dir() else []


def _name(number: int) -> str:
    return f"{number:08}.jsonl"


def _line(row: Row) -> bytes:
    return canonical_json({name: _plain(value) for name, value in row.items()}) + b"\n"


def _plain(value: Any) -> Any:
    return format_instant(value) if isinstance(value, Instant) else value
