"""The parts of a template beside its fields: filing, signatures, rules, the blocks of the paper, the language guide."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from archive.documents.template_fields import Label, Name, Part, Sentence, Words

CaseDay = Literal[
    "filed_on", "notified_on", "asked_for_hearing_on", "seized_on", "preserved_on", "decided_on", "served_on"
]
"""Days that a case knows from its acts and records."""
LongText = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class Filing(Part):
    """Whether the template was filed for the record (备案), with whom, under which number, when."""

    status: Literal["filed", "not_filed"]
    filed_with: Label | None = Field(None, alias="with")
    number: Label | None = None
    on: date | None = None


class Signature(Part):
    """Who signs, in the order of the template.

    `by`: with an own certificate, by hand, or with the agency's seal. `every_page` is a signature at the foot of every
    page (逐页签名), `across_pages` the seal over the edges of all pages (骑缝章); `may_refuse` that the signer may
    refuse to sign, which is then put down with reason and witness.
    """

    role: Name
    label: Words
    by: Literal["certificate", "hand", "seal"]
    count: Annotated[int, Field(ge=1, le=10)] = 1
    every_page: bool = False
    across_pages: bool = False
    may_refuse: bool = False
    required: bool = True


class When(Part):
    """A condition: the field is filled in, or has this value."""

    field: Name
    value: str | bool | None = Field(None, alias="is")


# ---- rules -----------------------------------------------------------------------------------------------------------


class Ordered(Part):
    """Days and moments that do not go back, in the order of the fields."""

    kind: Literal["ordered"]
    fields: Annotated[tuple[Name, ...], Field(min_length=2)]


class NotAfterToday(Part):
    """Days and moments that have come."""

    kind: Literal["not_after_today"]
    fields: Annotated[tuple[Name, ...], Field(min_length=1)]


class ValidOfficers(Part):
    """Different officers, whose certificates are valid on the day of the field `on`."""

    kind: Literal["valid_officers"]
    field: Name
    on: Name


class SameAmount(Part):
    """An amount in figures that equals the one in capital characters."""

    kind: Literal["same_amount"]
    figures: Name
    capitals: Name


class SumOf(Part):
    """An amount that is the sum of a column of a list."""

    kind: Literal["sum_of"]
    field: Name
    list: Name
    column: Name


class RequiredIf(Part):
    """A field that has to be filled in when another has a value."""

    kind: Literal["required_if"]
    field: Name
    when: When


class Different(Part):
    """People who are not the same: none named in `field` stands among the `others`."""

    kind: Literal["different"]
    field: Name
    others: Annotated[tuple[Name, ...], Field(min_length=1)]
    basis: Label | None = None


class TimeLimit(Part):
    """A limit of the procedure, by its code in `limits.toml`.

    It counts from the day of a field, or from what the case knows (`since_case`); it ends by the day of `until`.
    """

    kind: Literal["time_limit"]
    limit: Name
    since: Name | None = None
    since_case: CaseDay | None = None
    until: Name


Rule = Annotated[
    Ordered | NotAfterToday | ValidOfficers | SameAmount | SumOf | RequiredIf | Different | TimeLimit,
    Field(discriminator="kind"),
]
"""A rule that a finished form keeps."""

# ---- the paper -------------------------------------------------------------------------------------------------------


class Paragraph(Part):
    """A paragraph of standing words with `{fields}` in it."""

    kind: Literal["paragraph"]
    text: LongText
    when: When | None = None
    align: Literal["left", "center", "right"] = "left"
    indent: bool = True
    style: Literal["body", "heading", "note"] = "body"


class Wording(Part):
    """A piece of the template's standing wording (固定用语), by its name."""

    kind: Literal["wording"]
    name: Name
    when: When | None = None
    indent: bool = True


class Row(Part):
    """A row of a form: pairs of a caption and what stands beside it, with room for so many lines.

    `sign` are the roles that sign in its last cell.
    """

    kind: Literal["row"]
    cells: Annotated[tuple[tuple[Label, str], ...], Field(min_length=1, max_length=2)]
    lines: Annotated[int, Field(ge=1, le=30)] = 1
    sign: tuple[Name, ...] = ()


class Table(Part):
    """The lines of a list as a table, numbered; the row after the last says that nothing follows (以下空白)."""

    kind: Literal["table"]
    field: Name
    closed: bool = True


class Dialogue(Part):
    """Questions and answers."""

    kind: Literal["dialogue"]
    field: Name


class Signing(Part):
    """A place where these roles sign, with the date."""

    kind: Literal["signing"]
    roles: Annotated[tuple[Name, ...], Field(min_length=1)]
    dated: bool = True


class Sealing(Part):
    """The name of the agency and the date, with the seal over them."""

    kind: Literal["sealing"]
    role: Name
    agency: str
    date: str


Block = Annotated[
    Paragraph | Wording | Row | Table | Dialogue | Signing | Sealing,
    Field(discriminator="kind"),
]
"""A block of the paper."""


class Guide(Part):
    """A sentence of the language guide (用语指引) that an officer may take over into a field."""

    field: Name
    title: Words
    text: Sentence
    part: Literal["question", "answer"] | None = None
