"""A person's own pages: the notices, and whether they come by mail too."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from archive.access.callers import Caller
from archive.notify import notices
from archive.notify.addresses import (
    MAX_ADDRESS_CHARACTERS,
    MailAddressChanged,
    MailCodeWrong,
    MailTooSoon,
    choose_notices,
    mail_address,
    mailed_kinds,
    remove_mail_address,
    set_mail_address,
    verify_mail_address,
)
from archive.notify.notices import NoticeKind, mark_all_read, mark_read
from archive.notify.texts import kind_name, page_text
from archive.ports.mailer import MailAddressInvalid
from archive.web.dependencies import CallerDep, ServicesDep
from archive.web.pages.forms import Form, FormDep, read_fields
from archive.web.pages.guards import NoticeIdPath
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

_MOST_CODE: Final = 32


@router.get("/notices")
def notices_page(
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List the caller's notices."""
    language = reader_texts(request).language.value
    with services.database.read() as tx:
        found = notices.notices(tx, caller.account_id, cursor=cursor)
    rows = [(row, page_text(row.kind, row.params, language)) for row in found.rows]
    return render(
        request,
        "_notice_rows.html" if is_fragment(request) else "notices.html",
        caller=caller,
        rows=rows,
        found=found,
    )


@router.get("/notices/{notice_id}")
def notice_opened(notice_id: NoticeIdPath, caller: CallerDep, services: ServicesDep) -> Response:
    """Go where a notice leads; it is read then."""
    return go_to(mark_read(services.database, caller.account_id, notice_id, at=services.clock.now()))


@router.post("/notices/{notice_id}/read")
def notice_read(notice_id: NoticeIdPath, caller: CallerDep, services: ServicesDep) -> Response:
    """Mark a notice as read."""
    mark_read(services.database, caller.account_id, notice_id, at=services.clock.now())
    return go_to("/notices")


@router.post("/notices/read")
def all_read(caller: CallerDep, services: ServicesDep) -> Response:
    """Mark all notices as read that were there when the button was pressed."""
    mark_all_read(services.database, caller.account_id, at=services.clock.now())
    return go_to("/notices?done=notices_read")


@router.get("/account/notices")
def settings_page(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Show where the caller's mail goes, and which notices come by it."""
    return _settings(request, caller, services)


@router.post("/account/mail")
def mail_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Set where the caller wants mail."""
    form.panel = "mail"
    address = form.text("address", most=MAX_ADDRESS_CHARACTERS)
    if services.mail.mailer is None:
        form.refuse("address", "account.mail_off")
    if form.is_good:
        try:
            set_mail_address(
                services.database,
                caller.account_id,
                address,
                language=reader_texts(request).language.value,
                by=caller.actor,
                at=services.clock.now(),
            )
        except MailAddressInvalid:
            form.refuse("address", "error.mail.address_invalid")
        except MailTooSoon:
            form.refuse("address", "error.mail.too_soon")
        except MailAddressChanged:
            form.refuse("address", "error.mail.address_changed")
        else:
            return go_to("/account/notices?done=mail_code_sent")
    return _settings(request, caller, services, form=form, status=422)


@router.post("/account/mail/code")
def code_posted(request: Request, form: FormDep, caller: CallerDep, services: ServicesDep) -> Response:
    """Take the code that was sent."""
    form.panel = "code"
    code = form.text("code", most=_MOST_CODE)
    if form.is_good:
        try:
            verify_mail_address(
                services.database, caller.account_id, code, by=caller.actor, at=services.clock.now()
            )  # fmt: skip
        except MailCodeWrong:
            form.refuse("code", "error.mail.code_wrong")
        else:
            return go_to("/account/notices?done=mail_verified")
    return _settings(request, caller, services, form=form, status=422)


@router.post("/account/mail/removal")
def removal_posted(caller: CallerDep, services: ServicesDep) -> Response:
    """Send no more mail."""
    remove_mail_address(services.database, caller.account_id, by=caller.actor, at=services.clock.now())
    return go_to("/account/notices?done=mail_removed")


async def _posted_kinds(request: Request) -> list[str]:
    _, kinds = await read_fields(request, many="mailed", most=len(NoticeKind))
    return kinds


@router.post("/account/notices")
def choices_posted(
    kinds: Annotated[list[str], Depends(_posted_kinds)], caller: CallerDep, services: ServicesDep
) -> Response:
    """Choose which notices come by mail too."""
    mailed = [kind for kind in NoticeKind if kind.value in kinds]
    choose_notices(services.database, caller.account_id, mailed, by=caller.actor, at=services.clock.now())
    return go_to("/account/notices?done=notices_chosen")


def _settings(
    request: Request, caller: Caller, services: Services, *, form: Form | None = None, status: int = 200
) -> Response:
    language = reader_texts(request).language.value
    with services.database.read() as tx:
        context: dict[str, Any] = {
            "address": mail_address(tx, caller.account_id),
            "mailed": mailed_kinds(tx, caller.account_id),
        }
    return render(
        request,
        "notice_settings.html",
        caller=caller,
        status=status,
        form=form,
        kinds=[(kind, kind_name(kind, language)) for kind in NoticeKind],
        is_mailing=services.mail.mailer is not None,
        here="/account/notices",
        **context,
    )
