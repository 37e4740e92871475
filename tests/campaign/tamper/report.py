"""The report of a run, as it is committed under docs/campaigns."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import facts
from tests.campaign.tamper.changes import KINDS, MEANING, OPERATIONS

if TYPE_CHECKING:
    from tests.campaign.tamper.campaign import Result

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "tamper.md"
_VERIFIERS: Final = ("liuhen verify", "verify.py", "verify.html")
_HOW: Final = (
    "A case package is changed in one place, judged by `liuhen verify`, `verify.py` and `verify.html` (Debian's chromium, "
    "from the disk, network off), and put back. All have the true trust file, the first two a copy of the log, so that "
    "the untouched package is valid. A change counts as found when the verdict *unaltered* is not valid and a finding "
    "names the file (a tag manifest is named by its signature). Every change but a flip is also judged by the commands "
    "themselves, which must end with 1 or 2; and all three have to say the same: verdict, codes, files. "
    "Of the flips, among them one in every byte of one container of each kind, the browser judges the first few."
)


def render(result: "Result", *, command: str) -> str:
    """Return the report."""
    return "\n".join(
        [
            "# Campaign: tamper",
            "",
            _verdict(result),
            "",
            _HOW,
            "",
            "| | |",
            "|---|---|",
            f"| Command | `{command}` |",
            f"| Seed | {result.seed} |",
            f"| Date | {facts.now()} |",
            f"| Commit | {facts.commit()} |",
            f"| Took | {result.seconds / 60:.1f} minutes |",
            *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
            *(f"| {name} | {value} |" for name, value in facts.versions().items() if name in {"Python", "openssl"}),
            "",
            "## What was done",
            "",
            *(f"- **{name}**: {meaning}." for name, meaning in MEANING.items()),
            "",
            *_grounds(result),
            *_table(result),
            *_commands(result),
            *_survivors(result),
            *_forged(result),
            *_wrong(result),
        ]
    )


def _grounds(result: "Result") -> list[str]:
    lines = [
        f"- The package {name}: {len(kinds)} kinds of file ({', '.join(kinds)})." for name, kinds in result.grounds
    ]
    return ["## To what", "", *lines, ""]


def _verdict(result: "Result") -> str:
    tried, found = sum(result.tried.values()), sum(result.found.values())
    held = "NOT everything held" if result.wrong else "Everything held"
    survived = f"{sum(result.survivors.values())} changed bits in signature containers survived."
    return f"**{held}**: {found} of {tried} judgements found the change, {survived}"


def _table(result: "Result") -> list[str]:
    lines = [
        "## Found of tried, by kind of file",
        "",
        "Three figures in a cell: " + ", ".join(f"`{name}`" for name in _VERIFIERS) + ".",
        "",
        f"| Kind | {' | '.join(OPERATIONS)} |",
        "|---|" + "---|" * len(OPERATIONS),
    ]
    for kind in KINDS:
        cells = []
        for operation in OPERATIONS:
            keys = [(kind, operation, name) for name in _VERIFIERS]
            cells.append(" ".join(f"{result.found[key]}/{result.tried[key]}" for key in keys))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    if result.unlike:
        told = ", ".join(f"`{name}` {count}" for name, count in sorted(result.unlike.items()))
        lines += [
            "",
            f"Flips in ML-DSA-44 signatures, which only `liuhen verify` checks, were told by the manifests alone: {told}.",
        ]
    if result.unchanged:
        lines += ["", f"{result.unchanged} changes left the file as it was and do not count."]
    return [*lines, ""]


def _commands(result: "Result") -> list[str]:
    lines = [
        "## Exit codes of the commands",
        "",
        "| Command | 1, invalid | 2, indeterminate | other |",
        "|---|---|---|---|",
    ]
    for name in _VERIFIERS[:2]:
        codes = {code: count for (who, code), count in result.commands.items() if who == name}
        other = sum(count for code, count in codes.items() if code not in {1, 2})
        lines.append(f"| `{name}` | {codes.get(1, 0)} | {codes.get(2, 0)} | {other} |")
    return [*lines, ""]


def _survivors(result: "Result") -> list[str]:
    lines = ["## Flips in signature containers that survived, by field", ""]
    if not result.survivors:
        return [*lines, "None.", ""]
    lines += ["| Container | Verifier | Field | Flips |", "|---|---|---|---|"]
    return [
        *lines,
        *(f"| {kind} | `{who}` | {place} | {count} |" for (kind, who, place), count in result.survivors.items()),
        "",
    ]


def _forged(result: "Result") -> list[str]:
    lines = [
        "## Forged with other keys",
        "",
        "*Unaltered* as judged with the true trust file; without one, none of these was valid either.",
        "",
        f"| Forged | {' | '.join(f'`{name}`' for name in _VERIFIERS)} |",
        "|---|---|---|---|",
    ]
    return [
        *lines,
        *(f"| {name} | {' | '.join(told[who] for who in _VERIFIERS)} |" for name, told in result.forged),
        "",
    ]


def _wrong(result: "Result") -> list[str]:
    if not result.wrong:
        return []
    return ["## What did not hold", "", *(f"- {each}" for each in result.wrong[:50]), ""]
