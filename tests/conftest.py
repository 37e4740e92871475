"""What every test gets: databases, a closed network, hypothesis settings, and an environment without surprises."""

import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import hypothesis
import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import DirectoryBasedExampleDatabase
from sqlalchemy import create_engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

pytest.register_assert_rewrite("tests.support")  # before anything of it is imported

from archive.access import passwords  # noqa: E402
from archive.db import database  # noqa: E402
from tests.support import deployment, postgres, schema, selection  # noqa: E402
from tests.support.rabbitmq import Rabbit, RabbitMissing  # noqa: E402
from tests.support.redis import Redis, RedisMissing  # noqa: E402

_ROOT = Path(__file__).parent.parent
_IN_CI = os.environ.get("CI") == "true"
_RUN_FOLDER = "LIUHEN_TEST_RUN_FOLDER"
_HYPOTHESIS_HOME = _ROOT / ".dev" / "hypothesis"
_Server = TypeVar("_Server")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run, before its workers start: they inherit the environment."""
    for name in [name for name in os.environ if name.startswith("LIUHEN_") and not name.startswith("LIUHEN_TEST_")]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A run in the background of a script has interrupts ignored, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    set_hypothesis_home_dir(_HYPOTHESIS_HOME)
    hypothesis.settings.register_profile(
        "liuhen",
        deadline=None,
        max_examples=60,
        derandomize=_IN_CI,
        database=None if _IN_CI else DirectoryBasedExampleDatabase(_HYPOTHESIS_HOME / "examples"),
    )
    hypothesis.settings.load_profile("liuhen")
    if not hasattr(config, "workerinput"):
        os.environ[_RUN_FOLDER] = str(postgres.run_folder())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started, after its last worker has ended."""
    if not hasattr(config, "workerinput") and (folder := os.environ.pop(_RUN_FOLDER, None)):
        postgres.end_run(Path(folder))


def pytest_sessionfinish() -> None:
    """Leave no database behind on a server that is not the run's own."""
    if os.environ.get("LIUHEN_TEST_POSTGRES"):
        deployment.drop_databases()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Leave out what the deployment has no place for, and have unit tests last.

    Their files take the least: no process waits long for another at the end of a run.
    """
    selection.mark_second_runs(items)  # before those with a mark are chosen
    yield
    selection.leave_out(config, items)
    items.sort(key=lambda item: item.path.is_relative_to(_ROOT / "tests" / "unit"))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """Address of a PostgreSQL server as superuser: LIUHEN_TEST_POSTGRES, or one for this run, shared by its workers."""
    return _there(deployment.postgres_of_run, postgres.PostgresMissing)


@pytest.fixture(scope="session")
def redis_server() -> Redis:
    """A Redis for this run, shared by its workers: whoever uses it keeps to queues of their own."""
    return _there(deployment.redis_of_run, RedisMissing)


@pytest.fixture(scope="session")
def rabbit_server() -> Rabbit:
    """A RabbitMQ for this run, as `redis_server`."""
    return _there(deployment.rabbit_of_run, RabbitMissing)


def _there(start: Callable[[], _Server], missing: type[Exception]) -> _Server:
    try:
        return start()
    except missing as exc:
        if _IN_CI:
            pytest.fail(str(exc))
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """Name of a database with the newest schema and nothing in it."""
    del postgres_server  # it is there
    return deployment.postgres_template()


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """SQLAlchemy address of a PostgreSQL database of this test's own: the newest schema, or nothing where it says so."""
    is_empty = request.node.get_closest_marker("empty_database") is not None
    template = "template0" if is_empty else request.getfixturevalue("postgres_template")
    url = postgres.create_database(postgres_server, template=template)
    yield url
    postgres.drop_database(postgres_server, url)


@pytest.fixture(params=deployment.database_params())
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy address of a database as `postgres_url` has it; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    file = tmp_path / "test.sqlite3"
    if request.node.get_closest_marker("empty_database") is None:
        schema.copy_sqlite(file)
    return f"sqlite+pysqlite:///{file}"


@pytest.fixture(autouse=True, scope="session")
def _closed_network() -> Iterator[None]:
    """Refuse connections that would leave this machine."""
    names = ("connect", "connect_ex", "sendto")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(original: Any) -> Any:
    def checked(self: socket.socket, *arguments: Any) -> Any:
        # The address is the last argument of each of the three calls.
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(arguments[-1][0]):
            raise PermissionError(f"A test may not reach {arguments[-1][0]}: only the loopback is open")
        return original(self, *arguments)

    return checked


def _is_loopback(host: str) -> bool:
    try:
        return host in {"localhost", ""} or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _passwords_cost_little() -> Iterator[None]:
    """Hash passwords quickly: tests make thousands. What a real one costs is asked of a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=256, parallelism=1))
        yield


@pytest.fixture(autouse=True, scope="session")
def _statements_are_compiled_once() -> Iterator[None]:
    """Compile each statement once for all databases of a kind: tests have one each, and would compile it each time."""
    compiled: LRUCache[Any, Any] = LRUCache(5000)
    with pytest.MonkeyPatch.context() as patch:
        # What is compiled is kept by dialect: those of two databases differ in nothing but their identity.
        patch.setattr(DefaultDialect, "__hash__", lambda self: hash(type(self)))
        patch.setattr(DefaultDialect, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(database, "create_engine", partial(create_engine, execution_options={"compiled_cache": compiled}))
        yield


@pytest.fixture(autouse=True, scope="session")
def _authorities_are_read_once() -> Iterator[None]:
    """Read the world's certificate authorities once: every browser of a test would, and asks nobody but us."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a command that ran in this process set up: its log goes to a standard error that is gone later."""
    yield
    structlog.reset_defaults()
