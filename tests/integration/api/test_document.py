"""The OpenAPI document against the running archive, by Schemathesis: no 5xx, nothing that is not documented.

`./dev campaign api` tries every caller at every address, and much more of each.
"""

from collections.abc import Iterator

import pytest

from tests.support.api_judge import Scene, judge, scene
from tests.support.deployment import new_database

# Who is asked for what. A system that has every scope gets furthest; the others must be refused in documented words.
_CALLERS = [
    ("a system with every scope", ("case systems", "items", "events"), "coverage,fuzzing"),
    ("a supervisor", ("log", "packages", "docks"), "coverage,fuzzing"),
    ("a docking station", ("docks",), "coverage,fuzzing"),
    ("nobody", ("items", "events", "packages"), "examples,fuzzing"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("document")
    with scene(folder, new_database(folder / "test.sqlite3")) as made:
        yield made


@pytest.mark.parametrize(("caller", "tags", "phases"), _CALLERS, ids=[caller for caller, *_ in _CALLERS])
def test_every_answer_is_documented_and_none_is_our_fault(
    archive: Scene, caller: str, tags: tuple[str, ...], phases: str
) -> None:
    judged = judge(archive, caller, examples=4, phases=phases, tags=tags)
    assert judged.is_good, judged.said
    assert "Test cases:" in judged.said
