"""Numbers of persons and organisations: one wrong character is always noticed; what is good comes back as it went in."""

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archive.cases.identifiers import IdentifierInvalid, IdentifierKind, masked, normalised, parse_identifier

TODAY = date(2026, 11, 24)
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
HEADS = ["11", "12", "13", "19", "21", "31", "35", "51", "53", "72", "81", "91", "92", "93", "A1", "N3", "Y1"]


def reference_code_check(body: str) -> str:
    """The check character by trying all of them: the weighted sum of all 18 is a multiple of 31."""
    (found,) = [
        char
        for char in ALPHABET
        if sum(ALPHABET.index(part) * pow(3, place, 31) for place, part in enumerate(body)) % 31
        == -ALPHABET.index(char) % 31
    ]
    return found


def reference_resident_check(body: str) -> str:
    """The check character by the rule of ISO 7064 MOD 11-2: the sum of all 18 with weights 2^(18-i) is 1."""
    (found,) = [
        char
        for value, char in enumerate("0123456789X")
        if (sum(int(digit) * pow(2, 17 - place) for place, digit in enumerate(body)) + value) % 11 == 1
    ]
    return found


codes = st.builds(
    lambda head, division, body: head + division + body,
    st.sampled_from(HEADS),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
).map(lambda body: body + reference_code_check(body))

residents = st.builds(
    lambda head, born, order: f"{head}{born:%Y%m%d}{order:03d}",
    st.integers(100_000, 999_999).map(str),
    st.dates(date(1800, 1, 1), TODAY),
    st.integers(0, 999),
).map(lambda body: body + reference_resident_check(body))

numbers = st.one_of(
    codes.map(lambda number: (IdentifierKind.CREDIT_CODE, number)),
    residents.map(lambda number: (IdentifierKind.RESIDENT_ID, number)),
)


@given(numbers)
def test_what_fits_the_rule_is_taken(given: tuple[IdentifierKind, str]) -> None:
    kind, number = given
    assert parse_identifier(kind, number, today=TODAY).number == number
    assert parse_identifier(kind, number.lower(), today=TODAY).number == number


@given(numbers, st.integers(0, 17), st.sampled_from(ALPHABET + "IOSVZ"))
def test_one_wrong_character_is_always_noticed(given: tuple[IdentifierKind, str], place: int, char: str) -> None:
    kind, number = given
    assume(number[place] != char)
    with pytest.raises(IdentifierInvalid):
        parse_identifier(kind, number[:place] + char + number[place + 1 :], today=TODAY)


@given(numbers, st.integers(0, 16))
def test_two_neighbours_that_changed_places_are_always_noticed(given: tuple[IdentifierKind, str], place: int) -> None:
    kind, number = given
    turned = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assume(turned != number)
    with pytest.raises(IdentifierInvalid):
        parse_identifier(kind, turned, today=TODAY)


@given(residents.filter(lambda number: number[6:8] == "19" and number[14:17] < "996"))
def test_the_old_form_becomes_the_new_one(number: str) -> None:
    old = number[:6] + number[8:17]
    assert parse_identifier(IdentifierKind.RESIDENT_ID, old, today=TODAY).number == number


@given(st.sampled_from(IdentifierKind), st.text(max_size=80))
def test_any_text_is_a_number_or_refused(kind: IdentifierKind, text: str) -> None:
    try:
        found = parse_identifier(kind, text, today=TODAY)
    except IdentifierInvalid:
        return
    assert normalised(kind, found.number) == found.number
    shown = masked(found.number)
    assert len(shown) == len(found.number)
    assert sum(char != "*" for char in shown) <= max(7, len(found.number) // 2)
    assert "*" in shown
