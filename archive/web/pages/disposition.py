"""One list: what stands on it, who decided what, how far it is, and the forms that go on with it."""

import io
import re
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.kernel.errors import LiuhenError, NotFound
from archive.kernel.ids import DispositionId, ObjectId
from archive.web.dependencies import RequestIdDep, ServicesDep
from archive.web.pages.confirming import confirmed
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import (
    Appraiser,
    DisposalApprover,
    DisposalSupervisor,
    DispositionIdPath,
    HiddenRetentionReader,
    RetentionReader,
)
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services
from retention.disposition.certificates import name_of, newest_certificate
from retention.disposition.deciding import (
    MOST_REASON,
    MOST_WORDS,
    ListMovedOn,
    NothingLeft,
    NotOnList,
    PartRefused,
    appraise,
    decide,
    supervise,
    withdraw,
)
from retention.disposition.listings import disposition_list, items_on_list
from retention.disposition.models import DispositionItem, DispositionList
from retention.disposition.terms import ItemState, Opinion

router = APIRouter(prefix="/dispositions/{list_id}", include_in_schema=False)

_MOST_NUMBERS: Final = 1000
_MOST_BYTES: Final = 64 * 1024 * 1024


@router.get("")
def disposition_page(
    request: Request, list_id: DispositionIdPath, caller: HiddenRetentionReader, services: ServicesDep
) -> Response:
    """Show a list."""
    return _show(request, list_id, caller, services)


