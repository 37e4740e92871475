"""Which deployment a run of the suites is on: the one place that reads it, and what archives of tests are given for it.

    LIUHEN_TEST_DATABASE=sqlite|postgres   one of the two instead of both; a test that asks for neither gets this one
    LIUHEN_TEST_STORE=files|s3             where archives keep what is large
    LIUHEN_TEST_BROKER=redis|rabbitmq      what tells the processes of real servers of their jobs

Without them tests with `database_url` run on both databases, and everything else on SQLite, with files and no broker.
`./dev campaign scale` runs the suites on the four deployments that we promise.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from archive.settings import Settings
from tests.support import postgres, schema
from tests.support.rabbitmq import Rabbit
from tests.support.redis import Redis
from tests.support.weed import Version, Weed, put_versions, shared_weed, versions
from tests.support.weed_path import WeedPath

DATABASES = ("sqlite", "postgres")
_IN_BUCKETS = ("store", "quarantine", "drafts", "journal")
_IN_WORK_BUCKET = ("renditions",)
_ADDED = "# of this run of the tests\n"
STORES = (*_IN_BUCKETS, *_IN_WORK_BUCKET)
STORE_SETTINGS = (
    "store", "store_folder", "s3_endpoint", "s3_region", "s3_bucket", "s3_work_bucket", "s3_prefix", "s3_credentials_file",
    "s3_lists_by_folder",
)  # fmt: skip


_made: list[str] = []


class UnknownDeployment(Exception):
    """A variable names what there is not."""


def run_folder() -> Path:
    """Return the folder of this test run, where its servers live."""
    return Path(os.environ["LIUHEN_TEST_RUN_FOLDER"])


# ---- what was asked for --------------------------------------------------------------------------------------------


def databases() -> tuple[str, ...]:
    """Return the databases that tests of `database_url` run on."""
    chosen = _chosen("LIUHEN_TEST_DATABASE", DATABASES)
    return (chosen,) if chosen else DATABASES


def database_params() -> list[Any]:
    """Return the parameters of a fixture that is made once on each of them."""
    return [pytest.param(each, marks=[pytest.mark.service] * (each == "postgres")) for each in databases()]


def is_on_postgres() -> bool:
    """Whether archives that a test does not give a database to are on PostgreSQL."""
    return databases() == ("postgres",)


def is_in_buckets() -> bool:
    """Whether every archive of this run keeps what is large in buckets."""
    return _chosen("LIUHEN_TEST_STORE", ("files", "s3")) == "s3"


def is_brokered() -> bool:
    """Whether the processes of servers are told of their jobs by a broker."""
    return bool(_chosen("LIUHEN_TEST_BROKER", ("redis", "rabbitmq")))


def broker() -> Redis | Rabbit | None:
    """Return the broker of this run, started by the first who asks; None where there is to be none.

    Raises: RedisMissing, RabbitMissing.
    """
    chosen = _chosen("LIUHEN_TEST_BROKER", ("redis", "rabbitmq"))
    return {"redis": redis_of_run, "rabbitmq": rabbit_of_run}[chosen]() if chosen else None


def _chosen(name: str, known: tuple[str, ...]) -> str:
    chosen = os.environ.get(name, "")
    if chosen and chosen not in known:
        raise UnknownDeployment(f"{name} is {chosen}, and knows {', '.join(known)}")
    return chosen


# ---- the servers of a run ------------------------------------------------------------------------------------------


def postgres_of_run() -> str:
    """Return the address of the run's PostgreSQL as superuser: LIUHEN_TEST_POSTGRES, or one that is started.

    Raises: PostgresMissing.
    """
    if given := os.environ.get("LIUHEN_TEST_POSTGRES"):
        return given
    return _started("lock", postgres.Cluster(run_folder() / "postgres", durable=False).start)


def redis_of_run() -> Redis:
    """Return the run's Redis: whoever uses it keeps to queues of their own. Raises: RedisMissing."""
    server = Redis(run_folder() / "redis", durable=False)
    _started("redis.lock", server.start)
    return server


def rabbit_of_run() -> Rabbit:
    """Return the run's RabbitMQ, as `redis_of_run`. Raises: RabbitMissing."""
    server = Rabbit(run_folder() / "rabbitmq")
    _started("rabbitmq.lock", server.start)
    return server


def weed_of_run() -> Weed:
    """Return the run's S3 server."""
    return shared_weed(run_folder())


