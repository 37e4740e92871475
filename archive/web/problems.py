"""Errors on the web: every code has its HTTP status, every error body is an RFC 9457 problem."""

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from archive.kernel.errors import LiuhenError

_STATUS: Final[Mapping[str, int]] = {
    "input.invalid": 400,
    "json.not_canonical": 400,
    "input.not_found": 404,
    "input.conflict": 409,
    "input.too_large": 413,
    "input.unprocessable": 422,
    "access.forbidden": 403,
    "access.not_signed_in": 401,
    "access.second_factor_due": 403,
    "access.terms_due": 403,
    "access.code_refused": 401,
    "access.oidc_refused": 401,
    "access.recovery_refused": 401,
    "access.passkey_refused": 401,
    "access.sign_in_refused": 401,
    "access.too_many_attempts": 429,
    "access.key_refused": 401,
    "access.cross_site": 403,
    "axis.refused": 401,
    "axis.recording_complete": 400,
    "axis.object_quarantined": 400,
    "axis.etag_mismatch": 422,
    "access.too_many_requests": 429,
    "access.external_id_invalid": 422,
    "cases.not_found": 404,
    "cases.identifier_invalid": 422,
    "cases.identifier_unfit": 422,
    "cases.unknown_reference": 422,
    "cases.version_mismatch": 412,
    "cases.not_linked": 404,
    "custody.object_not_found": 404,
    "custody.object_destroyed": 410,
    "documents.not_pdf": 415,
    "documents.values_refused": 422,
    "documents.form_unfinished": 422,
    "documents.amount_unreadable": 422,
    "documents.template_invalid": 422,
    "calendar.period_invalid": 422,
    "ingest.enrolment_refused": 403,
    "ingest.dock_revoked": 403,
    "ingest.dock_not_found": 404,
    "ingest.upload_not_found": 404,
    "ingest.upload_gone": 410,
    "ingest.staged_bytes_lost": 410,
    "ingest.empty_file": 422,
    "ingest.too_large": 413,
    "ingest.too_long": 413,
    "ingest.manifest_malformed": 422,
    "ingest.checksum_mismatch": 460,
    "ingest.digest_mismatch": 422,
    "ingest.manifest_untrusted": 422,
    "ingest.busy": 503,
    "ingest.disk_reserved": 503,
    "ingest.intake_full": 503,
    "ingest.dock_quota": 429,
    "ingest.dock_uploads": 429,
    "ingest.dock_pace": 429,
    "ingest.waiting_not_found": 404,
    "service.ending": 503,
    "service.not_ready": 503,
    "ingest.upload_elsewhere": 503,
    "retrieval.grant_not_found": 404,
    "retrieval.segment_empty": 404,
    "retrieval.segment_not_ready": 503,
    "service.unavailable": 503,
    "store.full": 507,
    "tus.content_type": 415,
    "tus.method": 405,
    "tus.version_unsupported": 412,
    "store.blob_missing": 404,
    "mail.address_invalid": 422,
    "mail.code_wrong": 422,
    "mail.too_soon": 429,
    "complaints.not_found": 404,
    "devices.not_found": 404,
    "complaints.no_handler": 422,
    "volumes.not_found": 404,
    "holds.not_found": 404,
    "holds.bad_query": 422,
    "holds.review_day_impossible": 422,
    "marks.not_found": 404,
    "volumes.paper_not_there": 404,
}
_BY_EXIT_CODE: Final[Mapping[int, int]] = {64: 400, 65: 400, 66: 404, 73: 409, 75: 503, 77: 403}


def status_of(error: LiuhenError) -> int:
    """Return the HTTP status of an error: by its code, else by the kind of its exit code, else 500."""
    return _STATUS.get(error.code) or _BY_EXIT_CODE.get(error.exit_code, 500)


def problem_body(
    *, status: int, code: str, title: str, request_id: str | None, facts: Mapping[str, Any] | None = None
) -> bytes:
    """Return the JSON of a problem. Source: RFC 9457 section 3."""
    body: dict[str, Any] = {
        "type": f"urn:liuhen:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "request_id": request_id,
    }
    if facts:
        body["facts"] = {name: value if isinstance(value, int | bool) else str(value) for name, value in facts.items()}
    return json.dumps(body, ensure_ascii=False).encode()


def problem_response(error: LiuhenError, *, request_id: str | None, status: int | None = None) -> Response:
    """Return an error as a problem, with the status of its code or a given one.

    Internal errors say nothing of their cause.
    """
    status = status or status_of(error)
    hidden = status == 500
    headers = {"Cache-Control": "no-store"}
    if status in {429, 503, 507}:
        headers["Retry-After"] = str(error.facts.get("retry_after_s", 5))
    if error.code == "access.key_refused":
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        problem_body(
            status=status,
            code="internal.error" if hidden else error.code,
            title="Something went wrong on our side; nothing was acknowledged." if hidden else error.message,
            request_id=request_id,
            facts=None if hidden else error.facts,
        ),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )
