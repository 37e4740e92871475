"""`./dev campaign faults`: one fault at a time on the scaled deployment under load, and everything looked up after it.

Docks send through nginx and straight to the bucket, people read and watch; each fault comes at random moments, several
times in a round, and in several rounds. After each round all comes to rest, and what docks were told is held against
buckets and database.
"""

import argparse
import contextlib
import os
import random
import re
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from archive.adapters.s3_client import S3Place
from archive.db.database import Database
from archive.kernel.errors import LiuhenError
from archive.settings import Settings
from signing.ed25519 import Ed25519KeyHandle
from tests.campaign.faults.bucket import BucketShelves
from tests.campaign.faults.disks import small_disk
from tests.campaign.faults.doing import DATABASE_SERVER, FIRST_HOST, STORE_SERVER, Doing, Fault, NotHit, busy_jobs
from tests.campaign.faults.hosts import Hosts, SecondHost
from tests.campaign.faults.report import REPORT, Told, render
from tests.campaign.kills.checks import Checked, Checks
from tests.campaign.kills.docks import DIRECT, STYLES, Delivery, Dock, GaveUp, Ledger, Onlooker
from tests.campaign.kills.material import COPIED, ENCODED, PHOTO, SOUND, TEXT, Material, Recording
from tests.campaign.load.readers import Reader, Seen, Viewer
from tests.campaign.load.stage import Stage, Wanted, staged
from tests.support.moved_clock import MovedClock

_DOCKS: Final = 4
_PATIENCE_S: Final = 400.0
_ANSWER_S: Final = 20.0
_QUIET_S: Final = 300.0
_UP_S: Final = 60.0
_HOURS: Final = timedelta(hours=2)
_MOST_EACH: Final = 12
BROKERS: Final = ("redis", "rabbitmq")
_MOST_WAITING: Final = 60
"""Docks begin nothing new while so many jobs wait: the campaign is about faults, not about load."""
_KINDS: Final = (COPIED, COPIED, COPIED, PHOTO, TEXT, SOUND, ENCODED)
_DISKS_MIB: Final = {"archive": 700, "weed": 2500, "pg": 1500}
_LATER: Final = frozenset({502, 503, 504, 507})
"""What may be answered while something is broken: "later" or "full" by the archive, or nginx saying that nobody answers."""
_BROKEN: Final = re.compile(r": (?!5(?:02|03|04|07)$)\d{3}$")
"""An answer to a reader that is neither: told as an error by status."""


@dataclass(slots=True)
class Round:
    """One round of one fault as it went. Units: seconds from the end of the last hit."""

    fault: str
    hits: list[str]
    deliveries: int
    receipts: int
    answers: Counter[str]
    read: Counter[str]
    jobs: int
    entries: int
    recovered_s: float
    rested_s: float
    seconds: float
    wrong: list[str]


