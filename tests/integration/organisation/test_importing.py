"""Sheets of officers and units: trial and import agree, all or nothing, every problem by its row."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy import select

from archive.db.sight import FIRST_UNIT
from archive.ledger.entries import OPERATOR
from archive.organisation.importing import (
    OFFICER_COLUMNS,
    OFFICER_NEEDED,
    UNIT_COLUMNS,
    UNIT_NEEDED,
    import_officers,
    import_units,
    officer_rows,
    unit_sheet_rows,
)
from archive.organisation.models import Officer, Unit
from archive.organisation.sheets import (
    MOST_BYTES,
    MOST_ROWS,
    ColumnsMissing,
    DayUnreadable,
    SheetRow,
    SheetUnreadable,
    csv_sheet,
    parse_day,
    read_sheet,
    xlsx_sheet,
)
from tests.support.archive_home import ArchiveHome

HEAD = "执法证号,姓名,执法机关,机构,执法类别,有效期止"


def sheet(*lines: str) -> bytes:
    return "\n".join([HEAD, *lines]).encode()


def officers(home: ArchiveHome, data: bytes, *, is_dry: bool = False) -> list[tuple[int, str, str]]:
    rows = read_sheet(data, OFFICER_COLUMNS, needed=OFFICER_NEEDED)
    found = import_officers(home.database, rows, is_dry=is_dry, by=OPERATOR, at=home.clock.now())
    return [(row.number, row.outcome.value, row.code) for row in found]


def units(home: ArchiveHome, *lines: str, is_dry: bool = False) -> list[tuple[int, str, str]]:
    rows = read_sheet("\n".join(["agency,code,name,parent code", *lines]).encode(), UNIT_COLUMNS, needed=UNIT_NEEDED)
    found = import_units(home.database, rows, is_dry=is_dry, by=OPERATOR, at=home.clock.now())
    return [(row.number, row.outcome.value, row.code) for row in found]


def test_a_trial_says_what_the_import_does_and_changes_nothing(home: ArchiveHome) -> None:
    assert units(home, "1,10,一中队,", "1,11,夜市组,10") == [(2, "new", ""), (3, "new", "")]
    data = sheet("01160001,马俊,1,一中队,市容；市政,2028/6/30", "01160002,李晓东,1,11,,2028年6月30日")
    before = home.types()
    tried = officers(home, data, is_dry=True)
    assert home.types() == before
    assert home.count("officer") == 0
    assert officers(home, data) == tried == [(2, "new", ""), (3, "new", "")]
    with home.database.read() as tx:
        found = tx.scalars(select(Officer).order_by(Officer.certificate_number)).all()
        codes = {row.id: row.code for row in tx.scalars(select(Unit))}
    assert [(row.name, codes[row.unit_id], row.categories, row.valid_until) for row in found if row.unit_id] == [
        ("马俊", "10", ["市容", "市政"], date(2028, 6, 30)),
        ("李晓东", "11", [], date(2028, 6, 30)),
    ]
    assert officers(home, data) == [(2, "same", ""), (3, "same", "")]
    changed = data.replace("李晓东".encode(), "李小东".encode())
    assert officers(home, changed) == [(2, "same", ""), (3, "changed", "")]
    home.assert_sound()


def test_every_problem_is_told_by_its_row_and_nothing_is_taken_in(home: ArchiveHome) -> None:
    lines = (
        "01160001,马俊,1,,,2028-06-30",
        ",没有证号,1,,,",
        "01160003,没有机关,,,,",
        "01160004,机关不明,没有这个局,,,",
        "01160005,机构不明,1,没有这个中队,,",
        "01160006,日期不明,1,,,2028-02-30",
        "01160001,重复,1,,,",
    )
    found = officers(home, sheet(*lines))
    assert [outcome for _, outcome, _ in found] == ["new", *["bad"] * 6]
    assert [code for _, _, code in found[1:]] == [
        "input.invalid", *["organisation.unit_unknown"] * 3,
        "organisation.day_unreadable", "organisation.twice_in_sheet",
    ]  # fmt: skip
    assert [number for number, _, _ in found] == list(range(2, 9))
    assert home.types() == []
    assert home.count("officer") == 0


def test_units_are_moved_and_renamed_and_rings_refused(home: ArchiveHome) -> None:
    assert [outcome for _, outcome, _ in units(home, "1,10,甲,", "1,11,乙,10", "1,12,丙,11")] == ["new"] * 3
    assert units(home, "1,10,甲,12", "1,11,乙,10") == [
        (2, "bad", "organisation.unit_under_itself"),
        (3, "same", ""),
    ]
    assert units(home, "9,10,甲,", "1,13,丁,99", "1,1,戊,") == [
        (2, "bad", "organisation.agency_not_found"),
        (3, "bad", "organisation.unit_not_found"),
        (4, "bad", "organisation.name_taken"),
    ]
    assert units(home, "1,12,丙改,") == [(2, "changed", "")]
    with home.database.read() as tx:
        moved = tx.scalars(select(Unit).where(Unit.code == "12")).one()
    assert (moved.name, moved.parent_id) == ("丙改", FIRST_UNIT)
    home.assert_sound()


@pytest.mark.parametrize("form", [csv_sheet, xlsx_sheet])
def test_what_is_given_out_is_taken_in_again_as_it_was(home: ArchiveHome, form: Any) -> None:
    units(home, "1,10,=1+1,", "1,11,@cmd,10")
    officers(home, sheet("01160001,+马俊,1,10,市容；市政,2028-06-30"))
    with home.database.read() as tx:
        given_out = {"units": unit_sheet_rows(tx), "officers": officer_rows(tx)}
    again = read_sheet(form(UNIT_COLUMNS, given_out["units"]), UNIT_COLUMNS, needed=UNIT_NEEDED)
    found = import_units(home.database, again, is_dry=False, by=OPERATOR, at=home.clock.now())
    assert [row.outcome.value for row in found] == ["same", "same"]
    again = read_sheet(form(OFFICER_COLUMNS, given_out["officers"]), OFFICER_COLUMNS, needed=OFFICER_NEEDED)
    found = import_officers(home.database, again, is_dry=False, by=OPERATOR, at=home.clock.now())
    assert [row.outcome.value for row in found] == ["same"]


_CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=20
)


@given(st.lists(_CELLS, min_size=8, max_size=8).filter(lambda cells: any(cell.strip() for cell in cells)))
def test_no_cell_is_a_formula_and_each_comes_back(cells: Sequence[str]) -> None:
    row = dict(zip(OFFICER_COLUMNS, cells, strict=True))
    stripped = {name: cell.strip() for name, cell in row.items()}
    made = csv_sheet(OFFICER_COLUMNS, [stripped])
    assert dict(read_sheet(made, OFFICER_COLUMNS, needed=())[0].cells) == stripped
    book = load_workbook(io.BytesIO(xlsx_sheet(OFFICER_COLUMNS, [stripped])))
    assert {cell.data_type for line in book.worksheets[0].iter_rows() for cell in line} <= {"s", "n", "inlineStr"}
    for line in made.decode("utf-8-sig").splitlines():
        assert not line.startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00", b"PK\x03\x04 no zip", HEAD.encode() + b"\n\0", b"x" * (MOST_BYTES + 1),
        sheet(*["01160001,a,1,,,"] * (MOST_ROWS + 1)), HEAD.encode() + b'\n"open',
    ],
    ids=["bytes", "no zip", "nul", "large", "long", "quote"],
)  # fmt: skip
def test_what_is_no_sheet_is_refused(data: bytes) -> None:
    with pytest.raises(SheetUnreadable):
        read_sheet(data, OFFICER_COLUMNS, needed=OFFICER_NEEDED)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b"0" * (65 * 1024 * 1024))
    with pytest.raises(SheetUnreadable):
        read_sheet(packed.getvalue(), OFFICER_COLUMNS, needed=OFFICER_NEEDED)


@pytest.mark.parametrize("head", ["", "name,agency", "执法证号,姓名"])
def test_columns_that_are_needed_are_asked_for(head: str) -> None:
    with pytest.raises(ColumnsMissing):
        read_sheet(head.encode(), OFFICER_COLUMNS, needed=OFFICER_NEEDED)


def test_headings_in_either_language_and_encoding_are_known() -> None:
    for head in (HEAD, "Certificate Number , NAME,Agency"):
        for encoding in ("utf-8", "utf-8-sig", "gb18030"):
            (row,) = read_sheet(f"{head}\n01,马俊,1".encode(encoding), OFFICER_COLUMNS, needed=OFFICER_NEEDED)
            assert isinstance(row, SheetRow)
            assert (row.number, row.cells["name"], row.cells["unit"]) == (2, "马俊", "")


def test_days_are_read_as_people_write_them() -> None:
    for text in ("2026-03-01", "2026/3/1", "2026年3月1日", "２０２６．３．１", "20260301"):
        assert parse_day(text) == date(2026, 3, 1)
    assert parse_day("  ") is None
    for text in ("2026-02-30", "morgen", "1.3.26", "2026-3"):
        with pytest.raises(DayUnreadable):
            parse_day(text)
