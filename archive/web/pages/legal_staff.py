"""Legal reviewers, government lawyers and legal advisers, for the administrator: the list, and each of them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.listings import account_called, unqualified_reviewers, usernames
from archive.access.models import Account
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import LegalStaffId
from archive.kernel.instants import BUREAU_ZONE
from archive.organisation.legal_staff import (
    MAX_NUMBER_CHARACTERS,
    AccountTaken,
    LegalFacts,
    LegalKind,
    LegalNumberTaken,
    LegalStaffEnded,
    LegalStaffNotFound,
    QualificationHalf,
    end_legal_staff,
    is_qualified,
    legal_rows,
    record_legal_staff,
    reviewer_shares,
)
from archive.organisation.listings import unit_names
from archive.organisation.models import LegalStaff
from archive.organisation.officers import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS
from archive.organisation.staff_events import history_of
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import Administrator, LegalStaffIdPath
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/legal-staff", include_in_schema=False)

_HERE: Final = "/admin/legal-staff"
_FAULTS: Final[Mapping[type[Exception], tuple[str, str]]] = {
    LegalNumberTaken: ("number", "error.organisation.legal_number_taken"),
    AccountTaken: ("account", "error.organisation.account_taken"),
    QualificationHalf: ("qualified_on", "error.organisation.qualification_half"),
}


@router.get("")
def legal_staff_page(
    request: Request,
    caller: Administrator,
    services: ServicesDep,
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """List reviewers and lawyers, who reviews without being qualified, and whether there are enough."""
    return _list(request, caller, services, words=q)


@router.post("")
def person_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Write somebody down, or change what is written: the number decides."""
    form.panel = "person"
    staff_id = _recorded(form, None, caller, services)
    if staff_id is None:
        return _list(request, caller, services, form=form, status=422)
    return go_to(f"{_HERE}/{staff_id}?done=legal_staff_recorded")


@router.get("/{staff_id}")
def person_page(request: Request, caller: Administrator, staff_id: LegalStaffIdPath, services: ServicesDep) -> Response:
    """Show one of the legal staff. Raises: LegalStaffNotFound."""
    return _show(request, staff_id, caller, services)


@router.post("/{staff_id}/changes")
def changes_posted(
    request: Request, caller: Administrator, staff_id: LegalStaffIdPath, form: FormDep, services: ServicesDep
) -> Response:
    """Change what is written of somebody."""
    form.panel = "person"
    if _recorded(form, staff_id, caller, services) is None:
        return _show(request, staff_id, caller, services, form=form, status=422)
    return go_to(f"{_HERE}/{staff_id}?done=legal_staff_recorded")


@router.post("/{staff_id}/end")
def end_posted(
    request: Request, caller: Administrator, staff_id: LegalStaffIdPath, form: FormDep, services: ServicesDep
) -> Response:
    """Say that somebody is no longer of the legal staff after a day."""
    form.panel = "end"
    until = form.day("until", required=True)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good and until is not None:
        try:
            end_legal_staff(
                services.database, staff_id, until=until, reason=reason, by=caller.actor, at=services.clock.now()
            )
        except LegalStaffEnded:
            form.refuse("until", "error.organisation.legal_staff_ended")
        except InvalidInput:
            form.refuse("until", "legal.ends_before")
        else:
            return go_to(f"{_HERE}/{staff_id}?done=legal_staff_ended")
    return _show(request, staff_id, caller, services, form=form, status=422)


def _recorded(form: Form, staff_id: LegalStaffId | None, caller: Caller, services: Services) -> LegalStaffId | None:
    """Do what a form says; None where it has faults, which are noted then."""
    facts = _given(form, services)
    if facts is None:
        return None
    try:
        return record_legal_staff(
            services.database,
            facts,
            staff_id=staff_id,
            has_account=_has_account,
            by=caller.actor,
            at=services.clock.now(),
        )
    except tuple(_FAULTS) as error:
        form.refuse(*_FAULTS[type(error)])
    except InvalidInput:
        form.refuse("until", "legal.ends_before")
    return None


def _given(form: Form, services: Services) -> LegalFacts | None:
    number = form.text("number", most=MAX_NUMBER_CHARACTERS)
    name, agency = (form.text(field, most=MAX_NAME_CHARACTERS) for field in ("name", "agency"))
    kind = form.choice("kind", LegalKind)
    unit = form.short("unit", most=MAX_NAME_CHARACTERS)
    qualification = form.short("qualification_number", most=MAX_NUMBER_CHARACTERS)
    licence = form.short("licence_number", most=MAX_NUMBER_CHARACTERS)
    qualified_on, until = form.day("qualified_on"), form.day("until")
    since = form.day("since", required=True)
    account_id = _account(form, services)
    if not form.is_good or since is None:
        return None
    return LegalFacts(
        number, name, kind, agency, since, unit, qualification or None, qualified_on, licence or None, until, account_id
    )


def _account(form: Form, services: Services) -> UUID | None:
    username = form.short("account", most=64)
    if not username:
        return None
    with services.database.read() as tx:
        found = account_called(tx, username)
    if found is None:
        form.refuse("account", "error.organisation.account_unknown")
        return None
    return found.id


def _has_account(tx: Session, account_id: UUID) -> bool:
    return tx.get(Account, account_id) is not None


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    words: str = "",
    form: Form | None = None,
    status: int = 200,
) -> Response:
    today = services.clock.now().astimezone(BUREAU_ZONE).date()
    with services.database.read() as tx:
        rows = legal_rows(tx, words=words)
        context: dict[str, Any] = {
            "rows": rows,
            "accounts": usernames(tx, {row.person.account_id for row in rows if row.person.account_id is not None}),
            "unqualified": unqualified_reviewers(tx, on=today),
            "shares": reviewer_shares(tx, on=today),
        }
    return render(
        request,
        "legal_staff.html",
        caller=caller,
        status=status,
        form=form,
        words=words,
        today=today,
        is_qualified=is_qualified,
        kinds=list(LegalKind),
        rule=services.rules.reviewers,
        here=_HERE,
        **context,
    )


def _show(
    request: Request,
    staff_id: LegalStaffId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts, today = reader_texts(request), services.clock.now().astimezone(BUREAU_ZONE).date()
    with services.database.read() as tx:
        person = tx.get(LegalStaff, staff_id)
        if person is None:
            raise LegalStaffNotFound(staff_id=staff_id)
        history = history_of(tx, staff_id)
        username = "" if person.account_id is None else usernames(tx, [person.account_id]).get(person.account_id, "")
        context: dict[str, Any] = {
            "unit_name": None if person.unit_id is None else unit_names(tx, [person.unit_id]).get(person.unit_id),
            "username": username,
            "names": actor_names(tx, {line.event.actor_id for line in history}, texts=texts),
        }
    return render(
        request,
        "legal_person.html",
        caller=caller,
        status=status,
        form=form,
        person=person,
        history=history,
        today=today,
        is_qualified=is_qualified(person, today),
        kinds=list(LegalKind),
        here=f"{_HERE}/{staff_id}",
        **context,
    )
