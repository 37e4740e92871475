"""Filing recordings under cases, and taking them out again, by the names of the calling system."""

from typing import Any, Final

from fastapi import APIRouter, Response

from archive.cases.systems.links import push_link, push_unlink
from archive.cases.systems.push import Outcome
from archive.custody.events import ObjectNotFound
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId, parse_uuid
from archive.web.api.v1.forms import LinkRead, LinkSent, Reference, RemovalSent
from archive.web.api.v1.guards import CaseWriter, PusherDep
from archive.web.api.v1.routes import ApiRoute, problems

router = APIRouter(prefix="/api/v1/systems/{system}", tags=["case systems"], route_class=ApiRoute)

_CREATED: Final[dict[int | str, dict[str, Any]]] = {201: {"description": "Filed.", "model": LinkRead}}


@router.post("/links", operation_id="link_item", responses={**_CREATED, **problems(400, 404, 409, 413, 422)})
def link(body: LinkSent, caller: CaseWriter, pusher: PusherDep, answer: Response) -> LinkRead:
    """File a recording under a case, for a reason. What is filed there already is answered with 200."""
    del caller
    outcome, case_id = push_link(pusher, _item(body.item), case=body.case, act=body.act, reason=body.reason)
    answer.status_code = 201 if outcome is Outcome.CREATED else 200
    word = "created" if outcome is Outcome.CREATED else "unchanged"
    return LinkRead(item=body.item, case=Reference(id=str(case_id), external_id=body.case), outcome=word)  # type: ignore[arg-type]


@router.post("/removals", operation_id="unlink_item", responses=problems(400, 404, 413, 422))
def remove(body: RemovalSent, caller: CaseWriter, pusher: PusherDep) -> LinkRead:
    """Take a recording out of a case, for a reason; the recording and the trace of the link stay."""
    del caller
    case_id = push_unlink(pusher, _item(body.item), case=body.case, reason=body.reason)
    return LinkRead(item=body.item, case=Reference(id=str(case_id), external_id=body.case), outcome="removed")


def _item(text: str) -> ObjectId:
    try:
        return ObjectId(parse_uuid(text))
    except InvalidInput as exc:
        raise ObjectNotFound from exc
