"""Options, fixtures and the handling of listed differences.

The suite's modules are collected when a target is named (`--tus-url` or TUS_URL). Without one, what is collected are
the tests that start a server themselves and point the suite at it.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.tus.client import TusClient
from tests.conformance.tus.target import (
    Difference,
    Target,
    header_lines,
    load_hook,
    probe,
    read_differences,
    setting,
    tls_context,
)

OPTIONS = {
    "url": "creation URL of the tus server to test",
    "header": "header that goes with every request, `Name: value`; repeatable (TUS_HEADER: one a line)",
    "metadata": "module:function or file.py:function that makes Upload-Metadata for given bytes",
    "read-back": "module:function or file.py:function that reads what was stored for (upload URL, bytes sent)",
    "ca": "PEM file of certificate authorities to trust",
    "differences": "TOML file of known differences, which are expected to fail",
    "patience": "seconds that any single answer may take (default 20)",
}
OPTIONS_KEY = pytest.StashKey[dict[str, str | None]]()
DIFFERENCE_KEY = pytest.StashKey[Difference]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tus", "tus 1.0 conformance; each option can be set as TUS_<NAME> in the environment too")
    for name, meaning in OPTIONS.items():
        group.addoption(f"--tus-{name}", action="append" if name == "header" else "store", default=None, help=meaning)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "extension(name): runs when the tus target announces this extension")
    config.stash[OPTIONS_KEY] = {
        name: setting(config.getoption(f"--tus-{name}", default=None), f"TUS_{name.replace('-', '_').upper()}")
        for name in OPTIONS
    }


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.parent != Path(__file__).parent or not collection_path.name.startswith("test_"):
        return None
    starts_servers = collection_path.name.startswith("test_on_")
    return starts_servers == bool(config.stash[OPTIONS_KEY]["url"]) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    file = config.stash[OPTIONS_KEY]["differences"]
    if not file:
        return
    listed = {difference.test: difference for difference in read_differences(Path(file))}
    for item in items:
        for name in (short_id(item), short_id(item).partition("[")[0]):
            if name in listed:
                item.stash[DIFFERENCE_KEY] = listed[name]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Run a listed difference, and hold the list to it: it fails as listed, or the list is out of date."""
    difference = pyfuncitem.stash.get(DIFFERENCE_KEY, None)
    if difference is None:
        return (yield)
    try:
        yield
    except AssertionError:
        pytest.xfail(f"{difference.does} ({difference.why})")
    except pytest.skip.Exception as skipped:
        pytest.fail(f"listed as a difference, yet skipped: {skipped.msg}")
    pytest.fail(f"difference no longer holds, take it off the list: {difference.test}: {difference.does}")


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """The server under test, as the options and its own answer to OPTIONS describe it."""
    options = pytestconfig.stash[OPTIONS_KEY]
    url, ca = options["url"], options["ca"]
    if url is None:
        pytest.exit("no target: name one with --tus-url or TUS_URL", returncode=pytest.ExitCode.USAGE_ERROR)
    headers = header_lines(options["header"] or "")
    patience_s = float(options["patience"] or 20)
    tls = tls_context(Path(ca) if ca else None)
    try:
        capabilities = probe(url, headers=headers, tls=tls, timeout_s=patience_s)
    except httpx.HTTPError as error:
        pytest.exit(f"the target {url} does not answer: {error!r}", returncode=pytest.ExitCode.USAGE_ERROR)
    return Target(
        url=url,
        headers=headers,
        metadata=load_hook(options["metadata"]) if options["metadata"] else lambda _content: None,
        read_back=load_hook(options["read-back"]) if options["read-back"] else None,
        tls=tls,
        patience_s=patience_s,
        capabilities=capabilities,
    )


@pytest.fixture
def client(target: Target) -> Iterator[TusClient]:
    """A fresh client of the target."""
    with TusClient(target) as made:
        yield made


@pytest.fixture(autouse=True)
def _announced(request: pytest.FixtureRequest) -> None:
    """Skip what the target does not announce; for no other reason does the suite skip."""
    for marker in request.node.iter_markers("extension"):
        target: Target = request.getfixturevalue("target")
        target.require(marker.args[0])


def short_id(item: pytest.Item) -> str:
    """Name a test as differences files do: `test_module.py::test_name[parameter]`."""
    return item.nodeid.rpartition("/")[2]
