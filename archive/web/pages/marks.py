"""Setting retention marks of items, text records and cases, and taking them back."""

from fastapi import APIRouter, Response

from archive.access.callers import Caller
from archive.cases.filing import require_case
from archive.kernel.ids import CaseId, ObjectId
from archive.web.dependencies import ServicesDep
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import CaseIdPath, Marker, MarkIdPath, ObjectIdPath
from archive.web.pages.objects import object_address
from archive.web.pages.rendering import go_to
from archive.wiring import Services
from retention.holding.marks import MAX_REASON_CHARACTERS, AlreadyMarked, Marked, mark_on
from retention.holding.terms import MarkedKind
from retention.schedules.terms import Mark

router = APIRouter(include_in_schema=False)


@router.post("/objects/{object_id}/marks")
def object_mark_posted(object_id: ObjectIdPath, form: FormDep, caller: Marker, services: ServicesDep) -> Response:
    """Mark an item or a text record."""
    return _set(services, Marked(MarkedKind.OBJECT, object_id), form, caller)


@router.post("/cases/{case_id}/marks")
def case_mark_posted(case_id: CaseIdPath, form: FormDep, caller: Marker, services: ServicesDep) -> Response:
    """Mark a case, and with it everything that is filed under it."""
    return _set(services, Marked(MarkedKind.CASE, case_id), form, caller)


@router.post("/marks/{mark_id}/removal")
def mark_removed(mark_id: MarkIdPath, form: FormDep, caller: Marker, services: ServicesDep) -> Response:
    """Take a mark back; what it kept until now stays kept."""
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    with services.database.read() as tx:
        address = _address(services, mark_on(tx, mark_id))
    if not form.is_good:
        return go_to(f"{address}?done=mark_needs_a_reason#keeping")
    services.holding.marks.take_back(
        services.database, mark_id, reason=reason, by=caller.actor, at=services.clock.now()
    )
    return go_to(f"{address}?done=unmarked#keeping")


def _set(services: Services, on: Marked, form: Form, caller: Caller) -> Response:
    mark, reason = form.choice("mark", Mark), form.text("reason", most=MAX_REASON_CHARACTERS)
    address = _address(services, on)
    if not form.is_good:
        return go_to(f"{address}?done=mark_needs_a_reason#keeping")
    try:
        services.holding.marks.set_mark(
            services.database, on, mark, reason=reason, by=caller.actor, at=services.clock.now()
        )  # fmt: skip
    except AlreadyMarked:
        return go_to(f"{address}?done=mark_stands#keeping")
    return go_to(f"{address}?done=marked#keeping")


def _address(services: Services, on: Marked) -> str:
    """Return the address of the page of what is marked. Raises: ObjectNotFound, CaseNotFound."""
    if on.kind is MarkedKind.OBJECT:
        return object_address(services, ObjectId(on.id))
    with services.database.read() as tx:
        return f"/cases/{require_case(tx, CaseId(on.id)).id}"
