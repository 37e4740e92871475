"""`python -m tests.bench [NAME...]`: measure, print, and write docs/benchmarks.md anew."""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from tests.bench import facts
from tests.bench.archive import STARTS
from tests.bench.report import REPORT, keep, kept, render, rows_of, table

NAMES = (
    "intake",
    "direct",
    "playable",
    "replay",
    "picture",
    "inspection",
    "verify",
    "verify-package",
    "fixity",
    "log",
    "writers",
    "million",
    "millions-sqlite",
    "millions-postgresql",
    "search",
    "sight",
    "signing",
    "documents",
    "closing",
    "planning",
)


def main(arguments: list[str]) -> int:
    """Run the benchmarks that are named, or all; return 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument("--runs", type=int, default=None, help="runs of each; by default as each one says")
    parser.add_argument("--scratch", type=Path, default=None, help="where files go: up to 15 GB, deleted afterwards")
    parser.add_argument("--no-write", action="store_true", help="print only; keep nothing, write no report")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    has_missed = False
    for name in given.names or NAMES:
        STARTS.count = STARTS.busy = 0
        module = importlib.import_module(f"tests.bench.{name.replace('-', '_')}")
        print(f"{name}: load {facts.load()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="liuhen-bench-", dir=given.scratch) as place:
            section = module.measure(Path(place), **({} if given.runs is None else {"runs": given.runs}))
            if not given.no_write:
                keep(section, scratch=Path(place), starts=STARTS.count, busy_starts=STARTS.busy)
        print("\n".join([section.title, *table(section.rows)]))
        print(f"{STARTS.busy} of {STARTS.count} measurements began on a busy machine", flush=True)
        has_missed = has_missed or any(row.holds is False for row in section.rows)
    if not given.no_write:
        values = kept(NAMES)
        REPORT.write_text(render(values), "utf-8")
        missed = [row.what for value in values for row in rows_of(value) if row.holds is False]
        print(f"{REPORT} is written; {'all targets are held' if not missed else f'missed: {missed}'}")
    return 1 if has_missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
