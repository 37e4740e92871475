"""The fields of a template (文书格式): their kinds, and what each kind may be bound by."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Part(BaseModel):
    """A part of a template: read strictly, with no name that is not known, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Words(Part):
    """What is read in Chinese and in English."""

    zh: Label
    en: Label


class Help(Part):
    """One or two sentences that say how a field is filled in."""

    zh: Sentence
    en: Sentence


Fill = Literal[
    "agency.name", "unit.name", "case.number", "case.title", "case.category", "case.subject", "case.filed_on",
    "act.place", "act.started_at", "act.ended_at", "act.officers", "officer.name", "officer.certificate_number",
    "record.number", "today",
]  # fmt: skip
"""Where a form takes the first value of a field from, so that nobody types it twice."""


class _Any(Part):
    name: Name
    label: Words
    required: bool = True
    help: Help | None = None
    fill: Fill | None = None


class TextField(_Any):
    """One line of text, at most `longest` characters."""

    kind: Literal["text"]
    longest: Annotated[int, Field(ge=1, le=1000)] = 200
    default: str | None = None


class LongTextField(_Any):
    """Text of several lines."""

    kind: Literal["long_text"]
    longest: Annotated[int, Field(ge=1, le=50_000)] = 5000
    default: str | None = None


class PlaceField(_Any):
    """Where something is or happened, as an address or a description."""

    kind: Literal["place"]
    longest: Annotated[int, Field(ge=1, le=1000)] = 200


class DateField(_Any):
    """A day where the bureau is."""

    kind: Literal["date"]


class MomentField(_Any):
    """A day and a time of day, to the minute."""

    kind: Literal["moment"]


class AmountField(_Any):
    """An amount of money. Units: bounds in fen."""

    kind: Literal["amount"]
    least_fen: Annotated[int, Field(ge=0)] = 0
    most_fen: Annotated[int, Field(ge=0, lt=10**14)] = 10**14 - 1


class CapitalsField(_Any):
    """An amount of money in capital characters (大写)."""

    kind: Literal["capitals"]


class NumberField(_Any):
    """A number with at most so many decimals, and the unit it counts."""

    kind: Literal["number"]
    least: int = 0
    most: Annotated[int, Field(le=10**12)] = 10**9
    decimals: Annotated[int, Field(ge=0, le=6)] = 0
    unit: Words | None = None


class Choice(Part):
    """One value of a choice and its words."""

    value: Name
    zh: Label
    en: Label


class ChoiceField(_Any):
    """One of several values, or some of them."""

    kind: Literal["choice"]
    choices: Annotated[tuple[Choice, ...], Field(min_length=2, max_length=50)]
    several: bool = False
    default: str | None = None


class YesNoField(_Any):
    """Yes or no."""

    kind: Literal["yes_no"]


PART_LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("姓名（名称）", "name"),
    "sex": ("性别", "sex"),
    "age": ("年龄", "age"),
    "id_number": ("身份证号", "identity number"),
    "number": ("证件号码", "number"),
    "phone": ("联系电话", "telephone"),
    "address": ("住所（住址）", "address"),
    "employer": ("工作单位", "employer"),
    "post": ("职务", "post"),
    "representative": ("法定代表人（负责人）", "representative"),
    "certificate_number": ("执法证号", "certificate number"),
    "question": ("问", "question"),
    "answer": ("答", "answer"),
    "id": ("编号", "id"),
    "title": ("题名", "title"),
}
"""The words, in Chinese and in English, for the parts of fields that have several."""
PersonPart = Literal["name", "sex", "age", "id_number", "phone", "address", "employer", "post"]


class PersonField(_Any):
    """A person; `needs` are the parts that must be filled in."""

    kind: Literal["person"]
    needs: tuple[PersonPart, ...] = ("name",)


SubjectPart = Literal["name", "number", "representative", "post", "address", "phone"]


class SubjectField(_Any):
    """The subject (当事人): a person or an organisation, with its credit code or identity number."""

    kind: Literal["subject"]
    needs: tuple[SubjectPart, ...] = ("name",)


class OfficersField(_Any):
    """Officers by name and certificate number; at least two act together unless the template says less."""

    kind: Literal["officers"]
    least: Annotated[int, Field(ge=1, le=10)] = 2
    most: Annotated[int, Field(ge=1, le=20)] = 6


class DialogueField(_Any):
    """Questions and answers, in their order."""

    kind: Literal["dialogue"]
    least: Annotated[int, Field(ge=1)] = 1
    most: Annotated[int, Field(ge=1, le=2000)] = 500


class ReferenceField(_Any):
    """Another record of the case, of one of the forms that are named."""

    kind: Literal["reference"]
    forms: Annotated[tuple[Name, ...], Field(min_length=1)]


Column = Annotated[
    TextField
    | LongTextField
    | PlaceField
    | DateField
    | MomentField
    | AmountField
    | NumberField
    | ChoiceField
    | YesNoField,
    Field(discriminator="kind"),
]


class ListField(_Any):
    """Lines of a table; `width` of a column is its share of the page."""

    kind: Literal["list"]
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=12, alias="column")]
    widths: tuple[Annotated[int, Field(ge=1, le=20)], ...] = ()
    least: Annotated[int, Field(ge=0)] = 1
    most: Annotated[int, Field(ge=1, le=5000)] = 500


AnyField = Annotated[
    TextField
    | LongTextField
    | PlaceField
    | DateField
    | MomentField
    | AmountField
    | CapitalsField
    | NumberField
    | ChoiceField
    | YesNoField
    | PersonField
    | SubjectField
    | OfficersField
    | DialogueField
    | ReferenceField
    | ListField,
    Field(discriminator="kind"),
]
"""A field of any kind."""
