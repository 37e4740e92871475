"""Taking in the rows of a sheet: everything or nothing, and a dry run that tells every problem by row.

The dry run does all that the import does and is rolled back: what it says is what would happen.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.organisation.sheets import SheetRow


class Outcome(StrEnum):
    """What becomes of a row."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What becomes of a row, and what is wrong with it: the code of the problem and its words."""

    number: int
    title: str
    outcome: Outcome
    code: str = ""
    message: str = ""


class TwiceInSheet(InvalidInput):
    """The sheet has this row twice."""

    code = "organisation.twice_in_sheet"


class WordUnknown(InvalidInput):
    """A cell that names one of a list names none of it."""

    code = "organisation.word_unknown"


TakeOne = Callable[[Session, Mapping[str, str]], tuple[str, Outcome]]
"""Takes one row in, in the caller's transaction; returns what the row is about, and what became of it."""


class _RolledBack(Exception):
    """Ends a dry run, and an import that met a problem."""


def take_in(
    database: Database, rows: Sequence[SheetRow], one: TakeOne, *, title: str, is_dry: bool
) -> Sequence[RowResult]:
    """Take rows in, or tell what would happen; with any problem nothing is taken in. `title` names a column.

    Raises: nothing for what a row says; that stands in its result.
    """
    results: list[RowResult] = []
    met: set[str] = set()
    with suppress(_RolledBack), database.begin() as tx:
        results.extend(_row(tx, row, one, met, row.cells[title]) for row in rows)
        if is_dry or any(result.outcome is Outcome.BAD for result in results):
            raise _RolledBack
    return results


def word_of(text: str, words: Mapping[str, str]) -> str:
    """Return the value that a cell means: the value itself or the word for it. Raises: WordUnknown."""
    if text in words:
        return text
    for value, word in words.items():
        if text == word:
            return value
    raise WordUnknown


def _row(tx: Session, row: SheetRow, one: TakeOne, met: set[str], title: str) -> RowResult:
    try:
        with tx.begin_nested():
            key, outcome = one(tx, row.cells)
            if key in met:
                raise TwiceInSheet
    except LiuhenError as error:
        return RowResult(row.number, title, Outcome.BAD, error.code, error.message)
    met.add(key)
    return RowResult(row.number, title, outcome)
