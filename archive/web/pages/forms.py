"""What a person posts: read within limits, checked field by field, with an answer for each field."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.web.pages.formats import parse_local

MOST_FORM_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 40
_URLENCODED: Final = "application/x-www-form-urlencoded"
Choice = TypeVar("Choice", bound=StrEnum)


class FormTooLarge(InvalidInput):
    """The form is larger than any form of ours can be."""

    code = "input.too_large"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field: the key of a text, and what stands in it."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Form:
    """The fields of a form, and the faults that were found in them."""

    def __init__(self, values: Mapping[str, str], *, panel: str = "") -> None:
        """Take the fields as they came; `panel` names the form where a page has several."""
        self.values = values
        self.panel = panel
        self.faults: dict[str, Fault] = {}

    @property
    def is_good(self) -> bool:
        """Whether no fault was found yet."""
        return not self.faults

    def value(self, name: str) -> str:
        """Return a field as it came, to show it again."""
        return self.values.get(name, "")

    def refuse(self, name: str, key: str, **values: object) -> None:
        """Note a fault; the first one of a field counts."""
        self.faults.setdefault(name, Fault(key, values))

    def text(self, name: str, *, most: int) -> str:
        """Return a field that must say something, in NFC without outer blanks."""
        text = unicodedata.normalize("NFC", self.value(name)).strip()
        if not text:
            self.refuse(name, "form.required")
        elif len(text) > most:
            self.refuse(name, "form.too_long", most=most)
        elif any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
            self.refuse(name, "form.control_characters")
        return text

    def lines(self, name: str, *, most: int) -> str:
        """Return a field of several lines that must say something, in NFC without outer blanks."""
        text = unicodedata.normalize("NFC", self.value(name)).replace("\r\n", "\n").strip()
        if not text:
            self.refuse(name, "form.required")
        elif len(text) > most:
            self.refuse(name, "form.too_long", most=most)
        elif any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in text):
            self.refuse(name, "form.control_characters")
        return text

    def choice(self, name: str, kind: type[Choice]) -> Choice:
        """Return one of a closed list; with a fault, the list's first."""
        try:
            return kind(self.value(name))
        except ValueError:
            self.refuse(name, "form.choose")
            return next(iter(kind))

    def day(self, name: str, *, required: bool = False) -> date | None:
        """Return a day, None where there is none or none that can be read."""
        text = self.value(name).strip()
        if not text:
            if required:
                self.refuse(name, "form.required")
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.refuse(name, "form.not_a_day")
            return None

    def short(self, name: str, *, most: int) -> str:
        """Return a field that may be empty, in NFC without outer blanks."""
        return self.text(name, most=most) if self.value(name).strip() else ""

    def moment(self, name: str, *, required: bool = True) -> Instant | None:
        """Return a time that was meant in the bureau's zone."""
        text = self.value(name).strip()
        if not text:
            if required:
                self.refuse(name, "form.required")
            return None
        try:
            return parse_local(text)
        except InvalidInput:
            self.refuse(name, "form.not_a_time")
            return None


def declared_bytes(request: Request, *, most: int) -> None:
    """Refuse a body that says no length or too great a length. Raises: FormTooLarge."""
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or int(length) > most:
        raise FormTooLarge(most_bytes=most)


async def read_items(request: Request, *, most_fields: int, most_bytes: int = MOST_FORM_BYTES) -> list[tuple[str, str]]:
    """Return the fields of a plain form in their order, as often as each stands there.

    Raises: FormTooLarge, InvalidInput.
    """
    declared_bytes(request, most=most_bytes)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _URLENCODED:
        raise InvalidInput("A form is sent as " + _URLENCODED)
    fields = await request.form(max_fields=most_fields, max_part_size=most_bytes)
    return [(name, value) for name, value in fields.multi_items() if isinstance(value, str)]


async def read_fields(
    request: Request, *, many: str = "", most: int = 0, most_bytes: int = MOST_FORM_BYTES
) -> tuple[dict[str, str], list[str]]:
    """Return the fields of a plain form, and those that stand in it up to `most` times under the name `many`.

    Raises: FormTooLarge, InvalidInput.
    """
    texts = await read_items(request, most_fields=_MOST_FIELDS + most, most_bytes=most_bytes)
    return {name: value for name, value in texts if name != many}, [value for name, value in texts if name == many]


async def read_file(
    request: Request, *, panel: str, most: int, most_field: int = MOST_FORM_BYTES
) -> tuple[Form, bytes]:
    """Return the fields of a form with one file, and the file's bytes: `most`, and one more where it is larger.

    Nothing was chosen where there are no bytes. `most_field` is the most bytes of any field beside.
    Raises: FormTooLarge.
    """
    declared_bytes(request, most=most + max(most_field, MOST_FORM_BYTES))
    async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=most_field) as fields:
        values = {name: value for name, value in fields.multi_items() if isinstance(value, str)}
        file = fields.get("file")
        data = b"" if file is None or isinstance(file, str) else await file.read(most + 1)
    return Form(values, panel=panel), data


async def posted_form(request: Request) -> Form:
    """Return the fields of a plain form. Raises: FormTooLarge, InvalidInput."""
    values, _ = await read_fields(request)
    return Form(values)


FormDep = Annotated[Form, Depends(posted_form)]
