"""Printing what a check found, and the exit code that says it. Imports little: `liuhen verify` starts at once."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from archive.kernel.findings import Outcome, Report

_EXIT: Final = {Outcome.VALID: 0, Outcome.INVALID: 1, Outcome.INDETERMINATE: 2}
_MOST_BYTES: Final = 1 << 20


def print_report(report: Report, what: str, *, as_json: bool, more: Mapping[str, Any] | None = None) -> int:
    """Print a report on `what`, with `more` in its JSON form; return 0 valid, 1 invalid, 2 indeterminate."""
    if as_json:
        print(json.dumps({"checked": what, **report.as_json(), **(more or {})}, ensure_ascii=False))
        return _EXIT[report.outcome]
    for finding in report.findings:
        if finding.outcome is not Outcome.VALID:
            print(f"{finding.outcome.value:14}{finding.message}  {finding.where}  [{finding.code}]", file=sys.stderr)
    checks = len(report.findings)
    print(f"{report.outcome.value}: {what} ({checks} checks)")
    return _EXIT[report.outcome]


def exit_code(outcome: Outcome) -> int:
    """Return 0 valid, 1 invalid, 2 indeterminate."""
    return _EXIT[outcome]


def small_file(path: Path) -> bytes:
    """Return the bytes of a file that is small if it is what it should be: at most 1 MiB of it."""
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)
