"""Raw reading: rows as plain values, files as digests. No domain code."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, Protocol, Self

from sqlalchemy import Connection, text

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import parse_instant

_BLOCK_BYTES = 1 << 22
_ENTRIES = text("SELECT e.id, e.body, d.detail FROM log_entry e LEFT JOIN log_detail d ON d.entry_id = e.id")


class Place(Protocol):
    """A file or folder of a store: of `pathlib.Path`, which is one, what the checks need. Raises: OSError."""

    @property
    def name(self) -> str:
        """The last part."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part."""
        ...

    @property
    def parent(self) -> "Place":
        """The folder that it is in."""
        ...

    def __truediv__(self, other: str | PurePath, /) -> "Place":
        """Return what lies below."""
        ...

    def with_name(self, name: str, /) -> "Place":
        """Return what lies beside it."""
        ...

    def exists(self) -> bool:
        """Whether something is there."""
        ...

    def is_file(self) -> bool:
        """Whether a file is there."""
        ...

    def is_dir(self) -> bool:
        """Whether a folder is there."""
        ...

    def is_symlink(self) -> bool:
        """Whether a link is there."""
        ...

    def iterdir(self) -> "Iterator[Place]":
        """Yield what lies in the folder."""
        ...

    def read_bytes(self) -> bytes:
        """Return the file's bytes."""
        ...

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """Open the file for reading."""
        ...


@dataclass(frozen=True, slots=True)
class MediumLock:
    """How the medium says that a file is locked: until when, None for not, and whether it is under legal hold."""

    until: datetime | None
    is_held: bool

    def lasts(self, at: datetime) -> bool:
        """Return whether nobody can delete the file at a moment."""
        return self.is_held or (self.until is not None and self.until > at)


LockOf = Callable[[Place], MediumLock]
"""Asks the medium how a file is locked. Raises: OSError."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where what is checked lies.

    `lock_of` asks the medium of originals for locks, None where nothing is to be locked; `locks_as_it_comes`: nothing
    is ever there without one. `now` is what the archive's clock shows. `covered` tells, after all was read, the files
    that something was laid over: what a reader who asks for the name alone would get instead. `know_mended` is told,
    before anything is read, which version of a file of the store was put to mend it.
    """

    store: Place
    renditions: Place
    quarantine: Place
    drafts: Place
    journal: Place
    journal_keys: Place
    staging: Path
    lock_of: LockOf | None = None
    locks_as_it_comes: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    covered: Callable[[], Collection[str]] = tuple
    know_mended: Callable[[Mapping[str, str]], None] = lambda _: None

    @classmethod
    def of_home(cls, home: Path) -> Self:
        """Return the folders of a home, which have no locks."""
        return cls(
            store=home / "store",
            renditions=home / "renditions",
            quarantine=home / "quarantine",
            drafts=home / "drafts",
            journal=home / "journal",
            journal_keys=home / "journal-keys",
            staging=home / "staging",
        )


def rows(connection: Connection, sql: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Yield rows of a statement, without holding them all."""
    with connection.execute(text(sql), parameters, execution_options={"yield_per": 1000}) as result:
        for row in result.mappings():
            yield dict(row)


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry as it was read: its fields, and what opens its commitment where that was not erased."""

    id: str
    fields: Mapping[str, Any]
    detail: Mapping[str, Any] | None

    @property
    def type(self) -> str:
        """The type of the entry."""
        return str(self.fields.get("type"))

    def told(self, *path: str) -> Any:
        """Return a field by its path, None where there is none."""
        value: Any = self.fields
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def entries(connection: Connection, types: Collection[str]) -> Iterator[Entry]:
    """Yield the entries of these types that can be read; what cannot is told by the check of the log itself."""
    # Each check reads the whole log: what is of other types is not taken apart.
    wanted = re.compile("|".join(re.escape(f'"{kind}"') for kind in sorted(types)).encode())
    with connection.execute(_ENTRIES, execution_options={"yield_per": 1000}) as result:
        for entry_id, body, detail in result:
            fields = read_object(bytes(body)) if wanted.search(body) else None
            if fields is not None and str(fields.get("type")) in types:
                yield Entry(as_uuid(entry_id), fields, None if detail is None else read_object(bytes(detail)))


def read_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `data`, None where it holds none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def as_uuid(value: Any) -> str:
    """Return the canonical text of an id, however the database keeps it."""
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))


def as_instant(value: Any) -> datetime:
    """Return an instant, however the database keeps it. Raises: ValueError."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def is_at(value: Any, entry: Entry) -> bool:
    """Return whether an instant that the database keeps is that of an entry."""
    try:
        return as_instant(value) == parse_instant(str(entry.told("t")))
    except (InvalidInput, ValueError):
        return False


def said_by(changes: Sequence[Entry]) -> dict[str, Any] | None:
    """Return what several entries of one thing say in the end, None where the detail of one was erased."""
    said: dict[str, Any] = {}
    for entry in changes:
        if entry.detail is None:
            return None
        said |= entry.detail
    return said


def file_digests(path: Place) -> tuple[int, str, str]:
    """Return size, sha256 and sha512 of a file, read anew."""
    sha256, sha512, size = hashlib.sha256(), hashlib.sha512(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            sha512.update(block)
            size += len(block)
    return size, sha256.hexdigest(), sha512.hexdigest()


def files_below(folder: Place) -> Iterator[Place]:
    """Yield every file below a folder, sorted within each folder."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=str):
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path)
        else:
            yield path


def is_plain_file(path: Place) -> bool:
    """Return whether this is a regular file and no link to one."""
    return path.is_file() and not path.is_symlink()
