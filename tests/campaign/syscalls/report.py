"""The report of a run, as it is committed under docs/campaigns."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import facts

if TYPE_CHECKING:
    from tests.campaign.syscalls.campaign import Result

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "syscalls.md"
_HOW: Final = (
    "A writer takes in two recordings, appends entries, sequences, writes journal and tiles, publishes and anchors. "
    "strace makes exactly one of its calls to the kernel fail, with ENOSPC or with EIO: the first, the second, … of its "
    "kind, evenly spread where there are many. What the writer acknowledged before it ended is kept. Then the archive "
    "starts again without faults, and: it starts; every acknowledged entry is in the log and every acknowledged upload "
    "is an item; every checkpoint that was published is a beginning of the log; `fsck` finds nothing."
)


def render(result: "Result", *, command: str) -> str:
    """Return the report."""
    wrong = [case for case in result.cases if case.wrong]
    acked = sum(case.acked for case in result.cases)
    lines = [
        "# Campaign: syscalls",
        "",
        (
            f"**{'NOT everything held' if wrong else 'Everything held'}**: {len(result.cases)} faults, one at a time; "
            f"{acked} acknowledgements, {result.checkpoints} checkpoints and {result.findings} findings of fsck looked at."
        ),
        "",
        _HOW,
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command}` |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        f"| Took | {result.seconds / 60:.1f} minutes |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        *(f"| {name} | {value} |" for name, value in facts.versions().items() if name in {"Python", "SQLite"}),
        "",
        "| Call | In an undisturbed run | Faults | How the writer ended | Held |",
        "|---|---|---|---|---|",
    ]
    for call, error in dict.fromkeys((case.call, case.error) for case in result.cases):
        cases = [case for case in result.cases if (case.call, case.error) == (call, error)]
        ends = Counter(case.end for case in cases)
        told = "; ".join(f"{end} ({count})" for end, count in ends.most_common())
        held = "yes" if not any(case.wrong for case in cases) else "**NO**"
        lines.append(f"| {call} {error} | {result.calls[call]} | {len(cases)} | {told} | {held} |")
    lines += ["", *(f"- {case.call} {case.error} #{case.number}: {'; '.join(case.wrong)}" for case in wrong)]
    return "\n".join(lines).rstrip() + "\n"
