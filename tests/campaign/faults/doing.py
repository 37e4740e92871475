"""What is done to the deployment: each fault ends with everything healed, so that it can come to rest."""

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import psutil
from kombu import Connection as BrokerConnection
from sqlalchemy import func, select

from archive.db.database import Database
from archive.jobs.models import Job
from archive.jobs.queue import IDLE, LONG, QUEUES
from archive.kernel.ids import JobId
from archive.settings import Settings
from archive.wiring import broker_parts
from tests.campaign.faults.disks import SmallDisk
from tests.campaign.faults.hosts import Hosts, freeze
from tests.campaign.load.stage import Stage
from tests.support.moved_clock import MovedClock

HOUR_S: Final = 3600
_AWAY_S: Final = (0.0, 8.0)
_CUT_S: Final = (1.0, 12.0)
_LONG_CUT_S: Final = (32.0, 45.0)
"""Longer than what the archive gives a silent server (30 s)."""
_MOVED_S: Final = (3.0, 12.0)
_FULL_S: Final = (3.0, 10.0)
_DOUBLES: Final = 50
_WAYS: Final = {
    "database": "archive and PostgreSQL",
    "store": "archive and S3",
    "broker": "archive and broker",
    "docks": "docks and nginx, docks and bucket",
}


class NotHit(Exception):
    """There was nobody to do it to."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. `hit` does it once, and heals it."""

    name: str
    hit: Callable[[], str]
    """Returns what exactly was done."""


