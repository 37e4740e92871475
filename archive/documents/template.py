"""A template (文书格式): what a text record asks for, checks, says and looks like, as data that a bureau may replace."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.template_fields import AnyField, Label, Name, Part, Sentence, Words


class Template(Part):
    """One version of a template, as it stands in its file."""

    code: Name
    version: Annotated[int, Field(ge=1)]
    form: Name
    title: Words
    heading: Label
    number: Label | None = None
    filing: parts.Filing
    valid_from: date
    basis: Annotated[tuple[Sentence, ...], Field(min_length=1)]
    layout: Literal["approval", "record", "notice", "inventory", "receipt"]
    fields: Annotated[tuple[AnyField, ...], Field(min_length=1, max_length=200, alias="field")]
    signatures: tuple[parts.Signature, ...] = Field((), alias="signature")
    rules: tuple[parts.Rule, ...] = Field((), alias="rule")
    wording: Mapping[Name, parts.LongText] = Field(default_factory=dict)
    body: Annotated[tuple[parts.Block, ...], Field(min_length=1)]
    guide: tuple[parts.Guide, ...] = ()

    def field(self, name: str) -> AnyField:
        """Return the field of this name. Raises: KeyError."""
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(name)

    def signature(self, role: str) -> parts.Signature:
        """Return the signature of this role. Raises: KeyError."""
        for found in self.signatures:
            if found.role == role:
                return found
        raise KeyError(role)

    def label(self, path: str, *, chinese: bool) -> str:
        """Return the words for a field, or for a column of one line: `items[2].name`."""
        name, _, rest = path.partition("[")
        try:
            found: Any = self.field(name.partition(".")[0])
        except KeyError:
            return path
        label = found.label.zh if chinese else found.label.en
        if not rest or not isinstance(found, kinds.ListField):
            return str(label)
        number, _, column = rest.partition("].")
        word = next((each.label for each in found.columns if each.name == column), None)
        where = f"{label} {int(number.rstrip(']')) + 1}"
        return where if word is None else f"{where} {word.zh if chinese else word.en}"
