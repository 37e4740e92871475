"""Reading the register of templates: every version, and which one a record begins by on a day."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.db.sight import unbound
from archive.documents.drafts import DraftState
from archive.documents.models import Draft, RecordTemplate
from archive.documents.template_register import ShippedVersion, TemplateNotFound, TemplateState, shipped_versions
from archive.kernel.errors import Conflict
from archive.kernel.ids import AgencyId, TemplateId
from archive.organisation.models import Agency

_OPEN: Final = date.max


class TemplateNotInForce(Conflict):
    """Records do not begin by this version today: another one is in force, or none."""

    code = "documents.template_not_in_force"


class TemplateNotFiled(Conflict):
    """This version is not filed (备案), and only filed ones are used here."""

    code = "documents.template_not_filed"


class Standing(StrEnum):
    """How a version stands on a day, as people say it."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    IN_FORCE = "in_force"
    IN_RESERVE = "in_reserve"
    """In force by its days, but a version of the bureau goes before what came with the program."""
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A version of a template, of one agency or of all. `is_recorded`: the register has a row of it."""

    id: TemplateId
    agency_id: AgencyId | None
    agency: str | None
    code: str
    version: int
    form: str
    title: str
    text_sha256: str
    state: TemplateState
    valid_from: date | None
    valid_until: date | None
    is_shipped: bool
    is_recorded: bool
    filed_with: str | None
    filing_number: str | None
    filed_on: date | None
    reason: str | None
    saved_at: datetime | None

    @property
    def is_filed(self) -> bool:
        """Whether it was filed (备案)."""
        return self.filed_with is not None

    def holds_on(self, day: date) -> bool:
        """Return whether it holds on a day by its own days."""
        return self.valid_from is not None and self.valid_from <= day <= (self.valid_until or _OPEN)

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """What goes before what: an agency's own, one for all, a shipped one of the register, the newest shipped."""
        return self.agency_id is not None, not self.is_shipped, self.is_recorded, self.version


def template_versions(tx: Session, *, code: str | None = None) -> Sequence[TemplateVersion]:
    """Return every version, of one code or of all: by code, the highest first, those of agencies before those for all.

    Versions that came with the program are among them, whether or not something was said of them.
    """
    query = select(RecordTemplate, Agency.name).outerjoin(Agency, Agency.id == RecordTemplate.agency_id)
    if code is not None:
        query = query.where(RecordTemplate.code == code)
    found = [_recorded(row, agency) for row, agency in tx.execute(query)]
    known = {each.id for each in found}
    found += [
        _shipped(each) for each in shipped_versions() if each.id not in known and code in {None, each.template.code}
    ]
    return sorted(found, key=lambda each: (each.code, -each.version, each.agency or "\uffff", each.is_shipped))


def template_version(tx: Session, template_id: TemplateId) -> TemplateVersion:
    """Return one version. Raises: TemplateNotFound."""
    row = tx.get(RecordTemplate, template_id)
    if row is not None:
        agency = None if row.agency_id is None else tx.scalar(select(Agency.name).where(Agency.id == row.agency_id))
        return _recorded(row, agency)
    for each in shipped_versions():
        if each.id == template_id:
            return _shipped(each)
    raise TemplateNotFound(template_id=template_id)


def templates_in_force(tx: Session, agency_id: UUID | None, *, on: date) -> Mapping[str, TemplateVersion]:
    """Return the versions that records of an agency begin by on a day, by code; the shipped ones unless replaced."""
    return in_force(template_versions(tx), agency_id, on=on)


def template_for(tx: Session, code: str, agency_id: UUID | None, *, on: date) -> TemplateVersion:
    """Return the version of a template that a record of an agency begins by on a day. Raises: TemplateNotFound."""
    found = in_force(template_versions(tx, code=code), agency_id, on=on).get(code)
    if found is None:
        raise TemplateNotFound(template=code)
    return found


def in_force(versions: Iterable[TemplateVersion], agency_id: UUID | None, *, on: date) -> Mapping[str, TemplateVersion]:
    """Return, by code, which of these an agency's records begin by on a day; None asks for what holds for all. Pure."""
    best: dict[str, TemplateVersion] = {}
    for each in versions:
        if each.agency_id not in {None, agency_id} or not each.holds_on(on):
            continue
        if each.code not in best or best[each.code].rank < each.rank:
            best[each.code] = each
    return dict(sorted(best.items()))


def usable_template(
    tx: Session, template_id: TemplateId, agency_id: UUID | None, *, on: date, only_filed: bool
) -> TemplateVersion:
    """Return a version that a record of an agency may begin by on a day.

    Raises: TemplateNotFound, TemplateNotInForce; TemplateNotFiled where only filed ones are used.
    """
    found = template_version(tx, template_id)
    held = in_force(template_versions(tx, code=found.code), agency_id, on=on).get(found.code)
    if held is None or held.id != found.id:
        raise TemplateNotInForce(template_id=template_id)
    if only_filed and not found.is_filed:
        raise TemplateNotFiled(template_id=template_id)
    return found


def standing_of(version: TemplateVersion, among: Iterable[TemplateVersion], *, on: date) -> Standing:
    """Return how a version stands on a day among those of its code. Pure."""
    if version.state is not TemplateState.IN_FORCE:
        return Standing(version.state.value)
    if version.valid_from is not None and version.valid_from > on:
        return Standing.SCHEDULED
    if not version.holds_on(on):
        return Standing.REPLACED
    held = in_force(among, version.agency_id, on=on).get(version.code)
    return Standing.IN_FORCE if held is not None and held.id == version.id else Standing.IN_RESERVE


def version_before(version: TemplateVersion, among: Iterable[TemplateVersion]) -> TemplateVersion | None:
    """Return the version that one was written after, to compare them: the highest lower one of its agency or of all."""
    lower = [
        each
        for each in among
        if each.version < version.version
        and each.agency_id in {None, version.agency_id}
        and each.state is not TemplateState.DROPPED
    ]
    return max(lower, key=lambda each: (each.version, each.agency_id is not None), default=None)


def uses_of_templates(tx: Session) -> Mapping[str, int]:
    """Return how many records were begun by each text, by its digest, whoever may see them; dropped ones aside."""
    with unbound(tx):
        rows = tx.execute(
            select(Draft.template_sha256, func.count())
            .where(Draft.state != DraftState.DROPPED.value)
            .group_by(Draft.template_sha256)
        ).all()
    return dict(rows)


def _recorded(row: RecordTemplate, agency: str | None) -> TemplateVersion:
    return TemplateVersion(
        id=TemplateId(row.id),
        agency_id=None if row.agency_id is None else AgencyId(row.agency_id),
        agency=agency,
        code=row.code,
        version=row.version,
        form=row.form,
        title=row.title,
        text_sha256=row.text_sha256,
        state=TemplateState(row.state),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        is_shipped=row.is_shipped,
        is_recorded=True,
        filed_with=row.filed_with,
        filing_number=row.filing_number,
        filed_on=row.filed_on,
        reason=row.reason,
        saved_at=row.saved_at,
    )


def _shipped(each: ShippedVersion) -> TemplateVersion:
    template = each.template
    return TemplateVersion(
        id=each.id,
        agency_id=None,
        agency=None,
        code=template.code,
        version=template.version,
        form=template.form,
        title=template.title.zh,
        text_sha256=each.sha256,
        state=TemplateState.IN_FORCE,
        valid_from=template.valid_from,
        valid_until=None,
        is_shipped=True,
        is_recorded=False,
        filed_with=None,
        filing_number=None,
        filed_on=None,
        reason=None,
        saved_at=None,
    )
