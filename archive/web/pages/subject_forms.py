"""Who a form is about: somebody on record who was chosen, or somebody new, and a number that decides between them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from archive.cases.identifiers import Identifier, IdentifierInvalid, IdentifierKind, parse_identifier
from archive.cases.subject_listings import SubjectRow, likely_subjects, namesakes
from archive.cases.subjects import MAX_NAME_CHARACTERS, KnownSubject, NewSubject, subject_with
from archive.cases.terms import SubjectKind
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import SubjectId, parse_uuid
from archive.kernel.instants import BUREAU_ZONE
from archive.web.pages.forms import Form
from archive.wiring import Services

NEW = "new"
"""What is chosen by whoever says that this is somebody else than those on record."""


def given_identifier(form: Form, services: Services) -> Identifier | None:
    """Return the number that a form holds, None where it holds none or one that is none of its kind."""
    if not form.value("identifier").strip():
        return None
    kind = form.choice("identifier_kind", IdentifierKind)
    today = services.clock.now().astimezone(BUREAU_ZONE).date()
    try:
        return parse_identifier(kind, form.value("identifier"), today=today)
    except IdentifierInvalid as error:
        form.refuse("identifier", f"identifier_flaw.{error.flaw.value}")
        return None


def given_subject(form: Form, services: Services) -> KnownSubject | NewSubject | None:
    """Return who is meant; None with a fault where that is not clear.

    A name that is on record already, and a number of somebody with another name, must be decided upon: nobody becomes
    somebody else by being called the same.
    """
    chosen = form.value("subject_id")
    identifier = given_identifier(form, services)
    if chosen not in {"", NEW}:
        subject_id = chosen_subject(form, "subject_id")
        return KnownSubject(subject_id, identifier) if subject_id is not None and form.is_good else None
    name = form.text("subject_name", most=MAX_NAME_CHARACTERS)
    kind = form.choice("subject_kind", SubjectKind)
    if identifier is not None and not identifier.kind.fits(kind):
        form.refuse("identifier_kind", "error.cases.identifier_unfit")
    if not form.is_good:
        return None
    given = NewSubject(name, kind, identifier)
    with services.database.read() as tx:
        owner = None if identifier is None else subject_with(tx, services.identifiers, identifier)
        is_named = owner is None and chosen != NEW and bool(namesakes(tx, name, kind))
    if owner is not None and (owner.name, owner.kind) != (name, kind.value):
        form.refuse("subject_id", "subject.number_on_record")
        return None
    if is_named:
        form.refuse("subject_id", "subject.name_on_record")
        return None
    return given


def chosen_subject(form: Form, name: str) -> SubjectId | None:
    """Return the subject that a field names, None with a fault where it names none."""
    try:
        return SubjectId(parse_uuid(form.value(name)))
    except InvalidInput:
        form.refuse(name, "form.choose")
        return None


def offered_subjects(tx: Session, services: Services, form: Form | None) -> Sequence[SubjectRow]:
    """Return whom a form may mean, by the name and the number that it holds."""
    if form is None:
        return []
    name, number = form.value("subject_name"), form.value("identifier")
    found = likely_subjects(tx, services.identifiers, name=name[:MAX_NAME_CHARACTERS], number=number)
    return [row for row in found if str(row.subject.id) != form.value("self_id")]
