"""`./dev campaign jobs`: work behind Redis and behind RabbitMQ while everybody who takes part is killed, again and again.

In the end every job is done, and has had its effect once.
"""

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import func, select, text

from archive.jobs.models import Job
from archive.jobs.queue import PROMPT
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import JobId
from tests.campaign.jobs.report import REPORT, render
from tests.support import postgres, schema
from tests.support.brokered import House, wait_for
from tests.support.rabbitmq import Rabbit
from tests.support.redis import Redis
from tests.support.silent_proxy import SilentProxy

_WORKERS: Final = 3
_RELAYS: Final = 2
_LONGEST_AWAY_S: Final = 6.0
_QUIET_S: Final = 300.0
_MOST_WAITING: Final = 400
"""No more are added while so many wait: the campaign is about faults, not about load."""


@dataclass(slots=True)
class Result:
    """What became of one broker's part."""

    broker: str
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    attempts: int = 0
    doubled: int = 0
    effects: Counter[int] = field(default_factory=Counter)
    undone: int = 0
    settled_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether every job is done and had one effect."""
        return self.undone == 0 and set(self.effects) == {1} and self.effects[1] == self.jobs


class Stage:
    """One broker with its workers and relays, and the faults that can be done to them."""

    def __init__(self, house: House, proxy: SilentProxy, chance: random.Random, result: Result) -> None:
        self.house = house
        self.proxy = proxy
        self.chance = chance
        self.result = result
        self.jobs: list[JobId] = []
        self.workers = [house.start("worker") for _ in range(_WORKERS)]
        self.relays = [house.start("relay") for _ in range(_RELAYS)]
        self.faults: dict[str, Callable[[], None]] = {
            "worker killed -9": lambda: self._kill(self.workers, signal.SIGKILL),
            "worker asked to end": lambda: self._kill(self.workers, signal.SIGTERM),
            "worker frozen for longer than its lease": self._freeze,
            "relay killed -9": lambda: self._kill(self.relays, signal.SIGKILL),
            "broker killed -9, back after a while": self._kill_broker,
            "every connection to the broker silent": self._fall_silent,
            "every waiting message lost": self._lose,
            "messages sent again for 50 jobs": self._double,
            "every connection to the database cut": self._cut_database,
        }

    def add(self) -> None:
        """Add some jobs, unless enough wait."""
        with self.house.database.read() as tx:
            waiting = tx.scalar(select(func.count()).where(Job.state.in_(("ready", "running")))) or 0
        if waiting < _MOST_WAITING:
            self.jobs += self.house.add(self.chance.randint(1, 10))
            self.jobs += self.house.add(1, ms=self.chance.randint(100, 3000))

    def revive(self) -> None:
        """Start again who has died, as the supervisor does."""
        for role, processes in (("worker", self.workers), ("relay", self.relays)):
            for place, process in enumerate(processes):
                if process.poll() is not None:
                    processes[place] = self.house.start(role)

    def _kill(self, processes: list[subprocess.Popen[bytes]], how: signal.Signals) -> None:
        self.chance.choice(processes).send_signal(how)

    def _freeze(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self.house.orders.lease_s * 1.5)
        worker.send_signal(signal.SIGCONT)

    def _kill_broker(self) -> None:
        self.house.server.kill()
        time.sleep(self.chance.uniform(0, _LONGEST_AWAY_S))
        self.house.server.start()

    def _fall_silent(self) -> None:
        self.proxy.fall_silent()

    def _lose(self) -> None:
        with contextlib.suppress(OSError, LiuhenError):
            self.house.lose_messages()

    def _double(self) -> None:
        with contextlib.suppress(LiuhenError):
            for job_id in self.chance.choices(self.jobs, k=50):
                self.house.bell.ring(PROMPT, job_id)
                self.result.doubled += 1

    def _cut_database(self) -> None:
        with contextlib.suppress(LiuhenError), self.house.database.begin() as tx:
            tx.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )


def play(house: House, proxy: SilentProxy, broker: str, *, minutes: float, chance: random.Random) -> Result:
    """Add jobs and do faults for so long, then let it come to rest and count."""
    result = Result(broker)
    stage = Stage(house, proxy, chance, result)
    ends, ended = time.monotonic() + minutes * 60, threading.Event()

    def keep_busy() -> None:
        while not ended.wait(chance.uniform(0.05, 0.4)):
            with contextlib.suppress(LiuhenError):
                stage.add()

    busy = threading.Thread(target=keep_busy)
    busy.start()
    wait_for(lambda: bool(house.effects()))
    names = list(stage.faults)
    while time.monotonic() < ends:
        name = chance.choice(names)
        stage.faults[name]()
        result.faults[name] += 1
        print(f"{broker}: {name}", flush=True)
        time.sleep(chance.uniform(0.2, 3.0))
        stage.revive()
    ended.set()
    busy.join()
    rested = time.monotonic()
    with contextlib.suppress(AssertionError):
        wait_for(lambda: _rests(stage), within_s=_QUIET_S)
    result.settled_s = time.monotonic() - rested
    _count(stage)
    house.end_processes()
    return result


def _rests(stage: Stage) -> bool:
    stage.revive()
    with stage.house.database.read() as tx:
        return not tx.scalar(select(func.count()).where(Job.state.in_(("ready", "running"))))


def _count(stage: Stage) -> None:
    result, effects = stage.result, stage.house.effects()
    with stage.house.database.read() as tx:
        # Also those whose adding was cut off after the commit: the table knows them all.
        rows = tx.execute(select(Job.id, Job.state, Job.attempt)).all()
    result.jobs = len(rows)
    result.attempts = sum(row.attempt for row in rows)
    result.undone = sum(row.state != "done" for row in rows)
    result.effects = Counter(effects.get(row.id, 0) for row in rows)


@contextlib.contextmanager
def _houses(base: Path) -> Iterator[Sequence[tuple[str, House, SilentProxy]]]:
    cluster = postgres.Cluster(postgres.folder_for_server(base / "postgres"), durable=True)
    server = cluster.start()
    # Redis writes each second what it was told, as it comes: some messages are gone with it.
    brokers = {"Redis": Redis(base / "redis", durable=True), "RabbitMQ": Rabbit(base / "rabbitmq")}
    houses = []
    try:
        for name, broker in brokers.items():
            broker.start()
            url = postgres.create_database(server)
            schema.make(url)
            (base / name).mkdir()
            proxy = SilentProxy(lambda url=broker.url: urlsplit(url).port or 0)
            way = urlsplit(broker.url)
            there = way._replace(netloc=way.netloc.replace(f":{way.port}", f":{proxy.port}")).geturl()
            houses.append((name, House(url, broker, base / name, broker_url=there), proxy))
        yield houses
    finally:
        for _, house, proxy in houses:
            house.close()
            proxy.close()
        for broker in brokers.values():
            broker.destroy()
        cluster.destroy()


def main(arguments: Sequence[str]) -> int:
    """Run the campaign; 0 only if all held."""
    parser = argparse.ArgumentParser(prog="./dev campaign jobs")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each broker")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--report", type=Path, nargs="?", const=REPORT, help="write a report, as it is committed")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liuhen-jobs-") as base, _houses(Path(base)) as houses:
        Path(base).chmod(0o711)
        chance = random.Random(asked.seed)
        results = [play(house, proxy, name, minutes=asked.minutes, chance=chance) for name, house, proxy in houses]
    told = render(
        results, seed=asked.seed, seconds=time.monotonic() - began, command=f"./dev campaign jobs {' '.join(arguments)}"
    )
    print(told)
    if asked.report is not None:
        asked.report.write_text(told, "utf-8")
    return 0 if all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
