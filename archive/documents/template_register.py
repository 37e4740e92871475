"""The register of templates: versions are drafted, put in force from a day on, filed (备案), withdrawn.

A version that was in force is never changed: the next one takes its place from a day on. An agency's own version goes
before one for all, and that before what came with the program, which gets its row once something is said of it.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.documents.models import RecordTemplate, TemplateText
from archive.documents.template import Template
from archive.documents.template_loading import load_template
from archive.documents.template_texts import keep_template
from archive.documents.templates import shipped_texts
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import AgencyId, TemplateId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.models import Agency
from archive.organisation.units import AgencyNotFound

MAX_REASON_CHARACTERS: Final = 500
MAX_AUTHORITY_CHARACTERS: Final = 100
MAX_FILING_NUMBER_CHARACTERS: Final = 100
_SHIPPED: Final = uuid.UUID("00000000-0000-7000-8000-0000000000f0")
"""What the ids of shipped versions are derived in, so that each is the same everywhere."""


class TemplateState(StrEnum):
    """Where a version stands: it is written, in force on its days, taken back, or was given up before it was used."""

    DRAFT = "draft"
    IN_FORCE = "in_force"
    WITHDRAWN = "withdrawn"
    DROPPED = "dropped"


class TemplateNotFound(NotFound):
    """There is no such template."""

    code = "documents.template_not_found"


class TemplateFixed(Conflict):
    """This version was put in force, withdrawn or given up, and is not changed any more; write a new version."""

    code = "documents.template_fixed"


class TemplateChanged(Conflict):
    """Somebody else has saved this version since you opened it: look at what is there, then save again."""

    code = "documents.template_changed"


class TemplateVersionTaken(Conflict):
    """There is this version already, or a later one was put in force: a change has a higher number."""

    code = "documents.template_version_taken"


class TemplateScheduled(Conflict):
    """Another version holds from that day or a later one: withdraw it first, or choose a later day."""

    code = "documents.template_scheduled"


class TemplateDayRefused(InvalidInput):
    """A version is put in force from today on or later, and not before the day that its text names."""

    code = "documents.template_day_refused"


class TemplateFiled(Conflict):
    """This version is filed already."""

    code = "documents.template_filed"


class FilingRefused(InvalidInput):
    """What is filed was put in force, and not filed on a day that has not come."""

    code = "documents.filing_refused"


@dataclass(frozen=True, slots=True)
class ShippedVersion:
    """A template that came with the program, as the register knows it."""

    id: TemplateId
    text: str
    template: Template

    @property
    def sha256(self) -> str:
        """The digest of its text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def shipped_versions() -> Sequence[ShippedVersion]:
    """Return the templates that came with the program, by code."""
    found = []
    for text in shipped_texts().values():
        template = load_template(text)
        shipped_id = TemplateId(uuid.uuid5(_SHIPPED, f"{template.code}:{template.version}"))
        found.append(ShippedVersion(shipped_id, text, template))
    return found


def save_template(
    database: Database,
    text: str,
    *,
    agency_id: AgencyId | None,
    template_id: TemplateId | None = None,
    seen_sha256: str = "",
    by: Actor,
    at: Instant,
) -> TemplateId:
    """Write a version down as a draft, or save over one that was opened with the text of `seen_sha256`.

    The text keeps code, version and form; a text that says it is filed brings its filing along.
    Raises: TemplateInvalid, TemplateNotFound, TemplateFixed, TemplateChanged, TemplateVersionTaken, AgencyNotFound.
    """
    template = load_template(text)
    with unique_or(TemplateVersionTaken), database.begin() as tx:
        if agency_id is not None and tx.scalar(select(Agency.id).where(Agency.id == agency_id)) is None:
            raise AgencyNotFound(agency_id=agency_id)
        row = None if template_id is None else _locked(tx, template_id)
        if row is not None and row.state != TemplateState.DRAFT:
            raise TemplateFixed(template_id=template_id)
        if row is not None and row.text_sha256 != seen_sha256:
            raise TemplateChanged(template_id=template_id)
        _require_newer(tx, template, agency_id, besides=template_id)
        values = _values(tx, text, template, agency_id=agency_id, is_shipped=False)
        if row is not None and all(getattr(row, name) == value for name, value in values.items()):
            return TemplateId(row.id)
        return _write(tx, values, template_id, by=by, at=at)


