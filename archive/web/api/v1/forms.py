"""The bodies that other systems push, and what is answered: one model for each."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from archive.access.external_ids import MAX_EXTERNAL_ID_CHARACTERS, ExternalIdInvalid, clean_external_id
from archive.cases.filing import MAX_NUMBER_CHARACTERS, MAX_PLACE_CHARACTERS, MAX_TITLE_CHARACTERS
from archive.cases.identifiers import MAX_NUMBER_CHARACTERS as MAX_IDENTIFIER_CHARACTERS
from archive.cases.identifiers import IdentifierKind, parse_identifier
from archive.cases.subjects import MAX_NAME_CHARACTERS
from archive.cases.systems.acts import ActFacts
from archive.cases.systems.cases import CaseFacts
from archive.cases.systems.push import Outcome
from archive.cases.systems.subjects import SubjectFacts
from archive.cases.terms import Category, Stage, SubjectKind
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, parse_instant
from archive.organisation.officers import MAX_CATEGORIES, MAX_CATEGORY_CHARACTERS, OfficerFacts

_MOST_IDENTIFIERS: Final = 20
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST_OFFICERS: Final = 100


def _external(text: str) -> str:
    try:
        return clean_external_id(text)
    except ExternalIdInvalid as exc:
        raise ValueError(exc.message) from exc


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        return parse_instant(value)
    except InvalidInput as exc:
        raise ValueError(exc.message) from exc


def whole_day(value: Any) -> Any:
    """Return what a day is read from: a text YYYY-MM-DD, nothing else."""
    if isinstance(value, str) and _DAY.fullmatch(value) is None:
        raise ValueError("a day is written YYYY-MM-DD")
    if value is not None and not isinstance(value, str | date):
        raise ValueError("a day is a text")
    return value


External = Annotated[
    str,
    Field(
        description="An external id of the calling system.",
        examples=["CASE/2026/0031"],
        max_length=4 * MAX_EXTERNAL_ID_CHARACTERS,
    ),
    AfterValidator(_external),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_instant),
    Field(description="RFC 3339 with its offset from UTC.", examples=["2026-03-02T09:30:00+08:00"]),
]


class Sent(BaseModel):
    """A body: what it does not know is refused, so that a mistyped name is noticed."""

    model_config = ConfigDict(extra="forbid")


class IdentifierSent(Sent):
    """A number that the subject is known by. The first two kinds are held against their check characters."""

    kind: Annotated[IdentifierKind, Field(examples=["credit_code"])]
    number: Annotated[str, Field(max_length=4 * MAX_IDENTIFIER_CHARACTERS, examples=["91530100MA6K3XQ84M"])]


class SubjectSent(Sent):
    """A person or organisation that enforcement concerns (执法对象)."""

    kind: Annotated[SubjectKind, Field(examples=["organisation"])]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, examples=["官渡区阿明烧烤店"])]
    identifiers: Annotated[
        list[IdentifierSent],
        Field(max_length=_MOST_IDENTIFIERS, description="Numbers that are left out here stay on record."),
    ] = []

    def facts(self, *, today: date) -> SubjectFacts:
        """Return what the body says. Raises: IdentifierInvalid."""
        numbers = [parse_identifier(given.kind, given.number, today=today) for given in self.identifiers]
        return SubjectFacts(self.kind, self.name, numbers)


class CaseSent(Sent):
    """A case (案件)."""

    number: Annotated[str, Field(min_length=1, max_length=MAX_NUMBER_CHARACTERS, examples=["官综执罚〔2026〕第031号"])]
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS, examples=["占道经营烧烤摊点案"])]
    category: Annotated[Category, Field(description="Act category (执法类别).", examples=["penalty"])]
    subject: Annotated[External, Field(description="External id of the subject.", examples=["PARTY-8891"])]

    def facts(self) -> CaseFacts:
        """Return what the body says."""
        return CaseFacts(self.number, self.title, self.category, self.subject)


class ActSent(Sent):
    """A dated act inside a case (执法活动)."""

    case: Annotated[External, Field(description="External id of the case; it cannot be changed.")]
    stage: Annotated[Stage, Field(description="Stage (环节).", examples=["inspection"])]
    place: Annotated[
        str, Field(min_length=1, max_length=MAX_PLACE_CHARACTERS, examples=["官渡区北京路延长线 188 号门前"])
    ]
    started_at: Moment
    ended_at: Moment | None = None
    officers: Annotated[
        list[External] | None,
        Field(
            max_length=_MOST_OFFICERS,
            description="External ids of the officers who take part; left out, they stay as they are.",
            examples=[["OFF-17", "OFF-21"]],
        ),
    ] = None

    def facts(self) -> ActFacts:
        """Return what the body says."""
        return ActFacts(self.case, self.stage, self.place, self.started_at, self.ended_at, self.officers)


class OfficerSent(Sent):
    """An officer (执法人员)."""

    certificate_number: Annotated[
        str, Field(min_length=1, max_length=64, description="执法证号.", examples=["24010118001"])
    ]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, examples=["李晓东"])]
    agency: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, examples=["官渡区综合行政执法局"])]
    unit: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS, examples=["北市区中队"])] = ""
    categories: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_CATEGORY_CHARACTERS)]],
        Field(max_length=MAX_CATEGORIES, description="As on the certificate.", examples=[["城市管理"]]),
    ] = []
    valid_from: Annotated[date | None, BeforeValidator(whole_day), Field(examples=["2024-05-01"])] = None
    valid_until: Annotated[date | None, BeforeValidator(whole_day), Field(examples=["2029-04-30"])] = None

    def facts(self) -> OfficerFacts:
        """Return what the body says."""
        return OfficerFacts(
            self.certificate_number,
            self.name,
            self.agency,
            self.unit,
            self.categories,
            self.valid_from,
            self.valid_until,
        )


class LinkSent(Sent):
    """A recording to be filed under a case."""

    item: Annotated[str, Field(description="Id of the item.", examples=["01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"])]
    case: External
    act: External | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["现场检查的执法记录"])]


class RemovalSent(Sent):
    """A recording to be taken out of a case; it stays in the archive."""

    item: Annotated[str, Field(description="Id of the item.", examples=["01980f3e-1b7a-7a51-8c11-0d4f0b8f6a01"])]
    case: External
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["误关联"])]


class Reference(BaseModel):
    """Another thing: our id, and the calling system's where it has one."""

    id: str
    external_id: str | None