@dataclass(slots=True)
class Result:
    """A whole run on one broker."""

    broker: str
    parts: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    checked: Checked = field(default_factory=Checked)
    seen: Seen = field(default_factory=Seen)
    events: Counter[str] = field(default_factory=Counter)
    final: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Every promise that was broken."""
        return [*(f"{found.fault}: {what}" for found in self.rounds for what in found.wrong), *self.final]


class Campaign:
    """Docks, readers, hosts and checks of one run."""

    def __init__(
        self, stage: Stage, hosts: Hosts, database: Database, folder: Path, result: Result, *, chance: random.Random
    ) -> None:
        """Enrol the docks, have the readers sign in, and make the clips."""
        self._stage, self._hosts, self._database = stage, hosts, database
        self._chance, self._result = chance, result
        self._material = Material(folder / "material")
        result.ledger.later = _LATER
        tls = ssl.create_default_context(cafile=str(stage.server.ca))
        self._docks = [
            Dock(
                address=lambda: stage.address,
                code=stage.server.invite(f"dock {number}"),
                key=Ed25519KeyHandle.generate(folder / f"dock-{number}.pem"),
                ledger=result.ledger,
                tls=tls,
                patience_s=_PATIENCE_S,
                answer_s=_ANSWER_S,
            )
            for number in range(_DOCKS)
        ]
        environment = stage.server.environment
        self._shelves = BucketShelves(
            stage.weed,
            S3Place(
                environment["LIUHEN_S3_BUCKET"],
                endpoint=stage.weed.endpoint,
                credentials_file=Path(environment["LIUHEN_S3_CREDENTIALS_FILE"]),
            ),
            work_bucket=environment["LIUHEN_S3_WORK_BUCKET"],
            local=[stage.server.home.parent / "local", folder / "second"],
        )
        self.checks = Checks(stage.server, database, self._docks[0].trust, result.ledger, self._shelves)
        result.checked = self.checks.checked
        self._onlooker = Onlooker(lambda: stage.address, result.ledger, tls)
        password, ca = stage.server.accounts["supervisor"], str(stage.server.ca)
        self._people = [
            kind(stage.address, password, ca, pause_s=1.0, seed=number, seen=result.seen)
            for number, kind in enumerate([Reader, Viewer])
        ]
        for looking in (self._onlooker, *self._people):
            looking.start()

    def close(self) -> None:
        """Stop looking."""
        self._result.ledger.is_over.set()
        for looking in (self._onlooker, *self._people):
            looking.end()

    def round(self, fault: Fault, *, hits: int) -> Round:
        """Have docks send, do it several times, let everything come to rest, and check."""
        ledger, began = self._result.ledger, time.monotonic()
        known, answers, read = len(ledger.wrong), ledger.answers.copy(), self._read()
        jobs, entries = self._counts()
        stop, told, wrong = threading.Event(), [], []
        with ThreadPoolExecutor(_DOCKS) as pool:
            running = [pool.submit(self._send, dock, stop, self._chance.random()) for dock in self._docks]
            try:
                for _ in range(hits):
                    time.sleep(self._chance.uniform(0.3, 3.0))
                    with contextlib.suppress(NotHit):
                        told.append(fault.hit())
                healed = time.monotonic()
                recovered_s, failed = self._recover(healed)
                wrong += failed
            finally:
                stop.set()
            deliveries = [delivery for future in running for delivery in future.result()]
        wrong += self._wait_quiet()
        rested_s = time.monotonic() - healed
        wrong += self._heads(deliveries)
        wrong += self.checks.after_round(deliveries)
        wrong += ledger.wrong[known:]
        read = self._read() - read
        wrong += [f"a reader met {what} ×{count}" for what, count in read.items() if _BROKEN.search(what)]
        wrong += [] if told else ["nothing was hit"]
        new_jobs, new_entries = self._counts()
        return Round(
            fault.name, told, len(deliveries), sum(1 for found in deliveries if found.receipt),
            ledger.answers - answers, read, new_jobs - jobs, new_entries - entries,
            recovered_s, rested_s, time.monotonic() - began, wrong,
        )  # fmt: skip

    def finish(self) -> list[str]:
        """Start both hosts again as if hours had gone by, and check every delivery of the whole run again."""
        self._shelves.age(_HOURS)
        code = self._hosts.start_again()
        self._shelves.sweep()
        wrong = [] if code == 0 else [f"liuhen serve ended with {code} on SIGTERM"]
        wrong += [] if self._hosts.wait_up(within_s=_UP_S) else ["not every process came back"]
        return [*wrong, *self._wait_quiet(), *self.checks.at_the_end()]

    def _send(self, dock: Dock, stop: threading.Event, seed: float) -> list[Delivery]:
        """Deliver recordings one after the other until told to stop; what was begun is gone on with to its end."""
        chance = random.Random(seed)
        delivered = []
        while not stop.is_set() and len(delivered) < _MOST_EACH:
            recording = self._recording(chance)
            style = DIRECT if chance.random() < 0.4 else chance.choice(STYLES)
            try:
                delivered.append(dock.deliver(recording, style=style, chance=chance))
            except GaveUp as gone:
                self._result.ledger.wrong.append(str(gone))
                return delivered
            stop.wait(chance.uniform(0.1, 1.5))
            with contextlib.suppress(LiuhenError):
                while busy_jobs(self._database) > _MOST_WAITING and not stop.wait(1.0):
                    pass
        return delivered

    def _recording(self, chance: random.Random) -> Recording:
        with _MATERIAL:
            return self._material.recording(chance.choice(_KINDS), chance=chance, is_lie=chance.random() < 0.04)

    def _recover(self, healed: float) -> tuple[float, list[str]]:
        """Deliver one more recording, begun now; return how long after the healing its receipt was there."""
        with _MATERIAL:
            recording = self._material.recording(TEXT, chance=self._chance)
        try:
            self._docks[0].deliver(recording, style="whole", chance=self._chance)
        except GaveUp as gone:
            return time.monotonic() - healed, [f"after the fault: {gone}"]
        recovered_s = time.monotonic() - healed
        return recovered_s, [] if self._hosts.wait_up(within_s=_UP_S) else ["not every process came back"]

    def _wait_quiet(self) -> list[str]:
        ends = time.monotonic() + _QUIET_S
        waiting = ["nothing was asked"]
        while waiting:
            if time.monotonic() > ends:
                return [f"still waiting after {_QUIET_S:.0f} s: {what}" for what in waiting[:10]]
            time.sleep(0.2)
            waiting = self.checks.waiting()
        return []

    def _heads(self, deliveries: Sequence[Delivery]) -> list[str]:
        """Hold acknowledged offsets against HEAD; everything is healed, so each must be answered."""
        wrong = []
        for delivery in deliveries:
            if delivery.upload_path and delivery.style != DIRECT:
                try:
                    delivery.dock.offset(delivery)
                except OSError as exc:
                    wrong.append(f"{delivery.recording.name}: HEAD after the fault: {type(exc).__name__}")
        return wrong

    def _read(self) -> Counter[str]:
        return Counter([*self._result.seen.errors, *self._result.seen.pressed])

    def _counts(self) -> tuple[int, int]:
        from sqlalchemy import text

        with self._database.read() as tx:
            counts = [tx.scalar(text(f"SELECT count(*) FROM {table}")) for table in ("job", "log_entry")]
        return int(counts[0] or 0), int(counts[1] or 0)


_MATERIAL: Final = threading.Lock()


@contextlib.contextmanager
def _deployed(base: Path, broker: str, result: Result, *, chance: random.Random) -> Iterator[tuple[Campaign, Doing]]:
    """Run the scaled deployment with everything that can be hit."""
    with contextlib.ExitStack() as held:
        names = {"archive": FIRST_HOST, "weed": STORE_SERVER, "pg": DATABASE_SERVER}
        disks = {
            names[folder]: held.enter_context(small_disk(base / folder, size_mib=size_mib))
            for folder, size_mib in _DISKS_MIB.items()
        }
        clocks = {name: MovedClock(base / "clocks", name) for name in ("first host", "second host")}
        wanted = Wanted(2, 2, is_direct=True, send_bytes="itself", broker=broker, has_ways=True, more={
            "LIUHEN_LEASE_S": "5",
            "LIUHEN_RING_AGAIN_S": "5",
            "LIUHEN_PROMPT_WORKERS": "2",
            **clocks["first host"].environment,
        })  # fmt: skip
        stage = held.enter_context(staged(base, wanted))
        result.parts = [*stage.parts, "a second host with worker, sequencer and relay"]
        own = {"LIUHEN_LOCAL_FOLDER": str(base / "second"), **clocks["second host"].environment}
        second = SecondHost(stage.server.home, {**stage.server.environment, **own}, base / "second.log")
        second.start()
        held.callback(second.end)
        database = Database(stage.database_url)
        held.callback(database.close)
        hosts = Hosts(stage, second, database)
        if not hosts.wait_up(within_s=_UP_S):
            raise RuntimeError(f"The second host does not run:\n{(base / 'second.log').read_text()[-2000:]}")
        campaign = Campaign(stage, hosts, database, base, result, chance=chance)
        held.callback(campaign.close)
        doing = Doing(stage, hosts, database, _settings(stage), clocks=clocks, disks=disks, chance=chance)
        result.left_out = [
            *([] if all(clock.can_move for clock in clocks.values()) else ["clocks (no C compiler)"]),
            *(f"disk of {name} (may not mount)" for name, disk in disks.items() if not disk.can_fill),
        ]
        try:
            yield campaign, doing
        finally:
            result.events = _events(stage.server.log_file, base / "second.log")


def _settings(stage: Stage) -> Settings:
    """Return the archive's settings with the broker past its way."""
    home = stage.server.home
    origin = re.search(r'^origin = "(.*)"$', (home / "liuhen.toml").read_text("utf-8"), re.MULTILINE)
    return Settings(
        home=home,
        origin="" if origin is None else origin[1],
        broker_url=stage.broker.url,
        broker_password_file=stage.broker.password_file,
        lease_s=int(stage.server.environment["LIUHEN_LEASE_S"]),
    )


