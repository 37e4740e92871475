"""Reading one value of a form: text, day, moment, amount, number, choice, yes or no."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from archive.documents import template_fields as kinds
from archive.documents.amounts import AmountUnreadable, read_capitals, read_figures
from archive.documents.form_findings import FormFinding, fault
from archive.kernel.instants import BUREAU_ZONE

MISSING: Final = object()
"""Stands for a value that was not filled in."""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.([0-9]{1,6}))?")
_YES_NO: Final[dict[Any, bool]] = {True: True, False: False, "yes": True, "no": False}
_EARLIEST_YEAR: Final = 1900
_CONTROL: Final = frozenset({"Cc", "Cs"})


class NotReadable(ValueError):
    """A value cannot be read; the finding says why."""

    def __init__(self, code: str, **facts: Any) -> None:
        """Keep the code of the finding and its facts."""
        super().__init__(code)
        self._code = code
        self._facts = facts

    def finding(self, where: str) -> FormFinding:
        """Return the finding for the field at this path."""
        return fault(self._code, where, **self._facts)


def read_text(given: Any, longest: int, *, has_lines: bool = False) -> Any:
    """Return text in NFC without outer blanks, or MISSING; one line unless it may have more. Raises: NotReadable."""
    if given is None:
        return MISSING
    if not isinstance(given, str):
        raise NotReadable("not_a_text")
    text = unicodedata.normalize("NFC", given.replace("\r\n", "\n")).strip()
    if len(text) > longest:
        raise NotReadable("too_long", most=longest)
    if any(unicodedata.category(char) in _CONTROL for char in text if not (has_lines and char in "\n\t")):
        raise NotReadable("control_characters")
    return text or MISSING


def read_scalar(field: Any, given: Any) -> Any:
    """Return the value of a field that holds one value, or MISSING. Raises: NotReadable."""
    if given is None or given == "":
        return MISSING
    return _READERS[type(field)](field, given)


def _day(_: Any, given: Any) -> date:
    if type(given) is date:
        return given
    try:
        if not isinstance(given, str) or not _DAY.fullmatch(given):
            raise NotReadable("not_a_day")
        return _in_bounds(date.fromisoformat(given))
    except ValueError as exc:
        raise NotReadable("not_a_day") from exc


def _in_bounds(day: date) -> date:
    if day.year < _EARLIEST_YEAR or day.year == date.max.year:
        raise NotReadable("not_a_day")
    return day


def _moment(_: Any, given: Any) -> datetime:
    try:
        if isinstance(given, datetime):
            found = given
        elif isinstance(given, str) and _MOMENT.fullmatch(given):
            found = datetime.fromisoformat(given)
        else:
            raise NotReadable("not_a_moment")
        _in_bounds(found.date())
    except ValueError as exc:
        raise NotReadable("not_a_moment") from exc
    found = found.replace(tzinfo=BUREAU_ZONE) if found.tzinfo is None else found.astimezone(BUREAU_ZONE)
    return found.replace(second=0, microsecond=0)


def _amount(field: kinds.AmountField, given: Any) -> int:
    try:
        fen = given if type(given) is int else read_figures(given if isinstance(given, str) else "")
    except AmountUnreadable as exc:
        raise NotReadable("not_an_amount") from exc
    if not field.least_fen <= fen <= field.most_fen:
        raise NotReadable("out_of_bounds", least=f"{field.least_fen / 100:.2f}", most=f"{field.most_fen / 100:.2f}")
    return fen


def _capitals(_: Any, given: Any) -> str:
    text = read_text(given, 80)
    try:
        read_capitals(str(text))
    except AmountUnreadable as exc:
        raise NotReadable("not_in_capitals") from exc
    return str(text)


def _number(field: kinds.NumberField, given: Any) -> Decimal:
    text = str(given) if type(given) is int else given
    if not isinstance(text, str) or not (found := _NUMBER.fullmatch(text.strip())):
        raise NotReadable("not_a_number")
    if len(found[1] or "") > field.decimals:
        raise NotReadable("too_many_decimals", most=field.decimals)
    value = Decimal(found[0])
    if not field.least <= value <= field.most:
        raise NotReadable("out_of_bounds", least=field.least, most=field.most)
    return value


def _choice(field: kinds.ChoiceField, given: Any) -> str | tuple[str, ...]:
    known = [choice.value for choice in field.choices]
    if not field.several:
        if given not in known:
            raise NotReadable("not_a_choice")
        return str(given)
    chosen = [given] if isinstance(given, str) else given
    if not isinstance(chosen, list | tuple) or any(each not in known for each in chosen):
        raise NotReadable("not_a_choice")
    return tuple(value for value in known if value in chosen)


def _yes_or_no(_: Any, given: Any) -> bool:
    if not isinstance(given, bool | str) or given not in _YES_NO:
        raise NotReadable("not_yes_or_no")
    return _YES_NO[given]


def _line(field: kinds.TextField | kinds.PlaceField, given: Any) -> Any:
    return read_text(given, field.longest)


def _lines(field: kinds.LongTextField, given: Any) -> Any:
    return read_text(given, field.longest, has_lines=True)


_READERS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    kinds.TextField: _line,
    kinds.PlaceField: _line,
    kinds.LongTextField: _lines,
    kinds.DateField: _day,
    kinds.MomentField: _moment,
    kinds.AmountField: _amount,
    kinds.CapitalsField: _capitals,
    kinds.NumberField: _number,
    kinds.ChoiceField: _choice,
    kinds.YesNoField: _yes_or_no,
}
