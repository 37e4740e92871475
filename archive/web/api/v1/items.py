"""The state of items for other systems: what there is, whether it plays, its digests, where it is filed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from archive.cases.slices import Slice
from archive.cases.systems.items import ItemState, item_state, item_states, item_states_of_case
from archive.kernel.ids import CaseId, ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.web.api.v1.forms import Reference
from archive.web.api.v1.guards import Cursor, ItemReader, Limit, ServicesDep
from archive.web.api.v1.routes import ApiRoute, problems
from archive.web.pages.guards import case_id_in_path, object_id_in_path

router = APIRouter(prefix="/api/v1", tags=["items"], route_class=ApiRoute)


class DigestsRead(BaseModel):
    """The digests of the original, in hexadecimal."""

    sha256: str
    sha512: str
    sm3: str | None


class FilingRead(BaseModel):
    """A case that the item is filed under, and the act where that is known."""

    case: Reference
    number: str
    act: Reference | None


class ItemRead(BaseModel):
    """An evidence item without its content."""

    id: str
    name: Annotated[str, Field(examples=["BWC0117_20260302_093112.mp4"])]
    kind: Annotated[str, Field(examples=["footage"])]
    media_type: str
    state: Annotated[str, Field(description="pending, playable, damaged or unplayable.", examples=["playable"])]
    reason: Annotated[str | None, Field(description="Code of what is damaged, or of why it cannot be played.")]
    size_bytes: int
    duration_ms: int | None
    device_serial: str | None
    recorded_at: str | None
    received_at: str
    digests: DigestsRead
    filed_under: list[FilingRead]
    page: Annotated[str, Field(description="Where people who may look at it find it, on this server.")]


class ItemList(BaseModel):
    """Items, the newest first. `next` is the cursor of what follows."""

    items: list[ItemRead]
    next: str | None


@router.get("/items", operation_id="list_items", responses=problems(422))
def list_items(
    caller: ItemReader,
    services: ServicesDep,
    *,
    unlinked: Annotated[bool, Query(description="Only what is filed under no case.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ItemList:
    """Return items, the newest first."""
    with services.database.read() as tx:
        return _list(item_states(tx, caller.id, unlinked_only=unlinked, cursor=cursor, limit=limit))


@router.get("/items/{object_id}", operation_id="read_item", responses=problems(404))
def read_item(
    object_id: Annotated[ObjectId, Depends(object_id_in_path)], caller: ItemReader, services: ServicesDep
) -> ItemRead:
    """Return one item."""
    with services.database.read() as tx:
        return _item(item_state(tx, caller.id, object_id))


@router.get("/cases/{case_id}/items", operation_id="list_items_of_case", responses=problems(404, 422))
def list_items_of_case(
    case_id: Annotated[CaseId, Depends(case_id_in_path)],
    caller: ItemReader,
    services: ServicesDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ItemList:
    """Return the items that are filed under a case, by our id of the case, the newest first."""
    with services.database.read() as tx:
        return _list(item_states_of_case(tx, caller.id, case_id, cursor=cursor, limit=limit))


def _list(found: Slice[ItemState]) -> ItemList:
    return ItemList(items=[_item(state) for state in found.rows], next=found.next_cursor)


def _item(state: ItemState) -> ItemRead:
    item, original = state.item, state.original
    return ItemRead(
        id=str(item.object_id),
        name=original.name,
        kind=item.kind,
        media_type=original.media_type,
        state=item.play_state,
        reason=item.play_reason,
        size_bytes=original.size_bytes,
        duration_ms=item.duration_ms,
        device_serial=item.device_serial,
        recorded_at=_moment(item.recorded_at),
        received_at=format_instant(item.received_at),
        digests=DigestsRead(sha256=original.sha256, sha512=original.sha512, sm3=original.sm3),
        filed_under=[
            FilingRead(
                case=Reference(id=str(filed.case.id), external_id=filed.case_external_id),
                number=filed.case.number,
                act=None
                if filed.act_id is None
                else Reference(id=str(filed.act_id), external_id=filed.act_external_id),
            )
            for filed in state.filed_under
        ],
        page=f"/items/{item.object_id}",
    )


def _moment(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)
