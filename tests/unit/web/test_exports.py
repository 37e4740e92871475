"""Cells that no spreadsheet calculates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.web.pages.exports import harmless


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a", "=", "-"]
)
def test_what_begins_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "1=1", "官综执罚〔2026〕31号", "'=1", " =1", "a-b"])
def test_everything_else_stays(cell: str) -> None:
    assert harmless(cell) == cell


@given(st.text())
def test_no_cell_begins_a_formula(cell: str) -> None:
    assert not harmless(cell).startswith(tuple("=+-@\t\r\n＝＋－＠"))
