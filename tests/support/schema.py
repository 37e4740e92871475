"""Databases that have the newest schema already: tests copy one instead of running every migration again."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.db.database import Database
from archive.db.migrate import migrate


def make(url: str) -> None:
    """Bring a database to the newest schema and leave it."""
    database = Database(url)
    try:
        migrate(database)
    finally:
        database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of the newest schema, alone."""
    make(database_url)
    made = Database(database_url)
    yield made
    made.close()


def copy_sqlite(file: Path) -> None:
    """Make a SQLite database of the newest schema where there is none yet, as `liuhen init` would."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            copy.write(_sqlite())


@functools.cache
def _sqlite() -> bytes:
    folder = Path(tempfile.mkdtemp(prefix="liuhen-schema-"))
    try:
        make(f"sqlite+pysqlite:///{folder / 'schema.sqlite3'}")
        return (folder / "schema.sqlite3").read_bytes()
    finally:
        shutil.rmtree(folder)
