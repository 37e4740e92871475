"""Uploading in the browser: the page, the cases that it offers, and what a person has sent already.

The bytes go to `archive.web.api.uploads`, with a manifest from `archive.web.api.door`; `static/upload.js` does it.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from archive.cases import listings
from archive.evidence.terms import SourceKind
from archive.kernel.digests import CN_PROFILE
from archive.web.dependencies import ServicesDep
from archive.web.pages.guards import Uploader
from archive.web.pages.rendering import render
from ingest.listings import sent_by

router = APIRouter(prefix="/upload", include_in_schema=False)

_MOST_OFFERED: Final = 10
_TOLD_CODES: Final = (
    "access.cross_site",
    "access.forbidden",
    "access.not_signed_in",
    "cases.not_found",
    "ingest.digest_mismatch",
    "ingest.dock_revoked",
    "ingest.empty_file",
    "ingest.manifest_malformed",
    "ingest.not_your_manifest",
    "ingest.too_large",
    "ingest.upload_gone",
    "ingest.upload_not_found",
    "store.full",
)
"""Causes that have words of their own here; everything else is told with its code."""


@router.get("")
def upload_page(request: Request, caller: Uploader, services: ServicesDep) -> Response:
    """Show where files are dropped, and what this person has sent."""
    with services.database.read() as tx:
        sent = sent_by(tx, caller.account_id)
    return render(
        request,
        "upload.html",
        caller=caller,
        sent=sent,
        sources=list(SourceKind),
        codes=_TOLD_CODES,
        with_sm3=tuple(services.intake.algorithms) == CN_PROFILE,
        most_bytes=services.intake.max_size_bytes,
    )


@router.get("/sent")
def sent_part(request: Request, caller: Uploader, services: ServicesDep) -> Response:
    """Show again what this person has sent."""
    with services.database.read() as tx:
        sent = sent_by(tx, caller.account_id)
    return render(request, "_sent.html", caller=caller, sent=sent)


@router.get("/cases")
def offered_cases(
    request: Request, caller: Uploader, services: ServicesDep, case: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """Offer the cases whose number, title or subject holds what was typed."""
    with services.database.read() as tx:
        found = listings.cases(tx, words=case, limit=_MOST_OFFERED)
    return render(request, "_offered_cases.html", caller=caller, found=found)
