"""Placeholders in the wording of a template: `{name}` stands for a field, `{name.part}` for a part or form of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from archive.documents import template_fields as kinds
from archive.documents.template_fields import AnyField

_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)(?:\.([a-z_]+))?\}")
_PARTS: Final[dict[type, tuple[str, ...]]] = {
    kinds.PersonField: get_args(kinds.PersonPart),
    kinds.SubjectField: get_args(kinds.SubjectPart),
    kinds.AmountField: ("capitals",),
    kinds.OfficersField: ("names", "numbers"),
    kinds.ReferenceField: ("title", "number"),
    kinds.ChoiceField: ("boxes",),
    kinds.YesNoField: ("boxes",),
    kinds.MomentField: ("day", "clock"),
    kinds.ListField: ("count",),
}
"""What can be asked of a field beside its whole; `boxes` shows every choice with a box, ticked or not."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A field, or a part of it, that stands in a text."""

    name: str
    part: str | None

    def fits(self, field: AnyField) -> bool:
        """Return whether such a field has the part."""
        return self.part is None or self.part in _PARTS.get(type(field), ())


def placeholders(text: str) -> Iterator[str | Placeholder]:
    """Yield the pieces of a text in their order. Raises: ValueError for a brace that begins or ends no placeholder."""
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        yield from _plain(text[end : found.start()])
        yield Placeholder(found[1], found[2])
        end = found.end()
    yield from _plain(text[end:])


def _plain(text: str) -> Iterator[str]:
    if "{" in text or "}" in text:
        raise ValueError("a brace stands alone: a field is written as {name} or {name.part}")
    if text:
        yield text
