"""An archive on either database behind the real application, and other systems that talk to it with keys.

One archive serves all tests of a module: each test plays a system of its own, with numbers of its own.
"""

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog

from archive.access.api_keys import INTEGRATION_SCOPES, Scope
from archive.access.integrations import issue_integration_key
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from tests.support import deployment, postgres, seed
from tests.support.archive_home import ArchiveHome, EnrolledDock, make_home
from tests.support.case_system import CaseSystem

_names = itertools.count(1)


@pytest.fixture(scope="module", params=deployment.database_params())
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveHome]:
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])
    folder = tmp_path_factory.mktemp("archive")
    url = f"sqlite+pysqlite:///{folder / 'test.sqlite3'}"
    server = None
    if request.param == "postgres":
        server = str(request.getfixturevalue("postgres_server"))
        url = postgres.create_database(server)
    made = make_home(folder, url, api_requests_per_minute=100_000, webhook_networks=("127.0.0.0/8",))
    yield made
    made.services.close()
    if server is not None:
        postgres.drop_database(server, url)


@pytest.fixture(scope="module")
def dock(home: ArchiveHome) -> EnrolledDock:
    return home.dock()


@pytest.fixture(scope="module")
def base(home: ArchiveHome) -> Iterator[str]:
    """Where the archive is served."""
    with seed.listening(create_app(home.services)) as address:
        yield address


@pytest.fixture(scope="module")
def issue(home: ArchiveHome) -> Callable[..., str]:
    """`issue(name, *scopes)`: a key of a system, with every scope unless some are named."""

    def issued(name: str, *scopes: Scope, lifetime: timedelta = timedelta(days=30)) -> str:
        return issue_integration_key(
            home.database,
            name=name,
            title=None,
            scopes=scopes or INTEGRATION_SCOPES,
            lifetime=lifetime,
            by=OPERATOR,
            at=home.clock.now(),
        )

    return issued


@pytest.fixture
def connect(base: str, issue: Callable[..., str]) -> Iterator[Callable[..., CaseSystem]]:
    """`connect(name, *scopes)`: a system with a key of its own; without a name, one that nobody else plays."""
    clients: list[httpx.Client] = []

    def connected(name: str | None = None, *scopes: Scope, **given: Any) -> CaseSystem:
        name = name or f"cms-{next(_names)}"
        system = CaseSystem.at(base, name, issue(name, *scopes, **given))
        clients.append(system.client)
        return system

    yield connected
    for client in clients:
        client.close()


@pytest.fixture
def cms(connect: Callable[..., CaseSystem]) -> CaseSystem:
    """A case system."""
    return connect()
