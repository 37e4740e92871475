"""The processes of the archive: those of `liuhen serve`, and those of a second host, which are started again when dead.

The second host has a worker, and a sequencer and a relay that stand by, as in `docker/compose.scaled.yaml`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import text

from archive.db.database import Database
from tests.campaign.load.stage import Stage
from tests.campaign.load.watching import family
from tests.support.server import ROOT

ROLES: Final = ("web", "worker", "sequencer", "relay")
_STANDING_BY: Final = ("worker", "sequencer", "relay")
_PAUSE_S: Final = 0.5
_LOCKS: Final = {"sequencer": 0x6C69_7568_656E, "relay": 0x6C69_7568_7265}
_HOLDER: Final = text(
    "SELECT a.client_port FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = :high AND l.objid::bigint = :low"
)


class SecondHost(threading.Thread):
    """Starts its processes, and starts them again when they die."""

    def __init__(self, home: Path, environment: Mapping[str, str], log: Path) -> None:
        """Take the home that both hosts see, and the variables that are this host's own."""
        super().__init__(daemon=True)
        self._home, self._environment, self._log = home, environment, log
        self._done = threading.Event()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Watch, until ended."""
        while not self._done.wait(_PAUSE_S):
            for role in _STANDING_BY:
                process = self.processes.get(role)
                if process is None or process.poll() is not None:
                    self.processes[role] = self._started(role)

    def _started(self, role: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "archive.cli", role, "--home", str(self._home)],
                cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def end(self) -> None:
        """End all of them at once."""
        self._done.set()
        if self.is_alive():
            self.join()
        for process in self.processes.values():
            for each in list(family(process.pid)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


class Hosts:
    """Both hosts, looked at from outside."""

    def __init__(self, stage: Stage, second: SecondHost, database: Database) -> None:
        """Take a stage that has ways, the second host, and the database past the ways."""
        self._stage, self._second, self._database = stage, second, database

    def processes(self, role: str) -> list[psutil.Process]:
        """Return the living processes of a role."""
        return [process for process in self._all() if _role(process) == role]

    def kill(self, process: psutil.Process) -> None:
        """Kill one with -9."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    def holder(self, role: str) -> psutil.Process | None:
        """Return the process that holds the lock of this role, found by its connection to the database."""
        key = _LOCKS[role]
        with self._database.read() as tx:
            far = tx.execute(_HOLDER, {"high": key >> 32, "low": key & 0xFFFF_FFFF}).scalar()
        if far is None:
            return None
        near = next((port for way in self._stage.ways["database"] if (port := way.near_port(far))), None)
        for process in self.processes(role):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if any(found.laddr and found.laddr.port == near for found in process.net_connections("tcp")):
                    return process
        return None

    def crash_first(self) -> None:
        """Kill everything of the first host at once, as a power cut does, and start it again."""
        self._stage.server.crash()
        self._stage.server.start()

    def is_up(self) -> bool:
        """Whether every role has its processes."""
        return all(len(self.processes(role)) >= 2 for role in ROLES)

    def wait_up(self, *, within_s: float) -> bool:
        """Wait until every role has its processes; return whether it came to that."""
        ends = time.monotonic() + within_s
        while not self.is_up():
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        return True

    def _all(self) -> Iterator[psutil.Process]:
        supervisor = self._stage.server.pids().get("supervisor")
        roots = [process.pid for process in self._second.processes.values()]
        for root in [*roots, *([] if supervisor is None else [supervisor])]:
            yield from family(root)


def _role(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        words = process.cmdline()[:5]
        if "archive.cli" in words and process.status() != psutil.STATUS_ZOMBIE:
            return next((role for role in ROLES if role in words), "")
    return ""


def freeze(process: psutil.Process, for_s: float) -> None:
    """Stop a process for a while."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(for_s)
        os.kill(process.pid, signal.SIGCONT)
