"""The report of a run, as it is committed under docs/campaigns."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.bench import facts

if TYPE_CHECKING:
    from tests.campaign.faults.campaign import Result, Round

_ROOT: Final = Path(__file__).parents[3]
REPORT: Final = _ROOT / "docs" / "campaigns" / "faults.md"
FOLDER: Final = _ROOT / ".dev" / "campaigns" / "faults"
_MOST_TOLD: Final = 50
_HOW: Final = (
    "The scaled deployment on one machine: PostgreSQL, an S3 server with Object Lock, a broker, nginx before two web "
    "processes, and two hosts with workers; on the second host a sequencer and a relay stand by. Docks send small "
    "recordings of every kind through nginx (tus) and straight to the bucket, one person reads pages and one watches. "
    "Meanwhile one fault is done several times, at random moments, and healed. Then the docks end what they have begun, and "
    "when everything is at rest buckets and database are looked at past the service."
)
_LOOKED: Final = (
    "Looked at after each round: `liuhen fsck`; every offset that was acknowledged; every receipt, verified offline, and its "
    "original, read by the version id that is locked, with its SHA-512; its renditions with their SHA-256, and that it plays; "
    "one item for each recording, one entry of each kind for each effect, one version of each object; no job dead or left; "
    "every checkpoint that anybody ever saw is a beginning of the log; every recording that was begun has its receipt; "
    "no answer but 2xx, 503 and 507 with Retry-After, and nginx's 502 and 504. At the end all of it once more, and "
    "`ocfl-py` over every object."
)
_COLUMNS: Final = (
    "Receipt again: from the end of the last hit until a recording that is begun then has its receipt (median / most). At "
    "rest: until no job and no entry waits."
)
_NOTES: Final = (
    (
        "- **killed -9**: of web processes and workers any one of them, of sequencers and relays the one that holds the lock "
        "(found by its connection to the database). What is a child of `liuhen serve` is started again by it, what is not by the "
        "campaign, as a container runtime would."
    ),
    (
        "- **cut**: proxies between the parts pass no byte and answer nobody; healed, they pass what was kept back, late. Some cuts last "
        "longer than the 30 s that the archive gives a silent server. **forgotten**: what is open stays silent for ever, as after a "
        "firewall has forgotten it. **reset**: RST to both ends, and to who comes meanwhile."
    ),
    (
        "- **clocks**: the processes load a library (LD_PRELOAD) that moves the wall clock and leaves the monotonic one alone, as "
        "setting the time does; each jump there is followed by one back. Database, S3 server and nginx keep the right time, so the "
        "S3 server refuses signatures of a host that is an hour off. libfaketime cannot be used: its 0.9.10 breaks `time.sleep` of Python 3.11."
    ),
    (
        "- **disk full**: file systems in memory under the first host's folders (home, staging, work), under the S3 server and under "
        "the database, filled to the last byte. When there is room again SeaweedFS is killed and started: its index keeps the error "
        "and would write nothing more. PostgreSQL is started if it has ended."
    ),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one broker's run. Brokers may be run one by one."""

    broker: str
    seed: int
    commit: str
    at: str
    hits: int
    receipts: int
    held: bool
    lines: Sequence[str]

    @classmethod
    def of(cls, result: "Result", *, seed: int) -> Self:
        """Return what is told of a run that has just ended."""
        return cls(
            broker=result.broker,
            seed=seed,
            commit=facts.commit(),
            at=facts.now(),
            hits=sum(len(found.hits) for found in result.rounds),
            receipts=sum(1 for found in result.ledger.deliveries if found.receipt),
            held=not result.wrong,
            lines=_one_broker(result),
        )

    def keep(self) -> None:
        """Write it down for a report."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        _file(self.broker).write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), "utf-8")

    @staticmethod
    def is_kept(broker: str) -> bool:
        """Whether this broker was run here."""
        return _file(broker).exists()

    @classmethod
    def kept(cls, broker: str) -> Self:
        """Return what was written down last. Raises: FileNotFoundError."""
        return cls(**json.loads(_file(broker).read_text("utf-8")))


def _file(broker: str) -> Path:
    return FOLDER / f"{broker}.json"


def render(told: Sequence[Told]) -> str:
    """Return the report."""
    held = all(each.held for each in told)
    hits, receipts = sum(each.hits for each in told), sum(each.receipts for each in told)
    lines = [
        "# Campaign: faults",
        "",
        f"**{'Everything held' if held else 'NOT everything held'}**: {hits} faults, {receipts} receipts.",
        "",
        _HOW,
        "",
        _LOOKED,
        "",
        *_NOTES,
        "",
        "| | |",
        "|---|---|",
        "| Command | `./dev campaign faults --report`, or once for each broker with `--broker` |",
        *(f"| {each.broker} | {each.at}, commit {each.commit}, seed {each.seed} |" for each in told),
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        f"| Python | {facts.versions()['Python']} |",
        "",
    ]
    for each in told:
        lines += each.lines
    return "\n".join(lines)


def _one_broker(result: "Result") -> list[str]:
    ledger, checked, seen = result.ledger, result.checked, result.seen
    rounds: dict[str, list[Round]] = {}
    for found in result.rounds:
        rounds.setdefault(found.fault, []).append(found)
    told = ["Broken promises:", "", *(f"- {what}" for what in result.wrong[:_MOST_TOLD]), ""] if result.wrong else []
    direct = sum(found.style == "direct" for found in ledger.deliveries)
    pages = sum(len(each) for each in seen.pages.values())
    return [
        f"## {result.broker}: {len(result.rounds)} rounds in {result.seconds / 60:.1f} minutes",
        "",
        f"Took part: {', '.join(result.parts)}.{_left_out(result.left_out)}",
        "",
        "| Fault | rounds | hits | uploads | receipts | jobs | entries | receipt again, s | at rest, s | held |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(name, rounds[name]) for name in sorted(rounds)),
        "",
        _COLUMNS,
        "",
        "| What was looked at | |",
        "|---|---|",
        f"| Recordings delivered | {len(ledger.deliveries)}, {direct} of them straight to the bucket |",
        f"| Receipts, each verified offline | {sum(1 for found in ledger.deliveries if found.receipt)} |",
        f"| In quarantine, as they were meant to be | {sum(found.quarantined for found in ledger.deliveries)} |",
        f"| Acknowledged offsets held against HEAD | {sum(found.heads for found in ledger.deliveries)} |",
        f"| Originals read by version id and compared | {checked.originals} |",
        f"| Renditions read and compared | {checked.renditions} |",
        f"| Published checkpoints seen by an onlooker | {len(ledger.checkpoints)} |",
        f"| Proofs that a checkpoint seen is a beginning of the log | {checked.checkpoints} |",
        f"| Findings of `liuhen fsck` | {checked.fsck_findings} |",
        f"| Objects that `ocfl-py` finds valid at the end | {checked.ocfl_objects} |",
        f"| Pages and ranges that readers got | {pages} and {len(seen.ranges_s)} |",
        "",
        *told,
        "<details><summary>What docks and readers met, by fault</summary>",
        "",
        "| Fault | Answers to docks that were none, or refused | Readers met |",
        "|---|---|---|",
        *(_met(name, rounds[name]) for name in sorted(rounds)),
        "",
        "</details>",
        "",
        "<details><summary>All rounds</summary>",
        "",
        "| Round | Fault | Hits | Held |",
        "|---|---|---|---|",
        *(
            f"| {number} | {found.fault} | {'; '.join(found.hits)} | {'yes' if not found.wrong else 'NO'} |"
            for number, found in enumerate(result.rounds, start=1)
        ),
        "",
        "</details>",
        "",
    ]


def _left_out(parts: Sequence[str]) -> str:
    return f" Left out: {', '.join(parts)}." if parts else ""


def _row(name: str, rounds: "Sequence[Round]") -> str:
    receipt, rest = sorted(found.recovered_s for found in rounds), sorted(found.rested_s for found in rounds)
    return (
        f"| {name} | {len(rounds)} | {sum(len(found.hits) for found in rounds)} "
        f"| {sum(found.deliveries for found in rounds)} | {sum(found.receipts for found in rounds)} "
        f"| {sum(found.jobs for found in rounds)} | {sum(found.entries for found in rounds)} "
        f"| {statistics.median(receipt):.1f} / {receipt[-1]:.1f} | {statistics.median(rest):.1f} / {rest[-1]:.1f} "
        f"| {'yes' if not any(found.wrong for found in rounds) else 'NO'} |"
    )


def _met(name: str, rounds: "Sequence[Round]") -> str:
    answers, read = Counter[str](), Counter[str]()
    for found in rounds:
        answers += Counter({what: count for what, count in found.answers.items() if not _is_good(what)})
        read += found.read
    return f"| {name} | {_shown(answers)} | {_shown(read)} |"


def _is_good(what: str) -> bool:
    return any(word.startswith("2") and word.isdigit() for word in what.split())


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(counts.items())) or "nothing"
