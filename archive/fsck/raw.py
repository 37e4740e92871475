"""Raw reading: rows as plain values, files as digests. No domain code."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

_BLOCK_BYTES = 1 << 22


def rows(connection: Connection, sql: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Yield rows of a statement, without holding them all."""
    with connection.execute(text(sql), parameters, execution_options={"yield_per": 1000}) as result:
        for row in result.mappings():
            yield dict(row)


def as_uuid(value: Any) -> str:
    """Return the canonical text of an id, however the database keeps it."""
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))


def file_digests(path: Path) -> tuple[int, str, str]:
    """Return size, sha256 and sha512 of a file, read anew."""
    sha256, sha512, size = hashlib.sha256(), hashlib.sha512(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            sha512.update(block)
            size += len(block)
    return size, sha256.hexdigest(), sha512.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted within each folder."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path)
        else:
            yield path
