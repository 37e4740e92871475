"""A plugin of pytest for runs of the campaign: writes down what became of each test, and lets nobody skip.

What a deployment has no place for is left out by a mark with a reason (`tests.support.selection`). Beside that, tests
that open no archive are the same on every deployment, and run on the first.
"""

import ast
import json
import os
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

pytest.register_assert_rewrite("tests.support")  # before anything of it is imported

from tests.support.selection import REASON  # noqa: E402

RECORD: Final = "LIUHEN_TEST_RECORD"
"""The file to write to, one JSON object a line."""
IS_FIRST: Final = "LIUHEN_TEST_FIRST"
"""Set on the first deployment."""
NO_ARCHIVE: Final = "opens no archive: the same on every deployment, run on the first"
_ROOT: Final = Path(__file__).parents[3]
_DOOR: Final = "tests.support.deployment"
_ALWAYS: Final = ("tests/contract/", "tests/faults/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, but on the first deployment, what opens no archive."""
    if os.environ.get(IS_FIRST):
        return
    left_out = [item for item in items if not item.nodeid.startswith(_ALWAYS) and not opens_an_archive(item)]
    for item in left_out:
        item.stash[REASON] = NO_ARCHIVE
    if left_out:
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left_out)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Write down what is left out, once: every worker leaves out the same."""
    worker = getattr(items[0].config, "workerinput", {}).get("workerid", "gw0")
    if worker == "gw0":
        _write(*({"test": item.nodeid, "left_out": item.stash.get(REASON, "asked for")} for item in items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nobody skip."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be: {report.longreprtext}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test ended."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the process that started the workers hears it too
    if report.when == "call" or report.outcome != "passed":
        said = "" if report.passed else report.longreprtext[-2000:]
        _write({"test": report.nodeid, "outcome": report.outcome, "when": report.when, "said": said})


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write down what could not even be collected."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        _write({"test": report.nodeid, "outcome": "failed", "when": "collect", "said": report.longreprtext[-2000:]})


def _write(*lines: dict[str, Any]) -> None:
    with Path(os.environ[RECORD]).open("a", encoding="utf-8") as record:
        record.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def opens_an_archive(item: pytest.Item) -> bool:
    """Whether the test, or a fixture of it, comes from where the deployment's database or stores can be had."""
    fixtures = getattr(item, "_fixtureinfo", None)
    found = {} if fixtures is None else fixtures.name2fixturedefs
    if {"database_url", "postgres_url", "postgres_server"} & set(found):
        return True
    modules = {definition.func.__module__ for definitions in found.values() for definition in definitions}
    own = ".".join(Path(item.nodeid.partition("::")[0]).with_suffix("").parts)
    return any(_reaches(name) for name in {own, *modules} if name != "tests.conftest" and name.startswith("tests."))


@cache
def _reaches(module: str) -> bool:
    seen, left = set(), [module]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += _imported(name)
    return _DOOR in seen


@cache
def _imported(module: str) -> tuple[str, ...]:
    file = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not file.exists():
        return ()
    return tuple(name for name in _names(ast.parse(file.read_bytes())) if name.startswith("tests."))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
