"""The report of a run, as it is committed under docs/campaigns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import facts

if TYPE_CHECKING:
    from tests.campaign.jobs.campaign import Result

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "jobs.md"
_HOW: Final = (
    "On PostgreSQL, three Celery workers (two jobs at once each, leases of 2 s) and two relays work on jobs that are added "
    "all the time, some of which take up to 3 s. Meanwhile one fault after another is done to them, 0.2 to 3 s apart; who "
    "has died is started again, as the supervisor does. The workers are the real ones, but for what their jobs do: each "
    "writes one row in the transaction that finishes it, and the rows are counted. Then the faults end, and everything "
    "must come to rest: every job done, none twice."
)


def render(results: "Sequence[Result]", *, seed: int, seconds: float, command: str) -> str:
    """Return the report."""
    held = all(result.held for result in results)
    jobs, faults = sum(result.jobs for result in results), sum(sum(result.faults.values()) for result in results)
    names = list(dict.fromkeys(name for result in results for name in result.faults))
    lines = [
        "# Campaign: jobs",
        "",
        f"**{'Everything held' if held else 'NOT everything held'}**: {jobs} jobs, {faults} faults; one effect per job.",
        "",
        _HOW,
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command.strip()}` |",
        f"| Seed | {seed} |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        f"| Took | {seconds / 60:.1f} minutes |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        f"| Python | {facts.versions()['Python']} |",
        "",
        f"| | {' | '.join(result.broker for result in results)} |",
        f"|---|{'---|' * len(results)}",
    ]
    rows = {
        "jobs": [result.jobs for result in results],
        "attempts": [result.attempts for result in results],
        "messages sent again by us": [result.doubled for result in results],
        "jobs not done": [result.undone for result in results],
        "jobs with one effect": [result.effects[1] for result in results],
        "jobs with none": [result.effects[0] for result in results],
        "jobs with more": [result.jobs - result.effects[0] - result.effects[1] for result in results],
        "at rest after the last fault, s": [round(result.settled_s, 1) for result in results],
        **{f"fault: {name}": [result.faults[name] for result in results] for name in names},
    }
    lines += [f"| {name} | {' | '.join(map(str, values))} |" for name, values in rows.items()]
    return "\n".join(lines) + "\n"