def _events(*logs: Path) -> Counter[str]:
    """Count what processes told of themselves beyond the ordinary: crashes, and what they could not name."""
    found: Counter[str] = Counter()
    for log in logs:
        for line in log.read_text("utf-8", "replace").splitlines():
            event = re.search(r'"event": ?"([a-z_]+)"', line)
            if event is not None and '"exception"' in line:
                kind = re.findall(r'"exc_type": ?"(\w+)"', line)
                found[f"{event[1]} {' < '.join(kind[:2])}"] += 1
    return found


def run(
    broker: str, *, rounds: int, hits: int, only: Sequence[str], chance: random.Random, scratch: Path | None
) -> Result:
    """Run every fault so many times on one broker, in a folder that is deleted afterwards."""
    result, began = Result(broker), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liuhen-faults-", dir=scratch, ignore_cleanup_errors=True) as place:
        base = Path(place)
        base.chmod(0o711)
        with _deployed(base, broker, result, chance=chance) as (campaign, doing):
            wanted = [fault for fault in doing.all() if not only or any(word in fault.name for word in only)]
            order = [fault for fault in wanted for _ in range(rounds)]
            chance.shuffle(order)
            try:
                for fault in order:
                    result.rounds.append(campaign.round(fault, hits=hits))
                    _tell(len(result.rounds), result.rounds[-1])
                result.final = campaign.finish()
            except Exception as broken:
                if "CAMPAIGN_KEEP" in os.environ:
                    raise
                result.final = [f"the campaign broke off: {type(broken).__name__}: {broken}"]
            keep = os.environ.get("CAMPAIGN_KEEP")
            if keep is not None:
                _keep(Path(keep), base)
    result.seconds = time.monotonic() - began
    return result