class Doing:
    """Does things to a stage."""

    def __init__(
        self,
        stage: Stage,
        hosts: Hosts,
        database: Database,
        settings: Settings,
        *,
        clocks: Mapping[str, MovedClock],
        disks: Mapping[str, SmallDisk],
        chance: random.Random,
    ) -> None:
        """Take everything that can be hit; `settings` are those of the archive, past every way."""
        self._stage, self._hosts, self._database, self._settings = stage, hosts, database, settings
        self._clocks, self._disks, self._chance = clocks, disks, chance
        self._exchange = broker_parts.exchange(settings)

    def all(self) -> list[Fault]:
        """Return every fault that can be done here."""
        faults = [
            Fault("web process killed -9", lambda: self._kill("web")),
            Fault("worker killed -9", lambda: self._kill("worker")),
            Fault("holder of the sequencer's lock killed -9", lambda: self._kill_holder("sequencer")),
            Fault("holder of the relay's lock killed -9", lambda: self._kill_holder("relay")),
            Fault("everything of a host killed -9", self._crash_host),
            Fault("broker killed -9", self._kill_broker),
            Fault("database server killed -9", self._kill_database),
            Fault("S3 server killed -9", self._kill_store),
            Fault("process frozen for longer than a lease", self._freeze),
        ]
        for name, told in _WAYS.items():
            faults += [
                Fault(f"cut: {told}", self._on_way(name, self._cut)),
                Fault(f"connections forgotten: {told}", self._on_way(name, self._forget)),
                Fault(f"connections reset: {told}", self._on_way(name, self._reset)),
            ]
        faults += [
            Fault("messages lost", self._lose),
            Fault("messages doubled", self._double),
        ]
        if all(clock.can_move for clock in self._clocks.values()):
            faults += [
                Fault("clock of a host an hour ahead, then right", lambda: self._move(HOUR_S)),
                Fault("clock of a host an hour behind, then right", lambda: self._move(-HOUR_S)),
                Fault("clocks of all hosts an hour ahead, then right", lambda: self._move(HOUR_S, everywhere=True)),
                Fault("clocks of all hosts an hour behind, then right", lambda: self._move(-HOUR_S, everywhere=True)),
            ]
        for name, disk in self._disks.items():
            if disk.can_fill:
                faults.append(Fault(f"disk full: {name}", self._filling(disk)))
        return faults

    def _between(self, least_and_most: tuple[float, float]) -> float:
        return self._chance.uniform(*least_and_most)

    def _kill(self, role: str) -> str:
        found = self._hosts.processes(role)
        if not found:
            raise NotHit
        self._hosts.kill(self._chance.choice(found))
        return f"1 of {len(found)}"

    def _kill_holder(self, role: str) -> str:
        holder = self._hosts.holder(role)
        if holder is None:
            raise NotHit
        self._hosts.kill(holder)
        return f"process {holder.pid}"

    def _crash_host(self) -> str:
        self._hosts.crash_first()
        return "first host"

    def _kill_broker(self) -> str:
        away_s = self._between(_AWAY_S)
        self._stage.broker.kill()
        time.sleep(away_s)
        self._stage.broker.start()
        return f"back after {away_s:.1f} s"

    def _kill_database(self) -> str:
        away_s = self._between(_AWAY_S)
        assert self._stage.cluster is not None
        self._stage.cluster.kill()
        time.sleep(away_s)
        self._stage.cluster.start()
        return f"back after {away_s:.1f} s"

    def _kill_store(self) -> str:
        away_s = self._between(_AWAY_S)
        assert self._stage.store is not None
        self._stage.store.kill()
        time.sleep(away_s)
        self._stage.store.start()
        return f"back after {away_s:.1f} s"

    def _freeze(self) -> str:
        role = self._chance.choice(("web", "worker", "sequencer", "relay"))
        found = self._hosts.processes(role)
        if not found:
            raise NotHit
        for_s = self._settings.lease_s * self._between((1.2, 2.0))
        freeze(self._chance.choice(found), for_s)
        return f"{role}, {for_s:.1f} s"

    def _on_way(self, name: str, how: Callable[[str], str]) -> Callable[[], str]:
        return lambda: how(name)

    def _cut(self, name: str) -> str:
        ways = self._stage.ways[name]
        for_s = self._between(_CUT_S if self._chance.random() < 0.7 else _LONG_CUT_S)
        hit = sum(way.cut() for way in ways)
        time.sleep(for_s)
        for way in ways:
            way.heal()
        return f"{hit} connections, {for_s:.1f} s"

    def _forget(self, name: str) -> str:
        return f"{sum(way.forget() for way in self._stage.ways[name])} connections"

    def _reset(self, name: str) -> str:
        ways, for_s = self._stage.ways[name], self._between((0.0, 6.0))
        hit = sum(way.reset() for way in ways)
        time.sleep(for_s)
        for way in ways:
            way.heal()
        return f"{hit} connections, {for_s:.1f} s"

    def _lose(self) -> str:
        with BrokerConnection(self._exchange.broker.address()) as connection:
            channel = connection.default_channel
            lost = sum(int(channel.queue_purge(self._exchange.broker.queue_name(queue)) or 0) for queue in _TOLD)
        return f"{lost} messages"

    def _double(self) -> str:
        with self._database.read() as tx:
            newest = select(Job.id, Job.queue).order_by(Job.id.desc()).limit(_DOUBLES * 2)
            rows = [(JobId(job_id), queue) for job_id, queue in tx.execute(newest)]
        for job_id, queue in self._chance.sample(rows, min(_DOUBLES, len(rows))):
            for _ in range(2):
                self._exchange.bell.ring(LONG if queue == IDLE else queue, job_id)
        return f"{2 * min(_DOUBLES, len(rows))} messages"

    def _move(self, off_s: int, *, everywhere: bool = False) -> str:
        names = list(self._clocks) if everywhere else [self._chance.choice(list(self._clocks))]
        for_s = self._between(_MOVED_S)
        try:
            for name in names:
                self._clocks[name].move(off_s)
            time.sleep(for_s)
        finally:
            for name in names:
                self._clocks[name].move(0)
        return f"{' and '.join(names)}, {for_s:.1f} s"

    def _filling(self, disk: SmallDisk) -> Callable[[], str]:
        def fill() -> str:
            for_s = self._between(_FULL_S)
            ends = time.monotonic() + for_s
            try:
                while time.monotonic() < ends:  # what others delete meanwhile is taken, too
                    disk.fill()
                    time.sleep(0.2)
            finally:
                disk.free()
            return f"{for_s:.1f} s"

        return fill


_TOLD: Final = tuple(queue for queue in QUEUES if queue != IDLE)


def busy_jobs(database: Database) -> int:
    """Return how many jobs wait or are under way."""
    with contextlib.suppress(psutil.Error), database.read() as tx:
        return int(tx.scalar(select(func.count()).where(Job.state.in_(("ready", "running")), Job.key != Job.kind)) or 0)
    return 0
