"""The trust lists of the house, for whoever runs it: which authorities, for what, from where, until when."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import APIRouter, Request, Response

from archive.kernel.instants import Instant
from archive.web.dependencies import ServicesDep
from archive.web.pages.guards import Operator
from archive.web.pages.rendering import render
from ingest.signer_names import Called, called
from signing.validation.trust import Trusted

router = APIRouter(include_in_schema=False)

_SOON: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Authority:
    """An entry of a list as the page shows it; `state` is `expired`, `soon` or nothing."""

    entry: Trusted
    called: Called
    sha256: str
    ends_at: Instant
    state: str


@router.get("/admin/trust")
def trust_page(request: Request, caller: Operator, services: ServicesDep) -> Response:
    """Show every list as it stands now, with fingerprints and ends."""
    lists, at = services.judge.lists(), services.clock.now()
    return render(
        request,
        "trust_lists.html",
        caller=caller,
        lists=[(each, [_authority(entry, at) for entry in each.entries]) for each in lists],
        folder=services.settings.trust_lists,
    )


def _authority(entry: Trusted, at: Instant) -> Authority:
    ends_at = min(filter(None, (entry.certificate.not_valid_after_utc, entry.trusted_until)))
    state = "expired" if ends_at <= at else "soon" if ends_at - at < _SOON else ""
    subject = called(entry.certificate.subject.rfc4514_string())
    return Authority(entry, subject, entry.certificate.fingerprint(SHA256()).hex(), ends_at, state)