def put_in_force(database: Database, template_id: TemplateId, *, valid_from: date, by: Actor, at: Instant) -> None:
    """Let records begin by a version from a day on; the one that held until then ends the day before.

    Raises: TemplateNotFound, TemplateFixed, TemplateVersionTaken, TemplateScheduled, TemplateDayRefused.
    """
    with unique_or(TemplateVersionTaken), database.begin() as tx:
        row = _locked(tx, template_id, by=by, at=at)
        if row.state != TemplateState.DRAFT:
            raise TemplateFixed(template_id=template_id)
        template = load_template(text_of(tx, template_id))
        agency_id = None if row.agency_id is None else AgencyId(row.agency_id)
        if valid_from < max(local_day(at), template.valid_from):
            raise TemplateDayRefused(earliest=max(local_day(at), template.valid_from).isoformat())
        if not row.is_shipped:
            _require_newer(tx, template, agency_id, besides=template_id)
        for other in _in_force(tx, row.code, agency_id, is_shipped=row.is_shipped):
            _end_before(tx, other, valid_from, by=by, at=at)
        detail = {"state": TemplateState.IN_FORCE.value, "valid_from": valid_from}
        _change(tx, row, EntryType.ADMIN_TEMPLATE_PUT_IN_FORCE, detail, by=by, at=at)


def file_template(
    database: Database, template_id: TemplateId, *, authority: str, number: str, filed_on: date, by: Actor, at: Instant
) -> None:
    """Write down that a version was filed (备案): with whom, under which number, on which day.

    Raises: TemplateNotFound, TemplateFiled, FilingRefused, InvalidInput.
    """
    authority = clean_text(authority, "authority", MAX_AUTHORITY_CHARACTERS)
    number = clean_text(number, "number", MAX_FILING_NUMBER_CHARACTERS)
    with unique_or(TemplateVersionTaken), database.begin() as tx:
        row = _locked(tx, template_id, by=by, at=at)
        if row.filed_with is not None:
            raise TemplateFiled(template_id=template_id)
        if row.state not in {TemplateState.IN_FORCE, TemplateState.WITHDRAWN} or filed_on > local_day(at):
            raise FilingRefused(template_id=template_id)
        detail = {"filed_with": authority, "filing_number": number, "filed_on": filed_on}
        _change(tx, row, EntryType.ADMIN_TEMPLATE_FILED, detail, by=by, at=at)


def withdraw_template(database: Database, template_id: TemplateId, *, reason: str, by: Actor, at: Instant) -> None:
    """Let no more records begin by a version from now on; a draft is given up. Records that were begun go on.

    Raises: TemplateNotFound, TemplateFixed, InvalidInput.
    """
    reason = clean_text(reason, "reason", MAX_REASON_CHARACTERS)
    with unique_or(TemplateVersionTaken), database.begin() as tx:
        row = _locked(tx, template_id, by=by, at=at)
        detail: dict[str, Any] = {"reason": reason, "state": TemplateState.DROPPED.value}
        if row.state == TemplateState.IN_FORCE:
            last = local_day(at) - timedelta(days=1)
            detail["state"] = TemplateState.WITHDRAWN.value
            detail["valid_until"] = last if row.valid_until is None else min(last, row.valid_until)
        elif row.state != TemplateState.DRAFT:
            raise TemplateFixed(template_id=template_id)
        _change(tx, row, EntryType.ADMIN_TEMPLATE_WITHDRAWN, detail, by=by, at=at)


def text_of(tx: Session, template_id: TemplateId) -> str:
    """Return the text of a version. Raises: TemplateNotFound."""
    found = tx.scalar(
        select(TemplateText.text)
        .join(RecordTemplate, RecordTemplate.text_sha256 == TemplateText.sha256)
        .where(RecordTemplate.id == template_id)
    )
    if found is None:
        found = next((each.text for each in shipped_versions() if each.id == template_id), None)
    if found is None:
        raise TemplateNotFound(template_id=template_id)
    return found


def of_agency(agency_id: UUID | None) -> ColumnElement[bool]:
    """Return the condition that a version is of just this agency, or of all."""
    column = RecordTemplate.agency_id
    return column.is_(None) if agency_id is None else column == agency_id


def _locked(
    tx: Session, template_id: TemplateId, *, by: Actor | None = None, at: Instant | None = None
) -> RecordTemplate:
    """Return the row of a version, locked with all of its code; with `by` and `at` a shipped one gets its row.

    That one is in force, unless another shipped version of its code is: it was filed, and stays until it is replaced.
    Raises: TemplateNotFound.
    """
    code = select(RecordTemplate.code).where(RecordTemplate.id == template_id).scalar_subquery()
    tx.scalars(
        select(RecordTemplate.id).where(RecordTemplate.code == code).order_by(RecordTemplate.id).with_for_update()
    ).all()
    query = select(RecordTemplate).where(RecordTemplate.id == template_id)
    row = tx.scalar(query)
    if row is None and by is not None and at is not None:
        found = next((each for each in shipped_versions() if each.id == template_id), None)
        if found is not None:
            values = _values(tx, found.text, found.template, agency_id=None, is_shipped=True)
            if not _in_force(tx, found.template.code, None, is_shipped=True):
                values |= {"state": TemplateState.IN_FORCE.value, "valid_from": found.template.valid_from}
            _write(tx, values, template_id, by=by, at=at, is_new=True)
            row = tx.scalar(query)
    if row is None:
        raise TemplateNotFound(template_id=template_id)
    return row


