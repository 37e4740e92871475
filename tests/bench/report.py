"""Results of measurements: kept in docs/benchmarks, one file each, and rendered together as docs/benchmarks.md."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench import facts

_ROOT: Final = Path(__file__).parents[2]
KEPT: Final = _ROOT / "docs" / "benchmarks"
REPORT: Final = _ROOT / "docs" / "benchmarks.md"
_HOW: Final = (
    "Written by `./dev bench`; do not edit. Each figure is the median of the runs of one session, in brackets the "
    "least and the greatest. What is compared takes turns within one session on one machine, with a `sync` between, "
    "and both sides have the same client. Ratios travel between machines better than seconds. A target that is "
    "missed is shown as missed."
)


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured in each run. Units: as the row says."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.values)

    def shown(self, unit: str = "s", *, digits: int = 2) -> str:
        """Render median and span."""
        span = "" if len(self.values) < 2 else f" ({min(self.values):.{digits}f} to {max(self.values):.{digits}f})"
        return f"{self.median:.{digits}f} {unit}{span}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. `holds` is None where there is no target."""

    what: str
    figure: str
    ratio: str = ""
    target: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement: what was compared, its table, and every single value."""

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    runs: int
    samples: dict[str, tuple[float, ...]] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)


def target_row(what: str, figure: str, *, ratio: float, least: float | None = None, most: float | None = None) -> Row:
    """Return a row whose ratio has to be at least, or at most, a target."""
    if least is not None:
        return Row(what, figure, f"{ratio:.2f}x", f"at least {least:.2f}x", ratio >= least)
    if most is not None:
        return Row(what, figure, f"{ratio:.2f}x", f"at most {most:.2f}x", ratio <= most)
    return Row(what, figure, f"{ratio:.2f}x")


def keep(section: Section, *, scratch: Path, starts: int, busy_starts: int) -> None:
    """Keep a result with the facts of the machine and the moment.

    `busy_starts`: how many of the runs began while the machine was busy with something else.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    value = {
        "section": asdict(section),
        "machine": dict(facts.machine(scratch=scratch)),
        "versions": dict(facts.versions()),
        "commit": facts.commit(),
        "at": facts.now(),
        "load": facts.load(),
        "starts": starts,
        "busy_starts": busy_starts,
    }
    _path(section.name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def kept(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the results that are there, in the order of the names."""
    return [json.loads(_path(name).read_text("utf-8")) for name in names if _path(name).exists()]


def _path(name: str) -> Path:
    return KEPT / f"{name}.json"


def table(rows: Sequence[Row]) -> list[str]:
    """Render rows as a Markdown table."""
    verdict = {None: "", True: "held", False: "**missed**"}
    return [
        "| What | Median | Ratio | Target | |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.figure} | {row.ratio} | {row.target} | {verdict[row.holds]} |" for row in rows),
    ]


def rows_of(value: dict[str, Any]) -> list[Row]:
    """Return the rows of a kept result."""
    return [Row(**row) for row in value["section"]["rows"]]


def _origin(value: dict[str, Any], newest: dict[str, Any]) -> str:
    section = value["section"]
    other = [f"{name} {what}" for name, what in value["machine"].items() if what != newest["machine"].get(name)]
    elsewhere = f" On another machine: {'; '.join(other)}." if other else ""
    when = f"{value['at']}, load after: {value['load']}, commit {value['commit']}"
    busy = (
        ""
        if not value.get("busy_starts")
        else (
            f" **{value.get('busy_starts')} of {value['starts']} measurements began while the machine was busy with something "
            "else.**"
        )
    )
    return f"`./dev bench {section['name']}`, {section['runs']} runs, {when}.{elsewhere}{busy}"


def render(values: Sequence[dict[str, Any]]) -> str:
    """Return docs/benchmarks.md."""
    newest = max(values, key=lambda value: str(value["at"]))
    missed = [row.what for value in values for row in rows_of(value) if row.holds is False]
    held = sum(1 for value in values for row in rows_of(value) if row.holds)
    programs = {name: version for value in values for name, version in value["section"]["programs"].items()}
    lines = [
        "# Benchmarks",
        "",
        _HOW,
        "",
        f"{held} targets are held, {len(missed)} missed.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in newest["machine"].items()),
        *(f"| {name} | {what} |" for name, what in {**newest["versions"], **programs}.items() if what),
        "",
    ]
    for value in values:
        section = value["section"]
        lines += [
            f"## {section['title']}",
            "",
            section["text"],
            "",
            *table(rows_of(value)),
            "",
            _origin(value, newest),
            "",
        ]
    return "\n".join(lines)
