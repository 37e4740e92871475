"""How the log stands: for whoever runs or watches the house. No entry is shown, so it takes no right to the log."""

from fastapi import APIRouter, Request, Response

from archive.ledger.trustfile import policy_text
from archive.web.dependencies import ServicesDep
from archive.web.pages.content import disposition
from archive.web.pages.guards import LogHealthReader
from archive.web.pages.objects import grouped_findings
from archive.web.pages.rendering import is_fragment, render

router = APIRouter(include_in_schema=False)

_TEXT = "text/plain; charset=utf-8"


@router.get("/log/health")
def log_health_page(request: Request, caller: LogHealthReader, services: ServicesDep) -> Response:
    """Show figures, signatures, witnesses and quorum, each with what a check of it found just now."""
    health = services.log_health()
    with services.database.read() as tx:
        store_lock = services.worm.standing(tx)
        # The part that asks again every few seconds does not show these, and counting what waits may take its time.
        is_whole = not is_fragment(request)
        store_copy, drill = (services.copies.standing(tx), services.drills.newest(tx)) if is_whole else (None, None)
    return render(
        request,
        "log_health.html" if is_whole else "_log_health.html",
        caller=caller,
        health=health,
        store_lock=store_lock,
        store_copy=store_copy,
        drill=drill,
        groups=grouped_findings(health.report),
        looked_at=services.clock.now(),
    )


@router.get("/log/trust.txt")
def trust_file(caller: LogHealthReader, services: ServicesDep) -> Response:
    """Return the trust file: what an outsider pins of this archive."""
    del caller
    return _file(str(services.trust), "trust.txt")


@router.get("/log/policy.txt")
def policy_file(caller: LogHealthReader, services: ServicesDep) -> Response:
    """Return the log's keys, witnesses and quorum as others' tools read them. Source: C2SP tlog-policy."""
    del caller
    return _file(policy_text(services.trust), "policy.txt")


def _file(text: str, name: str) -> Response:
    headers = {"Content-Disposition": disposition("attachment", name), "Cache-Control": "no-store"}
    return Response(text, media_type=_TEXT, headers=headers)