def _values(
    tx: Session, text: str, template: Template, *, agency_id: AgencyId | None, is_shipped: bool
) -> dict[str, Any]:
    filing = template.filing
    is_filed = filing.status == "filed"
    return {
        "agency_id": agency_id,
        "code": template.code,
        "version": template.version,
        "form": template.form,
        "title": template.title.zh,
        "text_sha256": keep_template(tx, text),
        "state": TemplateState.DRAFT.value,
        "valid_from": None,
        "valid_until": None,
        "is_shipped": is_shipped,
        "filed_with": filing.filed_with if is_filed else None,
        "filing_number": filing.number if is_filed else None,
        "filed_on": filing.on if is_filed else None,
        "reason": None,
    }


def _write(
    tx: Session, values: dict[str, Any], template_id: TemplateId | None, *, by: Actor, at: Instant, is_new: bool = False
) -> TemplateId:
    told = {"saved_by": by.id, "saved_at": at}
    if template_id is None or is_new:
        template_id = TemplateId(new_uuid7()) if template_id is None else template_id
        insert_row(tx, RecordTemplate, id=template_id, **values, **told)
    else:
        tx.execute(update(RecordTemplate).where(RecordTemplate.id == template_id).values(**values, **told))
    detail = {name: value for name, value in values.items() if name != "agency_id"} | {"agency": values["agency_id"]}
    detail["text"] = text_of(tx, template_id)
    _tell(tx, EntryType.ADMIN_TEMPLATE_SAVED, template_id, detail, by=by, at=at)
    return template_id


def _require_newer(tx: Session, template: Template, agency_id: UUID | None, *, besides: UUID | None) -> None:
    """Refuse a version number that is there, or below one that was put in force. Raises: TemplateVersionTaken."""
    taken = {each.template.version for each in shipped_versions() if each.template.code == template.code}
    highest = 0
    for row in tx.scalars(select(RecordTemplate).where(RecordTemplate.code == template.code)):
        if row.id == besides or row.state == TemplateState.DROPPED or row.agency_id not in {None, agency_id}:
            continue
        taken.add(row.version)
        if row.agency_id == agency_id and row.state != TemplateState.DRAFT and not row.is_shipped:
            highest = max(highest, row.version)
    if template.version in taken or template.version < highest:
        raise TemplateVersionTaken(version=template.version)


def _in_force(tx: Session, code: str, agency_id: UUID | None, *, is_shipped: bool) -> Sequence[RecordTemplate]:
    """Return the versions that one of these can take the place of: an agency's own, those for all, shipped ones."""
    return tx.scalars(
        select(RecordTemplate).where(
            RecordTemplate.code == code,
            of_agency(agency_id),
            RecordTemplate.is_shipped == is_shipped,
            RecordTemplate.state == TemplateState.IN_FORCE.value,
        )
    ).all()


def _end_before(tx: Session, row: RecordTemplate, day: date, *, by: Actor, at: Instant) -> None:
    """End a version the day before another begins, where it would still hold then. Raises: TemplateScheduled."""
    if row.valid_until is not None and row.valid_until < day:
        return
    if row.valid_from is None or row.valid_from >= day:
        raise TemplateScheduled(valid_from=None if row.valid_from is None else row.valid_from.isoformat())
    _change(tx, row, EntryType.ADMIN_TEMPLATE_REPLACED, {"valid_until": day - timedelta(days=1)}, by=by, at=at)


def _change(
    tx: Session, row: RecordTemplate, kind: EntryType, values: dict[str, Any], *, by: Actor, at: Instant
) -> None:
    tx.execute(update(RecordTemplate).where(RecordTemplate.id == row.id).values(**values))
    _tell(tx, kind, TemplateId(row.id), values, by=by, at=at)


def _tell(
    tx: Session, kind: EntryType, template_id: TemplateId, detail: dict[str, Any], *, by: Actor, at: Instant
) -> None:
    told = {name: str(value) if isinstance(value, date | UUID) else value for name, value in detail.items()}
    append_entry(tx, NewEntry(kind, by, Target("template", template_id), detail=told), at=at)