def _keep(folder: Path, base: Path) -> None:
    """Copy what the processes have logged, for whoever looks into a run that did not hold."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in (base / "archive" / "serve.log", base / "second.log", base / "weed" / "weed.log"):
        (folder / log.name).write_bytes(log.read_bytes())


def _tell(number: int, found: Round) -> None:
    print(
        f"{number:3d}  {found.fault:58} {len(found.hits)} hits, {found.deliveries:3d} sent, {found.receipts:3d} "
        f"receipts, receipt after {found.recovered_s:5.1f} s, rest after {found.rested_s:5.1f} s, round "
        f"{found.seconds:5.1f} s  {'ok' if not found.wrong else 'WRONG'}",
        flush=True,
    )
    print(f"     {'; '.join(found.hits)}", flush=True)
    print(f"     {_shown(found.answers)} | readers: {_shown(found.read)}", flush=True)
    for what in found.wrong[:20]:
        print(f"     !! {what}", flush=True)


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} ×{count}" for what, count in sorted(counts.items()))


def main(arguments: Sequence[str]) -> int:
    """Run the campaign; 0 only if everything held."""
    parser = argparse.ArgumentParser(prog="./dev campaign faults", description=__doc__)
    parser.add_argument("--broker", choices=(*BROKERS, "both"), default="both")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each fault on each broker")
    parser.add_argument("--hits", type=int, default=2, help="how often a fault is done in a round")
    parser.add_argument("--only", action="append", default=[], help="only faults with this in their name; repeatable")
    parser.add_argument("--seed", type=int, default=None, help="what the random choices begin with")
    parser.add_argument("--scratch", type=Path, help="where everything lies meanwhile")
    parser.add_argument("--report", type=Path, nargs="?", const=REPORT, help="write a report, as it is committed")
    asked = parser.parse_args(arguments)
    is_whole = not asked.only
    if asked.report is not None and not is_whole:
        parser.error("a report tells of whole runs: leave --only or --report out")
    seed = random.SystemRandom().randrange(1 << 32) if asked.seed is None else asked.seed
    told = []
    for broker in BROKERS if asked.broker == "both" else (asked.broker,):
        print(f"{broker}, seed {seed}", flush=True)
        chance = random.Random(f"{seed} {broker}")
        result = run(
            broker, rounds=asked.rounds, hits=asked.hits, only=asked.only, chance=chance, scratch=asked.scratch
        )
        for what in result.final:
            print(f"!! {what}", flush=True)
        print(f"told of themselves: {_shown(result.events)}", flush=True)
        told.append(Told.of(result, seed=seed))
        if is_whole:
            told[-1].keep()
    if asked.report is not None:
        if lacking := [broker for broker in BROKERS if not Told.is_kept(broker)]:
            parser.error(f"there is no report without the other broker: run it with --broker {lacking[0]} first")
        told = [Told.kept(broker) for broker in BROKERS]
        asked.report.write_text(render(told), "utf-8")
        print(f"the report is in {asked.report}")
    held = all(each.held for each in told)
    print("Everything held" if held else "NOT everything held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
