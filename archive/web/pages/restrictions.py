"""Who sees a case: its restricted classes, those of an item or a text record, and the members of a case."""

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from archive.access.accounts import AccountNotFound
from archive.access.classes import RestrictedClass
from archive.access.listings import account_called
from archive.cases.models import Case
from archive.cases.moving import AnotherAgency, move_case
from archive.cases.restrictions import (
    MAX_REASON_CHARACTERS,
    AlreadyMember,
    WouldNotSee,
    add_member,
    classify_case,
    classify_object,
    remove_member,
)
from archive.kernel.ids import AccountId
from archive.web.dependencies import ServicesDep
from archive.web.pages.cases import show_case
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import AccountIdPath, Approver, CaseIdPath, Classifier, Mover, ObjectIdPath
from archive.web.pages.objects import object_address
from archive.web.pages.rendering import go_to
from archive.web.pages.units import chosen_unit
from archive.wiring import Services

router = APIRouter(include_in_schema=False)


@router.post("/cases/{case_id}/classes")
def case_classes_posted(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Classifier, services: ServicesDep
) -> Response:
    """Set the restricted classes of a case."""
    form.panel = "classes"
    classes = _chosen_classes(form)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        try:
            classify_case(services.database, case_id, classes, reason=reason, by=caller, at=services.clock.now())
        except WouldNotSee:
            form.refuse("classes", "error.cases.would_not_see")
        else:
            return go_to(f"/cases/{case_id}?done=classified")
    return show_case(request, case_id, caller, services, form=form, status=422)


@router.post("/objects/{object_id}/classes")
def object_classes_posted(
    object_id: ObjectIdPath, form: FormDep, caller: Classifier, services: ServicesDep
) -> Response:
    """Set the restricted classes of an item or a text record."""
    classes = _chosen_classes(form)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    address = object_address(services, object_id)
    if not form.is_good:
        return go_to(f"{address}?done=classes_need_a_reason#classes")
    try:
        classify_object(services.database, object_id, classes, reason=reason, by=caller, at=services.clock.now())
    except WouldNotSee:
        return go_to(f"{address}?done=would_not_see#classes")
    return go_to(f"{address}?done=classified")


@router.post("/cases/{case_id}/members")
def member_posted(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Approver, services: ServicesDep
) -> Response:
    """Add a member to a case."""
    form.panel = "member"
    account_id = _named_account(form, services)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    until = form.moment("until", required=False)
    now = services.clock.now()
    if until is not None and until <= now:
        form.refuse("until", "form.not_a_time")
    if account_id == caller.account_id:
        form.refuse("username", "sight.not_yourself")
    if form.is_good and account_id is not None:
        try:
            add_member(services.database, case_id, account_id, reason=reason, until=until, by=caller, at=now)
        except AccountNotFound:
            form.refuse("username", "error.access.account_not_found")
        except AlreadyMember:
            form.refuse("username", "error.cases.already_member")
        else:
            return go_to(f"/cases/{case_id}?done=member_added")
    return show_case(request, case_id, caller, services, form=form, status=422)


@router.post("/cases/{case_id}/members/{account_id}/removal")
def member_removed(case_id: CaseIdPath, account_id: AccountIdPath, caller: Approver, services: ServicesDep) -> Response:
    """Take a member out of a case."""
    remove_member(services.database, case_id, account_id, by=caller, at=services.clock.now())
    return go_to(f"/cases/{case_id}?done=member_removed")


@router.post("/cases/{case_id}/unit")
def case_moved(request: Request, case_id: CaseIdPath, form: FormDep, caller: Mover, services: ServicesDep) -> Response:
    """Move a case to another unit; whoever does not see it any more is led to the cases."""
    form.panel = "move"
    unit_id = chosen_unit(form, services)
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good and unit_id is not None:
        try:
            move_case(services.database, case_id, unit_id, reason=reason, by=caller, at=services.clock.now())
        except AnotherAgency:
            form.refuse("unit", "error.cases.another_agency")
        else:
            with services.database.read() as tx:
                is_seen = tx.scalar(select(Case.id).where(Case.id == case_id)) is not None
            return go_to(f"/cases/{case_id}?done=case_moved" if is_seen else "/?done=case_moved")
    return show_case(request, case_id, caller, services, form=form, status=422)


def _chosen_classes(form: Form) -> list[RestrictedClass]:
    return [found for found in RestrictedClass if form.value(f"class-{found.value}")]


def _named_account(form: Form, services: Services) -> AccountId | None:
    username = form.text("username", most=64)
    if not username:
        return None
    with services.database.read() as tx:
        found = account_called(tx, username)
    if found is None:
        form.refuse("username", "error.access.account_not_found")
        return None
    return AccountId(found.id)
