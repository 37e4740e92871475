"""What is left of what was destroyed: a page that everybody may read, and that says nothing of anybody."""

import json
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from archive.access.callers import Caller
from archive.custody.events import ObjectDestroyed
from archive.custody.models import PreservedObject
from archive.kernel.ids import EntryId, ObjectId
from archive.ledger.models import LogEntry
from archive.ledger.proofs import inclusion
from archive.web.dependencies import WholeServicesDep, optional_caller
from archive.web.pages.guards import ObjectIdPath
from archive.web.pages.objects import ProofPending
from archive.web.pages.rendering import go_to, render
from archive.wiring import Services
from retention.disposition.listings import tombstone
from retention.disposition.models import Tombstone

router = APIRouter(prefix="/tombstones/{object_id}", include_in_schema=False)

Anybody = Annotated[Caller | None, Depends(optional_caller)]
_JSON: Final = "application/json"


@router.get("")
def tombstone_page(request: Request, object_id: ObjectIdPath, caller: Anybody, services: WholeServicesDep) -> Response:
    """Show the tombstone of an object."""
    with services.database.read() as tx:
        found = tombstone(tx, object_id)
    return render(request, "tombstone.html", caller=caller, found=found, here=f"/tombstones/{object_id}")


@router.get("/proof")
def tombstone_proof(object_id: ObjectIdPath, caller: Anybody, services: WholeServicesDep) -> Response:
    """Return the entry of a destruction and the proof of its place in the log, as JSON. Source: C2SP tlog-proof."""
    del caller
    with services.database.read() as tx:
        row = tombstone(tx, object_id).row
        proof = inclusion(tx, EntryId(row.entry_id))
        entry = tx.get_one(LogEntry, row.entry_id)
    if proof is None:
        raise ProofPending
    told = {"index": proof.index, "entry": entry.body.decode(), "proof": str(proof)}
    name = f"liuhen-{object_id}.tombstone.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(json.dumps(told).encode(), media_type=_JSON, headers=headers)


def if_destroyed(services: Services, object_id: ObjectId) -> Response | None:
    """Return the way to the tombstone of an object that was destroyed, None for one that is there, or is not seen.

    Raises: ObjectDestroyed for one that is just being destroyed.
    """
    with services.database.read() as tx:
        row = tx.get(PreservedObject, object_id)
        if row is None or row.destroyed_at is None:
            return None
        if tx.get(Tombstone, object_id) is None:
            raise ObjectDestroyed(object_id=object_id)
    return go_to(f"/tombstones/{object_id}")
