"""Two states of a database, table by table, held against each other and against the closed list of what is lost.

The list is data (`lost.toml`); docs/guarantees.md tells the same.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

from archive.db.base import Base
from archive.db.database import Database

Row = Mapping[str, Any]
Dump = Mapping[str, Mapping[tuple[Any, ...], Row]]
MISSING: Final = "missing"
EXTRA: Final = "extra"
_KEYS: Final = {"search_document": ("ref_id", "depth")}
"""What rows are told apart by where their own key is made anew."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A line of the closed list. `varies`: it may be the same by chance."""

    table: str
    why: str
    missing: bool = False
    extra: bool = False
    columns: tuple[str, ...] = ()
    varies: bool = False

    @property
    def parts(self) -> frozenset[tuple[str, str]]:
        """What the line allows: the table with `missing`, `extra` or a column."""
        kinds = [*([MISSING] if self.missing else []), *([EXTRA] if self.extra else []), *self.columns]
        return frozenset((self.table, kind) for kind in kinds)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read a line. Raises: TypeError for a name that there is not."""
        return cls(**{**told, "columns": tuple(told.get("columns", ()))})


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is missing or extra, or a column that differs; `kind` says which."""

    table: str
    kind: str
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs and is not in the list, and what is in the list and did not differ."""

    unlisted: Sequence[Difference]
    unused: frozenset[tuple[str, str]]


def closed_list() -> Sequence[Lost]:
    """Return what does not come back."""
    told = tomllib.loads((files("archive.recovery") / "lost.toml").read_text("utf-8"))
    return [Lost.of(line) for line in told["lost"]]


def take_dump(database: Database) -> Dump:
    """Return every row of every table, by its key. All of it is in memory: for archives of a size that bears it."""
    with database.snapshot() as tx:
        return {
            name: {
                tuple(row[column] for column in _KEYS.get(name, [key.name for key in table.primary_key])): dict(row)
                for row in tx.execute(table.select()).mappings()
            }
            for name, table in Base.metadata.tables.items()
        }


def differences(before: Dump, after: Dump) -> Sequence[Difference]:
    """Return all that differs between two states."""
    found = []
    for table in sorted(before):
        was, now = before[table], after[table]
        found += [Difference(table, MISSING, key) for key in was if key not in now]
        found += [Difference(table, EXTRA, key) for key in now if key not in was]
        for key, row in was.items():
            if key in now:
                found += [Difference(table, name, key) for name, value in row.items() if now[key][name] != value]
    return found


def compare(before: Dump, after: Dump, lost: Sequence[Lost]) -> Comparison:
    """Hold two states against the list."""
    found = differences(before, after)
    listed = {part for line in lost for part in line.parts}
    needed = {part for line in lost if not line.varies for part in line.parts}
    seen = {(each.table, each.kind) for each in found}
    unlisted = [each for each in found if (each.table, each.kind) not in listed]
    return Comparison(unlisted, frozenset(needed - seen))
