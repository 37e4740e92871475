"""The service under the campaign: the real `liuhen serve`, its processes by name, and their deaths."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tests.campaign.kills.inject import sitecustomize as inject

ROLES = ("web", "worker", "sequencer")
SUPERVISOR = "supervisor"
ROOT = Path(__file__).parents[3]
_START_TIMEOUT_S = 60.0
_TURN_S = 0.02


class ServiceBroken(Exception):
    """The service did not come up, or did not end as it should."""


@dataclass(frozen=True, slots=True)
class Death:
    """One kill as it really was: who died, what the dead were doing, and what went on beside them.

    `point` is the armed step, empty for a kill at a random moment.
    """

    dead: tuple[str, ...]
    doing: Mapping[str, int]
    beside: Mapping[str, int]
    point: str

    @property
    def has_work(self) -> bool:
        """Whether any process was in any phase."""
        return bool(self.doing or self.beside)


class Service:
    """One archive in a folder, run by its own supervisor."""

    def __init__(self, folder: Path, *, database_url: str = "") -> None:
        """Take an empty folder. Units: a lease of 3 seconds, so that orphaned jobs come back soon."""
        self.home = folder / "home"
        self.faults = folder / "faults"
        self.faults.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LIUHEN_")}
        self.environment = {**kept, "LIUHEN_LEASE_S": "3", "PYTHONDONTWRITEBYTECODE": "1"}
        if database_url:
            self.environment["LIUHEN_DATABASE_URL"] = database_url
        self._log = folder / "serve.log"
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._orders = 0

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `liuhen` to its end, without the campaign's faults."""
        return subprocess.run(
            [sys.executable, "-m", "archive.cli", *arguments, "--home", str(self.home)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def init(self) -> None:
        """Make the archive."""
        made = self.command("init")
        if made.returncode != 0:
            raise ServiceBroken(f"liuhen init failed: {made.stderr}")

    def start(self) -> None:
        """Start the supervisor and wait until everything answers."""
        (self.home / "run" / "address").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._supervisor = self._spawned(log)
        self.wait_ready()

    def _spawned(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "archive.cli", "serve", "--home", str(self.home), "--port", "0", "--no-tls"],
            cwd=ROOT,
            env={
                **self.environment,
                "PYTHONPATH": str(Path(inject.__file__).parent),
                inject.FOLDER: str(self.faults),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def stop(self) -> int:
        """End the service in order; return its exit code."""
        if self._supervisor is None:
            return 0
        self._supervisor.send_signal(signal.SIGTERM)
        try:
            return self._supervisor.wait(30)
        except subprocess.TimeoutExpired:
            self.kill(tuple(self.pids()))
            return -signal.SIGKILL

    @property
    def address(self) -> str:
        """Where it listens now; empty while it does not."""
        try:
            return (self.home / "run" / "address").read_text().strip()
        except FileNotFoundError:
            return ""

    @property
    def is_supervised(self) -> bool:
        """Whether the supervisor lives."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def pids(self) -> dict[str, int]:
        """Return the processes by name, as far as they live."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            return {}
        found = {SUPERVISOR: self._supervisor.pid}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
                words = (stat.parent / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self._supervisor.pid and fields[0] != "Z":
                found |= {role: int(stat.parent.name) for role in ROLES if role.encode() in words[:5]}
        return found

    def last_words(self, *, lines: int = 20) -> list[str]:
        """Return the end of what the processes have logged."""
        return self._log.read_text("utf-8", "replace").splitlines()[-lines:]

    def recover(self) -> float:
        """Start a dead supervisor again, and wait until all is up; return the seconds that it took."""
        began = time.monotonic()
        if not self.is_supervised:
            self.start()
        self.wait_ready()
        return time.monotonic() - began

    def wait_ready(self) -> None:
        """Wait until all processes live and the web server answers. Raises: ServiceBroken."""
        began = time.monotonic()
        while time.monotonic() - began < _START_TIMEOUT_S:
            if self._supervisor is not None and self._supervisor.poll() is not None:
                break
            if len(self.pids()) == 1 + len(ROLES) and self._answers():
                return
            time.sleep(_TURN_S)
        raise ServiceBroken(f"The service does not run; see {self._log}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.address + "/api/v1/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def arm(self, point: str, *, skip: int, delay_s: float, victims: Sequence[str]) -> None:
        """Order the death of `victims` when the point has been passed `skip` times; "self" is whoever passes it."""
        self._orders += 1
        living = self.pids()
        order: dict[str, Any] = {
            "id": self._orders,
            "point": point,
            "skip": skip,
            "delay_s": delay_s,
            "victims": [living[name] for name in victims if name in living],
            "self": "self" in victims,
        }
        fresh = self.faults / "order.new"
        fresh.write_text(json.dumps(order), "ascii")
        (self.faults / inject.HIT).unlink(missing_ok=True)
        fresh.rename(self.faults / inject.ARMED)

    def disarm(self) -> bool:
        """Take the order back; return False when it was carried out already."""
        try:
            (self.faults / inject.ARMED).unlink()
        except FileNotFoundError:
            return False
        return True

    @property
    def was_hit(self) -> bool:
        """Whether the order is being carried out."""
        return (self.faults / inject.HIT).exists()

    def kill(self, roles: Sequence[str]) -> None:
        """Kill processes by name, all of them at once."""
        living = self.pids()
        for role in roles:
            if role in living:
                os.kill(living[role], signal.SIGKILL)

    def death(
        self, before: Mapping[str, int], victims: Sequence[str], *, point: str, timeout_s: float = 10.0
    ) -> Death | None:
        """Wait until the victims are dead; tell what they were doing. None when somebody did not die in time."""
        deadline = time.monotonic() + timeout_s
        while not set(victims) <= set(gone := self._gone(before)):
            if time.monotonic() > deadline:
                return None
            time.sleep(_TURN_S)
        if SUPERVISOR in gone and self._supervisor is not None:
            self._supervisor.wait(timeout_s)  # a process can be a zombie while threads of it have yet to end
        doing = {role: self._board(role, pid) for role, pid in before.items()}
        return Death(
            dead=tuple(sorted(gone)),
            doing={phase: count for role in gone for phase, count in doing[role].items()},
            beside={phase: count for role in before.keys() - gone for phase, count in doing[role].items()},
            point=point,
        )

    def wait_busy(self, before: Mapping[str, int], victims: Sequence[str], *, timeout_s: float = 3.0) -> None:
        """Wait until one of the victims is in some phase, or, if it is the supervisor alone, any process is."""
        watched = [role for role in ROLES if role in victims and role in before] or list(ROLES)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not any(self._board(role, before[role]) for role in watched):
            time.sleep(0.002)

    def _board(self, role: str, pid: int) -> dict[str, int]:
        board = self.faults / f"board-{role}-{pid}"
        counts = inject.BOARD.unpack(board.read_bytes()) if board.exists() else ()
        return {phase: count for phase, count in zip(inject.PHASES, counts, strict=False) if count > 0}

    def _gone(self, before: Mapping[str, int]) -> list[str]:
        return [role for role, pid in before.items() if not _lives(pid)]

    def wait_alone(self, before: Mapping[str, int], *, timeout_s: float = 60.0) -> None:
        """Wait until the processes of a dead supervisor have ended by themselves. Raises: ServiceBroken."""
        deadline = time.monotonic() + timeout_s
        while any(_lives(pid) for pid in before.values()):
            if time.monotonic() > deadline:
                raise ServiceBroken("Processes go on without their supervisor")
            time.sleep(_TURN_S)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
