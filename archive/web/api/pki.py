"""The status of certificates for everybody: root, revocation list, OCSP. They tell serial numbers, and nobody's name.

Source: RFC 5280 sections 4.2.1.13 and 4.2.2.1 (DER at addresses in certificates), RFC 2585 section 4 (media types),
RFC 6960 appendix A, RFC 5019 sections 5 and 6.
"""

import base64
import binascii
import hashlib
import re
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.web.dependencies import WholeServicesDep
from archive.web.limits import BY_NETWORK
from archive.web.pages.forms import FormTooLarge
from archive.wiring import Services
from signing.ocsp import MOST_REQUEST_BYTES
from signing.revocation import crl

router = APIRouter(prefix="/pki", include_in_schema=False)

_KEPT: Final = timedelta(minutes=5)
"""So long others may keep a list or an answer: a revocation is to be known soon, far sooner than the answer ends."""
_ROOT_KEPT: Final = "public, max-age=86400"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MOST_ENCODED: Final = MOST_REQUEST_BYTES * 4 // 3 + 4


@router.get("/root.pem", dependencies=[BY_NETWORK])
def root_pem(services: WholeServicesDep) -> Response:
    """Return the root certificate in PEM, for whoever knows its SHA-256 from elsewhere."""
    headers = {"Cache-Control": _ROOT_KEPT}
    return Response(services.authority.root_pem, media_type="application/x-pem-file", headers=headers)


@router.get("/root.cer", dependencies=[BY_NETWORK])
def root_der(services: WholeServicesDep) -> Response:
    """Return the root certificate in DER, as certificates name it."""
    der = services.authority.root.public_bytes(Encoding.DER)
    return Response(der, media_type="application/pkix-cert", headers={"Cache-Control": _ROOT_KEPT})


@router.get("/root.crl", dependencies=[BY_NETWORK])
def root_crl(services: WholeServicesDep) -> Response:
    """Return the revocation list, which holds every revocation that was made until now."""
    der = crl(services.authority, services.clock, register=services.ocsp.register)
    found = x509.load_der_x509_crl(der)
    headers = {
        "Cache-Control": f"public, max-age={int(_KEPT.total_seconds())}",
        "Last-Modified": format_datetime(found.last_update_utc, usegmt=True),
        "ETag": _tag(der),
    }
    return Response(der, media_type="application/pkix-crl", headers=headers)


@router.post("/ocsp", dependencies=[BY_NETWORK])
async def ocsp_posted(request: Request, services: WholeServicesDep) -> Response:
    """Answer an OCSP request. Raises: FormTooLarge."""
    asked = b""
    async for chunk in request.stream():
        asked += chunk
        if len(asked) > MOST_REQUEST_BYTES:
            raise FormTooLarge(most_bytes=MOST_REQUEST_BYTES)
    answer = await run_in_threadpool(services.ocsp.respond, asked)
    return Response(answer, media_type="application/ocsp-response", headers={"Cache-Control": "no-store"})


@router.get("/ocsp/{asked:path}", dependencies=[BY_NETWORK])
def ocsp_asked(asked: str, services: WholeServicesDep) -> Response:
    """Answer an OCSP request that stands in the address, in Base64; others may keep the answer for a while.

    What is no request is answered so, with 400: an address that nobody's client makes.
    """
    answer = services.ocsp.respond(_decoded(asked))
    found = ocsp.load_der_ocsp_response(answer)
    status = 400 if found.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST else 200
    headers = _kept(answer, found, services)
    return Response(answer, status, media_type="application/ocsp-response", headers=headers)


def _decoded(asked: str) -> bytes:
    if len(asked) > _MOST_ENCODED or _BASE64.fullmatch(asked) is None:
        return b""
    try:
        return base64.b64decode(asked, validate=True)
    except binascii.Error:
        return b""


def _kept(answer: bytes, found: ocsp.OCSPResponse, services: Services) -> dict[str, str]:
    """Return the headers of RFC 5019 section 6.2; an answer with a nonce is for one asker, a refusal for nobody."""
    if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or len(found.extensions) > 0:
        return {"Cache-Control": "no-store"}
    until = services.clock.now() + _KEPT
    return {
        "Cache-Control": f"max-age={int(_KEPT.total_seconds())}, public, no-transform, must-revalidate",
        "Last-Modified": format_datetime(found.this_update_utc, usegmt=True),
        "Expires": format_datetime(until, usegmt=True),
        "ETag": _tag(answer),
    }


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()}"'