def _started(lock_name: str, start: Callable[[], str]) -> str:
    with (run_folder() / lock_name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return start()


# ---- what an archive is given --------------------------------------------------------------------------------------


@cache
def postgres_template() -> str:
    """Return the name of a database with the newest schema and nothing in it, this process's own."""
    url = postgres.create_database(postgres_of_run())
    _made.append(url)
    schema.make(url)
    return postgres.name_of(url)


def drop_databases() -> None:
    """Drop what this process made on PostgreSQL and nobody dropped: the server may outlive the run."""
    for url in _made:
        postgres.drop_database(postgres_of_run(), url)
    _made.clear()


def new_database(file: Path) -> str:
    """Return the address of a new database with the newest schema: this file, or one on the run's PostgreSQL."""
    if is_on_postgres():
        _made.append(postgres.create_database(postgres_of_run(), template=postgres_template()))
        return _made[-1]
    schema.copy_sqlite(file)
    return f"sqlite+pysqlite:///{file}"


def store_settings(base: Path) -> dict[str, Any]:
    """Return the settings that say where an archive under `base` keeps what is large: in buckets, a folder of its own."""
    if not is_in_buckets():
        return {}
    return {**weed_of_run().settings(base, of_all=True), "s3_prefix": secrets.token_hex(8)}


def archive_settings(base: Path, *, given: Collection[str] = ()) -> dict[str, Any]:
    """Return the settings of a new archive under `base`: its database, and its stores, unless it is given its own."""
    is_made = is_on_postgres() and "database_url" not in given
    database = {"database_url": new_database(base / "unused")} if is_made else {}
    return {**database, **({} if "store" in given else store_settings(base))}


def write_down(home: Path, settings: Mapping[str, Any]) -> None:
    """Put settings into the home's own file, where every command on that home finds them; what stood there goes."""
    if settings:
        file = home / "liuhen.toml"
        own = file.read_text("utf-8").partition(_ADDED)[0]
        values = {name: value if isinstance(value, bool) else str(value) for name, value in settings.items()}
        lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
        file.write_text(own + _ADDED + "".join(lines), "utf-8")


def s3_settings(base: Path) -> dict[str, Any]:
    """Return the settings of an archive in two new buckets on this run's server."""
    return weed_of_run().settings(base)


def copied_store(settings: Settings, base: Path) -> dict[str, Any]:
    """Return the settings of an archive under `base` whose stores hold what those of another do, every version.

    The other is a mould: nothing is put there any more.
    """
    if settings.store == "files":
        return {}
    given = store_settings(base)
    for bucket in (settings.s3_bucket, settings.s3_work_bucket):
        put_versions(weed_of_run(), bucket, given["s3_prefix"], _of_mould(bucket, settings.s3_prefix))
    return given


@lru_cache(maxsize=32)
def _of_mould(bucket: str, folder: str) -> tuple[Version, ...]:
    return versions(weed_of_run(), bucket, folder)


def s3_environment(base: Path) -> dict[str, str]:
    """Return the variables that put the archive of a process into two new buckets on this run's server."""
    return as_variables(s3_settings(base))


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables by which a process finds the archive of these settings."""
    told = as_variables({name: value for name in STORE_SETTINGS if (value := getattr(settings, name))})
    found = {"LIUHEN_HOME": str(settings.home), "LIUHEN_DATABASE_URL": settings.effective_database_url}
    return {**told, **found, "LIUHEN_TERMS": settings.terms}


def as_variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as variables of an environment."""
    return {f"LIUHEN_{name.upper()}": str(value) for name, value in settings.items()}


def server_settings(folder: Path, *, given: Collection[str] = ()) -> dict[str, Any]:
    """Return the settings that put an archive of processes in `folder` onto this deployment, the same each time.

    Database and stores are new the first time; of what is `given` already nothing is made.
    """
    kept = folder / "deployment.json"
    if kept.exists():
        return dict(json.loads(kept.read_text("utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    told = archive_settings(folder, given=given)
    if "broker_url" not in given:
        told |= broker_settings()
    told = {name: value if isinstance(value, bool) else str(value) for name, value in told.items()}
    kept.write_text(json.dumps(told), "utf-8")
    return told


def broker_settings() -> dict[str, Any]:
    """Return the settings by which processes find the broker of this run; nothing where there is none."""
    server = broker()
    return {} if server is None else {"broker_url": server.url, "broker_password_file": server.password_file}


# ---- the medium ----------------------------------------------------------------------------------------------------


class RawStores:
    """The stores of an archive past the archive: `raw / "store"` is its folder, or what reads and writes as one."""

    def __init__(self, home: Path, *, bucket: str = "", work_bucket: str = "", prefix: str = "") -> None:
        """Name the home, and the buckets where there are any."""
        self._home, self._buckets = (
            home,
            dict.fromkeys(_IN_BUCKETS, bucket) | dict.fromkeys(_IN_WORK_BUCKET, work_bucket),
        )
        self._prefix = prefix

    @classmethod
    def of(cls, settings: Settings) -> "RawStores":
        """Return those of an archive with these settings."""
        folder = settings.store_folder or settings.home
        return cls(folder, bucket=settings.s3_bucket, work_bucket=settings.s3_work_bucket, prefix=settings.s3_prefix)

    def __truediv__(self, name: str) -> Path:
        bucket = self._buckets[name]
        if not bucket:
            return self._home / name
        # Of a path it has what tests ask for, and says so where it has not.
        return cast("Path", WeedPath(weed_of_run().filer, PurePosixPath(bucket) / self._prefix / name))


def remove_tree(folder: Path) -> None:
    """Take a folder of a store away with all that it holds, past the archive."""
    if isinstance(folder, WeedPath):
        folder.remove_all()
    else:
        shutil.rmtree(folder)


def on_this_machine(folder: Path, to: Path) -> Path:
    """Return a folder of a store as one that other programs can read: itself, or a copy of what lies in buckets."""
    if not isinstance(folder, WeedPath):
        return folder
    for path in folder.rglob("*"):
        if path.is_file():
            copy = to / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return to


def put_tree(source: Path, folder: Path, *, locked_until: datetime, is_replaced: Callable[[str], bool]) -> None:
    """Lay files into a folder of a store, past the archive; in a bucket what is put once is locked."""
    if not isinstance(folder, WeedPath):
        shutil.copytree(source, folder)
        return
    bucket, *above = folder.parts
    for path in (path for path in source.rglob("*") if path.is_file()):
        key = path.relative_to(source).as_posix()
        lock = {
            "ObjectLockMode": "COMPLIANCE",
            "ObjectLockRetainUntilDate": locked_until,
            "ChecksumAlgorithm": "SHA256",
        }
        weed_of_run().client().put_object(
            Bucket=bucket, Key="/".join((*above, key)), Body=path.read_bytes(), **({} if is_replaced(key) else lock)
        )