class IdentifierRead(BaseModel):
    """A number on record, as screens show it."""

    kind: IdentifierKind
    masked: Annotated[str, Field(examples=["915***********Q84M"])]


class Read(BaseModel):
    """What every answer about a pushed thing holds."""

    id: Annotated[str, Field(description="Our id.")]
    external_id: str
    page: Annotated[str | None, Field(description="Where people find it, on this server.")] = None
    outcome: Annotated[Outcome | None, Field(description="What came of a PUT.")] = None


class SubjectRead(Read):
    """A subject as it is on record."""

    kind: SubjectKind
    name: str
    identifiers: list[IdentifierRead]


class CaseRead(Read):
    """A case as it is on record."""

    number: str
    title: str
    category: Category
    subject: Reference


class ActRead(Read):
    """An act as it is on record."""

    case: Reference
    stage: Stage
    place: str
    started_at: str
    ended_at: str | None
    officers: list[Reference]


class OfficerRead(Read):
    """An officer as on record."""

    certificate_number: str
    name: str
    agency: str
    unit: str
    categories: list[str]
    valid_from: str | None
    valid_until: str | None


class SubjectList(BaseModel):
    """Subjects, the newest first. `next` is the cursor of what follows."""

    subjects: list[SubjectRead]
    next: str | None


class CaseList(BaseModel):
    """Cases, the newest first. `next` is the cursor of what follows."""

    cases: list[CaseRead]
    next: str | None


class ActList(BaseModel):
    """Acts, the newest first. `next` is the cursor of what follows."""

    acts: list[ActRead]
    next: str | None


class OfficerList(BaseModel):
    """Officers, the newest first. `next` is the cursor of what follows."""

    officers: list[OfficerRead]
    next: str | None


class LinkRead(BaseModel):
    """What came of linking or unlinking."""

    item: str
    case: Reference
    outcome: Literal["created", "unchanged", "removed"]


Since = Annotated[Instant, BeforeValidator(_instant)]
