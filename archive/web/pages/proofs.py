"""Proofs that can be taken away: every entry about an object or a case, with its place in the log."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from archive.access.callers import Caller
from archive.cases import listings
from archive.cases.proofs import EntryPlace, entries_of_case, entries_of_object, proofs_of
from archive.custody.events import ObjectNotFound, preserved_object
from archive.kernel.errors import NotFound
from archive.ledger.listings import entries_from
from archive.ledger.models import LogCheckpoint
from archive.ledger.proofs import LeafNotFound, head, inclusion_at
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.guards import CaseIdPath, LogReader, ObjectIdPath, Reader
from archive.web.pages.rendering import is_fragment, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

SIGNED_FILES: Final = {
    "item": ("manifest.json", "manifest.json.p7s", "dock-manifest.json", "dock-manifest.json.sig"),
    "record": ("manifest.json", "manifest.json.p7s", "original.sm2", "original.sm2.pem"),
}
"""What lies beside an original of each kind, and says what came in and who signed for it."""
_MOST_SHOWN: Final = 500
_AT_ONCE: Final = 50


@router.get("/objects/{object_id}/entries")
def object_proofs_page(request: Request, object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show every entry about an object with its place."""
    with services.database.read() as tx:
        original = preserved_object(tx, object_id)
        places, checkpoint = entries_of_object(tx, object_id), head(tx)
        tx.expunge_all()
    page = "/records/" if original.kind == "record" else "/items/"
    about = {"title": original.name, "back": f"{page}{object_id}", "all": f"/objects/{object_id}/proofs"}
    return _shown(request, caller, places, checkpoint, about=about)


@router.get("/objects/{object_id}/signed/{name}")
def signed_file(object_id: ObjectIdPath, name: str, caller: Reader, services: ServicesDep) -> Response:
    """Return a manifest or a signature that lies beside the original, byte for byte."""
    del caller
    with services.database.read() as tx:
        kind = preserved_object(tx, object_id).kind
    if name not in SIGNED_FILES.get(kind, ()):
        raise ObjectNotFound
    try:
        with services.objects.open_file(object_id, f"metadata/{name}") as source:
            content = source.read()
    except NotFound as exc:
        raise ObjectNotFound from exc
    return _file(content, f"liuhen-{object_id}.{name}", "application/octet-stream")


@router.get("/cases/{case_id}/proofs")
def case_proofs_page(request: Request, case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show every entry about a case and what is filed under it, with its place."""
    with services.database.read() as tx:
        case = listings.case_view(tx, case_id).case
        places, checkpoint = entries_of_case(tx, case_id), head(tx)
        tx.expunge_all()
    about = {"title": case.number, "back": f"/cases/{case_id}", "all": f"/cases/{case_id}/proofs.json"}
    return _shown(request, caller, places, checkpoint, about=about)


@router.get("/cases/{case_id}/proofs.json", dependencies=[by_account(Cost.HEAVY)])
def case_proofs_file(case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Return every entry about a case and what is filed under it with the proof of its place, as JSON."""
    del caller
    with services.database.read() as tx:
        places = entries_of_case(tx, case_id)
    headers = {
        "Content-Disposition": disposition("attachment", f"liuhen-{case_id}.proofs.json"),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_leaves(services, places), media_type="application/json", headers=headers)


def _leaves(services: Services, places: Sequence[EntryPlace]) -> Iterator[bytes]:
    """Yield a JSON array, part by part: who is slow to take it holds no transaction open."""
    yield b"["
    for start in range(0, len(places), _AT_ONCE):
        with services.database.read() as tx:
            part = [json.dumps(leaf).encode() for leaf in proofs_of(tx, places[start : start + _AT_ONCE])]
        yield (b",\n" if start else b"") + b",\n".join(part)
    yield b"]"


@router.get("/log/proofs/{index}")
def index_proof(index: int, caller: Reader, services: ServicesDep) -> Response:
    """Return the proof that there is an entry at this index. Source: C2SP tlog-proof."""
    del caller
    with services.database.read() as tx:
        proof = inclusion_at(tx, index) if 0 <= index < 1 << 63 else None
    if proof is None:
        raise LeafNotFound
    return _file(str(proof).encode(), f"liuhen-{index}.tlog-proof", "text/plain; charset=utf-8")


@router.get("/log/entries/{index}")
def index_entry(index: int, caller: LogReader, services: ServicesDep) -> Response:
    """Return the entry at this index, byte for byte: what its proof is about."""
    del caller
    with services.database.read() as tx:
        found = entries_from(tx, index, limit=1) if 0 <= index < 1 << 63 else ()
    if not found or found[0].index != index:
        raise LeafNotFound
    return _file(found[0].body, f"liuhen-{index}.entry.json", "application/json")


def _shown(
    request: Request,
    caller: Caller,
    places: Sequence[EntryPlace],
    checkpoint: LogCheckpoint | None,
    *,
    about: dict[str, Any],
) -> Response:
    return render(
        request,
        "_proofs.html" if is_fragment(request) else "proofs.html",
        caller=caller,
        places=places[-_MOST_SHOWN:],
        count=len(places),
        checkpoint=checkpoint,
        about=about,
    )


def _file(body: bytes, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": disposition("attachment", name), "Cache-Control": "no-store"}
    return Response(body, media_type=media_type, headers=headers)
