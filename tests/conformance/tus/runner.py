"""Run the suite against a server in a process of its own, and read what came of it."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.tus.target import read_differences

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


@dataclass(frozen=True, kw_only=True)
class SuiteOutcome:
    """The outcome of one run, by test id (`test_module.py::test_name[parameter]`).

    `differed` are listed differences that hold, `failed` and `skipped` have their reasons, `unmatched` are listed
    differences without a test. `log` is pytest's own output.
    """

    passed: frozenset[str]
    differed: frozenset[str]
    skipped: Mapping[str, str]
    failed: Mapping[str, str]
    unmatched: frozenset[str]
    log: str

    def assert_conforms(self) -> None:
        """Assert that the server passes what it announces, save for what is listed, and that the list is exact."""
        assert self.passed, f"no test ran:\n{self.log}"
        assert not self.failed, "\n".join(f"{test}: {reason}" for test, reason in self.failed.items())
        assert not self.unmatched, f"listed differences without a test: {sorted(self.unmatched)}"


def run_suite(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    metadata: str | None = None,
    read_back: str | None = None,
    ca: Path | None = None,
    differences: Path | None = None,
    patience_s: float | None = None,
    tests: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 280,
) -> SuiteOutcome:
    """Point the suite (or only `tests`, by id) at the tus server whose creation URL is `url`.

    `metadata` and `read_back` name hooks as on the command line; `environment` is for them to read.
    Raises: subprocess.TimeoutExpired.
    """
    settings = {
        "TUS_URL": url,
        "TUS_HEADER": "\n".join(f"{name}: {value}" for name, value in (headers or {}).items()),
        "TUS_METADATA": metadata,
        "TUS_READ_BACK": read_back,
        "TUS_CA": str(ca) if ca else None,
        "TUS_DIFFERENCES": str(differences) if differences else None,
        "TUS_PATIENCE": str(patience_s) if patience_s else None,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TUS_"))}
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        paths = [str(HERE / test) for test in tests] or [str(HERE)]
        # The conftest.py files above this folder are of the repository's own tests.
        alone = ["--rootdir", str(ROOT), "--confcutdir", str(HERE), "-p", "no:cacheprovider"]
        reporting = ["-q", "--junitxml", str(report), "-o", "junit_family=xunit1"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *paths, *alone, *reporting],
            cwd=ROOT,
            env={**inherited, **{name: value for name, value in settings.items() if value}, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if not report.exists():
            raise AssertionError(f"the suite did not run:\n{done.stdout}")
        cases = list(ET.parse(report).iter("testcase"))
    return _outcome(cases, differences, done.stdout)


def _outcome(cases: Sequence[ET.Element], differences: Path | None, log: str) -> SuiteOutcome:
    passed, differed = set[str](), set[str]()
    skipped, failed = dict[str, str](), dict[str, str]()
    for case in cases:
        name = _short_id(case)
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        skip = case.find("skipped")
        if wrong is not None:
            failed[name] = wrong.get("message", "")
        elif skip is not None and skip.get("type") == "pytest.xfail":
            differed.add(name)
        elif skip is not None:
            skipped[name] = skip.get("message", "")
        else:
            passed.add(name)
    every = passed | differed | skipped.keys() | failed.keys()
    names = every | {name.partition("[")[0] for name in every}
    listed = {difference.test for difference in read_differences(differences)} if differences else set()
    return SuiteOutcome(
        passed=frozenset(passed),
        differed=frozenset(differed),
        skipped=skipped,
        failed=failed,
        unmatched=frozenset(listed - names),
        log=log,
    )


def _short_id(case: ET.Element) -> str:
    """Join what the report tells of a test to its id: file name, class if any, function with parameter."""
    file = Path(case.get("file", ""))
    module = ".".join(file.with_suffix("").parts)
    inner = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join(filter(None, [file.name, *inner.split("."), case.get("name", "")]))
