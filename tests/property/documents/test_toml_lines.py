"""Lines of names in TOML: every key that the parser finds stands on the line that is told."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from archive.documents.toml_lines import TomlLines

_names = st.sampled_from(["a", "b", "c-d", "e_f"])
_values = st.sampled_from(["1", '"x # y"', "[1, 2]", '"""\nb = 2\n[c]\n"""', "'''\n[[a]]\n'''", '{ a = 1, b = "]" }'])


@st.composite
def _texts(draw: st.DrawFn) -> tuple[str, list[tuple[tuple[str | int, ...], int]]]:
    """Draw a text of lists of tables, with the lines of its keys as they were written."""
    lines: list[str] = []
    wanted: list[tuple[tuple[str | int, ...], int]] = []

    def keys(path: tuple[str | int, ...], taken: str) -> None:
        for name in draw(st.lists(_names, unique=True, max_size=3)):
            if name == taken:
                continue
            lines.extend(draw(st.sampled_from([[], ["# a = 1"], [""]])))
            wanted.append(((*path, name), sum(line.count("\n") + 1 for line in lines) + 1))
            lines.append(f"{name} = {draw(_values)}")

    keys((), "field")
    for outer in range(draw(st.integers(0, 3))):
        lines.append("[[field]]" + draw(st.sampled_from(["", "  # one"])))
        wanted.append((("field", outer), sum(line.count("\n") + 1 for line in lines)))
        keys(("field", outer), "column")
        for inner in range(draw(st.integers(0, 2))):
            lines.append("[[field.column]]")
            keys(("field", outer, "column", inner), "")
    return "\n".join(lines), wanted


def _at(told: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        told = told[step]
    return told


@given(_texts())
def test_every_key_has_its_line(drawn: tuple[str, list[tuple[tuple[str | int, ...], int]]]) -> None:
    text, wanted = drawn
    told, lines = tomllib.loads(text), TomlLines(text)
    for path, line in wanted:
        _at(told, path)
        assert lines.line_of(path) == line
        assert lines.line_of((*path, "deeper", 3)) == line
