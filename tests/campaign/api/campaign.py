"""`./dev campaign api`: Schemathesis tries every address of the OpenAPI document as every caller, for long."""

import argparse
import logging
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from argon2 import PasswordHasher

from archive.access import passwords
from tests.bench import facts
from tests.support.api_judge import Judged, Scene, judge, scene

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "api.md"
_PHASES: Final = "examples,coverage,fuzzing,stateful"
_HOW: Final = (
    "An archive with a case that a case system pushed, an item that is filed under it, events, a webhook and a package "
    "is served over TLS. Schemathesis reads `/api/v1/openapi.json` there and tries every address of it: with what the "
    "document gives as examples, with each boundary of each field, with random input that fits and that does not, and in "
    "sequences where one answer gives the next address. Every caller is tried twice: told ids of what there is, and "
    "making up its own. No answer may be a server error; status, media type, headers and body are those of the document; "
    "what does not fit is refused; without its key or session an address is closed; other methods are told by `Allow`; "
    "what was made can be had, and what was deleted cannot."
)


@dataclass(frozen=True, slots=True)
class Round:
    """One caller, guided or not. `cases` is how many requests were judged."""

    judged: Judged
    is_guided: bool
    cases: int
    seconds: float


def main(arguments: list[str]) -> int:
    """Run the campaign, write its report, and return 0 only if nothing was found."""
    parser = argparse.ArgumentParser(prog="./dev campaign api", description=__doc__)
    parser.add_argument("--examples", type=int, default=60, help="random inputs for each address; 60 by default")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=256, parallelism=1)
    rounds = []
    with tempfile.TemporaryDirectory(prefix="liuhen-api-") as place:
        folder = Path(place)
        with scene(folder, f"sqlite+pysqlite:///{folder / 'api.sqlite3'}") as made:
            for caller in made.callers:
                for is_guided in (True, False):
                    rounds.append(_round(made, caller, given.examples, is_guided=is_guided))
                    print(
                        f"{caller:28} {'guided' if is_guided else 'unguided':9} {rounds[-1].cases:6} {rounds[-1].judged.is_good}"
                    )
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(render(rounds, command=" ".join(["./dev campaign api", *arguments])), "utf-8")
    for found in rounds:
        if not found.judged.is_good:
            print(found.judged.said)
    is_good = all(found.judged.is_good for found in rounds)
    print(f"{'Nothing was found' if is_good else 'Something was found'}; the report is in {given.report}")
    return 0 if is_good else 1


def _round(made: Scene, caller: str, examples: int, *, is_guided: bool) -> Round:
    began = time.monotonic()
    judged = judge(made, caller, examples=examples, phases=_PHASES, is_guided=is_guided)
    counted = re.search(r"(\d+) generated", judged.said)
    return Round(judged, is_guided, int(counted[1]) if counted else 0, time.monotonic() - began)


def render(rounds: list[Round], *, command: str) -> str:
    """Return the report."""
    wrong = [found for found in rounds if not found.judged.is_good]
    lines = [
        "# Campaign: api",
        "",
        f"**{'Something was found' if wrong else 'Nothing was found'}**: {sum(found.cases for found in rounds)} requests judged.",
        "",
        _HOW,
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command}` |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        f"| Took | {sum(found.seconds for found in rounds) / 60:.1f} minutes |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        "",
        "| Caller | Ids | Requests | Held |",
        "|---|---|---|---|",
        *(
            f"| {found.judged.caller} | {'of what there is' if found.is_guided else 'made up'} | {found.cases} | "
            f"{'yes' if found.judged.is_good else '**NO**'} |"
            for found in rounds
        ),
        "",
        *(f"- {found.judged.caller}: {line}" for found in wrong for line in _told(found.judged)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _told(judged: Judged) -> list[str]:
    return re.findall(r"^- (ST\d+ .*)$", judged.said, re.MULTILINE)