@router.get("/objects")
def disposition_objects_part(
    request: Request,
    list_id: DispositionIdPath,
    caller: HiddenRetentionReader,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show more of what stands on a list."""
    with services.database.read() as tx:
        view = disposition_list(tx, services.disposal_rules, list_id, by=caller, at=services.clock.now())
        found = items_on_list(tx, list_id, cursor=cursor)
    return render(request, "_disposition_items.html", caller=caller, view=view, found=found)


@router.get("/progress")
def disposition_progress_part(
    request: Request, list_id: DispositionIdPath, caller: HiddenRetentionReader, services: ServicesDep
) -> Response:
    """Show how far a list is that is being carried out."""
    at = services.clock.now()
    with services.database.read() as tx:
        view = disposition_list(tx, services.disposal_rules, list_id, by=caller, at=at)
    return render(request, "_disposition_progress.html", caller=caller, view=view, now=at)


@router.get("/certificate.pdf")
def disposition_certificate(
    list_id: DispositionIdPath, caller: HiddenRetentionReader, services: ServicesDep
) -> Response:
    """Send the certificate of a list, with its newest timestamp."""
    with services.database.read() as tx:
        disposition_list(tx, services.disposal_rules, list_id, by=caller, at=services.clock.now())
        row = tx.get_one(DispositionList, list_id)
        found = newest_certificate(tx, list_id)
    if found is None:
        raise NotFound
    with services.objects.open_file(ObjectId(found.object_id), found.path) as file:
        pdf = file.read(_MOST_BYTES)
    headers = {
        "Content-Disposition": f"attachment; filename=certificate.pdf; filename*=UTF-8''{quote(name_of(row))}",
        "Content-Length": str(len(pdf)),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(io.BytesIO(pdf), media_type="application/pdf", headers=headers)


@router.post("/opinions")
def opinion_posted(
    request: Request,
    list_id: DispositionIdPath,
    form: FormDep,
    caller: Appraiser,
    services: ServicesDep,
    request_id: RequestIdDep,
) -> Response:
    """State an opinion, and strike what is not to be destroyed."""
    form.panel = "appraise"
    opinion, words = form.choice("opinion", Opinion), form.lines("words", most=MOST_WORDS).replace("\n", " ")
    numbers = _numbers(form)
    reason = form.text("strike_reason", most=MOST_REASON) if numbers else ""
    with services.database.read() as tx:
        struck = dict.fromkeys(_at_positions(tx, form, list_id, numbers), reason)
    by = confirmed(form, caller, services, request_id)
    if form.is_good and by is not None:
        at = services.clock.now()
        try:
            appraise(
                services.database,
                services.disposal_rules,
                list_id,
                opinion,
                words=words,
                struck=struck,
                by=by,
                at=at,
            )
        except (PartRefused, ListMovedOn, NotOnList) as error:
            _refuse(form, error)
        else:
            return _done(list_id, "disposition_appraised")
    return _show(request, list_id, caller, services, form=form, status=422)


@router.post("/decision")
def decision_posted(
    request: Request,
    list_id: DispositionIdPath,
    form: FormDep,
    caller: DisposalApprover,
    services: ServicesDep,
    request_id: RequestIdDep,
) -> Response:
    """Approve a list, or refuse it."""
    form.panel = "approve"
    if form.value("decision") not in {"approve", "refuse"}:
        form.refuse("decision", "form.choose")
    words = form.lines("words", most=MOST_WORDS).replace("\n", " ")
    by = confirmed(form, caller, services, request_id)
    if form.is_good and by is not None:
        approves, at = form.value("decision") == "approve", services.clock.now()
        try:
            decide(services.database, services.disposal_rules, list_id, approves=approves, words=words, by=by, at=at)
        except (PartRefused, ListMovedOn, NothingLeft) as error:
            _refuse(form, error)
        else:
            return _done(list_id, "disposition_approved" if approves else "disposition_refused")
    return _show(request, list_id, caller, services, form=form, status=422)


@router.post("/supervision")
def supervision_posted(
    request: Request,
    list_id: DispositionIdPath,
    form: FormDep,
    caller: DisposalSupervisor,
    services: ServicesDep,
    request_id: RequestIdDep,
) -> Response:
    """Agree to supervise the destruction."""
    form.panel = "supervise"
    words = form.lines("words", most=MOST_WORDS).replace("\n", " ")
    by = confirmed(form, caller, services, request_id)
    if form.is_good and by is not None:
        try:
            supervise(
                services.database,
                services.disposal_rules,
                list_id,
                words=words,
                by=by,
                at=services.clock.now(),
            )
        except (PartRefused, ListMovedOn) as error:
            _refuse(form, error)
        else:
            return _done(list_id, "disposition_supervised")
    return _show(request, list_id, caller, services, form=form, status=422)


@router.post("/withdrawal")
def withdrawal_posted(
    request: Request,
    list_id: DispositionIdPath,
    form: FormDep,
    caller: RetentionReader,
    services: ServicesDep,
    request_id: RequestIdDep,
) -> Response:
    """Take a list back while nothing of it is gone."""
    form.panel = "withdraw"
    reason = form.lines("reason", most=MOST_WORDS).replace("\n", " ")
    by = confirmed(form, caller, services, request_id)
    if form.is_good and by is not None:
        try:
            withdraw(services.database, list_id, reason=reason, by=by, at=services.clock.now())
        except ListMovedOn as error:
            _refuse(form, error)
        else:
            return _done(list_id, "disposition_withdrawn")
    return _show(request, list_id, caller, services, form=form, status=422)


def _refuse(form: Form, error: LiuhenError) -> None:
    if isinstance(error, PartRefused):
        form.refuse("", f"objection.{error.facts['why']}")
    else:
        form.refuse("", f"error.{error.code}")


def _numbers(form: Form) -> list[int]:
    """Return the numbers that a form names: `3, 7-9`."""
    found: set[int] = set()
    for part in re.split(r"[,\uff0c\u3001]", form.value("strike")):
        first, _, last = part.strip().partition("-")
        if not first:
            continue
        ends = (first.strip(), (last or first).strip())
        if not all(end.isascii() and end.isdigit() and len(end) <= 6 for end in ends):
            form.refuse("strike", "disposition.strike_unreadable")
            return []
        found.update(range(int(ends[0]), min(int(ends[1]), int(ends[0]) + _MOST_NUMBERS) + 1))
    return sorted(found)


def _at_positions(tx: Session, form: Form, list_id: DispositionId, numbers: list[int]) -> list[ObjectId]:
    """Return the objects that stand on a list at these numbers; the form says where there is none."""
    if not numbers:
        return []
    listed = select(DispositionItem.object_id).where(
        DispositionItem.list_id == list_id,
        DispositionItem.position.in_(numbers[:_MOST_NUMBERS]),
        DispositionItem.state == ItemState.LISTED.value,
    )
    found = [ObjectId(each) for each in tx.scalars(listed)]
    if len(found) != len(numbers):
        form.refuse("strike", "disposition.strike_unknown")
    return found


def _done(list_id: DispositionId, what: str) -> Response:
    return go_to(f"/dispositions/{list_id}?done={what}")


def _show(
    request: Request,
    list_id: DispositionId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    at = services.clock.now()
    with services.database.read() as tx:
        view = disposition_list(tx, services.disposal_rules, list_id, by=caller, at=at)
        context: dict[str, Any] = {"view": view, "found": items_on_list(tx, list_id)}
    return render(
        request,
        "_disposition_items.html" if is_fragment(request) and request.method == "GET" else "disposition.html",
        caller=caller,
        status=status,
        form=form,
        now=at,
        most_words=MOST_WORDS,
        most_reason=MOST_REASON,
        opinions=list(Opinion),
        here=f"/dispositions/{list_id}",
        **context,
    )
