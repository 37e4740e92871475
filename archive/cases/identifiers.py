"""The numbers that persons and organisations are known by: their forms, their check characters, how they are shown.

Pure: no database, no keys. A number is normalised before anything is done with it, so that equal ones are equal text.
Source: GB 32100-2015 (unified social credit code), GB 11643-1999 (citizen identification number).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from archive.cases.terms import SubjectKind
from archive.kernel.errors import InvalidInput

MAX_NUMBER_CHARACTERS: Final = 64
LAST: Final = 4
"""How many characters at the end are enough to look for a number."""

_CODE_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_VALUES: Final = {char: value for value, char in enumerate(_CODE_ALPHABET)}
_CODE_WEIGHTS: Final = tuple(3**place % 31 for place in range(17))
_CATEGORIES: Final[Mapping[str, str]] = {
    "1": "1239",  # staffing offices: government body, public institution, mass organisation
    "2": "19",  # foreign affairs: resident news agency
    "3": "123459",  # justice: law firm, notary, legal service, forensic expertise, arbitration
    "4": "19",  # culture: foreign culture centre
    "5": "1239",  # civil affairs: association, private non-enterprise unit, foundation
    "6": "129",  # tourism: resident office from abroad, from Hong Kong, Macao and Taiwan
    "7": "129",  # religion: place of worship, school
    "8": "19",  # trade unions: basic union
    "9": "1239",  # market regulation: enterprise, individual business, farmers' cooperative
    "A": "19",  # military staffing: institution of the army
    "N": "1239",  # agriculture: collective of a group, village, township
    "Y": "1",  # all others
}
"""Which categories each registration authority gives. Source: GB 32100-2015 table 1 with amendment 1 of 2016."""
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS: Final = "10X98765432"
_OVER_A_HUNDRED: Final = frozenset({"996", "997", "998", "999"})
_FREE: Final = re.compile(r"[A-Z0-9\u3400-\u9FFF][A-Z0-9\u3400-\u9FFF ()/.\-]*")
_BLANKS: Final = re.compile(r"\s+")
_BLANKS_AND_DASHES: Final = re.compile(r"[\s\-]+")


class IdentifierKind(StrEnum):
    """What kind of number it is. The first two carry a check character, the others are taken as they are."""

    CREDIT_CODE = "credit_code"
    RESIDENT_ID = "resident_id"
    PASSPORT = "passport"
    OTHER = "other"

    @property
    def is_checked(self) -> bool:
        """Whether a mistyped number of this kind is noticed."""
        return self in {IdentifierKind.CREDIT_CODE, IdentifierKind.RESIDENT_ID}

    def fits(self, kind: SubjectKind) -> bool:
        """Return whether a subject of this kind can have such a number."""
        if self is IdentifierKind.CREDIT_CODE:
            return kind is SubjectKind.ORGANISATION
        return self is IdentifierKind.OTHER or kind is SubjectKind.PERSON


class Flaw(StrEnum):
    """Why a number is none of its kind."""

    LENGTH = "length"
    CHARACTERS = "characters"
    AUTHORITY = "authority"
    CATEGORY = "category"
    DIVISION = "division"
    DATE = "date"
    FUTURE = "future"
    CENTURY = "century"
    CHECK = "check"


class IdentifierInvalid(InvalidInput):
    """The number is not one of its kind."""

    code = "cases.identifier_invalid"

    def __init__(self, flaw: Flaw = Flaw.CHARACTERS) -> None:
        """Keep why; the number itself is told nowhere."""
        super().__init__(flaw=flaw.value)
        self.flaw = flaw


@dataclass(frozen=True, slots=True, repr=False)
class Identifier:
    """A number in its one form, as `parse_identifier` gives it."""

    kind: IdentifierKind
    number: str

    @property
    def last(self) -> str:
        """The characters at the end that it is also found by."""
        return self.number[-LAST:]

    def __repr__(self) -> str:
        """Show what a screen shows."""
        return f"Identifier({self.kind.value}, {masked(self.number)})"


def parse_identifier(kind: IdentifierKind, text: str, *, today: date) -> Identifier:
    """Return the number in its one form.

    A 15-digit resident number is the same person's 18-digit one without century and check digit; it becomes that.
    Raises: IdentifierInvalid, which says why.
    """
    number = normalised(kind, text)
    match kind:
        case IdentifierKind.CREDIT_CODE:
            _check_code(number)
        case IdentifierKind.RESIDENT_ID:
            number = _checked_id(number, today=today)
        case IdentifierKind.PASSPORT | IdentifierKind.OTHER:
            if not _FREE.fullmatch(number):
                raise IdentifierInvalid(Flaw.CHARACTERS)
    return Identifier(kind, number)


def normalised(kind: IdentifierKind, text: str) -> str:
    """Return the number as it is compared: no compatibility forms, capitals, no blanks or dashes that only divide it.

    Raises: IdentifierInvalid for nothing at all, and for more than any number has.
    """
    number = unicodedata.normalize("NFKC", text).upper().strip()
    # In a free form a dash may be part of the number.
    number = _BLANKS.sub(" ", number) if kind is IdentifierKind.OTHER else _BLANKS_AND_DASHES.sub("", number)
    if not number or len(number) > MAX_NUMBER_CHARACTERS:
        raise IdentifierInvalid(Flaw.LENGTH)
    return number


def searched_numbers(text: str) -> Sequence[Identifier]:
    """Return every number that somebody may mean who looks for `text`, one for each kind where that is possible."""
    found = []
    for kind in IdentifierKind:
        try:
            number = normalised(kind, text)
        except IdentifierInvalid:
            continue
        if kind is IdentifierKind.RESIDENT_ID and len(number) == 15 and _is_digits(number):
            number = _with_century(number)
        found.append(Identifier(kind, number))
    return found


def masked(number: str) -> str:
    """Return the number as screens show it.

    The last four characters stay, from 12 characters on the first three too; what has fewer than 8 shows its last two,
    and what has fewer than 4 shows nothing.
    """
    length = len(number)
    ahead = 3 if length >= 12 else 0
    behind = LAST if length >= 8 else 2 if length >= 4 else 0
    return number[:ahead] + "*" * (length - ahead - behind) + (number[-behind:] if behind else "")


def _check_code(number: str) -> None:
    """Hold a unified social credit code against its rules. Source: GB 32100-2015 sections 4 and 5, annex A."""
    if len(number) != 18:
        raise IdentifierInvalid(Flaw.LENGTH)
    if any(char not in _CODE_VALUES for char in number) or not _is_digits(number[2:8]):
        raise IdentifierInvalid(Flaw.CHARACTERS)
    if number[0] not in _CATEGORIES:
        raise IdentifierInvalid(Flaw.AUTHORITY)
    if number[1] not in _CATEGORIES[number[0]]:
        raise IdentifierInvalid(Flaw.CATEGORY)
    total = sum(_CODE_VALUES[char] * weight for char, weight in zip(number, _CODE_WEIGHTS, strict=False))
    if number[17] != _CODE_ALPHABET[-total % 31]:
        raise IdentifierInvalid(Flaw.CHECK)


def _checked_id(number: str, *, today: date) -> str:
    """Return a resident number with 18 characters. Source: GB 11643-1999 sections 3 and 4; MOD 11-2 of ISO 7064."""
    if len(number) == 15 and _is_digits(number):
        if number[12:] in _OVER_A_HUNDRED:
            # These sequence numbers were kept for people born before 1900: the century cannot be told.
            raise IdentifierInvalid(Flaw.CENTURY)
        number = _with_century(number)
    if len(number) != 18:
        raise IdentifierInvalid(Flaw.LENGTH)
    if not _is_digits(number[:17]) or number[17] not in _ID_CHECKS:
        raise IdentifierInvalid(Flaw.CHARACTERS)
    if number[0] == "0":
        raise IdentifierInvalid(Flaw.DIVISION)
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError as exc:
        raise IdentifierInvalid(Flaw.DATE) from exc
    if born.year < 1800:
        raise IdentifierInvalid(Flaw.DATE)
    if number[17] != _id_check(number[:17]):
        raise IdentifierInvalid(Flaw.CHECK)
    if born > today:
        raise IdentifierInvalid(Flaw.FUTURE)
    return number


def _with_century(number: str) -> str:
    body = f"{number[:6]}19{number[6:]}"
    return body + _id_check(body)


def _id_check(body: str) -> str:
    return _ID_CHECKS[sum(int(digit) * weight for digit, weight in zip(body, _ID_WEIGHTS, strict=True)) % 11]


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
