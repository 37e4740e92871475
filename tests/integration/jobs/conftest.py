from collections.abc import Iterator

import pytest

from archive.db.database import Database
from archive.db.migrate import migrate
from tests.support.archive_home import clock, deliver, dock, home

__all__ = ["clock", "deliver", "dock", "home"]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made)
    yield made
    made.close()
