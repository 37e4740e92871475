"""What changes a subject: its name, its numbers, and merging it with another one after a look at both."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from archive.access.callers import Caller
from archive.cases.identifiers import Identifier
from archive.cases.merges import merge_subjects, separate_subjects
from archive.cases.subject_listings import SubjectRow, subject_row
from archive.cases.subjects import (
    MAX_NAME_CHARACTERS,
    IdentifierTaken,
    IdentifierUnfit,
    add_identifier,
    remove_identifier,
    update_subject,
)
from archive.cases.terms import SubjectKind
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import SubjectId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Filer, IdentifierIdPath, SubjectIdPath
from archive.web.pages.rendering import go_to, render
from archive.web.pages.subject_forms import chosen_subject, given_identifier
from archive.web.pages.subjects import show_subject
from archive.wiring import Services

router = APIRouter(prefix="/subjects/{subject_id}", include_in_schema=False)

_MOST_REASON = 500


class _Kept(StrEnum):
    """Which of two subjects goes on showing its name."""

    THIS = "this"
    OTHER = "other"


@router.post("/changes")
def changes_posted(
    request: Request, subject_id: SubjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Correct the name or the kind."""
    form.panel = "change"
    name = form.text("name", most=MAX_NAME_CHARACTERS)
    kind = form.choice("kind", SubjectKind)
    if form.is_good:
        try:
            update_subject(
                services.database, subject_id, name=name, kind=kind, by=caller.actor, at=services.clock.now()
            )
        except IdentifierUnfit:
            form.refuse("kind", "error.cases.identifier_unfit")
        else:
            return go_to(f"/subjects/{subject_id}?done=subject_updated")
    return show_subject(request, subject_id, caller, services, form=form, status=422)


@router.post("/identifiers")
def identifier_posted(
    request: Request, subject_id: SubjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Record a number."""
    form.panel = "identifier"
    identifier = given_identifier(form, services)
    if identifier is None:
        form.refuse("identifier", "form.required")
    else:
        _add(form, subject_id, identifier, caller, services)
    if form.is_good:
        return go_to(f"/subjects/{subject_id}?done=identifier_added")
    return show_subject(request, subject_id, caller, services, form=form, status=422)


def _add(form: Form, subject_id: SubjectId, identifier: Identifier, caller: Caller, services: Services) -> None:
    at = services.clock.now()
    try:
        add_identifier(services.database, services.identifiers, subject_id, identifier, by=caller.actor, at=at)
    except IdentifierTaken:
        form.refuse("identifier", "error.cases.identifier_taken")
    except IdentifierUnfit:
        form.refuse("identifier_kind", "error.cases.identifier_unfit")


@router.post("/identifiers/{identifier_id}/removal")
def removal_posted(
    request: Request,
    subject_id: SubjectIdPath,
    identifier_id: IdentifierIdPath,
    form: FormDep,
    caller: Filer,
    services: ServicesDep,
) -> Response:
    """Take back a number that was recorded wrongly."""
    form.panel = f"remove-{identifier_id}"
    reason = form.text("reason", most=_MOST_REASON)
    if not form.is_good:
        return show_subject(request, subject_id, caller, services, form=form, status=422)
    remove_identifier(
        services.database, subject_id, identifier_id, reason=reason, by=caller.actor, at=services.clock.now()
    )
    return go_to(f"/subjects/{subject_id}?done=identifier_removed")


@router.post("/comparison")
def comparison_posted(
    request: Request, subject_id: SubjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Go on to the look at both, once the other one is chosen."""
    form.panel = "merge"
    other_id = chosen_subject(form, "subject_id")
    if other_id is None or other_id == subject_id:
        form.refuse("subject_id", "form.choose")
        return show_subject(request, subject_id, caller, services, form=form, status=422)
    return go_to(f"/subjects/{subject_id}/merge?other={other_id}")


@router.get("/merge")
def merge_page(
    request: Request,
    subject_id: SubjectIdPath,
    caller: Filer,
    services: ServicesDep,
    other: Annotated[str, Query(max_length=36)] = "",
) -> Response:
    """Show two subjects side by side."""
    try:
        other_id = SubjectId(parse_uuid(other))
    except InvalidInput as exc:
        raise NotFound from exc
    return _comparison(request, subject_id, other_id, caller, services)


@router.post("/merges")
def merge_posted(
    request: Request, subject_id: SubjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Merge the two."""
    form.panel = "merge"
    other_id = chosen_subject(form, "other_id")
    if other_id is None:
        return show_subject(request, subject_id, caller, services, form=form, status=422)
    kept = form.choice("keep", _Kept)
    reason = form.text("reason", most=_MOST_REASON)
    if not form.is_good:
        return _comparison(request, subject_id, other_id, caller, services, form=form)
    keep_id, gone_id = (subject_id, other_id) if kept is _Kept.THIS else (other_id, subject_id)
    merge_subjects(services.database, keep_id, gone_id, reason=reason, by=caller.actor, at=services.clock.now())
    return go_to(f"/subjects/{keep_id}?done=subjects_merged")


@router.post("/separations")
def separation_posted(
    request: Request, subject_id: SubjectIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Undo the merge of one that stands under this one."""
    gone_id = chosen_subject(form, "gone_id")
    form.panel = f"separate-{gone_id}"
    reason = form.text("reason", most=_MOST_REASON)
    if gone_id is None or not form.is_good:
        return show_subject(request, subject_id, caller, services, form=form, status=422)
    separate_subjects(services.database, gone_id, reason=reason, by=caller.actor, at=services.clock.now())
    return go_to(f"/subjects/{gone_id}?done=subjects_separated")


def _comparison(
    request: Request,
    subject_id: SubjectId,
    other_id: SubjectId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
) -> Response:
    with services.database.read() as tx:
        this = subject_row(tx, services.identifiers, subject_id)
        other = subject_row(tx, services.identifiers, other_id)
    return render(
        request,
        "merge.html",
        caller=caller,
        status=200 if form is None else 422,
        form=form,
        this=this,
        other=other,
        is_possible=subject_id != other_id and this.subject.kind == other.subject.kind,
        contradicts=_contradict(this, other),
        here=f"/subjects/{subject_id}/merge?other={other_id}",
    )


def _contradict(this: SubjectRow, other: SubjectRow) -> bool:
    """Return whether both have a checked number of one kind: numbers are unique, so these are two."""
    kinds = [{number.kind for number in row.identifiers if number.kind.is_checked} for row in (this, other)]
    return bool(kinds[0] & kinds[1])
