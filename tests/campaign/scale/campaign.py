"""`./dev campaign scale`: contract, integration, fault and end-to-end suites on each deployment, one after another.

Nothing may be skipped: what a deployment has no place for is left out by a mark that says why, and is counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import facts
from tests.campaign.scale import recording
from tests.campaign.scale.report import FOLDER, REPORT, Result, read_record, render

SUITES: Final = ("tests/contract", "tests/integration", "tests/faults", "tests/conformance/liuhen", "tests/e2e")
_ROOT: Final = Path(__file__).parents[3]
_PYTEST_RAN: Final = frozenset({0, 1})
_ROOM_MIB: Final = 4096


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the archives of one run are on."""

    name: str
    title: str
    variables: tuple[tuple[str, str], ...]


def _deployment(name: str, title: str, **variables: str) -> Deployment:
    return Deployment(name, title, tuple((f"LIUHEN_TEST_{each.upper()}", said) for each, said in variables.items()))


DEPLOYMENTS: Final = (
    _deployment("sqlite", "SQLite + files", database="sqlite", store="files"),
    _deployment("postgres", "PostgreSQL + files", database="postgres", store="files"),
    _deployment("redis", "PostgreSQL + S3 + Redis", database="postgres", store="s3", broker="redis"),
    _deployment("rabbitmq", "PostgreSQL + S3 + RabbitMQ", database="postgres", store="s3", broker="rabbitmq"),
)


def play(deployment: Deployment, paths: Sequence[str], *, processes: int, is_whole: bool) -> Result:
    """Run the suites on a deployment; what each test said lies in `FOLDER` afterwards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ending = "" if is_whole else ".part"
    record, log = (FOLDER / f"{deployment.name}{ending}.{kind}" for kind in ("jsonl", "log"))
    record.unlink(missing_ok=True)
    print(f"{deployment.title}: {log}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liuhen-scale-", dir=_roomy()) as place, log.open("wb") as out:
        Path(place).chmod(0o711)  # PostgreSQL runs as a user of its own
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", recording.__name__, "-p", "no:cacheprovider", "--timeout", "900"),
                *("-n", str(processes), "--dist", "loadfile", *paths),
            ],
            env=_environment(deployment, record, place), cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            check=False,
        )  # fmt: skip
    result = Result(
        deployment.name, deployment.title, facts.commit(), facts.now(), time.monotonic() - began,
        broke=ended.returncode not in _PYTEST_RAN, **read_record(record),
    )  # fmt: skip
    if is_whole:
        result.keep()
    return result


def _environment(deployment: Deployment, record: Path, place: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIUHEN_")}
    first = {recording.IS_FIRST: "1"} if deployment is DEPLOYMENTS[0] else {}
    # In CI nothing that is missing may be passed over, and examples are the same each time.
    return {**kept, **dict(deployment.variables), **first, recording.RECORD: str(record), "TMPDIR": place, "CI": "true"}


def _roomy() -> str | None:
    """Return a folder in memory where there is plenty: thousands of small archives cost nothing there."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.statvfs(memory).f_bavail * os.statvfs(memory).f_frsize >> 20 >= _ROOM_MIB:
        return str(memory)
    return None


def _tell(result: Result) -> None:
    left_out = sum(result.left_out.values())
    print(
        f"{result.title}: {result.passed} passed, {len(result.failed)} failed, {left_out} left out, "
        f"{result.seconds / 60:.1f} minutes{', and pytest broke off' if result.broke else ''}",
        flush=True,
    )
    for test in result.failed:
        print(f"  FAILED {test}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the campaign; 0 only if all held."""
    parser = argparse.ArgumentParser(prog="./dev campaign scale")
    names = [each.name for each in DEPLOYMENTS]
    parser.add_argument("--deployment", action="append", choices=names, help="this one only; may be given again")
    parser.add_argument("--again", action="store_true", help="only what failed when it ran last; counts for no report")
    parser.add_argument("--processes", type=int, default=3, help="of pytest at once")
    parser.add_argument("--report", type=Path, nargs="?", const=REPORT, help="write a report, as it is committed")
    parser.add_argument("paths", nargs="*", help="of tests, instead of all suites; counts for no report")
    asked = parser.parse_args(arguments)
    results = []
    for deployment in DEPLOYMENTS:
        if asked.deployment and deployment.name not in asked.deployment:
            continue
        paths = asked.paths or SUITES
        if asked.again:
            paths = Result.kept(deployment.name).failed
            if not paths:
                continue
        is_whole = not asked.again and not asked.paths
        results.append(play(deployment, paths, processes=asked.processes, is_whole=is_whole))
        _tell(results[-1])
    if asked.report is not None:
        # Deployments may have been run one by one: each tells its commit and when.
        whole = [Result.kept(name) for name in names]
        asked.report.write_text(render(whole, command=f"./dev campaign scale {' '.join(arguments)}"), "utf-8")
        results = whole
    return 0 if results and all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
