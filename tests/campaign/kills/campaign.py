"""`./dev campaign kills`: rounds of traffic, one death in each, and everything checked after it."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archive.db.database import Database
from archive.kernel.clock import SystemClock
from archive.ledger.entries import OPERATOR
from ingest.docks import invite_dock
from signing.ed25519 import Ed25519KeyHandle
from tests.campaign.kills.checks import Checked, Checks
from tests.campaign.kills.docks import STYLES, Delivery, Dock, GaveUp, Ledger, Onlooker
from tests.campaign.kills.material import COPIED, ENCODED, PHOTO, SOUND, TEXT, Material, Recording
from tests.campaign.kills.plan import PHASES, WHOLE_SERVICE, Plan, deliberate, plans
from tests.campaign.kills.report import LEAST_HITS, REPORT, render
from tests.campaign.kills.service import ROLES, SUPERVISOR, Death, Service, ServiceBroken
from tests.campaign.kills.shelves import FolderShelves
from tests.support import postgres

_CATCH_S = 8.0
_QUIET_S = 120.0
_HOURS_S = 7200.0
_MOST_MORE = 60
_KINDS = (COPIED, COPIED, COPIED, ENCODED, SOUND, PHOTO, TEXT)


@dataclass(frozen=True, slots=True)
class Load:
    """How much the docks deliver in each round."""

    docks: int = 3
    most_each: int = 2


_FULL = Load()


@dataclass(slots=True)
class Round:
    """One round as it went. Units: seconds."""

    number: int
    plan: Plan
    death: Death | None
    deliveries: Sequence[Delivery]
    has_work: bool
    back_s: float
    seconds: float
    wrong: list[str]


@dataclass(slots=True)
class Result:
    """A whole run on one database."""

    database: str
    database_version: str
    rounds: list[Round] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    checked: Checked = field(default_factory=Checked)
    final: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Every promise that was broken."""
        return [
            *(f"round {found.number}: {what}" for found in self.rounds for what in found.wrong),
            *self.final,
        ]

    def hits(self, phase: str) -> int:
        """Return in how many rounds a process died in this phase."""
        return sum(1 for found in self.rounds if found.death is not None and phase in found.death.doing)


class Campaign:
    """Docks, onlooker, service and checks of one run."""

    def __init__(self, service: Service, *, folder: Path, database_url: str, chance: random.Random, load: Load) -> None:
        """Enrol the docks at the running service, and make the clips."""
        self._load = load
        self._service = service
        self._chance = chance
        self.ledger = Ledger()
        url = database_url or f"sqlite+pysqlite:///{service.home / 'liuhen.sqlite3'}"
        self._database = Database(url, pool_size=4)
        self._material = Material(folder / "material")
        self._docks = [
            Dock(
                address=lambda: service.address,
                code=invite_dock(self._database, name=f"dock {number}", by=OPERATOR, at=SystemClock().now()),
                key=Ed25519KeyHandle.generate(folder / f"dock-{number}.pem"),
                ledger=self.ledger,
            )
            for number in range(load.docks)
        ]
        with self._database.read() as tx:
            dialect = tx.connection().dialect
            self.database_version = (
                f"{dialect.name} {'.'.join(str(part) for part in dialect.server_version_info or ())}"
            )
        self.checks = Checks(service, self._database, self._docks[0].trust, self.ledger, FolderShelves(service.home))
        self._onlooker = Onlooker(lambda: service.address, self.ledger)
        self._onlooker.start()

    def close(self) -> None:
        """Stop looking."""
        self._onlooker.end()
        self._database.close()

    def round(self, number: int, plan: Plan) -> Round:
        """Let the docks upload, kill, let everything recover, and check."""
        began = time.monotonic()
        before = self._service.pids()
        known = len(self.ledger.wrong)
        with self._docks_working(number) as running:
            death = self._kill(plan, before, running)
            has_work = (death is not None and death.has_work) or not all(future.done() for future in running)
            back_s = self._service.recover()
            deliveries = [delivery for future in running for delivery in future.result()]
        if death is not None and SUPERVISOR in death.dead:
            self._service.wait_alone(before)
        wrong = [] if death is not None else ["nobody died"]
        wrong += self._wait_quiet()
        for delivery in deliveries:
            if delivery.upload_path:
                delivery.dock.offset(delivery)
        wrong += self.checks.after_round(deliveries)
        wrong += self.ledger.wrong[known:]
        return Round(number, plan, death, deliveries, has_work, back_s, time.monotonic() - began, wrong)

    def finish(self) -> list[str]:
        """Start the service once more after an hour, end it in order, and check the whole run again."""
        codes = [self._service.stop()]
        for path in (*(self._service.home / "staging").iterdir(), *(self._service.home / "scratch").glob("*.tmp")):
            # A file without its upload is kept while its row may still be written, a scratch file for a minute.
            os.utime(path, times=(time.time() - _HOURS_S, time.time() - _HOURS_S))
        self._service.start()
        codes.append(self._service.stop())
        wrong = [f"liuhen serve ended with {code} on SIGTERM" for code in codes if code != 0]
        return [*wrong, *self._wait_quiet(), *self.checks.at_the_end()]

    @contextmanager
    def _docks_working(self, number: int) -> Iterator[list[Future[list[Delivery]]]]:
        with ThreadPoolExecutor(self._load.docks) as pool:
            try:
                yield [pool.submit(self._work, dock, work) for dock, work in self._work_of_round(number)]
            except BaseException:
                self.ledger.is_over.set()  # nobody needs to wait for docks whose archive is lost
                raise

    def _work_of_round(self, number: int) -> list[tuple[Dock, list[tuple[Recording, str]]]]:
        chance, make = self._chance, self._material.recording
        work = [
            [
                (make(chance.choice(_KINDS), chance=chance), chance.choice(STYLES))
                for _ in range(chance.randint(1, self._load.most_each))
            ]
            for _ in self._docks
        ]
        if number % 3 == 0:  # the same recording from two docks at once is one item
            work[1][0] = (work[0][0][0], chance.choice(STYLES))
        if number % 4 == 0:
            work[-1].append((make(COPIED, chance=chance, is_lie=True), chance.choice(STYLES)))
        return list(zip(self._docks, work, strict=True))

    def _work(self, dock: Dock, work: Sequence[tuple[Recording, str]]) -> list[Delivery]:
        chance = random.Random(self._chance.random())
        delivered = []
        for recording, style in work:
            try:
                delivered.append(dock.deliver(recording, style=style, chance=chance))
            except GaveUp as gone:
                self.ledger.wrong.append(str(gone))
        return delivered

    def _kill(self, plan: Plan, before: Mapping[str, int], running: Sequence[Future[list[Delivery]]]) -> Death | None:
        victims = [SUPERVISOR, *ROLES] if plan.victim == WHOLE_SERVICE else [plan.victim]
        if plan.step is not None:
            own = victims if plan.victim == WHOLE_SERVICE else ["self"]
            self._service.arm(plan.step.point, skip=plan.skip, delay_s=plan.delay_s, victims=own)
            if self._was_hit(running):
                return self._service.death(before, victims, point=plan.step.point)
        else:
            time.sleep(self._chance.uniform(0.1, 1.5))
            self._service.wait_busy(before, victims)
        self._service.kill(victims)
        return self._service.death(before, victims, point="")

    def _was_hit(self, running: Sequence[Future[list[Delivery]]]) -> bool:
        deadline = time.monotonic() + _CATCH_S
        while time.monotonic() < deadline:
            if self._service.was_hit:
                return True
            if all(future.done() for future in running) and not self.checks.waiting():
                break
            time.sleep(0.01)
        return not self._service.disarm()

    def _wait_quiet(self) -> list[str]:
        deadline = time.monotonic() + _QUIET_S
        while waiting := self.checks.waiting():
            if time.monotonic() > deadline:
                return [f"still waiting after {_QUIET_S:.0f} s: {what}" for what in waiting]
            time.sleep(0.05)
        return []


