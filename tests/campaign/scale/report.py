"""What a run of one deployment came to, and the report of all, as it is committed under docs/campaigns."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.bench import facts

_ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = _ROOT / ".dev" / "campaigns" / "scale"
REPORT: Final = _ROOT / "docs" / "campaigns" / "scale.md"
_HOW: Final = (
    "The suites of contracts, integration, faults, conformance and browsers run once on each deployment. Every archive of "
    "a run, in the process of a test or served by processes of its own, is on that database, with that store and behind "
    "that broker. S3 is SeaweedFS, with Object Lock in mode COMPLIANCE; what tests tamper with there they change on the "
    "server's disk, past its locks. Nothing is skipped: a test that skips counts as failed. What a deployment has no place "
    "for is left out by a mark that says why, and is counted below."
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one deployment's run."""

    name: str
    title: str
    commit: str
    at: str
    seconds: float
    broke: bool
    passed: int
    by_suite: Mapping[str, int]
    failed: Sequence[str]
    left_out: Mapping[str, int]

    @property
    def held(self) -> bool:
        """Whether tests ran, to the end, and all passed."""
        return not self.broke and self.passed > 0 and not self.failed

    def keep(self) -> None:
        """Write it down for a report."""
        _file(self.name).write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def kept(cls, name: str) -> Self:
        """Return what was written down last. Raises: FileNotFoundError."""
        return cls(**json.loads(_file(name).read_text("utf-8")))


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"


def read_record(record: Path) -> dict[str, Any]:
    """Return what the plugin wrote down of a run, counted."""
    passed, failed, left_out = set(), set(), {}
    for line in record.read_text("utf-8").splitlines() if record.exists() else ():
        told = json.loads(line)
        if reason := told.get("left_out"):
            left_out[told["test"]] = reason
        else:
            (failed if told["outcome"] == "failed" else passed).add(told["test"])
    passed -= failed
    return {
        "passed": len(passed),
        "by_suite": dict(Counter("/".join(test.split("/")[:2]) for test in sorted(passed))),
        "failed": sorted(failed),
        "left_out": dict(Counter(left_out.values()).most_common()),
    }


def render(results: Sequence[Result], *, command: str) -> str:
    """Return the report."""
    verdict, reasons = "Everything held", Counter[str]()
    if not all(result.held for result in results):
        verdict = "NOT everything held"
    passed, failed = (
        sum(each) for each in zip(*((result.passed, len(result.failed)) for result in results), strict=True)
    )
    for result in results:
        reasons.update(result.left_out)
    suites = sorted({suite for result in results for suite in result.by_suite})
    rows: dict[str, list[object]] = {
        "passed": [result.passed for result in results],
        **{f"– of `{suite}`": [result.by_suite.get(suite, 0) for result in results] for suite in suites},
        "failed": [len(result.failed) for result in results],
        "skipped": [0 for _ in results],
        "left out, for the reasons below": [sum(result.left_out.values()) for result in results],
        "minutes": [f"{result.seconds / 60:.1f}" for result in results],
        "commit": [result.commit for result in results],
        "date": [result.at for result in results],
    }
    lines = [
        "# Campaign: scale",
        "",
        f"**{verdict}**: {passed} passed, {failed} failed, none skipped.",
        "",
        _HOW,
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command.strip()}` |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/dev/shm")).items()),
        f"| Python | {facts.versions()['Python']} |",
        "",
        *_table("", results, rows),
        "",
        "What was left out, and why:",
        "",
        *_table("Reason", results, {reason: [each.left_out.get(reason, 0) for each in results] for reason in reasons}),
    ]
    for result in results:
        if result.failed or result.broke:
            lines += ["", f"Failed on {result.title}{', where pytest broke off' if result.broke else ''}:", ""]
            lines += [f"- `{test}`" for test in result.failed]
    return "\n".join(lines) + "\n"


def _table(head: str, results: Sequence[Result], rows: Mapping[str, Sequence[object]]) -> list[str]:
    return [
        f"| {head} | {' | '.join(result.title for result in results)} |",
        f"|---|{'---|' * len(results)}",
        *(f"| {name} | {' | '.join(map(str, values))} |" for name, values in rows.items()),
    ]
