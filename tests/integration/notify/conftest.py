from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support import deployment, postgres
from tests.support.archive_home import ArchiveHome, EnrolledDock, SteppedClock, make_home
from tests.support.receiver import Receiver, receiving


@pytest.fixture(scope="module", params=deployment.database_params())
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveHome]:
    """One archive for all tests of a module, which may send webhooks to this machine."""
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])
    folder: Path = tmp_path_factory.mktemp("archive")
    url, server = f"sqlite+pysqlite:///{folder / 'test.sqlite3'}", None
    if request.param == "postgres":
        server = str(request.getfixturevalue("postgres_server"))
        url = postgres.create_database(server)
    made = make_home(folder, url, SteppedClock(), webhook_networks=("127.0.0.0/8",))
    yield made
    made.services.close()
    if server is not None:
        postgres.drop_database(server, url)


@pytest.fixture(scope="module")
def dock(home: ArchiveHome) -> EnrolledDock:
    return home.dock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