@contextmanager
def _database_url(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of a database of this run's own; empty for SQLite in the archive's folder."""
    if kind == "sqlite":
        yield ""
        return
    cluster = postgres.Cluster(postgres.folder_for_server(folder / "postgres"), durable=True)
    try:
        yield postgres.create_database(cluster.start())
    finally:
        cluster.destroy()


def run(
    rounds: Sequence[Plan],
    *,
    database: str,
    chance: random.Random,
    load: Load = _FULL,
    least: int = LEAST_HITS,
) -> Result:
    """Run rounds on one database in a folder that is deleted afterwards.

    Rounds are added for phases that were hit less often than `least`; with 0 none are.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liuhen-kills-") as place, _database_url(database, Path(place)) as url:
        folder = Path(place)
        service = Service(folder, database_url=url)
        service.init()
        service.start()
        campaign = Campaign(service, folder=folder, database_url=url, chance=chance, load=load)
        result = Result(database, campaign.database_version, ledger=campaign.ledger, checked=campaign.checks.checked)
        try:
            for plan in _and_more(rounds, result, chance=chance, least=least):
                result.rounds.append(campaign.round(len(result.rounds) + 1, plan))
                _tell(result.rounds[-1])
            result.final = campaign.finish()
            result.leftovers = campaign.checks.leftovers()
        except ServiceBroken as broken:
            result.final = [str(broken), *service.last_words()]
        finally:
            service.stop()
            campaign.close()
    result.seconds = time.monotonic() - began
    return result


def _and_more(rounds: Sequence[Plan], result: Result, *, chance: random.Random, least: int) -> Iterator[Plan]:
    yield from rounds
    for _ in range(_MOST_MORE if least else 0):
        missing = [phase for phase in PHASES if result.hits(phase) < least]
        if not missing and sum(found.has_work for found in result.rounds) >= len(rounds):
            return
        yield deliberate((missing or PHASES)[0], chance=chance)


def _tell(found: Round) -> None:
    death = found.death
    dead = "nobody" if death is None else "+".join(death.dead)
    doing = "" if death is None else ", ".join(f"{phase} x{count}" for phase, count in death.doing.items())
    where = "" if death is None else death.point or "random moment"
    print(
        f"{found.number:3d}  {dead:24} {where:24} {doing or '-':40} back {found.back_s:4.1f} s, "
        f"round {found.seconds:4.1f} s  {'ok' if not found.wrong else 'WRONG'}",
        flush=True,
    )
    for what in found.wrong:
        print(f"     {what}", flush=True)


def main(arguments: list[str]) -> int:
    """Run the campaign, write its report, and return 0 only if everything held and every phase was hit."""
    parser = argparse.ArgumentParser(prog="./dev campaign kills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="kills on each database; 60 by default")
    parser.add_argument("--least", type=int, default=LEAST_HITS, help="how often each phase has to be hit")
    parser.add_argument("--seed", type=int, default=None, help="what the random choices begin with")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="sqlite")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    chance = random.Random(seed)
    databases = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    results = []
    for database in databases:
        print(f"{given.rounds} rounds on {database}, seed {seed}", flush=True)
        made = plans(given.rounds, chance=chance)
        results.append(run(made, database=database, chance=chance, least=given.least))
    command = " ".join(["./dev campaign kills", *arguments])
    text, is_good = render(results, seed=seed, command=command, least=given.least)
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(text, "utf-8")
    print(f"{'Everything held' if is_good else 'NOT everything held'}; the report is in {given.report}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
