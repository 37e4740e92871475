"""Numbers of persons and organisations: the published samples, and each way to be none."""

from datetime import date

import pytest

from archive.cases.identifiers import (
    Flaw,
    Identifier,
    IdentifierInvalid,
    IdentifierKind,
    masked,
    parse_identifier,
    searched_numbers,
)
from archive.cases.terms import SubjectKind

CODE, RESIDENT, PASSPORT, OTHER = IdentifierKind
TODAY = date(2026, 11, 24)


def flaw_of(kind: IdentifierKind, text: str, today: date = TODAY) -> Flaw:
    with pytest.raises(IdentifierInvalid) as refused:
        parse_identifier(kind, text, today=today)
    assert text.strip() == "" or text.strip() not in str(refused.value), "the number is told nowhere"
    return refused.value.flaw


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        # GB 32100-2015 and codes of companies that everybody can look up.
        (CODE, "91350100M000100Y43", "91350100M000100Y43"),
        (CODE, "9135052155323005XL", "9135052155323005XL"),
        (CODE, "91350200MA2YJ1XR9G", "91350200MA2YJ1XR9G"),
        (CODE, "91230184MA1BUFLT44", "91230184MA1BUFLT44"),
        (CODE, "92371000MA3MXH0E3W", "92371000MA3MXH0E3W"),
        (CODE, " 91350100-m000100y-43 ", "91350100M000100Y43"),
        (CODE, "９１３５０１００Ｍ０００１００Ｙ４３", "91350100M000100Y43"),
        # The two samples of GB 11643-1999.
        (RESIDENT, "11010519491231002X", "11010519491231002X"),
        (RESIDENT, "440524188001010014", "440524188001010014"),
        (RESIDENT, "110105 19491231 002x", "11010519491231002X"),
        (RESIDENT, "１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"),
        (RESIDENT, "110105491231002", "11010519491231002X"),
        (PASSPORT, "ea 1234567", "EA1234567"),
        (OTHER, " 军官证  第0123号 ", "军官证 第0123号"),
        (OTHER, "No-1/2 (a)", "NO-1/2 (A)"),
    ],
)
def test_a_good_number_has_one_form(kind: IdentifierKind, text: str, number: str) -> None:
    found = parse_identifier(kind, text, today=TODAY)
    assert found == Identifier(kind, number)
    assert parse_identifier(kind, number, today=TODAY) == found


@pytest.mark.parametrize(
    ("kind", "text", "flaw"),
    [
        (CODE, "", Flaw.LENGTH),
        (CODE, "   - -", Flaw.LENGTH),
        (CODE, "91350100M000100Y4", Flaw.LENGTH),
        (CODE, "91350100M000100Y433", Flaw.LENGTH),
        (CODE, "91350100M000100Y44", Flaw.CHECK),
        (CODE, "91350100M000100YO3", Flaw.CHARACTERS),
        (CODE, "91350100I000100Y43", Flaw.CHARACTERS),
        (CODE, "9135A100M000100Y43", Flaw.CHARACTERS),
        (CODE, "91350100М000100Y43", Flaw.CHARACTERS),  # a Cyrillic letter
        (CODE, "B1350100M000100Y43", Flaw.AUTHORITY),
        (CODE, "01350100M000100Y43", Flaw.AUTHORITY),
        (CODE, "95350100M000100Y43", Flaw.CATEGORY),
        (CODE, "Y2350100M000100Y43", Flaw.CATEGORY),
        (RESIDENT, "11010519491231002", Flaw.LENGTH),
        (RESIDENT, "1101051949123100", Flaw.LENGTH),
        (RESIDENT, "110105194912310021", Flaw.CHECK),
        (RESIDENT, "1101051949123100AX", Flaw.CHARACTERS),
        (RESIDENT, "11010519491231002Y", Flaw.CHARACTERS),
        (RESIDENT, "１１０１０５１９４９１２３１００２Ｙ", Flaw.CHARACTERS),
        (RESIDENT, "01010519491231002X", Flaw.DIVISION),
        (RESIDENT, "110105194902300021", Flaw.DATE),
        (RESIDENT, "110105194913010021", Flaw.DATE),
        (RESIDENT, "110105000001010021", Flaw.DATE),
        (RESIDENT, "110105179912310021", Flaw.DATE),
        (RESIDENT, "110105190002290021", Flaw.DATE),
        (RESIDENT, "110105491231996", Flaw.CENTURY),
        (RESIDENT, "110105491331002", Flaw.DATE),
        (PASSPORT, "", Flaw.LENGTH),
        (PASSPORT, "x" * 65, Flaw.LENGTH),
        (PASSPORT, "=1+1", Flaw.CHARACTERS),
        (OTHER, "a\x00b", Flaw.CHARACTERS),
        (OTHER, "😀", Flaw.CHARACTERS),
        (OTHER, "ab\N{RIGHT-TO-LEFT OVERRIDE}c", Flaw.CHARACTERS),
        (OTHER, "-1", Flaw.CHARACTERS),
    ],
)
def test_a_bad_number_says_why(kind: IdentifierKind, text: str, flaw: Flaw) -> None:
    assert flaw_of(kind, text) is flaw


def test_nobody_was_born_tomorrow() -> None:
    assert parse_identifier(RESIDENT, "11010519491231002X", today=date(1949, 12, 31)).number
    assert flaw_of(RESIDENT, "11010519491231002X", date(1949, 12, 30)) is Flaw.FUTURE


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("11010519491231002X", "110***********002X"),
        ("91350100M000100Y43", "913***********0Y43"),
        ("EA1234567", "*****4567"),
        ("123456789012", "123*****9012"),
        ("1234567", "*****67"),
        ("1234", "**34"),
        ("123", "***"),
        ("1", "*"),
    ],
)
def test_a_screen_shows_only_the_ends(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_a_number_is_never_shown_by_accident() -> None:
    found = parse_identifier(RESIDENT, "11010519491231002X", today=TODAY)
    assert "11010519491231002X" not in repr(found)
    assert repr(found) == "Identifier(resident_id, 110***********002X)"
    assert found.last == "002X"


def test_which_kind_of_number_fits_whom() -> None:
    fitting = {kind: {subject for subject in SubjectKind if kind.fits(subject)} for kind in IdentifierKind}
    assert fitting == {
        CODE: {SubjectKind.ORGANISATION},
        RESIDENT: {SubjectKind.PERSON},
        PASSPORT: {SubjectKind.PERSON},
        OTHER: set(SubjectKind),
    }
    assert [kind for kind in IdentifierKind if kind.is_checked] == [CODE, RESIDENT]


def test_who_searches_need_not_say_which_kind() -> None:
    found = searched_numbers(" 110105-491231-002 ")
    assert Identifier(RESIDENT, "11010519491231002X") in found
    assert Identifier(PASSPORT, "110105491231002") in found
    assert Identifier(OTHER, "110105-491231-002") in found
    assert [number.number for number in searched_numbers("002x")] == ["002X"] * 4
    assert searched_numbers("") == searched_numbers("x" * 100) == []
