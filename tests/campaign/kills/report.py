"""The report of a run, as it is committed under docs/campaigns."""

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import facts
from tests.campaign.kills.plan import MEANING, PHASES
from tests.campaign.kills.service import ROLES, SUPERVISOR

if TYPE_CHECKING:
    from tests.campaign.kills.campaign import Result, Round

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "kills.md"
LEAST_HITS: Final = 5
"""How often each phase has to be hit on each database, unless the command says more."""
_MOST_TOLD: Final = 50
_HOW: Final = (
    "While docks upload and media jobs run, one process of the real service (or the supervisor, or all of "
    "them at once) is killed: at an armed step, or at a random moment. What the dead process was doing is "
    "read from a board in shared memory that it kept until its death. Then the service recovers by itself "
    "(a dead supervisor is started again, as an init system would), the docks go on, and when all is "
    "quiet everything is checked: `liuhen fsck`, every acknowledged offset, every receipt and its "
    "original, doubles, jobs, and that every checkpoint anybody has seen is a beginning of the log."
)
_TABLE: Final = (
    "Rounds in which a process died in the phase, by who died; in brackets: rounds in which the phase "
    "went on in a process that lived, beside the one that died. One death can hit several phases."
)
_COLUMNS: Final = (*ROLES, SUPERVISOR, "all")


def render(results: Sequence["Result"], *, seed: int, command: str, least: int = LEAST_HITS) -> tuple[str, bool]:
    """Return the report, and whether everything held and each phase was hit often enough on each database."""
    hit = all(result.hits(phase) >= least for result in results for phase in PHASES)
    is_good = hit and not any(result.wrong for result in results)
    kills = sum(1 for result in results for found in result.rounds if found.death is not None and found.has_work)
    parts = [
        "# Campaign: kills",
        "",
        f"**{'Everything held' if is_good else 'NOT everything held'}**: {kills} kills by SIGKILL with work in flight.",
        f"{'Each phase was hit at least' if hit else 'Not every phase was hit'} {least} times on each database.",
        "",
        _HOW,
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command}` |",
        f"| Seed | {seed} |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        *(f"| {name} | {value} |" for name, value in facts.versions().items()),
        "",
        "## What the phases are",
        "",
        *(f"- **{phase}**: {meaning}." for phase, meaning in MEANING.items()),
        "",
    ]
    for result in results:
        parts += _one_database(result)
    return "\n".join(parts), is_good


def _one_database(result: "Result") -> list[str]:
    ledger, checked = result.ledger, result.checked
    accepted = [found for found in ledger.deliveries if found.receipt]
    quarantined = [found for found in ledger.deliveries if found.quarantined]
    back = sorted(found.back_s for found in result.rounds) or [0.0]
    interrupted = sum(1 for found in ledger.deliveries if found.breaks)
    return [
        f"## {result.database_version}: {len(result.rounds)} rounds in {result.seconds / 60:.1f} minutes",
        "",
        _TABLE,
        "",
        f"| Phase | {' | '.join(_COLUMNS)} | died in it |",
        "|---|" + "---|" * (len(_COLUMNS) + 1),
        *(_row(result.rounds, phase) for phase in MEANING),
        "",
        "| What was looked at | |",
        "|---|---|",
        f"| Kills with work in flight | {sum(found.has_work for found in result.rounds)} of {len(result.rounds)} |",
        f"| Recordings delivered | {len(ledger.deliveries)}, {interrupted} of them with interruptions |",
        f"| Receipts, each verified offline | {len(accepted)} |",
        f"| In quarantine, as they were meant to be | {len(quarantined)} |",
        f"| Acknowledged offsets held against HEAD | {sum(found.heads for found in ledger.deliveries)} |",
        f"| Originals read and compared with the dock's bytes | {checked.originals} |",
        f"| Published checkpoints seen by an onlooker | {len(ledger.checkpoints)} |",
        f"| Proofs that a checkpoint seen is a beginning of the log | {checked.checkpoints} |",
        f"| Findings of `liuhen fsck` | {checked.fsck_findings} |",
        f"| Objects that `ocfl-py` finds valid at the end | {checked.ocfl_objects} |",
        f"| Files left over after the last start | {len(result.leftovers)}{_some(result.leftovers)} |",
        f"| From the kill until all answers again | median {statistics.median(back):.1f} s, at most {back[-1]:.1f} s |",
        f"| Answers to the docks | {_answers(ledger.answers)} |",
        "",
        *(["Broken promises:", "", *(f"- {what}" for what in result.wrong[:_MOST_TOLD]), ""] if result.wrong else []),
        "<details><summary>All rounds</summary>",
        "",
        "| Round | Died | At | Doing | Recordings | Back after | Held |",
        "|---|---|---|---|---|---|---|",
        *(_round(found) for found in result.rounds),
        "",
        "</details>",
        "",
    ]


def _row(rounds: Sequence["Round"], phase: str) -> str:
    died, beside = Counter[str](), Counter[str]()
    for found in rounds:
        if found.death is not None:
            column = "all" if len(found.death.dead) > 1 else found.death.dead[0]
            died[column] += phase in found.death.doing
            beside[column] += phase in found.death.beside
    cells = [f"{died[name] or '·'}{f' ({beside[name]})' if beside[name] else ''}" for name in _COLUMNS]
    return f"| {phase} | {' | '.join(cells)} | {died.total()} |"


def _round(found: "Round") -> str:
    death = found.death
    if death is None:
        return f"| {found.number} | nobody | | | | | no |"
    doing = ", ".join(f"{phase} ×{count}" for phase, count in death.doing.items()) or "nothing"
    held = "yes" if not found.wrong else "NO"
    return (
        f"| {found.number} | {'all' if len(death.dead) > 1 else death.dead[0]} | {death.point or 'random moment'} "
        f"| {doing} | {len(found.deliveries)} | {found.back_s:.1f} s | {held} |"
    )


def _answers(answers: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(answers.items()))


def _some(names: Sequence[str]) -> str:
    kinds = Counter(name.partition("/")[0] for name in names)
    return "" if not names else f" ({', '.join(f'{count} in {kind}' for kind, count in kinds.items())})"
