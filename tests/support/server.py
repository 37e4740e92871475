"""A real `liuhen serve` for tests: in a home of its own, on a port of its own, with its processes by name.

    with serving(folder) as server:        # tls=, database_url=, environment={"LIUHEN_...": "..."}
        code = server.invite("dock")
        server.kill("web")                 # kill -9; the supervisor starts it again
        server.crash()                     # kill -9 of everything at once, as a power cut
        server.start()                     # on the same port

Making an archive costs a second, so each test run makes one and every SQLite server starts from a copy of it (own
folder, same keys).
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from archive.db.database import Database
from archive.fsck import Target, fsck
from archive.kernel.clock import SystemClock
from archive.kernel.findings import Outcome
from archive.ledger.entries import OPERATOR
from archive.settings import Settings
from archive.wiring.people_parts import api_key_hashes
from ingest.docks import invite_dock
from tests.support import deployment
from tests.support.deployment import RawStores

ROLES = ("web", "worker", "sequencer")
ROOT = Path(__file__).parents[2]
_RUN_FOLDER = "LIUHEN_TEST_RUN_FOLDER"
_START_TIMEOUT_S = 180.0
_TURN_S = 0.02
_SHOWN_LINES = 40


class ServerBroken(Exception):
    """The server did not come up, or did not end as it should."""


class Server:
    """One archive and its processes. `start` and `stop` may follow each other as often as wanted."""

    def __init__(
        self, folder: Path, *, tls: bool = False, database_url: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        """Name the folder; the archive is made in `folder/home` unless it is there."""
        self.home = folder / "home"
        self.log_file = folder / "serve.log"
        self.tls = tls
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIUHEN_")},
            "LIUHEN_LEASE_S": "3",
            "LIUHEN_TERMS": "off",
            **({"LIUHEN_DATABASE_URL": database_url} if database_url else {}),
            **(environment or {}),
        }
        given = {name.removeprefix("LIUHEN_").lower() for name in self.environment if name.startswith("LIUHEN_")}
        told = deployment.server_settings(folder, given=given)
        self.environment |= deployment.as_variables(told)
        self.roles = (*ROLES, *(["relay"] if "LIUHEN_BROKER_URL" in self.environment else []))
        self._database: Database | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        if not self.home.exists():
            is_plain = not {"LIUHEN_DATABASE_URL", "LIUHEN_STORE"} & set(self.environment)
            _make_home(self.home, self.environment, from_copy=is_plain)
            deployment.write_down(self.home, told)
        self.accounts: Mapping[str, str] = json.loads((self.home / "passwords.json").read_text("utf-8"))

    @property
    def address(self) -> str:
        """Where it listens: `http://127.0.0.1:port` or `https://...`."""
        return (self.home / "run" / "address").read_text("ascii").strip()

    @property
    def ca(self) -> Path:
        """The root certificate, for clients of a server with TLS."""
        return self.home / "ca" / "root.cert.pem"

    @property
    def settings(self) -> Settings:
        """What its processes are told of database and stores."""
        names = ("database_url", *deployment.STORE_SETTINGS)
        told = {name: self.environment.get(f"LIUHEN_{name.upper()}") for name in names}
        return Settings(home=self.home, **{name: value for name, value in told.items() if value is not None})  # type: ignore[arg-type]

    @property
    def raw(self) -> RawStores:
        """Its stores past the archive, as `ArchiveHome.raw`."""
        return RawStores.of(self.settings)

    @property
    def database(self) -> Database:
        """The archive's database, opened in this process beside the server's."""
        if self._database is None:
            self._database = Database(self.settings.effective_database_url)
            self._database.hash_with(api_key_hashes(self.home, self._database))
        return self._database

    def start(self) -> None:
        """Start the supervisor and wait until the web server answers; later starts take the port of the first."""
        (self.home / "run" / "address").unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "archive.cli", "serve", "--home", str(self.home),
                    "--port", str(self._port), "--tls" if self.tls else "--no-tls",
                ],
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.wait_ready()
        self._port = int(self.address.rpartition(":")[2])

    def wait_ready(self) -> None:
        """Wait until every process lives and the web server answers."""
        until = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            if len(self.pids()) == 1 + len(self.roles) and self._answers():
                return
            time.sleep(_TURN_S)
        raise ServerBroken(f"The server does not run:\n{self.last_lines()}")

    def stop(self) -> int:
        """End it in order; return its exit code."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.crash()
            raise ServerBroken(f"The server did not end:\n{self.last_lines()}") from None
        finally:
            self._process = None

    def pids(self) -> dict[str, int]:
        """Return the living processes by name: `supervisor`, `web`, `worker`, `sequencer`, and `relay` with a broker."""
        if self._process is None or self._process.poll() is not None:
            return {}
        found = {"supervisor": self._process.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    words = child.cmdline()[:5]
                    found |= {role: child.pid for role in self.roles if role in words}
        return found

    def kill(self, role: str) -> int:
        """Kill one process with -9, wait until it is gone, and return its number. The supervisor replaces it."""
        pid = self.pids()[role]
        os.kill(pid, signal.SIGKILL)
        if role == "supervisor" and self._process is not None:
            self._process.wait()
        while self.pids().get(role) == pid:
            time.sleep(_TURN_S)
        return pid

    def crash(self) -> None:
        """Kill everything with -9 at once, media tools too."""
        if self._process is None:
            return
        everyone = [self._process.pid]
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone += [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]
        for pid in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def invite(self, name: str = "Dock") -> str:
        """Return a one-time code for a dock."""
        return invite_dock(self.database, name=name, by=OPERATOR, at=SystemClock().now())

    def command(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run `liuhen ... --home <home>` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "archive.cli", *map(str, arguments), "--home", str(self.home)],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def log(self) -> list[dict[str, Any]]:
        """Return what the processes have logged: their JSON lines, in order."""
        lines = self.log_file.read_text("utf-8", "replace").splitlines() if self.log_file.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def last_lines(self, count: int = _SHOWN_LINES) -> str:
        """Return the end of the log as it is."""
        text = self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-count:])

    def assert_sound(self) -> None:
        """Hold stores, log and catalogue against each other, raw."""
        if "LIUHEN_STORE" in self.environment:
            told = self.command("fsck")
            assert told.returncode == 0, told.stdout
            return
        report = fsck(Target(self.home, self.database, self.ca))
        faults = [found for found in report.findings if found.outcome is not Outcome.VALID]
        assert report.outcome is Outcome.VALID, faults

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca)) if self.tls else None
        try:
            with urllib.request.urlopen(self.address + "/api/v1/health", timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """Run a server for a block or a fixture; what it logged last stands in the report of a test that fails."""
    server = Server(folder, **options)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.crash()
        print(f"--- the end of {server.log_file}\n{server.last_lines()}")


def _make_home(home: Path, environment: Mapping[str, str], *, from_copy: bool) -> None:
    folder = os.environ.get(_RUN_FOLDER)
    if not from_copy or folder is None:
        _init(home, environment)
        return
    plain = {name: value for name, value in environment.items() if not name.startswith("LIUHEN_")}
    mould = Path(folder) / "archive"
    # The workers of one run share the mould; the first of them makes it.
    with (Path(folder) / "archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mould.exists():
            _init(mould.with_name("archive.new"), plain)
            mould.with_name("archive.new").rename(mould)
    shutil.copytree(mould, home)


def _init(home: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archive.cli", "init", "--json", "--home", str(home)],
        cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ServerBroken(f"liuhen init failed: {done.stderr}")
    (home / "passwords.json").write_text(json.dumps(json.loads(done.stdout)["passwords"]), "utf-8")
