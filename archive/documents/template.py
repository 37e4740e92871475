"""A template (文书格式): what a text record asks for, checks, says and looks like, as data a bureau may replace."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.template_fields import AnyField, Label, Name, Part, Sentence, Words

_PATH: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\[([0-9]+)\])?(?:\.([a-z_]+))?")


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
    basis: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=50)]
    layout: Literal["approval", "record", "notice", "inventory", "receipt"]
    fields: Annotated[tuple[AnyField, ...], Field(min_length=1, max_length=200, alias="field")]
    signatures: Annotated[tuple[parts.Signature, ...], Field(max_length=20)] = Field((), alias="signature")
    rules: Annotated[tuple[parts.Rule, ...], Field(max_length=200)] = Field((), alias="rule")
    wording: Annotated[Mapping[Name, parts.LongText], Field(max_length=200)] = Field(default_factory=dict)
    body: Annotated[tuple[parts.Block, ...], Field(min_length=1, max_length=400)]
    guide: Annotated[tuple[parts.Guide, ...], Field(max_length=500)] = ()

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
        """Return the words for a field, or for a part of one of its lines, counted from 1: `items[2].name`."""
        found = _PATH.fullmatch(path)
        field = next((each for each in self.fields if found is not None and each.name == found[1]), None)
        if found is None or field is None:
            return path
        words = [field.label.zh if chinese else field.label.en]
        if found[2] is not None:
            words.append(str(int(found[2]) + 1))
            columns = field.columns if isinstance(field, kinds.ListField) else ()
            words += [column.label.zh if chinese else column.label.en for column in columns if column.name == found[3]]
            if not columns and found[3] in kinds.PART_LABELS:
                words.append(kinds.PART_LABELS[found[3]][0 if chinese else 1])
        return " ".join(words)
