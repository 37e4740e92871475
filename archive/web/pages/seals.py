"""What waits for the agency's seal, and sealing several records under one approval."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select

from archive.access.callers import Caller
from archive.cases.batch_sealing import (
    MAX_APPROVAL_CHARACTERS,
    MOST_AT_ONCE,
    SealOutcome,
    approve_sealing,
    seal_approved,
)
from archive.cases.models import Case
from archive.documents.listings import records_to_seal
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DraftId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.filing import file_complete
from archive.web.pages.forms import Form, read_items
from archive.web.pages.guards import Sealer
from archive.web.pages.rendering import render
from archive.wiring import Services

router = APIRouter(prefix="/seals", include_in_schema=False)


async def _posted(request: Request) -> list[tuple[str, str]]:
    return await read_items(request, most_fields=MOST_AT_ONCE + 10)


ItemsDep = Annotated[list[tuple[str, str]], Depends(_posted)]
_NOTHING: Final[Sequence[SealOutcome]] = ()


@router.get("")
def seals_page(request: Request, caller: Sealer, services: ServicesDep) -> Response:
    """Show what waits for the seal."""
    return _page(request, caller, services, Form({}))


@router.post("", dependencies=[by_account(Cost.HEAVY)])
def seals_posted(request: Request, items: ItemsDep, caller: Sealer, services: ServicesDep) -> Response:
    """Seal what was chosen, under one approval."""
    form = Form({name: value for name, value in items if name != "record"})
    approval = form.text("approval", most=MAX_APPROVAL_CHARACTERS)
    chosen = _chosen(form, [value for name, value in items if name == "record"])
    if not form.is_good:
        return _page(request, caller, services, form, status=422)
    entry_id = approve_sealing(services.database, chosen, approval=approval, by=caller.actor, at=services.clock.now())
    outcomes = seal_approved(services.seals, entry_id, chosen, by=caller.actor)
    for outcome in outcomes:
        if outcome.completes:
            file_complete(services, outcome.draft_id)
    return _page(request, caller, services, Form({}), outcomes=outcomes)


def _chosen(form: Form, given: Sequence[str]) -> Mapping[DraftId, str]:
    """Return the records that are chosen, each with the digest of what was shown: `id:sha256`."""
    found: dict[DraftId, str] = {}
    try:
        for each in given:
            draft_id, _, sha256 = each.partition(":")
            found[DraftId(parse_uuid(draft_id))] = sha256
    except InvalidInput:
        form.refuse("record", "form.choose")
    if not 1 <= len(found) <= MOST_AT_ONCE:
        form.refuse("record", "seals.choose", most=MOST_AT_ONCE)
    return found


def _page(
    request: Request,
    caller: Caller,
    services: Services,
    form: Form,
    *,
    outcomes: Sequence[SealOutcome] = _NOTHING,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        waiting = records_to_seal(tx, limit=MOST_AT_ONCE)
        ids = {each.draft.case_id for each in waiting}
        cases = {case.id: case for case in tx.scalars(select(Case).where(Case.id.in_(ids)))}
    context: dict[str, Any] = {"waiting": waiting, "cases": cases, "outcomes": outcomes}
    return render(request, "seals.html", caller=caller, status=status, form=form, **context)
