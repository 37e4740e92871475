"""Accounts, for the administrator: who signs in, with which roles, in which unit, as which officer."""

import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from archive.access.accounts import (
    AccountNotFound,
    OfficerHasAccount,
    OwnAccount,
    RolesApart,
    UsernameTaken,
    change_account,
    create_account,
)
from archive.access.callers import Caller, roles_in
from archive.access.classes import RestrictedClass
from archive.access.clearances import clearances
from archive.access.listings import AccountRow, account_row, account_rows, unit_choices
from archive.access.policy import Role
from archive.access.recoveries import open_recovery
from archive.access.sessions import end_sessions, sessions_of
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AccountId, OfficerId, parse_uuid
from archive.kernel.instants import BUREAU_ZONE
from archive.organisation.legal_staff import is_qualified, legal_staff_of_account
from archive.organisation.officers import MAX_CERTIFICATE_CHARACTERS, MAX_NAME_CHARACTERS, officer_by_certificate
from archive.organisation.units import UnitNotFound
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import AccountIdPath, Administrator
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services

router = APIRouter(prefix="/admin/accounts", include_in_schema=False)

_HERE: Final = "/admin/accounts"
_MOST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class _Given:
    """What the form says of an account."""

    display_name: str
    roles: frozenset[Role]
    unit_id: UUID
    officer_id: OfficerId | None


@router.get("")
def accounts_page(request: Request, caller: Administrator, services: ServicesDep) -> Response:
    """Show every account."""
    return _list(request, caller, services)


@router.post("")
def account_posted(request: Request, form: FormDep, caller: Administrator, services: ServicesDep) -> Response:
    """Make an account and show its first password, once."""
    form.panel = "account"
    username = form.text("username", most=_MOST_NAME)
    given = _given(form, services)
    if form.is_good:
        password = secrets.token_urlsafe(12)
        try:
            create_account(
                services.database,
                username=username,
                display_name=given.display_name,
                roles=given.roles,
                password=password,
                unit_id=given.unit_id,
                officer_id=given.officer_id,
                by=caller.actor,
                at=services.clock.now(),
            )
        except UsernameTaken:
            form.refuse("username", "error.access.username_taken")
        except InvalidInput as error:
            _refuse(form, error, "username")
        except (OfficerHasAccount, UnitNotFound) as error:
            _refuse(form, error, "unit")
        else:
            return _list(request, caller, services, made=(username, password))
    return _list(request, caller, services, form=form, status=422)


@router.get("/{account_id}")
def account_page(request: Request, account_id: AccountIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """Show one account, to change it. Raises: AccountNotFound."""
    return shown_account(request, caller, services, account_id)


@router.post("/{account_id}/changes")
def changes_posted(
    request: Request, account_id: AccountIdPath, form: FormDep, caller: Administrator, services: ServicesDep
) -> Response:
    """Change an account; what it may do changes with its next request."""
    form.panel = "change"
    _require_account(services, account_id)
    given = _given(form, services)
    if form.is_good:
        try:
            change_account(
                services.database,
                account_id,
                display_name=given.display_name,
                roles=given.roles,
                unit_id=given.unit_id,
                officer_id=given.officer_id,
                is_enabled=bool(form.value("enabled")),
                by=caller.actor,
                at=services.clock.now(),
            )
        except OwnAccount:
            form.refuse("", "error.access.own_account")
        except InvalidInput as error:
            _refuse(form, error, "display_name")
        except (OfficerHasAccount, UnitNotFound) as error:
            _refuse(form, error, "unit")
        else:
            return go_to(f"{_HERE}?done=account_changed")
    return shown_account(request, caller, services, account_id, form=form, status=422)


@router.post("/{account_id}/sessions/removals")
def sessions_removal_posted(account_id: AccountIdPath, caller: Administrator, services: ServicesDep) -> Response:
    """End every session of an account. Raises: AccountNotFound."""
    _require_account(services, account_id)
    end_sessions(services.database, account_id, by=caller.actor, at=services.clock.now())
    return go_to(f"{_HERE}/{account_id}?done=account_sessions_ended")


def _given(form: Form, services: Services) -> _Given:
    name = form.text("display_name", most=MAX_NAME_CHARACTERS)
    roles = frozenset(role for role in Role if form.value(f"role-{role.value}"))
    if not roles:
        form.refuse("roles", "form.choose")
    unit_id = FIRST_UNIT
    try:
        unit_id = parse_uuid(form.value("unit"))
    except InvalidInput:
        form.refuse("unit", "form.choose")
    with services.database.read() as tx:
        officer_id = _officer(form, tx)
    return _Given(name, roles, unit_id, officer_id)


def _officer(form: Form, tx: Session) -> OfficerId | None:
    if not form.value("certificate").strip():
        return None
    number = form.text("certificate", most=MAX_CERTIFICATE_CHARACTERS)
    if "certificate" in form.faults:
        return None
    officer_id = officer_by_certificate(tx, number)
    if officer_id is None:
        form.refuse("certificate", "accounts.no_such_officer")
    return officer_id


def _refuse(form: Form, error: InvalidInput | OfficerHasAccount | UnitNotFound, otherwise: str) -> None:
    """Say what is wrong with the field that it is about."""
    if isinstance(error, RolesApart):
        form.refuse("roles", "error.access.roles_apart")
    elif isinstance(error, OfficerHasAccount):
        form.refuse("certificate", "error.access.officer_has_account")
    elif isinstance(error, UnitNotFound):
        form.refuse("unit", "form.choose")
    else:
        form.refuse(otherwise, "accounts.unusable_name")


def _require_account(services: Services, account_id: AccountId) -> AccountRow:
    with services.database.read() as tx:
        row = account_row(tx, account_id)
    if row is None:
        raise AccountNotFound
    return row


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    made: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        rows, units = account_rows(tx), unit_choices(tx)
    return render(
        request,
        "accounts.html",
        caller=caller,
        status=status,
        form=form,
        here=_HERE,
        rows=rows,
        units=units,
        made=made,
        roles=list(Role),
        roles_of=lambda row: sorted(roles_in(row.account.roles)),
        is_lax=not services.sign_ins.wants_second_factor([Role.ADMINISTRATOR]),
    )


def shown_account(
    request: Request,
    caller: Caller,
    services: Services,
    account_id: AccountId,
    *,
    form: Form | None = None,
    code: str = "",
    status: int = 200,
) -> Response:
    """Return the page of an account, with what was made or refused just now. Raises: AccountNotFound."""
    row = _require_account(services, account_id)
    at, idle = services.clock.now(), services.sign_ins.idle
    with services.database.read() as tx:
        units = unit_choices(tx)
        recovery = open_recovery(tx, account_id, at=at)
        cleared = clearances(tx, account_id, at=at)
        person = legal_staff_of_account(tx, account_id)
        sessions = sessions_of(tx, account_id, this=caller.session_id, at=at, idle=idle)
    return render(
        request,
        "account_of.html",
        caller=caller,
        status=status,
        form=form,
        here=f"{_HERE}/{account_id}",
        row=row,
        units=units,
        sessions=sessions,
        recovery=recovery,
        clearances=cleared,
        legal=person,
        is_qualified=person is not None and is_qualified(person, at.astimezone(BUREAU_ZONE).date()),
        restricted_classes=list(RestrictedClass),
        code=code,
        roles=list(Role),
        held={role.value for role in roles_in(row.account.roles)},
        is_own=account_id == caller.account_id,
    )
