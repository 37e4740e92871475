"""A PostgreSQL cluster of our own: thrown away after a test run, or lasting for `./dev services`.

The server refuses to run as root, so as root it runs as the user `postgres`. Passwords are made for each cluster:
whoever else is on the machine cannot get in through the loopback port.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.support.rabbitmq import Rabbit
from tests.support.redis import Redis
from tests.support.weed import end_weed

_SOCKET_PATH_MOST_BYTES = 100
_START_TIMEOUT_S = 120
_THROW_AWAY = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_wal_size=256MB -c shared_buffers=64MB "
    "-c jit=off"  # tables without statistics look large: each query would be compiled
)
_LASTING = "-c fsync=on -c shared_buffers=128MB"


class PostgresMissing(Exception):
    """The server programs of PostgreSQL are not on this machine."""


class PostgresFailed(Exception):
    """A server program did not do what it was asked for."""


def server_programs() -> Path:
    """Return the folder of `initdb`, `pg_ctl` and `postgres`, the newest. Raises: PostgresMissing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise PostgresMissing("PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)")


class Cluster:
    """One cluster in one folder; `durable` decides whether it may lose data in a crash of the machine."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder
        self.durable = durable

    @property
    def is_running(self) -> bool:
        """Whether the server of this folder is up."""
        return (self.folder / "data" / "PG_VERSION").exists() and self._pg_ctl("status").returncode == 0

    @property
    def url(self) -> str:
        """The SQLAlchemy address of the database `postgres`, as superuser."""
        password = (self.folder / "password").read_text("ascii").strip()
        port = (self.folder / "data" / "postmaster.pid").read_text("ascii").splitlines()[3].strip()
        return f"postgresql+psycopg://postgres:{password}@127.0.0.1:{port}/postgres"

    def start(self) -> str:
        """Make the cluster if there is none, start it on a free port of the loopback, return its address."""
        if self.is_running:
            return self.url
        self.folder.mkdir(parents=True, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), _as_server_user().get("user")}:
            raise PostgresFailed(f"{self.folder} belongs to somebody else")
        self._own(self.folder)
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._make()
        options = f"-c listen_addresses=127.0.0.1 -c max_connections=200 {_LASTING if self.durable else _THROW_AWAY}"
        sockets = self.folder if len(os.fsencode(self.folder)) <= _SOCKET_PATH_MOST_BYTES - 20 else ""
        kept = self.folder / "port"
        for attempt in range(5):
            # Another program may take the port between the look and the start: then the next one is tried.
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if self.durable and attempt == 0 and kept.exists():
                port = int(kept.read_text("ascii"))  # the settings of an archive may name it
            started = self._pg_ctl(
                "start", "-w", "-t", str(_START_TIMEOUT_S), "-l", str(self.folder / "log"),
                "-o", f"-p {port} {options} -c unix_socket_directories='{sockets}'",
            )  # fmt: skip
            if started.returncode == 0:
                kept.write_text(str(port), "ascii")
                return self.url
        log = self.folder / "log"
        raise PostgresFailed(f"PostgreSQL did not start:\n{log.read_text(errors='replace') if log.exists() else ''}")

    def stop(self) -> None:
        """Stop the server if it runs."""
        if self.is_running:
            self._pg_ctl("stop", "-w", "-m", "fast" if self.durable else "immediate")

    def kill(self) -> None:
        """Kill the server and all that it has started with -9; a durable one loses nothing that was committed."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = int((self.folder / "data" / "postmaster.pid").read_text("ascii").splitlines()[0])
            server = psutil.Process(pid)
            if str(self.folder / "data") not in server.cmdline():
                return  # the number is another program's by now
            everyone = [server, *server.children(recursive=True)]
            for process in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(everyone, timeout=10)

    def destroy(self) -> None:
        """Stop the server and delete the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self) -> None:
        password = self.folder / "password"
        password.write_text(secrets.token_hex(16), "ascii")
        password.chmod(0o600)
        self._own(password)
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        made = self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "postgres", "--pwfile", str(password),
            # Over the loopback, and thousands of times in a run of tests, where each round of SCRAM counts.
            "--auth", "scram-sha-256" if self.durable else "password", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions",
            *(() if self.durable else ("--no-sync",)),
        )  # fmt: skip
        if made.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{made.stdout}")

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self.folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # The output goes to a file: the server would keep a pipe open for as long as it runs.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [server_programs() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(self.folder)},
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server in order
                check=False,
                **_as_server_user(),
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    def _own(self, path: Path) -> None:
        if user := _as_server_user():
            os.chown(path, user["user"], user["group"])


def create_database(server_url: str, *, template: str = "template0", name: str | None = None) -> str:
    """Make a fresh database, empty or a copy of `template`, and return its address."""
    name = name or f"t_{uuid.uuid4().hex}"
    with _connected(server_url) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' LOCALE 'C.UTF-8' STRATEGY file_copy"
        )
    return f"{server_url.rsplit('/', 1)[0]}/{name}"


def drop_database(server_url: str, url: str) -> None:
    """Drop a database that `create_database` made, whoever is still connected."""
    with _connected(server_url) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")


def server_of(url: str) -> str:
    """Return the address of the server that holds the database of this one, as superuser."""
    return f"{url.rsplit('/', 1)[0]}/postgres"


def name_of(url: str) -> str:
    """Return the name of the database at an address."""
    return url.rsplit("/", 1)[1]


def folder_for_server(wanted: Path) -> Path:
    """Return `wanted`, or a folder under /var/tmp with a name of its own where the server's user cannot reach it."""
    user = _as_server_user()
    parent = next(path for path in wanted.parents if path.exists())
    if not user or subprocess.run(["test", "-x", parent], check=False, **user).returncode == 0:
        return wanted
    return Path("/var/tmp") / f"liuhen-{uuid.uuid5(uuid.NAMESPACE_URL, str(wanted)).hex[:12]}"


def run_folder() -> Path:
    """Make the folder of this test run, named by its process, and clear away what dead runs left."""
    base = Path(tempfile.gettempdir())
    if folder_for_server(base / "run") != base / "run":
        base = Path("/var/tmp")
    for left in base.glob("liuhen-test-*"):
        with contextlib.suppress(OSError, ValueError):
            if left.stat().st_uid == os.geteuid() and not _is_alive(int(left.name.split("-")[2])):
                end_run(left)
    folder = Path(tempfile.mkdtemp(prefix=f"liuhen-test-{os.getpid()}-", dir=base))
    folder.chmod(0o711)
    return folder


def end_run(folder: Path) -> None:
    """Stop the clusters, brokers and stores of a test run, if it started any, and delete the run's folder."""
    end_weed(folder)
    for data in folder.glob("*/data"):
        if not (data / "PG_VERSION").exists():
            continue
        Cluster(data.parent, durable=False).destroy()
    for broker in (Redis(folder / "redis", durable=False), Rabbit(folder / "rabbitmq")):
        if broker.folder.exists():
            broker.destroy()
    shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _as_server_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection
