"""Subjects: finding them, and the page that brings together everything of one of them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.identifiers import MAX_NUMBER_CHARACTERS, Identifier, IdentifierKind
from archive.cases.merges import resolved_subject
from archive.cases.slices import Slice
from archive.cases.subject_listings import SubjectRow, SubjectView, subject_view, subjects
from archive.cases.subject_things import ThingKind, subject_things, thing_counts
from archive.cases.subjects import show_identifier
from archive.cases.terms import SubjectKind
from archive.kernel.ids import IdentifierId, SubjectId
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Filer, IdentifierIdPath, IdentifierReader, ListReader, Reader, SubjectIdPath
from archive.web.pages.people import actor_names
from archive.web.pages.purposes import usual_purposes
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.web.pages.subject_forms import offered_subjects
from archive.wiring import Services
from retention.holding.hold_listings import holds_on_subject

router = APIRouter(prefix="/subjects", include_in_schema=False)

_MOST_PURPOSE: Final = 500
_PANELS: Final = ("case", "edit", "merge")

Cursor = Annotated[str | None, Query(max_length=200)]
Words = Annotated[str, Query(max_length=200)]
Kind = Annotated[str, Query(max_length=20)]


@router.get("")
def subjects_page(
    request: Request, caller: ListReader, services: ServicesDep, q: Words = "", cursor: Cursor = None
) -> Response:
    """List subjects; those whose name holds the words."""
    with services.database.read() as tx:
        found = subjects(tx, services.identifiers, cursor=cursor, words=q)
    return _list(request, caller, found, words=q, is_further=cursor is not None)


@router.post("/search", dependencies=[by_account(Cost.SEARCHES)])
def number_posted(request: Request, form: FormDep, caller: ListReader, services: ServicesDep) -> Response:
    """List whoever is known by a number, whole or its last four; a POST, so that it stands in no address."""
    form.panel = "number"
    number = form.text("number", most=MAX_NUMBER_CHARACTERS)
    cursor = form.value("cursor") or None
    with services.database.read() as tx:
        if not form.is_good:
            found = subjects(tx, services.identifiers)
            return _list(request, caller, found, form=form, status=422)
        found = subjects(tx, services.identifiers, cursor=cursor, number=number)
    return _list(request, caller, found, sought=number, is_further=cursor is not None, form=form)


@router.post("/choices", dependencies=[by_account(Cost.SEARCHES)])
def choices_posted(request: Request, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Show whom somebody may mean who is writing a name or a number into a form."""
    panel = form.value("panel")
    form.panel = panel if panel in _PANELS else _PANELS[0]
    with services.database.read() as tx:
        choices = offered_subjects(tx, services, form)
    return render(request, "_subject_choices.html", caller=caller, panel=form.panel, choices=choices, form=form)


@router.get("/{subject_id}")
def subject_page(
    request: Request,
    subject_id: SubjectIdPath,
    caller: Reader,
    services: ServicesDep,
    kind: Kind = "",
    cursor: Cursor = None,
) -> Response:
    """Show everything of a subject; one that was merged leads to the one that it stands under."""
    with services.database.read() as tx:
        root_id = resolved_subject(tx, subject_id)
        if root_id != subject_id:
            return go_to(f"/subjects/{root_id}")
    chosen = ThingKind(kind) if kind in set(ThingKind) else None
    return show_subject(request, subject_id, caller, services, kind=chosen, cursor=cursor)


@router.post("/{subject_id}/identifiers/{identifier_id}/sight")
def sight_posted(
    request: Request,
    subject_id: SubjectIdPath,
    identifier_id: IdentifierIdPath,
    form: FormDep,
    caller: IdentifierReader,
    services: ServicesDep,
) -> Response:
    """Show a whole number for a purpose, once; the log says so."""
    form.panel = f"show-{identifier_id}"
    purpose = form.text("purpose", most=_MOST_PURPOSE)
    if not form.is_good:
        return show_subject(request, subject_id, caller, services, form=form, status=422)
    shown = show_identifier(
        services.database,
        services.identifiers,
        subject_id,
        identifier_id,
        purpose=purpose,
        by=caller,
        at=services.clock.now(),
    )
    return show_subject(request, subject_id, caller, services, shown=(identifier_id, shown))


def show_subject(
    request: Request,
    subject_id: SubjectId,
    caller: Caller,
    services: Services,
    *,
    kind: ThingKind | None = None,
    cursor: str | None = None,
    form: Form | None = None,
    shown: tuple[IdentifierId, Identifier] | None = None,
    status: int = 200,
) -> Response:
    """Return the page of a subject, or of whom it stands under."""
    with services.database.read() as tx:
        view = subject_view(tx, services.identifiers, resolved_subject(tx, subject_id))
        root_id = SubjectId(view.subject.id)
        context = {
            **_facts(request, tx, view),
            "view": view,
            "counts": thing_counts(tx, root_id),
            "found": subject_things(tx, root_id, kind=kind, cursor=cursor),
            "kind": kind.value if kind is not None else "",
            "choices": offered_subjects(tx, services, form),
            "holds": holds_on_subject(tx, root_id),
        }
    part = "subject.html"
    if is_fragment(request) and request.method == "GET":
        part = "_things.html" if cursor is None else "_thing_rows.html"
    return render(request, part, caller=caller, status=status, form=form, shown=shown, **context)


def _facts(request: Request, tx: Session, view: SubjectView) -> dict[str, Any]:
    texts = reader_texts(request)
    return {
        "merged_by": actor_names(tx, [one.merge.merged_by for one in view.merged], texts=texts),
        "purposes": usual_purposes(texts),
        "subject_kinds": list(SubjectKind),
        "identifier_kinds": list(IdentifierKind),
        "here": f"/subjects/{view.subject.id}",
    }


def _list(
    request: Request,
    caller: Caller,
    found: Slice[SubjectRow],
    *,
    words: str = "",
    sought: str = "",
    is_further: bool = False,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    part = "subjects.html"
    if is_fragment(request):
        part = "_subject_rows.html" if is_further else "_subject_results.html"
    return render(
        request,
        part,
        caller=caller,
        status=status,
        form=form,
        found=found,
        words=words,
        sought=sought,
        here="/subjects",
    )
