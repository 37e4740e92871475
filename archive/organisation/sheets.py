"""Sheets of people and units as files: CSV and XLSX, with headings in Chinese or English.

A file is somebody else's: it is read within limits, and a cell is text whatever a spreadsheet would make of it.
openpyxl is loaded for a sheet that needs it: every process would else wait for it at its start.
"""

import csv
import io
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from archive.kernel.errors import InvalidInput

MOST_BYTES: Final = 4 * 1024 * 1024
MOST_ROWS: Final = 5_000
_MOST_UNPACKED_BYTES: Final = 64 * 1024 * 1024
_MOST_COLUMNS: Final = 50
_ZIP: Final = b"PK\x03\x04"
_BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Columns = Mapping[str, Sequence[str]]
"""The names of columns, each with its headings, the one that is written first."""


class SheetUnreadable(InvalidInput):
    """The file is neither CSV in UTF-8 or GB 18030 nor XLSX, or larger than 4 MiB or 5,000 rows."""

    code = "organisation.sheet_unreadable"


class DayUnreadable(InvalidInput):
    """This is no day; write it as 2026-03-01."""

    code = "organisation.day_unreadable"


class ColumnsMissing(InvalidInput):
    """The first line does not name all columns that are needed."""

    code = "organisation.columns_missing"


class ColumnTwice(InvalidInput):
    """The first line names a column twice."""

    code = "organisation.column_twice"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row of a sheet: the number that a spreadsheet shows, and its cells by column, empty where there is none."""

    number: int
    cells: Mapping[str, str]


def read_sheet(data: bytes, columns: Columns, *, needed: Iterable[str]) -> Sequence[SheetRow]:
    """Read a sheet whose first line names its columns; columns that are not known and empty rows are left out.

    Raises: SheetUnreadable, ColumnsMissing, ColumnTwice.
    """
    if len(data) > MOST_BYTES:
        raise SheetUnreadable
    lines = _xlsx_lines(data) if data.startswith(_ZIP) else _csv_lines(data)
    places = _places(next(lines, []), columns)
    missing = sorted(set(needed) - places.keys())
    if missing:
        raise ColumnsMissing(columns=", ".join(columns[name][0] for name in missing))
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = {name: line[place] if place < len(line) else "" for name, place in places.items()}
        if any(cells.values()):
            rows.append(SheetRow(number, {name: cells.get(name, "") for name in columns}))
        if len(rows) > MOST_ROWS:
            raise SheetUnreadable
    return rows


def csv_sheet(columns: Columns, rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return a CSV file in UTF-8 with the mark that Excel looks for; no cell is a formula. Source: RFC 4180, OWASP."""
    buffer = io.StringIO()
    buffer.write(_BOM)
    writer = csv.writer(buffer)
    writer.writerow([headings[0] for headings in columns.values()])
    for row in rows:
        cells = [row.get(name, "") for name in columns]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return buffer.getvalue().encode("utf-8", "replace")


def xlsx_sheet(columns: Columns, rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return an XLSX file in which every cell is text. Source: ISO/IEC 29500."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Liuhen")
    sheet.append([headings[0] for headings in columns.values()])
    for row in rows:
        sheet.append([_text_cell(sheet, row.get(name, "")) for name in columns])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parse_day(text: str) -> date | None:
    """Return the day that a cell means, None where it is empty. Raises: DayUnreadable."""
    given = unicodedata.normalize("NFKC", text).strip()
    if not given:
        return None
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%Y%m%d"):
        try:
            return datetime.strptime(given, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise DayUnreadable


def _places(heading: Sequence[str], columns: Columns) -> dict[str, int]:
    known = {_folded(title): name for name, headings in columns.items() for title in headings}
    places: dict[str, int] = {}
    for place, title in enumerate(heading):
        name = known.get(_folded(title))
        if name in places:
            raise ColumnTwice(columns=columns[name][0])
        if name is not None:
            places[name] = place
    return places


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).lstrip(_BOM)


def _csv_lines(data: bytes) -> Iterator[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise SheetUnreadable
    if "\0" in text:
        raise SheetUnreadable
    try:
        for line in csv.reader(io.StringIO(text, newline=""), strict=True):
            yield [_unquoted(cell.strip()) for cell in line[:_MOST_COLUMNS]]
    except csv.Error as exc:
        raise SheetUnreadable from exc


def _unquoted(cell: str) -> str:
    """Return a cell without the apostrophe that keeps it from being a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _xlsx_lines(data: bytes) -> Iterator[list[str]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(member.file_size for member in packed.infolist()) > _MOST_UNPACKED_BYTES:
                raise SheetUnreadable
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        lines = sheet.iter_rows(max_row=MOST_ROWS + 2, max_col=_MOST_COLUMNS, values_only=True)
        yield from ([_cell_text(value) for value in line] for line in lines)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, IndexError, OSError, SyntaxError) as exc:
        raise SheetUnreadable from exc


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if not any((value.hour, value.minute, value.second)) else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _text_cell(sheet: Any, text: str) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cell = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.data_type = "s"  # never a formula
    return cell
