"""Where the names of a TOML text stand, so that a fault in what it says can be shown by its line."""

import re
from collections.abc import Sequence
from typing import Final

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
_LONG: Final = ('"""', "'''")

Path = tuple[str | int, ...]


class TomlLines:
    """The lines of tables and keys in a TOML text with bare keys, by their path; a list of tables counts from 0.

    What stands inside an inline table or an array has the line of the key that holds it.
    """

    def __init__(self, text: str) -> None:
        """Read where names stand; the text has been parsed as TOML before."""
        self._lines: dict[Path, int] = {}
        self._count: dict[Path, int] = {}
        table: Path = ()
        closing: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if closing is not None:
                closing = None if closing in line else closing
                continue
            if header := _HEADER.fullmatch(line):
                table = self._table(header[2].split("."), is_list=header[1] == "[[")
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                path = table
                for name in key[1].split("."):
                    path = (*path, name.strip())
                    self._lines.setdefault(path, number)
                closing = next((mark for mark in _LONG if line.count(mark) % 2), None)

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line of the innermost part of a path that stands in the text; 1 for none."""
        found = tuple(path)
        while found and found not in self._lines:
            found = found[:-1]
        return self._lines.get(found, 1)

    def _table(self, names: Sequence[str], *, is_list: bool) -> Path:
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            if path in self._count:
                path = (*path, self._count[path] - 1)
        path = (*path, names[-1])
        if is_list:
            self._count[path] = self._count.get(path, 0) + 1
            path = (*path, self._count[path] - 1)
        return path
