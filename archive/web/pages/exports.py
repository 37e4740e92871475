"""Lists as files: CSV for people with a spreadsheet, JSON Lines for machines.

A cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

from archive.kernel.instants import format_instant
from archive.search.documents import Kind
from archive.search.queries import Hit
from archive.web.i18n import Catalogue
from archive.web.pages.formats import local_second

Row = TypeVar("Row")
_BOM: Final = "\ufeff"
# Full-width forms too: a spreadsheet in Chinese reads them as it reads the others.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SEPARATOR: Final = "; "
_BLOCK: Final = 200
_COLUMNS: Final = (
    "kind", "name", "number", "subject", "category", "place", "device", "officer", "state", "form", "file", "happened",
    "taken", "id",
)  # fmt: skip
_WORDS: Final = {"category": "category", "state": "play_state", "form": "record_form"}
"""Facets that are told in the reader's words, and the group of these."""


class ListForm(StrEnum):
    """In which form a list is taken away; also the ending of the file's name."""

    CSV = "csv"
    JSON_LINES = "jsonl"


def csv_lines(hits: Iterable[Hit], texts: Catalogue) -> Iterator[bytes]:
    """Yield what a search found as a CSV file in the reader's language."""
    headings = [texts.text(f"search_column.{name}") for name in _COLUMNS]
    return csv_file(headings, hits, lambda block: [_cells(hit, texts) for hit in block])


def csv_file(
    headings: Sequence[str], rows: Iterable[Row], cells_of: Callable[[Sequence[Row]], Iterable[Sequence[str]]]
) -> Iterator[bytes]:
    """Yield a CSV file block by block, in UTF-8 with the mark that Excel looks for; no cell is calculated.

    `cells_of` returns the cells of up to 200 rows at a time. Source: RFC 4180; OWASP, CSV injection.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(_BOM)
    writer.writerow(headings)
    remaining = iter(rows)
    while block := list(islice(remaining, _BLOCK)):
        writer.writerows([harmless(cell) for cell in cells] for cells in cells_of(block))
        yield _taken(buffer)
    yield _taken(buffer)


def json_lines(hits: Iterable[Hit]) -> Iterator[bytes]:
    """Yield one JSON object for each thing that was found, as the archive holds it."""
    for hit in hits:
        yield json.dumps(_plain(hit), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet calculates. Source: OWASP, CSV injection."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _cells(hit: Hit, texts: Catalogue) -> Sequence[str]:
    told = {
        "kind": texts.term("search_kind", hit.kind.value) if hit.kind is not Kind.ITEM else _media(hit, texts),
        "happened": local_second(hit.happened_at),
        "taken": local_second(hit.taken_at),
        "id": str(hit.ref_id),
    }
    for name, group in _WORDS.items():
        value = hit.facet(name)
        told[name] = "" if value is None else texts.term(group, value)
    return [told[name] if name in told else _field(hit, name) for name in _COLUMNS]


def _media(hit: Hit, texts: Catalogue) -> str:
    return texts.term("kind", hit.facet("media") or "other")


def _field(hit: Hit, name: str) -> str:
    return _SEPARATOR.join(shown.text for shown in hit.shown if shown.name == name)


def _plain(hit: Hit) -> dict[str, Any]:
    fields: dict[str, list[str]] = {}
    for shown in hit.shown:
        fields.setdefault(shown.name, []).append(shown.text)
    facets: dict[str, list[str]] = {}
    for name, value in hit.facets:
        facets.setdefault(name, []).append(value)
    return {
        "kind": hit.kind.value,
        "id": str(hit.ref_id),
        "fields": fields,
        "facets": facets,
        "happened_at": format_instant(hit.happened_at),
        "taken_at": format_instant(hit.taken_at),
    }


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")
