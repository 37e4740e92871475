"""What items and text records have in common: the custody trail, proofs from the log, checking the bytes now."""

import json
from dataclasses import dataclass
from typing import Final

import anyio
from anyio import to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.cases.proofs import entries_of_object, proofs_of
from archive.custody.events import ObjectNotFound, preserved_object
from archive.custody.models import CustodyEvent, PreservedObject
from archive.kernel.findings import Outcome, Report
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.models import LogEntry
from archive.ledger.proofs import inclusion
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.guards import EntryIdPath, ObjectIdPath, Reader, Verifier
from archive.web.pages.rendering import is_fragment, reader_texts, render
from archive.web.pages.trail import object_trail
from archive.wiring import Services
from retention.fixity import check_fixity

router = APIRouter(prefix="/objects/{object_id}", include_in_schema=False)

# A check reads everything; a few at once are what the disk can do, and pages must not wait for them.
_CHECKS_AT_ONCE: Final = 3
_LIMITERS: Final[anyio.lowlevel.RunVar[anyio.CapacityLimiter]] = anyio.lowlevel.RunVar("liuhen_checks")


class ProofPending(ObjectNotFound):
    """No checkpoint covers this entry yet; try again in a second."""

    code = "ledger.proof_pending"


@router.get("/trail")
def trail_part(request: Request, object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show the custody trail again, as it is now."""
    with services.database.read() as tx:
        original = preserved_object(tx, object_id)
        trail = object_trail(tx, object_id, texts=reader_texts(request))
    return render(request, "_trail.html", caller=caller, original=original, trail=trail)


@router.get("/entries/{entry_id}/proof")
def proof_file(object_id: ObjectIdPath, entry_id: EntryIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Return the proof that an event of this object is in the log. Source: C2SP tlog-proof."""
    del caller
    with services.database.read() as tx:
        _require_event(tx, object_id, entry_id)
        proof = inclusion(tx, entry_id)
    if proof is None:
        raise ProofPending
    return _file(str(proof).encode(), f"liuhen-{proof.index}.tlog-proof", "text/plain; charset=utf-8")


@router.get("/entries/{entry_id}/body")
def entry_file(object_id: ObjectIdPath, entry_id: EntryIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Return the log entry of an event, byte for byte: what its proof is about."""
    del caller
    with services.database.read() as tx:
        _require_event(tx, object_id, entry_id)
        entry = tx.get_one(LogEntry, entry_id)
    return _file(entry.body, f"liuhen-{entry_id}.entry.json", "application/json")


@router.get("/proofs")
def proofs_file(object_id: ObjectIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Return every entry about the object with the proof of its place, as JSON. Source: C2SP tlog-proof."""
    del caller
    with services.database.read() as tx:
        preserved_object(tx, object_id)
        leaves = list(proofs_of(tx, entries_of_object(tx, object_id)))
    return _file(json.dumps(leaves).encode(), f"liuhen-{object_id}.proofs.json", "application/json")


def object_address(services: Services, object_id: ObjectId) -> str:
    """Return the address of the page of an item or a text record. Raises: ObjectNotFound."""
    with services.database.read() as tx:
        kind = preserved_object(tx, object_id).kind
    return f"/{'records' if kind == 'record' else 'items'}/{object_id}"


@router.post("/verification", dependencies=[by_account(Cost.HEAVY)])
async def verification_posted(
    request: Request, object_id: ObjectIdPath, caller: Verifier, services: ServicesDep
) -> Response:
    """Read every byte of the object again and show what was found."""
    return await to_thread.run_sync(_verify, request, object_id, caller, services, limiter=_limiter())


def _verify(request: Request, object_id: ObjectId, caller: Caller, services: Services) -> Response:
    with services.database.read() as tx:
        original = preserved_object(tx, object_id)  # first: the check itself sees everything
    report = check_fixity(services.fixity, object_id, by=caller.actor)
    return _verification(request, caller, original, report, at=services.clock.now())


def _verification(
    request: Request, caller: Caller, original: PreservedObject, report: Report, *, at: Instant
) -> Response:
    part = is_fragment(request)
    return render(
        request,
        "_verification.html" if part else "verification.html",
        caller=caller,
        headers={"HX-Trigger": "trail-changed"} if part else None,
        original=original,
        report=report,
        groups=grouped_findings(report),
        checked_at=at,
    )


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """What was found alike in several places."""

    code: str
    outcome: str
    message: str
    places: list[str]


def grouped_findings(report: Report) -> list[FindingGroup]:
    """Return every finding, what is wrong first, with the places of equal findings together."""
    groups: dict[tuple[str, str], FindingGroup] = {}
    for finding in report.findings:
        outcome = finding.outcome.value
        group = groups.setdefault((outcome, finding.code), FindingGroup(finding.code, outcome, finding.message, []))
        if finding.where:
            group.places.append(finding.where)
    order = [Outcome.INVALID.value, Outcome.INDETERMINATE.value, Outcome.VALID.value]
    return sorted(groups.values(), key=lambda group: order.index(group.outcome))


def _require_event(tx: Session, object_id: ObjectId, entry_id: EntryId) -> None:
    found = select(CustodyEvent.entry_id).where(CustodyEvent.entry_id == entry_id, CustodyEvent.object_id == object_id)
    if tx.scalar(found) is None:
        raise ObjectNotFound


def _file(body: bytes, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": disposition("attachment", name), "Cache-Control": "no-store"}
    return Response(body, media_type=media_type, headers=headers)


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _LIMITERS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_CHECKS_AT_ONCE)
        _LIMITERS.set(limiter)
        return limiter
